"""The original recipe on the same triplets: what every figure is held against."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fec_cache.cache.joined import caches_of_recipes, label_of
from fec_cache.cache.recipe import FeatureRecipe
from fec_cache.cli.console import Console
from fec_cache.datasets.face_labels import read_face_labels
from fec_cache.errors import BadOption, FecError
from fec_cache.evaluation.compare import Comparison, compare_by_type
from fec_cache.evaluation.figures import Evaluation, plain
from fec_cache.evaluation.report import evaluate_head
from fec_cache.evaluation.seeds import credits_of, mean_over_seeds
from fec_cache.heads.base import PairHead
from fec_cache.pairs.build import TripletTable
from fec_cache.runs.checkpoint import CONFIG_NAME, load_config, load_head, load_seen_faces
from fec_cache.runs.config import RunConfig
from fec_cache.system.wording import counted
from fec_cache.system.workspace import Workspace
from fec_cache.workflows.labelled import Labelled, load_labelled
from fec_cache.workflows.overlap import find_overlap

NAME = "original recipe"
# Each seed's own intervals are not shown: these are enough for its figures.
_FEW_DRAWS = 50


@dataclass(frozen=True)
class Baseline:
    """Figures of the original recipe, or of runs that were named in its place, and our lead.

    `evaluation` has the mean over the runs; its arrays are the first run's. `comparisons` are ours
    less theirs by type of triplet, `all` last. `title` says in a few words what they are,
    `features` what they read where that is not what we read, and `credits` how right each run is on
    each triplet: one array [T] a run.
    """

    runs: tuple[str, ...]
    evaluation: Evaluation
    comparisons: Mapping[str, Comparison]
    title: str = NAME
    features: str = ""
    credits: tuple[npt.NDArray[np.float64], ...] = ()

    @property
    def comparison(self) -> Comparison:
        """On all triplets."""
        return self.comparisons["all"]

    @property
    def name(self) -> str:
        """`original recipe`, with the number of seeds where there are several."""
        num_seeds = len(self.runs)
        return self.title if num_seeds == 1 else f"{self.title}, {counted(num_seeds, 'seed')}"

    @property
    def where(self) -> str:
        """` on efficientnet_lite0:avgpool`; empty where it reads what we read."""
        return f" on {self.features}" if self.features else ""

    def beside(
        self, ours: Sequence[Evaluation], table: TripletTable, units: npt.NDArray[np.int64]
    ) -> "Baseline":
        """The same beside other heads, or seeds of one recipe: one evaluation each."""
        sides = credits_of(ours, table), self.credits
        return dataclasses.replace(self, comparisons=compare_by_type(*sides, table.types, units))

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "runs": list(self.runs),
            "title": self.title,
            "features": self.features,
            **self.evaluation.to_dict(),
            "this_head": plain(dataclasses.asdict(self.comparison)),
            "by_type": {
                name: plain(dataclasses.asdict(found)) for name, found in self.comparisons.items()
            },
        }


@dataclass(frozen=True)
class Rivals:
    """Trained heads by the name of their run, what they are measured on, and their names."""

    heads: Mapping[str, PairHead]
    labelled: Labelled
    title: str = NAME
    features: str = ""


def measure_baseline(
    rivals: Rivals, ours: Sequence[Evaluation], units: npt.NDArray[np.int64]
) -> Baseline:
    """Measure runs beside a head, or beside the seeds of a recipe, on the same triplets.

    Args:
        rivals: of one head at least.
        ours: one evaluation a seed.
        units: [T, 3], what intervals redraw.
    """
    labelled = rivals.labelled
    found = [figures_of(head, labelled) for head in rivals.heads.values()]
    mean = mean_over_seeds(found, labelled.table, units)
    credits = tuple(credits_of(found, labelled.table))
    baseline = Baseline(tuple(rivals.heads), mean, {}, rivals.title, rivals.features, credits)
    return baseline.beside(ours, labelled.table, units)


def figures_of(head: PairHead, labelled: Labelled) -> Evaluation:
    """One seed's figures, for a mean over seeds: its own intervals are from a few draws only."""
    return evaluate_head(head, labelled.matrix.features, labelled.table, draws=_FEW_DRAWS)


def find_original(
    workspace: Workspace, config: RunConfig, labelled: Labelled, console: Console
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
            console.warn(f"The run {folder.name} is left out: {error}")
    if not heads:
        return None
    try:
        theirs = _on_same_triplets(workspace, recipes, labelled, console)
    except FecError as error:
        console.warn(f"The original recipe is left out: {error}")
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
    console: Console,
) -> Rivals:
    """Runs that were named to be held against: one, or several seeds of one recipe.

    Raises:
        BadOption: they are not of one recipe, or measured on other triplets.
        FacesLeak: one has seen test faces or people.
    """
    configs = check_seeds(folders)
    first = configs[0]
    theirs = _on_same_triplets(workspace, first.recipes, labelled, console)
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


def recipe_key(config: RunConfig) -> tuple[object, ...]:
    """What is the same for every seed of one recipe on the same data."""
    train = dataclasses.replace(config.train, seed=0)
    return config.recipes, config.head, train, config.pairs, config.data.get("digest")


def recipe_name(names: Sequence[str]) -> str:
    """What several runs have in common at the start of their names, else the first one's name."""
    common = names[0]
    while not all(name.startswith(common) for name in names):
        common = common[:-1]
    return common.rstrip("-_. ") or names[0]


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
    console: Console,
) -> Labelled:
    """The test split on other caches.

    Raises:
        BadOption: it is not the same triplets, since faces are missing in one of them.
    """
    if recipes == labelled.caches.recipes:
        return labelled
    caches = caches_of_recipes(workspace.cache_dir, recipes)
    theirs = load_labelled(workspace, "test", caches, 0.0, console.quietly())
    if theirs.digest != labelled.digest:
        raise BadOption(
            f"{caches.names} and {labelled.caches.names} do not hold the same test faces, so the "
            "heads cannot be set side by side. fec compare takes the triplets that both have."
        )
    return theirs
