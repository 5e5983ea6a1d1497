"""The phantom's picture: the chest around the heart, and what each tissue looks like.

Everything is painted back to front with soft edges, which is the partial volume of a thick slice.
Appearance varies far more between patients than anatomy does: that is what makes few labels hurt.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from dacl.data.readers.phantom_anatomy import Borders, Floats, Grid, Heart

ORGANS = 9
AnyFloats = NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tissues:
    """Signal of each tissue in one patient; blood of a fast-flowing left ventricle is about 0.9."""

    blood: float
    rv_blood: float
    vessel: float
    myocardium: float
    muscle: float
    fat: float
    lung: float
    bone: float
    organs: tuple[float, ...]
    flow: float  # unevenness of moving blood
    trabecula: float  # how much muscle strands the right ventricle


@dataclass(frozen=True, slots=True, kw_only=True)
class Chest:
    """The torso around the heart: mm, in a frame turned by `orientation_rad` with the heart at 0."""

    orientation_rad: float
    half_axes_mm: tuple[float, float]
    centre_mm: tuple[float, float]  # (u, v): v points from the chest wall to the back
    squareness: float
    wobble: tuple[tuple[float, float], ...]
    fat_mm: float
    fat_angle_rad: float
    muscle_mm: float
    diaphragm: tuple[float, float, float]  # height at the heart, slope along u, rise per mm of z
    organ_seeds: tuple[tuple[float, float, float], ...]  # (z, u, v)
    aorta: tuple[float, float, float]  # (u, v, radius)
    # (z, u, v, radius) of a ring that looks like a left ventricle.
    stomach: tuple[float, float, float, float]
    coat: tuple[tuple[float, float, float], ...]  # pericardial fat: (thickness in mm, angle, width)
    # (angle from the septum, size relative to the cavity) of each papillary muscle.
    papillary: tuple[tuple[float, float], ...]


def draw_tissues(rng: np.random.Generator) -> Tissues:
    """Draw one patient's contrasts; fat and organs may lie on either side of blood and muscle."""
    blood = rng.uniform(0.75, 1.0)
    myocardium = blood / rng.uniform(1.7, 4.5)
    darkest = 0.03
    organs = np.concatenate(
        [
            rng.uniform(0.2, 0.75, 2),  # liver and spleen
            blood * rng.uniform(0.6, 1.15, 2),  # stomach content, kidney: as bright as blood
            myocardium * rng.uniform(0.8, 1.25, 3),  # bowel wall and muscle: as dark as the wall
            rng.uniform(darkest, 0.12, 1),  # gas
            rng.uniform(0.4, 1.2, ORGANS - 8),  # fat between them
        ]
    )
    rng.shuffle(organs[1:])
    return Tissues(
        blood=blood,
        rv_blood=blood * rng.uniform(0.7, 1.08),
        vessel=blood * rng.uniform(0.7, 1.15),
        myocardium=myocardium,
        muscle=myocardium * rng.uniform(0.7, 1.3),
        fat=rng.choice([rng.uniform(0.25, 0.5), rng.uniform(0.7, 1.3)], p=[0.3, 0.7]),
        lung=rng.uniform(darkest, 0.16),
        bone=rng.uniform(0.2, 0.5),
        organs=tuple(organs.tolist()),
        flow=rng.uniform(0.02, 0.1),
        trabecula=rng.uniform(0.05, 0.4),
    )


def draw_chest(rng: np.random.Generator, orientation_rad: float) -> Chest:
    """Draw one patient's torso."""
    half_v = rng.uniform(100, 130)
    # Chest wall to heart axis: the slim have 50 mm, the stout 80.
    front = rng.uniform(50, 68)
    fat = float(np.exp(rng.uniform(np.log(5), np.log(26))))
    seeds = np.stack(
        [
            rng.uniform(-60, 160, ORGANS),
            rng.uniform(-120, 120, ORGANS),
            rng.uniform(30, 130, ORGANS),
        ],
        1,
    )
    seeds[0, 1:] = (
        rng.uniform(-80, -40),
        rng.uniform(60, 80),
    )  # the liver lies under the right heart
    return Chest(
        orientation_rad=orientation_rad,
        half_axes_mm=(rng.uniform(125, 160) + 0.6 * fat, half_v + 0.6 * fat),
        centre_mm=(rng.uniform(-15, 25), half_v - front - 0.4 * fat),
        squareness=rng.uniform(2.0, 2.8),
        wobble=tuple((rng.normal(0, 0.02), rng.uniform(0, 2 * np.pi)) for _ in range(2, 6)),
        fat_mm=fat,
        fat_angle_rad=rng.uniform(-np.pi, np.pi),
        muscle_mm=rng.uniform(7, 14),
        diaphragm=(rng.uniform(24, 42), rng.uniform(-0.25, 0.25), rng.uniform(-0.3, 0.0)),
        organ_seeds=tuple(map(tuple, seeds.tolist())),
        aorta=(rng.uniform(15, 55), rng.uniform(52, 75), rng.uniform(8, 13)),
        stomach=(
            rng.uniform(-30, 30),
            rng.uniform(-50, 75),
            rng.uniform(58, 92),
            rng.uniform(12, 24),
        ),
        coat=(
            (rng.uniform(2, 14), rng.uniform(0.5, 1.5), rng.uniform(0.3, 0.6)),
            (rng.uniform(0, 12), rng.uniform(-1.6, -0.9), rng.uniform(0.3, 0.5)),
            (rng.uniform(0, 6), rng.uniform(-np.pi, np.pi), 0.7),
        ),
        papillary=(
            (np.pi + rng.uniform(0.5, 1.1), rng.uniform(0.16, 0.27)),
            (np.pi - rng.uniform(0.5, 1.1), rng.uniform(0.16, 0.27)),
        ),
    )


