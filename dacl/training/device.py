"""Where a run computes and in which precision."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from dacl.config import Config
from dacl.errors import DaclError
from dacl.networks.vnet import VNet

PRECISIONS = ("auto", "fp32", "bf16")
DEEP, WIDE = 6, 20
"""Voxels of a map along z, and in plane, from and up to which oneDNN's bfloat16 gradients are right; measured."""


def pick_device(name: str) -> torch.device:
    """`auto` takes CUDA, then MPS, then the CPU.

    Raises:
        DaclError: the device asked for is not there, or there is none of this name.
    """
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name not in ("auto", *present):
        raise DaclError(f"no device {name!r}", f"choose one of: auto, {', '.join(present)}")
    if name == "auto":
        name = next(device for device, there in present.items() if there)
    if not present[name]:
        raise DaclError(
            f"device {name!r} was asked for, but torch {torch.__version__} finds none here",
            "choose --device auto or cpu; `dacl doctor` says what this machine has",
        )
    return torch.device(name)


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 networks run faster than fp32 ones: recent GPUs, CPUs with avx512_bf16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capabilities = (
            torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        )
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


def use_bf16(precision: str, device: torch.device) -> bool:
    """Whether the networks run under bfloat16 autocast.

    Raises:
        DaclError: there is no such precision.
    """
    if precision not in PRECISIONS:
        raise DaclError(f"no precision {precision!r}", f"choose one of: {', '.join(PRECISIONS)}")
    return precision == "bf16" or (precision == "auto" and has_fast_bf16(device))


def trains_in_bf16(config: Config, device: torch.device) -> bool:
    """As `use_bf16`, for training: never where the CPU's bfloat16 gradients are wrong.

    oneDNN (as of torch 2.13) leaves a part of the weight gradient of a 3x3x3 convolution unwritten, or writes past its
    end, where the map is two voxels deep, as a patch of depth 16 or 32 is in one of the V-Net's stages; and where it is
    shallow and wide, as one of 48x384x384 is. Maps as wide as WIDE are right if they are not two voxels deep, and maps
    as deep as DEEP up to 48 wide.

    Raises:
        DaclError: bfloat16 was asked for in such a case.
    """
    image = config.image
    maps = [(image.patch_depth >> stage, image.patch_size >> stage) for stage in range(VNet.stages)]
    faulty = any(depth == 2 or (depth < DEEP and width > WIDE) for depth, width in maps)
    wrong = device.type == "cpu" and image.dims == 3 and faulty
    if wrong and config.precision == "bf16":
        widest = WIDE << (VNet.stages - 1)
        raise DaclError(
            f"bfloat16 training on the CPU with image.patch_depth = {image.patch_depth} and image.patch_size = "
            f"{image.patch_size} has wrong gradients (a fault of oneDNN)",
            f"choose --precision fp32, or an image.patch_depth of 48 or more and a --patch-size of {widest} or less",
        )
    return use_bf16(config.precision, device) and not wrong


def precision_name(bf16: bool, device: torch.device) -> str:
    """`bf16`, `fp32`, or `tf32`: what PyTorch makes of fp32 convolutions on a recent GPU."""
    if bf16:
        return "bf16"
    return "tf32" if device.type == "cuda" and torch.backends.cudnn.allow_tf32 else "fp32"


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """PyTorch computes on this many CPU threads inside, and on as many as before afterwards; None leaves it alone."""
    if count is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def keep_freed_memory() -> bool:
    """Let this process keep the memory it frees, where its C library is glibc; whether it is.

    By default glibc returns every large tensor to the system when it is freed, and the next step asks for the same
    pages again, one fault each: a third of an fp32 step at 24 x 256 x 256. Costs about a tenth more memory.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # of malloc.h
    settings = ((mmap_max, 0), (trim_threshold, 2**31 - 1), (top_pad, 256 * 2**20))
    return all(mallopt(name, value) == 1 for name, value in settings)


def default_preset(device: torch.device) -> str:
    """`paper` where a GPU carries it, else `small`."""
    return "paper" if device.type == "cuda" else "small"


def peak_memory_mb(device: torch.device) -> float:
    """Highest memory so far, MB: what PyTorch holds of the GPU, or this process; 0 where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device) / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    kilo = 1 if sys.platform == "darwin" else 1024  # macOS reports bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilo / 1e6


def device_name(device: torch.device) -> str:
    """Short name for the record."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
