"""What the threads of a pipeline share: their options, their state, and what they hand out."""

import threading
from collections import deque
from dataclasses import dataclass, field

from fec_cache.extraction.batches import Batch, Group
from fec_cache.extraction.memory import MemoryPlan
from fec_cache.faces.table import Face
from fec_cache.inference.network import Features, Runner


@dataclass(frozen=True)
class Result:
    """What came of one batch: features [n, D] of its n usable faces, and the reasons of others."""

    piece: int
    faces: tuple[Face, ...]
    features: Features
    failed: tuple[tuple[Face, str], ...]


@dataclass(frozen=True)
class PipelineOptions:
    """How the work is shared out.

    `num_forward` threads only run the network; 0 lets the `num_workers` that decode run it too,
    with `num_threads` inside of each pass.
    """

    batch_size: int
    num_workers: int
    num_forward: int
    num_threads: int
    memory: MemoryPlan
    image_timeout_s: float


@dataclass(eq=False)
class Worker:
    """One thread: what it may do, what it is at, and for how long."""

    can_decode: bool
    can_forward: bool
    thread: threading.Thread | None = None
    lane: Runner | None = None
    group: Group | None = None
    is_waiting: bool = False
    is_given_up: bool = False
    age_s: float = 0.0
    reserved: int = 0


class StoppedError(Exception):
    """The run is over: a worker drops what it is doing."""


@dataclass(eq=False)
class State:
    """What the threads share; `changed` is held whenever it is read or written."""

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
