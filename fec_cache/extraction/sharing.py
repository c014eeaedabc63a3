"""Rounds of work: several extractors on one cache each take the pieces that no other one has."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.claims import Claims
from fec_cache.extraction.pieces import Piece, plan_pieces
from fec_cache.faces.table import Face

log = logging.getLogger(__name__)


class SharedWork:
    """What is still to be computed, one round after another until nothing is left.

    A round is what caches lack when it begins. Its pieces are claimed one by one as they are asked
    for; what another process has is left to it, and looked at again in the next round: by then it
    is sealed, or its process has ended and it is free.
    """

    def __init__(
        self, unique: Sequence[Face], caches: Sequence[FeatureCache], shard_faces: int
    ) -> None:
        self._unique, self._caches, self._shard_faces = unique, caches, shard_faces
        self._claims = Claims(caches[0].folder)
        self._ours: list[str] = []
        self._elsewhere: list[str] = []

    @contextmanager
    def rounds(self) -> Iterator[Iterator[Sequence[Piece]]]:
        """The planned pieces of each round; claims are given back at the context's end."""
        with self._claims:
            yield self._rounds()

    def claimed(self, pieces: Sequence[Piece]) -> Iterator[Piece]:
        """Those of a round's pieces that are ours to compute, claimed when they are reached."""
        for piece in pieces:
            if not self._claims.take(piece.item.plan):
                self._elsewhere.append(piece.item.plan)
                continue
            self._ours.append(piece.item.plan)
            if not _is_sealed(piece):
                yield piece

    def _rounds(self) -> Iterator[Sequence[Piece]]:
        pieces = plan_pieces(self._unique, self._caches, self._shard_faces)
        while pieces:
            self._elsewhere.clear()
            yield pieces
            # Two that waited for each other with claims in hand would wait for ever.
            for plan in self._ours:
                self._claims.give_back(plan)
            self._ours.clear()
            if not self._elsewhere:
                return
            log.info("waiting for %d pieces that other processes compute", len(self._elsewhere))
            self._claims.wait_for_any(self._elsewhere)
            planned = plan_pieces(self._unique, self._caches, self._shard_faces)
            # What failed in this run, here or elsewhere, is tried again by the next one.
            pieces = tuple(piece for piece in planned if not piece.item.is_retry)


def _is_sealed(piece: Piece) -> bool:
    """Whether another process has finished a piece since it was planned."""
    if piece.item.is_retry:
        return False
    plans = ({entry.plan for entry in cache.manifest().shards} for cache in piece.caches)
    return all(piece.item.plan in known for known in plans)
