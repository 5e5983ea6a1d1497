"""A table of text, as Markdown and as LaTeX: what every comparison is printed and written as."""

from collections.abc import Sequence
from dataclasses import dataclass

TEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
    | {"±": r"$\pm$", "↑": r"$\uparrow$", "↓": r"$\downarrow$"}
    | {character: f"${character}$" for character in "<>|"}
)
"""Characters that LaTeX reads as commands, or that its default fonts print as others (`<` as an inverted !)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Cells of text with a title and notes; None is printed as a dash."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    notes: tuple[str, ...] = ()
    numbers: frozenset[str] = frozenset()
    """Columns that are aligned to the right."""

    def markdown(self) -> str:
        """GitHub Markdown, numbers to the right."""
        lines = [f"**{self.title}**", "", _line(self.columns)]
        lines.append(_line(["---:" if name in self.numbers else "---" for name in self.columns]))
        lines += [_line([cell or "-" for cell in row]) for row in self.rows]
        if self.notes:
            lines += ["", *(f"- {note}" for note in self.notes)]
        return "\n".join(lines) + "\n"

    def latex(self) -> str:
        """A `table` for `booktabs`, notes as comments and as small print."""
        alignment = "".join("r" if column in self.numbers else "l" for column in self.columns)
        body = [" & ".join(_tex(cell or "-") for cell in row) + r" \\" for row in self.rows]
        notes = [r"\par\smallskip\footnotesize " + _tex(". ".join(self.notes)) + "."]
        return "\n".join(
            [
                r"\begin{table}",
                r"\centering",
                rf"\caption{{{_tex(self.title)}}}",
                rf"\begin{{tabular}}{{{alignment}}}",
                r"\toprule",
                " & ".join(_tex(column) for column in self.columns) + r" \\",
                r"\midrule",
                *body,
                r"\bottomrule",
                r"\end{tabular}",
                *(notes if self.notes else []),
                r"\end{table}",
                "",
            ]
        )


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _tex(text: str) -> str:
    return text.translate(TEX)
