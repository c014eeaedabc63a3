"""Pictures of a search, beside its results.csv: a heatmap and parallel coordinates."""

import io
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from fec_cache.features.storage import write_atomically
from fec_cache.search.results import Ranked

HEATMAP_NAME, PARALLEL_NAME = "heatmap", "parallel"
_MOST_LEVELS = 12
_NUM_PARTS = 6
_DATE = {"png": "Software", "svg": "Date"}
_COLOURS = "viridis"
_TITLE = "validation triplet accuracy, %"


def draw_search(folder: Path, ranked: Sequence[Ranked]) -> list[Path]:
    """Write both pictures as PNG and SVG.

    Where fewer than two settings vary there is no heatmap, where none does no picture at all.

    Returns:
        The files that were written.

    Raises:
        StorageFailed: the disk would not take it.
    """
    names = varied(ranked)
    written: list[Path] = []
    if names:
        written += _write(folder / PARALLEL_NAME, parallel_figure(ranked, names))
    if len(names) > 1:
        written += _write(folder / HEATMAP_NAME, heatmap_figure(ranked, *two_strongest(ranked)))
    return written


def varied(ranked: Sequence[Ranked]) -> list[str]:
    """Settings that are not the same in all entries, seeds left out."""
    names = ranked[0].settings if ranked else {}
    return [n for n in names if n != "seed" and len(_levels(ranked, n)) > 1]


def two_strongest(ranked: Sequence[Ranked]) -> tuple[str, str]:
    """The two settings whose values tell most of the accuracy: a heatmap's axes.

    A setting's strength is the share of the variance of accuracy between its values; one with as
    many values as entries, as a sampler draws them, is first put into six parts.
    """
    strengths = {name: _strength(ranked, name) for name in varied(ranked)}
    first, second = sorted(strengths, key=lambda name: -strengths[name])[:2]
    return first, second


def heatmap_table(
    ranked: Sequence[Ranked], row_name: str, column_name: str
) -> tuple[list[str], list[str], npt.NDArray[np.float64]]:
    """Labels of rows and columns, and the best mean accuracy in each cell; NaN where none is."""
    rows, row_of = _parts(ranked, row_name)
    columns, column_of = _parts(ranked, column_name)
    cells = np.full((len(rows), len(columns)), np.nan)
    for entry, row, column in zip(ranked, row_of, column_of, strict=True):
        cells[row, column] = np.fmax(cells[row, column], entry.val_triplet_accuracy)
    return rows, columns, cells


def heatmap_figure(ranked: Sequence[Ranked], row_name: str, column_name: str) -> Figure:
    """The best accuracy for each pair of values of two settings."""
    rows, columns, cells = heatmap_table(ranked, row_name, column_name)
    size = (2.5 + 0.7 * len(columns), 1.8 + 0.45 * len(rows))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(100 * cells, cmap=_COLOURS, aspect="auto")
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlabel(column_name.replace("_", " "))
    axes.set_ylabel(row_name.replace("_", " "))
    figure.colorbar(image, label=f"best {_TITLE}")
    middle = np.nanmean([np.nanmin(cells), np.nanmax(cells)])
    for (row, column), value in np.ndenumerate(cells):
        if not math.isnan(value):
            ink = "black" if value > middle else "white"
            axes.text(column, row, f"{100 * value:.1f}", ha="center", va="center", color=ink)
    return figure


def parallel_figure(ranked: Sequence[Ranked], names: Sequence[str]) -> Figure:
    """One line a setting through its values, coloured by accuracy, the best ones on top."""
    figure = Figure(figsize=(2.0 + 1.5 * (len(names) + 1), 4.5), layout="constrained")
    axes = figure.add_subplot()
    accuracies = np.array([entry.val_triplet_accuracy for entry in ranked])
    heights = [_heights(ranked, name) for name in names]
    low, high = float(accuracies.min()), float(accuracies.max())
    heights.append((accuracies - low) / ((high - low) or 1.0))
    scale = Normalize(100 * low, 100 * high if high > low else 100 * low + 1.0)
    colours = colormaps[_COLOURS]
    for place in np.argsort(accuracies, kind="stable"):
        line = [height[place] for height in heights]
        axes.plot(line, color=colours(scale(100 * accuracies[place])), alpha=0.8)
    for place, name in enumerate(names):
        axes.axvline(place, color="0.6", linewidth=0.8)
        for height, label in _ticks(ranked, name):
            axes.text(place, height, f" {label}", fontsize=8, va="center")
    axes.set_xticks(
        range(len(names) + 1), [*(name.replace("_", " ") for name in names), "accuracy"]
    )
    axes.set_yticks([])
    figure.colorbar(ScalarMappable(scale, colours), ax=axes, label=_TITLE)
    return figure


