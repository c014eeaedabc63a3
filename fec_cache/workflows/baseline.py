"""The original recipe on the same triplets: what every figure is held against."""

from pathlib import Path

from fec_cache.cache.joined import caches_of_recipes
from fec_cache.cache.recipe import FeatureRecipe, label_of
from fec_cache.datasets.face_labels import read_face_labels
from fec_cache.errors import BadOption, FecError
from fec_cache.evaluation.baseline import NAME, Rivals, recipe_key, recipe_name
from fec_cache.heads.base import PairHead
from fec_cache.pairs.labelled import Labelled
from fec_cache.runs.checkpoint import load_head, load_seen_faces
from fec_cache.runs.config import RunConfig, load_config
from fec_cache.runs.files import CONFIG_NAME
from fec_cache.system.reporter import SILENT, Reporter
from fec_cache.system.workspace import Workspace
from fec_cache.workflows.labelled import load_labelled
from fec_cache.workflows.overlap import find_overlap


def find_original(
    workspace: Workspace, config: RunConfig, labelled: Labelled, reporter: Reporter
) -> Rivals | None:
    """Runs of the original recipe to hold a head against; None for that recipe itself.

    Those on the head's own features, else on the pool of its backbone, as the original recipe has
    it. All must be trained on the same triplets, parted alike.
    """
    if config.is_original:
        return None
    heads: dict[str, PairHead] = {}
    recipes = config.recipes
    for folder, found in original_runs(workspace, config):
        if heads and found.recipes != recipes:
            continue
        try:
            heads[folder.name], recipes = load_head(folder)[0], found.recipes
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
    found = []
    for path in sorted(workspace.runs_dir.glob(f"*/{CONFIG_NAME}")):
        try:
            other = load_config(path.parent)
        except FecError:
            continue
        same_data = other.data.get("digest") == config.data.get("digest")
        if other.is_original and same_data and other.pairs == config.pairs:
            found.append((path.parent, other))
    same = [run for run in found if run[1].recipes == config.recipes]
    return same or [run for run in found if _is_pool_of(run[1], config)]


def named_rivals(
    workspace: Workspace,
    folders: tuple[Path, ...],
    labelled: Labelled,
    allow_overlap: bool,
    reporter: Reporter,
) -> Rivals:
    """Runs that were named to be held against: one, or several seeds of one recipe.

    Raises:
        BadOption: they are not of one recipe, or measured on other triplets.
        FacesLeak: one has seen test faces or people.
    """
    configs = check_seeds(folders)
    first = configs[0]
    theirs = _on_same_triplets(workspace, first.recipes, labelled, reporter)
    labels = read_face_labels(workspace.data_dir)
    for folder, config in zip(folders, configs, strict=True):
        overlap = find_overlap(workspace, load_seen_faces(folder, config), theirs, labels)
        overlap.refuse_unless(allow_overlap, folder.name)
    title = NAME if first.is_original else recipe_name([folder.name for folder in folders])
    heads = {folder.name: load_head(folder)[0] for folder in folders}
    return Rivals(heads, theirs, title, _features_unless(first.recipes, labelled))


def check_seeds(folders: tuple[Path, ...]) -> list[RunConfig]:
    """The configurations of runs that differ by the seed of training only.

    Raises:
        BadOption: naming the first run that differs by more.
    """
    configs = [load_config(folder) for folder in folders]
    for folder, config in zip(folders, configs, strict=True):
        if recipe_key(config) != recipe_key(configs[0]):
            raise BadOption(
                f"{folders[0].name} and {folder.name} differ by more than their seed, so they are "
                "not one recipe. Name seeds of one recipe; fec compare takes any two groups."
            )
    return configs


def _features_unless(recipes: tuple[FeatureRecipe, ...], labelled: Labelled) -> str:
    """The features in words, unless they are those of `labelled`."""
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
        BadOption: it is not the same triplets, since faces are missing in one of them.
    """
    if recipes == labelled.caches.recipes:
        return labelled
    caches = caches_of_recipes(workspace.cache_dir, recipes)
    theirs = load_labelled(workspace, "test", caches, 0.0, SILENT)
    if theirs.digest != labelled.digest:
        raise BadOption(
            f"{caches.names} and {labelled.caches.names} do not hold the same test faces, so the "
            "heads cannot be set side by side. fec compare takes the triplets that both have."
        )
    return theirs
