"""A model as ONNX: batch and sides are free, the sides in multiples of 16."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim

from dacl.extras import require
from dacl.model_export.network import SIDES, Exported, facts_of, random_image
from dacl.prediction.model import Model

INPUT, OUTPUT = "image", "probabilities"
_LONGEST = 256
"""Multiples of 16 that a side may have, at most: 4096 voxels."""


def to_onnx(model: Model) -> bytes:
    """The network as the bytes of an ONNX file: `image` (B, C, *S) to `probabilities` (B, N, *S), float32.

    Its metadata say what the image must be; see `properties`.

    Raises:
        DaclError: onnx or onnxscript is not installed.
    """
    require("onnxscript", extra="export")
    onnx = require("onnx", extra="export")
    sides = [SIDES * Dim(axis, min=1, max=_LONGEST) for axis in "dhw"[-model.config.image.dims :]]
    free = {0: Dim("batch", min=1, max=4096), **{axis + 2: side for axis, side in enumerate(sides)}}
    example = random_image(model, 2, (32, 48, 32), seed=0)
    with _quiet():
        program = torch.onnx.export(
            Exported(model), (example,), dynamo=True, dynamic_shapes={"image": free},
            input_names=[INPUT], output_names=[OUTPUT], verbose=False,
        )  # fmt: skip
    assert program is not None
    proto = program.model_proto
    # Traces name the folders of the machine that exported.
    for part in (*proto.graph.node, *proto.graph.input, *proto.graph.output, proto.graph, proto):
        del part.metadata_props[:]
        part.doc_string = ""
    for function in proto.functions:
        for node in function.node:
            del node.metadata_props[:]
    onnx.helper.set_model_props(proto, properties(model))
    onnx.checker.check_model(proto, full_check=True)
    return proto.SerializeToString(deterministic=True)


def properties(model: Model) -> dict[str, str]:
    """The metadata of the file: plain text, JSON where there is more than one value."""
    image, meta = model.config.image, model.meta
    values: dict[str, Any] = {
        "class_names": list(meta.class_names),
        "channels": list(meta.channel_names) or meta.channels,
        "modality": meta.modality or None,
        "intensity": meta.intensity,
        "orientation": "LPS" if model.turns else None,
        "dims": image.dims,
        "geometry": image.geometry,
        "sides_multiple_of": SIDES,
        "input": f"{INPUT}: float32 (B, C, {'D, ' if image.dims == 3 else ''}H, W), intensity rule applied",
        "output": f"{OUTPUT}: float32 (B, N, ...), softmax over class_names",
    }
    patch = [image.patch_depth] * (image.dims == 3) + [image.patch_size] * 2
    if image.geometry == "resample":
        slices = [image.slice_spacing_mm] if image.dims == 3 else []
        values |= {"spacing_mm": [*slices, image.spacing_mm, image.spacing_mm], "patch": patch}
    elif image.dims == 3:
        values |= {"volume_shape": list(image.volume_shape), "patch": patch}
    else:
        values |= {"shape": patch}
    said = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()
    }
    return {**said, "dacl": json.dumps(facts_of(model), sort_keys=True)}


def run_onnx(content: bytes, image: Tensor) -> tuple[Tensor, str]:
    """What the file answers, and the name of the program that ran it: ONNX Runtime where installed.

    Otherwise the reference implementation of the onnx package, which is slow and enough for a small image.
    """
    onnx = require("onnx", extra="export")
    array = image.numpy()
    if find_spec("onnxruntime") is None:
        reference: Any = import_module("onnx.reference")
        session = reference.ReferenceEvaluator(onnx.load_from_string(content))
        by = f"the reference evaluator of onnx {onnx.__version__}"
    else:
        runtime: Any = import_module("onnxruntime")
        session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
        by = f"ONNX Runtime {runtime.__version__}"
    return torch.from_numpy(session.run(None, {INPUT: array})[0]), by


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch's exporter says of itself: its deprecations, and that torchvision is absent."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
