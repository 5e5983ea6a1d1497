"""Means over what is defined."""

import numpy as np


def defined_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis without NaN; NaN where nothing is left."""
    total, count = np.nansum(values, axis=0), (~np.isnan(values)).sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
