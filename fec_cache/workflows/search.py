"""`fec grid-search` as one call: many heads, each tried once, the best one saved."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.joined import CacheSet
from fec_cache.inference.network import choose_device
from fec_cache.pairs.annotated import AnnotatedPairs
from fec_cache.pairs.config import PairConfig
from fec_cache.reports.search_table import SearchBoard, rate_in_words, table_of
from fec_cache.runs.files import RESULTS_NAME
from fec_cache.search.choice import BEST, check_rule
from fec_cache.search.group import FAILURES
from fec_cache.search.ledger import Ledger, Outcome
from fec_cache.search.progress import ProgressCallback, SearchProgress
from fec_cache.search.pruners.base import Pruner
from fec_cache.search.results import Ranked
from fec_cache.search.run import Search, Survey
from fec_cache.search.samplers.base import DEFAULT_SAMPLER, Sampler, make_sampler, samplers
from fec_cache.search.scope import Scope
from fec_cache.search.space import Space, space_of
from fec_cache.search.trainer import ONE_BY_ONE, SearchTrainer, plan_for
from fec_cache.system.reporter import LOGGING, Parts, Reporter, Snapshot, Table
from fec_cache.system.wording import counted, duration, percent
from fec_cache.system.workspace import Workspace
from fec_cache.training.backends.process_pool import StackPlan
from fec_cache.workflows.labelled import (
    label_pairs,
    load_training,
    split_labelled,
    warn_of_random_weights,
)
from fec_cache.workflows.search_keeper import Keeper, SearchMaterial
from fec_cache.workflows.train import HeadRequest, digest_of, unread_note


@dataclass(frozen=True)
class SearchRequest:
    """What to search and how; the fields are the options of `fec grid-search`."""

    space: Space
    sampler: str = DEFAULT_SAMPLER
    sampler_seed: int = 0
    trials: int | None = None
    timeout_s: float | None = None
    pruner: Pruner | None = None
    choose: str = BEST
    retry_failed: bool = False
    storage: str | None = None
    plots: bool = True

    def __post_init__(self) -> None:
        """Check what can be checked before anything is loaded."""
        check_rule(self.choose, len(self.space.seeds))
        self.new_sampler()

    def new_sampler(self) -> Sampler:
        """A sampler of its settings, from the start."""
        return make_sampler(self.space, self.sampler, self.trials, self.sampler_seed)

    def on(self, material: SearchMaterial) -> "SearchRequest":
        """The same request on the features that it will be tried on."""
        return replace(self, space=replace(self.space, blocks=material.labelled.caches.blocks))

    def search(self, scope: str, trainer: SearchTrainer, ledger: Ledger) -> Search:
        """The search itself, on what it is to be tried on."""
        return Search(
            space=self.space,
            new_sampler=self.new_sampler,
            scope=scope,
            trainer=trainer,
            ledger=ledger,
            pruner=self.pruner,
            timeout_s=self.timeout_s,
            retry_failed=self.retry_failed,
        )

    @property
    def name(self) -> str:
        """Names the points: the space and how settings are drawn from it."""
        drawn = [self.sampler, self.sampler_seed, self.trials, repr(self.pruner)]
        return digest_of([repr(self.space), *drawn])

    def run_name(self, scope: Scope) -> str:
        """Name of the search's run if none was given, as `grid-42f2d10b`."""
        return f"{self.sampler}-{digest_of([scope.digest, self.name])[:8]}"


