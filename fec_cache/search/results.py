"""Outcomes -> settings by rank, and `results.csv`.

Settings are always ranked by their mean over seeds, never by their best seed.
"""

import csv
import io
import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from fec_cache.search.ledger import DONE, FAILED, PRUNED, Outcome

# Columns of results.csv that are not settings. None is a time, so that an interrupted and resumed
# search writes the same bytes as an uninterrupted one.
FIGURES = (
    "rank",
    "key",
    "status",
    "mean_val_triplet_accuracy",
    "stderr",
    "seeds",
    "val_triplet_accuracy",
    "val_loss",
    "best_epoch",
    "epochs",
    "error",
)


@dataclass(frozen=True)
class Ranked:
    """One setting over its seeds: mean validation triplet accuracy and its standard error.

    `outcomes` are in the order of their seeds, failed ones included; `stderr` is NaN with one seed.
    """

    settings: dict[str, object]
    outcomes: tuple[Outcome, ...]
    num_seeds: int
    val_triplet_accuracy: float
    stderr: float

    @property
    def status(self) -> str:
        """`done`, `pruned`, or `failed` if one of its seeds failed."""
        statuses = {outcome.status for outcome in self.outcomes}
        return next(status for status in (FAILED, PRUNED, DONE) if status in statuses)

    @property
    def is_done(self) -> bool:
        """Whether every seed was trained to its end."""
        return self.status == DONE

    @property
    def first(self) -> Outcome:
        """The outcome of the first seed that has figures: the one whose head is kept."""
        # Not the best seed's: its validation figure would again be the best of many (decision 7).
        return next(outcome for outcome in self.outcomes if not outcome.is_failed)

    @property
    def duration_s(self) -> float:
        """Mean duration of its seeds."""
        times = [outcome.duration_s for outcome in self.outcomes if not outcome.is_failed]
        return statistics.fmean(times)


def rank(outcomes: Sequence[Outcome]) -> tuple[Ranked, ...]:
    """Settings by mean validation triplet accuracy, best first.

    Settings with a failed seed rank behind those without: a setting that diverges from one seed
    must not win by its others. Pruned ones come last, those that were trained longer first.
    Settings without any figures are left out. Ties are broken by the settings themselves, so that
    the order never depends on the order of training.
    """
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(_setting_of(outcome), []).append(outcome)
    ranked = [_ranked(members) for members in groups.values()]
    return tuple(sorted((entry for entry in ranked if entry), key=_order))


def results_csv(outcomes: Sequence[Outcome]) -> bytes:
    """`results.csv`: each point once with every setting and figure, in the order of the ranks.

    Points that failed come last and have no rank unless another seed of theirs has figures.
    """
    text = io.StringIO(newline="")
    if not outcomes:
        return b""
    writer = csv.writer(text)
    names = list(outcomes[0].settings)
    writer.writerow(["rank", "key", *names, *FIGURES[2:]])
    ranked = rank(outcomes)
    for position, entry in enumerate(ranked, start=1):
        for outcome in entry.outcomes:
            shared = [_cell(entry.val_triplet_accuracy), _cell(entry.stderr), entry.num_seeds]
            writer.writerow(_line(position, outcome, names, shared))
    shown = {outcome.key for entry in ranked for outcome in entry.outcomes}
    rest = sorted((o for o in outcomes if o.key not in shown), key=lambda outcome: outcome.key)
    for outcome in rest:
        writer.writerow(_line("", outcome, names, ["", "", 0]))
    return text.getvalue().encode()


def by_setting(rows: Sequence[dict[str, str]]) -> tuple[dict[str, str], ...]:
    """Rows of `results.csv` -> one row per setting, for tables.

    `val_triplet_accuracy` becomes the mean over the setting's seeds; failed seeds keep their own
    rows, at the end.
    """
    settings = {row["rank"]: row for row in reversed(rows) if not row["error"]}
    kept = [row for row in rows if row["error"] or settings[row["rank"]] is row]
    ordered = sorted(kept, key=lambda row: bool(row["error"]))
    return tuple(
        row if row["error"] else {**row, "val_triplet_accuracy": row["mean_val_triplet_accuracy"]}
        for row in ordered
    )


def _line(
    position: object, outcome: Outcome, names: Sequence[str], shared: Sequence[object]
) -> list[object]:
    settings = [_cell(outcome.settings.get(name, "")) for name in names]
    figures = [outcome.val_triplet_accuracy, outcome.val_loss, outcome.best_epoch, outcome.epochs]
    cells = map(_cell, [*figures, outcome.error])
    return [position, outcome.key, *settings, outcome.status, *shared, *cells]


def _setting_of(outcome: Outcome) -> str:
    plain = {name: value for name, value in outcome.settings.items() if name != "seed"}
    return json.dumps(plain, sort_keys=True)


def _ranked(members: Sequence[Outcome]) -> Ranked | None:
    ordered = tuple(sorted(members, key=lambda outcome: (_seed(outcome), outcome.key)))
    accuracies = [o.val_triplet_accuracy for o in ordered if not o.is_failed]
    if not accuracies:
        return None
    several = len(accuracies) > 1
    stderr = statistics.stdev(accuracies) / math.sqrt(len(accuracies)) if several else math.nan
    return Ranked(
        ordered[0].settings, ordered, len(accuracies), statistics.fmean(accuracies), stderr
    )


def _order(entry: Ranked) -> tuple[int, int, float, str]:
    tier = (DONE, FAILED, PRUNED).index(entry.status)
    epochs = min(o.epochs for o in entry.outcomes) if entry.status == PRUNED else 0
    return tier, -epochs, -entry.val_triplet_accuracy, _setting_of(entry.outcomes[0])


def _seed(outcome: Outcome) -> int:
    seed = outcome.settings.get("seed")
    return seed if isinstance(seed, int) else 0


def _cell(value: object) -> object:
    if isinstance(value, float) and math.isnan(value):
        return ""
    if isinstance(value, list):
        return "-".join(map(str, value)) or "none"
    return "" if value is None else value
