"""Successive halving, worked out by hand."""

import math

import pytest

from fec_cache.errors import BadOption
from fec_cache.search.pruners.halving import Halving


def test_rungs_and_their_epochs():
    halving = Halving(3)
    assert halving.num_rungs(9, 20) == 1
    assert halving.num_rungs(2, 20) == halving.num_rungs(9, 2) == 0
    assert halving.epochs_at(0, 1, 20) == 7


def test_no_cut_before_a_sixth_of_the_epochs_unless_eta_asks_for_it():
    assert Halving(2).num_rungs(1000, 1000) == 2
    assert [Halving(2).epochs_at(rung, 2, 20) for rung in (0, 1)] == [5, 10]
    assert Halving(9).num_rungs(32, 20) == 1


def test_survivors_are_the_best_means_and_failed_seeds_rank_last():
    halving = Halving(3)
    figures = {"a": [0.1, 0.9], "b": [0.6, 0.6], "c": [0.9, math.nan], "d": [0.5, 0.5]}
    assert halving.survivors(figures) == ("a", "b")
    assert halving.survivors({"x": [0.5], "y": [0.5]}) == ("x",)


@pytest.mark.parametrize(("eta", "num", "kept"), [(2, 10, 5), (2, 5, 3), (3, 10, 4), (4, 1, 1)])
def test_one_in_eta_is_kept_rounded_up(eta, num, kept):
    assert Halving(eta).num_kept(num) == kept
    assert len(Halving(eta).survivors({str(i): [0.5] for i in range(num)})) == kept


@pytest.mark.parametrize("eta", [1, 101])
def test_eta_outside_its_range_is_refused(eta):
    with pytest.raises(BadOption, match=f"one in {eta}, but it must be one in 2 to 100"):
        Halving(eta)


def test_its_repr_is_what_older_ledgers_are_named_by():
    assert repr(Halving(3)) == "Halving(eta=3)"
