"""Averages over models and mirror images, against passes made one by one."""

from pathlib import Path

import made_scans as made
import numpy as np
import pytest
import torch

from dacl import DaclError, Predictor
from dacl.data import intensity
from dacl.prediction import ensemble
from dacl.prediction.model import Model, load_model

CPU = torch.device("cpu")
IMAGE_CZHW = intensity.apply("minmax", made.volume()[None])


def whole(models: list[Model], image_CZHW: np.ndarray, **options: bool) -> np.ndarray:
    """All of `averaged`, as one array (N, Z, H, W)."""
    slabs = ensemble.averaged(models, image_CZHW, made.SPACING_MM, CPU, **options)
    return np.concatenate([probs.numpy() for _, probs in slabs], axis=1)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Model]:
    root = tmp_path_factory.mktemp("models")
    geometries = (made.RESAMPLE, made.RESIZE, made.VOLUMES)
    runs = [made.write_model(root / f"{n}", image, seed=n) for n, image in enumerate(geometries)]
    return [load_model(run, CPU, network="mean") for run in runs]


@pytest.mark.parametrize("number", [0, 2])
def test_mirror_images_are_averaged(models: list[Model], number: int) -> None:
    model = models[number : number + 1]
    slow = 0
    for axes in ([], [3], [2], [2, 3]):
        mirrored = np.ascontiguousarray(np.flip(IMAGE_CZHW, axes))
        slow = slow + np.flip(whole(model, mirrored), axes)
    np.testing.assert_allclose(whole(model, IMAGE_CZHW, tta=True), slow / 4, atol=1e-6)
    assert np.abs(whole(model, IMAGE_CZHW) - slow / 4).max() > 0.01


def test_models_of_different_geometry_are_averaged(models: list[Model]) -> None:
    slow = np.mean([whole([model], IMAGE_CZHW) for model in models], axis=0)
    np.testing.assert_allclose(whole(models, IMAGE_CZHW), slow, atol=1e-6)
    assert not any(np.allclose(whole([model], IMAGE_CZHW), slow, atol=0.01) for model in models)


def test_sums_in_a_file_are_the_same_bits(
    models: list[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = whole(models, IMAGE_CZHW)
    monkeypatch.setattr(ensemble, "IN_MEMORY", 0)
    monkeypatch.setattr(ensemble, "_SLAB_BYTES", 1)
    slices = list(ensemble.averaged(models, IMAGE_CZHW, made.SPACING_MM, CPU))
    assert [(z.start, z.stop) for z, _ in slices] == [(i, i + 1) for i in range(5)]
    np.testing.assert_array_equal(whole(models, IMAGE_CZHW), in_memory)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"class_names": ("background", "RV", "LV", "Myo")}, "class names background, RV, Myo, LV and"),
        ({"channels": 2, "channel_names": ("T1", "T2")}, "channels 1 and 2"),
        ({"channel_names": ("T2",)}, "channel names MR and T2"),
        ({"intensity": "zscore"}, "intensity rule minmax and zscore"),
        ({"orientation": ""}, "orientation of the training data LPS and as stored"),
    ],
)  # fmt: skip
def test_models_that_answer_another_question_are_refused(
    tmp_path: Path, other: dict, said: str
) -> None:
    first = made.write_model(tmp_path / "first")
    second = made.write_model(tmp_path / "second", **other)
    with pytest.raises(DaclError, match="cannot be averaged") as caught:
        Predictor.load(first, second, device="cpu")
    assert said in caught.value.message
    assert str(second / "best.pt") in caught.value.message


def test_what_one_of_them_did_not_record_parts_nobody(tmp_path: Path) -> None:
    first = made.write_model(tmp_path / "first")
    old = made.write_model(tmp_path / "old", channel_names=(), orientation=None)
    assert len(Predictor.load(first, old, device="cpu").models) == 2


def test_a_model_that_never_saw_a_mirror_image_is_shown_none(tmp_path: Path) -> None:
    run = made.write_model(tmp_path / "run", {**made.RESAMPLE, "mirror": False})
    assert Predictor.load(run, device="cpu").options["tta"] is False
    with pytest.raises(DaclError, match="trained without mirror images") as caught:
        Predictor.load(run, device="cpu", tta=True)
    assert caught.value.hint == "predict without TTA"


def test_no_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(DaclError, match="no model"):
        Predictor.load()
