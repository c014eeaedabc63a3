"""Every kind of odd picture ends as one row: a feature, or a line in failures.csv that says why."""

import csv
import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fec_cache.cache.cache import FeatureCache
from fec_cache.extraction import batches
from fec_cache.testing import toy

COLOUR = (200, 100, 50)


def packed(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def solid(mode="RGB", colour=COLOUR, size=(16, 16)):
    return Image.new(mode, size, colour)


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return packed(solid(), "JPEG", exif=tags, quality=95)


def palette_with_alpha():
    image = solid("P", 1)
    image.putpalette([0, 0, 0, *COLOUR])
    return packed(image, "PNG", transparency=bytes([0, 255]))


def bomb():
    """A PNG whose header promises 60,000 x 60,000 pixels."""
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, content in chunks:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        parts += [struct.pack(">I", len(content)), name, content, checksum]
    return b"".join(parts)


def moving(kind):
    frames = [solid(), solid(colour=(0, 0, 0))]
    options = {"lossless": True} if kind == "WEBP" else {}
    return packed(frames[0], kind, save_all=True, append_images=frames[1:], **options)


JPEG = packed(solid(), "JPEG", quality=95)
USED = {
    "plain.jpg": JPEG,
    "cmyk.jpg": packed(solid().convert("CMYK"), "JPEG", quality=95),
    "palette.png": palette_with_alpha(),
    "alpha.png": packed(solid("RGBA", (*COLOUR, 255)), "PNG"),
    "moving.gif": moving("GIF"),
    "moving.webp": moving("WEBP"),
    "narrow.png": packed(solid(size=(1, 5000)), "PNG"),
    "flat.png": packed(solid(size=(5000, 1)), "PNG"),
    "tiny.png": packed(solid(size=(1, 1)), "PNG"),
    "wrong name.gif": packed(solid(), "PNG"),
    **{f"exif {number}.jpg": exif(number) for number in range(1, 9)},
}
GREY = {"deep.png": packed(Image.fromarray(np.full((16, 16), 51400, np.uint16)), "PNG")}
FAILED = {
    "truncated.jpg": (JPEG[: len(JPEG) // 2], "is not a usable picture"),
    "empty.jpg": (b"", "is empty (0 bytes)"),
    "page.jpg": (b"<!DOCTYPE html><html>404</html>", "the file holds HTML"),
    "text.jpg": (b"no picture at all", "no known picture format"),
    "bomb.png": (bomb(), "pixels"),
}
MISSING = {
    "missing.jpg": "no such file",
    "folder.jpg": "cannot be read: Is a directory",
    "pipe.jpg": "cannot be read: not a regular file",
    "loop.jpg": "cannot be read: Too many levels of symbolic links",
    "dangling.jpg": "no such file",
}


@pytest.fixture
def images_dir(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name, content in {**USED, **GREY}.items():
        (folder / name).write_bytes(content)
    for name, (content, _) in FAILED.items():
        (folder / name).write_bytes(content)
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "dangling.jpg").symlink_to("nowhere.jpg")
    return folder


ALL = sorted({**USED, **GREY, **FAILED, **MISSING})
pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")


def extract(tmp_path, images_dir):
    faces = toy.identify(images_dir, [toy.FaceRef(name, *toy.WHOLE) for name in ALL])
    return faces, toy.run_toy(tmp_path / "cache", images_dir, faces)


def listed_failures(folder):
    with (folder / "failures.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len({row["image"] for row in rows}) == len(rows)
    return {row["image"]: row["reason"] for row in rows}


def test_each_ends_as_exactly_one_row(tmp_path, images_dir):
    faces, summary = extract(tmp_path, images_dir)
    assert summary.num_faces == len(ALL)
    parts = (summary.num_computed, summary.num_failed, summary.num_missing)
    assert parts == (len(USED) + len(GREY), len(FAILED), len(MISSING))
    failures = listed_failures(summary.folders[0])
    wanted = {**{name: why for name, (_, why) in FAILED.items()}, **MISSING}
    assert failures.keys() == wanted.keys()
    for name, why in wanted.items():
        assert why in failures[name], name
    matrix = FeatureCache.open(summary.folders[0]).load()
    rows = matrix.rows()
    features = {
        face.ref.image: matrix.features[rows[face.face_id]]
        for face in faces.present
        if face.ref.image not in FAILED
    }
    assert features.keys() == {*USED, *GREY}
    for name in USED:
        np.testing.assert_allclose(features[name], np.array(COLOUR) / 255, atol=0.03, err_msg=name)
    np.testing.assert_allclose(features["deep.png"], 51400 / 65535, atol=0.01)


def test_a_second_run_tries_the_failed_ones_only(tmp_path, images_dir, monkeypatch):
    extract(tmp_path, images_dir)
    (images_dir / "empty.jpg").write_bytes(JPEG + b"\0")
    (images_dir / "missing.jpg").write_bytes(JPEG + b"\0\0")
    read, read_regular = [], batches.read_regular
    monkeypatch.setattr(
        batches, "read_regular", lambda path: read.append(path.name) or read_regular(path)
    )
    _, summary = extract(tmp_path, images_dir)
    assert sorted(read) == sorted([*FAILED, "missing.jpg"])
    assert summary.num_computed == 2
    assert (summary.num_failed, summary.num_missing) == (len(FAILED) - 1, len(MISSING) - 1)
    assert summary.num_cached == len(USED) + len(GREY)
    failures = listed_failures(summary.folders[0])
    assert failures.keys() == {*FAILED, *MISSING} - {"empty.jpg", "missing.jpg"}


def test_a_picture_without_read_permission_is_reported_and_the_run_goes_on(tmp_path, images_dir):
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("needs root, who can become somebody else")
    (images_dir / "plain.jpg").chmod(0)
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from fec_cache.system.regular_files import read_regular\n"
        "os.chdir(sys.argv[1]); os.setgid(65534); os.setuid(65534)\n"
        "try:\n"
        "    read_regular(Path('plain.jpg'))\n"
        "except PermissionError as error:\n"
        "    print(error.strerror, len(read_regular(Path('alpha.png'))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(images_dir)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.stdout == f"Permission denied {len(USED['alpha.png'])}\n"
