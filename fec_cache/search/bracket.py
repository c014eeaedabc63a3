"""Points that are settled together: trained in groups, pruned at rungs, recorded stack by stack."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from fec_cache.search.group import FAILURES, Group, Standing, failed
from fec_cache.search.kept_heads import Shelf
from fec_cache.search.ledger import Ledger, Rung
from fec_cache.search.progress import Watch
from fec_cache.search.pruners.halving import Halving
from fec_cache.search.space import Point
from fec_cache.search.trainer import Engine


@dataclass(frozen=True)
class Floor:
    """What every bracket of a search stands on."""

    scope: str
    engine: Engine
    ledger: Ledger
    watch: Watch
    shelf: Shelf

    def key(self, point: Point) -> str:
        """The point's name in the ledger."""
        return point.key(self.scope)


class Bracket:
    """Settles points; `halving` is None where each gets all its epochs.

    Args:
        points: all points that were asked for together. They are grouped before it is asked which
            are open, so that a search that was broken off makes the same groups again.
        todo: the open ones.
    """

    def __init__(
        self, floor: Floor, points: Sequence[Point], todo: Sequence[Point], halving: Halving | None
    ) -> None:
        self._floor, self._halving = floor, halving
        self._keys = {point: floor.key(point) for point in points}
        text = " ".join([repr(halving), *self._keys.values()])
        self._name = hashlib.sha256(text.encode()).hexdigest()[:16]
        self._open = {self._keys[point] for point in todo}
        members = set(self._members(points, todo) if halving else todo)
        self._groups = [
            Group(floor.engine, part, floor.watch.on_epoch)
            for group in floor.engine.groups(points)
            if (part := tuple(point for point in group if point in members))
        ]
        self._num_epochs = max((point.epochs for point in members), default=0)
        self._rungs = self._plan_rungs(members)
        floor.watch.expect(self._work())

    def settle(self) -> bool:
        """Train what is open; whether there was time for all of it."""
        for number, epochs in enumerate(self._rungs):
            name = f"{self._name}-{number}"
            rung = self._floor.ledger.rung(name)
            if rung is None:
                standings = self._reach_all(epochs)
                if standings is None:
                    return False
                rung = self._judge(self._halving or Halving(), standings)
                self._floor.ledger.record_rung(name, rung)
                self._floor.watch.add(rung.ended)
            survivors = frozenset(p for p, key in self._keys.items() if key in rung.survivors)
            for group in self._groups:
                group.cut(epochs, survivors)
        return self._finish_all()

    def _work(self) -> int:
        """Epochs that all heads together are to be trained, at most."""
        if not self._halving:
            return sum(point.epochs for group in self._groups for point in group.points)
        num_points = sum(len(group.points) for group in self._groups)
        work = before = 0
        for epochs in (*self._rungs, self._num_epochs):
            work += num_points * (epochs - before)
            num_points, before = -(-num_points // self._halving.eta), epochs
        return work

    def _members(self, points: Sequence[Point], todo: Sequence[Point]) -> list[Point]:
        """The points that the bracket began with, now or before it was broken off."""
        name = f"{self._name}-start"
        start = self._floor.ledger.rung(name)
        if start is None:
            start = Rung(tuple(self._keys[point] for point in todo), ())
            self._floor.ledger.record_rung(name, start)
        return [point for point in points if self._keys[point] in start.survivors]

    def _plan_rungs(self, members: set[Point]) -> list[int]:
        if self._halving is None:
            return []
        num_settings = len({point.settings_key() for point in members})
        num_rungs = self._halving.num_rungs(num_settings, self._num_epochs)
        steps = range(num_rungs)
        return [self._halving.epochs_at(rung, num_rungs, self._num_epochs) for rung in steps]

    def _reach_all(self, epochs: int) -> list[Standing] | None:
        """Every point that is alive at a rung; None where the time was up before."""
        groups, standings = [], []
        for group in self._groups:
            if self._floor.watch.is_time_up:
                return None
            for part, found in self._reach(group, epochs):
                groups.append(part)
                standings += found
        self._groups = groups
        return standings

    def _reach(self, group: Group, epochs: int) -> list[tuple[Group, list[Standing]]]:
        """One group; where it cannot be trained, its halves, down to single points."""
        if not group.alive:
            return [(group, [])]
        self._floor.watch.take(len(group.alive), epochs)
        try:
            return [(group, group.reach(epochs))]
        except FAILURES as error:
            group.drop()
            if len(group.points) == 1:
                return [(group, [failed(group.points[0], epochs, error)])]
        return [found for half in group.halves() for found in self._reach(half, epochs)]

    def _finish(self, group: Group) -> None:
        """One group to its end, each stack recorded when it is done; on trouble, its halves."""
        if not group.alive:
            return
        self._floor.watch.take(len(group.alive), self._num_epochs)
        try:
            group.finish(self._num_epochs, self._record)
        except FAILURES as error:
            group.drop()
            if len(group.points) == 1:
                self._record([failed(group.points[0], self._num_epochs, error)])
                return
            for half in group.halves():
                self._finish(half)

    def _judge(self, halving: Halving, standings: Sequence[Standing]) -> Rung:
        """Who goes on, by the mean over seeds of the best epoch so far."""
        settings: dict[str, list[Standing]] = {}
        for standing in sorted(standings, key=lambda s: self._keys[s.point]):
            settings.setdefault(standing.point.settings_key(), []).append(standing)
        kept = halving.survivors(
            {name: [s.accuracy for s in members] for name, members in settings.items()}
        )
        survivors = {self._keys[s.point] for name in kept for s in settings[name]}
        ended = [s for s in standings if self._keys[s.point] not in survivors]
        return Rung(tuple(sorted(survivors)), tuple(s.outcome(self._keys[s.point]) for s in ended))

    def _finish_all(self) -> bool:
        for group in self._groups:
            if not any(self._keys[point] in self._open for point in group.alive):
                continue
            if self._floor.watch.is_time_up:
                return False
            self._finish(group)
        return True

    def _record(self, standings: Sequence[Standing]) -> None:
        """Keep what is new; after a kill, a group of halving is trained again as it was."""
        outcomes = []
        for standing in standings:
            key = self._keys[standing.point]
            if standing.result is not None:
                self._floor.shelf.put(key, standing.result)
            if key in self._open:
                outcomes.append(standing.outcome(key))
        if not outcomes:
            return
        self._floor.ledger.record(outcomes)
        self._floor.watch.add(outcomes)
