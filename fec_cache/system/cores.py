"""How many CPU cores this process may use."""

import os


def usable_cores() -> int:
    """Cores that this process may use, at least 1; an affinity mask counts where there is one."""
    # sched_getaffinity is missing on macOS and Windows.
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
