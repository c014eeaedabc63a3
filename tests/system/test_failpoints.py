import os
import signal
import subprocess
import sys

import pytest

from fec_cache.errors import BadOption, StorageFailed
from fec_cache.system import failpoints
from fec_cache.system.atomic import write_atomically


@pytest.fixture
def arm():
    yield failpoints.arm
    failpoints.arm("")


def test_a_failpoint_counts_matching_steps_and_fires_once(tmp_path, arm):
    arm("*:*:8:EIO")
    write_atomically(tmp_path / "a", b"1")
    with pytest.raises(StorageFailed, match="Input/output error"):
        write_atomically(tmp_path / "b", b"2")
    write_atomically(tmp_path / "b", b"3")
    arm("fsync:c:1:interrupt")
    write_atomically(tmp_path / "a", b"4")
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "c", b"5")
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


@pytest.mark.parametrize("text", ["kill", "a:b:c:kill", "a:b:0:kill", "a:b:1:burn"])
def test_a_malformed_failpoint_is_refused(arm, text):
    with pytest.raises(BadOption, match="must be STEP:FILE:N:ACTION"):
        arm(text)


def test_the_environment_arms_a_failpoint(tmp_path):
    code = (
        "import sys, pathlib\n"
        "from fec_cache.system import atomic\n"
        "atomic.write_atomically(pathlib.Path(sys.argv[1]), b'x')\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "file")]
    environment = {**os.environ, failpoints.VARIABLE: "rename:file:1:kill"}
    done = subprocess.run(command, env=environment, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = [path.name for path in tmp_path.iterdir()]
    assert left.startswith(".tmp-")
