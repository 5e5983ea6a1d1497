"""The tiny dataset, and training without the slow pictures."""

import pytest
import tiny


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A prepared dataset; read only."""
    return tiny.write_dataset(tmp_path_factory.mktemp("tiny") / "data")


@pytest.fixture
def no_pictures(monkeypatch):
    """Leave progress.png out: drawing it takes longer than training."""
    from dacl.training.journal import Journal

    monkeypatch.setattr(Journal, "draw", lambda self: self.run_dir / "progress.png")
