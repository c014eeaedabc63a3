"""What the report says first: a head, or a recipe over its seeds, beside all there is to beat."""

import math
from dataclasses import dataclass

from fec_cache.datasets.origin import Origin
from fec_cache.evaluation.compare import Comparison
from fec_cache.evaluation.figures import Evaluation, GroupAccuracy
from fec_cache.evaluation.measures.bootstrap import ENOUGH_TRIPLETS
from fec_cache.reports.plots import NO_FIGURE, THIN_SPACE, percent
from fec_cache.system.wording import counted
from fec_cache.workflows.baseline import Baseline
from fec_cache.workflows.seed_group import SeedGroup

_KEEP = "\N{NO-BREAK SPACE}"
_INTERVAL = f"95{THIN_SPACE}% interval"


@dataclass(frozen=True)
class KeyFigure:
    """A number to be read at a glance, what it is, and a line of smaller print."""

    value: str
    name: str
    detail: str
    is_ours: bool = False


def key_figures(
    evaluation: Evaluation, baseline: Baseline | None, seeds: SeedGroup | None, origin: Origin
) -> list[KeyFigure]:
    """Ours, the original recipe, the paired difference, and the raters: what is known of it.

    Args:
        evaluation: of the head, or the mean of its recipe's seeds.
        baseline: the original recipe beside it.
        seeds: of the recipe.
        origin: who set the faces apart.
    """
    ours = evaluation.overall
    name = f"this recipe, mean of {counted(len(seeds.seeds), 'seed')}" if seeds else "this head"
    found = [KeyFigure(percent(ours.accuracy), name, f"95{THIN_SPACE}%: {interval(ours)}", True)]
    if baseline:
        theirs, lead = baseline.evaluation.overall, baseline.comparison
        told = f"95{THIN_SPACE}%: {interval(theirs)}{baseline.where}"
        found.append(KeyFigure(percent(theirs.accuracy), baseline.name, told))
        side = "points better" if lead.difference > 0 else "points worse"
        told = f"{p_words(lead)}; 95{THIN_SPACE}%: {difference_interval(lead)}"
        found.append(KeyFigure(signed(lead), f"{side}, triplet by triplet", told))
    found.append(KeyFigure(percent(evaluation.chance), "chance", "a guess"))
    if not math.isnan(ours.rater_accuracy):
        told = percent(ours.rater_accuracy)
        found.append(KeyFigure(told, f"a single {origin.one}", "against the others"))
    return found


def verdict(
    evaluation: Evaluation, baseline: Baseline | None, seeds: SeedGroup | None, origin: Origin
) -> str:
    """One sentence: how good, and how far from chance, from the original recipe, from raters."""
    group = evaluation.overall
    if group.num_triplets < ENOUGH_TRIPLETS:
        return (
            f"On only {counted(group.num_triplets, 'test triplet')}, too few to judge it by, "
            f"this head finds the face that the {origin.many} set apart in "
            f"{percent(group.accuracy)} of cases; chance is {percent(evaluation.chance)}."
        )
    clauses = [_beside_chance(group, evaluation.chance)]
    if baseline is not None:
        clauses.append(_beside_baseline(baseline))
    clauses.append(_beside_raters(group, origin))
    told = f"{_INTERVAL} {interval(group)}"
    if seeds:
        single = [one.overall.accuracy for one in seeds.evaluations]
        told += f"; single seeds {100 * min(single):.1f} to {percent(max(single))}"
    who = (
        f"this recipe, in the mean of {counted(len(seeds.seeds), 'seed')},"
        if seeds
        else "this head"
    )
    return (
        f"On {counted(group.num_triplets, 'test triplet', form=',')} {who} finds the face that the "
        f"{origin.many} set apart in {percent(group.accuracy)} of cases ({told}): "
        f"{', '.join(clauses[:-1])}, and {clauses[-1]}."
    )


def interval(group: GroupAccuracy) -> str:
    """`57.1 to 62.9 %`, or `too few`."""
    return "too few" if math.isnan(group.low) else f"{100 * group.low:.1f} to {percent(group.high)}"


def signed(found: Comparison) -> str:
    """A difference with its standard error in points: `+1.3 ± 0.6`."""
    if math.isnan(found.difference):
        return NO_FIGURE
    return f"{100 * found.difference:+.1f}{_error(found)}"


def p_words(found: Comparison) -> str:
    """`p = 0.02`, `p < 0.001`, or that there is too little to say."""
    if math.isnan(found.p_value):
        return "too few to judge"
    told = "p < 0.001" if found.p_value < 0.001 else f"p = {found.p_value:.2g}"
    return told.replace(" ", _KEEP)


def difference_interval(found: Comparison) -> str:
    """`+13.1 to +22.9`, in points; a dash where there is none."""
    if math.isnan(found.low):
        return NO_FIGURE
    return f"{100 * found.low:+.1f} to {100 * found.high:+.1f}"


def _beside_chance(group: GroupAccuracy, chance: float) -> str:
    outside = "above" if group.low > chance else "below" if group.high < chance else ""
    return f"{outside or 'not distinguishable from'} chance ({percent(chance)})"


def _beside_baseline(baseline: Baseline) -> str:
    # Both heads answer the same triplets: the interval of the difference is the honest one, since
    # two overlapping intervals can hide a difference that is certain.
    found = baseline.comparison
    name = f"the {baseline.title}{baseline.where} ({percent(found.accuracy_b)}"
    name += f", {counted(len(baseline.runs), 'seed')}" if len(baseline.runs) > 1 else ""
    if math.isnan(found.low):
        return f"beside {name})"
    if found.low <= 0.0 <= found.high:
        return (
            f"not distinguishable from {name}; difference {signed(found)} points, {p_words(found)})"
        )
    side = "better" if found.difference > 0 else "worse"
    lead = f"{100 * abs(found.difference):.1f}{_error(found)}"
    return f"{side} by {lead} points ({p_words(found)}) than {name})"


def _error(found: Comparison) -> str:
    return "" if math.isnan(found.stderr) else f"{_KEEP}±{_KEEP}{100 * found.stderr:.1f}"


def _beside_raters(group: GroupAccuracy, origin: Origin) -> str:
    raters = group.rater_accuracy
    if not origin.are_people:
        return f"no rater’s accuracy is known, as the answers come from {origin.many}"
    if math.isnan(raters):
        return (
            f"the {origin.many}’ own accuracy is unknown, as no triplet has answers of two "
            f"{origin.many}"
        )
    if group.low <= raters <= group.high:
        return f"not distinguishable from a single {origin.one} ({percent(raters)})"
    side = "below" if group.accuracy < raters else "above"
    return f"{_points(group.accuracy - raters)} {side} a single {origin.one} ({percent(raters)})"


def _points(difference: float) -> str:
    return f"{100 * abs(difference):.1f} points"
