"""All runs of a folder as one table; a damaged run is reported and left out."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from fec_cache.errors import BadOption, FecError, MissingData
from fec_cache.runs.config import load_config
from fec_cache.runs.files import CONFIG_NAME, EVALUATION_NAME, METRICS_NAME
from fec_cache.search.space import unread_options
from fec_cache.system.atomic import write_atomically
from fec_cache.system.reporter import Parts, Reporter, Table
from fec_cache.system.wording import counted, duration, percent
from fec_cache.system.workspace import Workspace


@dataclass(frozen=True)
class Standing:
    """One run. Accuracies are shares of triplets; NaN if not measured.

    `low` and `high` are the 95 % interval of `test`; `triplets` is the digest of the training
    triplets, so that runs on other triplets are not compared by mistake.
    """

    run: str
    backbone: str
    layer: str
    head: str
    loss: str
    validation: float
    test: float
    low: float
    high: float
    seconds: float
    triplets: str
    note: str = ""


_ASCENDING = {"run", "backbone", "layer", "head", "loss", "seconds", "triplets", "note"}
COLUMNS = tuple(entry.name for entry in fields(Standing))


@dataclass(frozen=True)
class Leaderboard:
    """Runs in order, and the errors of runs that could not be read."""

    standings: tuple[Standing, ...]
    damaged: tuple[str, ...]
    runs_dir: Path

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return {"runs": [asdict(entry) for entry in self.standings], "damaged": list(self.damaged)}

    def to_csv(self) -> bytes:
        """One line per run; cells are empty if not measured."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        for entry in self.standings:
            cells = (getattr(entry, name) for name in COLUMNS)
            writer.writerow("" if isinstance(c, float) and math.isnan(c) else c for c in cells)
        return text.getvalue().encode()

    def parts(self) -> Parts:
        """For people."""
        sets = list(dict.fromkeys(entry.triplets for entry in self.standings))
        rows = [
            [
                entry.run,
                entry.backbone,
                entry.layer,
                entry.head,
                entry.loss,
                percent(entry.validation),
                percent(entry.test),
                "-" if math.isnan(entry.low) else f"{percent(entry.low)} to {percent(entry.high)}",
                "-" if math.isnan(entry.seconds) else duration(entry.seconds),
                *([str(sets.index(entry.triplets) + 1)] if len(sets) > 1 else []),
                entry.note,
            ]
            for entry in self.standings
        ]
        columns = ["run", "backbone", "layer", "head", "loss", "validation", "test"]
        columns += ["95 % interval", "time", *(["set"] if len(sets) > 1 else []), ""]
        title = f"{counted(len(rows), 'head')} in {self.runs_dir}: triplet accuracy, chance 33.3 %"
        lines: list[str | Table] = [Table(title, columns, rows)]
        if len(sets) > 1:
            lines.append(
                "Runs with another set were trained on other triplets: do not compare them."
            )
        return lines


def leaderboard(
    workspace: Workspace, sort: str, csv_path: Path | None, reporter: Reporter
) -> Leaderboard:
    """Read every run, sorted by a column, best or shortest first.

    Raises:
        BadOption: there is no such column, or `csv_path` is a folder.
        MissingData: no run can be read.
    """
    if sort not in COLUMNS:
        raise BadOption(f"sort is {sort!r}, but it must be one of: {', '.join(COLUMNS)}.")
    if csv_path is not None and csv_path.is_dir():
        raise BadOption(f"{csv_path} is a folder. Give a file: --csv FILE.")
    standings: list[Standing] = []
    damaged: list[str] = []
    for path in sorted(workspace.runs_dir.glob(f"*/{CONFIG_NAME}")):
        try:
            standings.append(_standing(path.parent))
        except FecError as error:
            damaged.append(f"{path.parent.name}: {error}")
            reporter.warning(f"left out: {error}")
    if not standings:
        raise MissingData(f"{workspace.runs_dir} has no trained head. Run: fec train-head")
    board = Leaderboard(tuple(_sorted(standings, sort)), tuple(damaged), workspace.runs_dir)
    if csv_path is not None:
        write_atomically(csv_path, board.to_csv())
    return board


def _standing(folder: Path) -> Standing:
    config = load_config(folder)
    metrics, evaluation = _read(folder / METRICS_NAME), _read(folder / EVALUATION_NAME)
    overall = _part(_part(evaluation, "triplets"), "all")
    head = config.head
    unread = unread_options(head.head)
    notes = []
    if any(recipe.has_random_weights for recipe in config.recipes):
        notes.append("random weights")
    if evaluation.get("num_overlap"):
        notes.append("TEST FACES SEEN IN TRAINING")
    return Standing(
        run=folder.name,
        backbone=" + ".join(dict.fromkeys(recipe.backbone for recipe in config.recipes)),
        layer=" + ".join(recipe.layer for recipe in config.recipes),
        head="-".join([head.head, *map(str, () if "hidden" in unread else head.hidden)]),
        loss="closed form" if "loss" in unread else config.train.loss,
        validation=_number(metrics, "val_triplet_accuracy"),
        test=_number(overall, "accuracy"),
        low=_number(overall, "low"),
        high=_number(overall, "high"),
        seconds=_number(metrics, "duration_s"),
        triplets=str(config.data.get("digest", "")),
        note=", ".join(notes),
    )


def _read(path: Path) -> Mapping[str, Any]:
    """A JSON object in a run's folder; empty if it is missing or damaged."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _part(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = fields.get(name)
    return part if isinstance(part, dict) else {}


def _number(fields: Mapping[str, Any], name: str) -> float:
    value = fields.get(name)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number else math.nan  # type: ignore[arg-type]


def _sorted(standings: Sequence[Standing], column: str) -> list[Standing]:
    """By a column: names from a to z, figures from the best; missing figures go last."""

    def order(entry: Standing) -> tuple[bool, Any, str]:
        """The sort key of one run."""
        value = getattr(entry, column)
        is_missing = isinstance(value, float) and math.isnan(value)
        if is_missing:
            return True, 0.0 if isinstance(value, float) else "", entry.run
        return False, value if column in _ASCENDING else -value, entry.run

    return sorted(standings, key=order)
