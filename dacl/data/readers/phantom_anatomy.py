"""The phantom's heart: what a patient's heart is like, and where its borders run in a slice.

The left ventricle is half an ellipsoid of revolution in a wall of its own, bent by smooth
perturbations; the right ventricle is a crescent that sits on the septal side of that wall. All borders
are radii around the left ventricle's axis, as functions of the angle and of the slice, so one polar
grid answers every question about the heart.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Range = tuple[float, float]

# A cavity thinner than this cannot be told from the wall at the phantom's resolutions.
MIN_CAVITY_MM = 3.0
# Two pixels and more of wall at the coarsest in-plane spacing: the cavity never touches background.
MIN_WALL_MM = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What one diagnostic group of ACDC does to the heart; ranges, lengths in mm at end-diastole."""

    radius_mm: Range
    wall_mm: Range
    length_mm: Range
    ejection: Range
    rv_depth_mm: Range
    rv_ejection: Range


GROUPS: dict[str, Group] = {
    "NOR": Group(
        radius_mm=(23, 28),
        wall_mm=(6, 8.5),
        length_mm=(68, 86),
        ejection=(0.55, 0.7),
        rv_depth_mm=(26, 36),
        rv_ejection=(0.45, 0.6),
    ),
    "DCM": Group(
        radius_mm=(31, 38),
        wall_mm=(6, 8),
        length_mm=(78, 94),
        ejection=(0.1, 0.3),
        rv_depth_mm=(20, 38),
        rv_ejection=(0.15, 0.45),
    ),
    "HCM": Group(
        radius_mm=(21, 26),
        wall_mm=(11, 16),
        length_mm=(70, 86),
        ejection=(0.6, 0.78),
        rv_depth_mm=(22, 33),
        rv_ejection=(0.5, 0.7),
    ),
    "MINF": Group(
        radius_mm=(26, 33),
        wall_mm=(6, 8.5),
        length_mm=(72, 88),
        ejection=(0.2, 0.4),
        rv_depth_mm=(20, 33),
        rv_ejection=(0.35, 0.6),
    ),
    "RV": Group(
        radius_mm=(20, 26),
        wall_mm=(5.5, 8),
        length_mm=(66, 82),
        ejection=(0.45, 0.65),
        rv_depth_mm=(33, 46),
        rv_ejection=(0.2, 0.4),
    ),
}


@dataclass(frozen=True, slots=True)
class Bump:
    """A stretch of wall that is `gain` times thicker (negative: thinner) around one angle."""

    gain: float
    angle_rad: float
    width_rad: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Heart:
    """One patient's heart at end-diastole; mm and radians, angles from +x towards +y of the image."""

    radius_mm: float
    wall_mm: float
    length_mm: float
    ejection: float
    rv_depth_mm: float
    rv_ejection: float
    rv_length: float  # of the left ventricle's
    rv_reach_rad: tuple[float, float]  # septum to the insertion points, either way round
    rv_roundness: float
    septum_rad: float
    flattening: float  # the D-shape that a loaded right ventricle presses into the septum
    base_mm: float  # position of the mitral plane along the stack
    rv_base_mm: float  # of the tricuspid plane, relative to the mitral one
    centre_mm: tuple[float, float]  # (y, x) in the field, at mid-ventricle
    tilt: tuple[float, float]  # (y, x) drift of the axis per mm along the stack
    wobble: tuple[
        tuple[float, float, float], ...
    ]  # (amplitude, phase, twist per mm), from order 2 up
    bumps: tuple[Bump, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """What of the heart changes within a beat, in mm."""

    radius_mm: float
    wall_mm: float
    length_mm: float
    base_mm: float
    rv_depth_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Voxel centres of a stack in mm: z from the first slice, y and x from the field's centre."""

    shape_ZHW: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]

    def axes(self) -> tuple[Floats, Floats, Floats]:
        """Return z (Z, 1, 1), y (1, H, 1) and x (1, 1, W) in mm."""
        (depth, height, width), (dz, dy, dx) = self.shape_ZHW, self.spacing_mm
        z = np.arange(depth, dtype=np.float32)[:, None, None] * np.float32(dz)
        y = (np.arange(height, dtype=np.float32)[None, :, None] - (height - 1) / 2) * np.float32(dy)
        x = (np.arange(width, dtype=np.float32)[None, None, :] - (width - 1) / 2) * np.float32(dx)
        return z, y, x


