"""Cells: what a folder is taken for, and what it is refused as."""

import json
import shutil

import pytest
import tiny
import tiny_ablation

from dacl.data.prepared import PreparedDataset
from dacl.errors import DaclError
from dacl.experiments.ablation import ALL_LABELED, components
from dacl.experiments.cells import Status, look, plan, row_results
from dacl.experiments.evaluation import Request, evaluate
from dacl.training import checkpoint
from dacl.training.journal import Journal


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_ablation.write_dataset(tmp_path_factory.mktemp("cells") / "data")


@pytest.fixture(scope="module")
def done(data, tmp_path_factory):
    """A folder with one cell, trained and evaluated; read only."""
    out = tmp_path_factory.mktemp("done")
    (cell,) = tiny_ablation.cells(data, out, rows=[tiny_ablation.I], seeds=[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "draw", lambda self: None)
        tiny.train(data, cell.run_dir, cell.config)
    evaluate(cell.run_dir, Request(device="cpu", predictions=False, pictures=False))
    return out


@pytest.fixture
def cell(done, data, tmp_path):
    """The same one in a folder of its own."""
    shutil.copytree(done, tmp_path / "out")
    return tiny_ablation.cells(data, tmp_path / "out", rows=[tiny_ablation.I], seeds=[0])[0]


def test_every_row_has_its_first_seed_before_any_has_a_second(data, tmp_path):
    planned = tiny_ablation.cells(data, tmp_path)
    assert [cell.name for cell in planned] == [
        "I seed 0", "VI seed 0", "I seed 1", "VI seed 1",
    ]  # fmt: skip
    assert [cell.run_dir.name for cell in planned[:2]] == ["I-seed0", "VI-seed0"]
    assert [(cell.config.method, cell.config.seed) for cell in planned] == [
        ("cps", 0), ("dacl", 0), ("cps", 1), ("dacl", 1),
    ]  # fmt: skip


def test_a_row_in_two_panels_is_one_cell(data, tmp_path):
    rows = [tiny_ablation.VI, tiny_ablation.I, tiny_ablation.VI]
    assert len(tiny_ablation.cells(data, tmp_path, rows=rows, seeds=[0])) == 2


def test_the_upper_bound_has_every_training_patient(data, tmp_path):
    cells = plan(
        components(upper_bound=True), [0], tiny.config(), PreparedDataset.open(data), tmp_path
    )
    labeled = {cell.row.key: cell.config.labeled for cell in cells}
    assert labeled.pop(ALL_LABELED) == 3
    assert set(labeled.values()) == {1}


def test_states_in_their_order(cell, tmp_path):
    assert look(cell) == Status(state="done", step=4)
    assert str(look(cell)) == "done"

    summary = cell.evaluation / "summary.json"
    content = json.loads(summary.read_text())
    content["provenance"]["checkpoint_step"] -= 1
    summary.write_text(json.dumps(content))
    assert look(cell) == Status(state="trained", step=4)  # that judged an earlier checkpoint
    summary.write_text("{")
    assert look(cell).state == "trained"
    assert str(look(cell)) == "trained, not evaluated"

    latest = cell.run_dir / "latest.pt"
    checkpoint.save(latest, checkpoint.load(latest) | {"step": 3})
    assert look(cell) == Status(state="interrupted", step=3)
    assert str(look(cell)) == "interrupted at step 3"

    latest.unlink()  # killed between its first best.pt and its first latest.pt
    best = cell.run_dir / "best.pt"
    checkpoint.save(best, checkpoint.load(best) | {"step": 2})
    assert look(cell) == Status(state="interrupted", step=2)

    best.unlink()
    assert look(cell) == Status(state="not run", leftover=True)
    shutil.rmtree(cell.run_dir)
    assert look(cell) == Status(state="not run")
    cell.run_dir.mkdir()
    assert look(cell) == Status(state="not run")


@pytest.mark.parametrize("name", ["latest", "best"])
def test_a_damaged_checkpoint_is_a_state_with_a_reason(cell, name):
    path = cell.run_dir / f"{name}.pt"
    path.write_bytes(path.read_bytes()[:-500])
    status = look(cell)
    assert status.state == "damaged"
    assert str(status).startswith(f"damaged: {path} is damaged")


@pytest.mark.parametrize("without_checkpoint", [False, True])
def test_other_settings_are_refused_with_the_keys_that_differ(cell, data, without_checkpoint):
    if without_checkpoint:
        for path in cell.run_dir.glob("*.pt"):
            path.unlink()
    out = cell.run_dir.parent
    (other,) = tiny_ablation.cells(
        data, out, rows=[tiny_ablation.I], seeds=[0], steps=5, cross={"weight": 0.5}
    )
    found = "I-seed0 is a run of other settings: optim.steps 4, not 5; cross.weight 1.0, not 0.5"
    with pytest.raises(DaclError, match=f"{found}\n"):
        look(other)
    assert cell.run_dir.exists()


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"image": {"mirror": False}}, "image.mirror True, not False"),
        ({"labeled_order": "random:1"}, "labeled_order split, not random:1"),
        ({"labeled_cases": ["p2"]}, r"labeled_cases \[\], not \['p2'\]"),
        ({"image": {"dims": 3}}, "image.dims 2, not 3"),
    ],
)
def test_a_setting_that_a_hash_leaves_out_is_another_setting(cell, data, over, said):
    out = cell.run_dir.parent
    (other,) = tiny_ablation.cells(data, out, rows=[tiny_ablation.I], seeds=[0], **over)
    with pytest.raises(DaclError, match=f"is a run of other settings: .*{said}"):
        look(other)


