"""Peak memory of a process, from /proc: `ru_maxrss` of a child starts at its parent's value."""

import subprocess
import time
from pathlib import Path

_TICK_S = 0.01


def peak_gb(process: int | str = "self") -> float:
    """Highest resident memory of a process so far, in GB of 10^9 bytes; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")) / 1e9


def peak_until_end_gb(process: "subprocess.Popen[bytes]") -> float:
    """Wait for a process; its highest resident memory in GB, sampled every 10 ms."""
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, peak_gb(process.pid))
        time.sleep(_TICK_S)
    return peak
