"""Which shards count: the one file that decides what a cache holds."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fec_cache.datasets.boxes import Box
from fec_cache.errors import CacheDamaged
from fec_cache.system.atomic import write_atomically
from fec_cache.system.sealed_json import digest_json, open_sealed, seal_json

MANIFEST_NAME = "manifest.json"
_SHARD_FILE = re.compile(r"shards/\d{5,}\.h5")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FailedFace:
    """A face whose picture could not be used, and why."""

    face_id: str
    image: str
    box: Box
    reason: str


@dataclass(frozen=True)
class ShardEntry:
    """One sealed shard: its file, rows, checksum and the digest of the faces planned for it.

    `plan` covers the planned faces in order, the failed ones too. A shard none of whose faces could
    be used has no file and 0 rows. `mended` are ids in this shard that failed in an earlier one:
    that one lists them still, so that they are retried if this shard is ever struck.
    """

    file: str
    rows: int
    sha256: str
    plan: str
    failed: tuple[FailedFace, ...] = ()
    mended: tuple[str, ...] = ()

    @property
    def number(self) -> int:
        """Number of the shard's file; -1 where there is none."""
        return int(Path(self.file).stem) if self.file else -1


@dataclass(frozen=True)
class Manifest:
    """The shards that count, in order.

    `files` gives the sha256 of the folder's other files as they were last written, `viewed` the
    `state` that the views among them show.
    """

    fingerprint: str
    shards: tuple[ShardEntry, ...] = field(default=())
    files: Mapping[str, str] = field(default_factory=dict)
    viewed: str = ""

    @property
    def state(self) -> str:
        """Names what the shards hold and which faces failed: equal states have equal views."""
        return digest_json([asdict(shard) for shard in self.shards])

    @property
    def num_faces(self) -> int:
        """Faces with a feature."""
        return sum(shard.rows for shard in self.shards)

    @property
    def failed(self) -> tuple[FailedFace, ...]:
        """Faces that could not be used and were not mended since, over all shards."""
        mended = {face_id for shard in self.shards for face_id in shard.mended}
        faces = (face for shard in self.shards for face in shard.failed)
        return tuple(face for face in faces if face.face_id not in mended)


def read_manifest(folder: Path, fingerprint: str | None) -> Manifest:
    """The manifest of a cache folder; an empty one where nothing was sealed yet.

    Args:
        folder: of the cache.
        fingerprint: that the manifest must name; None takes any.

    Raises:
        CacheDamaged: the file is not a manifest of this recipe, or cannot be read.
    """
    path = folder / MANIFEST_NAME
    try:
        manifest = _parse(path.read_bytes())
    except FileNotFoundError:
        return Manifest(fingerprint or "")
    except OSError as error:
        raise CacheDamaged(
            f"{path} cannot be read: {error.strerror or error}. Mend its permissions or the disk."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CacheDamaged(
            f"{path} is not readable as a manifest ({error}). Run: fec cache repair "
            f"{folder.name}. It makes the manifest anew from the shards, and so does `fec extract`."
        ) from error
    if fingerprint not in (None, manifest.fingerprint):
        raise CacheDamaged(
            f"{path} belongs to recipe {manifest.fingerprint[:8]}, but the folder's recipe.json is "
            f"{str(fingerprint)[:8]}. Somebody mixed two folders: delete this one, or put its own "
            "files back."
        )
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest in one step."""
    write_atomically(folder / MANIFEST_NAME, manifest_bytes(manifest))


def manifest_bytes(manifest: Manifest) -> bytes:
    """The one spelling of a manifest, with its checksum."""
    return seal_json(asdict(manifest))


def _parse(content: bytes) -> Manifest:
    fields = json.loads(content.decode())
    # The first manifests had no checksum; no flipped bit makes one of today look like them.
    if set(fields) == {"fingerprint", "shards"}:
        fields = {**fields, "files": {}, "viewed": ""}
    else:
        fields = open_sealed(content)
    manifest = Manifest(
        _text(fields["fingerprint"]),
        tuple(map(_entry, fields["shards"])),
        {_text(name): _text(sha256) for name, sha256 in fields["files"].items()},
        _text(fields["viewed"]),
    )
    files = [shard.file for shard in manifest.shards if shard.file]
    if len(set(files)) < len(files):
        raise ValueError("a shard is named twice")
    return manifest


def _entry(fields: Mapping[str, Any]) -> ShardEntry:
    file, rows, sha256 = _text(fields["file"]), fields["rows"], _text(fields["sha256"])
    if type(rows) is not int or rows < 0:
        raise ValueError(f"rows is {rows!r}")
    # Without rows there is no file; a name that leads elsewhere is not one that we gave.
    if rows and not (_SHARD_FILE.fullmatch(file) and _SHA256.fullmatch(sha256)):
        raise ValueError(f"{file!r} with sha256 {sha256!r} is no shard")
    if not rows and file:
        raise ValueError(f"{file!r} has no rows")
    failed = tuple(map(_failed_face, fields["failed"]))
    mended = tuple(map(_text, fields.get("mended", ())))
    return ShardEntry(file, rows, sha256, _text(fields["plan"]), failed, mended)


def _failed_face(fields: Mapping[str, Any]) -> FailedFace:
    left, right, top, bottom = map(float, fields["box"])
    face_id, image, reason = (_text(fields[name]) for name in ("face_id", "image", "reason"))
    return FailedFace(face_id, image, (left, right, top, bottom), reason)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value