@dataclass(frozen=True, slots=True, kw_only=True)
class Borders:
    """Borders of one phase on a grid, as radii in mm around the left ventricle's axis (Z, H, W)."""

    radius: Floats  # distance of the voxel from the axis
    angle: Floats  # its direction, relative to the septum, in (-pi, pi]
    z_mm: Floats  # (Z, 1, 1)
    endo: Floats  # cavity to wall; 0 where there is no cavity
    epi: Floats  # wall to outside; 0 where there is no wall
    free: Floats  # right ventricle to its free wall; equals `epi` where there is no right ventricle
    slope: Floats  # (Z, 1, 1) mm by which a border moves within one slice thickness

    def labels(self) -> NDArray[np.uint8]:
        """Return ACDC's labels (Z, H, W): 1 right ventricle, 2 myocardium, 3 left ventricle."""
        label = np.zeros(self.radius.shape, np.uint8)
        label[self.radius < self.free] = 1
        label[self.radius < self.epi] = 2
        label[self.radius < self.endo] = 3
        return label


def draw_heart(rng: np.random.Generator, group: str, orientation_rad: float) -> Heart:
    """Draw a patient of one of `GROUPS`, lying in the field as `orientation_rad` says."""
    kind = GROUPS[group]
    size = float(np.exp(rng.normal(0, 0.06)))
    septum = orientation_rad + np.pi + rng.uniform(-0.25, 0.75)
    # Two gentle irregularities in everyone; the groups add their own signature.
    bumps = [Bump(rng.normal(0, 0.12), rng.uniform(-np.pi, np.pi), 0.8) for _ in range(2)]
    if group == "HCM":
        bumps.append(Bump(rng.uniform(0.1, 0.6), rng.normal(0, 0.5), rng.uniform(0.6, 1.1)))
    if group == "MINF":
        bumps.append(
            Bump(rng.uniform(-0.4, -0.2), rng.uniform(-np.pi, np.pi), rng.uniform(0.5, 0.9))
        )
    return Heart(
        radius_mm=size * rng.uniform(*kind.radius_mm),
        wall_mm=rng.uniform(*kind.wall_mm),
        length_mm=size * rng.uniform(*kind.length_mm),
        ejection=rng.uniform(*kind.ejection),
        rv_depth_mm=size * rng.uniform(*kind.rv_depth_mm),
        rv_ejection=rng.uniform(*kind.rv_ejection),
        rv_length=rng.uniform(0.72, 0.95),
        rv_reach_rad=(rng.uniform(1.0, 1.5), rng.uniform(1.0, 1.5)),
        rv_roundness=rng.uniform(0.55, 1.0),
        septum_rad=septum,
        flattening=rng.uniform(0.08, 0.25) if group == "RV" else rng.uniform(0.0, 0.08),
        base_mm=rng.uniform(-5, 9),
        rv_base_mm=rng.uniform(-9, 9),
        centre_mm=(rng.uniform(-22, 12), rng.uniform(-22, 18)),
        tilt=(rng.uniform(-0.16, 0.1), rng.uniform(-0.05, 0.25)),
        wobble=tuple(
            (
                abs(rng.normal(0, 0.05)) / (order - 1),
                rng.uniform(0, 2 * np.pi),
                rng.normal(0, 0.006),
            )
            for order in range(2, 6)
        ),
        bumps=tuple(bumps),
    )


def end_diastole(heart: Heart) -> Phase:
    """Return the filled heart."""
    return Phase(
        radius_mm=heart.radius_mm,
        wall_mm=heart.wall_mm,
        length_mm=heart.length_mm,
        base_mm=heart.base_mm,
        rv_depth_mm=heart.rv_depth_mm,
    )


