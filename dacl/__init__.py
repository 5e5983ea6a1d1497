"""Semi-supervised medical image segmentation with density-aware contrastive learning."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["DaclError", "Prediction", "Predictor", "__version__"]

if TYPE_CHECKING:
    from dacl.errors import DaclError
    from dacl.prediction.predictor import Prediction, Predictor

_WHERE = {
    "DaclError": "dacl.errors",
    "Prediction": "dacl.prediction.predictor",
    "Predictor": "dacl.prediction.predictor",
}


def __getattr__(name: str) -> Any:
    """Import on first use what stands in `__all__`: `import dacl` itself loads nothing heavy."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_WHERE[name]), name)
