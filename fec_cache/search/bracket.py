"""A bracket: points that are trained in groups, pruned at rungs, and recorded stack by stack."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from fec_cache.search.group import FAILURES, Group, Standing, failed
from fec_cache.search.kept_heads import KeptHeads
from fec_cache.search.ledger import Ledger, Rung
from fec_cache.search.progress import ProgressTracker
from fec_cache.search.pruners.base import Pruner
from fec_cache.search.space import Point
from fec_cache.search.trainer import SearchTrainer


@dataclass(frozen=True)
class SearchContext:
    """What all brackets of one run of a search share."""

    scope: str
    trainer: SearchTrainer
    ledger: Ledger
    tracker: ProgressTracker
    kept_heads: KeptHeads

    def key(self, point: Point) -> str:
        """The point's key in the ledger."""
        return point.key(self.scope)


class Bracket:
    """Trains points and records their outcomes.

    Args:
        context: shared by all brackets of the run.
        points: all points that were asked for together.
        todo: those without an outcome.
        pruner: None trains every point for all its epochs.
    """

    def __init__(
        self,
        context: SearchContext,
        points: Sequence[Point],
        todo: Sequence[Point],
        pruner: Pruner | None,
    ) -> None:
        self._context, self._pruner = context, pruner
        self._keys = {point: context.key(point) for point in points}
        # Rungs of older ledgers have this name: neither repr nor the order of keys may change.
        text = " ".join([repr(pruner), *self._keys.values()])
        self._name = hashlib.sha256(text.encode()).hexdigest()[:16]
        self._open = {self._keys[point] for point in todo}
        members = set(self._members(points, todo) if pruner else todo)
        # All points are grouped before the open ones are picked: an interrupted search then makes
        # the same groups again, and the company of a head can change the last bit of its figures.
        self._groups = [
            Group(context.trainer, part, context.tracker.on_epoch)
            for group in context.trainer.groups(points)
            if (part := tuple(point for point in group if point in members))
        ]
        self._num_epochs = max((point.epochs for point in members), default=0)
        self._rungs = self._plan_rungs(members)
        context.tracker.expect(self._work())

    def settle(self) -> bool:
        """Train the open points; False if the time was up before all were done."""
        for number, epochs in enumerate(self._rungs):
            rung = self._rung(f"{self._name}-{number}", epochs)
            if rung is None:
                return False
            survivors = frozenset(p for p, key in self._keys.items() if key in rung.survivors)
            for group in self._groups:
                group.cut(epochs, survivors)
        return self._finish_all()

    def _rung(self, name: str, epochs: int) -> Rung | None:
        """The cut at a rung, as recorded or made now; None if the time was up before."""
        rung = self._context.ledger.rung(name)
        if rung is not None:
            return rung
        standings = self._reach_all(epochs)
        if standings is None:
            return None
        rung = self._judge(standings)
        # Recorded before any point is dropped: a resumed search must make the same cut.
        self._context.ledger.record_rung(name, rung)
        self._context.tracker.add(rung.ended)
        return rung

    def _work(self) -> int:
        """Number of epochs to train over all heads, at most."""
        if not self._pruner:
            return sum(point.epochs for group in self._groups for point in group.points)
        num_points = sum(len(group.points) for group in self._groups)
        work = before = 0
        for epochs in (*self._rungs, self._num_epochs):
            work += num_points * (epochs - before)
            num_points, before = self._pruner.num_kept(num_points), epochs
        return work

    def _members(self, points: Sequence[Point], todo: Sequence[Point]) -> list[Point]:
        """The points that the bracket started with, now or in an interrupted run."""
        name = f"{self._name}-start"
        start = self._context.ledger.rung(name)
        if start is None:
            start = Rung(tuple(self._keys[point] for point in todo), ())
            self._context.ledger.record_rung(name, start)
        return [point for point in points if self._keys[point] in start.survivors]

    def _plan_rungs(self, members: set[Point]) -> list[int]:
        if self._pruner is None:
            return []
        num_settings = len({point.settings_key() for point in members})
        num_rungs = self._pruner.num_rungs(num_settings, self._num_epochs)
        numbers = range(num_rungs)
        return [self._pruner.epochs_at(rung, num_rungs, self._num_epochs) for rung in numbers]

    def _reach_all(self, epochs: int) -> list[Standing] | None:
        """Every point that is alive at a rung; None if the time was up before."""
        groups, standings = [], []
        for group in self._groups:
            if self._context.tracker.is_time_up:
                return None
            for part, reached in self._reach(group, epochs):
                groups.append(part)
                standings += reached
        self._groups = groups
        return standings

    def _reach(self, group: Group, epochs: int) -> list[tuple[Group, list[Standing]]]:
        """One group; if it cannot be trained, its halves, down to single points."""
        if not group.alive:
            return [(group, [])]
        self._context.tracker.take(len(group.alive), epochs)
        try:
            return [(group, group.reach(epochs))]
        except FAILURES as error:
            group.drop()
            if len(group.points) == 1:
                return [(group, [failed(group.points[0], epochs, error)])]
        return [part for half in group.halves() for part in self._reach(half, epochs)]

    def _finish(self, group: Group) -> None:
        """One group to its end, each stack recorded when it is done; on failure, its halves."""
        if not group.alive:
            return
        self._context.tracker.take(len(group.alive), self._num_epochs)
        try:
            group.finish(self._num_epochs, self._record)
        except FAILURES as error:
            group.drop()
            if len(group.points) == 1:
                self._record([failed(group.points[0], self._num_epochs, error)])
                return
            for half in group.halves():
                self._finish(half)

    def _judge(self, standings: Sequence[Standing]) -> Rung:
        """Which points continue; the pruner sees the best epoch so far of each seed."""
        settings: dict[str, list[Standing]] = {}
        # By key, not in the order of training: the pruner breaks ties by order, and a resumed
        # search must make the same cut.
        for standing in sorted(standings, key=lambda s: self._keys[s.point]):
            settings.setdefault(standing.point.settings_key(), []).append(standing)
        accuracies = {name: [s.accuracy for s in seeds] for name, seeds in settings.items()}
        kept = self._pruner.survivors(accuracies) if self._pruner else tuple(settings)
        survivors = {self._keys[s.point] for name in kept for s in settings[name]}
        ended = [s for s in standings if self._keys[s.point] not in survivors]
        return Rung(tuple(sorted(survivors)), tuple(s.outcome(self._keys[s.point]) for s in ended))

    def _finish_all(self) -> bool:
        for group in self._groups:
            if not any(self._keys[point] in self._open for point in group.alive):
                continue
            if self._context.tracker.is_time_up:
                return False
            self._finish(group)
        return True

    def _record(self, standings: Sequence[Standing]) -> None:
        """Record new outcomes only: after a kill, a pruned group is trained again as a whole."""
        outcomes = []
        for standing in standings:
            key = self._keys[standing.point]
            if standing.result is not None:
                self._context.kept_heads.put(key, standing.result)
            if key in self._open:
                outcomes.append(standing.outcome(key))
        if not outcomes:
            return
        self._context.ledger.record(outcomes)
        self._context.tracker.add(outcomes)
