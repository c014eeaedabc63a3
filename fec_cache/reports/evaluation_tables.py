"""An evaluation as text: each figure beside chance, floor, original recipe and ceiling."""

import math
from collections.abc import Callable, Sequence

from fec_cache.datasets.origin import Origin
from fec_cache.evaluation.baseline import Baseline
from fec_cache.evaluation.figures import Evaluation, GroupAccuracy, PairFigures
from fec_cache.evaluation.measures.bootstrap import Interval
from fec_cache.evaluation.outcome import EvaluateOutcome
from fec_cache.evaluation.people import IdentityFigures
from fec_cache.system.reporter import Parts, Table
from fec_cache.system.wording import counted, percent

_TRIPLET_COLUMNS = ("number", "chance", "floor", "original", "this head", "95 %")
_PAIR_COLUMNS = ("constant answer", "original", "this head", "ceiling")


def evaluation_parts(outcome: EvaluateOutcome) -> Parts:
    """For people: tables of triplets and of pairs, and what a reader must know beside them."""
    found, baseline, origin = outcome.evaluation, outcome.baseline, outcome.origin
    title = f"{outcome.folder.name} on {outcome.config.features}"
    other = baseline.evaluation if baseline else None
    pairs = counted(found.pairs.num_pairs, "pair")
    lines: list[str | Table] = [
        Table(
            f"{title}: triplet accuracy",
            _triplet_columns(origin),
            triplet_rows(found, other, origin),
        ),
        _legend(found, baseline, origin),
        Table(
            f"{pairs}, {percent(found.pairs.base_rate)} of them similar",
            ["pairs", *_PAIR_COLUMNS],
            pair_rows(found.pairs, other.pairs if other else None),
        ),
        _contradictions(found.pairs),
        _votes(found.overall, origin),
    ]
    if baseline:
        lines.append(
            f"Against the {baseline.name}{baseline.where}: {baseline.comparison.in_words()}."
        )
    if found.identity:
        lines += identity_lines(found.identity)
    lines += outcome.overlap.in_words()
    lines += [outcome.survivors.in_words()] if outcome.survivors else []
    return [*lines, *([origin.note] if origin.note else [])]


def triplet_rows(found: Evaluation, other: Evaluation | None, origin: Origin) -> list[list[str]]:
    """Rows of the triplet table: types, all, macro average, and what reaches an agreement."""
    groups = list(found.groups)
    others: list[GroupAccuracy | None] = list(other.groups) if other else [None] * len(groups)
    rows = [_row(group, mate, found.chance) for group, mate in zip(groups, others, strict=True)]
    if found.macro:
        mate = other.macro if other else None
        rows.append(_macro_row(found.macro, mate, found.chance))
    if found.agreed:
        rows.append(_row(found.agreed, None, found.chance))
    num_columns = len(_triplet_columns(origin))
    return [row[:num_columns] for row in rows]


def _triplet_columns(origin: Origin) -> list[str]:
    """Names of the triplet table's columns: labels have no others to be held against."""
    people = [origin.one, "ceiling"] if origin.are_people else []
    return ["triplets", *_TRIPLET_COLUMNS, *people]


def pair_rows(pairs: PairFigures, other: PairFigures | None) -> list[list[str]]:
    """Rows of the pair table."""
    always = 1.0 - pairs.base_rate
    constants: dict[str, tuple[str, float, Callable[[float], str]]] = {
        "balanced_accuracy": ("balanced accuracy", 0.5, percent),
        "accuracy": ("accuracy", always, percent),
        "auc": ("AUC", 0.5, _plain),
        "average_precision": ("average precision", pairs.base_rate, _plain),
        "brier": ("Brier (low is good)", pairs.brier_floor, _plain),
    }
    rows = [
        [
            name,
            form(constant),
            form(getattr(other, field)) if other else "-",
            form(getattr(pairs, field)),
            form(getattr(pairs.ceiling, field)) if pairs.ceiling else "-",
        ]
        for field, (name, constant, form) in constants.items()
    ]
    errors = [_plain(part.calibration_error) if part else "-" for part in (other, pairs)]
    return [*rows, ["calibration error", _plain(0.0), *errors, _plain(0.0)]]


