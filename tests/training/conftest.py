"""The tiny dataset, and training without the slow pictures."""

import pytest
import tiny


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A prepared dataset; read only."""
    return tiny.write_dataset(tmp_path_factory.mktemp("tiny") / "data")


@pytest.fixture
def no_pictures():
    """See `tiny.no_pictures`."""
    with tiny.no_pictures():
        yield
