"""What the threads of a pipeline share: options, state and results."""

import threading
from collections import deque
from dataclasses import dataclass, field

from fec_cache.extraction.batches import Batch, Group
from fec_cache.extraction.memory import MemoryPlan
from fec_cache.faces.table import Face
from fec_cache.inference.network import Features, Runner


@dataclass(frozen=True)
class BatchResult:
    """Result of one batch: its n usable faces, their features [n, D], and why others failed."""

    piece: int
    faces: tuple[Face, ...]
    features: Features
    failed: tuple[tuple[Face, str], ...]


@dataclass(frozen=True)
class PipelineOptions:
    """How the work is divided among threads.

    `num_forward` threads only run the network. If it is 0, the `num_workers` threads that decode
    run the network too, each with `num_threads` threads inside a forward pass.
    """

    batch_size: int
    num_workers: int
    num_forward: int
    num_threads: int
    memory: MemoryPlan
    image_timeout_s: float


@dataclass(eq=False)
class Worker:
    """One thread: what it may do, its current image (`group`), and for how many seconds."""

    can_decode: bool
    can_forward: bool
    thread: threading.Thread | None = None
    runner: Runner | None = None
    group: Group | None = None
    is_waiting: bool = False
    is_abandoned: bool = False
    age_s: float = 0.0
    reserved: int = 0


class StoppedError(Exception):
    """The run is over: a worker drops what it is doing."""


@dataclass(eq=False)
class PipelineState:
    """State shared by the threads; hold `changed` whenever it is read or written.

    `in_order` holds the batches without a result yet, `ready` those that can go through the
    network. `num_ahead` faces are between their file and their result; `reserved` bytes are in use
    by decoding.
    """

    changed: threading.Condition = field(default_factory=threading.Condition)
    in_order: deque[Batch] = field(default_factory=deque)
    ready: deque[Batch] = field(default_factory=deque)
    results: dict[Batch, Features] = field(default_factory=dict)
    workers: list[Worker] = field(default_factory=list)
    num_ahead: int = 0
    reserved: int = 0
    is_exhausted: bool = False
    is_stopped: bool = False
    is_checked: bool = False
    is_checking: bool = False
    error: BaseException | None = None

    def reserve(self, worker: Worker, size_bytes: int, limit_bytes: int) -> None:
        """Wait until a picture of this size fits beside those that are being decoded.

        Raises:
            StoppedError: the run has ended, or the worker was abandoned while it waited.
        """
        with self.changed:
            worker.is_waiting = True
            # The first condition lets a picture larger than the limit be decoded, alone.
            while self.reserved and self.reserved + size_bytes > limit_bytes:
                if self.is_stopped or self.error:
                    raise StoppedError
                self.changed.wait()
            worker.is_waiting = False
            if worker.is_abandoned:
                raise StoppedError
            worker.reserved = size_bytes
            self.reserved += size_bytes

    def release(self, worker: Worker) -> None:
        """Give back what a worker has reserved; the caller holds `changed`."""
        self.reserved -= worker.reserved
        worker.reserved = 0