def identity_lines(found: IdentityFigures) -> list[str]:
    """What is known of people: three lines at most."""
    parts = [
        f"{group.name} {percent(group.accuracy.value)} ({group.num_triplets})"
        for group in found.groups
        if group.num_triplets
    ]
    lines = [f"By person, triplet accuracy (number): {', '.join(parts)}."] if parts else []
    if not math.isnan(found.gap):
        lines[0] = lines[0][:-1] + f"; gap {100 * found.gap:.1f} points, 0 if it sees no person."
    if not math.isnan(found.same_person):
        lines.append(
            f"Pairs, balanced accuracy: same person {percent(found.same_person)} "
            f"({found.num_same_person_pairs}), different people "
            f"{percent(found.different_person)} ({found.num_different_person_pairs})."
        )
    near = found.neighbours
    if near and near.num_with_person:
        lines.append(
            f"Nearest face is the same person: {percent(near.same_person)} of "
            f"{counted(near.num_with_person, 'face')} (chance {percent(near.same_person_chance)})."
        )
    if near and near.num_with_expression:
        told = ", ".join(f"{k}: {percent(share)}" for k, share in near.precision.items())
        lines.append(
            f"Same expression among the nearest faces of other people, precision at {told} "
            f"(chance {percent(near.precision_chance)}; "
            f"{counted(near.num_with_expression, 'face')})."
        )
    return lines


def _row(group: GroupAccuracy, mate: GroupAccuracy | None, chance: float) -> list[str]:
    return [
        group.name,
        str(group.num_triplets),
        percent(chance),
        percent(group.floor),
        percent(mate.accuracy) if mate else "-",
        percent(group.accuracy),
        _interval(group.num_triplets, group.low, group.high),
        percent(group.rater_accuracy),
        percent(group.ceiling),
    ]


def _macro_row(macro: Interval, mate: Interval | None, chance: float) -> list[str]:
    interval = _interval(1, macro.low, macro.high) if not math.isnan(macro.value) else "-"
    told = percent(mate.value) if mate else "-"
    return ["mean of types", "", percent(chance), "-", told, percent(macro.value), interval, "", ""]


def _interval(num: int, low: float, high: float) -> str:
    if math.isnan(low):
        return "too few" if num else "-"
    return f"{100 * low:.1f} to {100 * high:.1f}"


def _legend(found: Evaluation, baseline: Baseline | None, origin: Origin) -> str:
    original = (
        baseline.name + baseline.where
        if baseline
        else "the original recipe, of which no run is at hand"
    )
    people = (
        f"{origin.one}: one against the others; ceiling: who knows what most {origin.crowd} would "
        "say; "
        if origin.are_people
        else f"the {origin.many} are one a triplet, so there is no rater and no ceiling; "
    )
    return (
        f"floor: always the face in the same place; original: {original}; {people}intervals "
        f"redraw {found.num_redrawn} {found.redrawn}"
    )


def _contradictions(pairs: PairFigures) -> str:
    best = pairs.ceiling
    if best is None or not best.num_repeated:
        return "No pair stands in two triplets, so contradictions set no ceiling to pairs."
    share = best.num_contradicting / best.num_repeated
    return (
        f"Similar in one triplet and different in another: {best.num_contradicting} of "
        f"{counted(best.num_repeated, 'pair')} in several triplets ({percent(share)})."
    )


def _votes(group: GroupAccuracy, origin: Origin) -> str:
    votes = f"{origin.many}' votes" if origin.are_people else origin.many
    return (
        f"Of all {votes} {percent(group.vote_agreement)} agree with the head; log loss "
        f"against their shares {_plain(group.vote_log_loss)} nats (a guess {math.log(3):.3f}, at "
        f"least {_plain(group.vote_entropy)})."
    )


def _plain(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, the first column left and the others right."""
    lines = [f"| {' | '.join(columns)} |", f"| --- |{' ---: |' * (len(columns) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def triplet_markdown(found: Evaluation, other: Evaluation | None, origin: Origin) -> str:
    """The triplet table in Markdown."""
    return markdown_table(_triplet_columns(origin), triplet_rows(found, other, origin))


def pair_markdown(found: Evaluation, other: Evaluation | None) -> str:
    """The pair table in Markdown."""
    rows = pair_rows(found.pairs, other.pairs if other else None)
    return markdown_table(["pairs", *_PAIR_COLUMNS], rows)
