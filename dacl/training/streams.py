"""Torch's own random numbers, which dropout alone consumes: what a checkpoint keeps of them, and how they begin."""

import torch
from torch import Tensor

from dacl.ranks import Ranks
from dacl.seeding import stream_seed


def states(device: torch.device) -> dict[str, Tensor]:
    """State of the CPU's stream, and of that of the GPU which computes."""
    found = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        found["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        found["mps"] = torch.mps.get_rng_state()
    return found


def begin(
    device: torch.device, ranks: Ranks, seed: int, step: int, saved: dict[str, Tensor] | None
) -> None:
    """Seed all streams at step `step`, and take up those that `saved` holds of this device.

    At step 0 the first rank's seed is the run's. Anywhere else it is another for every rank and step: a run that goes
    on elsewhere must not draw again what it drew from its beginning.
    """
    fresh = ranks.rank == 0 and step == 0
    torch.manual_seed(seed if fresh else stream_seed(seed, "rank", ranks.rank, step))
    held = saved or {}
    if "cpu" in held:
        torch.set_rng_state(held["cpu"])
    if device.type == "cuda" and "cuda" in held:
        torch.cuda.set_rng_state(held["cuda"], device)
    elif device.type == "mps" and "mps" in held:
        torch.mps.set_rng_state(held["mps"])
