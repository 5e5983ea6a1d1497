"""What the contrast sees of a checkpoint, on a run of untrained networks."""

from pathlib import Path

import numpy as np
import pytest
import tiny_run
import torch
from hypothesis import given
from hypothesis import strategies as st

from dacl.analysis.density import slices as density_map
from dacl.analysis.density.slices import choose_slice, slice_density
from dacl.analysis.density.units import as_contrast, choose_space, densities_of_batches
from dacl.config import ContrastConfig, ImageConfig
from dacl.data.grid import network_pixels, resampled_size, to_native
from dacl.data.prepared import PreparedDataset
from dacl.errors import DaclError
from dacl.methods.dacl import Dacl
from dacl.methods.density_contrast import DensityContrast
from dacl.training.checkpoint import Trained, load_trained

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return tiny_run.write_dataset(tmp_path_factory.mktemp("data") / "blocks")


@pytest.fixture
def trained(request, tmp_path: Path, dataset: PreparedDataset) -> Trained:
    method = getattr(request, "param", "dacl")
    return load_trained(tiny_run.write_run(tmp_path / "run", dataset, method=method), CPU)


def look(trained: Trained, dataset: PreparedDataset, **changes):
    options = {"space": "projection", "network": "a", "batches": 3, "seed": 0, "device": CPU}
    return densities_of_batches(trained, dataset, **(options | changes))


def loop_density(units: np.ndarray, scales: tuple[int, ...]) -> list[float]:
    found = []
    for i, unit in enumerate(units):
        cosines = sorted((float(unit @ v) for j, v in enumerate(units) if j != i), reverse=True)
        found.append(float(np.mean([np.mean(cosines[:k]) for k in scales])))
    return found


@pytest.mark.parametrize("trained", ["dacl", "cps", "supervised"], indirect=True)
def test_densities_in_the_decoder_map_equal_the_loop(trained, dataset):
    scales = trained.config.contrast.scales
    for found in look(trained, dataset, space="features"):
        assert found.units_MD.shape[1] == 2 * trained.config.network.width
        assert found.bank_LD.shape[0] == 0
        for number in range(3):
            mine = found.batch_M == number
            assert mine.any()
            np.testing.assert_allclose(
                found.density_M[mine], loop_density(found.units_MD[mine], scales), atol=1e-5
            )


def test_anchors_are_the_sparsest_and_keys_the_densest_of_their_batch(trained, dataset):
    for found in look(trained, dataset):
        for number in range(3):
            mine = found.batch_M == number
            density = np.sort(found.density_M[mine])
            anchors, keys = (mark[mine] for mark in (found.anchor_M, found.key_M))
            assert anchors.any()
            assert not (anchors & keys).any()
            own = found.density_M[mine]
            np.testing.assert_array_equal(np.sort(own[anchors]), density[: anchors.sum()])
            np.testing.assert_array_equal(np.sort(own[keys]), density[-keys.sum() :])


def test_looking_changes_nothing_and_repeats(trained, dataset):
    before = {key: value.clone() for key, value in trained.method.state_dict().items()}
    first, again, other = (look(trained, dataset, seed=seed) for seed in (0, 0, 1))
    for key, value in trained.method.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert not trained.method.training
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.density_M, two.density_M)
    assert not np.array_equal(first[0].density_M, other[0].density_M)


def test_no_label_of_an_unlabelled_patient_is_read(trained, dataset, monkeypatch):
    read = PreparedDataset.read_label
    asked = []

    def watch(self, case_id):
        asked.append(self.info(case_id).patient)
        return read(self, case_id)

    monkeypatch.setattr(PreparedDataset, "read_label", watch)
    look(trained, dataset)
    assert set(asked) == set(trained.meta.labeled_patients)


def test_the_bank_counts_where_it_is_filled(trained, dataset):
    assert isinstance(trained.method, Dacl)
    bank = trained.method.contrast["a"].bank
    units = torch.nn.functional.normalize(torch.randn(3, 40, bank.features_CLD.shape[2]), dim=-1)
    bank.insert(units, torch.rand(3, 40), torch.ones(3, 40, dtype=torch.bool))
    for found in look(trained, dataset):
        assert len(found.bank_LD) == 40
        assert 0 < found.bank_key_L.sum() <= 20
        summary = found.summary()
        assert summary["bank"] == 40
        assert summary["anchor_density"] < summary["density"] < summary["key_density"]


