"""The networks of a model in one `.safetensors` file: plain weights, and everything that predicting needs beside them.

`Predictor.load("model.safetensors")` reads it back. Its metadata hold one entry, `dacl`: a JSON document with the run's
configuration, its classes, channels and intensity rule, the exported network's name, and what the model card says.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dacl.config import Config, resolve
from dacl.errors import DaclError
from dacl.extras import require
from dacl.methods import METHODS
from dacl.methods.base import Method
from dacl.training.checkpoint import RunMeta, must_fit, read_meta

ENDING = ".safetensors"
FORMAT = 1
_ENTRY = "dacl"


class Networks(Method):
    """Some networks of a trained method, without heads, banks and teachers: it predicts and cannot train.

    Args:
        config: the run's.
        channels: image channels C.
        classes: N, background included.
        names: the networks, in the run's order.
    """

    network_names: ClassVar[tuple[str, ...]] = ()
    """Of an instance those that it was given."""

    def __init__(self, config: Config, channels: int, classes: int, names: Iterable[str]) -> None:
        super().__init__(config, channels, classes)
        # A second network may be built otherwise than a first one: made whole, then cut.
        whole = METHODS[config.method](config, channels, classes)
        self.network_names = tuple(name for name in whole.network_names if name in names)  # type: ignore[misc]
        self.networks = nn.ModuleDict({name: whole.networks[name] for name in self.network_names})


def names_of(method: Method, network: str) -> tuple[str, ...]:
    """The networks that `network` is made of: itself, or all of which it is the mean."""
    return method.network_names if network == "mean" else (network,)


def public_meta(meta: RunMeta) -> dict[str, Any]:
    """The data block without what would tell where it lies and whose scans it holds; the patients are counted."""
    anonymous = tuple(f"patient {n + 1}" for n in range(len(meta.labeled_patients)))
    return asdict(replace(meta, dataset_root="", dataset_from_run="", labeled_patients=anonymous))


def weights_of(method: Method, network: str) -> dict[str, Tensor]:
    """Every tensor of the networks that `network` is made of, contiguous and not shared, on the CPU."""
    return {
        f"networks.{name}.{key}": value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name in names_of(method, network)
        for key, value in method.networks[name].state_dict().items()
    }


def pack(weights: dict[str, Tensor], facts: dict[str, Any]) -> bytes:
    """Weights, and what describes them, as the bytes of a file.

    Raises:
        DaclError: safetensors is not installed.
    """
    safetensors = require("safetensors.torch", extra="export")
    # One entry: safetensors keeps several in no fixed order.
    metadata = {_ENTRY: json.dumps({"format": FORMAT, **facts}, sort_keys=True)}
    content: bytes = safetensors.save(weights, metadata)
    return content


def read(path: Path) -> tuple[Method, Config, RunMeta, dict[str, Any]]:
    """The networks of such a file on the CPU, in evaluation mode, fp32; nothing in it can run code.

    Raises:
        DaclError: safetensors is not installed, no such file, or one of another program.
    """
    if not path.is_file():
        raise DaclError(f"no model {path}", "give a file that `dacl export` wrote")
    return unpack(path.read_bytes(), str(path))


def unpack(content: bytes, name: str) -> tuple[Method, Config, RunMeta, dict[str, Any]]:
    """`read` of the bytes of a file; `name` is what an error calls it."""
    safetensors = require("safetensors.torch", extra="export")
    try:
        weights = safetensors.load(content)
        # little-endian length, then the header: the format's own first lines
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    except Exception as error:  # safetensors has an error class of its own for a damaged file
        raise DaclError(
            f"{name} is damaged or no safetensors file ({error})", "export it again"
        ) from error
    facts = header.get("__metadata__", {}).get(_ENTRY)
    if facts is None:
        raise DaclError(
            f"{name} holds no model of dacl: its metadata lack {_ENTRY!r}",
            "give a file that `dacl export` wrote",
        )
    with must_fit(Path(name)):
        facts = json.loads(facts)
        config = resolve(facts["config"]["preset"], facts["config"])
        meta = read_meta(facts)
        names = {key.split(".")[1] for key in weights}
        method = Networks(config, meta.channels, len(meta.class_names), names)
        method.load_state_dict(weights)
    method.eval()
    return method, config, meta, facts
