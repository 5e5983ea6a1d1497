"""The contrast of one network against its reference, from units to loss."""

import math

import numpy as np
import pytest
import torch
from contrast import reference
from torch.nn.functional import normalize

from dacl.config import ContrastConfig
from dacl.contrast.prototypes import UNRELIABLE
from dacl.contrast.units import Units
from dacl.methods.density_contrast import DensityContrast
from dacl.networks.heads import NoProjection
from dacl.seeding import stream

D = 5


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_units(seed, *shape):
    return normalize(torch.randn(*shape, generator=generator(seed)), dim=-1)


def contrast_of(classes=4, **values):
    settings = {"projection_dim": D, "scales": (2, 5), "bank_size": 30} | values
    return DensityContrast(ContrastConfig(**settings), 8, classes, generator(9))


def given_units(module, units):
    """Let the module contrast these units instead of drawing and projecting pixels."""
    module._units = lambda *_: units
    features = torch.zeros(1, 8, 1, 1)
    return module(features, torch.zeros(1, 1, 1, dtype=torch.long), draws(module, features))


def draws(module, features, *key):
    pixels = features[:, 0].numel()
    return module.draw(stream(*key), images=len(features), pixels=pixels)


def units_of(sizes, *, reliable, others, other_sizes, seed=0):
    width = max(sizes)
    valid = torch.tensor([[i < m for i in range(width)] for m in sizes])
    units = random_units(seed, len(sizes), width, D) * valid.unsqueeze(-1)
    other_valid = torch.tensor([[i < m for i in range(others.shape[1])] for m in other_sizes])
    return Units(units, valid, torch.tensor(reliable), others, other_valid)


def fill_bank(module, counts, seed=50):
    width = max(*counts, 1)
    features = random_units(seed, len(counts), width, D)
    density = torch.rand(len(counts), width, generator=generator(seed))
    valid = torch.tensor([[i < c for i in range(width)] for c in counts])
    module.bank.insert(features, density, valid)
    return [
        ([], []) if not module.bank.length else (features[n, :c].numpy(), density[n, :c].tolist())
        for n, c in enumerate(counts)
    ]


# among them: a class absent, too few neighbours without a bank, a single anchor, a single unit
SIZES = [(20, 13, 9), (20, 0, 9), (0, 1, 12), (5, 4, 9), (3, 2, 9), (1, 1, 0)]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("bank", [(0, 0, 0), (7, 3, 0), (12, 30, 25)])
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"negatives_from": "pixels"},
        {"positiveness": "none"},
        {"bank_size": 0},
        {"bank_size": 0, "positives": 4, "max_fraction": 0.5},
        {"anchors": 3, "positives": 4, "max_fraction": 0.5},
        {"positiveness": "inside_attached", "denominator": "decoupled", "reduction": "sum"},
        {"positiveness": "inside_denominator", "tau_w": 0.2},
        {"positiveness": "claim1", "tau_w": 0.2},
        {"density_from": "batch"},
        {"density_from": "bank"},
        {"keys_from": "batch", "positives": 6, "max_fraction": 0.5},
        {"sampling": "random"},
        {"sampling": "random", "bank_size": 0, "negatives_from": "pixels"},
    ],
    ids=lambda v: "-".join(f"{key}={value}" for key, value in v.items()) or "default",
)
def test_the_loss_of_pixels_equals_the_reference(sizes, bank, values):
    module = contrast_of(max_fraction=0.2) if not values else contrast_of(**values)
    config = module.config
    held = fill_bank(module, bank)
    if config.negatives_from == "pixels":
        others, other_sizes = random_units(7, 3, 11, D), (11, 4, 0)
    else:
        others, other_sizes = random_units(7, 1, 11, D), (6,)
    reliable = [3 * m for m in sizes]
    units = units_of(sizes, reliable=reliable, others=others, other_sizes=other_sizes)

    def from_anchors(anchors, n):
        rest = [v for m, group in enumerate(anchors) if m != n for v in group]
        return [*rest, *others[0, :6].numpy()]

    chance = draws(module, torch.zeros(1, 8, 1, 1))
    order, bank_order = chance.unit_CM[:, : units.valid_CM.shape[1]], chance.bank_CL
    classes = [
        {
            "order": order[n, :m].tolist(),
            "bank_order": bank_order[n, : len(held[n][0])].tolist(),
            "batch": list(units.units_CMD[n, :m].numpy()),
            "reliable": reliable[n],
            "bank": list(held[n][0]),
            "bank_density": held[n][1],
            "negatives": list(others[n, : other_sizes[n]].numpy())
            if config.negatives_from == "pixels"
            else from_anchors,
        }
        for n, m in enumerate(sizes)
    ]
    expected = reference.contrast(classes, config)
    assert given_units(module, units).loss.item() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_identical_features_are_pulled_by_the_negatives_alone():
    """All cosines to the centre are 1, all w are 1."""
    same = random_units(0, 1, 1, D).expand(3, 40, D)
    valid = torch.ones(3, 40, dtype=torch.bool)
    opposite = -same[:1, :4]
    units = Units(same, valid, torch.tensor([100] * 3), opposite, valid[:1, :4])
    term = given_units(contrast_of(negatives=4, max_fraction=0.06), units)
    assert term.diagnostics["weight_spread"].tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert term.diagnostics["density"].tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    assert math.log1p(4 * math.exp(-5)) * 0.99 < term.loss.item() < math.log1p(4) * 1.01


