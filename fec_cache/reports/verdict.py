"""The top of the report: key figures and one sentence that compares them."""

import math
from dataclasses import dataclass

from fec_cache.datasets.origin import Origin
from fec_cache.evaluation.baseline import Baseline
from fec_cache.evaluation.compare import Comparison
from fec_cache.evaluation.figures import Evaluation, GroupAccuracy
from fec_cache.evaluation.measures.bootstrap import ENOUGH_TRIPLETS
from fec_cache.evaluation.seed_group import SeedGroup
from fec_cache.reports.typography import NO_BREAK_SPACE, NO_FIGURE, THIN_SPACE, page_percent
from fec_cache.system.wording import counted

_INTERVAL = f"95{THIN_SPACE}% interval"


@dataclass(frozen=True)
class KeyFigure:
    """A number in large print, its name, and a line of small print."""

    value: str
    name: str
    detail: str
    is_ours: bool = False


def key_figures(
    evaluation: Evaluation, baseline: Baseline | None, seeds: SeedGroup | None, origin: Origin
) -> list[KeyFigure]:
    """Ours, the baseline, the paired difference, chance and a single rater, as far as known.

    Args:
        evaluation: of the head, or the mean over the seeds of its recipe.
        baseline: the original recipe, or the runs that were named in its place.
        seeds: of the recipe, if there are several.
        origin: who set the odd faces apart.
    """
    ours = evaluation.overall
    name = f"this recipe, mean of {counted(len(seeds.seeds), 'seed')}" if seeds else "this head"
    detail = f"95{THIN_SPACE}%: {interval(ours)}"
    figures = [KeyFigure(page_percent(ours.accuracy), name, detail, is_ours=True)]
    if baseline:
        theirs, lead = baseline.evaluation.overall, baseline.comparison
        detail = f"95{THIN_SPACE}%: {interval(theirs)}{baseline.where}"
        figures.append(KeyFigure(page_percent(theirs.accuracy), baseline.name, detail))
        side = "points better" if lead.difference > 0 else "points worse"
        detail = f"{p_words(lead)}; 95{THIN_SPACE}%: {difference_interval(lead)}"
        figures.append(KeyFigure(signed(lead), f"{side}, triplet by triplet", detail))
    figures.append(KeyFigure(page_percent(evaluation.chance), "chance", "random guess"))
    if not math.isnan(ours.rater_accuracy):
        value = page_percent(ours.rater_accuracy)
        figures.append(KeyFigure(value, f"a single {origin.one}", "against the others"))
    return figures


def verdict(
    evaluation: Evaluation, baseline: Baseline | None, seeds: SeedGroup | None, origin: Origin
) -> str:
    """One sentence: the accuracy, compared with chance, the original recipe and the raters."""
    group = evaluation.overall
    if group.num_triplets < ENOUGH_TRIPLETS:
        return (
            f"On only {counted(group.num_triplets, 'test triplet')}, too few for a verdict, "
            f"this head finds the face that the {origin.many} set apart in "
            f"{page_percent(group.accuracy)} of cases; chance is {page_percent(evaluation.chance)}."
        )
    clauses = [_beside_chance(group, evaluation.chance)]
    if baseline is not None:
        clauses.append(_beside_baseline(baseline))
    clauses.append(_beside_raters(group, origin))
    precision = f"{_INTERVAL} {interval(group)}"
    if seeds:
        single = [one.overall.accuracy for one in seeds.evaluations]
        precision += f"; single seeds {100 * min(single):.1f} to {page_percent(max(single))}"
    who = (
        f"this recipe, averaged over {counted(len(seeds.seeds), 'seed')}," if seeds else "this head"
    )
    return (
        f"On {counted(group.num_triplets, 'test triplet', form=',')} {who} finds the face that the "
        f"{origin.many} set apart in {page_percent(group.accuracy)} of cases ({precision}): "
        f"{', '.join(clauses[:-1])}, and {clauses[-1]}."
    )


def interval(group: GroupAccuracy) -> str:
    """`57.1 to 62.9 %`, or `too few`."""
    if math.isnan(group.low):
        return "too few"
    return f"{100 * group.low:.1f} to {page_percent(group.high)}"


def signed(comparison: Comparison) -> str:
    """A difference with its standard error in points: `+1.3 ± 0.6`."""
    if math.isnan(comparison.difference):
        return NO_FIGURE
    return f"{100 * comparison.difference:+.1f}{_error(comparison)}"


def p_words(comparison: Comparison) -> str:
    """`p = 0.02`, `p < 0.001`, or `too few to judge`."""
    if math.isnan(comparison.p_value):
        return "too few to judge"
    text = "p < 0.001" if comparison.p_value < 0.001 else f"p = {comparison.p_value:.2g}"
    return text.replace(" ", NO_BREAK_SPACE)


def difference_interval(comparison: Comparison) -> str:
    """`+13.1 to +22.9`, in points; a dash where there is none."""
    if math.isnan(comparison.low):
        return NO_FIGURE
    return f"{100 * comparison.low:+.1f} to {100 * comparison.high:+.1f}"


def _beside_chance(group: GroupAccuracy, chance: float) -> str:
    outside = "above" if group.low > chance else "below" if group.high < chance else ""
    return f"{outside or 'not distinguishable from'} chance ({page_percent(chance)})"


def _beside_baseline(baseline: Baseline) -> str:
    # Both heads answer the same triplets, so the paired interval decides: the two heads' own
    # intervals can overlap although the difference is certain.
    comparison = baseline.comparison
    name = f"the {baseline.title}{baseline.where} ({page_percent(comparison.accuracy_b)}"
    name += f", {counted(len(baseline.runs), 'seed')}" if len(baseline.runs) > 1 else ""
    if math.isnan(comparison.low):
        return f"compared with {name})"
    if comparison.low <= 0.0 <= comparison.high:
        difference = f"{signed(comparison)} points, {p_words(comparison)}"
        return f"not distinguishable from {name}; difference {difference})"
    side = "better" if comparison.difference > 0 else "worse"
    lead = f"{100 * abs(comparison.difference):.1f}{_error(comparison)}"
    return f"{side} by {lead} points ({p_words(comparison)}) than {name})"


def _error(comparison: Comparison) -> str:
    if math.isnan(comparison.stderr):
        return ""
    return f"{NO_BREAK_SPACE}±{NO_BREAK_SPACE}{100 * comparison.stderr:.1f}"


def _beside_raters(group: GroupAccuracy, origin: Origin) -> str:
    raters = group.rater_accuracy
    if not origin.are_people:
        return f"no rater’s accuracy is known, as the answers come from {origin.many}"
    if math.isnan(raters):
        return (
            f"the {origin.many}’ own accuracy is unknown, as no triplet has answers from two "
            f"{origin.many}"
        )
    if group.low <= raters <= group.high:
        return f"not distinguishable from a single {origin.one} ({page_percent(raters)})"
    side = "below" if group.accuracy < raters else "above"
    distance = f"{100 * abs(group.accuracy - raters):.1f} points"
    return f"{distance} {side} a single {origin.one} ({page_percent(raters)})"
