import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from fec_cache.cache.cache import FeatureCache
from fec_cache.cli.main import fec
from fec_cache.errors import StorageFailed
from fec_cache.system.failpoints import VARIABLE
from fec_cache.testing import crashes, toy

CLI = Path(__file__).parents[2] / "cli.py"
NUM_FACES = 22
CHILD_TIMEOUT_S = 120


@pytest.fixture
def images_dir(tmp_path):
    return tmp_path / "images"


@pytest.fixture
def faces(images_dir):
    refs = toy.write_pictures(images_dir, range(NUM_FACES))
    (images_dir / "0005.png").write_bytes(b"no picture")
    return toy.identify(images_dir, refs)


@pytest.fixture
def unbroken(tmp_path, images_dir, faces):
    """Shards of a run that nothing befell."""
    toy.run_toy(tmp_path / "unbroken", images_dir, faces)
    return toy.shard_digests(tmp_path / "unbroken")


def start(processes, cache_dir, images_dir, faces, **settings):
    child = processes.Process(
        target=crashes.run_with_fault, args=(cache_dir, images_dir, faces), kwargs=settings
    )
    child.start()
    return child


def finish(child):
    child.join(CHILD_TIMEOUT_S)
    assert child.exitcode is not None, "the process hangs"
    return child.exitcode


def sealed_rows(cache_dir):
    cache = FeatureCache(cache_dir / toy.toy_recipe().folder_name, toy.toy_recipe())
    return cache.manifest().num_faces


def leftovers(cache_dir):
    return [path.name for path in cache_dir.rglob(".tmp-*")]


def assert_right(cache_dir, faces):
    """Every face once, with its own feature, save for the one that is no picture."""
    matrix = FeatureCache.open(cache_dir / toy.toy_recipe().folder_name).load()
    usable = [face for face in faces.present if face.ref.image != "0005.png"]
    assert sorted(matrix.face_ids) == sorted(face.face_id for face in usable)
    rows = matrix.rows()
    for face in usable:
        wanted = toy.feature_of(toy.colour_of(int(face.ref.image[:4])))
        np.testing.assert_allclose(matrix.features[rows[face.face_id]], wanted, atol=1e-3)


def test_five_kills_on_the_way_cost_nothing(processes, tmp_path, images_dir, faces, unbroken):
    cache_dir = tmp_path / "cache"
    stood = []
    for number in range(5):
        child = start(processes, cache_dir, images_dir, faces, delay_s=0.08)
        # Each life gets a little further and is ended at another moment after that.
        wanted, deadline = 3 * number, time.monotonic() + CHILD_TIMEOUT_S
        while sealed_rows(cache_dir) < wanted - 1 and time.monotonic() < deadline:
            time.sleep(0.003)
        time.sleep(0.013 * number)
        child.kill()
        assert finish(child) == -signal.SIGKILL
        stood.append(sealed_rows(cache_dir))
    assert stood == sorted(stood)
    assert 0 < stood[-1] < NUM_FACES - 1
    summary = toy.run_toy(cache_dir, images_dir, faces)
    assert summary.num_cached + summary.num_failed + summary.num_computed == NUM_FACES
    assert summary.num_cached == stood[-1]
    assert toy.shard_digests(cache_dir) == unbroken
    assert leftovers(cache_dir) == []
    assert_right(cache_dir, faces)


def test_a_kill_at_every_step_of_writing(processes, tmp_path, images_dir, faces, unbroken):
    few = toy.identify(images_dir, [face.ref for face in faces.present[:7]])
    wanted = {name: sha for name, sha in unbroken.items() if name.endswith("00000.h5")}
    lives, exit_codes = 0, []
    while not exit_codes or exit_codes[-1] == -signal.SIGKILL:
        lives += 1
        cache_dir = tmp_path / f"killed-{lives}"
        exit_codes.append(finish(start(processes, cache_dir, images_dir, few, kill_at_step=lives)))
        summary = toy.run_toy(cache_dir, images_dir, few)
        assert toy.is_whole(summary)
        assert summary.num_failed == 1
        shards = toy.shard_digests(cache_dir)
        assert wanted.items() <= shards.items()
        assert len(shards) == 2
        assert leftovers(cache_dir) == []
        assert_right(cache_dir, few)
    # recipe, two shards and manifests, two views and their digests, provenance: 9 files of 4 steps
    assert exit_codes == [-signal.SIGKILL] * 36 + [0]


def computed_by(cache_dir, child):
    return int((cache_dir / f"computed-{child.pid}.txt").read_text())


def test_three_extractors_at_once_share_the_work_and_store_every_face_once(
    processes, tmp_path, images_dir, faces, unbroken
):
    cache_dir = tmp_path / "cache"
    cache_dir.mkdir()
    children = [start(processes, cache_dir, images_dir, faces, delay_s=0.05) for _ in range(3)]
    assert [finish(child) for child in children] == [0, 0, 0]
    assert sorted(toy.shard_digests(cache_dir).values()) == sorted(unbroken.values())
    assert_right(cache_dir, faces)
    # No face twice, the one that is no picture included.
    assert sum(computed_by(cache_dir, child) for child in children) == NUM_FACES - 1


