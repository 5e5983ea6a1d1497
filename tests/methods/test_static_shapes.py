"""What a GPU and the compiler need: shapes that no value decides, one graph for all steps, no wait for the device."""

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from methods import tiny_batch as tiny

from dacl.config import resolve
from dacl.contrast import shapes
from dacl.methods import METHODS, Batch
from dacl.networks.convolution import Conv3x3, Conv3x3x3
from dacl.networks.heads import BatchNorm
from dacl.training.replay import tensors_of, with_tensors

VARIANTS = {
    "default": {},
    "class vectors": {"unit": "class"},
    "pixel negatives": {"negatives_from": "pixels"},
    "class vectors, pixel negatives": {"unit": "class", "negatives_from": "pixels"},
    "random sampling": {"sampling": "random"},
    "literal": {"denominator": "decoupled", "reduction": "sum", "positiveness": "inside_attached"},
}


@pytest.mark.parametrize("contrast", VARIANTS.values(), ids=VARIANTS)
def test_fixed_shapes_choose_the_same_and_give_the_same_loss(contrast, monkeypatch):
    method = tiny.build(tiny.config(warmup_fraction=0.0, **contrast))
    batch = tiny.batch()
    found = []
    for fixed in (False, True):
        monkeypatch.setattr(shapes, "can_look", lambda _tensor, fixed=fixed: not fixed)
        torch.manual_seed(0)
        moment = method.moment(batch, 10)
        outputs = method.forward_networks(batch.images)
        classes = method.reliable("a", outputs, batch, 10)
        features = outputs["a"].features
        chosen = method.contrast["a"].select(features, classes, moment.draws["a"])
        term = method.contrast["a"](features, classes, moment.draws["a"])
        term.loss.backward()
        gradient = method.contrast["a"].head.layers[0].weight.grad
        found.append((chosen, term, gradient.clone()))
        method.zero_grad()
    (chosen, term, gradient), (fixed_chosen, fixed_term, fixed_gradient) = found
    for name in ("anchors", "keys", "bank_keys"):
        ours, theirs = getattr(chosen, name), getattr(fixed_chosen, name)
        for n in range(tiny.N - 1):
            picked = [c.index_CM[n][c.valid_CM[n]].tolist() for c in (ours, theirs)]
            assert picked[0] == picked[1]
    assert chosen.anchors.valid_CM.any()
    torch.testing.assert_close(term.loss, fixed_term.loss, rtol=1e-4, atol=0)
    torch.testing.assert_close(gradient, fixed_gradient, rtol=1e-2, atol=1e-4)
    units_kept = [t.insertion[0][t.insertion[2]] for t in (term, fixed_term)]
    torch.testing.assert_close(*units_kept, rtol=0, atol=1e-3)


def test_batch_statistics_without_the_padding_are_those_of_the_rows_that_exist():
    layers = [BatchNorm(3).double() for _ in range(2)]
    x = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    valid = torch.arange(20) % 3 > 0
    padded = torch.where(valid[:, None], x, 1e3)
    expected, found = layers[0](x[valid]), layers[1](padded, valid)[valid]
    torch.testing.assert_close(found, expected)
    for (name, ours), theirs in zip(
        layers[1].state_dict().items(), layers[0].state_dict().values(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, msg=name)
    for layer in layers:
        layer.eval()
    torch.testing.assert_close(layers[1](padded, valid), layers[0](padded))


STEPS = {
    "supervised": {"method": "supervised"},
    "cps": {"method": "cps"},
    **{name: {"method": "dacl", "contrast": contrast} for name, contrast in VARIANTS.items()},
    "shared encoder": {"method": "dacl", "network": {"shared_encoder": True}},
    "shared bank": {"method": "dacl", "contrast": {"bank": "shared"}},
    "volumes": {"method": "dacl", "image": {"dims": 3, "patch_depth": 16, "patch_size": 32}},
}


@pytest.mark.parametrize("grouped", [False, True], ids=["column by column", "over groups"])
@pytest.mark.parametrize("over", STEPS.values(), ids=STEPS)
def test_a_step_stays_on_its_device_and_looks_at_no_value(over, grouped, monkeypatch):
    """On a device that holds shapes and no values: an operation with a tensor of the CPU, or a value asked for, fails.

    What of it a GPU would refuse is so found without one. Of a step that is not logged and of one that is.
    """
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # unknown there
    base = tiny.config(over["method"], warmup_fraction=0.0).model_dump(mode="json")
    config = resolve("paper", base, over)
    method = METHODS[config.method](config, 1, tiny.N)
    sides = (16, 32, 32) if config.image.dims == 3 else (32, 32)
    batch = Batch(torch.randn(4, 1, *sides), torch.randint(0, tiny.N, (2, *sides)))
    moments = [method.moment(batch, step) for step in (10, config.optim.steps - 1)]
    assert [moment.logged for moment in moments] == [False, True]
    method.train().to("meta")
    for module in method.modules():
        if isinstance(module, Conv3x3 | Conv3x3x3):
            module.grouped = grouped
    for moment in moments:
        moved = iter([tensor.to("meta") for tensor in tensors_of(batch, moment)])
        terms = method.terms(*with_tensors(batch, moment, moved))
        terms.total.backward()
        method.after_step(moment.step)
        found = [terms.total, *terms.parts.values(), *terms.diagnostics.values()]
        found += [each.grad for each in method.parameters() if each.grad is not None]
        assert {tensor.device.type for tensor in [*found, *method.buffers()]} == {"meta"}


TRACE = """
import sys, dataclasses, torch
sys.path.insert(0, sys.argv[1])
from methods import tiny_batch as tiny
from dacl.training.compiled import compiled_terms

for method, contrast in [("cps", {}), ("dacl", {}), ("dacl", {"unit": "class"})]:
    built = tiny.build(tiny.config(method, warmup_fraction=0.0, **contrast))
    torch.compiler.reset()
    terms_of = compiled_terms(built, backend="eager")
    losses = []
    for step in (3, 4, 5, 29):  # the last is logged
        batch = tiny.batch(step)
        with torch.compiler.set_stance("default" if step == 3 else "fail_on_recompile"):
            found = terms_of(batch, built.moment(batch, step))
        found.total.backward()
        built.after_step(step)
        losses.append(found.total.item())
    assert bool(found.diagnostics)
    print(method, contrast, losses)
"""


def test_a_step_is_one_graph_that_serves_every_step():
    """In a process of its own: the checks of annotations, which tests run with, are no code to compile."""
    done = subprocess.run(
        [sys.executable, "-c", TRACE, str(Path(__file__).parents[1])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("\n") == 3