def test_the_gradient_reaches_only_anchors():
    leaf = random_units(0, 3, 20, D).requires_grad_()
    valid = torch.ones(3, 20, dtype=torch.bool)
    background = random_units(1, 1, 9, D).requires_grad_()
    units = Units(leaf, valid, torch.tensor([60] * 3), background.detach(), valid[:1, :9])
    module = contrast_of(max_fraction=0.06)
    fill_bank(module, (9, 9, 9))
    module.bank.features_CLD.requires_grad_()
    term = given_units(module, units)
    term.loss.backward()
    assert module.bank.features_CLD.grad is None
    assert not any(part.requires_grad for part in term.insertion)
    scores = term.insertion[1]
    for n in range(3):
        pulled = set(leaf.grad[n].norm(dim=1).nonzero().flatten().tolist())
        assert pulled == set(scores[n].argsort()[:3].tolist())  # 6 % of 60 are three


@pytest.mark.parametrize("negatives_from", ["anchors", "pixels"])
@pytest.mark.parametrize("unit", ["pixel", "class"])
def test_no_pixel_but_those_of_anchors_has_a_gradient(unit, negatives_from):
    """Of a whole map, whose background and out-of-class pixels are the negatives; class vectors are all anchors."""
    module = contrast_of(unit=unit, negatives_from=negatives_from, projection_dim=8)
    module.head = NoProjection()  # in which a pixel's gradient is that of its own unit
    fill = random_units(1, 3, 9, 8)
    module.bank.insert(fill, torch.rand(3, 9, generator=generator()), torch.ones(3, 9) > 0)
    features = torch.randn(2, 8, 12, 12, generator=generator()).requires_grad_()
    classes = torch.randint(0, 4, (2, 12, 12), generator=generator())
    chance = draws(module, features)
    chosen = module.select(features, classes, chance)
    module(features, classes, chance).loss.backward()
    pulled = features.grad.norm(dim=1).flatten().nonzero().flatten().tolist()
    if unit == "class":
        assert pulled == classes.flatten().nonzero().flatten().tolist()
        return
    pixels_PD = normalize(features.detach(), dim=1).movedim(1, -1).flatten(0, 2)
    index, valid = chosen.anchors.index_CM, chosen.anchors.valid_CM
    anchors = [chosen.units.units_CMD[n, index[n, valid[n]]].detach() for n in range(3)]
    expected = (torch.cat(anchors) @ pixels_PD.T).argmax(dim=1)
    assert pulled == sorted(expected.tolist())


@pytest.mark.parametrize("unit", ["pixel", "class"])
def test_all_foreground_absent_gives_zero_with_finite_zero_gradients(unit):
    module = contrast_of(unit=unit)
    features = torch.randn(2, 8, 6, 6, generator=generator()).requires_grad_()
    term = module(features, torch.zeros(2, 6, 6, dtype=torch.long), draws(module, features))
    term.loss.backward()
    assert term.loss.item() == 0
    for parameter in (features, *module.parameters()):
        assert torch.equal(parameter.grad, torch.zeros_like(parameter))


