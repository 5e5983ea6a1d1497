"""One colour per class in every picture. Foreground class i has colour i - 1; they repeat after the last."""

# Okabe and Ito's palette, told apart with every common colour vision and bright enough on a scan;
# then Tol's bright hues for datasets with more classes.
CLASS_COLORS = (
    "#56B4E9", "#F0E442", "#D55E00", "#CC79A7", "#009E73", "#E69F00", "#0072B2",
    "#BBBBBB", "#AA3377", "#44BB99", "#EE8866", "#FFAABB", "#99DDFF",
)  # fmt: skip
# The same hues for lines on white, darkened in linear light to luminance 0.3 where they are brighter: that is the
# contrast of 3:1 which WCAG 2.1 asks of graphics.
CLASS_INKS = (
    "#4A9DCC", "#A09829", "#D55E00", "#CC79A7", "#009E73", "#C78900", "#0072B2",
    "#959595", "#AA3377", "#3BA688", "#DA7C5D", "#C58290", "#6A9CB4",
)  # fmt: skip
# Where the background itself is drawn, on white: lighter than every ink, as what the classes stand out from.
BACKGROUND_INK = "#B3BAC1"


def class_color(label: int) -> str:
    """Colour of a foreground class, from 1, on a scan."""
    return CLASS_COLORS[(label - 1) % len(CLASS_COLORS)]


def class_ink(label: int) -> str:
    """Colour of a foreground class, from 1, on white paper."""
    return CLASS_INKS[(label - 1) % len(CLASS_INKS)]
