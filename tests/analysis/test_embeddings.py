"""Embeddings of pixels are what the network's map holds in their cells, pixel for pixel."""

import numpy as np
import pytest
import tiny_run
import torch

from dacl.analysis import embeddings
from dacl.analysis.embeddings import cell_grid, embed_pixels, require_space
from dacl.analysis.pixels import draw_pixels
from dacl.data.grid import to_network
from dacl.errors import DaclError
from dacl.training.checkpoint import load_trained

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return tiny_run.write_dataset(tmp_path_factory.mktemp("data") / "blocks")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, dataset):
    root = tmp_path_factory.mktemp("runs")
    methods = ("dacl", "cps", "supervised")
    return {name: tiny_run.write_run(root / name, dataset, method=name) for name in methods}


def opened(runs, name="dacl"):
    trained = load_trained(runs[name], CPU)
    generator = torch.Generator().manual_seed(0)
    for norm in trained.method.modules():  # as after training: the modes then differ
        if isinstance(norm, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            norm.running_mean.normal_(0, 0.3, generator=generator)
    return trained


def drawn(dataset, trained, space, network="a", points=60):
    grid = cell_grid(trained, space, network, CPU)
    cases = dataset.cases(dataset.split.test)
    return grid, draw_pixels(dataset, cases, [grid], points=points, seed=0)


@pytest.mark.parametrize("network", ["a", "b"])
@pytest.mark.parametrize(("space", "stride"), [("features", 2), ("projection", 2), ("logits", 1)])
def test_each_pixel_has_the_embedding_of_its_cell(dataset, runs, space, stride, network):
    trained = opened(runs)
    grid, pixels = drawn(dataset, trained, space, network)
    assert grid.stride == stride
    found = embed_pixels(trained, dataset, pixels, space=space, network=network, device=CPU)
    assert found.dtype == np.float32
    for n in range(0, len(found), 7):
        case = pixels.cases[pixels.case_N[n]]
        z, y, x = pixels.zyx_N3[n]
        image = dataset.read_image(case.id)[:, z : z + 1]
        with torch.no_grad():
            out = trained.method.forward_networks(
                to_network(image, case.spacing_mm, trained.config.image, 16)
            )[network]
        rows, columns = grid.cells(case.shape_ZHW[1:], case.spacing_mm)
        grid_map = out.logits if space == "logits" else out.features
        vector = grid_map[0, :, rows[y], columns[x]]
        if space == "projection":
            projected = trained.method.contrast[network].head(vector[None])[0]
            vector = projected / projected.norm()
        np.testing.assert_allclose(found[n], vector.detach().numpy(), atol=1e-5)
    if space == "projection":
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_blocks_of_slices_change_nothing(dataset, runs, monkeypatch):
    trained = opened(runs)
    _, pixels = drawn(dataset, trained, "features")
    options = {"space": "features", "network": "a", "device": CPU}
    whole = embed_pixels(trained, dataset, pixels, **options)
    monkeypatch.setattr(embeddings, "SLICES_AT_ONCE", 1)
    told = []
    single = embed_pixels(trained, dataset, pixels, report=lambda *at: told.append(at), **options)
    np.testing.assert_allclose(single, whole, atol=1e-5)
    assert told[-1] == (4, 4, "")


def test_only_the_network_asked_for_runs(dataset, runs, monkeypatch):
    trained = opened(runs)
    _, pixels = drawn(dataset, trained, "features")
    monkeypatch.setattr(trained.method.networks["b"], "forward", None)
    embed_pixels(trained, dataset, pixels, space="features", network="a", device=CPU)


@pytest.mark.parametrize(
    ("method", "space", "network", "said"),
    [
        ("cps", "projection", "a", "no projection head"),
        ("supervised", "features", "b", "no network 'b'"),
    ],
)
def test_what_a_method_has_not_is_said(runs, method, space, network, said):
    trained = opened(runs, method)
    with pytest.raises(DaclError, match=said) as raised:
        require_space(trained, space, network)
    assert raised.value.hint
    require_space(trained, "features", "a")


def test_embeddings_that_are_not_finite_are_refused(dataset, runs):
    trained = opened(runs)
    _, pixels = drawn(dataset, trained, "features")
    with torch.no_grad():
        trained.method.networks["a"].classifier.weight.fill_(torch.nan)
    embed_pixels(trained, dataset, pixels, space="features", network="a", device=CPU)
    with pytest.raises(DaclError, match="60 of 60 embeddings are not finite") as raised:
        embed_pixels(trained, dataset, pixels, space="logits", network="a", device=CPU)
    assert "diverged" in raised.value.hint
