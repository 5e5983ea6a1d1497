"""Several ranks against one process. `two_ranks` is what they run."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from torch import distributed as dist
from torch import nn
from training import two_ranks

from dacl.contrast.shares import WHOLE, Shares
from dacl.data.prepared import PreparedDataset
from dacl.errors import DaclError
from dacl.methods import METHODS
from dacl.ranks import ALONE, Ranks
from dacl.training import checkpoint, distributed
from dacl.training.feed import Feed
from dacl.training.loop import Finished, Trainer

CPU = torch.device("cpu")
PATIENCE_S = 120


def torchrun(*command: object) -> subprocess.CompletedProcess:
    """Two ranks of a program on this machine."""
    root = Path(__file__).parents[2]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [sys.executable, *launcher, *map(str, command)],
        env=os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}"},
        capture_output=True, text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip


@pytest.fixture(scope="module")
def out(data, tmp_path_factory):
    """What two ranks left."""
    folder = tmp_path_factory.mktemp("ranks")
    done = torchrun(Path(two_ranks.__file__), data, folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def ranks(out):
    return [torch.load(out / f"rank{rank}.pt", weights_only=False) for rank in (0, 1)]


@pytest.fixture(scope="module")
def alone():
    return two_ranks.outcomes(ALONE)


# Two ranks with halves of a batch, and one process with all of it


@pytest.mark.parametrize("name", two_ranks.CASES)
def test_gradients_losses_and_banks_are_those_of_one_process(name, alone, ranks):
    expected = alone[name]
    for found in (rank["outcomes"][name] for rank in ranks):
        assert list(found) == list(expected)
        for key, value in expected.items():
            if not key.startswith("diagnostic"):
                # some gradients are 0 but for rounding: of a bias before a batch norm
                torch.testing.assert_close(found[key], value, rtol=1e-9, atol=1e-9, msg=key)


@pytest.mark.parametrize("name", [n for n, c in two_ranks.CASES.items() if c["method"] == "dacl"])
def test_the_contrast_compared_is_at_work(name, alone):
    """Its heads learn, from anchors of every class, against a bank that is partly filled."""
    found = alone[name]
    weighted = "warm-up" not in name
    head = "gradient 1 contrast.a.head.layers.0.weight"
    assert (head in found and bool(found[head].any())) == weighted
    assert (found["diagnostic 1 anchors"] > 0).all()
    filled = found["diagnostic 1 bank_fill"]
    assert ((filled > 0) & (filled < 1)).all()


@pytest.mark.parametrize("name", ["dacl", "class vectors", "by entropy"])
@pytest.mark.parametrize("key", ["reliable", "bank_fill", "anchors", "density", "compactness"])
def test_the_diagnostics_of_the_contrast_are_of_all_images(name, key, alone, ranks):
    for rank in ranks:
        found = rank["outcomes"][name][f"diagnostic 1 {key}"]
        torch.testing.assert_close(found, alone[name][f"diagnostic 1 {key}"])


# A run of two ranks


def test_a_run_that_one_rank_stopped_goes_on_with_the_same_bits(out):
    tiny.assert_same_run(out / "alone", out / "stopped")
    state = checkpoint.load(out / "half" / "latest.pt")
    assert state["step"] == 5
    assert len(state["rng_of_others"]) == 1
    assert not torch.equal(state["rng"]["cpu"], state["rng_of_others"][0]["cpu"])  # of dropout


def test_a_run_goes_on_with_another_number_of_ranks_and_says_so(out, no_pictures):
    trainer = Trainer.resume(out / "half")
    assert "ranks: the run began with 2 and goes on with 1; not the same bits" in trainer.notes
    assert trainer.run(tiny.Quiet()).finished
    assert checkpoint.load(out / "half" / "latest.pt")["machine"]["ranks"] == 1


def test_ranks_that_share_the_validation_find_what_one_process_finds(data, ranks):
    expected = two_ranks.validated(data, ALONE)
    assert any(dice.any() for dice in expected.dice.values())
    for found in (rank["validation"] for rank in ranks):
        for name in ("dice", "precision", "recall"):
            assert found[name].keys() == getattr(expected, name).keys()
            for network, values in getattr(expected, name).items():
                np.testing.assert_array_equal(found[name][network], values)
        np.testing.assert_array_equal(found["agreement"], expected.agreement)


def test_an_error_of_one_rank_is_an_error_of_all(ranks):
    told = {"first": "the disk is full", "other": "the ranks differ in configuration"}
    assert [rank["complaints"] for rank in ranks] == [told, told]


def test_no_rank_waits_for_a_run_that_another_process_trains(ranks, out):
    taken = f"another process is training {out / 'half'}"
    assert [rank["refused"] for rank in ranks] == [taken, taken]


def test_an_error_of_all_ranks_is_told_by_the_first(ranks):
    assert [rank["told"] for rank in ranks] == [True, False]


def test_one_rank_is_enough_to_ask_all(ranks):
    assert [rank["any"] for rank in ranks] == [[True, False], [True, False]]


def test_torchrun_trains_one_run_close_to_that_of_one_process(data, tmp_path, no_pictures):
    """Close, not equal: on the CPU the batch statistics are those of half a batch."""
    calm = {
        "network": {"dropout": [0, 0, 0, 0, 0]},
        "optim": {"steps": 6},
        "journal": {"validate_every": 6},
    }
    few = ["--steps", 6, "--set", "journal.validate_every=6"]
    options = [*tiny.options(), "--method", "cps", "--set", "network.dropout=[0,0,0,0,0]", *few]
    run_dir = tmp_path / "two"
    done = torchrun("-m", "dacl_cli", "train", "--data", data, "--out", run_dir, *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("next: dacl evaluate") == 1
    assert done.stderr.count("on each of 2 ranks") == 1
    assert "batch statistics are those of each rank's share" in done.stderr
    run = json.loads((run_dir / "run.json").read_text())
    assert run["provenance"]["ranks"] == 2

    tiny.train(data, tmp_path / "one", tiny.config("cps", **calm))
    records = [tiny.without_wall(tmp_path / name) for name in ("two", "one")]
    assert [(r["kind"], r["step"]) for r in records[0] if r["kind"] != "warning"] == [
        (r["kind"], r["step"]) for r in records[1] if r["kind"] != "warning"
    ]
    for two, one in zip(*([r for r in rows if r["kind"] == "train"] for rows in records), strict=True):  # fmt: skip
        assert two["loss"] == pytest.approx(one["loss"], rel=0.05)
        assert two["loss"] != one["loss"]


def test_what_cannot_be_shared_is_refused(data, tmp_path):
    dataset = PreparedDataset.open(data)
    for kind, batch in (("labelled", {"batch_labeled": 3}), ("unlabelled", {"batch_unlabeled": 5})):
        with pytest.raises(DaclError, match=f" {kind} images of a batch cannot be shared"):
            Trainer(tiny.config(optim=batch), dataset, tmp_path / "run", Ranks(0, 2))
    Trainer(tiny.config("supervised", optim={"batch_unlabeled": 5}), dataset, tmp_path, Ranks(0, 2))


@pytest.mark.parametrize(("cause", "code"), [(DaclError("no"), 1), (Finished("done"), 0)])
def test_what_the_first_rank_tells_the_others_do_not(cause, code, run_dacl, monkeypatch, tmp_path):
    @contextmanager
    def joined():
        yield Ranks(1, 2)

    def resume(*_):
        raise distributed.SaidByFirst(cause.message) from cause

    monkeypatch.setattr(distributed, "joined", joined)
    monkeypatch.setattr(Trainer, "resume", resume)
    done = run_dacl("train", "--resume", tmp_path)
    assert (done.code, done.out, done.err) == (code, "", "")


# Shares


def test_things_are_shared_out_in_order():
    assert [list(range(6))[Ranks(rank, 3).share(6)] for rank in range(3)] == [
        [0, 1],
        [2, 3],
        [4, 5],
    ]
    for count in (5, 0):
        with pytest.raises(DaclError, match="among 3 ranks"):
            Ranks(0, 3).share(count)


@pytest.mark.parametrize("unlabeled", [0, 3])
def test_the_images_of_all_ranks_stand_in_the_order_of_one_process(unlabeled):
    """Labelled of every rank in front."""
    names = [f"l{n}" for n in range(6)] + [f"u{n}" for n in range(3 * unlabeled)]
    for rank in range(3):
        own = names[:6][2 * rank : 2 * rank + 2]
        own += names[6:][unlabeled * rank : unlabeled * (rank + 1)]
        places_B = Shares(Ranks(rank, 3), labeled=2, images=2 + unlabeled).places_B(CPU)
        assert [names[place] for place in places_B] == own


@pytest.mark.parametrize("name", ["cps", "dacl, volumes"])
def test_the_ranks_see_the_batch_of_one_process(name, data):
    over = {
        "image": {"dims": 3, "patch_depth": 16} if "volumes" in name else {},
        "optim": {"batch_labeled": 2, "batch_unlabeled": 4},
    }
    dataset = PreparedDataset.open(data)
    whole, *shares = (
        Feed(tiny.config(**over), dataset, CPU, unlabeled=True, ranks=ranks).batch(3)
        for ranks in (ALONE, Ranks(0, 2), Ranks(1, 2))
    )
    assert torch.equal(torch.cat([share.labels for share in shares]), whole.labels)
    images = [share.images[:1] for share in shares] + [share.images[1:] for share in shares]
    assert torch.equal(torch.cat(images), whole.images)


# One process, and what ranks find around them


def test_alone_nothing_is_copied_or_sent():
    values = torch.rand(4, 3, 2, 2)
    assert ALONE.sum(values) == (values,)
    assert ALONE.mean(values) is values
    assert ALONE.gather(values) is values
    assert WHOLE.of_all(values) is values
    assert WHOLE.of_own(values) is values
    with distributed.joined() as ranks:
        assert ranks is ALONE
        assert not dist.is_initialized()


def test_torchrun_names_the_ranks(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "8")  # as schedulers do for purposes of their own
    assert distributed.torchrun_ranks() is ALONE
    monkeypatch.setenv("RANK", "5")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert distributed.torchrun_ranks() == Ranks(rank=5, world=8, local=1)


def test_every_rank_takes_a_gpu_of_its_own(monkeypatch):
    taken = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    assert distributed.device_of(Ranks(3, 4, local=1), "cuda") == torch.device("cuda", 1)
    assert distributed.device_of(Ranks(3, 4, local=1), "cpu") == CPU
    assert distributed.device_of(ALONE, "cuda") == torch.device("cuda")
    assert taken == [1]
    with pytest.raises(DaclError, match="would take GPU 2 of its machine, which has 2"):
        distributed.device_of(Ranks(2, 4, local=2), "cuda")


def test_mps_serves_no_ranks(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(DaclError, match="serves one process, not 2"):
        distributed.device_of(Ranks(0, 2), "mps")


@pytest.mark.parametrize(("name", "heads"), [("dacl", False), ("class vectors", True)])
def test_batch_statistics_are_synchronised_on_gpus_where_a_rank_sees_its_own_images(name, heads):
    settings = two_ranks.config(name)
    method = METHODS[settings.method](settings, 1, two_ranks.N)
    parameters, names = list(method.parameters()), list(method.state_dict())
    assert distributed.join_statistics(method, ALONE, torch.device("cuda")) == []
    assert not any(isinstance(m, nn.SyncBatchNorm) for m in method.modules())
    (note,) = distributed.join_statistics(method, Ranks(0, 2), CPU)
    assert "1/2 of the batch" in note
    assert not any(isinstance(m, nn.SyncBatchNorm) for m in method.modules())

    assert distributed.join_statistics(method, Ranks(0, 2), torch.device("cuda")) == []
    norms = [m for m in method.networks.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert all(isinstance(m, nn.SyncBatchNorm) for m in norms)
    of_heads = [m for m in method.contrast.modules() if isinstance(m, nn.SyncBatchNorm)]
    assert bool(of_heads) == heads
    # an optimiser and a checkpoint notice nothing
    assert [id(p) for p in method.parameters()] == [id(p) for p in parameters]
    assert list(method.state_dict()) == names
