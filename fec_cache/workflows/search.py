"""`fec grid-search` as one call: many heads, each tried once, the best one saved."""

import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fec_cache.cli.console import Console, table
from fec_cache.inference.network import choose_device
from fec_cache.reports.search_table import rate_in_words, shown_search, table_of
from fec_cache.runs.files import RESULTS_NAME
from fec_cache.search.choice import BEST, check_rule
from fec_cache.search.group import FAILURES
from fec_cache.search.ledger import Ledger, Outcome
from fec_cache.search.pruners.halving import Halving
from fec_cache.search.results import Ranked
from fec_cache.search.run import Search, Survey
from fec_cache.search.samplers.proposals import GRID, Proposer, make_proposer
from fec_cache.search.scope import Scope, split_digest
from fec_cache.search.space import Space
from fec_cache.search.trainer import ONE_BY_ONE, Engine, plan_for
from fec_cache.system.wording import counted, duration, percent
from fec_cache.system.workspace import Workspace
from fec_cache.training.backends.process_pool import StackPlan
from fec_cache.training.version import TRAINER_VERSION
from fec_cache.workflows.labelled import load_training
from fec_cache.workflows.search_keeper import Keeper
from fec_cache.workflows.train import HeadRequest, digest_of, unread_note


@dataclass(frozen=True)
class SearchRequest:
    """What to search and how; the fields are the options of `fec grid-search`."""

    space: Space
    sampler: str = GRID
    sampler_seed: int = 0
    trials: int | None = None
    timeout_s: float | None = None
    halving: Halving | None = None
    choose: str = BEST
    retry_failed: bool = False
    storage: str | None = None
    plots: bool = True

    def __post_init__(self) -> None:
        """Check what can be checked before anything is loaded."""
        check_rule(self.choose, len(self.space.seeds))
        self.proposer()

    def proposer(self) -> Proposer:
        """A proposer of its settings, from the start."""
        return make_proposer(self.space, self.sampler, self.trials, self.sampler_seed)

    def search(self, scope: str, engine: Engine, ledger: Ledger) -> Search:
        """The search itself, on what it is to be tried on."""
        return Search(
            space=self.space,
            propose=self.proposer,
            scope=scope,
            engine=engine,
            ledger=ledger,
            halving=self.halving,
            timeout_s=self.timeout_s,
            retry_failed=self.retry_failed,
        )

    @property
    def name(self) -> str:
        """Names the points: the space and how settings are drawn from it."""
        drawn = [self.sampler, self.sampler_seed, self.trials, repr(self.halving)]
        return digest_of([repr(self.space), *drawn])


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

    def in_words(self, num_shown: int) -> str:
        """For people: the best settings as a table, in columns of what differs between them."""
        columns, rows = table_of(self.ranked, num_shown)
        title = (
            f"{counted(self.num_points, 'point')}, best {len(rows)} of "
            f"{counted(len(self.ranked), 'setting')}"
        )
        lines = [table(title, columns, rows)]
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
        return "\n".join([*lines, self._winner_in_words(), f"Best head: {self.folder}"])

    def _winner_in_words(self) -> str:
        place = self.ranked.index(self.winner) + 1
        why = "best" if place == 1 else f"rank {place}, cheapest within one standard error of best"
        first = self.winner.first
        seed = f"seed {first.settings['seed']}"
        if self.winner.num_seeds > 1:
            seed += f", the first and not the luckiest of {counted(self.winner.num_seeds, 'seed')}"
        return f"Saved: the {why} setting's head of {seed}: {percent(first.val_triplet_accuracy)}"


def run_search(
    workspace: Workspace, request: HeadRequest, wanted: SearchRequest, console: Console
) -> SearchOutcome:
    """Try every point of a search once and save the best head as the search's run.

    All points of the run's folder are ranked together: a search that is widened keeps what it had.

    Raises:
        NothingToTrain: no point has figures.
        OutputExists: the run's name stands for something else.
    """
    device = str(choose_device(request.device))
    for head, names in wanted.space.unread().items():
        console.warn(unread_note(head, names))
    labelled, split = load_training(workspace, request.features, request.pairs, console)
    wanted = replace(wanted, space=replace(wanted.space, blocks=labelled.caches.blocks))
    fingerprints = ",".join(recipe.fingerprint for recipe in labelled.caches.recipes)
    scope = Scope(fingerprints, labelled.digest, split_digest(split), TRAINER_VERSION)
    name = f"{wanted.sampler}-{digest_of([scope.digest, wanted.name])[:8]}"
    folder = workspace.runs_dir / (request.name or name)
    if scope.claim(folder):
        console.warn(f"{folder} had a damaged search.json; it was written anew.")
    engine = Engine(labelled.matrix.features, split, ONE_BY_ONE, device)
    search = wanted.search(scope.digest, engine, Ledger(folder))
    survey = begin_search(search, wanted, console)
    keeper = Keeper(workspace, folder, labelled, split, request.pairs, search, wanted.storage)
    started = time.monotonic()
    try:
        with shown_search(console) as show:
            num_open = search.run(keeper.also_stored(show))
    except KeyboardInterrupt:
        console.warn(keeper.interrupted())
        raise
    spent = time.monotonic() - started
    found = keeper.conclude(wanted.choose, wanted.plots)
    counts = (survey.num_points, num_open, survey.num_open - num_open)
    return SearchOutcome(folder, *found, *counts, spent, wanted.choose)


def begin_search(search: Search, wanted: SearchRequest, console: Console) -> Survey:
    """Say what lies before a search and how its points are shared out."""
    survey = search.survey()
    for name in search.ledger.damaged:
        console.warn(f"{name} is damaged; it was set aside, and its points are trained again.")
    if survey.open_points:
        search.engine = replace(search.engine, plan=_plan(search, survey, wanted.name))
        console.say(search.engine.plan.sentence)
    space, num_distinct = wanted.space, len(wanted.space.settings())
    if space.num_combinations > num_distinct and wanted.sampler == GRID:
        console.say(
            f"{counted(space.num_combinations, 'combination')} are "
            f"{counted(num_distinct, 'distinct head')}: the others differ only in options that "
            "their head ignores"
        )
    expected = search.seconds_expected(survey)
    several = f" ({counted(len(space.seeds), 'seed')} each)" if len(space.seeds) > 1 else ""
    pruned = ", less what is pruned" if search.halving and survey.num_open else ""
    console.say(
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
    engine = search.engine
    try:
        plan = plan_for(engine.features, engine.split, survey.open_points, engine.device)
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
