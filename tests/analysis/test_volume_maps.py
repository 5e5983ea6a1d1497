"""A 3D network looked at: pixels in cells of their own along all axes, each with the vector of its cell."""

import numpy as np
import pytest
import tiny_run
import torch

from dacl.analysis.density.slices import slice_density
from dacl.analysis.density.units import densities_of_batches
from dacl.analysis.embeddings import cell_grid, embed_pixels
from dacl.analysis.pixels import CellGrid, draw_pixels
from dacl.analysis.volume_maps import at_voxels
from dacl.config import ImageConfig
from dacl.data.volume_grid import image_to_network
from dacl.inference.volumes import predict_volume
from dacl.training.checkpoint import load_trained

CPU = torch.device("cpu")
VOLUMES = {
    "dims": 3, "geometry": "resample", "patch_size": 32, "patch_depth": 16,
    "spacing_mm": 0.5, "slice_spacing_mm": 1.25,
}  # fmt: skip
RESIZE = VOLUMES | {"geometry": "resize", "volume_shape": (16, 32, 32)}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return tiny_run.write_dataset(tmp_path_factory.mktemp("data") / "blocks")


def opened(root, dataset, image=VOLUMES, method="dacl"):
    run = tiny_run.write_run(root / "run", dataset, method=method, image=image)
    return load_trained(run, CPU)


def image_config(**over):
    return ImageConfig(**(VOLUMES | over))


@pytest.mark.parametrize("shape", [(3, 40, 50), (16, 32, 32), (41, 33, 90)])
@pytest.mark.parametrize("overlap", [0.0, 0.5])
@pytest.mark.parametrize("stride", [1, 2])
def test_every_voxel_finds_the_cell_that_it_lies_in(shape, overlap, stride):
    image = image_config(window_overlap=overlap)
    volume = torch.arange(float(np.prod(shape))).view(1, *shape)
    voxels = torch.cartesian_prod(*map(torch.arange, shape))

    def map_of(windows):
        return windows[..., ::stride, ::stride, ::stride]

    found = at_voxels(map_of, volume, voxels, image, stride, CPU)[:, 0]
    corner = voxels // stride * stride
    assert torch.equal(found, volume[0, corner[:, 0], corner[:, 1], corner[:, 2]])


def test_the_window_is_the_one_with_most_context():
    image = image_config()

    def map_of(windows):
        edge = [torch.minimum(i := torch.arange(n), n - 1 - i) for n in windows.shape[2:]]
        z, y, x = torch.meshgrid(*edge, indexing="ij")
        return torch.stack([z, y, x])[None].float()

    shape = (40, 80, 32)
    voxels = torch.cartesian_prod(*map(torch.arange, shape))
    distances = at_voxels(map_of, torch.zeros(1, *shape), voxels, image, 1, CPU)
    for axis, (extent, side) in enumerate(zip(shape, (16, 32, 32), strict=True)):
        inner = (voxels[:, axis] >= side // 2) & (voxels[:, axis] < extent - side // 2)
        assert not inner.any() or distances[inner, axis].min() >= side // 4 - 1


@pytest.mark.parametrize("image", [VOLUMES, RESIZE], ids=["resample", "resize"])
def test_no_two_pixels_share_a_cell_along_any_axis(image, dataset):
    fine, coarse = CellGrid(ImageConfig(**image), 2), CellGrid(ImageConfig(**image | {
        "slice_spacing_mm": 20.0, "volume_shape": (16, 32, 32)}), 2)  # fmt: skip
    cases = dataset.cases(dataset.split.test)
    for grids in ((fine,), (fine, coarse)):
        pixels = draw_pixels(dataset, cases, grids, points=4000, seed=0)
        for grid in grids:
            case = cases[0]
            rows, columns = grid.cells(case.shape_ZHW[1:], case.spacing_mm)
            layers = grid.layers(case.shape_ZHW[0], case.spacing_mm)
            cells = {
                (number, layers[z], rows[y], columns[x])
                for number, (z, y, x) in zip(pixels.case_N, pixels.zyx_N3.tolist(), strict=True)
            }
            assert len(cells) == len(pixels.class_N) > 0
    assert fine.key != CellGrid(ImageConfig(geometry=image["geometry"], spacing_mm=0.5), 2).key


def test_slices_of_one_layer_are_thinned_together(dataset):
    """At 20 mm and stride 2 all three slices of 10 mm lie in one layer: a pixel of one of them is kept."""
    grid = CellGrid(image_config(slice_spacing_mm=20.0, spacing_mm=1.5), 2)
    case = dataset.cases(dataset.split.test)[0]
    assert grid.layers(3, case.spacing_mm).tolist() == [0, 0, 0]
    pixels = draw_pixels(dataset, [case], [grid], points=4000, seed=0)
    rows, columns = grid.cells(case.shape_ZHW[1:], case.spacing_mm)
    assert len(pixels.class_N) == len(np.unique(rows)) * len(np.unique(columns))
    assert set(pixels.zyx_N3[:, 0]) == {0, 1, 2}


@pytest.mark.parametrize("network", ["a", "b"])
@pytest.mark.parametrize(("space", "stride"), [("features", 2), ("projection", 2), ("logits", 1)])
def test_each_pixel_has_the_embedding_of_its_cell(dataset, tmp_path, space, stride, network):
    """A volume of one window: 16 x 32 x 32 of the network's voxels."""
    trained = opened(tmp_path, dataset, RESIZE)
    grid = cell_grid(trained, space, network, CPU)
    assert grid.stride == stride
    pixels = draw_pixels(dataset, dataset.cases(dataset.split.test), [grid], points=60, seed=0)
    found = embed_pixels(trained, dataset, pixels, space=space, network=network, device=CPU)
    for n in range(0, len(found), 5):
        case = pixels.cases[pixels.case_N[n]]
        z, y, x = pixels.zyx_N3[n]
        image = image_to_network(dataset.read_image(case.id), case.spacing_mm, trained.config.image)
        with torch.no_grad():
            out = trained.method.forward_networks(image[None])[network]
        rows, columns = grid.cells(case.shape_ZHW[1:], case.spacing_mm)
        layers = grid.layers(case.shape_ZHW[0], case.spacing_mm)
        grid_map = out.logits if space == "logits" else out.features
        vector = grid_map[0, :, layers[z], rows[y], columns[x]]
        if space == "projection":
            projected = trained.method.contrast[network].head(vector[None])[0]
            vector = projected / projected.norm()
        np.testing.assert_allclose(found[n], vector.detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("method", ["dacl", "cps", "supervised"])
def test_density_of_a_slice_and_of_batches(dataset, tmp_path, method):
    trained = opened(tmp_path, dataset, method=method)
    space = "projection" if method == "dacl" else "features"
    case = dataset.info("p5_frame02")
    found = slice_density(trained, dataset, case, 1, space=space, network="a", device=CPU)
    image = dataset.read_image(case.id)
    masks = predict_volume(trained.method, image, case.spacing_mm, trained.config.image, CPU)
    np.testing.assert_array_equal(found.predicted_HW, masks["a"][1])
    np.testing.assert_array_equal(found.image_HW, image[0, 1])
    foreground = found.predicted_HW > 0
    assert np.isnan(found.density_HW[~foreground]).all()
    known = found.density_HW[foreground]
    assert ((known >= -1.001) & (known <= 1.001)).mean() > 0.9
    classes = densities_of_batches(
        trained, dataset, space=space, network="a", batches=1, seed=0, device=CPU
    )
    assert [of.name for of in classes] == list(tiny_run.CLASSES[1:])
