"""More figures of the report: what probabilities are worth, words mixed up, searches."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from fec_cache.evaluation.figures import Evaluation
from fec_cache.evaluation.reliability import Reliability
from fec_cache.surfaces.plots import PERCENT, STAND_INS, Plot, new_figure, to_svg

_NUM_BINS = 25
_MOST_VALUES = 12
# From so many words on, the table of confusion is wider than a phone and is scrolled.
MANY_WORDS = 12
_WIDE = 13.0
_TOLD = 0.1


def reliability_plot(found: Reliability) -> Plot:
    """Predicted against observed shares of similar pairs, each dot as large as its bin."""
    figure, axes = new_figure()
    axes.plot((0, 1), (0, 1), "--", color=STAND_INS["muted"], linewidth=1)
    axes.plot(found.predicted, found.observed, "o-", color=STAND_INS["head"], markersize=5)
    axes.set(xlabel="calibrated P(similar)", ylabel="share that is similar")
    edge = min(1.0, max(*found.predicted, *found.observed, 0.1) + 0.05)
    axes.set(xlim=(0, edge), ylim=(0, edge))
    axes.xaxis.set_major_formatter(PERCENT)
    axes.yaxis.set_major_formatter(PERCENT)
    alt = (
        f"Calibration curve over {len(found.counts)} bins of pairs: predicted and observed shares "
        f"of similar pairs lie {100 * found.error:.1f} points apart in the mean."
    )
    return Plot(to_svg(figure, "reliability"), alt)


def probability_plot(evaluation: Evaluation, is_similar: npt.NDArray[np.bool_]) -> Plot:
    """How calibrated P(similar) spreads over similar and over different pairs.

    Args:
        evaluation: of T triplets.
        is_similar: [3T], what the raters' majority said of its pairs, in triplet order.
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
        f"different pairs; the threshold stands at {threshold:.1%}."
    )
    return Plot(to_svg(figure, "probability"), alt)


def confusion_plot(counts: Sequence[Sequence[int]], words: Sequence[str]) -> Plot:
    """Expression word of a face against that of the nearest face of somebody else, by row.

    Args:
        counts: [W, W], rows are the face's own word.
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
    texts = [f"{100 * share:.0f}" if share >= _TOLD else "" for share in shares.ravel()]
    _cells(axes, shares, texts)
    turn = {"rotation": 90} if is_wide else {"rotation": 45, "ha": "right"}
    axes.set_xticks(range(len(names)), names, **turn)
    axes.set_yticks(
        range(len(names)), [f"{n} ({table[u].sum():.0f})" for n, u in zip(names, used, strict=True)]
    )
    right = float(np.trace(table) / table.sum())
    alt = (
        f"Table of {len(names)} expression words: the nearest face of another person shows the "
        f"same word in {right:.1%} of cases."
    )
    return Plot(to_svg(figure, "confusion"), alt)


def heatmap_plot(results: Sequence[Mapping[str, str]], varied: Sequence[str]) -> Plot | None:
    """Best validation accuracy by the two settings that matter most; None with fewer than two.

    Args:
        results: rows of a search's `results.csv`.
        varied: names of settings that differ between them.
    """
    rows = [(row, _accuracy(row)) for row in results]
    told = [(row, value) for row, value in rows if not np.isnan(value)]
    names = sorted(
        (n for n in varied if n != "seed" and 2 <= len({r[n] for r, _ in told}) <= _MOST_VALUES),
        key=lambda name: -_effect(told, name),
    )
    if len(names) < 2:
        return None
    down, across = names[:2]
    ys, xs = (sorted({row[name] for row, _ in told}, key=_order) for name in (down, across))
    best = np.full((len(ys), len(xs)), np.nan)
    for row, value in told:
        cell = ys.index(row[down]), xs.index(row[across])
        best[cell] = np.fmax(best[cell], value)
    figure, axes = new_figure(height=1.2 + 0.42 * len(ys))
    texts = ["" if np.isnan(value) else f"{100 * value:.1f}" for value in best.ravel()]
    low, high = np.nanmin(best), np.nanmax(best)
    _cells(axes, (best - low) / max(high - low, 1e-9) * 0.9, texts)
    axes.set_xticks(range(len(xs)), xs)
    axes.set_yticks(range(len(ys)), ys)
    axes.set(xlabel=across.replace("_", " "), ylabel=down.replace("_", " "))
    alt = (
        f"Heatmap of the best validation triplet accuracy by {down} and {across}, from {low:.1%} "
        f"to {high:.1%}."
    )
    return Plot(to_svg(figure, "heatmap"), alt)


def _cells(axes: Axes, strengths: npt.NDArray[np.float64], texts: Sequence[str]) -> None:
    """A grid of squares whose ink is as strong as their number."""
    num_rows, num_columns = strengths.shape
    axes.grid(visible=False)
    for place, (strength, text) in enumerate(zip(strengths.ravel(), texts, strict=True)):
        y, x = divmod(place, num_columns)
        alpha = 0.0 if np.isnan(strength) else 0.08 + 0.5 * float(strength)
        axes.fill_between(
            (x - 0.48, x + 0.48),
            y - 0.48,
            y + 0.48,
            color=STAND_INS["head"],
            alpha=alpha,
            linewidth=0,
        )
        axes.text(x, y, text, ha="center", va="center", fontsize=11, color=STAND_INS["ink"])
    axes.set(xlim=(-0.5, num_columns - 0.5), ylim=(num_rows - 0.5, -0.5))
    axes.spines["bottom"].set_visible(False)


def _effect(told: Sequence[tuple[Mapping[str, str], float]], name: str) -> float:
    """How far the means of a setting's values lie apart."""
    by_value: dict[str, list[float]] = {}
    for row, value in told:
        by_value.setdefault(row[name], []).append(value)
    return float(np.ptp([np.mean(values) for values in by_value.values()]))


def _accuracy(row: Mapping[str, str]) -> float:
    try:
        return float("nan") if row.get("error") else float(row["val_triplet_accuracy"])
    except (KeyError, ValueError):
        return float("nan")


def _order(value: str) -> tuple[bool, float, str]:
    try:
        return False, float(value), value
    except ValueError:
        return True, 0.0, value
