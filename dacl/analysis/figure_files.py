"""Files that a journal takes and a repository holds: sharp lines over scans in little space.

PNG at 300 dots per inch or more; in SVG and PDF lines and letters are vectors and each scan its own pixels.
"""

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_BYTES = 1_000_000
REDUCTIONS = (1, 2, 3, 4, 6, 8)
PNG_ATTEMPTS = ((600, 1), (450, 1), *((300, reduction) for reduction in REDUCTIONS))
"""(dots per inch, pixels of a scan averaged along each side) until a file is small enough."""
VECTOR_ATTEMPTS = tuple((300, reduction) for reduction in REDUCTIONS)
UNDATED: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


def simplify_contours(axes: "Axes", tolerance: float) -> None:
    """Leave out what no eye sees of contours: matplotlib gives every pixel they pass two corners.

    Args:
        axes: its contours are replaced.
        tolerance: how far a contour may move, in the unit of the axes.
    """
    from matplotlib.contour import ContourSet
    from matplotlib.path import Path as Line

    for contours in axes.collections:
        if isinstance(contours, ContourSet):
            simpler = []
            for path in contours.get_paths():
                parts = [
                    simpler_polygon(np.asarray(corners_N2), tolerance)
                    for corners_N2 in path.to_polygons(closed_only=False)
                ]
                closed = [Line(corners_N2, closed=True) for corners_N2 in parts]
                simpler.append(Line.make_compound_path(*closed))
            contours.set_paths(simpler)


def simpler_polygon(
    corners_N2: Float[np.ndarray, "N 2"], tolerance: float
) -> Float[np.ndarray, "M 2"]:
    """Some of its corners, the first and last among them; the others lie within `tolerance` of the lines between these.

    Douglas and Peucker's algorithm (1973).
    """
    kept = np.zeros(len(corners_N2), bool)
    kept[[0, -1]] = True
    pending = [(0, len(corners_N2) - 1)]
    while pending:
        first, last = pending.pop()
        start, along = corners_N2[first], corners_N2[last] - corners_N2[first]
        offset = corners_N2[first + 1 : last] - start
        length = float(along @ along)
        # A closed polygon begins as a line without length.
        share = np.clip(offset @ along / length, 0, 1) if length else np.zeros(len(offset))
        away = np.linalg.norm(offset - share[:, None] * along, axis=1)
        if away.size and away.max() > tolerance:
            middle = first + 1 + int(away.argmax())
            kept[middle] = True
            pending += [(first, middle), (middle, last)]
    return corners_N2[kept]


def write_figure(figure: "Figure", path: Path) -> None:
    """Write a picture of opaque scans as .png, .svg or .pdf, below 1 MB: large scans are shown coarser if they must.

    What is above that by its lines alone is written as it is, its scans at their coarsest.

    The same picture gives the same bytes. Its images hold single values, drawn with the interpolation `none`.
    """
    suffix = path.suffix[1:]
    content = b""
    scans = [image for axes in figure.axes for image in axes.images]
    originals = [np.asarray(image.get_array()) for image in scans]
    for dpi, reduction in PNG_ATTEMPTS if suffix == "png" else VECTOR_ATTEMPTS:
        for image, original in zip(scans, originals, strict=True):
            image.set_data(coarser(original, reduction))
        content = _png(figure, dpi) if suffix == "png" else _vector(figure, suffix, dpi)
        if len(content) < MAX_BYTES:
            break
    for image, original in zip(scans, originals, strict=True):
        image.set_data(original)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _png(figure: "Figure", dpi: int) -> bytes:
    """Without an alpha channel, which takes space and says nothing."""
    from PIL import Image

    file, opaque = io.BytesIO(), io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi)
    Image.open(file).convert("RGB").save(opaque, "png", optimize=True, dpi=(dpi, dpi))
    return opaque.getvalue()


def _vector(figure: "Figure", suffix: str, dpi: int) -> bytes:
    """Letters stay text in PDF (journals ask for TrueType) and are outlines in SVG."""
    import matplotlib

    settings: dict[Any, Any] = {"pdf.fonttype": 42, "svg.hashsalt": "dacl"}
    file = io.BytesIO()
    with matplotlib.rc_context(settings):
        figure.savefig(file, format=suffix, dpi=dpi, metadata=UNDATED[suffix])
    content = file.getvalue()
    return round_paths(share_images(content.decode())).encode() if suffix == "svg" else content


def round_paths(svg: str) -> str:
    """Hundredths of a point are enough for a path."""
    return re.sub(
        r'\bd="[^"]*"',
        lambda path: re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", path[0]),
        svg,
    )


def share_images(svg: str) -> str:
    """Hold an image that is shown several times, as every scan is, only once; matplotlib repeats it, id and all."""
    held: set[str] = set()

    def place(found: re.Match[str]) -> str:
        transform = re.search(r'\btransform="[^"]*"', found[1])
        name = re.search(r'\bid="([^"]*)"', found[1])
        if transform is None or name is None:
            return found[0]
        shown = f'<use xlink:href="#{name[1]}" {transform[0]}/>'
        if name[1] in held:
            return shown
        held.add(name[1])
        return f"<defs><image{found[1].replace(transform[0], '')}/></defs>{shown}"

    return re.sub(r"<image\b([^>]*?)/>", place, svg)


def coarser(image_HW: Float[np.ndarray, "H W"], n: int) -> Float[np.ndarray, "H W"]:
    """Every block of n x n pixels filled with its mean, on the same grid, so that lines over it stay in place."""
    if n == 1:
        return image_HW
    height, width = image_HW.shape
    padded = np.pad(image_HW, ((0, -height % n), (0, -width % n)), mode="edge")
    means = padded.reshape(padded.shape[0] // n, n, padded.shape[1] // n, n).mean(axis=(1, 3))
    return means.repeat(n, axis=0).repeat(n, axis=1)[:height, :width]
