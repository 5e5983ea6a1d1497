"""The programs under examples/ run, each at a size that takes seconds."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import clone_of_ssl4mis
import nibabel
import numpy as np
import pytest
import tiny
import tiny_run

from dacl.config import merge
from dacl.data.prepared import PreparedDataset
from dacl.training import checkpoint
from dacl_cli.app import main

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name: str):
    spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for their module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def demo():
    return example("demo")


def test_every_example_is_run_here():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {
        "anchor_errors.py",
        "beside_ssl4mis.py",
        "demo.py",
        "dim_scans.py",
        "from_python.py",
        "gradient_share.py",
        "own_data.py",
        "positiveness.py",
        "several_seeds.py",
    }


def test_demo_ends_with_a_table_of_both_and_pictures_that_exist(
    demo, tmp_path, monkeypatch, capsys
):
    def run_here(*arguments: object) -> None:
        # In this process: five times torch's own start-up is most of what a demo this small costs.
        words = [str(argument) for argument in arguments]
        sys.stdout.write(f"$ dacl {shlex.join(words)}\n")
        assert main(words) == 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "run", run_here)
    monkeypatch.setitem(demo.TRAINING, "set", "network.width=4")
    command_line = "demo.py --out demo --patients 4 1 1 --steps 2"
    monkeypatch.setattr(sys, "argv", command_line.split())
    demo.main()

    text = capsys.readouterr().out
    commands = re.findall(r"^\$ dacl (\w+)", text, flags=re.MULTILINE)
    assert commands == ["preprocess", "preprocess", "train", "evaluate", "train", "evaluate"]
    rows = re.findall(r"^\| (supervised|dacl) \|", text, flags=re.MULTILINE)
    assert rows == ["supervised", "dacl"]
    pictures = re.findall(r"^  (\S+\.png)$", text, flags=re.MULTILINE)
    assert len(pictures) >= 4
    assert all(Path(picture).stat().st_size > 0 for picture in pictures)
    assert "synthetic data, not scans" in text


def test_own_data_goes_from_a_folder_to_masks_of_new_scans(tmp_path, monkeypatch, capsys):
    program = example("own_data")

    def run_here(*arguments: object) -> None:
        words = [str(argument) for argument in arguments]
        sys.stdout.write(f"$ dacl {shlex.join(words)}\n")
        assert main(words) == 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(program, "run", run_here)
    monkeypatch.setitem(program.TRAINING, "set", "network.width=4")
    monkeypatch.setattr(sys, "argv", ["own_data.py", "--out", "own", "--steps", "2"])
    program.main()

    text = capsys.readouterr().out
    commands = re.findall(r"^\$ dacl (\w+)", text, flags=re.MULTILINE)
    assert commands == ["preprocess", "preprocess", "train", "evaluate", "predict"]
    assert "2 volumes have no mask and are unlabeled: phantom008_ED, phantom008_ES" in text
    assert "Heart (intensity percentile), split random:0" in text
    assert text.count("mask on the grid of the scan") == 4
    assert text.count("100.00 % of voxels as in the other") == 2
    prepared = PreparedDataset.open(Path("own/data"))
    assert prepared.class_names == ("background", "RV", "Myo", "LV")
    assert all(min(info.class_voxels, default=1) > 0 for info in prepared.infos.values())
    # The flipped volume is the same anatomy as the phantom's own.
    raw = nibabel.load(next(Path("own/raw").rglob("phantom002_frame01_gt.nii.gz")))
    label_ZHW = prepared.read_label("phantom002_ED")
    np.testing.assert_array_equal(label_ZHW.T, np.asarray(raw.dataobj))
    assert prepared.read_geometry("phantom002_ED").orientation == "RPS"


def test_demo_prints_and_runs_real_commands(demo, capfd):
    demo.run("--version")
    assert re.search(r"^\$ dacl --version\ndacl \d", capfd.readouterr().out, flags=re.MULTILINE)


def test_demo_stops_at_the_first_failure(demo, tmp_path, capfd):
    with pytest.raises(SystemExit) as stop:
        demo.run("preprocess", "acdc", tmp_path / "nowhere", tmp_path / "out")
    assert stop.value.code == 1
    assert "nowhere" in capfd.readouterr().err


class Several:
    """examples/several_seeds.py on blocks, its commands run in this process."""

    def __init__(self, module, folder):
        self.module, self.folder = module, folder
        self.evaluation = folder / "runs/blocks-dacl-1labeled-seed1/evaluation/test-best"

    def __call__(self, monkeypatch, *, steps=2, settings=()):
        """The first word of every `dacl` command that was run."""
        commands = []

        def run_here(*arguments: object) -> None:
            words = [str(argument) for argument in arguments]
            assert not any(self.folder.as_posix() in word for word in words)
            commands.append(words)
            with monkeypatch.context() as process:
                process.setattr(sys, "argv", ["dacl", *words])
                assert main(words) == 0

        monkeypatch.chdir(self.folder)
        monkeypatch.setattr(self.module, "run", run_here)
        given = ("network.width=4", "image.patch_size=32", "optim.batch_labeled=2", *settings)
        options = (
            f"--labeled 1 --methods supervised dacl --seeds 0 1 --preset small --steps {steps}"
        )
        where = ["--data", str(self.folder / "data"), f"--out={self.folder / 'results'}"]
        words = [*where, *options.split(), "--threads", "1"]
        words += [word for setting in given for word in ("--set", setting)]
        monkeypatch.setattr(sys, "argv", ["several_seeds.py", *words])
        self.module.main()
        return commands


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    tiny_run.write_dataset(folder / "data")
    several = Several(example("several_seeds"), folder)
    with pytest.MonkeyPatch.context() as patch:
        several.first = several(patch)
    several.table = (folder / "results" / "table.md").read_text(encoding="utf-8")
    return several


def test_several_seeds_trains_and_evaluates_each_run_once(several, monkeypatch):
    assert [words[0] for words in several.first] == ["train", "evaluate"] * 4
    assert all(words[-2:] == ["--threads", "1"] for words in several.first[::2])
    assert several(monkeypatch) == []
    assert (several.folder / "results" / "table.md").read_text(encoding="utf-8") == several.table


def test_several_seeds_writes_a_table_and_the_paired_differences(several):
    rows = re.findall(r"^\| ((?:supervised|dacl), 1 labelled) \| (\d)", several.table, flags=re.M)
    assert rows == [("supervised, 1 labelled", "2"), ("dacl, 1 labelled", "2")]
    name = "dacl, 1 labelled minus supervised, 1 labelled"
    assert f"- {name}: " in several.table
    results = several.folder / "results"
    found = json.loads((results / "differences.json").read_text(encoding="utf-8"))[name]
    assert found["patients"] == 2
    assert len(found["by_seed"]) == 2
    assert found["std_over_seeds"] >= 0
    assert len(list(results.glob("blocks-*/cases.csv"))) == 4


def test_several_seeds_says_nothing_of_the_folders_of_the_machine(several):
    assert "several_seeds.py --data data --out=results" in several.table
    for file in (several.folder / "results").rglob("*.*"):
        assert several.folder.as_posix() not in file.read_text(encoding="utf-8"), file.name


def test_several_seeds_evaluates_anew_what_judged_an_earlier_checkpoint(several, monkeypatch):
    summary = several.evaluation / "summary.json"
    content = json.loads(summary.read_text(encoding="utf-8"))
    content["provenance"]["checkpoint_step"] -= 1
    summary.write_text(json.dumps(content), encoding="utf-8")
    run_dir = "runs/blocks-dacl-1labeled-seed1"
    assert several(monkeypatch) == [["evaluate", run_dir, "--data", "data"]]
    assert several(monkeypatch) == []


def test_several_seeds_goes_on_with_an_interrupted_run(several, monkeypatch, tmp_path):
    copy = Several(several.module, shutil.copytree(several.folder, tmp_path / "copy"))
    run_dir = "runs/blocks-dacl-1labeled-seed1"
    latest = copy.folder / run_dir / "latest.pt"
    checkpoint.save(latest, checkpoint.load(latest) | {"step": 1})
    resumed = ["train", "--resume", run_dir, "--data", "data", "--threads", "1"]
    assert copy(monkeypatch)[0] == resumed
    assert checkpoint.load(latest)["step"] == 2
    assert copy(monkeypatch) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": 3}, "optim.steps 2, not 3"),
        ({"settings": ("optim.lr=0.5",)}, "optim.lr 0.01, not 0.5"),
    ],
)
def test_several_seeds_refuses_runs_of_other_settings(several, monkeypatch, changes, said):
    with pytest.raises(SystemExit, match=f"other settings: {re.escape(said)}\n"):
        several(monkeypatch, **changes)


def test_several_seeds_refuses_runs_of_other_data(several, monkeypatch):
    other = tiny_run.SPLIT | {"val": ["p4"], "test": ["p3", "p5"]}
    splits = several.folder / "data" / "splits.json"
    before = splits.read_text(encoding="utf-8")
    splits.write_text(json.dumps({"name": "fixed", **other}), encoding="utf-8")
    try:
        with pytest.raises(SystemExit, match="was trained on split"):
            several(monkeypatch)
    finally:
        splits.write_text(before, encoding="utf-8")


def test_gradient_share_compares_the_contrast_with_the_rest(tmp_path, monkeypatch, capsys):
    data = tiny.write_dataset(tmp_path / "data")
    tiny.train(data, tmp_path / "run", tiny.config("dacl", optim={"steps": 3}))
    monkeypatch.setattr(sys, "argv", ["gradient_share.py", str(tmp_path / "run"), "--batches", "2"])
    example("gradient_share").main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    ratios = [float(re.search(r"ratio ([\d.]+)", line)[1]) for line in lines]
    assert all(ratio > 0 for ratio in ratios)
    assert min(ratios[:2]) <= ratios[2] <= max(ratios[:2])


def test_anchor_errors_counts_wrong_pseudo_labels_by_density(tmp_path, monkeypatch, capsys):
    data = tiny.write_dataset(tmp_path / "data")
    run = tmp_path / "run"
    tiny.train(data, run, tiny.config("dacl", optim={"steps": 3}))
    program = example("anchor_errors")
    arguments = ["anchor_errors.py", str(run), "--batches", "2", "--out", str(tmp_path / "a.png")]
    for more in (["--unlabeled-only"], ["--pseudo-label", "mean", "--phi", "0.0"]):
        monkeypatch.setattr(sys, "argv", [*arguments, *more])
        program.main()
        rows = [
            line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if "|" in line
        ]
        assert [row[0].strip() for row in rows[2:]] == list(tiny.CLASS_NAMES[1:])
    assert any(float(row[1]) > 0 for row in rows[2:])
    for row in rows[2:]:
        assert all(0 <= float(cell) <= 100 for cell in row[2:] if cell.strip() != "nan")
    assert (tmp_path / "a.png").stat().st_size > 0

    other = tmp_path / "cps"
    tiny.train(data, other, tiny.config("cps", optim={"steps": 1}))
    monkeypatch.setattr(sys, "argv", ["anchor_errors.py", str(other)])
    with pytest.raises(SystemExit, match="no contrast"):
        program.main()


@pytest.mark.parametrize("factor", [1, 2])
def test_beside_ssl4mis_compares_and_trains(factor, tmp_path):
    """A stand-in for the clone: its network is ours, or twice ours."""
    clone_of_ssl4mis.write(tmp_path / "clone", factor)
    data = tiny.write_dataset(tmp_path / "data")
    options = ["--data", str(data), "--labeled", "1", "--side", "32", "--steps", "3"]
    done = subprocess.run(
        [sys.executable, EXAMPLES / "beside_ssl4mis.py", tmp_path / "clone", *options],
        capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(EXAMPLES.parent)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert ("difference of the outputs 0\n" in done.stdout) == (factor == 1)
    assert [line.split()[1] for line in done.stdout.splitlines() if "validation" in line] == [
        "1",
        "2",
        "3",
    ]


def test_dim_scans_ranks_the_volumes_by_brightness(tmp_path, monkeypatch, capsys):
    dataset = tiny_run.write_dataset(tmp_path / "data" / "blocks")
    run = tiny_run.write_run(tmp_path / "run", dataset, method="supervised")
    program = example("dim_scans")
    monkeypatch.setattr(sys, "argv", ["dim_scans.py", str(run)])
    with pytest.raises(SystemExit, match="dacl evaluate"):
        program.main()

    # Dice that rises with the brightness of the volume: their ranks agree.
    order = ["p5_frame02", "p4_frame01", "p5_frame01", "p4_frame02"]
    monkeypatch.setattr(
        type(dataset), "read_image", lambda _, case: np.full((1, 2, 3, 3), order.index(case) / 4)
    )
    folder = run / "evaluation" / "test-best"
    folder.mkdir(parents=True)
    rows = [f"{case},p,LV,a,{(1 + order.index(case)) / 10}" for case in sorted(order)]
    rows += [f"{case},p,LV,b,0.9" for case in order] + [f"{order[0]},p,RV,a,"]
    (folder / "cases.csv").write_text("case,patient,class,network,dice\n" + "\n".join(rows) + "\n")
    program.main()
    text = capsys.readouterr().out
    assert [line.split("|")[1].strip() for line in text.splitlines() if "_frame" in line] == order
    assert "correlation +1.00; mean Dice 25.0 %" in text


def test_positiveness_draws_the_figure_and_says_what_the_page_says(tmp_path, monkeypatch, capsys):
    picture = tmp_path / "positiveness.png"
    monkeypatch.setattr(sys, "argv", ["positiveness.py", "--out", str(picture)])
    example("positiveness").main()
    page = (EXAMPLES.parent / "docs" / "positiveness.md").read_text(encoding="utf-8")
    printed, shown = (
        {
            cells[1].strip(): cells[2:-1]
            for line in text.splitlines()
            if len(cells := line.split("|")) == 7
        }
        for text in (capsys.readouterr().out, page)
    )
    assert len(printed) == 10  # eight readings, the headings and the rule below them
    for reading, cells in printed.items():
        for found, said in zip(cells, shown[reading], strict=True):
            try:  # another machine may round another way
                assert float(found) == pytest.approx(float(said), abs=0.02)
            except ValueError:
                assert found == said
    assert picture.stat().st_size > 0


def test_from_python_goes_the_whole_way(tmp_path, monkeypatch, capsys):
    whole = example("from_python")
    small = {"optim": {"steps": 2}, "network": {"width": 4}, "image": {"patch_size": 64}}
    monkeypatch.setattr(whole, "SETTINGS", merge(whole.SETTINGS, small))
    monkeypatch.setattr(sys, "argv", ["from_python.py", "--out", str(tmp_path / "out")])
    whole.main()
    said = capsys.readouterr().out
    assert re.search(
        r"^dacl - supervised: [+-]\d\.\d{3} \[.*\], not claimed", said, flags=re.MULTILINE
    )
    [mask] = (tmp_path / "out" / "masks").glob("*.nii.gz")
    assert mask.with_name(mask.name.replace(".nii.gz", ".json")).is_file()