def paint_chest(
    rng: np.random.Generator, chest: Chest, tissues: Tissues, heart: Heart, grid: Grid
) -> tuple[Floats, Floats]:
    """Paint everything but the heart.

    Returns:
        the picture (Z, H, W) and each voxel's depth under the skin in mm, negative outside the body.
    """
    z, y, x = grid.axes()
    soft = 1.3 * grid.spacing_mm[1]
    u, v = _turn(y - heart.centre_mm[0], x - heart.centre_mm[1], -chest.orientation_rad)
    deep = z - (heart.base_mm + 0.5 * heart.length_mm)

    skin = _skin_depth(chest, u, v + 0.08 * deep)
    around = np.arctan2(v, u)
    image = np.zeros(grid.shape_ZHW, np.float32)
    _blend(image, _inside(-skin, soft), tissues.fat)
    fat = chest.fat_mm * (1 + 0.45 * np.cos(around - chest.fat_angle_rad))
    _blend(image, _inside(fat - skin, soft), tissues.muscle)
    ribs = np.cos(around * 14 + 0.05 * deep) > 0.75
    wall = fat + chest.muscle_mm
    _blend(image, _inside(np.abs(skin - wall + 4) - 2, soft) * ribs, tissues.bone)
    cavity = _inside(wall - skin, soft)
    _blend(image, cavity, tissues.lung)
    bronchi = _noise(rng, grid.shape_ZHW, 1.1)
    _blend(image, cavity * np.clip(1.5 * (bronchi - 2), 0, 1), tissues.vessel)

    height, slope, rise = chest.diaphragm
    sway = _noise(rng, (1, *grid.shape_ZHW[1:]), 14)
    below = v - (height + slope * u + rise * deep + 0.0012 * u * u + 2 * sway)
    abdomen = cavity * _inside(-below, 2 * soft)
    bent = _noise(rng, (1, *grid.shape_ZHW[1:]), 10)
    organs, gap = _organs(rng, chest, tissues, deep, u + 7 * bent, v + 7 * np.roll(bent, 31, 1))
    _blend(image, abdomen, organs)
    _blend(image, abdomen * gap, tissues.fat)
    _blend(image, abdomen * _inside(below - 3, soft), tissues.muscle)
    sz, su, sv, radius = chest.stomach
    lumen = radius * np.sqrt(np.clip(1 - ((deep - sz) / 60) ** 2, 0, 1))
    ring = np.hypot(u - su + 4 * bent, v - sv) - lumen
    _blend(image, abdomen * _inside(ring - 5, soft) * (lumen > 6), tissues.muscle)
    _blend(image, abdomen * _inside(ring, soft) * (lumen > 6), tissues.vessel)

    au, av, size = chest.aorta
    aorta = np.hypot(u - au - 0.1 * deep, v - av) - size
    _blend(image, _inside(aorta - 2, soft), tissues.muscle)
    _blend(image, _inside(aorta, soft), tissues.vessel)
    return image, skin


def paint_heart(
    rng: np.random.Generator,
    image: Floats,
    chest: Chest,
    tissues: Tissues,
    borders: Borders,
    grid: Grid,
) -> None:
    """Paint one phase of the heart over the chest in `image` (Z, H, W), in place."""
    b = borders
    soft = 1.2 * grid.spacing_mm[1] + 0.6 * b.slope
    flow = 1 + tissues.flow * _noise(rng, grid.shape_ZHW, 4)
    outer = np.maximum(b.free, b.epi)
    present = outer > 0
    coat = np.zeros_like(b.angle)
    for thickness, angle, width in chest.coat:
        coat += thickness * np.exp((np.cos(b.angle - np.float32(angle)) - 1) / width**2)
    _blend(image, _inside(b.radius - outer - 2 - coat, soft) * present, tissues.fat)

    _paint_base(image, tissues, borders, flow, soft)

    has_rv = b.free > b.epi + 1
    _blend(image, _inside(b.radius - b.free - 3, soft) * has_rv, tissues.myocardium)
    # Trabeculae line the free wall; towards the septum the blood runs clear.
    lining = np.clip((b.radius - b.epi) / np.maximum(b.free - b.epi, 1), 0, 1)
    strands = np.clip(tissues.trabecula * lining * (_noise(rng, grid.shape_ZHW, 1.6) - 0.4), 0, 0.7)
    blood = tissues.rv_blood * flow * (1 - strands)
    _blend(image, _inside(b.radius - b.free, soft) * has_rv, blood)
    _blend(image, _inside(b.radius - b.epi, soft) * (b.epi > 0), tissues.myocardium)
    _blend(image, _inside(b.radius - b.endo, soft) * (b.endo > 0), tissues.blood * flow)

    cavity = b.endo.max(axis=(1, 2), keepdims=True)
    with_muscle = (cavity > 8) & (cavity < 0.97 * cavity.max())
    for angle, size in chest.papillary:
        turn = b.angle - np.float32(angle)
        along = 0.7 * (b.radius * np.cos(turn) - 0.8 * b.endo)
        across = b.radius * np.sin(turn)
        muscle = np.hypot(along, across) - size * b.endo
        _blend(image, 0.85 * _inside(muscle, soft) * with_muscle, tissues.myocardium)


