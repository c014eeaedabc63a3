"""`fec grid-search` as one call: many heads, each trained once, the best one saved."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from fec_cache.cache.cache import FeatureCache
from fec_cache.errors import MissingExtra
from fec_cache.inference.network import choose_device
from fec_cache.pairs.annotated import AnnotatedPairs
from fec_cache.pairs.config import PairConfig
from fec_cache.reports.search_table import SearchBoard
from fec_cache.search.group import FAILURES
from fec_cache.search.ledger import Ledger
from fec_cache.search.progress import ProgressCallback, SearchProgress
from fec_cache.search.run import Search, Survey
from fec_cache.search.samplers.base import samplers
from fec_cache.search.space import space_of
from fec_cache.search.trainer import ONE_BY_ONE, SearchTrainer, plan_for
from fec_cache.system.extras import require
from fec_cache.system.reporter import LOGGING, Reporter, Snapshot
from fec_cache.system.wording import counted, duration
from fec_cache.system.workspace import Workspace
from fec_cache.training.backends.process_pool import StackPlan
from fec_cache.workflows.loading.triplets import label_training, load_training
from fec_cache.workflows.searching.keeper import Keeper
from fec_cache.workflows.searching.outcome import SearchOutcome
from fec_cache.workflows.searching.request import SearchMaterial, SearchRequest
from fec_cache.workflows.train import HeadRequest, unread_note


def grid_search(
    workspace: Workspace,
    request: HeadRequest,
    wanted: SearchRequest,
    reporter: Reporter = LOGGING,
) -> SearchOutcome:
    """Train every point of a search once and save the best head as the search's run.

    All points in the run's folder are ranked together, so a search can be extended with more
    values. Without matplotlib there are no plots, with a warning.

    Raises:
        NothingToTrain: no point was trained.
        OutputExists: the run's folder holds another search or a trained head.
    """
    device = str(choose_device(request.device))
    wanted = _without_missing_plots(wanted, reporter)
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
    """Train every combination of settings once, and save the best head as a run.

    The same call resumes a search that was stopped.

    Args:
        cache: from `open_cache`, or several whose features are put side by side.
        pairs: from `load_pairs`.
        settings: fields of `HeadConfig` or `TrainConfig` and their values; figures are
            averaged over the values of `seed`.
        folder: of the run, such as `runs/search`.
        split: which triplets count, and the share held out for validation.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        reporter: for progress and warnings.

    Raises:
        BadOption, OutputExists: a value is not allowed, or the folder holds something else.
        NothingToTrain: no point was trained.

    Example:
        >>> from fec_cache import load_pairs, open_cache
        >>> settings = {"lr": [1e-3, 1e-2], "epochs": [2]}
        >>> with open_cache("cache", "toy") as cache:
        ...     outcome = search(cache, load_pairs("data"), settings, "runs/search")
        >>> outcome.num_points
        2
    """
    split = split or PairConfig()
    material = SearchMaterial(*label_training(cache, pairs, split, reporter), split)
    wanted = _request_of(settings, reporter).on(material)
    return _search(material, Path(folder), wanted, str(choose_device(device)), reporter)


def _request_of(settings: Mapping[str, Sequence[object]], reporter: Reporter) -> SearchRequest:
    """A grid of settings, with a warning for options that a head in it does not read."""
    space = space_of(settings)
    for head, names in space.unread().items():
        reporter.warning(unread_note(head, names))
    return SearchRequest(space, plots=False)


def _search(
    material: SearchMaterial, folder: Path, wanted: SearchRequest, device: str, reporter: Reporter
) -> SearchOutcome:
    scope = material.scope
    if scope.claim(folder):
        reporter.warning(f"{folder} had a damaged search.json; it was rewritten.")
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


def _without_missing_plots(wanted: SearchRequest, reporter: Reporter) -> SearchRequest:
    """The request, without plots if matplotlib is missing: minutes of training count for more."""
    if wanted.plots:
        try:
            require("matplotlib", "report")
        except MissingExtra as error:
            reporter.warning(f"No plots will be drawn. {error}")
            return replace(wanted, plots=False)
    return wanted


def _shown(reporter: Reporter, show: Callable[[Snapshot], None]) -> ProgressCallback:
    """A callback that shows each state of a search, after a warning for each failed point."""
    board = SearchBoard()

    def on_progress(progress: SearchProgress) -> None:
        """Warn of failed points, then show the rest."""
        for outcome in progress.new:
            if outcome.is_failed:
                reporter.warning(f"point {outcome.key} failed: {outcome.error}")
        show(board.snapshot(progress))

    return on_progress


def begin_search(search: Search, wanted: SearchRequest, reporter: Reporter) -> Survey:
    """Report the size of a search and its expected time, and plan how points are batched."""
    survey = search.survey()
    for name in search.ledger.damaged:
        reporter.warning(f"{name} is damaged; it was set aside, and its points are trained again.")
    # Measuring a plan costs seconds of training: only if there is something to train.
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
    pruned = ", less with pruning" if search.pruner and survey.num_open else ""
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
    except FAILURES:  # a bad point fails by itself later, and is reported then
        plan = ONE_BY_ONE
    search.ledger.record_plan(name, asdict(plan))
    return plan
