"""More figures of the report: calibration, probabilities, confusion of words, searches."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fec_cache.evaluation.figures import Evaluation
from fec_cache.evaluation.measures.reliability import Reliability
from fec_cache.reports.heatmaps import draw_cells, draw_heatmap, levels, parts, two_strongest
from fec_cache.reports.plots import PERCENT, STAND_INS, Plot, new_figure, to_svg
from fec_cache.system.wording import counted

_NUM_BINS = 25
# With more words than this, the confusion table is wider than a phone and is scrolled.
MANY_WORDS = 12
_WIDE = 13.0
_SMALLEST_SHOWN = 0.1


def reliability_plot(bins: Reliability) -> Plot:
    """Predicted against observed shares of similar pairs, one dot per bin."""
    figure, axes = new_figure()
    axes.plot((0, 1), (0, 1), "--", color=STAND_INS["muted"], linewidth=1)
    axes.plot(bins.predicted, bins.observed, "o-", color=STAND_INS["head"], markersize=5)
    axes.set(xlabel="calibrated P(similar)", ylabel="share that is similar")
    # Predictions of weak heads lie far below 1: the axes end where the dots do.
    edge = min(1.0, max(*bins.predicted, *bins.observed, 0.1) + 0.05)
    axes.set(xlim=(0, edge), ylim=(0, edge))
    axes.xaxis.set_major_formatter(PERCENT)
    axes.yaxis.set_major_formatter(PERCENT)
    alt = (
        f"Calibration curve over {counted(len(bins.counts), 'bin')} of pairs: predicted "
        f"and observed shares of similar pairs differ by {100 * bins.error:.1f} points "
        "on average."
    )
    return Plot(to_svg(figure, "reliability"), alt)


def probability_plot(evaluation: Evaluation, is_similar: npt.NDArray[np.bool_]) -> Plot:
    """Histograms of calibrated P(similar) for similar and for different pairs.

    Args:
        evaluation: of T triplets.
        is_similar: [3T] bool, the answer of the raters' majority per pair, in triplet order.
    """
    figure, axes = new_figure()
    probability, threshold = evaluation.probability.reshape(-1), evaluation.threshold
    edges = np.linspace(0.0, 1.0, _NUM_BINS + 1)
    for name, chosen in (("different", ~is_similar), ("similar", is_similar)):
        shares = np.histogram(probability[chosen], edges)[0] / chosen.sum()
        axes.stairs(shares, edges, fill=True, color=STAND_INS[name], alpha=0.22)
        axes.stairs(shares, edges, color=STAND_INS[name], linewidth=1.8)
    axes.axvline(threshold, color=STAND_INS["ink"], linewidth=1.2, linestyle="--")
    axes.set(xlim=(0, 1), xlabel="calibrated P(similar)", ylabel="share of pairs of a kind")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(PERCENT)
    axes.yaxis.set_major_formatter(PERCENT)
    medians = [np.median(probability[chosen]) for chosen in (is_similar, ~is_similar)]
    alt = (
        f"Histogram of P(similar): median {medians[0]:.1%} for similar and {medians[1]:.1%} for "
        f"different pairs; the threshold is {threshold:.1%}."
    )
    return Plot(to_svg(figure, "probability"), alt)


def confusion_plot(counts: Sequence[Sequence[int]], words: Sequence[str]) -> Plot:
    """Expression of a face against that of the nearest face of another person.

    Args:
        counts: [W, W]; rows are the face's own word, columns that of the nearest face.
        words: W names.
    """
    table = np.array(counts, np.float64)
    used = np.flatnonzero(table.sum(axis=1) > 0).tolist()
    shares = table[np.ix_(used, used)] / table[used].sum(axis=1, keepdims=True)
    names = [words[place] for place in used]
    is_wide = len(names) > MANY_WORDS
    figure, axes = new_figure(height=1.1 + 0.38 * len(names))
    if is_wide:
        figure.set_size_inches(_WIDE, 1.6 + 0.3 * len(names))
    texts = [f"{100 * share:.0f}" if share >= _SMALLEST_SHOWN else "" for share in shares.ravel()]
    draw_cells(axes, shares, texts, STAND_INS["head"], STAND_INS["ink"])
    turn, side = (90, "center") if is_wide else (45, "right")
    axes.set_xticks(range(len(names)), names, rotation=turn, ha=side)
    axes.set_yticks(
        range(len(names)), [f"{n} ({table[u].sum():.0f})" for n, u in zip(names, used, strict=True)]
    )
    right = float(np.trace(table) / table.sum())
    alt = (
        f"Table of {counted(len(names), 'expression word')}: the nearest face of another person "
        f"shows the same word in {right:.1%} of cases."
    )
    return Plot(to_svg(figure, "confusion"), alt)


def heatmap_plot(results: Sequence[Mapping[str, str]], varied: Sequence[str]) -> Plot | None:
    """Best validation accuracy by the two settings that matter most; None with fewer than two.

    Args:
        results: rows of a search's `results.csv`.
        varied: names of settings that differ between them.
    """
    points = [
        ({name: _value(row.get(name, "")) for name in varied}, _accuracy(row)) for row in results
    ]
    trials = [trial for trial in points if not math.isnan(trial[1])]
    names = [name for name in varied if name != "seed" and len(levels(trials, name)) > 1]
    if len(names) < 2:
        return None
    strongest = two_strongest(trials, names)
    figure, axes = new_figure(height=1.2 + 0.42 * len(parts(trials, strongest[0])[0]))
    low, high = draw_heatmap(axes, trials, strongest, STAND_INS["head"], STAND_INS["ink"])
    alt = (
        f"Heatmap of the best validation triplet accuracy by {strongest[0]} and {strongest[1]}, "
        f"from {low:.1%} to {high:.1%}."
    )
    return Plot(to_svg(figure, "heatmap"), alt)


def _accuracy(row: Mapping[str, str]) -> float:
    try:
        return float("nan") if row.get("error") else float(row["val_triplet_accuracy"])
    except (KeyError, ValueError):
        return float("nan")


def _value(text: str) -> object:
    """A cell of `results.csv`: a number if it can be read as one, else the text."""
    try:
        return float(text)
    except ValueError:
        return text
