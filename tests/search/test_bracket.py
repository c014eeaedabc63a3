"""Brackets: rungs, survivors, resumed cuts and failed points."""

import pytest

from fec_cache.search.ledger import DONE, FAILED, PRUNED
from fec_cache.search.progress import ProgressTracker
from fec_cache.search.pruners.halving import Halving
from fec_cache.search.results import rank
from fec_cache.search.space import space_of
from tests.search.conftest import VALUES, NoTraining, failing, outcomes_of, run_in, search_in

SPACE = space_of({**VALUES, "lr": [1e-5, 1e-4, 1e-3, 3e-3, 1e-2], "epochs": [9], "seed": [0, 1]})


def test_every_point_is_in_the_ledger_with_its_last_figure(tmp_path):
    search = run_in(tmp_path, SPACE, pruner=Halving(2))
    outcomes = outcomes_of(search)
    assert len(outcomes) == 20
    # Ten settings of two seeds: 5 go on after 2 epochs, 3 after 4 epochs.
    assert sorted(o.epochs for o in outcomes) == [2] * 10 + [4] * 4 + [9] * 6
    assert {o.status for o in outcomes if o.epochs == 9} == {DONE}
    assert {o.status for o in outcomes if o.epochs < 9} == {PRUNED}
    full = run_in(tmp_path / "full", SPACE)
    best = {o.key: o for o in outcomes_of(full)}
    for outcome in outcomes:
        if outcome.status == DONE:
            assert outcome == best[outcome.key]


def test_the_best_after_each_rung_go_on(tmp_path):
    search = run_in(tmp_path, SPACE, pruner=Halving(3))
    pruned = [e for e in rank(outcomes_of(search)) if e.status == PRUNED]
    full = run_in(tmp_path / "three", space_of({**dict_of(SPACE), "epochs": [3]}))
    first = [entry.settings["lr"] for entry in rank(outcomes_of(full))]
    heads = [entry.settings["head"] for entry in rank(outcomes_of(full))]
    wanted = set(zip(heads[4:], first[4:], strict=True))
    found = {(e.settings["head"], e.settings["lr"]) for e in pruned if e.outcomes[0].epochs == 3}
    assert found == wanted


def test_resuming_trains_what_is_open_only(tmp_path):
    first = run_in(tmp_path, SPACE, pruner=Halving(3))
    again = search_in(tmp_path, SPACE, trainer=NoTraining(first.trainer), pruner=Halving(3))
    assert again.run() == 0
    assert outcomes_of(again) == outcomes_of(first)


def test_a_broken_search_goes_on_with_the_survivors_only(tmp_path, monkeypatch):
    # Two settings a group: one of them may end where the other goes on.
    options = {"pruner": Halving(2), "width": 4}
    whole = run_in(tmp_path / "whole", SPACE, **options)
    # Epochs before a cut are made once more, where somebody survived it; those behind it never.
    num_epochs = sum(outcome.epochs for outcome in outcomes_of(whole))

    def interrupt(progress):
        if any(outcome.status == PRUNED for outcome in progress.new):
            raise KeyboardInterrupt

    broken = search_in(tmp_path / "broken", SPACE, **options)
    with pytest.raises(KeyboardInterrupt):
        broken.run(interrupt)
    assert len(broken.ledger.outcomes()) == 10
    epochs_seen = []
    monkeypatch.setattr(ProgressTracker, "on_epoch", lambda self: epochs_seen.append(1))
    resumed = search_in(tmp_path / "broken", SPACE, **options)
    assert resumed.run() == 0
    assert outcomes_of(resumed) == outcomes_of(whole)
    assert 0 < len(epochs_seen) < num_epochs


def test_a_full_search_finishes_what_was_pruned(tmp_path):
    run_in(tmp_path, SPACE, pruner=Halving(2))
    full = search_in(tmp_path, SPACE)
    assert full.survey().num_open == 14
    assert full.run() == 0
    assert {o.status for o in outcomes_of(full)} == {DONE}


def test_a_failed_point_is_not_pruned_and_wins_nothing(tmp_path):
    search = run_in(tmp_path, SPACE, trainer=failing(tmp_path), pruner=Halving(3))
    outcomes = outcomes_of(search)
    failed = [o for o in outcomes if o.status == FAILED]
    assert {o.settings["head"] for o in failed} == {"embedding"}
    assert len(outcomes) == 20
    again = search_in(tmp_path, SPACE, pruner=Halving(3), retry_failed=True)
    assert again.run() == 0
    assert not any(o.status == FAILED for o in outcomes_of(again))


def dict_of(space):
    return {**{axis.name: axis.values for axis in space.axes}, "seed": space.seeds}
