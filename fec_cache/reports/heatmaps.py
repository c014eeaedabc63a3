"""A search as a heatmap of its two strongest settings, and how such tables are drawn."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from fec_cache.reports.search_table import value_in_words

# The settings of a point and its accuracy on validation.
Trial = tuple[Mapping[str, object], float]
MOST_LEVELS = 12
_NUM_PARTS = 6


def varied(trials: Sequence[Trial]) -> list[str]:
    """Settings that differ between trials, seeds left out."""
    names = trials[0][0] if trials else {}
    return [n for n in names if n != "seed" and len(levels(trials, n)) > 1]


def two_strongest(trials: Sequence[Trial], names: Sequence[str]) -> tuple[str, str]:
    """The two settings that explain most of the accuracy: the axes of a heatmap.

    A setting's strength is the share of the accuracy's variance that lies between its values.
    A setting with many values, as samplers draw them, is first cut into six parts.
    """
    first, second = sorted(names, key=lambda name: -_strength(trials, name))[:2]
    return first, second


def heatmap_table(
    trials: Sequence[Trial], row_name: str, column_name: str
) -> tuple[list[str], list[str], npt.NDArray[np.float64]]:
    """Labels of R rows and C columns, and the best accuracy per cell: [R, C], NaN if empty."""
    rows, row_of = parts(trials, row_name)
    columns, column_of = parts(trials, column_name)
    cells = np.full((len(rows), len(columns)), np.nan)
    for (_, accuracy), row, column in zip(trials, row_of, column_of, strict=True):
        cells[row, column] = np.fmax(cells[row, column], accuracy)
    return rows, columns, cells


def draw_heatmap(
    axes: Axes, trials: Sequence[Trial], names: tuple[str, str], fill: str, ink: str
) -> tuple[float, float]:
    """Draw the best accuracy in percent for each pair of values of two settings.

    Returns:
        The lowest and the highest accuracy, as shares.
    """
    rows, columns, cells = heatmap_table(trials, *names)
    low, high = float(np.nanmin(cells)), float(np.nanmax(cells))
    texts = ["" if math.isnan(share) else f"{100 * share:.1f}" for share in cells.ravel()]
    draw_cells(axes, (cells - low) / max(high - low, 1e-9) * 0.9, texts, fill, ink)
    is_long = sum(map(len, columns)) > 40
    turn, side = (45, "right") if is_long else (0, "center")
    axes.set_xticks(range(len(columns)), columns, rotation=turn, ha=side)
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlabel=names[1].replace("_", " "), ylabel=names[0].replace("_", " "))
    return low, high


def draw_cells(
    axes: Axes, strengths: npt.NDArray[np.float64], texts: Sequence[str], fill: str, ink: str
) -> None:
    """Draw a grid of squares; the larger the number, the stronger the colour.

    Args:
        axes: to draw on.
        strengths: [R, C] in [0, 1]; NaN is left empty.
        texts: R x C of them, row by row.
        fill: the squares' colour.
        ink: the texts' colour.
    """
    num_rows, num_columns = strengths.shape
    axes.grid(visible=False)
    for place, (strength, text) in enumerate(zip(strengths.ravel(), texts, strict=True)):
        y, x = divmod(place, num_columns)
        # At most 0.58, so that the text stays legible on the strongest colour.
        alpha = 0.0 if np.isnan(strength) else 0.08 + 0.5 * float(strength)
        sides = (x - 0.48, x + 0.48)
        axes.fill_between(sides, y - 0.48, y + 0.48, color=fill, alpha=alpha, linewidth=0)
        axes.text(x, y, text, ha="center", va="center", fontsize=11, color=ink)
    axes.set(xlim=(-0.5, num_columns - 0.5), ylim=(num_rows - 0.5, -0.5))
    axes.spines["bottom"].set_visible(False)


def levels(trials: Sequence[Trial], name: str) -> list[object]:
    """Distinct values of a setting: numbers and layers by size, words alphabetically."""
    values: dict[str, object] = {}
    for settings, _ in trials:
        values.setdefault(label(settings.get(name)), settings.get(name))
    return sorted(values.values(), key=_order)


def parts(trials: Sequence[Trial], name: str) -> tuple[list[str], list[int]]:
    """Labels of a setting's levels, or of its parts if it has many, and the level of each trial."""
    values = numbers(trials, name)
    if values is not None:
        edges = np.quantile(values, np.linspace(0, 1, _NUM_PARTS + 1))
        place_of = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, _NUM_PARTS - 1)
        return [f"{low:.3g} to {high:.3g}" for low, high in pairwise(edges)], place_of.tolist()
    labels = [label(value) for value in levels(trials, name)]
    return labels, [labels.index(label(settings.get(name))) for settings, _ in trials]


def numbers(trials: Sequence[Trial], name: str) -> npt.NDArray[np.float64] | None:
    """The values [N] of a numeric setting with more than `MOST_LEVELS` values, else None."""
    if len(levels(trials, name)) <= MOST_LEVELS:
        return None
    keys = [_order(settings.get(name)) for settings, _ in trials]
    is_word = any(is_word for is_word, _, _ in keys)
    return None if is_word else np.array([number for _, number, _ in keys])


def label(value: object) -> str:
    """A setting's value as an axis label."""
    return value_in_words(value, digits=3)


def _order(value: object) -> tuple[bool, float, str]:
    size = value[0] if isinstance(value, list) and value else value
    is_number = isinstance(size, (int, float))
    return not is_number, float(size) if is_number else 0.0, label(value)  # type: ignore[arg-type]


def _strength(trials: Sequence[Trial], name: str) -> float:
    _, place_of = parts(trials, name)
    accuracies = np.array([accuracy for _, accuracy in trials])
    places = np.array(place_of)
    means = np.array([accuracies[places == place].mean() for place in places])
    spread = float(accuracies.var())
    return float(means.var()) / spread if spread else 0.0
