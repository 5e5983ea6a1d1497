"""One self-contained HTML file about one or several runs: tables, curves, a viewer of slices, embeddings."""

from dacl.analysis.report.content import (
    Average,
    Embedding,
    Metric,
    Report,
    ReportCase,
    ReportRun,
    Score,
)
from dacl.analysis.report.page import render, write_report

__all__ = [
    "Average",
    "Embedding",
    "Metric",
    "Report",
    "ReportCase",
    "ReportRun",
    "Score",
    "render",
    "write_report",
]
