"""Steps of writing that can be made to fail on purpose: for tests and `campaigns/faults.py`.

`FEC_FAILPOINT=STEP:FILE:N:ACTION` arms one for a process, `arm` does so from Python. STEP and FILE
are shell patterns; the failpoint fires at the Nth matching step. ACTION is `kill`, `interrupt`,
`hang` or the name of a system error, such as `EIO` or `ENOSPC`. So `rename:manifest.json:2:kill`
ends the process just before the manifest is replaced for the second time. Steps of one file, in
order: `create`, `write`, `fsync`, `rename`, `sync` (the folder), `done`.

Without an armed failpoint, a step costs one look at an empty list.
"""

import errno
import os
import signal
import time
from dataclasses import dataclass
from fnmatch import fnmatchcase

from fec_cache.errors import BadOption

VARIABLE = "FEC_FAILPOINT"
_ACTIONS = ("kill", "interrupt", "hang")


@dataclass
class _Failpoint:
    step: str
    file: str
    steps_left: int
    action: str


_armed: list[_Failpoint] = []


def arm(text: str) -> None:
    """Make this process fail at a step; an empty text disarms all failpoints.

    Raises:
        BadOption: the text is not of the form `STEP:FILE:N:ACTION`.
    """
    _armed.clear()
    if not text:
        return
    parts = text.split(":")
    is_known = len(parts) == 4 and (parts[3] in _ACTIONS or hasattr(errno, parts[3]))
    if not (is_known and parts[2].isdecimal() and int(parts[2]) > 0):
        raise BadOption(
            f"{VARIABLE} is {text!r}, but it must be STEP:FILE:N:ACTION, as in "
            "rename:manifest.json:2:kill. Unset it unless you are testing crashes."
        )
    _armed.append(_Failpoint(parts[0], parts[1], int(parts[2]), parts[3]))


def reach(step: str, file: str) -> None:
    """Announce that a step is about to be taken; fails here if a failpoint matches it.

    Raises:
        OSError: the armed system error.
    """
    for failpoint in _armed:
        if fnmatchcase(step, failpoint.step) and fnmatchcase(file, failpoint.file):
            failpoint.steps_left -= 1
            if failpoint.steps_left == 0:
                _fail(failpoint.action, f"{step}:{file}")


def _fail(action: str, step: str) -> None:
    if action == "kill":
        # Unlike sys.exit, this runs no `finally` and flushes nothing, as in a real crash.
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "hang":
        time.sleep(3600.0)
    elif action == "interrupt":
        raise KeyboardInterrupt(step)
    else:
        number = getattr(errno, action)
        raise OSError(number, os.strerror(number))


arm(os.environ.get(VARIABLE, ""))
