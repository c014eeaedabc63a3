import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that can be forked")
def test_forty_rounds_of_faults_break_no_promise(tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks" / "faults.py"), "--where", str(tmp_path)]
    done = subprocess.run(
        [*command, "--rounds", "40", "--flips", "100", "--seed", "0"],
        capture_output=True,
        text=True,
        timeout=220,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["rounds"], figures["failures"]) == (40, 0)
    assert (figures["flips_found"], figures["flips_missed"]) == (100, [])
    assert list(tmp_path.iterdir()) == []
