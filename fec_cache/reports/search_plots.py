"""Plots of a search, next to its results.csv: a heatmap and parallel coordinates."""

import io
import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from fec_cache.reports.heatmaps import (
    Trial,
    draw_heatmap,
    heatmap_table,
    parts,
    two_strongest,
    varied,
)
from fec_cache.reports.heatmaps import numbers as values_of
from fec_cache.search.results import Ranked
from fec_cache.system.atomic import write_atomically

HEATMAP_NAME, PARALLEL_NAME = "heatmap", "parallel"
_FILL = "#1f5fa8"
_DATE = {"png": "Software", "svg": "Date"}
_COLOURS = "viridis"
_TITLE = "validation triplet accuracy, %"


def draw_search(folder: Path, ranked: Sequence[Ranked]) -> list[Path]:
    """Write both plots as PNG and SVG.

    A heatmap needs two settings that vary, parallel coordinates need one.

    Returns:
        The files that were written.

    Raises:
        StorageFailed: the disk is full or the folder cannot be written.
    """
    trials = [(entry.settings, entry.val_triplet_accuracy) for entry in ranked]
    names = varied(trials)
    written: list[Path] = []
    if names:
        written += _write(folder / PARALLEL_NAME, parallel_figure(trials, names))
    if len(names) > 1:
        strongest = two_strongest(trials, names)
        written += _write(folder / HEATMAP_NAME, heatmap_figure(trials, strongest))
    return written


def heatmap_figure(trials: Sequence[Trial], names: tuple[str, str]) -> Figure:
    """The best accuracy for each pair of values of two settings."""
    rows, columns, _ = heatmap_table(trials, *names)
    size = (2.5 + 0.8 * len(columns), 1.8 + 0.45 * len(rows))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    draw_heatmap(axes, trials, names, _FILL, "black")
    axes.set_title(f"best {_TITLE}", fontsize=10)
    return figure


def parallel_figure(trials: Sequence[Trial], names: Sequence[str]) -> Figure:
    """One line per setting through its values, coloured by accuracy, the best on top."""
    figure = Figure(figsize=(2.0 + 1.5 * (len(names) + 1), 4.5), layout="constrained")
    axes = figure.add_subplot()
    accuracies = np.array([accuracy for _, accuracy in trials])
    heights = [_heights(trials, name) for name in names]
    low, high = float(accuracies.min()), float(accuracies.max())
    heights.append((accuracies - low) / ((high - low) or 1.0))
    scale = Normalize(100 * low, 100 * high if high > low else 100 * low + 1.0)
    colours = colormaps[_COLOURS]
    # Worst first, so that the best lines lie on top.
    for place in np.argsort(accuracies, kind="stable"):
        line = [height[place] for height in heights]
        axes.plot(line, color=colours(scale(100 * accuracies[place])), alpha=0.8)
    for place, name in enumerate(names):
        axes.axvline(place, color="0.6", linewidth=0.8)
        for height, label in _ticks(trials, name):
            axes.text(place, height, f" {label}", fontsize=8, va="center")
    axes.set_xticks(
        range(len(names) + 1), [*(name.replace("_", " ") for name in names), "accuracy"]
    )
    axes.set_yticks([])
    figure.colorbar(ScalarMappable(scale, colours), ax=axes, label=_TITLE)
    return figure


def _heights(trials: Sequence[Trial], name: str) -> npt.NDArray[np.float64]:
    """Position of each trial on a setting's axis, [N] in [0, 1]."""
    numbers = values_of(trials, name)
    if numbers is None:
        labels, place_of = parts(trials, name)
        return np.array(place_of) / max(1, len(labels) - 1)
    scaled = np.log(numbers) if _is_log(numbers) else numbers
    return np.asarray((scaled - scaled.min()) / (scaled.max() - scaled.min()), np.float64)


def _ticks(trials: Sequence[Trial], name: str) -> list[tuple[float, str]]:
    """Heights and labels on a setting's axis."""
    numbers = values_of(trials, name)
    if numbers is None:
        labels, _ = parts(trials, name)
        return [(place / max(1, len(labels) - 1), label) for place, label in enumerate(labels)]
    low, high = float(numbers.min()), float(numbers.max())
    middle = math.sqrt(low * high) if _is_log(numbers) else (low + high) / 2
    return [(0.0, f"{low:.3g}"), (0.5, f"{middle:.3g}"), (1.0, f"{high:.3g}")]


def _is_log(numbers: npt.NDArray[np.float64]) -> bool:
    return bool(numbers.min() > 0 and numbers.max() / numbers.min() >= 30)


def _write(stem: Path, figure: Figure) -> list[Path]:
    written = []
    for kind in ("png", "svg"):
        image = io.BytesIO()
        # No date and a fixed salt for element ids: the same results give the same file.
        with mpl.rc_context({"svg.hashsalt": stem.name, "svg.fonttype": "none"}):
            figure.savefig(image, format=kind, dpi=120, metadata={_DATE[kind]: None})
        path = stem.with_suffix(f".{kind}")
        write_atomically(path, image.getvalue())
        written.append(path)
    return written
