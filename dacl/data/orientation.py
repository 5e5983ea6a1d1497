"""The canonical orientation LPS, and the way to it and back: pure axis swaps and flips, nothing is interpolated.

Axis codes name where each voxel axis of an (X, Y, Z) array points, as nibabel writes them: ``LPS`` is left,
posterior, superior. Under it column 0 of a slice is the patient's right, row 0 is anterior, and slice 0 is inferior:
a radiological view, and what ACDC's headers say of themselves.
"""

import numpy as np

CANONICAL = "LPS"
THICK = 2.0
"""From this ratio of slice distance to pixel size on a volume is a stack of slices."""
OBLIQUE_DEG = 30.0
"""From this angle on the axis of the body that is nearest to a stack's normal is nearest by chance."""
_OPPOSITE = dict(zip("LRPASI", "RLAPIS", strict=True))


def axis_codes(affine: np.ndarray) -> str:
    """Return the axis codes of an affine (4, 4), to the nearest axis; empty where it is singular or not finite."""
    from nibabel.orientations import aff2axcodes

    if not np.isfinite(affine).all():
        return ""
    with np.errstate(all="ignore"):
        codes = aff2axcodes(affine)
    return "" if None in codes else "".join(codes)


def is_canonical(affine: np.ndarray) -> bool:
    """Whether voxels lie in the canonical orientation as they are stored, to the nearest axis; found without nibabel.

    Never of an oblique stack, which has no nearest axis to go by.
    """
    cosines = np.asarray(affine)[:3, :3]
    nearest = np.abs(cosines).argmax(axis=0).tolist()
    same = nearest == [0, 1, 2] and (np.sign(cosines.diagonal()) == (-1, -1, 1)).all().item()
    return same and not is_oblique_stack(affine)


def is_oblique_stack(affine: np.ndarray) -> bool:
    """Whether a volume is a stack of slices that no axis of the body is near to, such as short-axis views of the heart.

    The axis nearest to the normal of the slices differs from patient to patient there. Turned to the nearest axes, the
    distance between slices would lie within the slices of some and between those of others.
    """
    directions = np.asarray(affine)[:3, :3]
    spacings = np.linalg.norm(directions, axis=0)
    across = spacings.argmax()
    thick = THICK * np.delete(spacings, across).max() <= spacings[across]
    if not (np.isfinite(spacings).all() and spacings.all() and thick):
        return False
    towards_nearest = np.abs(directions[:, across]).max() / spacings[across]
    return bool(towards_nearest < np.cos(np.deg2rad(OBLIQUE_DEG)))


def to_canonical(array_XYZ: np.ndarray, codes: str) -> np.ndarray:
    """Turn an array whose first three axes have these codes to LPS, as a view; empty codes leave it alone."""
    if codes in ("", CANONICAL):
        return array_XYZ
    axes = axis_order(codes)
    turned = array_XYZ.transpose(*axes, *range(3, array_XYZ.ndim))
    return turned[tuple(_step(codes[axis] == CANONICAL[i]) for i, axis in enumerate(axes))]


def from_canonical(array_XYZ: np.ndarray, codes: str) -> np.ndarray:
    """Turn an LPS array to the given codes, as a view: the inverse of `to_canonical`."""
    if codes in ("", CANONICAL):
        return array_XYZ
    axes = axis_order(codes)
    flipped = array_XYZ[tuple(_step(codes[axis] == CANONICAL[i]) for i, axis in enumerate(axes))]
    return flipped.transpose(*np.argsort(axes), *range(3, array_XYZ.ndim))


def canonical_affine(affine: np.ndarray, codes: str, shape_XYZ: tuple[int, int, int]) -> np.ndarray:
    """Return the affine (4, 4) of the array that `to_canonical` makes of one of this shape and affine."""
    to_source = np.zeros((4, 4))
    to_source[3, 3] = 1
    for i, axis in enumerate(axis_order(codes)):
        flipped = codes not in ("", CANONICAL) and codes[axis] != CANONICAL[i]
        to_source[axis, i] = -1 if flipped else 1
        to_source[axis, 3] = shape_XYZ[axis] - 1 if flipped else 0
    return affine @ to_source


def axis_order(codes: str) -> tuple[int, int, int]:
    """Return which axis of the source each canonical axis is: (0, 1, 2) where none is swapped."""
    if not codes:
        return 0, 1, 2
    first, second, third = (
        next(i for i, code in enumerate(codes) if code in (target, _OPPOSITE[target]))
        for target in CANONICAL
    )
    return first, second, third


def _step(same: bool) -> slice:
    return slice(None) if same else slice(None, None, -1)
