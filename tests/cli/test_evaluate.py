"""`dacl evaluate` as typed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_run

from dacl.data.prepared import PreparedDataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return tiny_run.write_dataset(tmp_path_factory.mktemp("data") / "blocks")


@pytest.fixture
def run(tmp_path: Path, dataset: PreparedDataset) -> Path:
    return tiny_run.write_run(tmp_path / "run", dataset)


def test_shows_the_table_the_protocol_and_the_paths(run_dacl, run: Path) -> None:
    outcome = run_dacl("evaluate", run, "--device", "cpu")
    assert outcome.code == 0, outcome.err
    heading = next(line for line in outcome.out.splitlines() if "Dice %" in line)
    for column in ("network", "class", "JC %", "ASD vox", "HD95 vox", "ASD mm", "HD95 mm"):
        assert column in heading
    for said in ("blocks (synthetic), test", "foreground", "empty masks: strict", "one seed"):
        assert said in outcome.out
    folder = run / "evaluation" / "test-best"
    for name in ("summary.json", "cases.csv", "overlay_median.png"):
        assert str(folder / name) in outcome.out
    assert f"{folder / 'predictions'} (4 volumes)" in outcome.out


def test_json_is_one_document(run_dacl, run: Path) -> None:
    outcome = run_dacl(
        "evaluate",
        run / "latest.pt",
        "--json",
        "--split",
        "val",
        "--no-predictions",
        "--no-pictures",
    )
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    assert document["out"] == str(run / "evaluation" / "val-latest")
    assert document["summary"]["protocol"]["evaluated_on"] == "val"
    assert document["skipped"] == []
    assert not any(file.endswith((".png", ".nii.gz")) for file in document["files"])


def test_out_is_obeyed(run_dacl, run: Path, tmp_path: Path) -> None:
    options = ("--no-predictions", "--no-pictures", "--out", tmp_path / "here")
    assert run_dacl("evaluate", run, *options).code == 0
    assert (tmp_path / "here" / "table.tex").is_file()
    assert not (run / "evaluation").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nowhere"], 1, "nowhere"),
        (["--network", "teacher"], 2, "teacher"),
        (["--convention", "nnunet"], 2, "nnunet"),
        (["--data", "nowhere"], 1, "nowhere"),
    ],
)
def test_what_cannot_be_is_said_in_two_lines(
    run_dacl, run: Path, arguments: list[str], code: int, said: str
) -> None:
    path = [] if arguments == ["nowhere"] else [run]
    outcome = run_dacl("evaluate", *path, *arguments)
    assert outcome.code == code
    assert said in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""


def test_a_truncated_checkpoint_is_refused(run_dacl, run: Path) -> None:
    checkpoint = run / "best.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    outcome = run_dacl("evaluate", run)
    assert outcome.code == 1
    assert "best.pt" in outcome.err
    assert not (run / "evaluation").exists()


def test_a_damaged_case_is_named(run_dacl, run: Path, tmp_path: Path) -> None:
    copy = tiny_run.write_dataset(tmp_path / "copy")
    (copy.root / "cases" / "p4_frame02.h5").write_bytes(b"not a case")
    outcome = run_dacl("evaluate", run, "--data", copy.root)
    assert outcome.code == 1
    assert "p4_frame02.h5" in outcome.err
    assert not (run / "evaluation" / "test-best" / "summary.json").exists()


def test_evaluation_needs_neither_nibabel_nor_scikit_learn(run: Path) -> None:
    program = (
        "import sys; sys.modules['nibabel'] = sys.modules['sklearn'] = None\n"
        "from pathlib import Path; from dacl.experiments.evaluation import Request, evaluate\n"
        f"evaluate(Path({str(run)!r}), Request(predictions=False, pictures=False, device='cpu'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (run / "evaluation" / "test-best" / "summary.json").is_file()


def test_a_figure_of_named_cases(run_dacl, run: Path) -> None:
    options = ("--no-predictions", "--no-pictures", "--figure", "--cases", "p5_frame02, p4_frame01")
    outcome = run_dacl("evaluate", run, *options)
    assert outcome.code == 0, outcome.err
    folder = run / "evaluation" / "test-best"
    for name in ("figure.png", "figure.svg", "figure.pdf"):
        assert str(folder / name) in outcome.out
        assert (folder / name).is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--cases", "p4_frame01"], "add --figure"),
        (["--figure", "--cases", "p9"], "cases are p4_frame01, p4_frame02"),
        (["--figure", "--cases", "Zoe\u0301"], "no case 'Zo\u00e9'"),
    ],
)
def test_cases_that_cannot_be_shown_stop_it_at_once(
    run_dacl, run: Path, arguments: list[str], said: str
) -> None:
    outcome = run_dacl("evaluate", run, *arguments)
    assert outcome.code == 1
    assert said in outcome.err
    assert not (run / "evaluation").exists()
