"""A group of points that are trained together."""

import torch

from fec_cache.heads.history import Epoch, TrainResult
from fec_cache.search.group import Group
from fec_cache.search.space import space_of
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
    told = []
    Group(OneEngine(), points, lambda: None).finish(1, told.extend)
    assert {s.point: s.seconds for s in told} == {points[0]: 5.0, points[1]: 3.0}
    assert [s.asked for s in told] == [1, 1]
