"""Scans and masks small enough to mail: 8-bit WebP slices and run lengths.

Shape legend: Z slices, H rows, W columns.
"""

import base64
import io
import math

import numpy as np
from jaxtyping import Float, Integer, UInt8

WINDOW_PERCENT = (0.5, 99.5)
QUALITY = 90
"""Of WebP, 0 to 100: at 90 a slice of ACDC takes about 9 KB, a third of its lossless form."""
MAX_PIXELS = 48_000_000
"""Over all slices of a report; about 12 MB of WebP. ACDC's test patients are 19 million, a CT set is more."""


def reduction(pixels: int) -> int:
    """Every how-manieth row and column is kept so that a report stays below `MAX_PIXELS`."""
    return max(1, math.ceil(math.sqrt(pixels / MAX_PIXELS)))


def to_grey(image_ZHW: Float[np.ndarray, "Z H W"]) -> UInt8[np.ndarray, "Z H W"]:
    """Intensities between two percentiles of the whole volume, so that brightness is the same in every slice."""
    low, high = np.percentile(image_ZHW, WINDOW_PERCENT)
    scaled = (image_ZHW - low) / max(float(high - low), 1e-12)
    return np.rint(255 * np.clip(scaled, 0, 1)).astype(np.uint8)


def reduced(grey_ZHW: UInt8[np.ndarray, "Z H W"], step: int) -> UInt8[np.ndarray, "Z h w"]:
    """Means of squares of `step` pixels a side."""
    if step == 1:
        return grey_ZHW
    from PIL import Image

    return np.stack([np.asarray(Image.fromarray(grey_HW).reduce(step)) for grey_HW in grey_ZHW])


def encode_slices(grey_ZHW: UInt8[np.ndarray, "Z H W"]) -> list[str]:
    """A data URI per slice: WebP, or PNG where Pillow was built without it."""
    from PIL import Image, features

    form, options = ("WEBP", {"quality": QUALITY, "method": 4})
    if not features.check("webp"):
        form, options = ("PNG", {"optimize": True})
    uris = []
    for grey_HW in grey_ZHW:
        file = io.BytesIO()
        Image.fromarray(grey_HW).save(file, form, **options)
        text = base64.b64encode(file.getvalue()).decode("ascii")
        uris.append(f"data:image/{form.lower()};base64,{text}")
    return uris


def encode_runs(mask_ZHW: Integer[np.ndarray, "Z H W"]) -> str:
    """Base64 of (class, length) for every run of equal values in reading order.

    The class is one byte, the length little-endian base 128 with the high bit set in every byte but the last.
    """
    flat = np.ascontiguousarray(mask_ZHW).ravel()
    starts = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1])
    lengths = np.diff(np.append(starts, flat.size))
    out = bytearray()
    for label, length in zip(flat[starts].tolist(), lengths.tolist(), strict=True):
        out.append(label)
        while length > 127:
            out.append(length & 127 | 128)
            length >>= 7
        out.append(length)
    return base64.b64encode(bytes(out)).decode("ascii")


def encode_mask(mask_ZHW: Integer[np.ndarray, "Z H W"], step: int) -> str:
    """`encode_runs` of the pixel in the middle of every square of `step` pixels a side."""
    rows, columns = (_middles(n, step) for n in mask_ZHW.shape[1:])
    return encode_runs(mask_ZHW[:, rows][:, :, columns])


def _middles(size: int, step: int) -> np.ndarray:
    return np.minimum(np.arange(0, size, step) + step // 2, size - 1)


def in_words(step: int) -> tuple[str, ...]:
    """What was done to the pictures, for whoever looks at them."""
    low, high = WINDOW_PERCENT
    lines = [
        f"Pictures are for the eye: 8 bits between the {low} and {high} percentiles of each volume, compressed "
        f"(WebP, quality {QUALITY}). All numbers come from the volumes themselves."
    ]
    if step > 1:
        lines.append(
            f"So that the file can be mailed, pictures and masks are shown at 1/{step} of their resolution."
        )
    return tuple(lines)


def worst_slice(
    truth_ZHW: Integer[np.ndarray, "Z H W"], pred_ZHW: Integer[np.ndarray, "Z H W"]
) -> int:
    """Index of the slice with the most pixels of a wrong class; the middle one where all are right."""
    wrong_Z = (truth_ZHW != pred_ZHW).sum(axis=(1, 2))
    return int(wrong_Z.argmax()) if wrong_Z.any() else len(truth_ZHW) // 2
