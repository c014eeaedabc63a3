import dataclasses
import hashlib
import json

import pytest

from fec_cache.cache.manifest import (
    FailedFace,
    Manifest,
    ShardEntry,
    manifest_bytes,
    read_manifest,
    write_manifest,
)
from fec_cache.errors import CacheDamaged

FINGERPRINT = "ab" * 32
BAD = FailedFace("1" * 32, "päth/a.jpg", (0.0, 1.0, 0.25, 0.5), "no known picture format")
WORSE = FailedFace("2" * 32, "b.jpg", (0.0, 1.0, 0.0, 1.0), "empty")
WHOLE = Manifest(
    FINGERPRINT,
    (
        ShardEntry("shards/00000.h5", 3, "c" * 64, "p0", (BAD, WORSE)),
        ShardEntry("", 0, "", "p1", ()),
        ShardEntry("shards/00001.h5", 1, "d" * 64, "p2", (), (BAD.face_id,)),
    ),
    {"features.h5": "e" * 64},
    "f" * 64,
)


def test_what_is_written_is_read(tmp_path):
    write_manifest(tmp_path, WHOLE)
    assert read_manifest(tmp_path, FINGERPRINT) == WHOLE


def test_an_error_text_that_is_no_utf8_can_be_written(tmp_path):
    odd = Manifest(
        FINGERPRINT, (ShardEntry("", 0, "", "p", (FailedFace("1", "\udcff", (0.0,) * 4, ""),)),)
    )
    write_manifest(tmp_path, odd)
    assert read_manifest(tmp_path, FINGERPRINT) == odd


def test_no_manifest_is_an_empty_one(tmp_path):
    assert read_manifest(tmp_path, FINGERPRINT) == Manifest(FINGERPRINT, ())


def test_rows_are_counted_and_recovered_faces_are_no_failures():
    assert WHOLE.num_faces == 4
    assert WHOLE.failed == (WORSE,)


def test_a_manifest_of_another_recipe_is_refused(tmp_path):
    write_manifest(tmp_path, WHOLE)
    with pytest.raises(CacheDamaged, match=r"recipe abababab, but the folder's .* is cdcdcdcd"):
        read_manifest(tmp_path, "cd" * 32)


def test_every_truncation_is_found(tmp_path):
    write_manifest(tmp_path, WHOLE)
    path = tmp_path / "manifest.json"
    text = path.read_bytes()
    for length in range(0, len(text), 13):
        path.write_bytes(text[:length])
        with pytest.raises(CacheDamaged, match="is not readable as a manifest"):
            read_manifest(tmp_path, FINGERPRINT)


@pytest.mark.parametrize("text", ["[]", "3", "null", '"a"', "{}", "\x00", '{"fingerprint": 1}'])
def test_other_json_is_found(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(CacheDamaged, match="is not readable as a manifest"):
        read_manifest(tmp_path, FINGERPRINT)


def test_bytes_that_are_no_text_are_found(tmp_path):
    (tmp_path / "manifest.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CacheDamaged, match="is not readable as a manifest"):
        read_manifest(tmp_path, FINGERPRINT)


def edited(changes, is_resealed=True):
    fields = json.loads(manifest_bytes(WHOLE))
    changes(fields["shards"])
    if is_resealed:
        sealed = {name: value for name, value in fields.items() if name != "sha256"}
        text = json.dumps(sealed, sort_keys=True, separators=(",", ":"))
        fields["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps(fields, indent=1) + "\n"


def test_every_flipped_bit_is_found(tmp_path):
    content = manifest_bytes(WHOLE)
    path = tmp_path / "manifest.json"
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(CacheDamaged):
            read_manifest(tmp_path, FINGERPRINT)


def test_an_edit_that_reads_well_is_found_by_the_checksum(tmp_path):
    text = edited(lambda shards: shards[0].update(rows=4), is_resealed=False)
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(CacheDamaged, match="its checksum differs"):
        read_manifest(tmp_path, FINGERPRINT)


def test_a_manifest_of_the_first_days_has_no_checksum_and_is_read(tmp_path):
    fields = json.loads(manifest_bytes(WHOLE))
    old = {name: fields[name] for name in ("fingerprint", "shards")}
    (tmp_path / "manifest.json").write_text(json.dumps(old))
    assert read_manifest(tmp_path, FINGERPRINT) == dataclasses.replace(WHOLE, files={}, viewed="")


@pytest.mark.parametrize(
    "changes",
    [
        lambda shards: shards.append(shards[0]),
        lambda shards: shards[0].update(rows="3"),
        lambda shards: shards[0].update(rows=True),
        lambda shards: shards[0].update(rows=-3),
        lambda shards: shards[0].update(rows=0),
        lambda shards: shards[1].update(rows=2),
        lambda shards: shards[0].update(file="../other/shards/00000.h5"),
        lambda shards: shards[0].update(file="/shards/00000.h5"),
        lambda shards: shards[0].update(file=None),
        lambda shards: shards[0].update(sha256="C" * 64),
        lambda shards: shards[0].update(failed=[3]),
        lambda shards: shards[0].update(failed=None),
        lambda shards: shards[0]["failed"][0].update(box=[1, 2, 3]),
        lambda shards: shards[0]["failed"][0].pop("reason"),
        lambda shards: shards[2].update(mended=[1]),
        lambda shards: shards[0].pop("plan"),
        lambda shards: shards.append(None),
    ],
)
def test_edits_are_found(tmp_path, changes):
    (tmp_path / "manifest.json").write_text(edited(lambda shards: None))
    assert read_manifest(tmp_path, FINGERPRINT) == WHOLE
    (tmp_path / "manifest.json").write_text(edited(changes))
    with pytest.raises(CacheDamaged, match=r"Run: fec cache repair test_edits"):
        read_manifest(tmp_path, FINGERPRINT)


def test_a_manifest_that_cannot_be_read_is_not_called_worthless(tmp_path):
    (tmp_path / "manifest.json").mkdir()  # any OSError will do
    with pytest.raises(CacheDamaged, match="cannot be read: Is a directory") as caught:
        read_manifest(tmp_path, FINGERPRINT)
    assert "Delete" not in str(caught.value)


def test_the_manifest_is_replaced_in_one_step(tmp_path):
    write_manifest(tmp_path, WHOLE)
    before = (tmp_path / "manifest.json").stat().st_ino
    write_manifest(tmp_path, WHOLE)
    assert (tmp_path / "manifest.json").stat().st_ino != before
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]
