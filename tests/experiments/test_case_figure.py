"""From runs to the picture: what is opened, predicted and handed to the drawing."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_run

from dacl.data.prepared import PreparedDataset
from dacl.errors import DaclError
from dacl.experiments import case_figure, judged
from dacl.experiments.case_figure import FILES, FigureRun, draw_case_figure
from dacl.experiments.evaluation import Request, evaluate

# In the dataset p4 is block_label(1), p5 is block_label(2).
ANSWERS = {"one": tiny_run.block_label(1), "two": tiny_run.block_label(0)}
TEST_CASES = ["p4_frame01", "p4_frame02", "p5_frame01", "p5_frame02"]


@pytest.fixture
def dataset(tmp_path: Path) -> PreparedDataset:
    return tiny_run.write_dataset(tmp_path / "data" / "blocks")


@pytest.fixture
def runs(tmp_path: Path, dataset: PreparedDataset) -> list[FigureRun]:
    """Two runs without evaluations, told apart by their seeds."""
    return [
        FigureRun(name, tiny_run.write_run(tmp_path / name, dataset, seed=seed), None)
        for seed, name in enumerate(ANSWERS)
    ]


@pytest.fixture
def predicted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each run answers with its own mask for every case, shape apart; returns what was asked for."""
    asked: list[str] = []

    def predict(self: judged.Judged, case: Any) -> dict[str, np.ndarray]:
        name = list(ANSWERS)[self.trained.config.seed]
        asked.append(f"{name} {case.id}")
        return {"a": ANSWERS[name], "b": ANSWERS[name] * 0}

    monkeypatch.setattr(judged.Judged, "predict", predict)
    return asked


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the drawing was asked for, nothing drawn."""
    kept: dict[str, Any] = {}

    def keep(paths: list[Path], rows: list, labels: list[str], **texts: Any) -> None:
        kept.update(paths=paths, rows=rows, labels=labels, **texts)

    monkeypatch.setattr(case_figure, "draw_segmentations", keep)
    return kept


def draw(runs: list[FigureRun], out: Path, **changes: Any) -> list[Path]:
    options = {"split": "test", "network": "a", "cases": None, "device": "cpu"} | changes
    return draw_case_figure(runs, out=out, **options)


def test_real_networks_give_files(runs: list[FigureRun], tmp_path: Path) -> None:
    files = draw(runs, tmp_path / "new" / "out")
    assert files == [tmp_path / "new" / "out" / name for name in FILES]
    for file, magic in zip(files, (b"\x89PNG", b"<?xml", b"%PDF"), strict=True):
        assert file.read_bytes().startswith(magic)


@pytest.mark.usefixtures("predicted")
def test_rows_hold_the_slices_the_masks_and_the_dice_of_the_volume(
    runs: list[FigureRun], dataset: PreparedDataset, drawn: dict[str, Any], tmp_path: Path
) -> None:
    draw(runs, tmp_path, cases=["p5_frame02"])
    (row,) = drawn["rows"]
    assert drawn["labels"] == ["one", "two"]
    assert drawn["class_names"] == tiny_run.CLASSES
    # The first slice of three has all three blocks, as has the second.
    assert row.caption == "Named: p5_frame02, slice 1 of 3 (most foreground)"
    assert np.array_equal(row.truth_HW, dataset.read_label("p5_frame02")[0])
    assert np.array_equal(row.image_HW, dataset.read_image("p5_frame02")[0, 0])
    for mask, answer in zip(row.predictions_HW, ANSWERS.values(), strict=True):
        assert np.array_equal(mask, answer[0])
    assert row.spacing_yx == tiny_run.SPACING_MM[1:]
    # One row off, LV: 2 slices of 4 x 4, of which 3 x 4 agree; Myo and RV are rings, counted by hand in a loop.
    truth = dataset.read_label("p5_frame02")
    by_hand = [
        2 * ((answer == c) & (truth == c)).sum() / ((answer == c).sum() + (truth == c).sum())
        for answer in ANSWERS.values()
        for c in (1, 2, 3)
    ]
    assert by_hand[2] == 0.75
    assert row.dice == pytest.approx([np.mean(by_hand[:3]), np.mean(by_hand[3:])])


def test_synthetic_data_are_called_so(
    runs: list[FigureRun], drawn: dict[str, Any], predicted: list[str], tmp_path: Path
) -> None:
    draw(runs[:1], tmp_path, cases=TEST_CASES[:1])
    assert drawn["title"] == "blocks: synthetic data, not scans"
    assert drawn["note"] == "blocks, test cases of split fixed, network a."
    assert predicted == ["one p4_frame01"]


@pytest.mark.usefixtures("predicted")
def test_without_evaluations_every_case_is_scored_and_the_rule_applied(
    runs: list[FigureRun], drawn: dict[str, Any], tmp_path: Path
) -> None:
    seen: list[tuple[int, int, str]] = []
    draw(runs, tmp_path, report=lambda *state: seen.append(state))
    # Of `one` p4 is right and p5 a row off; `two` is a row off in p4 and two rows off in p5.
    captions = [row.caption for row in drawn["rows"]]
    assert captions[0].startswith("Median: p5_frame02")
    assert captions[1].startswith("Worst: p5_frame01")
    assert captions[2].startswith("Most different: p4_frame01")
    assert len(seen) == 2 * 4 + 3 * 2 + 1
    assert {total for _, total, _ in seen} == {8, 14}
    assert [done for done, _, _ in seen] == list(range(15))


def evaluated(runs: list[FigureRun], **changes: Any) -> list[FigureRun]:
    options = {"predictions": False, "pictures": False, "device": "cpu"} | changes
    return [run._replace(evaluation=evaluate(run.path, Request(**options)).out) for run in runs]


@pytest.mark.usefixtures("predicted")
def test_with_evaluations_only_the_chosen_cases_are_predicted(
    runs: list[FigureRun], drawn: dict[str, Any], predicted: list[str], tmp_path: Path
) -> None:
    draw(runs, tmp_path)
    expected = [(row.caption, row.dice) for row in drawn["rows"]]
    known = evaluated(runs)
    predicted.clear()
    draw(known, tmp_path)
    assert [(row.caption, row.dice) for row in drawn["rows"]] == expected
    assert sorted(predicted) == sorted(
        f"{name} {case}" for name in ANSWERS for case in ("p5_frame02", "p5_frame01", "p4_frame01")
    )


def test_a_run_is_opened_as_its_evaluation_judged_it(
    runs: list[FigureRun], drawn: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speck = tiny_run.block_label(1)
    speck[2, 23, 19] = 3
    monkeypatch.setattr(
        judged, "predict_volume", lambda *_: {"a": speck, "b": speck, "mean": speck}
    )
    known = evaluated(runs[:1], checkpoint="latest", post="largest-component")
    (runs[0].path / "best.pt").unlink()
    draw(known, tmp_path, cases=["p4_frame01"])
    assert drawn["rows"][0].dice == [1.0]


@pytest.mark.usefixtures("predicted", "drawn")
def test_an_evaluation_of_something_else_is_refused(
    runs: list[FigureRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (known,) = evaluated(runs[:1])
    with pytest.raises(DaclError, match="is of test cases, the picture of val cases"):
        draw([known], tmp_path, split="val")
    with pytest.raises(DaclError, match=r"judged best\.pt, not latest\.pt"):
        draw([known._replace(path=known.path / "latest.pt")], tmp_path)
    monkeypatch.setitem(ANSWERS, "one", ANSWERS["two"])
    with pytest.raises(DaclError, match=r"Dice .* %, its evaluation says .* %") as error:
        draw([known], tmp_path)
    assert "evaluate" in error.value.hint
    (known.evaluation / "summary.json").write_text(json.dumps({"protocol": {}}))
    with pytest.raises(DaclError, match="not the summary of an evaluation"):
        draw([known], tmp_path)


@pytest.mark.usefixtures("predicted", "drawn")
def test_what_cannot_be_drawn_is_said(
    runs: list[FigureRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DaclError, match="no case 'p1_frame01' among the 4") as error:
        draw(runs, tmp_path, cases=["p1_frame01"])
    assert "p4_frame01" in error.value.hint
    with pytest.raises(DaclError, match="12 runs"):
        draw(runs * 6, tmp_path)
    with pytest.raises(DaclError, match="has no network 'teacher'"):
        draw(runs, tmp_path, network="teacher")
    other = tiny_run.write_dataset(tmp_path / "other", name="others")
    stranger = FigureRun("other", tiny_run.write_run(tmp_path / "stranger", other), None)
    with pytest.raises(DaclError, match="one and other were trained on different data"):
        draw([runs[0], stranger], tmp_path)
    monkeypatch.setattr(case_figure, "why_no_pictures", lambda: "matplotlib is not installed")
    with pytest.raises(DaclError, match="not installed"):
        draw(runs, tmp_path)


@pytest.mark.usefixtures("predicted", "drawn")
def test_another_folder_of_the_same_data_will_do(
    runs: list[FigureRun], dataset: PreparedDataset, tmp_path: Path
) -> None:
    shutil.move(dataset.root, tmp_path / "moved")
    assert draw(runs, tmp_path, data=tmp_path / "moved")
