"""What `prepare` asks of a reader that somebody else wrote."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from dacl.data.case import Case
from dacl.data.prepare import prepare
from dacl.data.prepared import PreparedDataset
from dacl.data.readers.acdc import Acdc
from dacl.errors import DaclError


@pytest.fixture
def raw(raw_acdc):
    for number in range(1, 6):
        raw_acdc.add(number)
    return raw_acdc.raw


@dataclass(frozen=True)
class Other:
    """A reader of someone else's, which gives the cases of ACDC changed."""

    change: Callable[[Case], Case]
    name: str = "other"
    options: tuple[str, ...] = ()

    def discover(self, raw):
        return replace(Acdc().discover(raw), reader=self)

    def read(self, source):
        case, findings = Acdc().read(source)
        return self.change(case), findings


def unnamed(case):
    return replace(case, source={})


def mirrored(case):
    return replace(case, source={}, label_ZHW=case.label_ZHW[..., ::-1].copy())


def test_cases_of_no_named_file_are_known_by_their_voxels(raw, tmp_path):
    out, options = tmp_path / "out", {"split": "random:0"}
    first = prepare(Other(unnamed), raw, out, **options)
    before = PreparedDataset.open(out)
    assert first.written == 10
    assert prepare(Other(unnamed), raw, out, **options).written == 0
    assert PreparedDataset.open(out).fingerprint == before.fingerprint
    assert prepare(Other(mirrored), raw, out, **options).written == 10
    assert PreparedDataset.open(out).fingerprint != before.fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda case: replace(case, label_ZHW=case.label_ZHW + np.uint8(9)),
            "its mask has the value",
        ),
        (
            lambda case: replace(case, label_ZHW=case.label_ZHW.astype(np.int64)),
            "its mask is int64, not uint8",
        ),
        (lambda case: replace(case, id="another"), "gives case another for"),
    ],
)
def test_a_reader_that_gives_what_no_case_may_be_is_told(change, message, raw, tmp_path):
    with pytest.raises(DaclError, match=message):
        prepare(Other(change), raw, tmp_path / "out", split="random:0")
    assert not (tmp_path / "out" / "dataset.json").exists()
