"""How long the trainings that are left will take here."""

from collections.abc import Sequence

from dacl.callbacks import OnProgress
from dacl.config import config_hash
from dacl.data.prepared import PreparedDataset
from dacl.experiments.cells import Cell, Status
from dacl.training.device import cpu_threads
from dacl.training.loop import Trainer


def seconds_left_by_cell(
    found: Sequence[tuple[Cell, Status]],
    dataset: PreparedDataset,
    threads: int,
    report: OnProgress = lambda *_: None,
) -> dict[str, float]:
    """Seconds of training left by name of the cell, 0 where there is none; evaluation not included.

    Args:
        found: cells and how far they are.
        dataset: prepared.
        threads: CPU threads that each training will have.
        report: `report(done, total, detail)` as the distinct recipes are timed, a few steps of each.
    """
    share_left = {
        cell.name: 1 - status.step / cell.config.optim.steps
        if status.state in ("not run", "interrupted")
        else 0.0
        for cell, status in found
    }
    recipes = {config_hash(cell.config): cell for cell, _ in found if share_left[cell.name]}
    seconds_of_recipe = {}
    with cpu_threads(threads):
        for done, (recipe, cell) in enumerate(recipes.items()):
            report(done, len(recipes), cell.name)
            plan = Trainer(cell.config, dataset, cell.run_dir).plan()
            seconds_of_recipe[recipe] = plan.estimated_seconds
    report(len(recipes), len(recipes), "")
    return {
        cell.name: share_left[cell.name] * seconds_of_recipe.get(config_hash(cell.config), 0.0)
        for cell, _ in found
    }
