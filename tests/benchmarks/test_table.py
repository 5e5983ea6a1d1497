"""The Markdown table."""

from dataclasses import asdict

import pytest

from benchmarks.harness import AtLeast, AtMost, Bench
from benchmarks.table import markdown, number


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1234.5, "1234"), (21.64, "21.6"), (1.0, "1.00"), (0.0488, "0.0488"), (327.0, "327")],
)  # fmt: skip
def test_numbers_have_three_digits(value, text):
    assert number(value) == text


def test_a_section_per_part_and_a_row_per_record():
    bench, other = Bench("metrics"), Bench("step")
    bench.ratio(
        "all",
        "hearts",
        [1.0],
        [25.0],
        against="medpy",
        target=AtLeast(20),
        memory_mb=12.0,
        note="difference 0",
    )
    bench.ratio(
        "all",
        "abdomen",
        [1.0],
        [300.0],
        against="medpy",
        target=AtLeast(400),
        cached_on="2026-01-02",
    )
    other.ratio(
        "dacl",
        "8",
        [1.05],
        [1.0],
        against="cps",
        target=AtMost(1.1),
        memory_mb=5.0,
        reference_memory_mb=10.0,
    )
    records = [asdict(record) for record in bench.records + other.records]
    text = markdown(records, {"date": "2026-01-03", "cpu": "one", "cpu_flags": ["avx2"]})
    assert "date 2026-01-03, cpu one" in text
    assert "avx2" not in text
    before, _, after = text.partition("### step")
    assert "### metrics" in before
    hearts = next(line for line in before.splitlines() if "hearts" in line)
    assert hearts.split(" | ")[2:] == [
        "1.00 s (1.00-1.00)", "12 MB", "medpy", "25.0 s", "**25.0** (25.0-25.0)", ">= 20: met", "difference 0 |",
    ]  # fmt: skip
    abdomen = next(line for line in before.splitlines() if "abdomen" in line)
    assert ">= 400: **missed** | reference cached on 2026-01-02 |" in abdomen
    assert "5 MB (reference 10) | cps | 1.00 s | **1.05** cost" in after
