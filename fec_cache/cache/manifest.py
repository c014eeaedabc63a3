"""The manifest: the one file that decides which shards a cache consists of."""

import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from fec_cache.cache.folders import MANIFEST_NAME
from fec_cache.datasets.boxes import Box
from fec_cache.errors import CacheDamaged
from fec_cache.system.atomic import write_atomically
from fec_cache.system.sealed_json import digest_json, open_sealed, seal_json

_SHARD_FILE = re.compile(r"shards/\d{5,}\.h5")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Manifests of every release have this key, and `Manifest.state` digests it: it cannot be renamed.
_RECOVERED = "mended"


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

    `plan` covers the planned faces in order, failed ones included. If no face of a piece could be
    used, its entry has no file and 0 rows. `recovered` are ids in this shard that failed in an
    earlier one. The earlier entry still lists them, so they are retried if this shard is dropped.
    """

    file: str
    rows: int
    sha256: str
    plan: str
    failed: tuple[FailedFace, ...] = ()
    recovered: tuple[str, ...] = ()

    @property
    def number(self) -> int:
        """Number of the shard's file; -1 without a file."""
        return int(Path(self.file).stem) if self.file else -1

    def with_reasons(self, failures: Mapping[str, FailedFace]) -> "ShardEntry":
        """This entry with the newest reason for each face that failed again.

        Args:
            failures: face id -> the newest failure.
        """
        return replace(self, failed=tuple(failures.get(f.face_id, f) for f in self.failed))

    def to_dict(self) -> dict[str, Any]:
        """The entry as it is spelled in the file."""
        fields = asdict(self)
        fields[_RECOVERED] = fields.pop("recovered")
        return fields


@dataclass(frozen=True)
class Manifest:
    """The shards of a cache, in order.

    `files` maps the names of the folder's views to their sha256 when they were last written;
    `viewed` is the `state` that those views show.
    """

    fingerprint: str
    shards: tuple[ShardEntry, ...] = field(default=())
    files: Mapping[str, str] = field(default_factory=dict)
    viewed: str = ""

    @property
    def state(self) -> str:
        """Digest of what the shards hold and which faces failed: equal states, equal views."""
        return digest_json([shard.to_dict() for shard in self.shards])

    @property
    def num_faces(self) -> int:
        """Number of faces with a feature."""
        return sum(shard.rows for shard in self.shards)

    @property
    def failed(self) -> tuple[FailedFace, ...]:
        """Faces of all shards that could not be used and have not been recovered since."""
        recovered = {face_id for shard in self.shards for face_id in shard.recovered}
        faces = (face for shard in self.shards for face in shard.failed)
        return tuple(face for face in faces if face.face_id not in recovered)

    @property
    def free_number(self) -> int:
        """The smallest number that no shard has."""
        # A recomputed shard takes the place of the dropped one, so readers see the same row order.
        taken = {shard.number for shard in self.shards}
        return next(number for number in itertools.count() if number not in taken)


def read_manifest(folder: Path, fingerprint: str | None) -> Manifest:
    """The manifest of a cache folder; an empty one if nothing has been sealed yet.

    Args:
        folder: the cache folder.
        fingerprint: of the recipe that the manifest must name; None accepts any.

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
            f"{path} cannot be read: {error.strerror or error}. Check its permissions and the disk."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CacheDamaged(
            f"{path} is not readable as a manifest ({error}). Run: fec cache repair "
            f"{folder.name}. It rebuilds the manifest from the shards, and so does `fec extract`."
        ) from error
    if fingerprint not in (None, manifest.fingerprint):
        raise CacheDamaged(
            f"{path} belongs to recipe {manifest.fingerprint[:8]}, but the folder's recipe.json is "
            f"{str(fingerprint)[:8]}. Files of two cache folders were mixed: delete this folder, "
            "or restore its own files."
        )
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest in one step."""
    write_atomically(folder / MANIFEST_NAME, manifest_bytes(manifest))


def manifest_bytes(manifest: Manifest) -> bytes:
    """The bytes of a manifest's file, with its checksum."""
    shards = [shard.to_dict() for shard in manifest.shards]
    return seal_json({**asdict(manifest), "shards": shards})


def _parse(content: bytes) -> Manifest:
    fields = json.loads(content.decode())
    # Manifests of the first release had no checksum. No flipped bit makes a current one look like
    # them: it would have to remove three fields.
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
    # Checked although there is a checksum: manifests of the first release have none.
    files = [shard.file for shard in manifest.shards if shard.file]
    if len(set(files)) < len(files):
        raise ValueError("a shard is listed twice")
    return manifest


def _entry(fields: Mapping[str, Any]) -> ShardEntry:
    file, rows, sha256 = _text(fields["file"]), fields["rows"], _text(fields["sha256"])
    if type(rows) is not int or rows < 0:
        raise ValueError(f"rows is {rows!r}")
    # Paths are checked because readers open them: `../other/shards/00000.h5` is not ours.
    if rows and not (_SHARD_FILE.fullmatch(file) and _SHA256.fullmatch(sha256)):
        raise ValueError(f"{file!r} with sha256 {sha256!r} is not a shard")
    if not rows and file:
        raise ValueError(f"{file!r} has no rows")
    failed = tuple(map(_failed_face, fields["failed"]))
    recovered = tuple(map(_text, fields.get(_RECOVERED, ())))
    return ShardEntry(file, rows, sha256, _text(fields["plan"]), failed, recovered)


def _failed_face(fields: Mapping[str, Any]) -> FailedFace:
    left, right, top, bottom = map(float, fields["box"])
    face_id, image, reason = (_text(fields[name]) for name in ("face_id", "image", "reason"))
    return FailedFace(face_id, image, (left, right, top, bottom), reason)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value