def test_what_the_method_does_not_read_is_no_other_setting(cell, data):
    out = cell.run_dir.parent
    changed = {"contrast": {"tau": 0.2}, "journal": {"log_every": 7}, "precision": "auto"}
    (other,) = tiny_ablation.cells(data, out, rows=[tiny_ablation.I], seeds=[0], **changed)
    assert look(other).state == "done"


def test_another_method_is_refused_by_its_name(cell, data):
    out = cell.run_dir.parent
    full = tiny_ablation.cells(data, out, rows=[tiny_ablation.VI], seeds=[0])[0]
    cell.run_dir.rename(full.run_dir)
    with pytest.raises(
        DaclError, match="VI-seed0 is a run of other settings: method cps, not dacl\n"
    ):
        look(full)


def test_another_seed_is_refused(cell, data):
    (other,) = tiny_ablation.cells(data, cell.run_dir.parent, rows=[tiny_ablation.I], seeds=[1])
    cell.run_dir.rename(other.run_dir)
    with pytest.raises(DaclError, match="seed 0, not 1"):
        look(other)


def test_other_data_is_refused(cell, tmp_path):
    data = tiny_ablation.write_dataset(tmp_path / "other", seed=1)
    (other,) = tiny_ablation.cells(data, cell.run_dir.parent, rows=[tiny_ablation.I], seeds=[0])
    with pytest.raises(DaclError, match="was trained on tiny"):
        look(other)


@pytest.mark.parametrize("content", ["", "{", '{"config": 3}', "[]"])
def test_what_is_no_run_is_refused_and_left(cell, content):
    shutil.rmtree(cell.run_dir)
    cell.run_dir.mkdir()
    (cell.run_dir / "thesis.tex").write_text("years of work")
    if content:
        (cell.run_dir / "run.json").write_text(content)
    with pytest.raises(DaclError, match="is not the folder of a run; it is left as it is"):
        look(cell)
    assert (cell.run_dir / "thesis.tex").read_text() == "years of work"


def test_results_by_row_with_what_is_missing(data, done):
    cells = tiny_ablation.cells(data, done)
    missing = {cell.name: "not run" for cell in cells if cell.name != "I seed 0"}
    results = row_results(cells, missing)
    assert list(results) == ["I", "VI"]
    assert list(results["I"].runs) == [0]
    assert set(results["I"].runs[0].dice_by_patient) == {"p5", "p6"}
    assert dict(results["I"].missing) == {1: "not run"}
    assert dict(results["VI"].missing) == {0: "not run", 1: "not run"}
    assert results["VI"].row.above == "I"


def test_a_network_that_a_row_lacks_is_missing(data, done):
    cells = tiny_ablation.cells(data, done, rows=[tiny_ablation.I], seeds=[0])
    results = row_results(cells, {}, network="c")
    assert results["I"].runs == {}
    assert "'c'" in results["I"].missing[0]
