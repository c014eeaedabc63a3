"""Which shards count: the one file that decides what a cache holds."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fec_cache.errors import CacheDamaged
from fec_cache.features.storage import write_atomically

MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True)
class FailedFace:
    """A face whose picture could not be used, and why."""

    face_id: str
    image: str
    box: tuple[float, float, float, float]
    reason: str


@dataclass(frozen=True)
class ShardEntry:
    """One sealed shard: its file, rows, checksum and the digest of the faces planned for it.

    `plan` covers the planned faces in order, the failed ones too, so that a later run recognises
    the piece of work as done. A shard none of whose faces could be used has no file and 0 rows.
    """

    file: str
    rows: int
    sha256: str
    plan: str
    failed: tuple[FailedFace, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """The shards that count, in order."""

    fingerprint: str
    shards: tuple[ShardEntry, ...] = field(default=())

    @property
    def num_faces(self) -> int:
        """Faces with a feature."""
        return sum(shard.rows for shard in self.shards)

    @property
    def failed(self) -> tuple[FailedFace, ...]:
        """Faces that could not be used, over all shards."""
        return tuple(face for shard in self.shards for face in shard.failed)


def read_manifest(folder: Path, fingerprint: str) -> Manifest:
    """The manifest of a cache folder; an empty one where nothing was sealed yet.

    Raises:
        CacheDamaged: the file is not a manifest of this recipe.
    """
    path = folder / MANIFEST_NAME
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        manifest = Manifest(fields["fingerprint"], tuple(map(_entry, fields["shards"])))
    except FileNotFoundError:
        return Manifest(fingerprint)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CacheDamaged(
            f"{path} is not readable as a manifest ({error}). Delete the folder {folder} and run "
            "`fec extract` again."
        ) from error
    if manifest.fingerprint != fingerprint:
        raise CacheDamaged(
            f"{path} belongs to recipe {manifest.fingerprint[:8]}, but the folder's recipe.json is "
            f"{fingerprint[:8]}. Delete the folder and run `fec extract` again."
        )
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest in one step."""
    text = json.dumps(asdict(manifest), indent=1, ensure_ascii=False)
    write_atomically(folder / MANIFEST_NAME, (text + "\n").encode())


def _entry(fields: dict[str, object]) -> ShardEntry:
    failed = fields.pop("failed")
    if not isinstance(failed, list):
        raise TypeError("failed is not a list")
    faces = (FailedFace(**{**face, "box": tuple(face["box"])}) for face in failed)
    return ShardEntry(failed=tuple(faces), **fields)  # type: ignore[arg-type]
