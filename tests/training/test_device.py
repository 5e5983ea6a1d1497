import subprocess
import sys

import pytest
import torch
from torch import nn

from dacl.config import resolve
from dacl.errors import DaclError
from dacl.training import device

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def present(monkeypatch):
    def set_to(*, cuda=False, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    set_to()
    return set_to


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_absent(present, name):
    with pytest.raises(DaclError, match=f"device '{name}' was asked for") as caught:
        device.pick_device(name)
    assert "--device auto or cpu" in caught.value.hint


@pytest.mark.parametrize("name", ["gpu", "cuda:0", ""])
def test_a_device_that_there_is_none_of(present, name):
    present(cuda=True)
    with pytest.raises(DaclError, match=f"no device '{name}'") as caught:
        device.pick_device(name)
    assert caught.value.hint == "choose one of: auto, cuda, mps, cpu"


def test_auto_takes_the_fastest(present):
    assert device.pick_device("auto") == CPU
    present(mps=True)
    assert device.pick_device("auto").type == "mps"
    present(cuda=True, mps=True)
    assert device.pick_device("auto").type == "cuda"
    assert device.pick_device("cpu") == CPU


def test_the_preset_goes_with_the_device():
    assert device.default_preset(CUDA) == "paper"
    assert device.default_preset(CPU) == device.default_preset(torch.device("mps")) == "small"


@pytest.mark.parametrize(
    ("capabilities", "fast"),
    [({}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"avx2": True}, False)],
)  # fmt: skip
def test_bf16_where_the_cpu_has_it(monkeypatch, capabilities, fast):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert device.has_fast_bf16(CPU) is fast
    assert device.use_bf16("auto", CPU) is fast
    assert device.use_bf16("bf16", CPU)
    assert not device.use_bf16("fp32", CPU)


@pytest.mark.parametrize("precision", ["fp16", "BF16", ""])
def test_a_precision_that_there_is_none_of(precision):
    with pytest.raises(DaclError, match=f"no precision '{precision}'") as caught:
        device.use_bf16(precision, CPU)
    assert caught.value.hint == "choose one of: auto, fp32, bf16"


def test_peak_memory_is_in_megabytes():
    before = device.peak_memory_mb(CPU)
    assert 20 < before < 100_000
    held = torch.ones(int(before * 1e6) // 4 + 50_000_000)  # more than all that came before
    assert device.peak_memory_mb(CPU) > before + 100
    assert held.shape
    assert device.device_name(CPU) == "cpu"


@pytest.mark.parametrize("depth", [16, 32, 48, 64])
def test_bf16_training_on_the_cpu_avoids_maps_two_voxels_deep(monkeypatch, depth):
    """At the bottom of the V-Net, or one stage above."""
    wrong = depth in (16, 32)
    monkeypatch.setattr(device, "has_fast_bf16", lambda _device: True)
    config = resolve("paper", {"image": {"dims": 3, "patch_depth": depth}})
    assert device.trains_in_bf16(config, CPU) is not wrong
    assert device.trains_in_bf16(config, CUDA)
    assert device.trains_in_bf16(resolve("paper", {"image": {"patch_depth": depth}}), CPU)
    asked = config.model_copy(update={"precision": "bf16"})
    if wrong:
        with pytest.raises(DaclError, match=f"patch_depth = {depth} and .* has wrong gradients"):
            device.trains_in_bf16(asked, CPU)
    else:
        assert device.trains_in_bf16(asked, CPU)


@pytest.mark.parametrize(
    ("depth", "size", "wrong"),
    [(48, 320, False), (48, 384, True), (64, 320, False), (64, 512, True), (96, 512, False)],
)
def test_bf16_training_on_the_cpu_avoids_maps_that_are_shallow_and_wide(
    monkeypatch, depth, size, wrong
):
    """A patch of 48x384x384 is 3x24x24 at the bottom of the V-Net, and all gradients there are NaN."""
    monkeypatch.setattr(device, "has_fast_bf16", lambda _device: True)
    image = {"dims": 3, "patch_depth": depth, "patch_size": size, "geometry": "resample"}
    config = resolve("small", {"image": image})
    assert device.trains_in_bf16(config, CPU) is not wrong
    assert device.trains_in_bf16(config, CUDA)
    if wrong:
        with pytest.raises(DaclError, match="has wrong gradients") as caught:
            device.trains_in_bf16(config.model_copy(update={"precision": "bf16"}), CPU)
        assert "48 or more and a --patch-size of 320 or less" in caught.value.hint


@pytest.mark.skipif(not device.has_fast_bf16(CPU), reason="another CPU trains in fp32")
@pytest.mark.parametrize("depth", [1, 3, 4, 5, 6, 8])
def test_bf16_weight_gradients_of_maps_of_other_depths_are_right(depth):
    """Where oneDNN leaves them unwritten they are infinite or as memory was before."""
    convolution = nn.Conv3d(8, 8, 3, padding=1).to(memory_format=torch.channels_last_3d)
    x = torch.randn(2, 8, depth, 8, 8).contiguous(memory_format=torch.channels_last_3d)
    gradients = []
    for bf16 in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            loss = convolution(x).float().square().sum()
        gradients += torch.autograd.grad(loss, convolution.weight)
    exact, found = gradients
    assert (found - exact).norm() < 0.02 * exact.norm()


KEEPS = """
import resource, sys, torch
from dacl.training.device import keep_freed_memory

if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit("not glibc")
for _ in range(3):
    torch.ones(20_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(20_000_000)  # 80 MB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's settings")
def test_freed_memory_is_kept():
    """20,000 pages a tensor, each a fault where the memory was given back."""
    faults = {}
    for what in ("keep", "give back"):
        command = [sys.executable, "-c", KEEPS, what]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "not glibc" in done.stderr:
            pytest.skip("another C library")
        faults[what] = int(done.stdout)
    assert faults["keep"] < faults["give back"] / 5


@pytest.mark.parametrize(("count", "inside"), [(3, 3), (None, 1)])
def test_threads_are_as_before_even_after_an_error(count, inside):
    def fails() -> None:
        assert torch.get_num_threads() == inside
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), device.cpu_threads(count):
        fails()
    assert torch.get_num_threads() == 1
