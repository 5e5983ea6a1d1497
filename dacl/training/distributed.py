"""One run on several GPUs or machines: what the ranks that torchrun started agree on, and what the first does alone.

Every rank walks the same loop. The first alone writes; work of its own goes through `on_first`, so that all ranks learn
how it ended. A rank that dies takes the others with it: torchrun ends them.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed as dist
from torch import nn

from dacl.errors import DaclError
from dacl.methods.base import Method
from dacl.ranks import ALONE, Ranks
from dacl.training.device import pick_device

Answer = TypeVar("Answer")

# A rank that fails takes the others with it at once; this is for one that hangs.
TIMEOUT = timedelta(hours=3)
"""How long a rank waits for the others; longer than any of them is busy with a part of its own."""
SAME_ERROR_WITHIN = timedelta(seconds=5)
_ERROR = "dacl/error of the first rank"


class SaidByFirst(DaclError):
    """An error that the first rank has as well, and tells."""


def torchrun_ranks() -> Ranks:
    """The ranks that torchrun's environment names; ALONE without it."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    if not all(name in os.environ for name in names):
        return ALONE
    return Ranks(*(int(os.environ[name]) for name in names))


@contextmanager
def joined() -> Iterator[Ranks]:
    """Meet the ranks that torchrun started, for as long as the context lasts; ALONE where there are none.

    Raises:
        SaidByFirst: in the place of an error that the first rank has too.
        DaclError: another rank went away.
    """
    ranks = torchrun_ranks()
    if ranks.world == 1:
        yield ALONE
        return
    # Imported later, by torch.optim, its functions would hold the group as a default argument, and gloo's threads would
    # outlive the interpreter: an abort at exit, one time in five.
    import torch.distributed.nn
    from torch.distributed.rendezvous import rendezvous

    store, rank, world = next(rendezvous("env://", timeout=TIMEOUT))
    # Objects and the wish to stop travel between CPUs: no GPU waits for them.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=TIMEOUT)
    try:
        yield ranks
        any_of(ranks, False)  # leave together: torchrun ends all once one has ended with an error
    except Exception as error:
        if _lost_another(error):
            error = DaclError(
                "another rank went away", "its own message says why, or torchrun's below"
            )
        message, hint = _words(error)
        if ranks.rank == 0:
            store.set(_ERROR, message)
        elif _said(store) == message:
            raise SaidByFirst(message, hint) from error
        raise error
    finally:
        # NCCL would wait for ranks that are gone
        if sys.exception() is None or not torch.cuda.is_available():
            dist.destroy_process_group()


def _lost_another(error: Exception) -> bool:
    """Whether a rank waited for one that is gone; gloo says so in words alone."""
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error)
    )


def _words(error: Exception) -> tuple[str, str]:
    """Message and hint."""
    return (error.message, error.hint) if isinstance(error, DaclError) else (str(error), "")


def _said(store: Any) -> str | None:
    try:
        store.wait([_ERROR], SAME_ERROR_WITHIN)
    except RuntimeError:  # the first rank has no error
        return None
    return store.get(_ERROR).decode()


def device_of(ranks: Ranks, name: str) -> torch.device:
    """Where this rank computes: `pick_device`, and of several GPUs the one of its own.

    Raises:
        DaclError: the device is not there, or serves no ranks.
    """
    device = pick_device(name)
    if ranks.world == 1 or device.type == "cpu":
        return device
    if device.type != "cuda":
        raise DaclError(
            f"device {device.type!r} serves one process, not {ranks.world}",
            "start `dacl train` without torchrun, or choose --device cpu",
        )
    if ranks.local >= (found := torch.cuda.device_count()):
        raise DaclError(
            f"rank {ranks.rank} would take GPU {ranks.local} of its machine, which has {found}",
            f"start torchrun with --nproc-per-node {found}",
        )
    torch.cuda.set_device(ranks.local)
    return torch.device("cuda", ranks.local)


def join_statistics(method: Method, ranks: Ranks, device: torch.device) -> list[str]:
    """Make batch statistics those of the whole batch; what to tell where that cannot be."""
    if ranks.world == 1:
        return []
    if device.type != "cuda":
        return [
            f"batch statistics are those of each rank's share, 1/{ranks.world} of the batch: "
            "PyTorch synchronises them on GPUs alone"
        ]
    for module in method.seeing_own_images:
        nn.SyncBatchNorm.convert_sync_batchnorm(module)  # what it holds, in place
    return []


def share_running_statistics(ranks: Ranks, method: Method) -> None:
    """Judge on all ranks what the first would save: on the CPU each has running statistics of its own."""
    if ranks.world > 1:
        for buffer in method.networks.buffers():
            dist.broadcast(buffer, src=0)


def average_gradients(ranks: Ranks, parameters: Iterable[nn.Parameter]) -> None:
    """The mean over the ranks of every gradient, in one message.

    The networks are small (7 to 38 MB of weights each): nothing is gained by sending their gradients while the others
    are computed. A parameter without a gradient has none on any rank, because all ranks compute the same loss.
    """
    if ranks.world == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    mean = ranks.mean(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, part in zip(gradients, mean.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view(gradient.shape))


def any_of(ranks: Ranks, asked: bool) -> bool:
    """Whether any rank is asked, so that all do the same."""
    if ranks.world == 1:
        return asked
    flag = torch.tensor(int(asked))
    dist.all_reduce(flag, dist.ReduceOp.MAX)
    return bool(flag)


def on_first(ranks: Ranks, work: Callable[[], Answer]) -> Answer:
    """What the first rank alone does: its answer on all ranks, or its error on all."""
    if ranks.world == 1:
        return work()
    said: list[Any] = [None, None]
    failed: Exception | None = None
    if ranks.rank == 0:
        try:
            said[0] = work()
        except Exception as error:
            failed, said[1] = error, _words(error)
    dist.broadcast_object_list(said, src=0)
    if failed is not None:
        raise failed
    if said[1] is not None:
        raise DaclError(*said[1])
    return said[0]


def require_same(ranks: Ranks, **facts: Any) -> None:
    """Refuse ranks that were started with different options or data.

    Raises:
        DaclError: names the first fact that differs.
    """
    first = on_first(ranks, lambda: facts)
    apart = {name for name, value in facts.items() if value != first[name]}
    if differing := sorted(set().union(*ranks.gather_objects(apart))):
        raise DaclError(
            f"the ranks differ in {differing[0]}",
            "start every machine with the same command, the same data and the same version of dacl",
        )