def _levels(ranked: Sequence[Ranked], name: str) -> list[object]:
    """Distinct values of a setting: numbers and layers by size, words by the alphabet."""
    found: dict[str, object] = {}
    for entry in ranked:
        found.setdefault(_label(entry.settings.get(name)), entry.settings.get(name))
    return sorted(found.values(), key=_order)


def _order(value: object) -> tuple[bool, float, str]:
    size = value[0] if isinstance(value, list) and value else value
    is_number = isinstance(size, (int, float))
    return not is_number, float(size) if is_number else 0.0, _label(value)  # type: ignore[arg-type]


def _numbers(ranked: Sequence[Ranked], name: str) -> npt.NDArray[np.float64] | None:
    """The values of a setting with many of them, as a sampler draws them; None for a list's."""
    values = [entry.settings.get(name) for entry in ranked]
    if len(_levels(ranked, name)) <= _MOST_LEVELS:
        return None
    numbers = [_order(value) for value in values]
    return (
        None if any(is_word for is_word, _, _ in numbers) else np.array([n for _, n, _ in numbers])
    )


def _parts(ranked: Sequence[Ranked], name: str) -> tuple[list[str], list[int]]:
    """Labels of a setting's levels, or of parts of many values, and the place of each entry."""
    numbers = _numbers(ranked, name)
    if numbers is not None:
        edges = np.quantile(numbers, np.linspace(0, 1, _NUM_PARTS + 1))
        place_of = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, _NUM_PARTS - 1)
        return [f"{low:.3g} to {high:.3g}" for low, high in pairwise(edges)], place_of.tolist()
    labels = [_label(value) for value in _levels(ranked, name)]
    return labels, [labels.index(_label(entry.settings.get(name))) for entry in ranked]


def _heights(ranked: Sequence[Ranked], name: str) -> npt.NDArray[np.float64]:
    """Where each entry stands on a setting's axis, in [0, 1]."""
    numbers = _numbers(ranked, name)
    if numbers is None:
        labels, place_of = _parts(ranked, name)
        return np.array(place_of) / max(1, len(labels) - 1)
    scaled = np.log(numbers) if _is_log(numbers) else numbers
    return np.asarray((scaled - scaled.min()) / (scaled.max() - scaled.min()), np.float64)


def _ticks(ranked: Sequence[Ranked], name: str) -> list[tuple[float, str]]:
    """Heights and labels on a setting's axis."""
    numbers = _numbers(ranked, name)
    if numbers is None:
        labels, _ = _parts(ranked, name)
        return [(place / max(1, len(labels) - 1), label) for place, label in enumerate(labels)]
    low, high = float(numbers.min()), float(numbers.max())
    middle = math.sqrt(low * high) if _is_log(numbers) else (low + high) / 2
    return [(0.0, f"{low:.3g}"), (0.5, f"{middle:.3g}"), (1.0, f"{high:.3g}")]


def _is_log(numbers: npt.NDArray[np.float64]) -> bool:
    return bool(numbers.min() > 0 and numbers.max() / numbers.min() >= 30)


def _strength(ranked: Sequence[Ranked], name: str) -> float:
    _, place_of = _parts(ranked, name)
    accuracies = np.array([entry.val_triplet_accuracy for entry in ranked])
    places = np.array(place_of)
    means = np.array([accuracies[places == place].mean() for place in places])
    spread = float(accuracies.var())
    return float(means.var()) / spread if spread else 0.0


def _label(value: object) -> str:
    if isinstance(value, list):
        return "-".join(map(str, value)) or "none"
    if value is None:
        return "default"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _write(stem: Path, figure: Figure) -> list[Path]:
    written = []
    for kind in ("png", "svg"):
        image = io.BytesIO()
        # Without a date, and with names of its own choosing fixed: the same results, the same file.
        with mpl.rc_context({"svg.hashsalt": stem.name, "svg.fonttype": "none"}):
            figure.savefig(image, format=kind, dpi=120, metadata={_DATE[kind]: None})
        path = stem.with_suffix(f".{kind}")
        write_atomically(path, image.getvalue())
        written.append(path)
    return written
