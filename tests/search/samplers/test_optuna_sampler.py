"""Settings that Optuna draws: distinct, within their ranges, and the same in a replay."""

import math
import sys

import pytest

from fec_cache.errors import MissingExtra
from fec_cache.search.samplers.base import make_sampler
from fec_cache.search.samplers.tpe import TpeSampler
from fec_cache.search.space import Space, space_of
from fec_cache.search.values import parse_axis

RANGES = (("lr", "1e-4..1e-1:log"), ("epochs", "2..9"), ("hidden", "8..64:log"))
SPACE = Space(tuple(parse_axis(name, text) for name, text in RANGES))
BOTH = pytest.mark.parametrize("name", ["random", "tpe"])


def distance(setting):
    """How many powers of ten the learning rate is away from 1e-3."""
    return abs(math.log10(setting.train.lr / 1e-3))


def drawn_by(sampler):
    batches = []
    while settings := sampler.ask():
        batches.append(settings)
        sampler.tell({s.settings_key(): 1.0 - distance(s) / 10 for s in settings})
    return batches


@BOTH
def test_draws_lie_within_their_ranges_and_are_distinct(name):
    settings = [s for batch in drawn_by(make_sampler(SPACE, name, 20, 0)) for s in batch]
    assert len({s.settings_key() for s in settings}) == 20
    for setting in settings:
        assert 1e-4 <= setting.train.lr <= 1e-1
        assert 2 <= setting.train.epochs <= 9
        assert len(setting.head.hidden) == 1
        assert 8 <= setting.head.hidden[0] <= 64


def test_random_asks_at_once_and_tpe_in_eights():
    assert [len(b) for b in drawn_by(make_sampler(SPACE, "random", 20, 0))] == [20]
    assert [len(b) for b in drawn_by(make_sampler(SPACE, "tpe", 20, 0))] == [8, 8, 4]


@BOTH
def test_a_replay_asks_for_the_same_and_another_seed_for_others(name):
    first = drawn_by(make_sampler(SPACE, name, 12, 0))
    assert drawn_by(make_sampler(SPACE, name, 12, 0)) == first
    assert drawn_by(make_sampler(SPACE, name, 12, 1)) != first


def test_failed_settings_are_reported_and_not_tried_again():
    sampler = make_sampler(space_of({"lr": [1e-4, 1e-3, 1e-2, 1e-1]}), "tpe", 4, 0)
    seen = []
    while settings := sampler.ask():
        seen += settings
        sampler.tell({s.settings_key(): None for s in settings})
    assert sorted(s.train.lr for s in seen) == [1e-4, 1e-3, 1e-2, 1e-1]


@BOTH
def test_an_exhausted_space_ends_the_search(name):
    sampler = make_sampler(space_of({"lr": [1e-3, 1e-2]}), name, 50, 0)
    assert len([s for batch in drawn_by(sampler) for s in batch]) == 2
    assert sampler.num_settings == 2


def test_tpe_learns_where_the_optimum_is():
    """With its peak at 1e-3, late settings lie nearer to it than early ones."""
    space = Space((parse_axis("lr", "1e-4..1e-1:log"),))
    gaps = [distance(s) for batch in drawn_by(TpeSampler(space, 48, 0)) for s in batch]
    assert len(gaps) == 48
    assert sum(gaps[-16:]) < 0.5 * sum(gaps[:16])


def test_without_optuna_the_way_to_install_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtra, match=r"pip install 'fec_cache\[search\]'"):
        make_sampler(SPACE, "random", 3, 0)
