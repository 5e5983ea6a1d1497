"""`dacl compare` as typed."""

import json
import subprocess
import sys
from pathlib import Path

import made_evaluations
import pytest
import tiny_run
from made_evaluations import frames
from made_results import base
from refused import assert_refused

from dacl.experiments.comparison import files as comparison_files
from dacl.metrics.conventions import METRICS
from dacl.training import checkpoint

OLD = {f"p{n}": {"RV": 0.5, "LV": 0.5} for n in range(1, 8)}
NEW = {p: {"RV": 0.625, "LV": 0.5} for p in OLD}


@pytest.fixture
def plain(monkeypatch):
    """No pictures, where they are not what is asked about."""
    monkeypatch.setattr(comparison_files, "why_no_pictures", lambda: "none here")


@pytest.fixture
def runs(tmp_path):
    """Two seeds of two methods, evaluated on the test cases."""
    return [
        made_evaluations.write(
            tmp_path / "runs" / f"{method}-seed{seed}",
            base(method=method, seed=seed),
            frames(values),
        )
        for method, values in (("cps", OLD), ("dacl", NEW))
        for seed in (0, 1)
    ]


def test_shows_the_tables_the_notes_and_the_files(run_dacl, runs, tmp_path):
    outcome = run_dacl("compare", *runs)
    assert outcome.code == 0, outcome.err
    for said in (
        "acdc, test: dacl minus cps, Dice, network a", "+12.50", "7/0/0", "cases that moved most",
        "p1_ED", "Wilcoxon", "cps: seeds 0, 1; dacl: seeds 0, 1",
    ):  # fmt: skip
        assert said in outcome.out
    folder = tmp_path / "runs" / "comparison"
    for ending in ("md", "tex", "csv", "json", "png", "svg"):
        assert (folder / f"comparison.{ending}").stat().st_size
        assert str(folder / f"comparison.{ending}") in outcome.out


@pytest.mark.usefixtures("plain")
def test_scores_that_lost_lines_are_not_compared(run_dacl, runs):
    """The same volume lost on every side would leave no trace in the table but other numbers."""
    for run in runs:
        path = run / "evaluation" / "test-best" / "cases.csv"
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if not line.startswith("p7_ES")))
    outcome = run_dacl("compare", *runs)
    assert_refused(outcome, "26 lines of 2 classes, where 14 volumes were judged", "dacl evaluate")


@pytest.mark.usefixtures("plain")
def test_a_run_that_was_trained_on_since_is_evaluated_again_first(run_dacl, runs):
    for run in runs:
        path = run / "evaluation" / "test-best" / "summary.json"
        summary = json.loads(path.read_text())
        summary["provenance"]["checkpoint_step"] = 40
        path.write_text(json.dumps(summary))
        checkpoint.save(run / "best.pt", {"step": 80 if run == runs[-1] else 40})
    outcome = run_dacl("compare", *runs)
    assert_refused(outcome, "best.pt is of step 80 now", f"dacl evaluate {runs[-1]}")
    assert "judged step 40" in outcome.err
    assert run_dacl("compare", *runs[:-1], runs[-1] / "evaluation" / "test-best").code == 0


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("content", ["[]", "{}", "null"])
def test_a_summary_that_is_none(run_dacl, runs, content):
    (runs[0] / "evaluation" / "test-best" / "summary.json").write_text(content)
    assert_refused(run_dacl("compare", *runs), "is not what an evaluation writes", "dacl evaluate")


@pytest.mark.usefixtures("plain")
def test_evaluation_folders_do_as_well_and_the_default_folder_is_beside_the_run(
    run_dacl, runs, tmp_path
):
    evaluations = [run / "evaluation" / "test-best" for run in runs]
    outcome = run_dacl("compare", *evaluations, "--reference", "dacl")
    assert outcome.code == 0, outcome.err
    assert "cps minus dacl" in outcome.out
    assert "-12.50" in outcome.out
    assert (tmp_path / "runs" / "comparison" / "comparison.md").is_file()


@pytest.mark.usefixtures("plain")
def test_json_is_one_document_and_out_is_obeyed(run_dacl, runs, tmp_path):
    outcome = run_dacl("compare", *runs, "--json", "--out", tmp_path / "here")
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    assert document["protocol"]["evaluated_on"] == "test"
    assert document["differences"][0]["classes"]["RV"]["difference"]["mean"] == 0.125
    assert document["out"] == str(tmp_path / "here")
    assert json.loads((tmp_path / "here" / "comparison.json").read_text())["reference"] == "cps"
    assert not (tmp_path / "runs" / "comparison").exists()


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_can_be_asked_for(run_dacl, tmp_path, metric):
    runs = [
        made_evaluations.write(tmp_path / m, base(method=m), frames(v), metric=metric)
        for m, v in (("cps", OLD), ("dacl", NEW))
    ]
    outcome = run_dacl("compare", *runs, "--metric", metric)
    assert outcome.code == 0, outcome.err
    assert ("7/0/0" if metric in ("dice", "jc") else "0/7/0") in outcome.out


def test_a_run_without_evaluation_says_what_to_type(run_dacl, runs, tmp_path):
    outcome = run_dacl("compare", *runs, "--split", "val", "--post", "largest-component")
    assert outcome.code == 1
    assert f"dacl evaluate {runs[0]} --split val --post largest-component" in outcome.err
    assert f"&& dacl evaluate {runs[3]} --split val" in outcome.err
    assert outcome.out == ""


