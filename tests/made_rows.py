"""Rows of an ablation that was never run, over three seeds and eight patients."""

import made_results
import numpy as np

from dacl.experiments.ablation import components

ROWS = {row.key: row for row in components(upper_bound=True)}
# Seeds x patients. II is 0.02 above I for every patient and seed; III is above II for one seed and below for the other.
I_SP = np.tile(
    np.array([[0.5, 0.6, 0.7, 0.8], [0.52, 0.62, 0.72, 0.82], [0.54, 0.64, 0.74, 0.84]]), 2
)
II_SP = I_SP + 0.02
III_SP = II_SP + np.array([[0.04], [-0.04], [0.0]])


def three_rows(**options):
    return [
        made_results.row(ROWS["I"], I_SP, **options),
        made_results.row(ROWS["II"], II_SP, **options),
        made_results.row(ROWS["III"], III_SP, **options),
    ]


def cell(found, key, column):
    [row] = [row for row in found.table.rows if row[0] == key]
    return row[found.table.columns.index(column)]
