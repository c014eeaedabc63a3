"""`ReportData` -> every figure that its parts allow."""

from collections.abc import Sequence

from fec_cache.evaluation.figures import Evaluation
from fec_cache.evaluation.measures.metrics import CHANCE
from fec_cache.pairs.build import pairs_from_triplets
from fec_cache.reports.data import ReportData
from fec_cache.reports.plots import (
    Plot,
    accuracy_plot,
    loss_plot,
    progress_plot,
    roc_plot,
)
from fec_cache.reports.truth_plots import (
    confusion_plot,
    heatmap_plot,
    probability_plot,
    reliability_plot,
)


def draw_figures(
    data: ReportData, evaluation: Evaluation | None, varied: Sequence[str]
) -> dict[str, Plot]:
    """Figures by name: accuracy, roc, probability, reliability, confusion, loss, progress, heatmap.

    Args:
        data: what the report is made of.
        evaluation: on the test split; None if that has no triplet.
        varied: settings that differ in a search.
    """
    figures: dict[str, Plot] = {}
    seeds = data.seeds if evaluation else None
    if evaluation is not None:
        recipe = seeds.mean if seeds else evaluation
        single = seeds.evaluations if seeds else []
        other = data.baseline.evaluation if data.baseline else None
        figures["accuracy"] = accuracy_plot(recipe, other, single)
        if evaluation.reliability is not None and evaluation.reliability.counts:
            figures["reliability"] = reliability_plot(evaluation.reliability)
        people = evaluation.identity
        if people and people.neighbours and any(map(any, people.neighbours.confusion)):
            figures["confusion"] = confusion_plot(people.neighbours.confusion, people.words)
    if evaluation is not None and data.table is not None:
        is_similar = pairs_from_triplets(data.table).is_similar
        figures["roc"] = roc_plot(evaluation, is_similar)
        figures["probability"] = probability_plot(evaluation, is_similar)
    if kept := data.kept:
        others = [seed.history for seed in seeds.seeds if seed.name != data.name] if seeds else []
        figures["loss"] = loss_plot(data.history, kept, others)
        figures["progress"] = progress_plot(data.history, kept, CHANCE, others)
    if heatmap := heatmap_plot(data.results, varied):
        figures["heatmap"] = heatmap
    return figures
