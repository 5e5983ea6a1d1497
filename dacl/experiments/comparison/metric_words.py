"""How a metric is called and written: Dice and Jaccard in percent, differences in points, distances as they are."""

from dataclasses import dataclass

from dacl.metrics.conventions import METRICS

NAMES = {"dice": "Dice", "jc": "JC", "asd": "ASD", "assd": "ASSD", "hd95": "HD95"}
UNITS = {"vox": "voxels", "mm": "mm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricWords:
    """One of dacl.metrics.conventions.METRICS in words."""

    name: str
    """`Dice`, `HD95 in mm`."""
    heading: str
    """`Dice %`, `HD95 mm`."""
    unit: str
    """Of a difference: `points of Dice`, `mm`."""
    factor: float
    """From the unit of summary.json to what is shown."""

    def value(self, value: float | None) -> str | None:
        """Two decimals; None stays None."""
        return None if value is None else f"{self.factor * value:.2f}"

    def difference(self, value: float) -> str:
        """With its sign."""
        return f"{self.factor * value:+.2f}"

    def interval(self, bounds: tuple[float, float]) -> str:
        """`[-0.20, +1.50]`."""
        return "[" + ", ".join(self.difference(bound) for bound in bounds) + "]"


def words_of(metric: str) -> MetricWords:
    """The words for one of METRICS."""
    assert metric in METRICS, metric
    kind, _, unit = metric.partition("_")
    name = NAMES[kind]
    if not unit:
        return MetricWords(name=name, heading=f"{name} %", unit=f"points of {name}", factor=100.0)
    return MetricWords(
        name=f"{name} in {UNITS[unit]}", heading=f"{name} {unit}", unit=UNITS[unit], factor=1.0
    )
