"""Claims on pieces of work: several extractors share one cache without computing anything twice.

A claim is a POSIX record lock on one byte of the file `.claims`; the byte's offset is derived from
the piece's plan. The system releases a claim when its process ends, killed or not, so a dead
extractor blocks no one and leaves nothing to clean up. Claims are advisory: on a disk without
locks, work is done twice and stored once.
"""

import contextlib
import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# Neither lock files nor leases: there would be an age to guess and something to clear away.
CLAIMS_NAME = ".claims"
# There is no waiting for the first of several record locks, so they are polled.
_POLL_S = 0.05
_NUM_BYTES = 1 << 40

log = logging.getLogger(__name__)


class Claims:
    """The claims of this process on one cache folder; to be used as a context.

    POSIX record locks belong to a process: two `Claims` of one process do not exclude each other.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / CLAIMS_NAME
        self._descriptor = -1

    def __enter__(self) -> "Claims":
        """Open the file of claims; if it cannot be opened, every claim is granted."""
        if fcntl is not None:
            try:
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                log.info("work on %s is not shared (%s)", self._path.parent, error)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release every claim."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def take(self, plan: str) -> bool:
        """Try to claim a piece of work by its plan; True if this process has it now."""
        if self._descriptor < 0:
            return True
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _offset(plan))
        # POSIX lets a system answer EAGAIN or EACCES for a lock that another process holds.
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            log.info("work on %s is not shared (%s)", self._path.parent, error)
        return True

    def release(self, plan: str) -> None:
        """Release one claim."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _offset(plan))

    def wait_for_any(self, plans: Iterable[str]) -> None:
        """Wait until one of these pieces is claimed by no other process; does not claim it."""
        pending = list(plans)
        while pending:
            for plan in pending:
                if self.take(plan):
                    self.release(plan)
                    return
            time.sleep(_POLL_S)


def _offset(plan: str) -> int:
    """The byte of a plan, from the first 40 bits of its digest.

    If two plans share a byte, one waits for the other; nothing is lost.
    """
    return int(plan[:10], 16) % _NUM_BYTES
