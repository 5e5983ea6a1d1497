import errno
import os
import pickle
import resource
import shutil
from pathlib import Path

import pytest
import tiny
import torch

from dacl.errors import DaclError
from dacl.methods import Cps
from dacl.training import checkpoint

STATE = {
    "step": 7,
    "weights": {"w": torch.arange(5000.0), "mask": torch.tensor([True, False])},
    "best": None,
    "names": ["a", "b"],
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "latest.pt"


def alone_in_its_folder(path):
    return [other.name for other in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("mapped", [False, True])
def test_what_is_saved_is_loaded(path, mapped):
    checkpoint.save(path, STATE)
    loaded = checkpoint.load(path, mapped=mapped)
    assert tiny.differences(loaded, {"format": checkpoint.FORMAT, **STATE}) == []
    assert alone_in_its_folder(path)


def test_saving_replaces_what_a_kill_left(path):
    path.with_name("latest.pt.partial").write_bytes(b"half of it")
    checkpoint.save(path, STATE)
    assert checkpoint.load(path)["step"] == 7
    assert alone_in_its_folder(path)


# A disk that is full


def assert_refused(path, reason):
    """Saving fails readably, and the checkpoint that was there stays, alone."""
    checkpoint.save(path, STATE)
    before = path.read_bytes()

    def check(error):
        assert str(path) in error.message
        assert reason in error.message
        assert "free some disk space" in error.hint
        assert path.read_bytes() == before
        assert alone_in_its_folder(path)

    return check


def test_a_disk_that_is_found_full_when_it_is_flushed(path, monkeypatch):
    check = assert_refused(path, "No space left on device")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DaclError) as caught:
        checkpoint.save(path, {**STATE, "step": 8})
    check(caught.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_device_without_space(path):
    check = assert_refused(path, "No space left on device")
    path.with_name("latest.pt.partial").symlink_to("/dev/full")
    with pytest.raises(DaclError) as caught:
        checkpoint.save(path, {**STATE, "step": 8})
    check(caught.value)


@pytest.fixture
def quota():
    """No file of this process may grow beyond 4 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_quota(path, request):
    check = assert_refused(path, "File too large")
    request.getfixturevalue("quota")
    with pytest.raises(DaclError) as caught:
        checkpoint.save(path, {**STATE, "step": 8})
    check(caught.value)


def test_a_folder_that_is_gone(tmp_path):
    with pytest.raises(DaclError, match="could not write checkpoint"):
        checkpoint.save(tmp_path / "gone" / "latest.pt", STATE)


# Files that are no checkpoint


def test_a_missing_file(path):
    with pytest.raises(DaclError, match="no checkpoint"):
        checkpoint.load(path)


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_checkpoint(path, share, mapped):
    checkpoint.save(path, STATE)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DaclError, match="damaged or is no checkpoint") as caught:
        checkpoint.load(path, mapped=mapped)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


class Hostile:
    """Makes a file when it is unpickled."""

    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("form", ["torch", "pickle"])
def test_a_hostile_checkpoint_runs_nothing(path, form, mapped, tmp_path):
    target = tmp_path / "ran"
    content = {"format": checkpoint.FORMAT, **STATE, "config": Hostile(target)}
    if form == "torch":
        torch.save(content, path)
        torch.load(path, weights_only=False)
        assert target.exists(), "it is not hostile"
        target.unlink()
    else:
        path.write_bytes(pickle.dumps({"config": Hostile(target)}, protocol=2))
    with pytest.raises(DaclError, match="could run code: it was not read") as caught:
        checkpoint.load(path, mapped=mapped)
    assert not target.exists()
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("content", "found"),
    [({"format": 99}, "99"), ({"state_dict": {}}, "None"), (torch.zeros(3), "Tensor")],
)
def test_a_file_of_another_program_or_version(path, content, found):
    torch.save(content, path)
    with pytest.raises(DaclError, match="no dacl checkpoint of format 1") as caught:
        checkpoint.load(path)
    assert found in caught.value.message


@pytest.mark.parametrize("content", [b"hello\n", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_a_file_that_is_something_else(path, content):
    path.write_bytes(content)
    with pytest.raises(DaclError):
        checkpoint.load(path)


@pytest.mark.parametrize("content", [b"epoch,loss\n1,0.5\n", b"\x80\x02X."])
def test_a_file_that_confuses_the_unpickler(path, content):
    path.write_bytes(content)
    with pytest.raises(DaclError):
        checkpoint.load(path)


# Finding and reading a run


@pytest.fixture(scope="module")
def run_dir(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    with tiny.no_pictures():
        tiny.train(data, folder, tiny.config("cps", optim={"steps": 5}))
    return folder


def test_locating(run_dir, tmp_path):
    assert checkpoint.locate(run_dir) == run_dir / "best.pt"
    assert checkpoint.locate(run_dir, "latest") == run_dir / "latest.pt"
    assert checkpoint.locate(run_dir / "latest.pt") == run_dir / "latest.pt"
    with pytest.raises(DaclError, match=r"holds no best\.pt") as caught:
        checkpoint.locate(tmp_path)
    assert "folder of a run" in caught.value.hint
    shutil.copy(run_dir / "latest.pt", tmp_path)
    with pytest.raises(DaclError, match=r"holds no best\.pt") as caught:
        checkpoint.locate(tmp_path)
    assert "--checkpoint latest" in caught.value.hint
    assert "dacl evaluate" not in caught.value.hint  # every command that reads a run says this


def test_a_trained_method(run_dir, data):
    trained = checkpoint.load_trained(run_dir, torch.device("cpu"), "latest")
    assert isinstance(trained.method, Cps)
    assert not any(module.training for module in trained.method.modules())
    assert not trained.method.bf16
    assert trained.config == tiny.config("cps", optim={"steps": 5})
    assert (trained.step, trained.run_dir) == (5, run_dir)
    saved = checkpoint.load(run_dir / "latest.pt")["method"]
    assert tiny.differences(dict(trained.method.state_dict()), dict(saved)) == []
    meta = trained.meta
    assert (meta.dataset_name, meta.split_name, meta.synthetic) == ("tiny", "phantom", True)
    assert meta.labeled_patients == ("p1",)
    assert meta.class_names == tiny.CLASS_NAMES
    assert meta.dataset_root == str(data)


def test_meta_survives_the_file(run_dir):
    meta = checkpoint.read_meta(checkpoint.load(run_dir / "best.pt"))
    assert checkpoint.read_meta({"meta": checkpoint.pack_meta(meta)}) == meta


@pytest.mark.parametrize(
    "change",
    [
        {"method": {}},
        {"meta": {"dataset_name": "acdc"}},
        {"config": {"preset": "small", "network": {"width": 8}}},
        {"config": {"preset": "small", "nonsense": 1}},
    ],
)
def test_a_checkpoint_whose_parts_do_not_fit(run_dir, tmp_path, change):
    state = checkpoint.load(run_dir / "best.pt")
    checkpoint.save(tmp_path / "best.pt", {**state, **change})
    with pytest.raises(DaclError):
        checkpoint.load_trained(tmp_path, torch.device("cpu"))
