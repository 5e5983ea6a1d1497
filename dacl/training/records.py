"""The lines of a run's journal; docs/health.md says what each number means."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from dacl.methods.base import Terms
from dacl.training.validation import Validation

Record = dict[str, Any]


def train_record(
    step: int,
    mean_losses: Sequence[float],
    terms: Terms,
    weights: dict[str, float],
    lr: float,
    class_names: Sequence[str],
) -> Record:
    """Losses (total, then parts) as means since the last record; weights and diagnostics of the last step."""
    return {
        "kind": "train",
        "step": step,
        "loss": mean_losses[0],
        "parts": dict(zip(terms.parts, mean_losses[1:], strict=True)),
        "weights": weights,
        "lr": lr,
        "diagnostics": {
            key: _by_class(values, class_names) for key, values in terms.diagnostics.items()
        },
    }


def val_record(step: int, validation: Validation, class_names: Sequence[str]) -> Record:
    """`{network: {class: value}}` of each measure; pseudo-labels and agreement where the method has them."""
    record = {
        "kind": "val",
        "step": step,
        "dice": _by_network(validation.dice, class_names),
        "mean_dice": {name: _mean_defined(values) for name, values in validation.dice.items()},
    }
    if validation.precision:
        record["pseudo_label_precision"] = _by_network(validation.precision, class_names)
        record["pseudo_label_recall"] = _by_network(validation.recall, class_names)
    if validation.agreement is not None:
        record["agreement"] = _by_class(validation.agreement, class_names)
    return record


def warning_record(step: int, text: str) -> Record:
    """What `dacl.training.health` found."""
    return {"kind": "warning", "step": step, "text": text}


def _by_network(values: dict[str, np.ndarray], class_names: Sequence[str]) -> Record:
    return {name: _by_class(vector, class_names) for name, vector in values.items()}


def _by_class(values: Tensor | np.ndarray, class_names: Sequence[str]) -> Any:
    """A vector as {class: value}, a scalar as a number."""
    numbers = values.tolist()
    return dict(zip(class_names, numbers, strict=True)) if values.ndim else numbers


def _mean_defined(values: np.ndarray) -> float:
    """Mean over the classes that are defined; 0 where none is: the best only until another validation is above 0."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else 0.0
