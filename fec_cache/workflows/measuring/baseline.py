"""The original recipe on the same triplets: what every figure is compared with."""

from pathlib import Path

from fec_cache.cache.joined import caches_of_recipes
from fec_cache.cache.recipe import FeatureRecipe, label_of
from fec_cache.errors import BadOption, FecError
from fec_cache.evaluation.baseline import NAME, Rivals, recipe_key, recipe_name
from fec_cache.heads.base import PairHead
from fec_cache.pairs.labelled import Labelled
from fec_cache.runs.checkpoint import load_head
from fec_cache.runs.config import RunConfig, load_config
from fec_cache.runs.files import CONFIG_NAME
from fec_cache.system.reporter import SILENT, Reporter
from fec_cache.system.workspace import Workspace
from fec_cache.workflows.loading.triplets import load_labelled
from fec_cache.workflows.measuring.overlap import LeakCheck


def find_original(
    workspace: Workspace, config: RunConfig, labelled: Labelled, reporter: Reporter
) -> Rivals | None:
    """Runs of the original recipe to compare a head with; None for that recipe itself.

    Runs on the head's own features are preferred to runs on the global pool of its backbone, which
    the original recipe used. All must be trained on the same triplets with the same split.
    """
    if config.is_original:
        return None
    heads: dict[str, PairHead] = {}
    recipes = config.recipes
    for folder, other in original_runs(workspace, config):
        if heads and other.recipes != recipes:
            continue
        try:
            heads[folder.name], recipes = load_head(folder)[0], other.recipes
        except FecError as error:
            reporter.warning(f"The run {folder.name} is left out: {error}")
    if not heads:
        return None
    try:
        theirs = _on_same_triplets(workspace, recipes, labelled, reporter)
    except FecError as error:
        reporter.warning(f"The original recipe is left out: {error}")
        return None
    return Rivals(heads, theirs, NAME, _features_unless(recipes, labelled))


def original_runs(workspace: Workspace, config: RunConfig) -> list[tuple[Path, RunConfig]]:
    """Runs of the original recipe on the same triplets: on the same features, else on the pool."""
    runs = []
    for path in sorted(workspace.runs_dir.glob(f"*/{CONFIG_NAME}")):
        try:
            other = load_config(path.parent)
        # Any run may be damaged; only one that the user named is an error.
        except FecError:
            continue
        same_data = other.data.get("digest") == config.data.get("digest")
        if other.is_original and same_data and other.pairs == config.pairs:
            runs.append((path.parent, other))
    same = [run for run in runs if run[1].recipes == config.recipes]
    return same or [run for run in runs if _is_pool_of(run[1], config)]


def named_rivals(
    workspace: Workspace,
    folders: tuple[Path, ...],
    labelled: Labelled,
    allow_overlap: bool,
    reporter: Reporter,
) -> Rivals:
    """The runs that were named to compare with: one run, or several seeds of one recipe.

    Raises:
        BadOption: the runs are not of one recipe, or their caches hold other test faces.
        FacesLeak: a head has seen test faces or people.
    """
    configs = check_seeds(folders)
    first = configs[0]
    theirs = _on_same_triplets(workspace, first.recipes, labelled, reporter)
    check = LeakCheck.of(workspace, allow_overlap)
    for folder, config in zip(folders, configs, strict=True):
        check.overlap(folder, config, theirs)
    title = NAME if first.is_original else recipe_name([folder.name for folder in folders])
    heads = {folder.name: load_head(folder)[0] for folder in folders}
    return Rivals(heads, theirs, title, _features_unless(first.recipes, labelled))


def check_seeds(folders: tuple[Path, ...]) -> list[RunConfig]:
    """The configurations of runs that differ only in the seed of training.

    Raises:
        BadOption: a run differs in more than that; it is named.
    """
    configs = [load_config(folder) for folder in folders]
    for folder, config in zip(folders, configs, strict=True):
        if recipe_key(config) != recipe_key(configs[0]):
            raise BadOption(
                f"{folders[0].name} and {folder.name} differ in more than their seed, so they are "
                "not one recipe. Name seeds of one recipe; fec compare takes any two groups."
            )
    return configs


def _features_unless(recipes: tuple[FeatureRecipe, ...], labelled: Labelled) -> str:
    """The features in words; empty if they are those of `labelled`."""
    return "" if recipes == labelled.caches.recipes else label_of(recipes)


def _is_pool_of(other: RunConfig, config: RunConfig) -> bool:
    backbones = {recipe.backbone for recipe in config.recipes}
    return all(
        recipe.layer == "avgpool" and not recipe.flip and recipe.backbone in backbones
        for recipe in other.recipes
    )


def _on_same_triplets(
    workspace: Workspace,
    recipes: tuple[FeatureRecipe, ...],
    labelled: Labelled,
    reporter: Reporter,
) -> Labelled:
    """The test split on other caches.

    Raises:
        BadOption: its triplets differ, because faces are missing in one of the caches.
    """
    if recipes == labelled.caches.recipes:
        return labelled
    caches = caches_of_recipes(workspace.cache_dir, recipes)
    theirs = load_labelled(workspace, "test", caches, 0.0, SILENT)
    if theirs.digest != labelled.digest:
        raise BadOption(
            f"{caches.names} and {labelled.caches.names} do not hold the same test faces, so the "
            "heads cannot be compared here. fec compare uses the triplets that both have."
        )
    return theirs
