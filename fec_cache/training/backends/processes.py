"""Stacks in forked processes of one thread each."""

import contextlib
import logging
import multiprocessing
import os
import pickle
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from fec_cache.errors import FecError, OutOfMemory
from fec_cache.training.backends.local import (
    Host,
    LocalHost,
    Results,
    ResultsCallback,
    StackCallback,
)
from fec_cache.training.batched.shared_data import Ground
from fec_cache.training.batched.stack import Job
from fec_cache.training.history import Epoch

log = logging.getLogger(__name__)


class ProcessHost(Host):
    """Stacks in forked processes of one thread each, which share the prepared features.

    A stack goes to the first idle process and stays there.
    """

    def __init__(self, ground: Ground, stacks: Sequence[Sequence[Job]], num_processes: int) -> None:
        """Prepare the features for all stacks and start the processes.

        Raises:
            FecError: a preparation cannot be fitted.
        """
        for jobs in stacks:
            ground.prepare(jobs[0].head)
            ground.items(jobs[0].train.loss, jobs[0].head)
        context = multiprocessing.get_context("fork")
        self._owners: dict[int, Connection] = {}
        self._workers: dict[Connection, Any] = {}
        for _ in range(num_processes):
            ours, theirs = context.Pipe()
            # A process must not hold its siblings' ends, or it would outlive this one.
            others = [ours, *self._workers]
            process = context.Process(target=_serve, args=(theirs, others, ground, stacks))
            with warnings.catch_warnings():
                # Forking beside threads is safe here: processes touch torch on one thread only.
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
            theirs.close()
            self._workers[ours] = process

    def advance(self, numbers: Sequence[int], num_epochs: int, tell: StackCallback) -> None:
        """Train stacks on, as many at a time as there are processes."""
        self._share_out("advance", numbers, num_epochs, tell)

    def complete(
        self, numbers: Sequence[int], num_epochs: int, tell: StackCallback, done: ResultsCallback
    ) -> None:
        """Train stacks on to their end."""
        self._share_out("complete", numbers, num_epochs, tell, done)

    def keep(self, number: int, seats: Sequence[int]) -> None:
        """Go on with some seats of a stack, or with none."""
        self._share_out("keep", [number], list(seats), _nobody)

    def finish(self, numbers: Sequence[int]) -> list[Results]:
        """The results of stacks."""
        answers = self._share_out("finish", numbers, None, _nobody)
        return [answers[number] for number in numbers]

    def seconds_per_epoch(self, numbers: Sequence[int]) -> list[float]:
        """About how long an epoch of each stack takes while the others run too."""
        answers = self._share_out("time", numbers, None, _nobody)
        return [answers[number] for number in numbers]

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        for connection, process in self._workers.items():
            process.terminate()
            process.join()
            connection.close()
        self._workers = {}

    def _share_out(
        self,
        verb: str,
        numbers: Sequence[int],
        argument: object,
        tell: StackCallback,
        done: Callable[[int, Any], None] | None = None,
    ) -> dict[int, Any]:
        """Let the processes do something with each stack; their answers by the stacks' numbers."""
        open_numbers, busy = list(numbers), dict[Connection, int]()
        answers: dict[int, Any] = {}
        while open_numbers or busy:
            for connection in [c for c in self._workers if c not in busy]:
                number = self._next_for(connection, open_numbers)
                if number is not None:
                    busy[connection] = number
                    self._owners[number] = connection
                    connection.send_bytes(pickle.dumps((verb, number, argument)))
            for ready in wait(list(busy)):
                connection = next(c for c in busy if c is ready)
                kind, content = self._receive(connection)
                if kind == "epoch":
                    tell(busy[connection], *content)
                elif kind == "log":
                    log.log(*content)
                elif kind == "failed":
                    raise content
                else:
                    number = busy.pop(connection)
                    answers[number] = content
                    if done is not None:
                        done(number, content)
        return answers

    def _next_for(self, connection: Connection, open_numbers: list[int]) -> int | None:
        """Take the next stack that a process has, or else one that nobody has."""
        for owner in (connection, None):
            for number in open_numbers:
                if self._owners.get(number) is owner:
                    open_numbers.remove(number)
                    return number
        return None

    def _receive(self, connection: Connection) -> tuple[str, Any]:
        try:
            kind, content = pickle.loads(connection.recv_bytes())
        except (EOFError, OSError) as error:
            process = self._workers[connection]
            process.join(1.0)
            raise OutOfMemory(
                f"A training process ended by itself (exit code {process.exitcode}), most likely "
                "for lack of memory. Try fewer heads at once, or a smaller --batch-size."
            ) from error
        return kind, content


class _Teller(logging.Handler):
    """Hands log lines on: a process must not touch the console of the one that forked it."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        """Send one line."""
        content = (record.levelno, record.getMessage())
        self._connection.send_bytes(pickle.dumps(("log", content)))


def timed_in_processes(ground: Ground, job: Job, num_processes: int) -> float:
    """Seconds an epoch of one job takes while all processes train one like it."""
    host = ProcessHost(ground, [[job]] * num_processes, num_processes)
    try:
        return max(host.seconds_per_epoch(range(num_processes)))
    finally:
        host.close()


def can_fork() -> bool:
    """Whether processes can share what this one holds."""
    return sys.platform == "linux"


def _serve(
    connection: Connection,
    others: Sequence[Connection],
    ground: Ground,
    stacks: Sequence[Sequence[Job]],
) -> None:
    """A process's life: do what is asked until the asking end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    logging.getLogger().handlers = [_Teller(connection)]
    for other in others:
        other.close()
    parent, host = os.getppid(), LocalHost(ground, stacks)

    def tell(_: int, seat: int, epoch: Epoch) -> None:
        """Send an epoch, or end where nobody is left to hear it."""
        if os.getppid() != parent:
            os._exit(1)
        connection.send_bytes(pickle.dumps(("epoch", (seat, epoch))))

    with contextlib.suppress(EOFError, OSError):
        while True:
            verb, number, argument = pickle.loads(connection.recv_bytes())
            answer = _answer(host, verb, number, argument, tell)
            connection.send_bytes(pickle.dumps(answer))


def _answer(
    host: LocalHost, verb: str, number: int, argument: Any, tell: StackCallback
) -> tuple[str, object]:
    try:
        if verb == "advance":
            host.advance([number], argument, tell)
        elif verb == "complete":
            found: list[Results] = []
            host.complete([number], argument, tell, lambda _, results: found.append(results))
            return "done", found[0]
        elif verb == "keep":
            host.keep(number, argument)
        elif verb == "time":
            return "done", host.seconds_per_epoch(number)
        else:
            return "done", host.finish([number])[0]
    except FecError as error:
        return "failed", error
    except Exception as error:
        return "failed", RuntimeError(f"{type(error).__name__}: {error}")
    return "done", None


def _nobody(number: int, seat: int, epoch: Epoch) -> None:
    """Hears nothing."""
