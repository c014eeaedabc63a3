"""Heatmaps of a search: which settings, which cells, whatever kind of values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from fec_cache.reports.heatmaps import (
    draw_cells,
    draw_heatmap,
    heatmap_table,
    levels,
    two_strongest,
    varied,
)

GRID = [
    ({"lr": lr, "hidden": hidden, "loss": loss, "seed": 0}, share)
    for (lr, hidden, loss), share in {
        (1e-4, (128,), "bce"): 0.40,
        (1e-4, (512, 128), "bce"): 0.41,
        (1e-3, (128,), "bce"): 0.60,
        (1e-3, (512, 128), "bce"): 0.62,
        (1e-3, (128,), "triplet"): 0.61,
        (1e-3, (512, 128), "triplet"): 0.66,
    }.items()
]
GRID = [({**settings, "hidden": list(settings["hidden"])}, share) for settings, share in GRID]


def test_the_settings_that_tell_most_are_the_axes():
    assert varied(GRID) == ["lr", "hidden", "loss"]
    assert two_strongest(GRID, varied(GRID))[0] == "lr"
    assert levels(GRID, "hidden") == [[128], [512, 128]]


def test_each_cell_is_the_best_of_all_that_is_not_on_the_axes():
    rows, columns, cells = heatmap_table(GRID, "lr", "hidden")
    assert rows == ["0.0001", "0.001"]
    assert columns == ["128", "512-128"]
    np.testing.assert_allclose(cells, [[0.40, 0.41], [0.61, 0.66]])
    _, columns, cells = heatmap_table(GRID, "lr", "loss")
    assert columns == ["bce", "triplet"]
    assert np.isnan(cells[0, 1])


@given(st.lists(st.tuples(st.floats(1e-5, 1.0), st.floats(0, 1)), min_size=1, max_size=60))
def test_drawn_values_stand_in_parts_and_none_is_lost(points):
    trials = [({"lr": lr, "head": "ab"[n % 2]}, share) for n, (lr, share) in enumerate(points)]
    rows, columns, cells = heatmap_table(trials, "lr", "head")
    assert len(rows) <= 12
    assert np.nanmax(cells) == max(share for _, share in points)
    for place, name in enumerate(columns):
        wanted = max(share for settings, share in trials if settings["head"] == name)
        assert np.nanmax(cells[:, place]) == wanted


def test_numbers_stand_in_their_cells_and_empty_cells_are_bare():
    axes = Figure().add_subplot()
    low, high = draw_heatmap(axes, GRID, ("lr", "loss"), "blue", "black")
    assert (low, high) == (0.41, 0.66)
    told = {text.get_position(): text.get_text() for text in axes.texts}
    assert told == {(0, 0): "41.0", (1, 0): "", (0, 1): "62.0", (1, 1): "66.0"}
    strengths = [patch.get_alpha() for patch in axes.collections]
    assert strengths == pytest.approx([0.08, 0.0, 0.08 + 0.5 * 0.9 * 21 / 25, 0.08 + 0.45])


def test_cells_of_one_value_only_are_drawn():
    axes = Figure().add_subplot()
    draw_cells(axes, np.array([[np.nan, 1.0]]), ["", "x"], "blue", "black")
    assert axes.get_xlim() == (-0.5, 1.5)
    assert axes.get_ylim() == (0.5, -0.5)
