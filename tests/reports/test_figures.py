"""Which figures a report has, by the parts that are there."""

import dataclasses

import pytest

from fec_cache.reports import figures as module
from fec_cache.reports.figures import draw_figures


@pytest.fixture(autouse=True)
def _names_only(monkeypatch):
    """Drawing is tested elsewhere, and takes most of a second."""
    for name in dir(module):
        if name.endswith("_plot") and name != "heatmap_plot":
            monkeypatch.setattr(module, name, lambda *args, name=name: (name, args))


def test_each_part_brings_its_figures(full, figures_only):
    everything = {"accuracy", "reliability", "roc", "probability", "loss", "progress"}
    assert set(draw_figures(full, full.evaluation, [])) == everything
    assert set(draw_figures(full, None, [])) == {"loss", "progress"}
    assert set(draw_figures(figures_only, figures_only.evaluation, [])) == {
        "accuracy",
        "reliability",
    }


def test_people_bring_the_confusion_of_words(with_people):
    drawn = draw_figures(with_people, with_people.evaluation, [])
    counts, words = drawn["confusion"][1]
    assert words == with_people.evaluation.identity.words
    assert counts == with_people.evaluation.identity.neighbours.confusion


def test_a_search_brings_a_heatmap_if_two_settings_vary(with_people):
    assert "heatmap" not in draw_figures(with_people, None, ["lr"])
    assert "heatmap" in draw_figures(with_people, None, ["lr", "hidden"])


def test_seeds_are_drawn_as_one_recipe(full, seeds):
    drawn = draw_figures(dataclasses.replace(full, seeds=seeds), full.evaluation, [])
    mean, baseline, single = drawn["accuracy"][1]
    assert mean is seeds.mean
    assert baseline is full.baseline.evaluation
    assert single == seeds.evaluations
    # The run that is shown is not drawn behind itself.
    assert drawn["loss"][1][2] == [seed.history for seed in seeds.seeds if seed.name != full.name]
    assert len(drawn["loss"][1][2]) == 2


def test_the_curves_mark_the_kept_epoch(full):
    _, (history, kept, others) = draw_figures(full, None, [])["loss"]
    assert history == full.history
    assert (kept.epoch, others) == (2, [])
