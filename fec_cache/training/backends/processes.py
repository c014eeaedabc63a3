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
    Backend,
    LocalBackend,
    Results,
    ResultsCallback,
    StackCallback,
)
from fec_cache.training.batched.shared_data import SharedData
from fec_cache.training.batched.stack import TrainingJob
from fec_cache.training.history import Epoch

log = logging.getLogger(__name__)


class ProcessBackend(Backend):
    """Stacks in forked processes of one thread each, which share the prepared features.

    A stack goes to the first idle process and stays in it.
    """

    def __init__(
        self, shared: SharedData, stacks: Sequence[Sequence[TrainingJob]], num_processes: int
    ) -> None:
        """Prepare the features for all stacks and start the processes.

        Raises:
            FecError: a preparation cannot be fitted.
        """
        for jobs in stacks:
            shared.prepare(jobs[0].head)
            shared.items(jobs[0].train.loss, jobs[0].head)
        context = multiprocessing.get_context("fork")
        self._owners: dict[int, Connection] = {}
        self._workers: dict[Connection, Any] = {}
        for _ in range(num_processes):
            ours, theirs = context.Pipe()
            # A process that held its siblings' ends would not notice that this one is gone.
            others = [ours, *self._workers]
            process = context.Process(target=_serve, args=(theirs, others, shared, stacks))
            with warnings.catch_warnings():
                # Forking beside threads is safe here: processes touch torch on one thread only.
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
            theirs.close()
            self._workers[ours] = process

    def advance(self, numbers: Sequence[int], num_epochs: int, on_epoch: StackCallback) -> None:
        """Train stacks further, as many at a time as there are processes."""
        self._distribute("advance", numbers, num_epochs, on_epoch)

    def complete(
        self,
        numbers: Sequence[int],
        num_epochs: int,
        on_epoch: StackCallback,
        on_results: ResultsCallback,
    ) -> None:
        """Train stacks to their end."""
        self._distribute("complete", numbers, num_epochs, on_epoch, on_results)

    def keep(self, number: int, indices: Sequence[int]) -> None:
        """Continue with some jobs of a stack, or with none."""
        self._distribute("keep", [number], list(indices), _ignore)

    def finish(self, numbers: Sequence[int]) -> list[Results]:
        """The results of stacks."""
        answers = self._distribute("finish", numbers, None, _ignore)
        return [answers[number] for number in numbers]

    def seconds_per_epoch(self, numbers: Sequence[int]) -> list[float]:
        """About how long an epoch of each stack takes while the others run too."""
        answers = self._distribute("time", numbers, None, _ignore)
        return [answers[number] for number in numbers]

    def close(self) -> None:
        """Terminate the processes."""
        for connection, process in self._workers.items():
            process.terminate()
            process.join()
            connection.close()
        self._workers = {}

    def _distribute(
        self,
        command: str,
        numbers: Sequence[int],
        argument: object,
        on_epoch: StackCallback,
        on_answer: Callable[[int, Any], None] | None = None,
    ) -> dict[int, Any]:
        """Send the processes a command for each stack; their answers by the stacks' numbers."""
        waiting, busy = list(numbers), dict[Connection, int]()
        answers: dict[int, Any] = {}
        while waiting or busy:
            for connection in [c for c in self._workers if c not in busy]:
                number = self._next_for(connection, waiting)
                if number is not None:
                    busy[connection] = number
                    self._owners[number] = connection
                    connection.send_bytes(pickle.dumps((command, number, argument)))
            for ready in wait(list(busy)):
                connection = next(c for c in busy if c is ready)
                kind, content = self._receive(connection)
                if kind == "epoch":
                    on_epoch(busy[connection], *content)
                elif kind == "log":
                    log.log(*content)
                elif kind == "failed":
                    raise content
                else:
                    number = busy.pop(connection)
                    answers[number] = content
                    if on_answer is not None:
                        on_answer(number, content)
        return answers

    def _next_for(self, connection: Connection, waiting: list[int]) -> int | None:
        """Take the next stack that this process has, or else one that no process has."""
        for owner in (connection, None):
            for number in waiting:
                if self._owners.get(number) is owner:
                    waiting.remove(number)
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


class _LogSender(logging.Handler):
    """Sends log lines to the parent: a process must not write to the console of its parent."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        """Send one line."""
        content = (record.levelno, record.getMessage())
        self._connection.send_bytes(pickle.dumps(("log", content)))


def timed_in_processes(shared: SharedData, job: TrainingJob, num_processes: int) -> float:
    """Seconds that an epoch of one job takes while every process trains such a job."""
    backend = ProcessBackend(shared, [[job]] * num_processes, num_processes)
    try:
        return max(backend.seconds_per_epoch(range(num_processes)))
    finally:
        backend.close()


def can_fork(jobs: Sequence[TrainingJob]) -> bool:
    """Whether forked processes can share this one's memory to train these jobs."""
    # Once autograd has started a thread, for a GPU or otherwise, it refuses to work in processes
    # forked afterwards. Steps by hand do not use it.
    needs_autograd = any(job.head.kind.steps == "autograd" for job in jobs)
    return sys.platform == "linux" and not needs_autograd


def _serve(
    connection: Connection,
    others: Sequence[Connection],
    shared: SharedData,
    stacks: Sequence[Sequence[TrainingJob]],
) -> None:
    """Main loop of a process: run commands until the other end of the connection closes."""
    # A terminal sends Ctrl-C to every process of the command; the parent decides what ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # There are as many processes as cores, so more threads would only wait for each other.
    torch.set_num_threads(1)
    logging.getLogger().handlers = [_LogSender(connection)]
    for other in others:
        other.close()
    parent, backend = os.getppid(), LocalBackend(shared, stacks)

    def send(_: int, index: int, epoch: Epoch) -> None:
        """Send an epoch, or exit if the parent process is gone."""
        if os.getppid() != parent:
            os._exit(1)
        connection.send_bytes(pickle.dumps(("epoch", (index, epoch))))

    with contextlib.suppress(EOFError, OSError):
        while True:
            command, number, argument = pickle.loads(connection.recv_bytes())
            answer = _answer(backend, command, number, argument, send)
            connection.send_bytes(pickle.dumps(answer))


def _answer(
    backend: LocalBackend, command: str, number: int, argument: Any, on_epoch: StackCallback
) -> tuple[str, object]:
    try:
        if command == "advance":
            backend.advance([number], argument, on_epoch)
        elif command == "complete":
            collected: list[Results] = []
            backend.complete([number], argument, on_epoch, lambda _, r: collected.append(r))
            return "done", collected[0]
        elif command == "keep":
            backend.keep(number, argument)
        elif command == "time":
            return "done", backend.seconds_per_epoch(number)
        else:
            return "done", backend.finish([number])[0]
    except FecError as error:
        return "failed", error
    except Exception as error:
        return "failed", RuntimeError(f"{type(error).__name__}: {error}")
    return "done", None


def _ignore(number: int, index: int, epoch: Epoch) -> None:
    """Do nothing with an epoch."""
