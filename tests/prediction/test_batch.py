"""Many scans into one folder."""

import json
from collections.abc import Callable
from pathlib import Path

import made_scans as made
import pytest
import torch

from dacl import DaclError, Predictor
from dacl.prediction.batch import predict_all
from dacl.prediction.images import Scan, find_scans


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.write_model(tmp_path_factory.mktemp("models") / "run")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for n, name in enumerate("ab"):
        made.write_scan(tmp_path / "images" / f"{name}.nii.gz", made.volume(n))
    return tmp_path / "images"


def test_every_scan_gets_its_files_and_a_bad_one_stops_none(
    tmp_path: Path, run: Path, images: Path
) -> None:
    (images / "aa.nii.gz").write_bytes(b"nothing")
    seen = []
    found = predict_all(
        Predictor.load(run, device="cpu"), find_scans([images]), tmp_path / "out",
        probabilities=True, report=lambda *what: seen.append(what),
    )  # fmt: skip
    assert [each.name for each in found.written] == ["a", "b"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"{name}{ending}" for name in "ab" for ending in (".nii.gz", ".json", "_probabilities.nii.gz")
    }  # fmt: skip
    (failure,) = found.failed
    assert (failure.case, failure.file) == ("aa", "aa.nii.gz")
    assert "unreadable" in failure.problem
    assert seen == [(0, 3, "a"), (1, 3, "aa"), (2, 3, "b"), (3, 3, "")]


def test_what_is_there_is_refused_skipped_or_replaced(
    tmp_path: Path, run: Path, images: Path
) -> None:
    predictor, scans, out = Predictor.load(run, device="cpu"), find_scans([images]), tmp_path / "o"
    predict_all(predictor, scans[:1], out)
    mask = out / "a.nii.gz"
    first = mask.read_bytes()
    mask.write_bytes(b"by an expert")
    with pytest.raises(DaclError, match="1 of 2 outputs are there already"):
        predict_all(predictor, scans, out)
    assert not (out / "b.nii.gz").exists()
    found = predict_all(predictor, scans, out, existing="skip")
    assert (found.skipped, [each.name for each in found.written]) == (("a",), ["b"])
    assert mask.read_bytes() == b"by an expert"
    found = predict_all(predictor, scans, out, existing="overwrite")
    assert (found.skipped, len(found.written)) == ((), 2)
    assert mask.read_bytes() == first


def test_only_the_same_models_and_options_count_as_finished(
    tmp_path: Path, run: Path, images: Path
) -> None:
    scans, out = find_scans([images])[:1], tmp_path / "o"
    predict_all(Predictor.load(run, device="cpu"), scans, out)
    for other in (
        Predictor.load(run, device="cpu", network="b"),
        Predictor.load(run, device="cpu", post="largest-component"),
        Predictor.load(made.write_model(tmp_path / "other", seed=5), device="cpu"),
    ):
        with pytest.raises(DaclError, match="not finished by these models with these options"):
            predict_all(other, scans, out, existing="skip")
    # a mask without a sidecar may be anybody's
    (out / "a.json").unlink()
    with pytest.raises(DaclError, match="not finished"):
        predict_all(Predictor.load(run, device="cpu"), scans, out, existing="skip")


def test_an_image_is_never_replaced(run: Path, images: Path) -> None:
    before = (images / "a.nii.gz").read_bytes()
    with pytest.raises(DaclError, match="is one of the images"):
        predict_all(
            Predictor.load(run, device="cpu"), find_scans([images]), images, existing="overwrite"
        )
    assert (images / "a.nii.gz").read_bytes() == before
    (images / "a.nii.gz").rename(images / "a.NII.GZ")
    with pytest.raises(DaclError, match="is one of the images"):
        predict_all(Predictor.load(run, device="cpu"), find_scans([images / "a.NII.GZ"]), images)