@dataclass(frozen=True)
class SearchOutcome:
    """A search and its results: settings by rank, the winner, failed points, the head's folder.

    `num_open` points were left by a timeout; `num_trained` were trained by this run, in
    `duration_s` seconds.
    """

    folder: Path
    winner: Ranked
    ranked: tuple[Ranked, ...]
    failed: tuple[Outcome, ...]
    num_points: int
    num_open: int
    num_trained: int
    duration_s: float
    rule: str

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "run": str(self.folder),
            "points": self.num_points,
            "open": self.num_open,
            "trained": self.num_trained,
            "duration_s": self.duration_s,
            "failed": [asdict(outcome) for outcome in self.failed],
            "choose": self.rule,
            "winner": {**_fields(self.winner), "saved_seed": self.winner.first.settings["seed"]},
            "ranked": [_fields(entry) for entry in self.ranked],
        }

    def parts(self, num_shown: int) -> Parts:
        """For people: the best settings as a table, in columns of what differs between them."""
        columns, rows = table_of(self.ranked, num_shown)
        title = (
            f"{counted(self.num_points, 'point')}, best {len(rows)} of "
            f"{counted(len(self.ranked), 'setting')}"
        )
        lines: list[str | Table] = [Table(title, columns, rows)]
        if self.num_trained:
            rate = rate_in_words(self.num_trained, self.duration_s)
            lines.append(
                f"{counted(self.num_trained, 'point')} trained in {duration(self.duration_s)}: "
                f"{rate}"
            )
        if self.failed:
            lines.append(
                f"{counted(len(self.failed), 'point')} failed; see {self.folder / RESULTS_NAME}. "
                "Try them again with --retry-failed."
            )
        if self.num_open:
            lines.append(
                f"{counted(self.num_open, 'point')} left open: the time was up. The same command "
                "goes on."
            )
        return [*lines, self._winner_in_words(), f"Best head: {self.folder}"]

    def _winner_in_words(self) -> str:
        place = self.ranked.index(self.winner) + 1
        why = "best" if place == 1 else f"rank {place}, cheapest within one standard error of best"
        first = self.winner.first
        seed = f"seed {first.settings['seed']}"
        if self.winner.num_seeds > 1:
            seed += f", the first and not the luckiest of {counted(self.winner.num_seeds, 'seed')}"
        return f"Saved: the {why} setting's head of {seed}: {percent(first.val_triplet_accuracy)}"


def grid_search(
    workspace: Workspace,
    request: HeadRequest,
    wanted: SearchRequest,
    reporter: Reporter = LOGGING,
) -> SearchOutcome:
    """Try every point of a search once and save the best head as the search's run.

    All points in the run's folder are ranked together: a search with more values keeps its results.

    Raises:
        NothingToTrain: no point has figures.
        OutputExists: the run's name stands for something else.
    """
    device = str(choose_device(request.device))
    for head, names in wanted.space.unread().items():
        reporter.warning(unread_note(head, names))
    material = SearchMaterial(
        *load_training(workspace, request.features, request.pairs, reporter), request.pairs
    )
    wanted = wanted.on(material)
    folder = workspace.runs_dir / (request.name or wanted.run_name(material.scope))
    return _search(material, folder, wanted, device, reporter)


def search(
    cache: FeatureCache | Sequence[FeatureCache],
    pairs: AnnotatedPairs,
    settings: Mapping[str, Sequence[object]],
    folder: str | Path,
    split: PairConfig | None = None,
    *,
    device: str = "auto",
    reporter: Reporter = LOGGING,
) -> SearchOutcome:
    """Try every combination of settings, and save the best head as a run.

    Each distinct head is trained once; the same call resumes a search that was stopped.

    Args:
        cache: from `open_cache`, or several whose features are put side by side.
        pairs: from `load_pairs`.
        settings: fields of `HeadConfig` or `TrainConfig` and the values to try; `seed` takes
            several seeds, over which settings are averaged.
        folder: of the run, as `runs/search`.
        split: which triplets count, and the share held out for validation.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        reporter: for progress and warnings.

    Raises:
        BadOption: a value is not allowed.
        NothingToTrain: no point has figures.
        OutputExists: the folder holds something else.

    Example:
        >>> from fec_cache import load_pairs, open_cache
        >>> with open_cache("cache", "toy") as cache:
        ...     outcome = search(
        ...         cache, load_pairs("data"), {"lr": [1e-3, 1e-2], "epochs": [2]}, "runs/search"
        ...     )
        >>> outcome.num_points
        2
    """
    split = split or PairConfig()
    caches = CacheSet((cache,) if isinstance(cache, FeatureCache) else tuple(cache))
    warn_of_random_weights(caches.recipes, reporter)
    labelled = label_pairs(pairs, caches, split.min_agreement, reporter)
    material = SearchMaterial(labelled, split_labelled(labelled, split, reporter), split)
    wanted = SearchRequest(space_of(settings), plots=False).on(material)
    return _search(material, Path(folder), wanted, str(choose_device(device)), reporter)


