"""What only a GPU shows; skipped without one. Numbers agree to TF32: nothing there promises the same bits."""

import pytest
import tiny
import torch
from methods.test_static_shapes import VARIANTS
from torch.nn import functional as F

from dacl.config import merge
from dacl.networks.convolution import Conv3x3, over_groups
from dacl.networks.upsampling import BilinearUpsample
from dacl.training.loop import Trainer
from dacl.training.replay import Replayed

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
    pytest.mark.usefixtures("no_pictures"),
]

FP32 = {"device": "cuda", "precision": "fp32", "network": {"dropout": [0.0] * 5}}
STEPS = 12
OTHERS = {
    "class vectors": {"contrast": {"unit": "class"}},
    "shared bank": {"contrast": {"bank": "shared"}},
    "shared encoder": {"network": {"shared_encoder": True}},
    "volumes": {
        "image": {"dims": 3, "patch_depth": 16, "patch_size": 32, "slice_spacing_mm": 5.0},
        "network": {"vnet_dropout": 0.0},
        "optim": {"batch_labeled": 1, "batch_unlabeled": 1},
    },
}


def losses(data, run_dir, method: str, **over) -> list[list[float]]:
    """Of every step; the contrast begins at step 2, and steps 3, 6, 9, 12 are logged."""
    settings = {
        "contrast": {"warmup_fraction": 2 / STEPS}, "journal": {"log_every": 3}, "optim": {"steps": STEPS},
    }  # fmt: skip
    trainer = tiny.trainer_of(data, run_dir, method, **merge(settings, over))
    trainer.method.train()
    torch.manual_seed(0)
    for _ in range(STEPS):
        trainer.train_step()
    return torch.stack(trainer._recent.of_steps).tolist()


