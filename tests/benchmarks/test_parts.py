"""Every part at its smallest sizes, in this process; and the references, against the library."""

import importlib
import json
import math
from dataclasses import asdict
from importlib.util import find_spec

import numpy as np
import pytest

from benchmarks import __main__ as runner
from benchmarks import field_data, made_data, masks, real_data
from benchmarks.child import Memory
from benchmarks.harness import Bench
from dacl.data.prepare import prepare
from dacl.data.readers.acdc import Acdc


@pytest.fixture(params=[part for part in runner.PARTS if part != "compiled"])  # which a CPU has not
def records(request, monkeypatch):
    """What a part records at its smallest sizes; the children of `memory` are left to the tests of `child`."""
    monkeypatch.delenv(real_data.VARIABLE, raising=False)
    monkeypatch.setattr(Bench, "memory", lambda *_: Memory(100.0, 103.0))
    bench = Bench(request.param, quick=True)
    module = importlib.import_module(f"benchmarks.{request.param}")
    assert module.THREADS in (None, 1)
    module.run(bench)
    return bench.records


def test_a_part_yields_whole_records(records):
    assert records
    assert json.loads(json.dumps([asdict(record) for record in records]))
    for record in records:
        assert record.part == records[0].part
        assert record.name
        assert record.size
        assert record.median > 0
        assert record.low <= record.median <= record.high
        assert (record.target is None) == (record.met is None)
        assert (record.ratio is None) == (record.reference is None) == (record.ratio_of is None)
        assert record.ratio is None or 0 < record.ratio < math.inf
    if records[0].part == "loading":
        assert records[0].note == "same seed: 0 of 24 samples differ"
    if records[0].part == "metrics" and find_spec("medpy"):
        notes = [record.note for record in records if record.reference == "medpy 0.5.2"]
        assert notes == ["largest difference 0"] * 3


def test_the_command_writes_both_files(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # where the part takes minutes
    assert runner.main(["compiled", "--quick", "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    assert json.loads((tmp_path / "bench.json").read_text())["records"] == []
    assert "commit" in (tmp_path / "bench.md").read_text()


def test_the_field_prepares_the_pixels_that_we_do(tmp_path):
    """The reference of the benchmark does the work it is timed for."""
    raw = made_data.write_raw(tmp_path / "raw", 6, small=True)
    prepare(Acdc(), raw, tmp_path / "ours", split="random:0")
    image = raw / "training/patient002/patient002_frame12.nii.gz"
    field_data.prepare_case(
        image, image.with_name("patient002_frame12_gt.nii.gz"), tmp_path / "theirs"
    )
    dataset = real_data.PreparedDataset.open(tmp_path / "ours")
    ours = dataset.read_image("patient002_frame12")[0]
    found = field_data.sample(
        tmp_path / "theirs/slices/patient002_frame12_slice_3.h5", 0, 0, 0, ours.shape[1]
    )
    assert found[0].shape == (1, ours.shape[1], ours.shape[1])
    assert float(found[0].max()) == pytest.approx(float(ours[3].max()))
    assert set(found[1].unique().tolist()) <= {0, 1, 2, 3}
    assert len(list((tmp_path / "theirs/slices").iterdir())) == len(ours)


def test_made_masks_hold_every_class_and_so_do_predictions():
    rng = np.random.default_rng(0)
    truth = masks.abdomen(rng, 13, (48, 96, 96))
    assert set(np.unique(truth)) == set(range(14))
    voxels = np.bincount(truth.ravel())[1:]
    assert voxels.max() > 20 * voxels.min()
    pred = masks.prediction(truth, rng)
    assert set(np.unique(pred)) == set(range(14))
    assert 0.5 < (pred[truth > 0] == truth[truth > 0]).mean() < 1
    assert 0.005 < (masks.scattered(rng, 4, (9, 50, 50)) > 0).mean() < 0.015


def test_the_runner_writes_json_and_a_table(tmp_path, monkeypatch, capsys):
    """The parts themselves run in processes; here one that has run already is put in their place."""

    def finished(command, **_):
        part = command[command.index("--here") + 1]
        record = Bench(part).figure("a figure", "small", [1.0], unit="s")
        (tmp_path / f"{part}.json").write_text(json.dumps([asdict(record)]))
        return type("Done", (), {"returncode": int(part == "clusters")})

    monkeypatch.setattr(runner.subprocess, "run", finished)
    monkeypatch.setattr(runner, "_commit", lambda: "abc")
    monkeypatch.setattr(runner, "RESULTS", tmp_path / "results")
    assert (
        runner.main(["clusters", "metrics", "--quick", "--save", "kept", "--out", str(tmp_path)])
        == 1
    )
    said = capsys.readouterr()
    assert "failed: clusters" in said.err
    result = json.loads((tmp_path / "bench.json").read_text())
    assert [record["part"] for record in result["records"]] == ["metrics"]
    assert {"date", "commit", "cpu", "cpu_flags", "cores", "torch"} <= result["provenance"].keys()
    assert (tmp_path / "bench.md").read_text() in said.out
    for name in ("json", "md"):
        kept = (tmp_path / f"results/kept.{name}").read_text()
        assert kept == (tmp_path / f"bench.{name}").read_text()
    with pytest.raises(SystemExit):
        runner.main(["nonsense"])