def test_the_summary_of_a_class_without_units():
    from dacl.analysis.density.units import ClassDensity

    none = np.zeros(0)
    found = ClassDensity(
        name="LV", density_M=none, anchor_M=none.astype(bool), key_M=none.astype(bool),
        batch_M=none.astype(int), units_MD=np.zeros((0, 4)), bank_LD=np.zeros((0, 4)),
        bank_key_L=none.astype(bool), active_batches=0,
    ).summary()  # fmt: skip
    assert found["units"] == 0
    assert found["density"] is found["anchor_density"] is found["compactness"] is None
    assert found["density_percentiles"] == {}


@pytest.mark.parametrize("trained", ["cps", "supervised"], indirect=True)
def test_a_method_without_a_projection(trained):
    assert choose_space(trained, "auto") == "features"
    with pytest.raises(DaclError, match="no projection head") as error:
        choose_space(trained, "projection")
    assert "--space features" in error.value.hint
    assert as_contrast(trained, "features").networks["a"] is trained.method.networks["a"]


def test_a_method_with_a_projection(trained):
    assert choose_space(trained, "auto") == "projection"
    assert choose_space(trained, "features") == "features"
    assert as_contrast(trained, "projection") is trained.method


def on_slice(trained, dataset, case_id="p4_frame01", z=0, space="projection"):
    case = dataset.info(case_id)
    return slice_density(trained, dataset, case, z, space=space, network="a", device=CPU)


@pytest.mark.parametrize("space", ["projection", "features"])
def test_a_slice_has_densities_on_its_foreground_alone(trained, dataset, space):
    found = on_slice(trained, dataset, space=space)
    assert found.density_HW.shape == found.image_HW.shape == tiny_run.SHAPE[1:]
    known = ~np.isnan(found.density_HW)
    np.testing.assert_array_equal(known, found.predicted_HW > 0)
    assert (np.abs(found.density_HW[known]) <= 1 + 1e-6).all()
    assert not (found.anchor_HW & ~known).any()


@pytest.mark.parametrize(("source", "bank_counts", "slice_counts"), [
    ("both", True, True), ("batch", False, True), ("bank", True, False),
])  # fmt: skip
def test_neighbours_in_a_slice_are_sought_where_the_run_seeks_them(
    source, bank_counts, slice_counts
):
    config = ContrastConfig(density_from=source, scales=(2,), bank_size=4, projection_dim=3)
    contrast = DensityContrast(config, 3, 2, torch.Generator())
    contrast.head = torch.nn.Identity()
    e, f = torch.eye(3)[:2]
    contrast.bank.insert(torch.stack([e, e])[None], torch.ones(1, 2), torch.ones(1, 2).bool())
    # In one row of four cells: two along e, two along f; all are of the class and sure.
    features_FHW = torch.stack([e, e, f, f], dim=1)[:, None]
    everywhere = torch.ones(2, 1, 4).bool()
    (background, density), anchor = density_map._densities(
        contrast, features_FHW, torch.ones(1, 4).long(), torch.ones(1, 4).bool(), everywhere
    )
    assert background.isnan().all()
    # The nearest two of a cell along e, itself apart: the bank's two, else its like and one across; along f: its like
    # where the slice counts, and one across.
    along_e = 1.0 if bank_counts else 0.5
    along_f = 0.5 if slice_counts else 0.0
    np.testing.assert_allclose(density, [[along_e, along_e, along_f, along_f]], atol=1e-6)
    assert anchor.sum() == 2  # never more than half


