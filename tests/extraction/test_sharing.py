from functools import partial

import numpy as np
import pytest

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.manifest import FailedFace
from fec_cache.extraction import sharing as module
from fec_cache.extraction.sharing import SharedWork
from fec_cache.faces.table import Face
from fec_cache.testing import toy

FACES = tuple(Face(f"{n:032x}", toy.FaceRef(f"{n}.png", *toy.WHOLE)) for n in range(6))


class OtherProcess:
    """Claims as another process leaves them: it holds some plans until it is waited for."""

    held = frozenset()
    on_wait = staticmethod(lambda: None)

    def __init__(self, folder):
        self.events = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.events.append("closed")

    def take(self, plan):
        return plan not in self.held

    def release(self, plan):
        self.events.append(f"released {plan}")

    def wait_for_any(self, plans):
        self.events.append(f"waited {len(plans)}")
        OtherProcess.held = frozenset()
        self.on_wait()


@pytest.fixture
def cache(tmp_path):
    return FeatureCache.create(tmp_path, toy.toy_recipe())


@pytest.fixture
def work(cache, monkeypatch):
    monkeypatch.setattr(module, "Claims", OtherProcess)
    monkeypatch.setattr(OtherProcess, "held", frozenset())
    return SharedWork(FACES, [cache], 2)


def seal(cache, piece, failed=()):
    ids = [face.face_id for face in piece.item.faces if face not in failed]
    failures = [FailedFace(face.face_id, "", toy.WHOLE, "empty") for face in failed]
    cache.seal(piece.item.plan, ids, np.ones((len(ids), 3), np.float16), failures)


def run(work, cache, foreign=0, on_wait=None):
    """Numbers of the faces of each piece computed here, round by round."""
    done = []
    with work.rounds() as rounds:
        for pieces in rounds:
            if not done:
                OtherProcess.held = frozenset(piece.item.plan for piece in pieces[:foreign])
                OtherProcess.on_wait = staticmethod(partial(on_wait or tuple, pieces))
            done.append([])
            for piece in work.claimed(pieces):
                seal(cache, piece)
                done[-1].append([int(face.face_id, 16) for face in piece.item.faces])
    return done


def test_alone_all_pieces_are_done_in_one_round(work, cache):
    assert run(work, cache) == [[[0, 1], [2, 3], [4, 5]]]
    assert [event.split()[0] for event in work._claims.events] == ["released"] * 3 + ["closed"]


def test_pieces_of_a_process_that_died_are_done_in_a_second_round(work, cache):
    assert run(work, cache, foreign=1) == [[[2, 3], [4, 5]], [[0, 1]]]
    # All own claims are given back before waiting: else two processes could wait for each other.
    events = [event.split()[0] for event in work._claims.events]
    assert events == ["released", "released", "waited", "released", "closed"]


def test_pieces_that_another_process_sealed_are_left_alone(work, cache):
    assert run(work, cache, 2, lambda pieces: [seal(cache, p) for p in pieces[:2]]) == [[[4, 5]]]
    assert cache.manifest().num_faces == 6


def test_faces_that_failed_elsewhere_are_not_retried_in_the_same_run(work, cache):
    def fail(pieces):
        seal(cache, pieces[0], failed=pieces[0].item.faces)

    assert run(work, cache, 1, fail) == [[[2, 3], [4, 5]]]
    assert len(cache.manifest().failed) == 2


def test_a_piece_sealed_since_it_was_planned_is_skipped(work, cache):
    with work.rounds() as rounds:
        (pieces,) = [next(rounds)]
        seal(cache, pieces[1])
        assert list(work.claimed(pieces)) == [pieces[0], pieces[2]]
