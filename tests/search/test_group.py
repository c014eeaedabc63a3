"""A group of points that are trained together."""

import pytest
import torch

from fec_cache.search.group import Group
from fec_cache.search.space import space_of
from fec_cache.training.history import Epoch, TrainResult
from tests.search.conftest import VALUES

EPOCH = Epoch(1, 0.5, 0.6, 0.7, 2.0)


class TwoAtOnce:
    """Training in two processes that end at the same moment, after different work."""

    histories = ((EPOCH,), (EPOCH,))

    def complete(self, num_epochs, on_epoch, on_done):
        for place, seconds in ((1, 3.0), (0, 5.0)):
            on_done([place], [TrainResult(torch.nn.Identity(), (EPOCH,), EPOCH, seconds)])

    def close(self):
        pass


class OneEngine:
    def begin(self, points):
        return TwoAtOnce()


def test_heads_that_end_at_the_same_moment_keep_their_own_times():
    points = tuple(space_of({**VALUES, "head": ["concat"]}).points())
    standings = []
    Group(OneEngine(), points, lambda: None).finish(1, standings.extend)
    assert {s.point: s.seconds for s in standings} == {points[0]: 5.0, points[1]: 3.0}
    assert [s.asked for s in standings] == [1, 1]


class OneThenTrouble(TwoAtOnce):
    """Training that loses its memory after the first stack."""

    def complete(self, num_epochs, on_epoch, on_done):
        on_done([1], [TrainResult(torch.nn.Identity(), (EPOCH,), EPOCH, 1.0)])
        raise RuntimeError("out of memory")


class TroubledEngine:
    def begin(self, points):
        return OneThenTrouble()


def test_what_ended_before_the_trouble_is_not_done_again():
    points = tuple(space_of({**VALUES, "head": ["concat"]}).points())
    standings = []
    group = Group(TroubledEngine(), points, lambda: None)
    with pytest.raises(RuntimeError):
        group.finish(1, standings.extend)
    assert [standing.point for standing in standings] == [points[1]]
    assert [half.points for half in group.halves()] == [(points[0],)]
