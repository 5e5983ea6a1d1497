"""What may be done to a predicted mask before it is judged."""

import numpy as np
from jaxtyping import UInt8
from scipy.ndimage import find_objects, generate_binary_structure, label

from dacl.errors import DaclError

POST_PROCESSING = ("none", "largest-component")


def require_post(name: str) -> None:
    """DaclError unless `name` is one of POST_PROCESSING."""
    if name not in POST_PROCESSING:
        raise DaclError(
            f"no post-processing {name!r}", f"choose one of: {', '.join(POST_PROCESSING)}"
        )


def largest_component(
    mask_ZHW: UInt8[np.ndarray, "Z H W"], n_classes: int
) -> UInt8[np.ndarray, "Z H W"]:
    """Keep the largest component of every foreground class; the rest becomes background.

    Voxels touch through faces, edges and corners: anatomy is connected across thick slices that
    are displaced against each other. Of equally large components the first in (z, y, x) stays.
    """
    kept_ZHW = np.zeros_like(mask_ZHW)
    for index, box in enumerate(find_objects(mask_ZHW, n_classes - 1), start=1):
        if box is None:
            continue
        components, _ = label(mask_ZHW[box] == index, structure=generate_binary_structure(3, 3))
        sizes = np.bincount(components.ravel())
        sizes[0] = 0
        kept_ZHW[box][components == sizes.argmax()] = index
    return kept_ZHW
