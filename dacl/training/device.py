"""Where a run computes and in which precision."""

import resource
import sys

import torch

from dacl.errors import DaclError


def pick_device(name: str) -> torch.device:
    """`auto` takes CUDA, then MPS, then the CPU.

    Raises:
        DaclError: the device asked for is not there.
    """
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
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
    """Whether the networks run under bfloat16 autocast."""
    return precision == "bf16" or (precision == "auto" and has_fast_bf16(device))


def precision_name(bf16: bool, device: torch.device) -> str:
    """`bf16`, `fp32`, or `tf32`: what PyTorch makes of fp32 convolutions on a recent GPU."""
    if bf16:
        return "bf16"
    return "tf32" if device.type == "cuda" and torch.backends.cudnn.allow_tf32 else "fp32"


def default_preset(device: torch.device) -> str:
    """`paper` where a GPU carries it, else `small`."""
    return "paper" if device.type == "cuda" else "small"


def peak_memory_mb(device: torch.device) -> float:
    """Highest memory so far, MB: of the GPU, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    kilo = 1 if sys.platform == "darwin" else 1024  # macOS reports bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilo / 1e6


def device_name(device: torch.device) -> str:
    """Short name for the record."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