def test_nothing_reliable_at_all_and_a_single_pixel():
    classes = torch.full((2, 6, 6), UNRELIABLE)
    features = torch.randn(2, 8, 6, 6, generator=generator())
    for _ in range(2):
        module = contrast_of()
        term = module(features, classes, draws(module, features))
        assert term.loss.item() == 0
        assert not term.insertion[2].any()
        classes[0, 0, 0] = 2


@pytest.mark.parametrize("negatives_from", ["anchors", "pixels"])
def test_one_class_absent_leaves_the_loss_of_the_others(negatives_from):
    module = contrast_of(negatives_from=negatives_from)
    classes = torch.randint(0, 3, (2, 12, 12), generator=generator())
    features = torch.randn(2, 8, 12, 12, generator=generator()).requires_grad_()
    term = module(features, classes, draws(module, features))
    term.loss.backward()
    assert term.loss.item() > 0
    assert torch.isfinite(features.grad).all()
    assert (term.diagnostics["anchors"] > 0).tolist() == [True, True, False]


def test_anchors_and_keys_are_capped_at_six_percent_of_the_reliable_pixels():
    module = contrast_of(sample_cap=4096)
    classes = torch.zeros(1, 40, 40, dtype=torch.long)
    classes[:, :10], classes[:, 10:15], classes[:, 15] = 1, 2, 3  # 400, 200 and 40 pixels
    features = torch.randn(1, 8, 40, 40, generator=generator())
    units = module._units(features, classes, draws(module, features))
    assert units.reliable_C.tolist() == [400, 200, 40]
    density = torch.rand(units.valid_CM.shape, generator=generator())
    anchors, keys = module._anchors_and_keys(density, units, draws(module, features))
    for chosen in (anchors, keys):
        assert chosen.valid_CM.sum(dim=1).tolist() == [24, 12, 2]


def test_the_papers_caps_hold_in_a_large_class():
    module = contrast_of(sample_cap=4096, scales=(8, 16, 32))
    classes = torch.ones(1, 100, 100, dtype=torch.long)
    features = torch.randn(1, 8, 100, 100, generator=generator())
    units = module._units(features, classes, draws(module, features))
    assert units.valid_CM.sum(dim=1).tolist() == [4096, 0, 0]
    density = torch.rand(units.valid_CM.shape, generator=generator())
    anchors, keys = module._anchors_and_keys(density, units, draws(module, features))
    assert anchors.valid_CM.sum(dim=1).tolist() == [256, 0, 0]
    assert keys.valid_CM.sum(dim=1).tolist() == [256, 0, 0]


