"""What the tests of `dacl train` share: the smallest dataset, an empty folder, a short run in it."""

import pytest
import tiny


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A prepared dataset; read only."""
    return tiny.write_dataset(tmp_path_factory.mktemp("prepared") / "data")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def no_pictures():
    """See `tiny.no_pictures`."""
    with tiny.no_pictures():
        yield


@pytest.fixture
def train(run_dacl, prepared, place):
    """Run `dacl train` on the dataset with the smallest settings."""

    def run(*args, data=prepared):
        return run_dacl("train", "--data", data, *tiny.options(), *args)

    return run


@pytest.fixture(scope="session")
def finished(prepared, tmp_path_factory):
    """A finished run; read only."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with tiny.no_pictures():
        tiny.train(prepared, folder, tiny.config("cps", optim={"steps": 5}))
    return folder
