"""Stage two as one call each: train a head, search a grid of heads."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fec_cache import __version__
from fec_cache.config import PairConfig
from fec_cache.errors import BadOption, NothingToTrain
from fec_cache.features.network import choose_device
from fec_cache.features.storage import write_atomically
from fec_cache.heads.checkpoint import RunConfig, save_run
from fec_cache.heads.train import Epoch, TrainResult, fit
from fec_cache.pairs.split import Split
from fec_cache.search.ledger import Ledger, Outcome
from fec_cache.search.results import Ranked, rank, results_csv
from fec_cache.search.run import Search, SearchProgress
from fec_cache.search.space import Point
from fec_cache.surfaces.console import Console, duration, percent, table
from fec_cache.surfaces.folders import Workspace
from fec_cache.surfaces.workspace import Labelled, load_training, origin_note

TRAIN_FACES_NAME = "train_faces.txt"
RESULTS_NAME = "results.csv"


@dataclass(frozen=True)
class HeadRequest:
    """What training and search have in common: features, triplets, the run's name, the device."""

    features: str | None = None
    pairs: PairConfig = field(default_factory=PairConfig)
    name: str | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        """Check the name: a run is one folder inside of the runs' folder."""
        name = self.name
        if name is not None and (name in ("", ".", "..") or set(name) & set("/\\\0")):
            raise BadOption(
                f"The run's name is {name!r}, but it must be the name of a folder, without slashes."
            )


@dataclass(frozen=True)
class TrainOutcome:
    """A trained head and the folder it was saved in."""

    folder: Path
    result: TrainResult
    config: RunConfig

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "run": str(self.folder),
            "features": self.config.recipe.label,
            "val_triplet_accuracy": self.result.best.val_triplet_accuracy,
            "best_epoch": self.result.best.epoch,
            "epochs": len(self.result.history),
            "duration_s": self.result.duration_s,
        }

    def in_words(self) -> str:
        """For people."""
        best = self.result.best
        return (
            f"Validation triplet accuracy {percent(best.val_triplet_accuracy)} (chance 33.3 %) at "
            f"epoch {best.epoch} of {len(self.result.history)}, "
            f"in {duration(self.result.duration_s)}\nHead: {self.folder}"
        )


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


def run_train(
    workspace: Workspace, request: HeadRequest, point: Point, console: Console
) -> TrainOutcome:
    """Train one head and save it as a run.

    Raises:
        FecError: no features, no triplets, or a full disk.
    """
    labelled, split = load_training(workspace, request.features, request.pairs, console)
    device = str(choose_device(request.device))
    with console.progress("Training", "epochs") as step:

        def on_epoch(epoch: Epoch) -> None:
            """Move the bar and tell the accuracy."""
            accuracy = percent(epoch.val_triplet_accuracy)
            step(epoch.epoch, point.train.epochs, f"validation triplet accuracy {accuracy}")

        result = fit(
            labelled.matrix.features,
            split.train,
            split.validation,
            point.head,
            point.train,
            device,
            on_epoch,
        )
    folder = workspace.runs_dir / (request.name or _run_name(labelled, point, request.pairs))
    config = _save(folder, workspace, labelled, split, point, request.pairs, result)
    return TrainOutcome(folder, result, config)


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
    scope = _scope(labelled, request.pairs)
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
    _save(folder, workspace, labelled, split, best, request.pairs, search.train(best))
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


def _save(
    folder: Path,
    workspace: Workspace,
    labelled: Labelled,
    split: Split,
    point: Point,
    pairs: PairConfig,
    result: TrainResult,
) -> RunConfig:
    data = {
        "folder": str(workspace.data_dir),
        "origin": origin_note(workspace.data_dir),
        "digest": labelled.digest,
        "split": split.method,
        "num_train_triplets": len(split.train),
        "num_validation_triplets": len(split.validation),
        "num_dropped_between": split.num_dropped,
        "rows": asdict(labelled.counts),
        "fec_cache": __version__,
    }
    config = RunConfig(labelled.cache.recipe, point.head, point.train, pairs, data)
    metrics = {
        "val_triplet_accuracy": result.best.val_triplet_accuracy,
        "val_loss": result.best.val_loss,
        "best_epoch": result.best.epoch,
        "epochs": len(result.history),
        "duration_s": result.duration_s,
    }
    # Evaluation refuses faces that a head has seen; both sides of the split count as seen.
    seen = "\n".join(sorted(labelled.face_ids())) + "\n"
    write_atomically(folder / TRAIN_FACES_NAME, seen.encode())
    save_run(folder, result.head, config, result.history, metrics)
    return config


def _run_name(labelled: Labelled, point: Point, pairs: PairConfig) -> str:
    recipe = labelled.cache.recipe
    key = point.key(_scope(labelled, pairs))[:6]
    layer = recipe.layer.replace(":", "-")
    return f"{point.head.head}-{recipe.backbone}-{layer}-{key}".replace(":", "-").replace("/", "-")


def _scope(labelled: Labelled, pairs: PairConfig) -> str:
    return _digest([labelled.cache.recipe.fingerprint, labelled.digest, asdict(pairs)])


def _search_name(points: Sequence[Point], scope: str) -> str:
    return f"grid-{_digest([point.key(scope) for point in points])[:8]}"


def _digest(parts: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(list(parts), sort_keys=True).encode()).hexdigest()


def _value(value: object) -> str:
    if isinstance(value, list):
        return "-".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
