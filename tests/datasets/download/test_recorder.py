import asyncio

import pytest

from fec_cache.datasets.download.ledger import UrlOutcome
from fec_cache.datasets.download.recorder import Progress, Recorder
from fec_cache.errors import StorageFailed


class Ledger:
    """Keeps the batches that it is given; `unmasked` are the placeholders it reports."""

    def __init__(self, unmasked=(), error=None):
        self.batches, self.unmasked, self.error = [], list(unmasked), error

    def record(self, outcomes, placeholder_urls):
        if self.error:
            raise self.error
        self.batches.append([outcome.number for outcome in outcomes])
        return self.unmasked

    def boxes(self, number):
        return [(0.0, 1.0, 0.0, 1.0)] * number


class Store:
    def __init__(self):
        self.removed = []

    def remove(self, url, boxes):
        self.removed.append((url, len(boxes)))


class Space:
    def __init__(self, most=10**9):
        self.num_bytes, self.most = 0, most

    def add(self, num_bytes):
        self.num_bytes += num_bytes

    def why_stop(self):
        return "full" if self.num_bytes >= self.most else ""


def ok(number):
    return UrlOutcome(number, stored_bytes=10)


def recorder(ledger, space=None, progress=None, seen=None):
    progress = progress or Progress()
    store = Store()
    on_progress = None if seen is None else lambda now: seen.append((now.ok, now.failed))
    return Recorder(ledger, store, 3, space or Space(), progress, on_progress), progress, store


def test_results_that_come_together_are_one_transaction():
    ledger, seen = Ledger(), []
    made, progress, _ = recorder(ledger, seen=seen)

    async def go():
        await asyncio.gather(made.add(ok(1)), made.add(ok(2), UrlOutcome(3, "gone")))
        await made.add(ok(4))

    asyncio.run(go())
    assert ledger.batches == [[1, 2, 3], [4]]
    assert seen == [(2, 1), (3, 1)]
    assert (progress.done, progress.stopped) == (4, "")


def test_placeholders_are_removed_and_count_as_failed():
    # Three, of which one was ok in an earlier run.
    ledger = Ledger(unmasked=[(1, "u1"), (2, "u2"), (3, "u3")])
    made, progress, store = recorder(ledger)
    asyncio.run(made.add(ok(2), ok(3)))
    assert store.removed == [("u1", 1), ("u2", 2), ("u3", 3)]
    assert (progress.ok, progress.failed) == (0, 2)


def test_a_full_disk_stops_the_run():
    made, progress, _ = recorder(Ledger(), Space(most=20))

    async def go():
        await made.add(ok(1))
        assert progress.stopped == ""
        await made.add(ok(2))

    asyncio.run(go())
    assert progress.stopped == "full"


def test_a_failing_ledger_fails_all_that_wait():
    made, progress, _ = recorder(Ledger(error=StorageFailed("no room")))

    async def go():
        return await asyncio.gather(made.add(ok(1)), made.add(ok(2)), return_exceptions=True)

    assert [str(error) for error in asyncio.run(go())] == ["no room", "no room"]
    assert progress.done == 0


def test_flush_writes_what_an_interrupt_left_waiting():
    ledger = Ledger()
    made, progress, _ = recorder(ledger)

    async def go():
        task = asyncio.ensure_future(made.add(ok(1)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(go())
    made.flush()
    made.flush()
    assert ledger.batches == [[1]]
    assert progress.ok == 1
