import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def open_folder():
    """Not in `tmp_path`, which another user may not enter: one fault works as the user nobody."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.timeout(420)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that can be forked")
def test_forty_rounds_of_faults_break_no_promise(open_folder):
    command = [sys.executable, str(ROOT / "campaigns" / "faults.py"), "--where", str(open_folder)]
    done = subprocess.run(
        [*command, "--rounds", "40", "--flips", "100", "--seed", "0"],
        capture_output=True,
        text=True,
        timeout=400,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["rounds"], figures["failures"]) == (40, 0)
    assert (figures["flips_found"], figures["flips_missed"]) == (100, [])
    assert figures["rounds_by_fault"]["child_of_two_devices"] >= 1
    assert list(open_folder.iterdir()) == []
