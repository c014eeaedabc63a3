"""Rounds of work: several extractors on one cache each take pieces that no other has claimed."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.claims import Claims
from fec_cache.extraction.pieces import Piece, plan_pieces
from fec_cache.faces.table import Face

log = logging.getLogger(__name__)


class SharedWork:
    """The work still to do, in rounds until nothing is left.

    A round is what the caches lack when it begins. Its pieces are claimed one by one when they are
    reached. Pieces of another process are left to it and checked again in the next round: by then
    they are sealed, or their process has ended and they are free.
    """

    def __init__(
        self, unique: Sequence[Face], caches: Sequence[FeatureCache], shard_faces: int
    ) -> None:
        self._unique, self._caches, self._shard_faces = unique, caches, shard_faces
        self._claims = Claims(caches[0].folder)
        self._claimed_plans: list[str] = []
        self._foreign_plans: list[str] = []

    @contextmanager
    def rounds(self) -> Iterator[Iterator[Sequence[Piece]]]:
        """The planned pieces of each round; all claims are released when the context ends."""
        with self._claims:
            yield self._rounds()

    def claimed(self, pieces: Sequence[Piece]) -> Iterator[Piece]:
        """The pieces of a round that this process computes, each claimed when it is reached."""
        for piece in pieces:
            if not self._claims.take(piece.item.plan):
                self._foreign_plans.append(piece.item.plan)
                continue
            self._claimed_plans.append(piece.item.plan)
            if not _is_sealed(piece):
                yield piece

    def _rounds(self) -> Iterator[Sequence[Piece]]:
        pieces = plan_pieces(self._unique, self._caches, self._shard_faces)
        while pieces:
            self._foreign_plans.clear()
            yield pieces
            # Released before waiting: two processes that wait while holding claims would deadlock.
            for plan in self._claimed_plans:
                self._claims.release(plan)
            self._claimed_plans.clear()
            if not self._foreign_plans:
                return
            log.info("waiting for %d pieces of other processes", len(self._foreign_plans))
            self._claims.wait_for_any(self._foreign_plans)
            planned = plan_pieces(self._unique, self._caches, self._shard_faces)
            # Faces that failed in this run, in any process, are retried by the next run only.
            pieces = tuple(piece for piece in planned if not piece.item.is_retry)


def _is_sealed(piece: Piece) -> bool:
    """Whether another process has finished this piece since it was planned."""
    if piece.item.is_retry:
        return False
    plans = ({entry.plan for entry in cache.manifest().shards} for cache in piece.caches)
    return all(piece.item.plan in known for known in plans)