@pytest.mark.parametrize("negatives_from", ["anchors", "pixels"])
@pytest.mark.parametrize("bank", [(0, 0, 0), (9, 3, 20)])
def test_the_loss_of_class_vectors_equals_the_reference(negatives_from, bank):
    """Every vector of Eq. 2 is an anchor, the denser half are keys."""
    module = contrast_of(unit="class", negatives_from=negatives_from)
    held = fill_bank(module, bank)
    classes = torch.randint(0, 4, (6, 5, 5), generator=generator())
    classes[:4][classes[:4] == 3] = 0  # class 3 in two images only
    classes[5][classes[5] == 0] = 1
    features = torch.randn(6, 8, 5, 5, generator=generator())
    found = module(features, classes, draws(module, features)).loss.item()

    head = module.head(features.movedim(1, -1).flatten(0, 2)).detach().numpy()
    maps = head.reshape(6, 5, 5, D).transpose(0, 3, 1, 2)
    vectors = []
    for n in range(4):
        masks = [(classes[b] == n).numpy() for b in range(6)]
        pooled = [reference.prototype(mask, maps[b]) for b, mask in enumerate(masks)]
        vectors.append([reference.unit(v) for v in pooled if v is not None])
    losses = []
    for n in (1, 2, 3):
        own, (features_G, density_G) = vectors[n], held[n - 1]
        scores = reference.densities(own, list(features_G), module.config.scales)
        keys = [own[i] for i in reference.highest(scores, (len(own) + 1) // 2)]
        keys += [features_G[i] for i in reference.highest(density_G, len(density_G) // 2)]
        middle = reference.centre(keys)
        negatives = [v for m in range(4) if m != n for v in vectors[m]]
        weights = reference.positiveness([reference.cosine(v, middle) for v in own], 0.4)
        losses.append(reference.class_loss(own, middle, negatives, weights, 0.4))
    assert found == pytest.approx(np.mean(losses), rel=1e-4)


def test_the_contrast_is_drawn_from_the_step_and_the_seed():
    module = contrast_of(sample_cap=16)
    classes = torch.randint(0, 4, (2, 12, 12), generator=generator())
    features = torch.randn(2, 8, 12, 12, generator=generator())
    losses = [
        module(features, classes, draws(module, features, 0, "contrast", "a", step)).loss.item()
        for step in (3, 3, 4)
    ]
    assert losses[0] == losses[1] != losses[2]


def test_random_sampling_does_not_look_at_the_density():
    """Row II: which units are anchors is the same whatever their density, and differs from step to step."""
    module = contrast_of(sampling="random", max_fraction=0.5)
    valid = torch.ones(3, 20, dtype=torch.bool)
    units = Units(random_units(0, 3, 20, D), valid, torch.tensor([20] * 3), valid, valid)

    def chosen(density, seed):
        anchors, keys = module._anchors_and_keys(
            density, units, draws(module, torch.zeros(1, 8, 1, 1), seed)
        )
        for n in range(3):
            picked = [c.index_CM[n, c.valid_CM[n]].tolist() for c in (anchors, keys)]
            assert not set(picked[0]) & set(picked[1])
        return anchors.index_CM[0].tolist()

    first, second = (torch.rand(3, 20, generator=generator(seed)) for seed in (1, 2))
    assert chosen(first, 0) == chosen(second, 0) != chosen(first, 1)


@pytest.mark.parametrize("unit", ["pixel", "class"])
def test_the_scale_of_the_projected_features_does_not_matter(unit):
    """Everything after the head reads directions: a head that is ten times larger gives the same loss."""
    classes = torch.randint(0, 4, (3, 12, 12), generator=generator())
    features = torch.randn(3, 8, 12, 12, generator=generator())
    losses = []
    for scale in (1.0, 10.0):
        module = contrast_of(unit=unit)
        with torch.no_grad():
            for parameter in module.head.layers[-1].parameters():
                parameter *= scale
        losses.append(module(features, classes, draws(module, features)).loss.item())
    assert losses[0] > 0
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_pixel_negatives_are_n_p_and_background_negatives_their_own_number():
    classes = torch.randint(0, 4, (2, 20, 20), generator=generator())
    features = torch.randn(2, 8, 20, 20, generator=generator())
    counts = {}
    for source in ("pixels", "anchors"):
        module = contrast_of(negatives_from=source, negatives=50, background_negatives=20)
        counts[source] = module._units(features, classes, draws(module, features)).others_XRD.shape[
            :2
        ]
    assert counts == {"pixels": (3, 50), "anchors": (1, 20)}


def test_of_an_odd_number_of_class_vectors_the_larger_half_are_keys():
    module = contrast_of(unit="class")
    valid = torch.tensor([[True] * 5, [True] * 4 + [False], [False] * 5])
    units = Units(random_units(0, 3, 5, D), valid, valid.sum(dim=1), valid[:1], valid[:1])
    chance = draws(module, torch.zeros(5, 8, 1, 1))
    anchors, keys = module._anchors_and_keys(torch.rand(3, 5), units, chance)
    assert anchors.valid_CM.sum(dim=1).tolist() == [5, 4, 0]
    assert keys.valid_CM.sum(dim=1).tolist() == [3, 2, 0]


def test_which_anchors_are_negatives_is_drawn():
    """Where there are more than `negatives`, other scores give other negatives; the same ones the same."""
    module = contrast_of(negatives=4)
    classes = torch.randint(0, 4, (2, 20, 20), generator=generator())
    features = torch.randn(2, 8, 20, 20, generator=generator())
    drawn = draws(module, features)
    units = module._units(features, classes, drawn)
    anchors = random_units(3, 3, 9, D)
    valid = torch.ones(3, 9, dtype=torch.bool)

    def negatives(of):
        return module._negatives(anchors, valid, units, of).features_CRD

    other = draws(module, features, "other")
    one = negatives(drawn)
    assert one.shape == (3, 4, D)
    assert torch.equal(one, negatives(drawn))
    for name in ("anchor_CQ", "background_G"):
        changed = drawn._replace(**{name: getattr(other, name)})
        assert not torch.equal(one, negatives(changed)), name
