"""Means of arrays with holes."""

import numpy as np
import pytest

from dacl.metrics.means import defined_mean


def test_the_defined_mean_is_numpys_and_nan_where_nothing_is_left():
    values = np.array([[0.1, np.nan, 3.0], [0.2, np.nan, np.nan]])
    found = defined_mean(values)
    assert found[0] == pytest.approx(0.15)
    assert np.isnan(found[1])
    assert found[2] == 3.0
