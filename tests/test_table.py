"""A table as Markdown and as LaTeX."""

from dacl.table import Table

TABLE = Table(
    title="Dice & co.", columns=("run_id", "Silhouette ↑"),
    rows=(("a|b", "0.1 ± 0.2"), ("c", None)), notes=("50 % of them",),
    numbers=frozenset({"Silhouette ↑"}),
)  # fmt: skip


def test_markdown_aligns_numbers_and_keeps_bars_apart():
    assert TABLE.markdown().splitlines() == [
        "**Dice & co.**", "", "| run_id | Silhouette ↑ |", "| --- | ---: |",
        r"| a\|b | 0.1 ± 0.2 |", "| c | - |", "", "- 50 % of them",
    ]  # fmt: skip


def test_latex_escapes_what_latex_would_read():
    lines = TABLE.latex().splitlines()
    assert r"\caption{Dice \& co.}" in lines
    assert r"\begin{tabular}{lr}" in lines
    assert r"run\_id & Silhouette $\uparrow$ \\" in lines
    assert r"a$|$b & 0.1 $\pm$ 0.2 \\" in lines
    assert r"c & - \\" in lines
    assert r"\par\smallskip\footnotesize 50 \% of them." in lines


def test_latex_prints_the_characters_that_it_has_other_uses_for():
    table = Table(title=r"a\b ~ c^2", columns=("x < y > z",), rows=(("{#_%}",),))
    lines = table.latex().splitlines()
    assert r"\caption{a\textbackslash{}b \textasciitilde{} c\textasciicircum{}2}" in lines
    assert r"x $<$ y $>$ z \\" in lines
    assert r"\{\#\_\%\} \\" in lines


def test_without_notes_there_is_no_small_print():
    assert "footnotesize" not in Table(title="t", columns=("a",), rows=()).latex()
