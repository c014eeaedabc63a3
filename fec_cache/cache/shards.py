"""One sealed HDF5 shard: `face_id` and `features`, immutable once written.

Layout (docs/cache-format.md): root attributes `format_version`, `fingerprint`; dataset `face_id`
[n] S32; dataset `features` [n, D] float16 or float32; both with Fletcher32 checksums. After the
HDF5 data, where HDF5 does not look, come a table of the rows (see `shard_rows`) and the seal: the
sha256 of everything before it. So a shard can be checked without the manifest, and before HDF5,
which crashes on some damage, reads a byte.
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
# Two copies of the manifest would cost one more fsync per shard, and both could be out of date:
# a shard that checks itself needs neither (decision 6).
_SEAL = re.compile(rb"\nsha256 ([0-9a-f]{64})\n")
SEAL_BYTES = 73
"""Length of the seal, the last line of the file."""


@dataclass(frozen=True)
class Shard:
    """What one shard holds: n `face_ids`, and `features` [n, D] float16 or float32."""

    face_ids: tuple[str, ...]
    features: npt.NDArray[np.floating]


def write_shard(
    path: Path, fingerprint: str, face_ids: Sequence[str], features: npt.NDArray[np.floating]
) -> str:
    """Write a sealed shard.

    Args:
        path: of the new file.
        fingerprint: of the recipe that the features were made by.
        face_ids: n ids of 32 hex digits.
        features: [n, D] float16 or float32.

    Returns:
        Sha256 of the file, 64 hex digits.

    Raises:
        StorageFailed: the file could not be written.
    """
    # Built in memory and written by `write_atomically`: h5py 3.16 crashes on a full disk.
    image = _build(fingerprint, face_ids, features)
    image += f"\nsha256 {hashlib.sha256(image).hexdigest()}\n".encode()
    write_atomically(path, image)
    return hashlib.sha256(image).hexdigest()


def read_shard(path: Path, sha256: str, fingerprint: str) -> Shard:
    """Read a whole shard, after checking every byte of it.

    Raises:
        CacheDamaged: the file is missing, altered, truncated, or of another recipe.
    """
    return _parsed(path, checked_bytes(path, sha256), fingerprint)


def read_faces(
    path: Path, sha256: str, fingerprint: str, wanted: Collection[str], dtype: str
) -> Shard:
    """The rows of wanted faces, after checking every byte that is returned.

    The whole shard is read if more than half of it is wanted or its table of rows is not intact.

    Raises:
        CacheDamaged: see `read_shard`.
    """
    # Three of 1,000 rows of 8 kB take less than a ninetieth of the shard's bytes.
    selected = read_rows(path, SEAL_BYTES, fingerprint, wanted, dtype)
    if selected is not None:
        return Shard(*selected)
    shard = read_shard(path, sha256, fingerprint)
    rows = [row for row, face_id in enumerate(shard.face_ids) if face_id in wanted]
    return Shard(tuple(shard.face_ids[row] for row in rows), shard.features[rows])


def sealed_shard(path: Path, fingerprint: str) -> tuple[str, Shard]:
    """Read a shard that is in no manifest, checked by its own seal.

    Returns:
        Sha256 of the file, and what it holds.

    Raises:
        CacheDamaged: the file is missing, altered, truncated, or of another recipe.
    """
    content = _bytes_of(path)
    seal = _SEAL.fullmatch(content[-SEAL_BYTES:])
    if not seal or hashlib.sha256(content[:-SEAL_BYTES]).hexdigest() != seal[1].decode():
        raise CacheDamaged(_damage(path, "does not match its own seal"))
    return hashlib.sha256(content).hexdigest(), _parsed(path, content, fingerprint)


def _parsed(path: Path, content: bytes, fingerprint: str) -> Shard:
    try:
        # In memory: what HDF5 reads are the very bytes whose sha256 was checked.
        with h5py.File.in_memory(content) as file:
            version, owner = file.attrs["format_version"], file.attrs["fingerprint"]
            ids = file["face_id"][:]
            features = file["features"][:]
    except (OSError, KeyError, ValueError) as error:
        raise CacheDamaged(_damage(path, f"is not a shard of features ({error})")) from error
    if version != FORMAT_VERSION:
        raise CacheDamaged(
            _damage(path, f"has format {version}, but this release reads {FORMAT_VERSION}")
        )
    if owner != fingerprint:
        raise CacheDamaged(_damage(path, f"belongs to recipe {owner[:8]}, not {fingerprint[:8]}"))
    return Shard(tuple(face_id.decode() for face_id in ids), features)


def checked_bytes(path: Path, sha256: str) -> bytes:
    """The bytes of a shard, if they match the manifest's sha256.

    Raises:
        CacheDamaged: the file is missing or differs from what the manifest says.
    """
    content = _bytes_of(path)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise CacheDamaged(_damage(path, "is not what was written: its sha256 differs"))
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
        # The table needs the offsets of the chunks, which are known once they are written.
        file.flush()
        table = row_table(file["features"], fingerprint, face_ids, features)
        return bytes(file.id.get_file_image()) + table


def _damage(path: Path, problem: str) -> str:
    return (
        f"Shard {path} {problem}. Run the same `fec extract` again: it drops the damaged shard "
        "and recomputes only its faces."
    )
