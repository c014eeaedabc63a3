"""`fec grid-search` as one call: many heads, each tried once, the best one saved."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fec_cache.errors import NothingToTrain
from fec_cache.features.network import choose_device
from fec_cache.features.storage import write_atomically
from fec_cache.search.ledger import Ledger, Outcome
from fec_cache.search.results import Ranked, rank, results_csv
from fec_cache.search.run import Search, SearchProgress
from fec_cache.search.space import Point
from fec_cache.surfaces.console import Console, duration, percent, table
from fec_cache.surfaces.folders import Workspace
from fec_cache.surfaces.train_job import HeadRequest, digest_of, save_head, scope_of
from fec_cache.surfaces.workspace import load_training

RESULTS_NAME = "results.csv"


@dataclass(frozen=True)
class SearchOutcome:
    """A finished grid: settings by rank, failed points, and the best head's folder."""

    folder: Path
    ranked: tuple[Ranked, ...]
    failed: tuple[Outcome, ...]
    num_points: int

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "run": str(self.folder),
            "points": self.num_points,
            "failed": [asdict(outcome) for outcome in self.failed],
            "ranked": [
                {
                    **entry.point.settings(),
                    "val_triplet_accuracy": entry.val_triplet_accuracy,
                    "stderr": entry.stderr,
                    "seeds": entry.num_seeds,
                }
                for entry in self.ranked
            ],
        }

    def in_words(self, num_shown: int) -> str:
        """For people: the best settings as a table, in columns of what differs between them."""
        settings = [entry.point.settings() for entry in self.ranked]
        names = [n for n in settings[0] if n != "seed" and len({str(s[n]) for s in settings}) > 1]
        rows = [
            [
                str(place),
                *(_value(entry.point.settings()[name]) for name in names),
                percent(entry.val_triplet_accuracy),
                percent(entry.stderr),
                str(entry.num_seeds),
                duration(entry.best.duration_s),
            ]
            for place, entry in enumerate(self.ranked[:num_shown], start=1)
        ]
        columns = ["rank", *names, "val accuracy", "std. error", "seeds", "time"]
        title = f"{self.num_points} points, best {len(rows)} of {len(self.ranked)} settings"
        lines = [table(title, columns, rows)]
        if self.failed:
            lines.append(f"{len(self.failed)} points failed; see {self.folder / RESULTS_NAME}")
        return "\n".join([*lines, f"Best head: {self.folder}"])


def run_search(
    workspace: Workspace,
    request: HeadRequest,
    points: Sequence[Point],
    retry_failed: bool,
    console: Console,
) -> SearchOutcome:
    """Try every point of a grid once and save the best head as the search's run.

    Raises:
        NothingToTrain: every point failed.
    """
    labelled, split = load_training(workspace, request.features, request.pairs, console)
    points = [point.on(labelled.caches.blocks) for point in points]
    scope = scope_of(labelled, request.pairs)
    folder = workspace.runs_dir / (request.name or _search_name(points, scope))
    search = Search(
        points=tuple(points),
        scope=scope,
        features=labelled.matrix.features,
        split=split,
        ledger=Ledger(folder),
        device=str(choose_device(request.device)),
    )
    _announce(search, retry_failed, console)
    outcomes = _run_points(search, retry_failed, console)
    write_atomically(folder / RESULTS_NAME, results_csv(outcomes))
    ranked = rank(points, outcomes)
    failed = tuple(outcome for outcome in outcomes if outcome.error)
    if not ranked:
        raise NothingToTrain(
            f"All {len(outcomes)} points failed; the first: {failed[0].error}. "
            f"They are listed in {folder / RESULTS_NAME}; try again with --retry-failed."
        )
    best = ranked[0].point
    save_head(folder, workspace, labelled, split, best, request.pairs, search.train(best))
    return SearchOutcome(folder, ranked, failed, len(outcomes))


def _announce(search: Search, retry_failed: bool, console: Console) -> None:
    todo = search.open_points(retry_failed)
    done = len(search.points) - len(todo)
    console.say(
        f"{len(search.points)} points, {done} of them done before; expected time "
        f"{duration(search.expected_seconds(todo))}"
    )


def _run_points(search: Search, retry_failed: bool, console: Console) -> tuple[Outcome, ...]:
    best = -math.inf
    with console.progress("Searching", "points") as step:

        def on_point(progress: SearchProgress) -> None:
            """Move the bar, tell the best so far, warn of a failure."""
            nonlocal best
            outcome = progress.outcome
            if outcome.error:
                console.warn(f"point {outcome.key} failed: {outcome.error}")
            else:
                best = max(best, outcome.val_triplet_accuracy)
            step(progress.num_done, progress.num_points, f"best so far {percent(best)}")

        return search.run(on_point, retry_failed)


def _search_name(points: Sequence[Point], scope: str) -> str:
    return f"grid-{digest_of([point.key(scope) for point in points])[:8]}"


def _value(value: object) -> str:
    if isinstance(value, list):
        return "-".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