def test_the_work_of_a_killed_extractor_is_taken_over(
    processes, tmp_path, images_dir, faces, unbroken
):
    cache_dir = tmp_path / "cache"
    cache_dir.mkdir()
    # It dies while it holds a claim, with its first shard on disk and in no manifest.
    doomed = start(processes, cache_dir, images_dir, faces, failpoint="create:manifest.json:1:hang")
    deadline = time.monotonic() + CHILD_TIMEOUT_S
    while not list(cache_dir.glob("*/shards/00000.h5")) and time.monotonic() < deadline:
        time.sleep(0.01)
    doomed.kill()
    heir = start(processes, cache_dir, images_dir, faces)
    assert [finish(heir), finish(doomed)] == [0, -signal.SIGKILL]
    assert toy.shard_digests(cache_dir) == unbroken
    # The manifest was yet to be: the shard bears its own seal and counts.
    assert computed_by(cache_dir, heir) == NUM_FACES - 1 - 4


def test_two_extractors_with_other_pieces_store_every_face_once(
    processes, tmp_path, images_dir, faces
):
    cache_dir = tmp_path / "cache"
    children = [
        start(processes, cache_dir, images_dir, faces, delay_s=0.01, shard_faces=size)
        for size in (3, 5)
    ]
    assert [finish(child) for child in children] == [0, 0]
    assert_right(cache_dir, faces)
    summary = toy.run_toy(cache_dir, images_dir, faces)
    assert (summary.num_cached, summary.num_failed) == (NUM_FACES - 1, 1)


def test_a_file_size_limit_keeps_what_is_sealed(processes, tmp_path, images_dir, faces, unbroken):
    cache_dir = tmp_path / "cache"
    child = start(processes, cache_dir, images_dir, faces, file_limit_after=10)
    assert finish(child) == 1
    error = (cache_dir / "error.txt").read_text()
    assert error.startswith("StorageFailed: ")
    assert "00002.h5" in error
    assert "could not be written: File too large. " in error
    assert "MB are free. Everything written before is safe:" in error
    assert "\n" not in error
    assert leftovers(cache_dir) == []
    assert sealed_rows(cache_dir) == 7
    toy.run_toy(cache_dir, images_dir, faces)
    assert toy.shard_digests(cache_dir) == unbroken


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, timeout=30, check=False)
    except OSError:
        pytest.skip("there is no mount here")
    if mounted.returncode:
        pytest.skip("mounting is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True, timeout=30)


def test_a_full_disk_keeps_what_is_sealed(small_disk, images_dir, faces, unbroken):
    with pytest.raises(
        StorageFailed, match=r"No space left on device\. 0\.0 MB are free"
    ) as caught:
        toy.run_toy(small_disk, images_dir, faces)
    assert "\n" not in str(caught.value)
    assert 0 < sealed_rows(small_disk) < NUM_FACES - 1
    assert leftovers(small_disk) == []
    kept = toy.shard_digests(small_disk)
    assert kept.items() < unbroken.items()
    room = ["mount", "-o", "remount,size=4m", str(small_disk)]
    subprocess.run(room, check=True, timeout=30)
    summary = toy.run_toy(small_disk, images_dir, faces)
    assert summary.num_cached > 0
    assert toy.shard_digests(small_disk) == unbroken


def test_ctrl_c_ends_with_130_and_is_resumed(tmp_path):
    data_dir, cache_dir = tmp_path / "data", tmp_path / "cache"
    refs = toy.write_pictures(data_dir / "images", range(24))
    names = [ref.image for ref in refs]
    lines = [
        ",".join(f"{name},0.0,1.0,0.0,1.0" for name in (names[i - 2], names[i - 1], names[i]))
        + ",ONE_CLASS_TRIPLET,r1,1,r2,1"
        for i in range(24)
    ]
    (data_dir / "train.csv").write_text("\n".join(lines) + "\n")
    words = ["extract", "--data", str(data_dir), "--cache", str(cache_dir), "--weights", "random:0"]
    words += ["--backbone", "mobilenet_v3_small"]
    words += ["--device", "cpu", "--shard-faces", "4", "--batch-size", "2"]
    # At a known place: a signal from here may come when all is done.
    child = subprocess.run(
        [sys.executable, str(CLI), *words],
        capture_output=True,
        text=True,
        timeout=CHILD_TIMEOUT_S,
        env={**os.environ, "OMP_NUM_THREADS": "1", VARIABLE: "rename:manifest.json:3:interrupt"},
        check=False,
    )
    stderr = child.stderr
    assert child.returncode == 130
    assert (
        "Interrupted. Finished shards are saved: run the same command again to continue." in stderr
    )
    assert "Traceback" not in stderr
    result = CliRunner().invoke(fec, [*words, "--json"])
    assert result.exit_code == 0
    outcome = json.loads(result.stdout)
    assert 0 < outcome["num_cached"] < 24
    assert outcome["num_cached"] + outcome["num_computed"] == 24