def test_a_pixel_on_a_border_is_held_against_the_units_of_its_own_class():
    config = ContrastConfig(density_from="batch", scales=(2,), bank_size=0, projection_dim=3)
    contrast = DensityContrast(config, 3, 3, torch.Generator())
    contrast.head = torch.nn.Identity()
    e, f = torch.eye(3)[:2]
    features_FHW = torch.stack([e, e, (e + f), f], dim=1)[:, None]
    cells = torch.tensor([[1, 1, 2, 2]])
    shown = torch.zeros(3, 1, 4, dtype=torch.bool)
    shown[1, 0, :3] = shown[2, 0, 2:] = True  # the third cell has pixels of both classes
    density, anchor = density_map._densities(
        contrast, features_FHW, cells, torch.zeros(1, 4).bool(), shown
    )
    half = 0.5**0.5
    np.testing.assert_allclose(density[1, 0, :3], [1, 1, half], atol=1e-6)
    assert density[1, 0, 3].isnan()
    np.testing.assert_allclose(density[2, 0, 2:], [half, half], atol=1e-6)
    assert not anchor.any()  # nothing is sure


def test_the_errors_of_a_slice_are_counted(trained, dataset):
    found = on_slice(trained, dataset)
    counts = found.summary()
    right = {"anchors": 0, "wrong_anchors": 0, "predicted": 0, "wrong_predicted": 0}
    for y, x in np.ndindex(found.truth_HW.shape):
        wrong = found.truth_HW[y, x] != found.predicted_HW[y, x]
        for key, there in (("anchors", found.anchor_HW), ("predicted", found.predicted_HW > 0)):
            right[key] += int(there[y, x])
            right[f"wrong_{key}"] += int(there[y, x] and wrong)
    assert counts == right
    assert counts["predicted"] > counts["wrong_predicted"] > 0


def test_a_slice_is_predicted_as_everywhere_else(trained, dataset):
    from dacl.inference.slices import predict_volume

    case = dataset.info("p5_frame02")
    image = dataset.read_image(case.id)
    masks = predict_volume(trained.method, image, case.spacing_mm, trained.config.image, CPU)
    for z in range(image.shape[1]):
        np.testing.assert_array_equal(
            on_slice(trained, dataset, case.id, z).predicted_HW, masks["a"][z]
        )


def test_the_slice_that_is_chosen(dataset):
    cases = [dataset.info(name) for name in ("p4_frame01", "p4_frame02", "p5_frame01")]
    case, z = choose_slice(dataset, cases, None, None)
    assert case.id == "p4_frame02"
    assert z == 1  # slices 0 and 1 hold every class
    assert choose_slice(dataset, cases, "p5_frame01", 2)[1] == 2
    with pytest.raises(DaclError, match="no slice 4") as error:
        choose_slice(dataset, cases, None, 3)
    assert "1 to 3" in error.value.hint
    with pytest.raises(DaclError, match="no labelled case"):
        choose_slice(dataset, cases, "p1_frame01", None)


@given(height=st.integers(3, 60), width=st.integers(3, 60), mm=st.floats(0.6, 3.0))
def test_network_pixels_are_where_the_image_was_taken_from(height, width, mm):
    spacing = (10.0, mm, 1.5)
    resample = ImageConfig(geometry="resample", patch_size=32, spacing_mm=1.5)
    rows, columns = network_pixels((height, width), spacing, resample)
    size = resampled_size((height, width), spacing, resample)
    for indices, n, m in ((rows, height, size[0]), (columns, width, size[1])):
        assert len(indices) == n
        for place, index in enumerate(indices.tolist()):
            centre = (place + 0.5) * m / n  # in network pixels, whose k-th spans [k, k + 1)
            assert index <= centre < index + 1 + 1e-9


def test_network_pixels_of_resize_are_those_of_the_way_back():
    image = ImageConfig(geometry="resize", patch_size=32, spacing_mm=1.5)
    rows, columns = network_pixels((24, 20), None, image)
    marked = torch.zeros(1, 2, 32, 32)
    marked[0, 1] = (torch.arange(32 * 32).reshape(32, 32) % 3 == 0).float()
    native = to_native(marked, (24, 20), None, image)[0]
    at = marked[0, 1][rows[:, None], columns[None, :]]
    torch.testing.assert_close(native.float(), (at > 0).float())
