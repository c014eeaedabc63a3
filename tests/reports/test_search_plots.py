"""Plots of a search: which are written, and where each setting lies on its axis."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from fec_cache.reports import search_plots
from fec_cache.reports.search_plots import draw_search, heatmap_figure, parallel_figure
from fec_cache.search.ledger import Outcome
from fec_cache.search.results import rank
from fec_cache.search.space import grid


def ranked_of(values):
    return rank(
        [
            Outcome(p.key("s"), p.settings(), val_triplet_accuracy=0.4 + n / 100, epochs=1)
            for n, p in enumerate(grid(values))
        ]
    )


def trials_of(values):
    return [(entry.settings, entry.val_triplet_accuracy) for entry in ranked_of(values)]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"lr": [1e-3], "seed": [0, 1]}, []),
        ({"lr": [1e-3, 1e-2]}, ["parallel"]),
        ({"lr": [1e-3, 1e-2], "hidden": [(8,), (16,)]}, ["parallel", "heatmap"]),
    ],
)
def test_a_plot_needs_settings_that_vary(tmp_path, monkeypatch, values, names):
    drawn = []
    monkeypatch.setattr(search_plots, "_write", lambda stem, figure: drawn.append(stem) or [])
    draw_search(tmp_path, ranked_of(values))
    assert drawn == [tmp_path / name for name in names]


def test_the_same_results_give_the_same_files(tmp_path):
    figure = Figure(figsize=(1, 1))
    figure.add_subplot().plot([1, 2])
    written = search_plots._write(tmp_path / "a", figure)
    assert [path.name for path in written] == ["a.png", "a.svg"]
    contents = [path.read_bytes() for path in written]
    search_plots._write(tmp_path / "a", figure)
    assert [path.read_bytes() for path in written] == contents
    assert b"<dc:date>" not in contents[1]


def test_each_setting_is_a_line_through_its_values():
    trials = trials_of({"lr": [1e-3, 1e-2], "hidden": [(8,), (16,), (32,)]})
    axes = parallel_figure(trials, ["lr", "hidden"]).axes[0]
    lines = [line.get_ydata() for line in axes.lines if len(line.get_ydata()) == 3]
    assert len(lines) == 6
    wanted = {
        (float([1e-3, 1e-2].index(s["lr"])), [[8], [16], [32]].index(s["hidden"]) / 2)
        for s, _ in trials
    }
    assert {(float(line[0]), float(line[1])) for line in lines} == wanted
    # The best line is drawn last, on top.
    accuracies = [float(line[2]) for line in lines]
    assert accuracies == sorted(accuracies)
    assert (accuracies[0], accuracies[-1]) == (0.0, 1.0)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["lr", "hidden", "accuracy"]


def test_drawn_values_of_a_wide_range_have_a_log_axis():
    lrs = np.geomspace(1e-4, 1e-2, 21)
    trials = [({"lr": float(lr), "head": "ab"[n % 2]}, 0.5 + n / 100) for n, lr in enumerate(lrs)]
    axes = parallel_figure(trials, ["lr", "head"]).axes[0]
    heights = [line.get_ydata()[0] for line in axes.lines if len(line.get_ydata()) == 3]
    np.testing.assert_allclose(heights, np.linspace(0, 1, 21), atol=1e-9)
    assert [text.get_text() for text in axes.texts][:3] == [" 0.0001", " 0.001", " 0.01"]


def test_the_heatmap_grows_with_its_table():
    trials = trials_of({"lr": [1e-3, 1e-2], "hidden": [(8,), (16,), (32,)]})
    figure = heatmap_figure(trials, ("lr", "hidden"))
    assert figure.get_size_inches().tolist() == pytest.approx([2.5 + 0.8 * 3, 1.8 + 0.45 * 2])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert sorted(texts) == ["40.0", "41.0", "42.0", "43.0", "44.0", "45.0"]