@pytest.mark.usefixtures("plain")
def test_other_protocols_are_refused_unless_forced_and_then_told_on_each_line(
    run_dacl, runs, tmp_path
):
    other = made_evaluations.write(
        tmp_path / "other", base(seed=0), frames(NEW), averaging="volumes"
    )
    outcome = run_dacl("compare", runs[0], other)
    assert outcome.code == 1
    assert "averaging: patients != volumes" in outcome.err
    assert "--force" in outcome.err
    assert not (tmp_path / "runs" / "comparison").exists()
    forced = run_dacl("compare", runs[0], other, "--force")
    assert forced.code == 0, forced.err
    lines = [line for line in forced.out.splitlines() if line.startswith("dacl") and "/0/" in line]
    assert len(lines) == 3
    assert all("NOT COMPARABLE" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["{0}", "{1}"], 1, "one side only: cps, seeds 0, 1"),
        (["{0}", "{0}", "{2}"], 1, "both cps seed 0"),
        (["{0}", "{1}", "{2}"], 1, "seeds: 0, 1 != 0"),
        (["{0}", "{2}", "--reference", "vnet"], 1, "no side"),
        (["{0}", "{2}", "--network", "mean"], 1, "nothing of network 'mean'"),
        (["{0}", "{2}", "--metric", "jc"], 1, "no column 'jc'"),
        (["{0}", "{2}", "--metric", "auc"], 2, "auc"),
        (["{0}", "{2}", "--cases", "p1_ED"], 1, "--figure"),
        (["{0}", "nowhere"], 1, "no such folder: nowhere"),
        ([], 2, "RUN"),
    ],
)
def test_what_cannot_be_is_said_in_two_lines(run_dacl, runs, arguments, code, said):
    outcome = run_dacl("compare", *(word.format(*runs) for word in arguments))
    assert outcome.code == code
    assert said in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""


@pytest.fixture
def judged(run_dacl, tmp_path):
    """Real runs, untrained and evaluated: what a picture needs."""
    dataset = tiny_run.write_dataset(tmp_path / "data" / "blocks")
    runs = [
        tiny_run.write_run(tmp_path / "runs" / f"{method}-0", dataset, method=method)
        for method in ("cps", "dacl")
    ]
    for run in runs:
        assert run_dacl("evaluate", run, "--no-predictions", "--no-pictures").code == 0
    return runs


@pytest.mark.usefixtures("plain")
def test_a_figure_of_cases_is_drawn_on_request(run_dacl, judged, tmp_path):
    outcome = run_dacl(
        "compare", *judged, "--figure", "--cases", "p4_frame01, p5_frame02", "--device", "cpu", "--json"
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    files = [Path(file) for file in json.loads(outcome.out)["files"]]
    [figure] = [file for file in files if file.name == "figure.png"]
    assert figure.parent == tmp_path / "runs" / "comparison"
    assert figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("plain")
def test_a_misspelt_case_leaves_nothing_behind(run_dacl, judged, tmp_path):
    outcome = run_dacl("compare", *judged, "--figure", "--cases", "p9", "--device", "cpu")
    assert outcome.code == 1
    assert "no case 'p9'" in outcome.err
    outcome = run_dacl("compare", *judged, "--figure", "--cases", "Zoe\u0301", "--device", "cpu")
    assert "no case 'Zo\u00e9'" in outcome.err
    assert not (tmp_path / "runs" / "comparison").exists()


@pytest.mark.usefixtures("plain")
def test_many_runs_are_drawn_by_their_first_seed_and_that_is_said(
    run_dacl, runs, tmp_path, monkeypatch
):
    from dacl.experiments.comparison import cases as comparison_cases

    asked = []
    monkeypatch.setattr(
        comparison_cases, "draw_case_figure", lambda shown, **options: asked.append((shown, options)) or []
    )  # fmt: skip
    assert run_dacl("compare", *runs, "--figure").code == 0
    assert [run.label for run in asked[-1][0]] == [
        "cps, seed 0", "cps, seed 1", "dacl, seed 0", "dacl, seed 1",
    ]  # fmt: skip
    assert asked[-1][0][0].path == runs[0] / "best.pt"
    assert asked[-1][0][0].evaluation == runs[0] / "evaluation" / "test-best"
    assert asked[-1][1]["cases"] is None
    more = [
        made_evaluations.write(
            tmp_path / f"{method}-seed{seed}", base(method=method, seed=seed), frames(values)
        )
        for method, values in (("cps", OLD), ("dacl", NEW))
        for seed in (2, 3)
    ]
    outcome = run_dacl("compare", *runs, *more, "--figure", "--cases", "p1_ED")
    assert outcome.code == 0
    assert "first seed of every side: 8 runs" in outcome.err
    assert [run.label for run in asked[-1][0]] == ["cps", "dacl"]
    assert asked[-1][1]["cases"] == ["p1_ED"]


@pytest.mark.usefixtures("plain")
def test_a_figure_needs_the_runs_themselves(run_dacl, tmp_path):
    alone = [
        made_evaluations.write(tmp_path / m, base(method=m), frames(v), apart=True)
        for m, v in (("cps", OLD), ("dacl", NEW))
    ]
    outcome = run_dacl("compare", *alone, "--figure")
    assert outcome.code == 1
    assert "lies apart from its run" in outcome.err


def test_comparing_needs_no_matplotlib(runs, tmp_path):
    program = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from dacl_cli.app import main\n"
        f"sys.exit(main(['compare', *{[str(run) for run in runs]!r}]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "no pictures were drawn" in done.stderr
    assert not (tmp_path / "runs" / "comparison" / "comparison.png").exists()
    assert (tmp_path / "runs" / "comparison" / "comparison.md").is_file()