def test_a_mask_never_replaces_the_probabilities_of_another_scan(
    tmp_path: Path, run: Path, images: Path
) -> None:
    (images / "a.nii.gz").rename(images / "b_probabilities.nii.gz")
    scans, predictor, out = find_scans([images]), Predictor.load(run, device="cpu"), tmp_path / "o"
    assert [scan.name for scan in scans] == ["b", "b_probabilities"]
    with pytest.raises(DaclError, match="would be written for b and for b_probabilities"):
        predict_all(predictor, scans, out, probabilities=True, existing="overwrite")
    assert not out.exists()
    assert len(predict_all(predictor, scans, out).written) == 2


def _by_numpy() -> None:
    raise MemoryError


@pytest.mark.parametrize(
    ("take", "said"),
    [(_by_numpy, "(MemoryError)"), (lambda: torch.empty(2**50), "allocate")],
    ids=["numpy", "torch"],
)
def test_memory_that_is_not_there_is_a_finding(
    tmp_path: Path,
    run: Path,
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
    take: Callable[[], object],
    said: str,
) -> None:
    predictor, scans = Predictor.load(run, device="cpu"), find_scans([images])
    predict = predictor.predict_scan

    def starved(name: str, *rest: object) -> object:
        if name == "a":
            take()
        return predict(name, *rest)

    monkeypatch.setattr(predictor, "predict_scan", starved)
    found = predict_all(predictor, scans, tmp_path / "out")
    assert [each.name for each in found.written] == ["b"]
    assert found.failed[0].problem.startswith("out of memory (")
    assert said in found.failed[0].problem
    assert "--device cpu" in found.failed[0].fix
    monkeypatch.setattr(predictor, "predict_scan", lambda *_: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="size"):
        predict_all(predictor, scans, tmp_path / "out", existing="overwrite")


def test_only_the_same_images_count_as_finished(tmp_path: Path, run: Path, images: Path) -> None:
    predictor, scans, out = (
        Predictor.load(run, device="cpu"),
        find_scans([images])[:1],
        tmp_path / "o",
    )
    predict_all(predictor, scans, out)
    assert predict_all(predictor, scans, out, existing="skip").skipped == ("a",)
    made.write_scan(images / "a.nii.gz", made.volume(7))
    with pytest.raises(DaclError, match="from these images"):
        predict_all(predictor, scans, out, existing="skip")


def test_probabilities_are_of_the_mask_beside_them(tmp_path: Path, run: Path, images: Path) -> None:
    predictor, scans, out = (
        Predictor.load(run, device="cpu"),
        find_scans([images])[:1],
        tmp_path / "o",
    )
    probable = out / "a_probabilities.nii.gz"
    predict_all(predictor, scans, out, probabilities=True)
    assert predict_all(predictor, scans, out, probabilities=True, existing="skip").skipped == ("a",)
    predict_all(predictor, scans, out, existing="overwrite")
    assert not probable.exists()
    # probabilities that no sidecar names may be anybody's: they vouch for nothing, and stay
    probable.write_bytes(b"by somebody else")
    with pytest.raises(DaclError, match="not finished"):
        predict_all(predictor, scans, out, probabilities=True, existing="skip")
    predict_all(predictor, scans, out, existing="overwrite")
    assert probable.read_bytes() == b"by somebody else"


def test_channels_of_one_name_in_two_folders_have_a_hash_each(tmp_path: Path) -> None:
    files = [made.write_scan(tmp_path / f"t{n}" / "s.nii.gz", made.volume(n)) for n in (1, 2)]
    run = made.write_model(tmp_path / "run", channels=2, channel_names=("T1", "T2"))
    predictor, scan, out = (
        Predictor.load(run, device="cpu"),
        Scan("s", tuple(files)),
        tmp_path / "o",
    )
    predict_all(predictor, [scan], out)
    said = json.loads((out / "s.json").read_text())["image"]["files"]
    assert list(said) == ["t1/s.nii.gz", "t2/s.nii.gz"]
    assert predict_all(predictor, [scan], out, existing="skip").skipped == ("s",)
    made.write_scan(files[0], made.volume(3))
    with pytest.raises(DaclError, match="not finished"):
        predict_all(predictor, [scan], out, existing="skip")