@pytest.mark.parametrize("method", ["supervised", "cps", "dacl"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_replayed_run_is_the_run(method, precision, data, tmp_path):
    settings = FP32 | {"precision": precision}
    expected = losses(data, tmp_path / "a", method, cuda_graph=False, **settings)
    found = losses(data, tmp_path / "b", method, **settings)
    assert found[0] == pytest.approx(expected[0], rel=1e-3)
    # kernel by kernel nothing goes over groups: the last digits differ, and with them which pixels are sparse
    assert found[-1][:3] == pytest.approx(expected[-1][:3], rel=5e-2, abs=5e-2)
    assert found[-1][3:] == pytest.approx(expected[-1][3:], rel=0.25)


@pytest.mark.parametrize("over", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_other_networks_and_units_are_replayed_as_well(over, precision, data, tmp_path):
    settings = merge(FP32 | {"precision": precision}, over)
    expected = losses(data, tmp_path / "a", "dacl", cuda_graph=False, **settings)
    found = losses(data, tmp_path / "b", "dacl", **settings)
    assert found[0] == pytest.approx(expected[0], rel=1e-3)
    assert found[-1][:3] == pytest.approx(expected[-1][:3], rel=5e-2, abs=5e-2)
    # which pixels are sparse follows from the last digits; of a volume's few, one more moves the mean by a tenth
    assert found[-1][3] == pytest.approx(expected[-1][3], rel=0.25)


def test_the_gpu_has_the_losses_of_the_cpu(data, tmp_path):
    expected = losses(data, tmp_path / "a", "dacl", **FP32 | {"device": "cpu"})
    found = losses(data, tmp_path / "b", "dacl", **FP32)
    assert found[0][:3] == pytest.approx(
        expected[0][:3], rel=1e-3
    )  # the contrast draws other numbers
    assert found[-1][:3] == pytest.approx(expected[-1][:3], rel=5e-2, abs=5e-2)


@pytest.mark.parametrize("contrast", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_nothing_in_a_step_waits_for_the_device(contrast, data, tmp_path):
    """Of an unlogged step and of a logged one."""
    trainer = tiny.trainer_of(
        data, tmp_path / "run", "dacl", device="cuda", cuda_graph=False,
        contrast=contrast | {"warmup_fraction": 0.0}, journal={"log_every": 3},
    )  # fmt: skip
    trainer.method.train()
    trainer.train_step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.train_step()
        trainer.train_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert trainer._terms.diagnostics


def test_dropout_draws_anew_in_every_replay(data, tmp_path):
    trainer = tiny.trainer_of(
        data, tmp_path / "run", "cps", device="cuda", precision="fp32", journal={"log_every": 3}
    )
    trainer.method.train()
    for _ in range(5):
        trainer.train_step()
    batch = trainer.feed.batch(6)
    moment = trainer.method.moment(batch, 6)
    first, second = (trainer._replayed(batch, moment, 0.0).total.item() for _ in range(2))
    assert first != second


def test_a_replayed_logged_step_has_the_diagnostics_of_one_as_it_is(data, tmp_path):
    found = []
    for replayed in (False, True):
        trainer = tiny.trainer_of(
            data, tmp_path / str(replayed), "dacl", cuda_graph=replayed,
            contrast={"warmup_fraction": 0.0}, journal={"log_every": 3}, **FP32,
        )  # fmt: skip
        trainer.method.train()
        torch.manual_seed(0)
        for _ in range(6):
            trainer.train_step()
        found.append({key: value.tolist() for key, value in trainer._terms.diagnostics.items()})
    expected, ours = found
    assert list(ours) == list(expected)
    for key in ("feature_compactness", "feature_density", "gradient_share"):
        assert ours[key] == pytest.approx(expected[key], rel=0.1, abs=0.1, nan_ok=True), key


@pytest.mark.parametrize("method", ["supervised", "dacl"])
def test_a_run_stopped_and_resumed_ends(method, data, tmp_path):
    settings = tiny.config(method, device="cuda")
    stop_at = settings.optim.steps // 2
    trainer = tiny.trainer_of(data, tmp_path / "run", method, device="cuda")
    assert isinstance(trainer._replayed, Replayed)
    trainer.run(tiny.Quiet(), lambda: trainer.step == stop_at)
    resumed = Trainer.resume(tmp_path / "run")
    assert resumed.step == stop_at
    assert resumed.run(tiny.Quiet()).finished


def test_doubling_a_map_loses_what_bf16_loses():
    x = torch.randn(2, 16, 32, 24, device="cuda").to(memory_format=torch.channels_last)
    grown = torch.randn(2, 16, 64, 48, device="cuda")
    found = []
    for bf16 in (False, True):
        own = x.clone().requires_grad_()
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=bf16):
            out = BilinearUpsample()(own)
        (out.float() * grown).sum().backward()
        found.append((out.detach().float(), own.grad))
    for exact, ours in zip(*found, strict=True):
        assert F.mse_loss(ours, exact) < 1e-4 * exact.square().mean()


@pytest.mark.parametrize("channels", [(1, 16), (16, 16), (32, 16), (16, 4), (64, 32)])
@pytest.mark.parametrize("bf16", [False, True])
def test_groups_of_columns_lose_what_the_precision_loses(channels, bf16):
    layer = Conv3x3(*channels, normed=False)
    x = torch.randn(2, channels[0], 32, 64)
    grown = torch.randn(2, channels[1], 32, 64)
    layer(x).backward(grown)
    expected = (layer(x).detach(), layer.weight.grad, layer.bias.grad)
    ours = Conv3x3(*channels, normed=False)
    ours.load_state_dict(layer.state_dict())
    ours = ours.cuda().to(memory_format=torch.channels_last)
    over_groups(ours, torch.device("cuda"))
    assert ours.grouped
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=bf16):
        out = ours(x.cuda().to(memory_format=torch.channels_last))
    assert out.dtype == (torch.bfloat16 if bf16 else torch.float32)
    out.float().backward(grown.cuda())
    for exact, found in zip(expected, (out, ours.weight.grad, ours.bias.grad), strict=True):
        found = found.detach().float().cpu()
        assert F.mse_loss(found, exact) < (1e-4 if bf16 else 1e-5) * exact.square().mean()


def test_what_is_drawn_ahead_is_what_would_be_drawn(data, tmp_path):
    trainer = tiny.trainer_of(data, tmp_path / "run", "dacl", device="cuda")
    trainer.method.train()
    drawn = []
    learn = trainer._replayed

    def seen(batch, moment, lr):
        drawn.append((batch.images.clone(), batch.labels.clone()))
        return learn(batch, moment, lr)

    trainer._replayed = seen
    for _ in range(6):
        trainer.train_step()
    for step, (images, labels) in enumerate(drawn):
        expected = trainer.feed.batch(step)
        torch.testing.assert_close(images, expected.images, rtol=0, atol=0)
        torch.testing.assert_close(labels, expected.labels, rtol=0, atol=0)
