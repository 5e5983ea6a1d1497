"""A model to a file for other programs, with its card; what does not answer as PyTorch does is not written."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from dacl.atomic import replacing
from dacl.errors import DaclError
from dacl.model_export.card import model_card
from dacl.model_export.network import Exported, facts_of, random_image
from dacl.model_export.onnx_file import run_onnx, to_onnx
from dacl.prediction import portable
from dacl.prediction.model import Model, load_model

TOLERANCE = 1e-3
"""Largest difference of a probability between the exported model and PyTorch. Masks may differ where two classes are
as close as that, and nowhere else."""
SHAPES = ((1, (16, 32, 48)), (2, (32, 16, 16)))
"""Batches and sides that the check runs on; other ones than the export's example."""
FORMATS = (".onnx", portable.ENDING)


@dataclass(frozen=True, slots=True)
class Export:
    """What was written, and how it was checked."""

    model: Path
    card: Path
    network: str
    checked: str
    largest_difference: float


def export_model(
    path: Path,
    out: Path,
    *,
    network: Literal["a", "b", "mean"] | None = None,
    checkpoint: Literal["best", "latest"] = "best",
    overwrite: bool = False,
) -> Export:
    """Write a model as ONNX or safetensors, by the ending of `out`, and its card `<out>.md` beside it.

    Args:
        path: run folder, checkpoint, or a `.safetensors` file.
        out: ends in `.onnx` or `.safetensors`.
        network: `a`, `b`, or `mean`: all networks in one, their probabilities averaged. None: `a`.
        checkpoint: which one of a run folder.
        overwrite: replace files that are there.

    Raises:
        DaclError: another ending, files that are there, a package of the extra `export` missing, or an exported
            model that does not answer as PyTorch does: nothing is written then. Or a disk that is full.
    """
    if out.suffix not in FORMATS:
        raise DaclError(f"{out}: no format {out.suffix!r}", f"end it in {' or '.join(FORMATS)}")
    card = out.with_name(f"{out.name}.md")
    there = [file for file in (out, card) if file.exists()]
    if there and not overwrite:
        raise DaclError(
            f"{there[0]} is there already", "choose another name for --out, or --overwrite"
        )
    model = load_model(path, torch.device("cpu"), checkpoint=checkpoint, network=network)
    onnx = out.suffix == ".onnx"
    content = to_onnx(model) if onnx else to_safetensors(model)
    largest, checked = check(
        model, lambda image: (run_onnx if onnx else run_safetensors)(content, image)
    )
    written = {out: content, card: model_card(model, out, checked, largest).encode()}
    for file, its_content in written.items():
        with replacing(file) as partial:
            partial.write_bytes(its_content)
    return Export(out, card, model.network, checked, largest)


def to_safetensors(model: Model) -> bytes:
    """The networks as the bytes of a `.safetensors` file that `Predictor.load` reads.

    Raises:
        DaclError: safetensors is not installed.
    """
    return portable.pack(portable.weights_of(model.method, model.network), facts_of(model))


def run_safetensors(content: bytes, image: Tensor) -> tuple[Tensor, str]:
    """What the file answers once it is read back, and what read it."""
    method, _, _, facts = portable.unpack(content, "the exported model")
    return method.predict(image)[facts["network"]], "the file read back"


def check(model: Model, run: Callable[[Tensor], tuple[Tensor, str]]) -> tuple[float, str]:
    """The largest difference of a probability to the trained method's own, on noise, and what ran the model.

    Raises:
        DaclError: a difference above TOLERANCE, or a mask that differs where two classes are not that close.
    """
    largest, checked = 0.0, ""
    for seed, (batch, sides) in enumerate(SHAPES):
        image = random_image(model, batch, sides, seed)
        wanted = model.method.predict(image)[model.network]
        # the module that is exported, and what became of it
        module = Exported(model)(image)
        found, checked = run(image)
        for answer in (module, found):
            if answer.shape != wanted.shape or not answer.isfinite().all():
                _refuse(
                    f"shape {tuple(answer.shape)} instead of {tuple(wanted.shape)}, or not finite"
                )
            largest = max(largest, float((answer - wanted).abs().max()))
            first, second = wanted.topk(2, dim=1).values.unbind(dim=1)
            sure = first - second > 2 * TOLERANCE
            if largest > TOLERANCE or (answer.argmax(1) != wanted.argmax(1))[sure].any():
                _refuse(f"probabilities differ by up to {largest:.2g}")
    return largest, checked


def _refuse(how: str) -> None:
    raise DaclError(
        f"the exported model does not answer as PyTorch does: {how}",
        "nothing was written; report it with the versions of torch, onnx and onnxscript",
    )
