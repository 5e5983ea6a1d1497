"""One run evaluated from checkpoint to files; the network's masks are replaced where numbers matter."""

import csv
import json
import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tiny_run

from dacl.data.prepared import PreparedDataset
from dacl.errors import DaclError
from dacl.experiments import case_figure, evaluation, judged
from dacl.experiments.evaluation import Evaluation, Request, evaluate
from dacl.metrics.conventions import METRICS
from dacl.metrics.overlap import dice_per_class
from dacl.training import checkpoint

TEST_CASES = ["p4_frame01", "p4_frame02", "p5_frame01", "p5_frame02"]


@pytest.fixture
def dataset(tmp_path: Path) -> PreparedDataset:
    return tiny_run.write_dataset(tmp_path / "data" / "blocks")


@pytest.fixture
def run(tmp_path: Path, dataset: PreparedDataset) -> Path:
    return tiny_run.write_run(tmp_path / "runs" / "one", dataset)


@pytest.fixture
def masks(monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """What each network answers: a is one row off in every volume, b misses the LV, mean is right for p4."""
    answers = {
        "a": tiny_run.block_label(2),
        "b": tiny_run.block_label(1) % 3,
        "mean": tiny_run.block_label(1),
    }
    monkeypatch.setattr(judged, "predict_volume", lambda *_args: dict(answers))
    return answers


def quick(run: Path, **changes: object) -> Evaluation:
    options = {"predictions": False, "pictures": False, "device": "cpu"} | changes
    return evaluate(run, Request(**options))


def read_cases(found: Evaluation) -> list[dict[str, str]]:
    with (found.out / "cases.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_everything_is_written_from_a_real_network(run: Path, dataset: PreparedDataset) -> None:
    found = evaluate(run, Request(device="cpu"))
    assert found.out == run / "evaluation" / "test-best"
    assert found.skipped == ()
    written = {str(file.relative_to(found.out)) for file in found.out.rglob("*") if file.is_file()}
    assert written == {
        "cases.csv", "summary.json", "table.md", "table.tex", "overlay_median.png", "overlay_worst.png",
        *(f"predictions/{case}.nii.gz" for case in TEST_CASES),
    }  # fmt: skip
    assert {file.relative_to(found.out).as_posix() for file in found.files} == written
    assert json.loads((found.out / "summary.json").read_text()) == found.summary

    # The written masks are the ones that were scored.
    for row in read_cases(found):
        if row["network"] != "a" or row["class"] != "RV":
            continue
        mask = np.asarray(nib.load(found.out / "predictions" / f"{row['case']}.nii.gz").dataobj)
        dice = dice_per_class(mask.transpose(2, 1, 0), dataset.read_label(row["case"]), 4)[1]
        assert float(row["dice"]) == pytest.approx(dice, nan_ok=True)


@pytest.mark.usefixtures("masks")
def test_a_row_per_case_network_and_class_with_the_right_numbers(run: Path) -> None:
    rows = read_cases(quick(run))
    assert list(rows[0]) == ["case", "patient", "class", "network", *METRICS, "status"]
    places = [(row["case"], row["network"], row["class"]) for row in rows]
    assert places == [
        (case, network, name)
        for case in TEST_CASES
        for network in ("a", "b", "mean")
        for name in tiny_run.CLASSES[1:]
    ]
    by_place = dict(zip(places, rows, strict=True))
    # p4 lies one row above what network a says: nearest surfaces are one row, 1.5 mm, apart at most.
    row = by_place["p4_frame01", "a", "LV"]
    assert float(row["dice"]) == pytest.approx(0.75)
    assert float(row["hd95_vox"]) == 1.0
    assert float(row["hd95_mm"]) == 1.5
    missed = by_place["p4_frame01", "b", "LV"]
    assert missed["status"] == "missed"
    assert float(missed["asd_vox"]) == pytest.approx(math.dist((0, 0, 0), tiny_run.SHAPE))
    assert float(by_place["p4_frame02", "mean", "Myo"]["dice"]) == 1.0


@pytest.mark.usefixtures("masks")
def test_protocol_and_provenance_say_what_was_done(run: Path, dataset: PreparedDataset) -> None:
    summary = quick(run, convention="mcnet", post="largest-component").summary
    protocol, provenance = summary["protocol"], summary["provenance"]
    assert protocol["dataset_fingerprint"] == dataset.fingerprint
    assert protocol["evaluated_on"] == "test"
    assert protocol["networks"] == ["a", "b", "mean"]
    assert protocol["labeled_patients"] == ["p1"]
    assert protocol["checkpoint_rule"] == "best"
    assert protocol["post_processing"] == "largest-component"
    assert protocol["empty_rule"].startswith("mcnet: ")
    assert protocol["averaging"].startswith("plain mean over volumes")
    assert (provenance["method"], provenance["seed"], provenance["precision"]) == (
        "dacl",
        0,
        "fp32",
    )
    assert summary["synthetic"] is True
    assert any("one seed" in note for note in summary["notes"])


@pytest.mark.usefixtures("masks")
def test_median_and_worst_case_are_by_mean_dice_of_the_shown_network(run: Path) -> None:
    shown = quick(run, network="mean").summary["shown_cases"]
    assert shown["worst"]["case"].startswith("p5")
    assert shown["median"]["dice"] >= shown["worst"]["dice"]


@pytest.mark.usefixtures("masks")
@pytest.mark.parametrize(
    ("changes", "folder"),
    [
        ({"split": "val", "checkpoint": "latest"}, "val-latest"),
        ({"post": "largest-component"}, "test-best-largest-component"),
        ({"convention": "dhc"}, "test-best-dhc"),
    ],
)
def test_what_differs_lands_in_a_folder_of_its_own(run: Path, changes: dict, folder: str) -> None:
    assert quick(run, **changes).out == run / "evaluation" / folder


@pytest.mark.usefixtures("masks")
@pytest.mark.parametrize("change", ["step", "network", "summary", "stopped"])
def test_masks_of_other_weights_do_not_stay_beside_the_new_numbers(run: Path, change: str) -> None:
    found = quick(run, predictions=True, pictures=True)
    mine = found.out / "predictions" / "mine.txt"
    mine.write_text("a note")
    drawn = [file for file in found.files if file.suffix in (".gz", ".png")]
    assert len(drawn) == len(TEST_CASES) + 2
    quick(run)  # the same weights: what was drawn of them stays
    assert all(file.exists() for file in drawn)

    if change == "step":
        state = checkpoint.load(run / "best.pt")
        checkpoint.save(run / "best.pt", {**state, "step": state["step"] + 1})
    if change == "summary":
        (found.out / "summary.json").write_text("[]")
    if change == "stopped":
        (found.out / "summary.json").unlink()
    quick(run, network="b" if change == "network" else "a")
    assert not any(file.exists() for file in drawn)
    assert mine.exists()


@pytest.mark.usefixtures("masks")
def test_other_cases_in_one_folder_do_not_stay_beside_the_new_numbers(
    run: Path, tmp_path: Path
) -> None:
    found = quick(run, predictions=True, pictures=True, out=tmp_path / "out")
    quick(run, split="val", out=tmp_path / "out")
    drawn = [file for file in found.files if file.suffix in (".gz", ".png")]
    assert not any(file.exists() for file in drawn)


@pytest.mark.usefixtures("masks")
@pytest.mark.parametrize("summary", ["", "[]", '{"mean": {}, "metric_per_case": []}'])
def test_nothing_is_removed_from_a_folder_of_the_users(
    run: Path, tmp_path: Path, summary: str
) -> None:
    """As nnU-Net writes one, with a summary of its own."""
    files = [tmp_path / "predictions" / f"{TEST_CASES[0]}.nii.gz", tmp_path / "overlay_median.png"]
    files += [tmp_path / "figure.png", tmp_path / "predictions" / "theirs.nii.gz"]
    files[0].parent.mkdir()
    for file in files:
        file.write_bytes(b"theirs")
    if summary:
        (tmp_path / "summary.json").write_text(summary)
    quick(run, out=tmp_path)
    assert all(file.read_bytes() == b"theirs" for file in files)


@pytest.mark.usefixtures("masks")
def test_a_mask_of_the_users_stays_in_the_folder_of_an_evaluation(run: Path) -> None:
    found = quick(run, predictions=True)
    theirs = [found.out / "predictions" / "theirs.nii.gz", found.out / "overlay_theirs.png"]
    for file in theirs:
        file.write_bytes(b"theirs")
    quick(run, network="b")
    assert all(file.exists() for file in theirs)


@pytest.mark.usefixtures("masks")
def test_validation_cases_that_chose_the_checkpoint_are_called_so(run: Path) -> None:
    assert any("chose the checkpoint" in note for note in quick(run, split="val").summary["notes"])
    latest = quick(run, split="val", checkpoint="latest")
    assert not any("chose the checkpoint" in note for note in latest.summary["notes"])


def test_post_processing_happens_before_scoring_and_writing(
    run: Path, masks: dict[str, np.ndarray]
) -> None:
    masks["a"][2, 23, 19] = 3
    plain = quick(run, predictions=True)
    cleaned = quick(run, predictions=True, post="largest-component")
    assert (
        cleaned.summary["networks"]["a"]["LV"]["dice"]["mean"]
        > plain.summary["networks"]["a"]["LV"]["dice"]["mean"]
    )
    assert nib.load(cleaned.out / "predictions" / "p4_frame01.nii.gz").dataobj[19, 23, 2] == 0


@pytest.mark.usefixtures("masks")
def test_unknown_spacing_leaves_the_mm_columns_empty_and_says_so(tmp_path: Path) -> None:
    dataset = tiny_run.write_dataset(tmp_path / "data", spacing_mm=None)
    found = quick(tiny_run.write_run(tmp_path / "run", dataset))
    assert {row["asd_mm"] for row in read_cases(found)} == {""}
    assert found.summary["networks"]["a"]["LV"]["asd_mm"]["mean"] is None
    assert found.summary["protocol"]["distance_unit"] == "voxels (spacing unknown)"
    assert any("spacing unknown in 4 volumes" in note for note in found.table.notes)


@pytest.mark.usefixtures("masks")
def test_volumes_without_a_label_are_left_out_and_counted(tmp_path: Path) -> None:
    dataset = tiny_run.write_dataset(tmp_path / "data", unlabeled=("p5",))
    found = quick(tiny_run.write_run(tmp_path / "run", dataset))
    assert {row["patient"] for row in read_cases(found)} == {"p4"}
    assert any("2 volumes without a label" in note for note in found.summary["notes"])


def test_other_data_are_refused_by_name(run: Path, tmp_path: Path) -> None:
    other = tiny_run.write_dataset(tmp_path / "other", name="others")
    with pytest.raises(DaclError, match=r"trained on blocks .*is others") as error:
        quick(run, data=other.root)
    assert "--data" in error.value.hint


def test_the_same_data_under_another_split_are_refused(run: Path, tmp_path: Path) -> None:
    swapped = tiny_run.SPLIT | {"train": ["p4", "p5"], "test": ["p1", "p2"]}
    other = tiny_run.write_dataset(tmp_path / "other", split=swapped)
    with pytest.raises(DaclError, match="may have been trained on"):
        quick(run, data=other.root)


@pytest.mark.usefixtures("masks")
def test_the_same_data_in_another_folder_will_do(run: Path, tmp_path: Path) -> None:
    copy = tiny_run.write_dataset(tmp_path / "elsewhere")
    assert quick(run, data=copy.root).summary["n_volumes"] == 4


def test_a_split_without_labelled_cases_is_refused(tmp_path: Path) -> None:
    absent = {"train": ["p1"], "val": ["p3"], "test": [], "missing": ["p4", "p5"]}
    dataset = tiny_run.write_dataset(tmp_path / "data", split=absent)
    with pytest.raises(DaclError, match="2 patients of the split are missing") as error:
        quick(tiny_run.write_run(tmp_path / "run", dataset))
    assert "--split val" in error.value.hint


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("split", ["train", "all", "missing", ""])
def test_other_parts_of_a_split_are_not_judged(run: Path, split: str) -> None:
    with pytest.raises(DaclError, match=f"no split '{split}' to judge on") as error:
        quick(run, split=split)
    assert error.value.hint == "choose one of: val, test"
    assert not (run / "evaluation").exists()


@pytest.mark.usefixtures("unchecked")
def test_post_processing_that_there_is_none_of_is_refused(run: Path) -> None:
    with pytest.raises(DaclError, match="no post-processing 'None'") as error:
        quick(run, post="None")
    assert error.value.hint == "choose one of: none, largest-component"
    assert not (run / "evaluation").exists()


def test_a_network_that_the_method_lacks_is_refused(
    tmp_path: Path, dataset: PreparedDataset
) -> None:
    run = tiny_run.write_run(tmp_path / "alone", dataset, method="supervised")
    with pytest.raises(DaclError, match="supervised has no network 'mean'"):
        quick(run, network="mean")


@pytest.mark.usefixtures("masks")
def test_a_convention_that_stops_names_the_case_and_leaves_no_summary(run: Path) -> None:
    out = quick(run).out
    with pytest.raises(DaclError, match=r"p4_frame01, network b: class 'LV'"):
        quick(run, convention="ssl4mis", out=out)
    assert not (out / "summary.json").exists()


@pytest.mark.usefixtures("masks")
def test_absent_libraries_are_sentences(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "why_no_nifti", lambda: "no nibabel")
    monkeypatch.setattr(evaluation, "why_no_pictures", lambda: "no matplotlib")
    found = quick(run, predictions=True, pictures=True)
    assert found.skipped == ("no nibabel", "no matplotlib")
    assert quick(run, figure=True).skipped == ("no matplotlib",)
    assert not (found.out / "predictions").exists()
    assert (found.out / "summary.json").exists()


@pytest.mark.usefixtures("masks")
def test_progress_names_every_case(run: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    request = Request(predictions=False, pictures=False, device="cpu")
    evaluate(run, request, lambda *state: seen.append(state))
    assert seen == [*((i, 4, case) for i, case in enumerate(TEST_CASES)), (4, 4, "")]


def test_the_figure_is_written_among_the_files_and_shows_what_was_scored(
    run: Path, masks: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list = []
    draw = case_figure.draw_segmentations
    monkeypatch.setattr(
        case_figure,
        "draw_segmentations",
        lambda paths, rows, *rest, **texts: (
            drawn.extend(rows),
            draw(paths[:1], rows, *rest, **texts),
        ),
    )
    found = quick(run, figure=True, network="b")
    assert [file.name for file in found.files[-4:-1]] == ["figure.png", "figure.svg", "figure.pdf"]
    assert (found.out / "figure.png").stat().st_size < 1_000_000
    assert [row.caption.split(",")[0] for row in drawn] == [
        "Median: p5_frame02", "Worst: p5_frame01", "Best: p4_frame02",
    ]  # fmt: skip
    assert np.array_equal(drawn[1].predictions_HW[0], masks["b"][0])
    by_case = {row["case"]: 0.0 for row in read_cases(found)}
    for row in read_cases(found):
        by_case[row["case"]] += float(row["dice"]) / 3 if row["network"] == "b" else 0.0
    assert [row.dice[0] for row in drawn] == pytest.approx(
        [by_case[case] for case in ("p5_frame02", "p5_frame01", "p4_frame02")]
    )


@pytest.mark.usefixtures("masks")
def test_a_wrong_case_is_said_before_anything_is_predicted(run: Path) -> None:
    with pytest.raises(DaclError, match="no case 'p1_frame01' among the 4"):
        quick(run, figure=True, cases=("p4_frame01", "p1_frame01"))
    assert not (run / "evaluation").exists()


def test_masks_without_any_class_give_no_figure_and_a_sentence(
    tmp_path: Path, masks: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = np.zeros(tiny_run.SHAPE, np.uint8)
    masks.update(dict.fromkeys(masks, empty))
    monkeypatch.setattr(tiny_run, "block_label", lambda _shift: empty)
    dataset = tiny_run.write_dataset(tmp_path / "empty")
    found = quick(tiny_run.write_run(tmp_path / "run", dataset), figure=True)
    assert found.skipped == ("no figure was drawn: no class is in any mask",)
    assert not (found.out / "figure.png").exists()
