"""What a checkpoint remembers of its training volumes."""

import json
from itertools import permutations, product

import numpy as np
import pytest
import tiny
from nibabel.orientations import axcodes2ornt, inv_ornt_aff

from dacl.data.case import Case
from dacl.data.casefile import case_path, write_case
from dacl.data.orientation import axis_codes, is_canonical
from dacl.data.prepared import PreparedDataset
from dacl.training import checkpoint

LPS = np.diag([-1.5, -1.5, 8.0, 1.0])


def lay(dataset: PreparedDataset, case_id: str, **where: object) -> None:
    """Write a case anew, lying elsewhere."""
    info = dataset.info(case_id)
    image, label = dataset.read_image(case_id), dataset.read_label(case_id)
    case = Case(
        id=case_id, patient=info.patient, image_CZHW=image, label_ZHW=label,
        spacing_mm=info.spacing_mm, source=dict(info.source), **where,
    )  # fmt: skip
    write_case(case_path(dataset.root, case_id), case)


def test_the_facts_of_the_training_volumes_alone(tmp_path):
    root = tiny.write_dataset(tmp_path / "data")
    index = json.loads((root / "dataset.json").read_text())
    index["channels"] = ["T1"]
    index["cases"]["p1_frame01"]["spacing_mm"] = [5.0, 1.25, 2.0]
    index["cases"]["p2_frame02"]["spacing_mm"] = None
    index["cases"]["p4_frame01"]["spacing_mm"] = [99.0, 99.0, 99.0]  # val
    (root / "dataset.json").write_text(json.dumps(index))
    dataset = PreparedDataset.open(root)
    facts = checkpoint.data_facts(dataset)
    assert facts == {
        "channel_names": ("T1",), "modality": "MR", "orientation": "",
        "spacing_low_mm": (5.0, 1.25, 1.5), "spacing_high_mm": (10.0, 1.5, 2.0),
    }  # fmt: skip
    lay(dataset, "p4_frame01", affine=LPS)
    assert checkpoint.data_facts(dataset)["orientation"] == ""
    lay(dataset, "p2_frame01", affine=LPS)
    assert checkpoint.data_facts(dataset)["orientation"] == "LPS"
    lay(dataset, "p2_frame01", orientation="RAS")
    assert checkpoint.data_facts(dataset)["orientation"] == "LPS"


def test_unknown_spacing_is_none(tmp_path):
    dataset = PreparedDataset.open(tiny.write_dataset(tmp_path / "data", spacing_mm=None))
    facts = checkpoint.data_facts(dataset)
    assert (facts["spacing_low_mm"], facts["spacing_high_mm"]) == (None, None)


def test_a_run_writes_them_and_reads_them_back(tmp_path):
    data = tiny.write_dataset(tmp_path / "data")
    trainer = tiny.train(data, tmp_path / "run", tiny.config("supervised", optim={"steps": 1}))
    meta = checkpoint.read_meta(checkpoint.load(tmp_path / "run" / "latest.pt"))
    assert meta == trainer.meta()
    assert meta.spacing_low_mm == meta.spacing_high_mm == tiny.SPACING_MM
    # run.json has lists for tuples
    said = json.loads((tmp_path / "run" / "run.json").read_text())["data"]
    assert checkpoint.read_meta({"meta": said}) == meta


@pytest.mark.parametrize("tilt", [0.0, 0.4])
def test_canonical_is_what_nibabel_calls_lps(tilt):
    turned = np.eye(4)
    turned[:2, :2] = [[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]
    every = ["".join(c) for axes in permutations(("LR", "PA", "SI")) for c in product(*axes)]
    found = []
    for codes in every:
        affine = turned @ inv_ornt_aff(axcodes2ornt(codes), (4, 5, 6)) @ np.diag([2, 3, 5, 1])
        if is_canonical(affine):
            found.append(axis_codes(affine))
    assert found == ["LPS"]
    assert not is_canonical(np.eye(4))