def _search(
    material: SearchMaterial, folder: Path, wanted: SearchRequest, device: str, reporter: Reporter
) -> SearchOutcome:
    scope = material.scope
    if scope.claim(folder):
        reporter.warning(f"{folder} had a damaged search.json; it was written again.")
    trainer = SearchTrainer(material.labelled.matrix.features, material.split, ONE_BY_ONE, device)
    running = wanted.search(scope.digest, trainer, Ledger(folder))
    survey = begin_search(running, wanted, reporter)
    keeper = Keeper(folder, material, running, wanted.storage)
    started = time.monotonic()
    try:
        with reporter.live("Searching") as show:
            num_open = running.run(keeper.also_stored(_shown(reporter, show)))
    except KeyboardInterrupt:
        reporter.warning(keeper.interrupted())
        raise
    spent = time.monotonic() - started
    results = keeper.conclude(wanted.choose, wanted.plots)
    counts = (survey.num_points, num_open, survey.num_open - num_open)
    return SearchOutcome(folder, *results, *counts, spent, wanted.choose)


def _shown(reporter: Reporter, show: Callable[[Snapshot], None]) -> ProgressCallback:
    """Show each state of a search, after a warning for each point that failed."""
    board = SearchBoard()

    def on_progress(progress: SearchProgress) -> None:
        """Warn of failed points, then show the rest."""
        for outcome in progress.new:
            if outcome.is_failed:
                reporter.warning(f"point {outcome.key} failed: {outcome.error}")
        show(board.snapshot(progress))

    return on_progress


def begin_search(search: Search, wanted: SearchRequest, reporter: Reporter) -> Survey:
    """Say what lies before a search and how its points are shared out."""
    survey = search.survey()
    for name in search.ledger.damaged:
        reporter.warning(f"{name} is damaged; it was set aside, and its points are trained again.")
    if survey.open_points:
        search.trainer = replace(search.trainer, plan=_plan(search, survey, wanted.name))
        reporter.message(search.trainer.plan.sentence)
    space, num_distinct = wanted.space, len(wanted.space.settings())
    if space.num_combinations > num_distinct and samplers()[wanted.sampler].covers_grid:
        reporter.message(
            f"{counted(space.num_combinations, 'combination')} are "
            f"{counted(num_distinct, 'distinct head')}: the others differ only in options that "
            "their head ignores"
        )
    expected = search.seconds_expected(survey)
    several = f" ({counted(len(space.seeds), 'seed')} each)" if len(space.seeds) > 1 else ""
    pruned = ", less what is pruned" if search.pruner and survey.num_open else ""
    reporter.message(
        f"{counted(survey.num_points, 'point')}{several}, {survey.num_known} of them done before; "
        f"expected time {'unknown' if math.isnan(expected) else duration(expected)}{pruned}"
    )
    return survey


def _plan(search: Search, survey: Survey, name: str) -> StackPlan:
    """The plan of an earlier run of the same search, else a measured one."""
    try:
        return StackPlan(**(search.ledger.plan(name) or {}))
    except TypeError:
        pass
    trainer = search.trainer
    try:
        plan = plan_for(trainer.features, trainer.split, survey.open_points, trainer.device)
    except FAILURES:  # what is wrong with a point is told when its turn comes
        plan = ONE_BY_ONE
    search.ledger.record_plan(name, asdict(plan))
    return plan


def _fields(entry: Ranked) -> dict[str, Any]:
    return {
        **entry.settings,
        "status": entry.status,
        "val_triplet_accuracy": entry.val_triplet_accuracy,
        "stderr": entry.stderr,
        "seeds": entry.num_seeds,
    }
