"""Every figure of the report that the parts at hand allow."""

from collections.abc import Mapping, Sequence

from fec_cache.evaluation.figures import Evaluation
from fec_cache.evaluation.metrics import CHANCE
from fec_cache.heads.train import Epoch
from fec_cache.pairs.build import TripletTable, pairs_from_triplets
from fec_cache.surfaces.plots import (
    Plot,
    accuracy_plot,
    kept_epoch,
    loss_plot,
    progress_plot,
    roc_plot,
)
from fec_cache.surfaces.truth_plots import (
    confusion_plot,
    heatmap_plot,
    probability_plot,
    reliability_plot,
)


def draw_figures(
    history: Sequence[Epoch],
    evaluation: Evaluation | None,
    table: TripletTable | None,
    baseline: Evaluation | None,
    results: Sequence[Mapping[str, str]] = (),
    varied: Sequence[str] = (),
) -> dict[str, Plot]:
    """Figures by name: accuracy, roc, probability, reliability, confusion, loss, progress, heatmap.

    Args:
        history: epochs of the training.
        evaluation: on the test split.
        table: its triplets.
        baseline: the original recipe on the same.
        results: rows of a search's `results.csv`.
        varied: settings that differ between them.
    """
    figures: dict[str, Plot] = {}
    if evaluation is not None:
        figures["accuracy"] = accuracy_plot(evaluation, baseline)
        if evaluation.reliability is not None and evaluation.reliability.counts:
            figures["reliability"] = reliability_plot(evaluation.reliability)
        people = evaluation.identity
        if people and people.neighbours and any(map(any, people.neighbours.confusion)):
            figures["confusion"] = confusion_plot(people.neighbours.confusion, people.words)
    if evaluation is not None and table is not None:
        is_similar = pairs_from_triplets(table).is_similar
        figures["roc"] = roc_plot(evaluation, is_similar)
        figures["probability"] = probability_plot(evaluation, is_similar)
    if kept := kept_epoch(history):
        figures["loss"] = loss_plot(history, kept)
        figures["progress"] = progress_plot(history, kept, CHANCE)
    if heatmap := heatmap_plot(results, varied):
        figures["heatmap"] = heatmap
    return figures
