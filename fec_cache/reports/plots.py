"""Figures of the report: numbers -> SVG that takes its colours and fonts from the page.

matplotlib draws with stand-in colours, which are then replaced by the page's CSS variables, so
one drawing is legible in light and dark mode. Each figure is about as wide as a phone, so its
text is never scaled down; wide screens show figures side by side.

Pillow's home is `faces/`, which reads pictures; here it only packs crops into the page.
"""

import base64
import io
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from PIL import Image

from fec_cache.evaluation.figures import Evaluation, GroupAccuracy
from fec_cache.reports.typography import THIN_SPACE, page_percent
from fec_cache.system.wording import counted
from fec_cache.training.history import Epoch

_VARIABLES = ("ink", "muted", "rule", "head", "baseline", "raters", "similar", "different", "page")
STAND_INS = {name: f"#0{number}0a0{number}" for number, name in enumerate(_VARIABLES)}
_WIDTH, _HEIGHT = 5.0, 3.4  # inches: at 72 points each, 360 x 245 units
_MAX_POINTS = 200
CROP_SIZE = 112
_JPEG_QUALITY = 80
PERCENT = PercentFormatter(1.0, decimals=0, symbol=f"{THIN_SPACE}%")
_BAR = 0.3
# matplotlib reads svg.fonttype and svg.hashsalt from its global rcParams only, so threads write
# figures one at a time.
_SETTINGS_LOCK = threading.Lock()


@dataclass(frozen=True)
class Plot:
    """A figure as inline SVG, and its text alternative."""

    svg: str
    alt: str


def accuracy_plot(
    evaluation: Evaluation, baseline: Evaluation | None, seeds: Sequence[Evaluation] = ()
) -> Plot:
    """Triplet accuracy by type as bars with 95 % intervals, chance line and raters' marks.

    Args:
        evaluation: of a head, or the mean of a recipe's seeds.
        baseline: what it is compared with.
        seeds: the single seeds behind the mean, one dot each.
    """
    groups, others = _with_triplets(evaluation), _with_triplets(baseline)
    figure, axes = new_figure(height=0.5 + 0.85 * len(groups))
    shift = _BAR / 2 + 0.02 if others else 0.0
    _bars(axes, groups, "head", -shift)
    _bars(axes, others, "baseline", shift)
    for seed in seeds:
        shares = [group.accuracy for group in _with_triplets(seed)]
        heights = np.arange(len(groups)) - shift - _BAR / 2 - 0.06
        axes.plot(shares, heights, "o", markersize=3.5, color=STAND_INS["head"])
    raters = [group.rater_accuracy for group in groups]
    places = np.arange(len(groups))
    axes.vlines(raters, places - 0.4, places + 0.4, colors=STAND_INS["raters"], linewidth=2.5)
    axes.axvline(evaluation.chance, color=STAND_INS["muted"], linewidth=1.2, linestyle="--")
    axes.set_yticks(places, [f"{group.name}\n{group.num_triplets:,}" for group in groups])
    axes.set(ylim=(len(groups) - 0.45, -0.55), xlim=(0, 1), xlabel="triplet accuracy")
    axes.xaxis.set_major_formatter(PERCENT)
    axes.grid(visible=False, axis="y")
    shown = (f"{group.name} {group.accuracy:.1%}" for group in groups)
    return Plot(
        to_svg(figure, "accuracy"), f"Bars of triplet accuracy by type: {', '.join(shown)}."
    )


def loss_plot(
    history: Sequence[Epoch], kept: Epoch, others: Sequence[Sequence[Epoch]] = ()
) -> Plot:
    """Training and validation loss by epoch, the kept epoch marked, other seeds in pale."""
    figure, axes = new_figure()
    epochs = [epoch.epoch for epoch in history]
    train, validation = zip(*((epoch.train_loss, epoch.val_loss) for epoch in history), strict=True)
    style = _curve_style(history)
    for other in others:
        _behind(axes, other, [epoch.train_loss for epoch in other], "baseline")
        _behind(axes, other, [epoch.val_loss for epoch in other], "head")
    axes.plot(epochs, train, style, color=STAND_INS["baseline"], markersize=4)
    axes.plot(epochs, validation, style, color=STAND_INS["head"], markersize=4)
    _mark_kept(axes, history, kept, kept.val_loss)
    axes.set_ylabel("mean loss")
    alt = (
        f"Curves of loss over {counted(len(history), 'epoch')}: training ends at {train[-1]:.3f}, "
        f"validation at {validation[-1]:.3f}."
    )
    return Plot(to_svg(figure, "loss"), alt)


