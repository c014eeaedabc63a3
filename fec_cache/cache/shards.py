"""One sealed HDF5 shard: `face_id` and `features`, immutable once written.

Layout (docs/cache-format.md): root attributes `format_version`, `fingerprint`; dataset `face_id`
[n] S32; dataset `features` [n, D] float16 or float32; both with Fletcher32 checksums. Behind the
HDF5 file, where HDF5 does not look, stand a table of its rows (see `shard_rows`) and the sha256 of
both: a shard can be checked without the manifest, and before HDF5, which crashes on some damage,
reads a byte.
"""

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from fec_cache.cache.shard_rows import read_rows, row_table
from fec_cache.errors import CacheDamaged
from fec_cache.faces.table import FACE_ID_LENGTH
from fec_cache.system.atomic import write_atomically

FORMAT_VERSION = 1
FACE_ID_DTYPE = f"S{FACE_ID_LENGTH}"
_CHUNK_BYTES = 1 << 20
_SEAL = re.compile(rb"\nsha256 ([0-9a-f]{64})\n")
SEAL_BYTES = 73
"""Length of the line at the end."""


@dataclass(frozen=True)
class Shard:
    """What one shard holds: `face_ids` n strings, `features` [n, D]."""

    face_ids: tuple[str, ...]
    features: npt.NDArray[np.floating]


def write_shard(
    path: Path, fingerprint: str, face_ids: Sequence[str], features: npt.NDArray[np.floating]
) -> str:
    """Seal a shard.

    The file is built in memory and written by our own writer: HDF5 itself crashes on a full disk.

    Args:
        path: where the shard is to lie.
        fingerprint: of the recipe the features were made by.
        face_ids: n ids of 32 letters.
        features: [n, D] float16 or float32.

    Returns:
        Sha256 of the file, 64 hex digits.

    Raises:
        StorageFailed: the disk would not take it.
    """
    image = _build(fingerprint, face_ids, features)
    image += f"\nsha256 {hashlib.sha256(image).hexdigest()}\n".encode()
    write_atomically(path, image)
    return hashlib.sha256(image).hexdigest()


def read_shard(path: Path, sha256: str, fingerprint: str) -> Shard:
    """Read a shard whole, after checking every byte of it.

    Raises:
        CacheDamaged: missing, altered, truncated, or of another recipe.
    """
    return _parsed(path, checked_bytes(path, sha256), fingerprint)


def read_faces(
    path: Path, sha256: str, fingerprint: str, wanted: Collection[str], dtype: str
) -> Shard:
    """The rows of some faces, after checking every byte that is given out.

    Where more than half of a shard is wanted, and where there is no sound table of its rows, the
    shard is read whole.

    Raises:
        CacheDamaged: as `read_shard` does.
    """
    found = read_rows(path, SEAL_BYTES, fingerprint, wanted, dtype)
    if found is not None:
        return Shard(*found)
    shard = read_shard(path, sha256, fingerprint)
    rows = [row for row, face_id in enumerate(shard.face_ids) if face_id in wanted]
    return Shard(tuple(shard.face_ids[row] for row in rows), shard.features[rows])


def sealed_shard(path: Path, fingerprint: str) -> tuple[str, Shard]:
    """A shard that no manifest vouches for, checked by its own seal; its sha256 and what it holds.

    Raises:
        CacheDamaged: missing, altered, truncated, or of another recipe.
    """
    content = _bytes_of(path)
    seal = _SEAL.fullmatch(content[-SEAL_BYTES:])
    if not seal or hashlib.sha256(content[:-SEAL_BYTES]).hexdigest() != seal[1].decode():
        raise CacheDamaged(_damage(path, "does not bear the seal of its own bytes"))
    return hashlib.sha256(content).hexdigest(), _parsed(path, content, fingerprint)


def _parsed(path: Path, content: bytes, fingerprint: str) -> Shard:
    try:
        with h5py.File.in_memory(content) as file:
            version, found = file.attrs["format_version"], file.attrs["fingerprint"]
            ids = file["face_id"][:]
            features = file["features"][:]
    except (OSError, KeyError, ValueError) as error:
        raise CacheDamaged(_damage(path, f"is no shard of ours ({error})")) from error
    if version != FORMAT_VERSION:
        raise CacheDamaged(_damage(path, f"has format {version}, but {FORMAT_VERSION} is known"))
    if found != fingerprint:
        raise CacheDamaged(_damage(path, f"belongs to recipe {found[:8]}, not {fingerprint[:8]}"))
    return Shard(tuple(face_id.decode() for face_id in ids), features)


def checked_bytes(path: Path, sha256: str) -> bytes:
    """A shard's bytes, if they are the ones that were sealed.

    Raises:
        CacheDamaged: the file is missing or differs from what the manifest says.
    """
    content = _bytes_of(path)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise CacheDamaged(_damage(path, "is not what was sealed: its sha256 differs"))
    return content


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        problem = f"cannot be read ({error.strerror or error})"
        raise CacheDamaged(_damage(path, problem)) from error


def _build(fingerprint: str, face_ids: Sequence[str], features: npt.NDArray[np.floating]) -> bytes:
    num_faces, width = features.shape
    rows = max(1, min(num_faces, _CHUNK_BYTES // max(1, width * features.itemsize)))
    with h5py.File.in_memory() as file:
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["fingerprint"] = fingerprint
        file.create_dataset(
            "face_id",
            data=np.array(face_ids, dtype=FACE_ID_DTYPE),
            chunks=(num_faces,),
            fletcher32=True,
        )
        file.create_dataset("features", data=features, chunks=(rows, width), fletcher32=True)
        file.flush()
        table = row_table(file["features"], fingerprint, face_ids, features)
        return bytes(file.id.get_file_image()) + table


def _damage(path: Path, problem: str) -> str:
    return (
        f"Shard {path} {problem}. Run the same `fec extract` again: it drops the damaged shard "
        "and computes only its faces anew."
    )
