"""What a search writes to its folder, on the toy set."""

import csv

import pytest

from fec_cache.errors import NothingToTrain
from fec_cache.pairs.config import PairConfig
from fec_cache.reports import search_plots
from fec_cache.runs.checkpoint import load_head
from fec_cache.search.ledger import FAILED, Ledger, Outcome
from fec_cache.search.space import space_of
from fec_cache.search.trainer import ONE_BY_ONE, SearchTrainer
from fec_cache.system.reporter import SILENT
from fec_cache.workflows.loading.triplets import load_training
from fec_cache.workflows.searching.keeper import Keeper
from fec_cache.workflows.searching.request import SearchMaterial, SearchRequest

VALUES = {"head": ["embedding"], "hidden": [(8,)], "lr": [1e-3, 1e-2], "epochs": [1]}


@pytest.fixture
def keeper(toy_workspace, tmp_path):
    pairs = PairConfig(validation_share=0.2)
    material = SearchMaterial(*load_training(toy_workspace, "toy", pairs, SILENT), pairs)
    folder = tmp_path / "grid"
    folder.mkdir()
    trainer = SearchTrainer(material.labelled.matrix.features, material.split, ONE_BY_ONE, "cpu")
    running = SearchRequest(space_of(VALUES)).search(material.scope.digest, trainer, Ledger(folder))
    return Keeper(folder, material, running)


def rows_of(keeper):
    with (keeper.folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_winner_is_saved_and_every_point_listed(keeper):
    keeper.search.run(lambda progress: None)
    winner, ranked, failed = keeper.conclude("best", has_plots=False)
    assert winner == ranked[0]
    assert failed == ()
    head, config = load_head(keeper.folder)
    assert config.train.lr == winner.settings["lr"]
    assert head.width == 3
    assert {float(row["lr"]) for row in rows_of(keeper)} == {1e-3, 1e-2}
    assert not list(keeper.folder.glob("*.png"))


def test_plots_are_drawn_if_asked_for(keeper, monkeypatch):
    drawn = []
    monkeypatch.setattr(search_plots, "draw_search", lambda *args: drawn.append(args))
    keeper.search.run(lambda progress: None)
    _, ranked, _ = keeper.conclude("best", has_plots=True)
    assert drawn == [(keeper.folder, ranked)]


def test_an_interrupt_saves_the_best_so_far(keeper):
    def stop(progress):
        if progress.num_done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keeper.search.run(stop)
    text = keeper.interrupted()
    num = len(rows_of(keeper))
    assert text.startswith(f"{num} point")
    assert "done and saved in" in text
    best = rows_of(keeper)[0]
    assert load_head(keeper.folder)[1].train.lr == float(best["lr"])


def test_points_of_another_scope_are_left_out(keeper):
    keeper.search.run(lambda progress: None)
    settings = keeper.search.ledger.outcomes().popitem()[1].settings
    keeper.search.ledger.record([Outcome("0" * 16, settings, val_triplet_accuracy=1.0)])
    winner, ranked, _ = keeper.conclude("best", has_plots=False)
    assert len(ranked) == 2
    assert winner.val_triplet_accuracy < 1.0


def test_no_point_at_all_says_why(keeper):
    with pytest.raises(NothingToTrain, match="Raise --timeout"):
        keeper.conclude("best", has_plots=False)
    for point in keeper.search.space.points():
        key = point.key(keeper.search.scope)
        keeper.search.ledger.record([Outcome(key, point.settings(), FAILED, error="no memory")])
    with pytest.raises(NothingToTrain, match=r"Every point failed \(2 in all\).*no memory"):
        keeper.conclude("best", has_plots=False)
    assert [row["error"] for row in rows_of(keeper)] == ["no memory"] * 2