def progress_plot(
    history: Sequence[Epoch],
    kept: Epoch,
    chance: float,
    others: Sequence[Sequence[Epoch]] = (),
) -> Plot:
    """Validation triplet accuracy by epoch, the kept epoch and chance marked."""
    figure, axes = new_figure()
    epochs = [epoch.epoch for epoch in history]
    accuracies = [epoch.val_triplet_accuracy for epoch in history]
    for other in others:
        _behind(axes, other, [epoch.val_triplet_accuracy for epoch in other], "head")
    axes.plot(epochs, accuracies, _curve_style(history), color=STAND_INS["head"], markersize=4)
    _mark_kept(axes, history, kept, kept.val_triplet_accuracy)
    axes.axhline(chance, color=STAND_INS["muted"], linewidth=1.2, linestyle="--")
    axes.set_ylabel("validation triplet accuracy")
    axes.yaxis.set_major_formatter(PERCENT)
    drawn = [*accuracies, *(epoch.val_triplet_accuracy for other in others for epoch in other)]
    axes.set_ylim(min(0.3, min(drawn) - 0.03), max(drawn) + 0.05)
    alt = (
        f"Curve of validation triplet accuracy over {counted(len(history), 'epoch')}, best "
        f"{kept.val_triplet_accuracy:.1%} at epoch {kept.epoch}."
    )
    return Plot(to_svg(figure, "progress"), alt)


def roc_plot(evaluation: Evaluation, is_similar: npt.NDArray[np.bool_]) -> Plot:
    """ROC of the evaluation's pairs, with the decision threshold as a dot.

    Args:
        evaluation: of T triplets.
        is_similar: [3T], what the raters' majority said of its pairs, in triplet order.
    """
    figure, axes = new_figure()
    auc = evaluation.pairs.auc
    axes.plot((0, 1), (0, 1), "--", color=STAND_INS["muted"], linewidth=1)
    axes.plot(*roc_points(evaluation.similarity.reshape(-1), is_similar), color=STAND_INS["head"])
    says_similar = evaluation.probability.reshape(-1) >= evaluation.threshold
    false_rate, true_rate = (says_similar[kind].mean() for kind in (~is_similar, is_similar))
    axes.plot(false_rate, true_rate, "o", color=STAND_INS["head"], markersize=7)
    axes.text(0.97, 0.05, f"AUC {auc:.3f}", ha="right", fontsize=13, color=STAND_INS["ink"])
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    axes.set(xlabel="different pairs called similar", ylabel="similar pairs called similar")
    axes.xaxis.set_major_formatter(PERCENT)
    axes.yaxis.set_major_formatter(PERCENT)
    alt = (
        f"ROC curve of pairs, area {auc:.3f}; at the threshold {true_rate:.1%} of similar and "
        f"{false_rate:.1%} of different pairs are called similar."
    )
    return Plot(to_svg(figure, "roc"), alt)