def end_systole(heart: Heart) -> Phase:
    """Return the emptied heart: the cavity loses its ejection fraction, the muscle keeps its volume."""
    shortening = 1 - 0.2 * heart.ejection
    length = heart.length_mm * shortening
    radius = heart.radius_mm * float(np.sqrt((1 - heart.ejection) / shortening))
    # (r + w)^2 (l + w) - r^2 l is the muscle's volume up to a factor; find the w that keeps it.
    r, w, long = heart.radius_mm, heart.wall_mm, heart.length_mm
    muscle = (r + w) ** 2 * (long + w) - r**2 * long
    roots = np.roots([1, length + 2 * radius, radius**2 + 2 * radius * length, -muscle])
    wall = float(roots[np.isreal(roots)].real.max())
    return Phase(
        radius_mm=radius,
        wall_mm=wall,
        length_mm=length,
        # The apex stays, the base comes down to it.
        base_mm=heart.base_mm + (heart.length_mm + heart.wall_mm) - (length + wall),
        rv_depth_mm=heart.rv_depth_mm * (1 - heart.rv_ejection),
    )


def trace(heart: Heart, phase: Phase, grid: Grid) -> Borders:
    """Lay the borders of `heart` in `phase` onto `grid`."""
    z, y, x = grid.axes()
    mid = heart.base_mm + 0.5 * heart.length_mm
    dy = y - (heart.centre_mm[0] + heart.tilt[0] * (z - mid))
    dx = x - (heart.centre_mm[1] + heart.tilt[1] * (z - mid))
    radius = np.hypot(dy, dx)
    angle = np.angle(np.exp(1j * (np.arctan2(dy, dx) - np.float32(heart.septum_rad))))
    angle = angle.astype(np.float32)

    depth = z - np.float32(phase.base_mm)
    total = phase.length_mm + phase.wall_mm
    cavity = phase.radius_mm * _taper(depth / phase.length_mm)
    outer = (phase.radius_mm + phase.wall_mm) * _taper(depth / total)

    shape = np.ones_like(radius)
    for order, (amplitude, offset, twist) in enumerate(heart.wobble, start=2):
        shape += np.float32(amplitude) * np.cos(order * angle + offset + np.float32(twist) * z)
    shape -= np.float32(heart.flattening) * np.maximum(np.cos(angle), 0) ** 3
    thickness = np.ones_like(radius)
    for bump in heart.bumps:
        near = np.exp((np.cos(angle - np.float32(bump.angle_rad)) - 1) / bump.width_rad**2)
        thickness += np.float32(bump.gain) * near

    endo = np.where(cavity > MIN_CAVITY_MM, cavity * shape, 0)
    wall = np.maximum((outer - cavity) * thickness, MIN_WALL_MM)
    epi = np.where(outer > MIN_WALL_MM, np.where(endo > 0, endo + wall, outer * shape), 0)

    rv_z = (depth - heart.rv_base_mm) / (heart.rv_length * total)
    rv_size = _taper(rv_z)
    reach = np.where(angle > 0, *map(np.float32, heart.rv_reach_rad)) * (0.65 + 0.35 * rv_size)
    lobe = np.maximum(np.cos(np.pi / 2 * np.minimum(np.abs(angle) / reach, 1)), 0)
    crescent = phase.rv_depth_mm * rv_size * lobe ** np.float32(heart.rv_roundness)
    # Above the mitral plane the crescent still lies against where the wall would be.
    bed = np.where(depth < 0, (phase.radius_mm + phase.wall_mm) * shape, epi)
    free = np.where(crescent > 2, bed + crescent, epi)
    inside = np.where((depth < 0) & (radius < bed), 0, free)

    slope = np.minimum(np.abs(np.gradient(outer, axis=0)), 9) if len(z) > 1 else np.zeros_like(z)
    return Borders(
        radius=radius.astype(np.float32),
        angle=angle,
        z_mm=z,
        endo=endo.astype(np.float32),
        epi=epi.astype(np.float32),
        free=inside.astype(np.float32),
        slope=slope.astype(np.float32),
    )


def _taper(t: Floats) -> Floats:
    """Radius of half an ellipsoid relative to its base at t = 0; 0 before the base and past the apex."""
    inside: Floats = np.sqrt(np.clip(1 - t * t, 0, 1)) * (t >= 0)
    return inside
