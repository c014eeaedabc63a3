"""Seeds of one recipe, measured together: the report's figures for the recipe."""

from pathlib import Path

from fec_cache.errors import FecError
from fec_cache.evaluation.baseline import figures_of, recipe_key
from fec_cache.evaluation.figures import Evaluation
from fec_cache.evaluation.outcome import EvaluateOutcome
from fec_cache.evaluation.seed_group import Seed, SeedGroup
from fec_cache.evaluation.seeds import mean_over_seeds
from fec_cache.runs.checkpoint import load_head
from fec_cache.runs.config import RunConfig, load_config
from fec_cache.runs.files import CONFIG_NAME
from fec_cache.runs.history import load_history
from fec_cache.system.reporter import Reporter
from fec_cache.system.workspace import Workspace


def find_seeds(workspace: Workspace, folder: Path) -> tuple[Path, ...]:
    """All runs of a run's recipe on the same triplets, the run itself first."""
    key = recipe_key(load_config(folder))
    others = []
    for path in sorted(workspace.runs_dir.glob(f"*/{CONFIG_NAME}")):
        try:
            is_same = recipe_key(load_config(path.parent)) == key
        # Any run may be damaged; only one that the user named is an error.
        except FecError:
            continue
        if is_same and path.parent.resolve() != folder.resolve():
            others.append(path.parent)
    return (folder, *others)


def measure_seeds(
    folders: tuple[Path, ...], outcome: EvaluateOutcome, reporter: Reporter
) -> SeedGroup | None:
    """Measure the seeds of a recipe on the same test triplets; None if there is only one seed.

    Two runs of one seed count once; a run that cannot be read is reported and left out.

    Args:
        folders: runs of the recipe of `outcome`.
        outcome: of the run that the report shows.
        reporter: for warnings.
    """
    shown = _seed(outcome.folder, outcome.config, outcome.evaluation)
    by_seed = {shown.number: shown}
    for folder in folders:
        try:
            head, config = load_head(folder)
        except FecError as error:
            reporter.warning(f"The run {folder.name} is left out: {error}")
            continue
        if config.train.seed in by_seed:
            continue
        evaluation = figures_of(head, outcome.labelled)
        by_seed[config.train.seed] = _seed(folder, config, evaluation)
    if len(by_seed) < 2:
        return None
    seeds = tuple(by_seed[number] for number in sorted(by_seed))
    # The mean takes arrays and words from its first evaluation: the run that is shown goes first.
    ordered = [shown, *(seed for seed in seeds if seed is not shown)]
    mean = mean_over_seeds(
        [seed.evaluation for seed in ordered], outcome.labelled.table, outcome.evaluation.units
    )
    return SeedGroup(seeds, mean)


def _seed(folder: Path, config: RunConfig, evaluation: Evaluation) -> Seed:
    return Seed(folder.name, config.train.seed, evaluation, load_history(folder))