def roc_points(
    scores: npt.NDArray[np.floating], is_similar: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Corner points of the ROC, at most `_MAX_POINTS` of them.

    Args:
        scores: [P], higher is more similar.
        is_similar: [P] bool, with at least one pair of each kind.

    Returns:
        Shares of different and of similar pairs called similar: two arrays [K] in [0, 1].
    """
    order = np.argsort(-scores, kind="stable")
    # Pairs of equal score are taken in one step: ties make a slope, as the AUC counts them half.
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    true_count = np.cumsum(is_similar[order])[ends]
    false_count = ends + 1 - true_count
    true_rate = np.append(0.0, true_count / is_similar.sum())
    false_rate = np.append(0.0, false_count / (~is_similar).sum())
    kept = np.unique(np.linspace(0, len(ends), min(_MAX_POINTS, len(ends) + 1)).astype(int))
    return false_rate[kept], true_rate[kept]


def jpeg_uri(crop: npt.NDArray[np.uint8] | None, size: int = CROP_SIZE) -> str:
    """A crop [S, S, 3] uint8 RGB as a JPEG of `size` pixels inside the page; empty if none."""
    if crop is None:
        return ""
    packed = io.BytesIO()
    small = Image.fromarray(crop).resize((size, size), Image.Resampling.LANCZOS)
    small.save(packed, "JPEG", quality=_JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(packed.getvalue()).decode()


def new_figure(height: float = _HEIGHT) -> tuple[Figure, Axes]:
    """A figure as wide as a phone, in the style of the page."""
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    figure.patch.set_visible(False)
    axes = figure.add_subplot()
    axes.patch.set_visible(False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(STAND_INS["muted"])
    axes.tick_params(length=0, labelcolor=STAND_INS["muted"], labelsize=11, pad=5)
    axes.grid(color=STAND_INS["rule"], linewidth=0.8)
    axes.set_axisbelow(True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(color=STAND_INS["muted"], fontsize=11)
    return figure, axes


def _with_triplets(evaluation: Evaluation | None) -> list[GroupAccuracy]:
    """All triplets first, then each type that has triplets."""
    if evaluation is None:
        return []
    return [evaluation.overall, *(g for g in evaluation.groups[:-1] if g.num_triplets)]


def _bars(axes: Axes, groups: Sequence[GroupAccuracy], name: str, shift: float) -> None:
    color = STAND_INS[name]
    for place, group in enumerate(groups):
        axes.barh(place + shift, group.accuracy, _BAR, color=color)
        interval = (group.low, group.high)
        # A page-coloured edge keeps the interval visible on top of its own bar.
        for edge, width in (("page", 3.6), ("ink", 1.4)):
            axes.plot(interval, [place + shift] * 2, color=STAND_INS[edge], linewidth=width)
        label, written = page_percent(group.accuracy), "muted" if name == "baseline" else name
        axes.text(1.02, place + shift, label, color=STAND_INS[written], fontsize=11, va="center")


def _curve_style(history: Sequence[Epoch]) -> str:
    return "o-" if len(history) <= 30 else "-"


def _mark_kept(axes: Axes, history: Sequence[Epoch], kept: Epoch, height: float) -> None:
    axes.axvline(kept.epoch, color=STAND_INS["rule"], linewidth=5, zorder=0.5)
    axes.plot(
        kept.epoch,
        height,
        "o",
        markersize=10,
        markeredgewidth=1.6,
        fillstyle="none",
        color=STAND_INS["ink"],
    )
    axes.xaxis.set_major_locator(
        MaxNLocator(integer=True, nbins=8, steps=[1, 2, 5, 10], min_n_ticks=1)
    )
    last = max(history[-1].epoch + 0.5, axes.dataLim.x1 + 0.5)
    axes.set(xlabel="epoch", xlim=(history[0].epoch - 0.5, last))


def _behind(axes: Axes, history: Sequence[Epoch], values: Sequence[float], name: str) -> None:
    """A thin, pale curve of another seed."""
    epochs = [epoch.epoch for epoch in history]
    axes.plot(epochs, values, "-", color=STAND_INS[name], linewidth=1, alpha=0.4, zorder=1.5)


def to_svg(figure: Figure, name: str) -> str:
    """The figure as an `<svg>` element without ids, links, fonts or colours of its own."""
    text = io.StringIO()
    no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with _SETTINGS_LOCK, matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(text, format="svg", metadata=no_metadata)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<svg .*?viewBox="([^"]*)".*?>', r'<svg viewBox="\1">', svg, count=1)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg).replace("xlink:href", "href")
    svg = re.sub(r" font-family: [^;]*;", "", svg)
    for variable, stand_in in STAND_INS.items():
        svg = svg.replace(stand_in, f"var(--{variable})")
    return svg
