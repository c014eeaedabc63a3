"""Who is computing what: several extractors on one cache share the work instead of doubling it.

A claim is a lock of the system on one byte of the file `.claims`; the byte's place is made from the
piece's plan. The system gives a claim back when its process ends in whatever way, so that a dead
extractor blocks nobody, and no file is left to be cleared away. Claims are advice: without them,
or on a disk that cannot lock, work is done twice and stored once.
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
except ImportError:  # not on every system
    fcntl = None  # type: ignore[assignment]

CLAIMS_NAME = ".claims"
_POLL_S = 0.05
_PLACES = 1 << 40

log = logging.getLogger(__name__)


class Claims:
    """The claims of this process on one cache folder; to be used as a context.

    Claims are between processes: two `Claims` of one process do not keep each other out.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / CLAIMS_NAME
        self._descriptor = -1

    def __enter__(self) -> "Claims":
        """Open the file of claims; where that cannot be done, every claim is granted."""
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
        """Give every claim back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def take(self, plan: str) -> bool:
        """Claim a piece of work by its plan; whether it is ours now."""
        if self._descriptor < 0:
            return True
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(plan))
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            log.info("work on %s is not shared (%s)", self._path.parent, error)
        return True

    def give_back(self, plan: str) -> None:
        """Give one claim back."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _place(plan))

    def wait_for_any(self, plans: Iterable[str]) -> None:
        """Wait until one of the pieces that others claimed is free, and leave it free."""
        waited_for = list(plans)
        while waited_for:
            for plan in waited_for:
                if self.take(plan):
                    self.give_back(plan)
                    return
            time.sleep(_POLL_S)


def _place(plan: str) -> int:
    """A byte for each plan; the first 40 bits of the plan's digest, which may meet by chance."""
    return int(plan[:10], 16) % _PLACES
