"""Some rows of a shard without the rest: a table behind the HDF5 file tells where each one stands.

Each row has a digest of its own in the table, and the table has one in the line that ends it, so
nothing is believed that was not checked. Where anything does not fit, the shard is read whole, and
what is wrong with it is found there.
"""

import hashlib
import re
from collections.abc import Collection, Sequence
from io import FileIO
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from fec_cache.faces.table import FACE_ID_LENGTH

_DIGEST_BYTES = 16
_ROW = np.dtype([("face_id", f"S{FACE_ID_LENGTH}"), ("place", "<u8"), ("digest", "V16")])
_END = re.compile(rb"\nrows ([0-9]{12}) ([0-9a-f]{64})\n")
_END_BYTES = 84


def row_table(
    dataset: h5py.Dataset,
    fingerprint: str,
    face_ids: Sequence[str],
    features: npt.NDArray[np.floating],
) -> bytes:
    """The table of a shard's rows.

    Args:
        dataset: the features as HDF5 holds them: whole rows in each chunk, brought to the file.
        fingerprint: of the recipe.
        face_ids: n ids.
        features: [n, D], what was written.
    """
    row_bytes = features.shape[1] * features.itemsize
    rows = np.empty(len(features), _ROW)
    rows["face_id"] = face_ids
    rows["digest"] = [_digest(row.tobytes()) for row in features]
    for number in range(dataset.id.get_num_chunks()):
        chunk = dataset.id.get_chunk_info(number)
        inside = np.arange(min(dataset.chunks[0], len(rows) - chunk.chunk_offset[0]))
        rows["place"][chunk.chunk_offset[0] + inside] = chunk.byte_offset + inside * row_bytes
    table = f"{fingerprint} {row_bytes:012d}\n".encode() + rows.tobytes()
    return table + f"\nrows {len(table):012d} {hashlib.sha256(table).hexdigest()}\n".encode()


def read_rows(
    path: Path, end: int, fingerprint: str, wanted: Collection[str], dtype: str
) -> tuple[tuple[str, ...], npt.NDArray[np.floating]] | None:
    """Rows of a shard's wanted faces, each checked, in the shard's order: ids and [n, D].

    Args:
        path: the shard.
        end: bytes behind the table.
        fingerprint: of the recipe.
        wanted: ids; those of other shards are no harm.
        dtype: of the stored numbers.

    Returns:
        None if the shard is to be read whole: it has no such table, something does not fit, or
        more than half of it is wanted.
    """
    try:
        with path.open("rb", buffering=0) as file:
            found = _table(file, end, fingerprint)
            if found is None:
                return None
            row_bytes, rows = found
            is_wanted = np.array([name.decode() in wanted for name in rows["face_id"]], bool)
            if 2 * is_wanted.sum() > len(rows):
                return None
            some = rows[is_wanted]
            parts = [_read(file, place, row_bytes) for place in some["place"].tolist()]
    except (OSError, ValueError):  # a place beyond the file, say
        return None
    if [_digest(part) for part in parts] != [bytes(digest) for digest in some["digest"]]:
        return None
    features = np.empty((len(parts), row_bytes // np.dtype(dtype).itemsize), dtype)
    for row, part in zip(features, parts, strict=True):
        row[:] = np.frombuffer(part, dtype)
    return tuple(name.decode() for name in some["face_id"]), features


def _table(file: FileIO, end: int, fingerprint: str) -> tuple[int, npt.NDArray[np.void]] | None:
    """Bytes of a row, and the rows of a sound table of this recipe."""
    last = file.seek(0, 2) - end
    match = _END.fullmatch(_read(file, last - _END_BYTES, _END_BYTES))
    if match is None:
        return None
    size = int(match[1])
    table = _read(file, last - _END_BYTES - size, size)
    head, _, rows = table.partition(b"\n")
    is_sound = hashlib.sha256(table).hexdigest() == match[2].decode()
    if not is_sound or head[: len(fingerprint)].decode() != fingerprint:
        return None
    return int(head.split()[1]), np.frombuffer(rows, _ROW)


def _read(file: FileIO, place: int, size: int) -> bytes:
    file.seek(place)
    return file.read(size) or b""


def _digest(row: bytes) -> bytes:
    return hashlib.blake2b(row, digest_size=_DIGEST_BYTES).digest()
