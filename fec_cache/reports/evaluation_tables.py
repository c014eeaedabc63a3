"""An evaluation as text: each figure next to chance, floor, original recipe and ceiling."""

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
    """For people: tables of triplets and of pairs, with the notes that their reader needs."""
    evaluation, baseline, origin = outcome.evaluation, outcome.baseline, outcome.origin
    title = f"{outcome.folder.name} on {outcome.config.features}"
    other = baseline.evaluation if baseline else None
    pairs = counted(evaluation.pairs.num_pairs, "pair")
    lines: list[str | Table] = [
        Table(
            f"{title}: triplet accuracy",
            _triplet_columns(origin),
            triplet_rows(evaluation, other, origin),
        ),
        _legend(evaluation, baseline, origin),
        Table(
            f"{pairs}, {percent(evaluation.pairs.base_rate)} of them similar",
            ["pairs", *_PAIR_COLUMNS],
            pair_rows(evaluation.pairs, other.pairs if other else None),
        ),
        _contradictions(evaluation.pairs),
        _votes(evaluation.overall, origin),
    ]
    if baseline:
        lines.append(
            f"Compared with the {baseline.name}{baseline.where}: {baseline.comparison.in_words()}."
        )
    if evaluation.identity:
        lines += identity_lines(evaluation.identity)
    lines += outcome.overlap.in_words()
    lines += [outcome.survivors.in_words()] if outcome.survivors else []
    return [*lines, *([origin.note] if origin.note else [])]


def triplet_rows(
    evaluation: Evaluation, other: Evaluation | None, origin: Origin
) -> list[list[str]]:
    """Rows of the triplet table: types, all, macro average, and triplets of high agreement."""
    groups = list(evaluation.groups)
    others: list[GroupAccuracy | None] = list(other.groups) if other else [None] * len(groups)
    rows = [
        _row(group, theirs, evaluation.chance) for group, theirs in zip(groups, others, strict=True)
    ]
    if evaluation.macro:
        theirs_macro = other.macro if other else None
        rows.append(_macro_row(evaluation.macro, theirs_macro, evaluation.chance))
    if evaluation.agreed:
        rows.append(_row(evaluation.agreed, None, evaluation.chance))
    # Rater and ceiling are the last two columns; labels have neither.
    num_columns = len(_triplet_columns(origin))
    return [row[:num_columns] for row in rows]


def _triplet_columns(origin: Origin) -> list[str]:
    """Names of the triplet table's columns; labels have no raters to compare with."""
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


def identity_lines(figures: IdentityFigures) -> list[str]:
    """Figures by person and by expression word: at most three lines."""
    parts = [
        f"{group.name} {percent(group.accuracy.value)} ({group.num_triplets})"
        for group in figures.groups
        if group.num_triplets
    ]
    lines = [f"By person, triplet accuracy (number): {', '.join(parts)}."] if parts else []
    if not math.isnan(figures.gap):
        lines[0] = (
            lines[0][:-1] + f"; gap {100 * figures.gap:.1f} points; 0 if the head ignores identity."
        )
    if not math.isnan(figures.same_person):
        lines.append(
            f"Pairs, balanced accuracy: same person {percent(figures.same_person)} "
            f"({figures.num_same_person_pairs}), different people "
            f"{percent(figures.different_person)} ({figures.num_different_person_pairs})."
        )
    near = figures.neighbours
    if near and near.num_with_person:
        lines.append(
            f"Nearest face is the same person: {percent(near.same_person)} of "
            f"{counted(near.num_with_person, 'face')} (chance {percent(near.same_person_chance)})."
        )
    if near and near.num_with_expression:
        precisions = ", ".join(f"{k}: {percent(share)}" for k, share in near.precision.items())
        lines.append(
            f"Same expression among the nearest faces of other people, precision at {precisions} "
            f"(chance {percent(near.precision_chance)}; "
            f"{counted(near.num_with_expression, 'face')})."
        )
    return lines


def _row(group: GroupAccuracy, theirs: GroupAccuracy | None, chance: float) -> list[str]:
    return [
        group.name,
        str(group.num_triplets),
        percent(chance),
        percent(group.floor),
        percent(theirs.accuracy) if theirs else "-",
        percent(group.accuracy),
        _interval(group.num_triplets, group.low, group.high),
        percent(group.rater_accuracy),
        percent(group.ceiling),
    ]


def _macro_row(macro: Interval, theirs: Interval | None, chance: float) -> list[str]:
    interval = _interval(1, macro.low, macro.high) if not math.isnan(macro.value) else "-"
    other = percent(theirs.value) if theirs else "-"
    return [
        "mean of types",
        "",
        percent(chance),
        "-",
        other,
        percent(macro.value),
        interval,
        "",
        "",
    ]


def _interval(num: int, low: float, high: float) -> str:
    if math.isnan(low):
        return "too few" if num else "-"
    return f"{100 * low:.1f} to {100 * high:.1f}"


def _legend(evaluation: Evaluation, baseline: Baseline | None, origin: Origin) -> str:
    original = (
        baseline.name + baseline.where if baseline else "the original recipe (no run of it here)"
    )
    people = (
        f"{origin.one}: each against the others; ceiling: a judge who knows what most "
        f"{origin.crowd} would say; "
        if origin.are_people
        else "each triplet has only one answer, so no rater and no ceiling; "
    )
    return (
        f"floor: always the face in the same position; original: {original}; {people}intervals "
        f"resample {evaluation.num_redrawn} {evaluation.redrawn}"
    )


def _contradictions(pairs: PairFigures) -> str:
    best = pairs.ceiling
    if best is None or not best.num_repeated:
        return "No pair is in two triplets, so contradictions set no ceiling for pairs."
    share = best.num_contradicting / best.num_repeated
    return (
        f"Similar in one triplet and different in another: {best.num_contradicting} of "
        f"{counted(best.num_repeated, 'pair')} in several triplets ({percent(share)})."
    )


def _votes(group: GroupAccuracy, origin: Origin) -> str:
    votes = f"{origin.many}' votes" if origin.are_people else origin.many
    loss, least = _plain(group.vote_log_loss), _plain(group.vote_entropy)
    return (
        f"Of all {votes} {percent(group.vote_agreement)} agree with the head; log loss against "
        f"their shares {loss} nats (random guess {math.log(3):.3f}, at least {least})."
    )


def _plain(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, the first column left and the others right."""
    lines = [f"| {' | '.join(columns)} |", f"| --- |{' ---: |' * (len(columns) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def triplet_markdown(evaluation: Evaluation, other: Evaluation | None, origin: Origin) -> str:
    """The triplet table in Markdown."""
    return markdown_table(_triplet_columns(origin), triplet_rows(evaluation, other, origin))


def pair_markdown(evaluation: Evaluation, other: Evaluation | None) -> str:
    """The pair table in Markdown."""
    rows = pair_rows(evaluation.pairs, other.pairs if other else None)
    return markdown_table(["pairs", *_PAIR_COLUMNS], rows)