def _paint_base(
    image: Floats, tissues: Tissues, borders: Borders, flow: Floats, soft: Floats
) -> None:
    """Paint atrium and outflow tract: bright like the cavities, thin-walled, never labelled."""
    b = borders
    size = float(b.endo.max())
    if size == 0:
        return
    above = (b.epi.max(axis=(1, 2), keepdims=True) == 0) & (b.z_mm < b.z_mm.mean())
    down, right = b.radius * np.sin(b.angle), -b.radius * np.cos(b.angle)
    for du, dv, ratio in ((0.15, -0.5, 0.55), (0.1, 0.45, 0.75)):
        blob = np.hypot(right - du * size, down - dv * size) - ratio * size
        _blend(image, _inside(blob - 2, soft) * above, tissues.myocardium)
        _blend(image, _inside(blob, soft) * above, tissues.vessel * flow)


def _skin_depth(chest: Chest, u: Floats, v: Floats) -> Floats:
    """Return the depth under the skin in mm: a wobbly superellipse, good enough as a distance."""
    a, c = u - chest.centre_mm[0], v - chest.centre_mm[1]
    radius, around = np.hypot(a, c), np.arctan2(c, a)
    power = chest.squareness
    edge = (
        np.abs(np.cos(around) / chest.half_axes_mm[0]) ** power
        + np.abs(np.sin(around) / chest.half_axes_mm[1]) ** power
    ) ** (-1 / power)
    bend = np.ones_like(edge)
    for order, (amplitude, offset) in enumerate(chest.wobble, start=2):
        bend += amplitude * np.cos(order * around + offset)
    depth: Floats = (edge * bend - radius).astype(np.float32)
    return depth


def _organs(
    rng: np.random.Generator, chest: Chest, tissues: Tissues, deep: Floats, u: Floats, v: Floats
) -> tuple[Floats, Floats]:
    """Return the abdomen's signal and how much of each voxel is the fat between two organs.

    Organs are the cells of the nearest seed; their textures carry bright vessels.
    """
    first = np.full(np.broadcast_shapes(deep.shape, u.shape), np.inf, np.float32)
    second = first.copy()
    signal = np.zeros_like(first)
    for (sz, su, sv), value in zip(chest.organ_seeds, tissues.organs, strict=True):
        distance = np.sqrt((0.5 * (deep - sz)) ** 2 + (u - su) ** 2 + (v - sv) ** 2)
        nearer = distance < first
        second = np.minimum(second, np.where(nearer, first, distance))
        signal = np.where(nearer, np.float32(value), signal)
        first = np.where(nearer, distance, first)
    texture = _noise(rng, first.shape, 1.5)
    signal = signal * (1 + 0.06 * texture)
    vessels = np.clip(1.5 * (_noise(rng, first.shape, 1.8) - 1.9), 0, 1)
    _blend(signal, vessels, tissues.vessel)
    gap = np.clip(1.2 - (second - first) / 4, 0, 1)
    return signal.astype(np.float32), gap.astype(np.float32)


def _turn(y: Floats, x: Floats, angle_rad: float) -> tuple[Floats, Floats]:
    """Return (u, v): the vectors (x, y) turned by `angle_rad`."""
    c, s = np.float32(np.cos(angle_rad)), np.float32(np.sin(angle_rad))
    return c * x - s * y, s * x + c * y


def _inside(distance: AnyFloats, soft: Floats | float) -> Floats:
    """Return how much of a voxel lies inside a border, from the signed distance in mm."""
    share: Floats = np.clip(0.5 - distance / soft, 0, 1).astype(np.float32)
    return share


def _blend(image: Floats, share: Floats, value: Floats | float) -> None:
    """Paint `value` over `share` of each voxel, in place."""
    image += share * (np.asarray(value, np.float32) - image)


def _noise(rng: np.random.Generator, shape: tuple[int, ...], smooth_px: float) -> Floats:
    """Return a smooth random field (Z, H, W) of unit variance, independent between slices."""
    field = rng.standard_normal(shape, np.float32)
    field = gaussian_filter(field, (0, smooth_px, smooth_px), mode="wrap")
    unit: Floats = field / field.std()
    return unit
