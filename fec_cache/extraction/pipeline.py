"""Faces -> features, by threads that read, decode and run the network side by side.

On a CPU each thread does both kinds of work, one picture or one batch at a time on its own core, so
no thread waits for another at the end of each layer, as threads inside a network do. A GPU is fed
by threads that only decode.
"""

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

import torch

from fec_cache.extraction.batches import (
    Batch,
    Cut,
    Decoder,
    Group,
    StageSeconds,
    batches_of,
    groups_of,
)
from fec_cache.extraction.workers import (
    BatchResult,
    PipelineOptions,
    PipelineState,
    StoppedError,
    Worker,
)
from fec_cache.faces.table import Face
from fec_cache.inference.network import Features, Network, exact_arithmetic

log = logging.getLogger(__name__)

_TICK_S = 0.25
_JOIN_S = 5.0
Check = Callable[[Features, Batch], None]


class Pipeline:
    """Runs all faces of an extraction through a network, in order."""

    def __init__(
        self, decoder: Decoder, network: Network, options: PipelineOptions, check: Check
    ) -> None:
        """Build a pipeline.

        Args:
            decoder: reads, decodes and crops pictures.
            network: what the pictures are run through.
            options: threads and limits.
            check: called with the features of the first batch; an error that it raises ends the
                run. No result is returned before the check has passed.
        """
        self._decoder, self._network, self._options = decoder, network, options
        self._check = check
        self._seconds: StageSeconds = decoder.seconds
        self._state = PipelineState()
        self._groups: Iterator[Group] = iter(())
        self._held: Group | None = None

    def results(self, pieces: Iterable[Sequence[Face]]) -> Generator[BatchResult, None, None]:
        """One result for each batch, in the order of the faces.

        Threads go on working while the caller stores a result; they end with the iterator.

        Args:
            pieces: the faces of each piece of work; no batch holds faces of two pieces.
        """
        side = self._decoder.crop.input_size
        batches = batches_of(pieces, self._options.batch_size, side)
        self._groups = groups_of(self._recorded(batches))
        threads = torch.get_num_threads()
        try:
            with exact_arithmetic():
                self._start_workers()
                while (batch := self._next_done()) is not None:
                    yield self._result(batch)
        finally:
            self._stop_workers()
            torch.set_num_threads(threads)

    def _recorded(self, batches: Iterable[Batch]) -> Generator[Batch, None, None]:
        for batch in batches:
            self._state.in_order.append(batch)
            yield batch

    def _start_workers(self) -> None:
        num_forward = self._options.num_forward
        for _ in range(self._options.num_workers):
            self._start_worker(Worker(can_decode=True, can_forward=not num_forward))
        for _ in range(num_forward):
            self._start_worker(Worker(can_decode=False, can_forward=True))

    def _start_worker(self, worker: Worker) -> None:
        # A daemon: a thread that hangs in a dead file system must not keep the program from ending.
        worker.thread = threading.Thread(
            target=self._work, args=(worker,), name="decode", daemon=True
        )
        self._state.workers.append(worker)
        worker.thread.start()

    def _stop_workers(self) -> None:
        state = self._state
        with state.changed:
            state.is_stopped = True
            state.changed.notify_all()
        for worker in state.workers:
            if worker.thread is not None and not worker.is_abandoned:
                worker.thread.join(_JOIN_S)

    def _next_done(self) -> Batch | None:
        """The next batch in order, once it is done; None after the last."""
        state = self._state
        before = time.monotonic()
        with state.changed:
            while True:
                if state.error is not None:
                    raise state.error
                if state.in_order and self._is_done(state.in_order[0]):
                    batch = state.in_order.popleft()
                    state.num_ahead -= len(batch.faces)
                    state.changed.notify_all()
                    return batch
                if state.is_exhausted and not state.in_order:
                    return None
                # Not without a limit: hanging images must be noticed although nothing changes.
                state.changed.wait(_TICK_S)
                now = time.monotonic()
                self._watch(min(now - before, 2 * _TICK_S))
                before = now

    def _is_done(self, batch: Batch) -> bool:
        if batch.num_pending:
            return False
        if not batch.rows:
            return True
        return self._state.is_checked and batch in self._state.results

    def _result(self, batch: Batch) -> BatchResult:
        features = self._state.results.pop(batch, {})
        rows = batch.rows
        return BatchResult(
            batch.piece,
            tuple(batch.faces[row] for row in rows),
            {view: values[list(rows)] for view, values in features.items()},
            tuple((batch.faces[row], reason) for row, reason in sorted(batch.reasons.items())),
        )

    def _watch(self, passed_s: float) -> None:
        """Abandon threads that have worked on one image for too long.

        Args:
            passed_s: seconds since the last call, capped by the caller: after the program was
                suspended for an hour, its images must not all count as too slow.
        """
        for worker in list(self._state.workers):
            if worker.group is None or worker.is_waiting or worker.is_abandoned:
                continue
            worker.age_s += passed_s
            if worker.age_s > self._options.image_timeout_s:
                self._abandon(worker, worker.group)

    def _abandon(self, worker: Worker, group: Group) -> None:
        worker.is_abandoned = True
        self._state.release(worker)
        limit = self._options.image_timeout_s
        image = group.faces[0].ref.image_path
        log.warning("%s took longer than %g s to read: its thread is abandoned", image, limit)
        self._fill(group, [f"could not be read and decoded within {limit:g} s"] * len(group.faces))
        self._start_worker(Worker(worker.can_decode, worker.can_forward))

    def _work(self, worker: Worker) -> None:
        try:
            if self._network.device.type == "cpu":
                # OpenMP keeps this number per thread, so each worker has to set its own.
                torch.set_num_threads(self._options.num_threads)
            while (task := self._take(worker)) is not None:
                if isinstance(task, Batch):
                    self._forward(worker, task)
                else:
                    self._decode(worker, task)
        except StoppedError:
            return
        except BaseException as error:
            with self._state.changed:
                if not worker.is_abandoned:
                    self._state.error = self._state.error or error
                self._state.changed.notify_all()

    def _take(self, worker: Worker) -> Batch | Group | None:
        """The next batch or image for a thread; None when there is nothing left for it."""
        state = self._state
        with state.changed:
            while not (state.is_stopped or worker.is_abandoned or state.error):
                # Batches first: decoded pictures are what fills the memory.
                if worker.can_forward and state.ready:
                    return state.ready.popleft()
                if worker.can_decode and (group := self._next_group()) is not None:
                    worker.group, worker.age_s = group, 0.0
                    return group
                state.changed.wait()
        return None

    def _next_group(self) -> Group | None:
        """The next faces to decode, unless too many are in progress."""
        state = self._state
        if self._held is None and not state.is_exhausted:
            self._held = next(self._groups, None)
            if self._held is None:
                state.is_exhausted = True
                state.changed.notify_all()
        group = self._held
        if group is None or state.num_ahead + len(group.faces) > self._options.memory.ahead_faces:
            return None
        self._held = None
        state.num_ahead += len(group.faces)
        return group

    def _decode(self, worker: Worker, group: Group) -> None:
        limit = self._options.memory.decode_bytes
        reserve = self._state.reserve
        cuts = self._decoder.load(group.faces, lambda size: reserve(worker, size, limit))
        with self._state.changed:
            worker.group = None
            if not worker.is_abandoned:
                self._state.release(worker)
                self._fill(group, cuts)

    def _fill(self, group: Group, cuts: Sequence[Cut]) -> None:
        group.put(cuts)
        for batch in dict.fromkeys(batch for batch, _ in group.slots):
            if not batch.num_pending and batch.rows:
                self._state.ready.append(batch)
        self._state.changed.notify_all()

    def _forward(self, worker: Worker, batch: Batch) -> None:
        state = self._state
        if worker.runner is None:
            worker.runner = self._network.runner()
        with worker.runner.at_work():
            pictures = self._decoder.pictures(batch)
            started = time.perf_counter()
            features = worker.runner.features(pictures) if batch.rows else {}
        with state.changed:
            is_first = not state.is_checking and bool(batch.rows)
            state.is_checking |= is_first
        if is_first:
            if isinstance(pictures, torch.Tensor):
                batch.pictures = pictures.cpu().numpy()
            self._check(features, batch)
        self._seconds.add("network", time.perf_counter() - started)
        with state.changed:
            state.is_checked |= is_first
            if batch.rows:
                state.results[batch] = features
            state.changed.notify_all()
