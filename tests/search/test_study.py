"""The Optuna study: one trial per setting, in the distributions of every other search."""

import math
import sys

import pytest

from fec_cache.errors import BadOption, MissingExtra
from fec_cache.search.ledger import DONE, FAILED, PRUNED, Outcome
from fec_cache.search.results import rank
from fec_cache.search.space import grid
from fec_cache.search.study import StudyWriter, params_of


def test_layers_and_sizes_become_numbers():
    settings = {"hidden": [512, 128], "prepare": "pca:8", "shrinkage": None, "lr": 0.1, "seed": 3}
    assert params_of(settings) == {
        "hidden_layers": 2,
        "hidden_1": 512,
        "hidden_2": 128,
        "prepare": "pca",
        "prepare_to": 8,
        "shrinkage": "default",
        "lr": 0.1,
    }


def test_each_setting_is_one_trial_with_its_mean_and_state():
    points = grid({"lr": [1e-3, 1e-2, 1e-1], "hidden": [(8,)], "seed": [0, 1]})
    statuses = [DONE, DONE, PRUNED, PRUNED, DONE, FAILED]
    outcomes = [
        Outcome(p.key("s"), p.settings(), s, a, epochs=4, error="x" if s == FAILED else "")
        for p, s, a in zip(points, statuses, [0.5, 0.7, 0.4, 0.4, 0.9, math.nan], strict=True)
    ]
    writer = StudyWriter("sqlite:///:memory:", "search")
    writer.add(rank(outcomes))
    writer.add(rank(outcomes))
    trials = {t.params["lr"]: t for t in writer._study.get_trials()}
    assert len(writer._study.get_trials()) == 3
    assert {lr: t.state.name for lr, t in trials.items()} == {
        1e-3: "COMPLETE",
        1e-2: "PRUNED",
        1e-1: "FAIL",
    }
    assert trials[1e-3].value == pytest.approx(0.6)
    assert trials[1e-3].user_attrs["stderr"] == pytest.approx(0.1)
    assert trials[1e-3].user_attrs["seeds"] == {"0": 0.5, "1": 0.7}
    assert trials[1e-1].user_attrs["seeds"] == {"0": 0.9, "1": "x"}
    assert trials[1e-2].intermediate_values == {4: pytest.approx(0.4)}


def test_what_is_no_database_is_named():
    with pytest.raises(BadOption, match="cannot be opened as the storage of a study"):
        StudyWriter("sqlite:////nowhere/at/all.db", "search")


def test_without_optuna_the_way_to_install_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtra, match=r"pip install 'fec_cache\[search\]'"):
        StudyWriter("sqlite:///:memory:", "search")
