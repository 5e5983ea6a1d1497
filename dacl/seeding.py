"""Random streams that are functions of a key, so that nothing has to be saved to continue them.

Every draw of a run (initial weights, batches, augmentation, contrast samples) comes from the stream of its own key,
for example (seed, "augment", step). A resumed run asks for the same key and draws the same numbers; a method that
draws more leaves the other streams as they are.
"""

import hashlib

import torch


def stream_seed(*key: int | str) -> int:
    """A 63-bit seed that depends on every part of the key and on nothing else."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(*key: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator on `device` for the stream of `key`."""
    return torch.Generator(device=device).manual_seed(stream_seed(*key))
