"""Embedded pixels as inline SVG: one path a class, which keeps thousands of points small."""

from collections.abc import Sequence

import numpy as np

from dacl.analysis.report.content import Embedding
from dacl.analysis.report.curves import color_number
from dacl.analysis.report.markup import Markup, tag

SIZE, MARGIN = 320, 10


def figure(embedding: Embedding, class_names: Sequence[str]) -> Markup:
    """One run's points and scores.

    Args:
        embedding: xy of any unit; both axes are drawn on one scale.
        class_names: with the background.
    """
    xy_P2 = embedding.xy_P2
    low, high = xy_P2.min(axis=0), xy_P2.max(axis=0)
    scale = (SIZE - 2 * MARGIN) / max(float((high - low).max()), 1e-12)
    at_P2 = SIZE / 2 + (xy_P2 - (low + high) / 2) * scale
    counts = np.bincount(embedding.classes_P, minlength=len(class_names))
    paths = [
        tag("path", tag("title", name), d=_dots(at_P2[embedding.classes_P == label]),
            class_=f"cloud c{color_number(label) if label else 0}")
        for label, name in enumerate(class_names) if counts[label]
    ]  # fmt: skip
    words = ", ".join(f"{name} {n}" for name, n in zip(class_names, counts.tolist(), strict=True))
    drawn = tag(
        "svg", paths, viewBox=f"0 0 {SIZE} {SIZE}", role="img",
        aria_label=f"Embedded pixels of {embedding.label}: {words}.",
    )  # fmt: skip
    scores = [tag("li", line) for line in embedding.lines]
    return tag(
        "figure",
        tag("figcaption", tag("h3", embedding.label)),
        drawn,
        tag("ul", scores, class_="scores") if scores else None,
        class_="panel embedding",
    )


def _dots(at_P2: np.ndarray) -> str:
    """Lines of no length, which round caps make dots."""
    return "".join(f"M{x:.0f} {y:.0f}h0" for x, y in at_P2.tolist())
