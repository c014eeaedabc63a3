"""Reads some rows of a shard without the rest, by a table of row offsets after the HDF5 data.

The table holds a digest of each row and ends with a digest of itself, so every byte that is used
has been checked. If anything does not fit, the caller reads the whole shard, which names the
damage. The layout is described in docs/cache-format.md.
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
_ROW = np.dtype([("face_id", f"S{FACE_ID_LENGTH}"), ("offset", "<u8"), ("digest", "V16")])
_END = re.compile(rb"\nrows ([0-9]{12}) ([0-9a-f]{64})\n")
_END_BYTES = 84


def row_table(
    dataset: h5py.Dataset,
    fingerprint: str,
    face_ids: Sequence[str],
    features: npt.NDArray[np.floating],
) -> bytes:
    """The table of a shard's rows, as bytes.

    Args:
        dataset: the features as HDF5 stores them: uncompressed chunks of whole rows, flushed.
        fingerprint: of the recipe.
        face_ids: n ids.
        features: [n, D] float16 or float32, the same as in `dataset`.
    """
    row_bytes = features.shape[1] * features.itemsize
    rows = np.empty(len(features), _ROW)
    rows["face_id"] = face_ids
    rows["digest"] = [_digest(row.tobytes()) for row in features]
    for number in range(dataset.id.get_num_chunks()):
        chunk = dataset.id.get_chunk_info(number)
        inside = np.arange(min(dataset.chunks[0], len(rows) - chunk.chunk_offset[0]))
        rows["offset"][chunk.chunk_offset[0] + inside] = chunk.byte_offset + inside * row_bytes
    table = f"{fingerprint} {row_bytes:012d}\n".encode() + rows.tobytes()
    return table + f"\nrows {len(table):012d} {hashlib.sha256(table).hexdigest()}\n".encode()


def read_rows(
    path: Path, end: int, fingerprint: str, wanted: Collection[str], dtype: str
) -> tuple[tuple[str, ...], npt.NDArray[np.floating]] | None:
    """Read the rows of wanted faces, each checked, in the shard's order.

    Args:
        path: the shard.
        end: number of bytes after the table.
        fingerprint: of the recipe.
        wanted: face ids; ids that are not in this shard are ignored.
        dtype: of the stored numbers, `float16` or `float32`.

    Returns:
        n face ids and their features [n, D]; None if the shard must be read whole: it has no
        table, something does not fit, or more than half of its rows are wanted.
    """
    try:
        with path.open("rb", buffering=0) as file:
            table = _read_table(file, end, fingerprint)
            if table is None:
                return None
            row_bytes, rows = table
            is_wanted = np.array([name.decode() in wanted for name in rows["face_id"]], bool)
            if 2 * is_wanted.sum() > len(rows):
                return None
            selected = rows[is_wanted]
            parts = [_read(file, offset, row_bytes) for offset in selected["offset"].tolist()]
    except (OSError, ValueError):  # e.g. an offset beyond the end of the file
        return None
    if [_digest(part) for part in parts] != [bytes(digest) for digest in selected["digest"]]:
        return None
    features = np.empty((len(parts), row_bytes // np.dtype(dtype).itemsize), dtype)
    for row, part in zip(features, parts, strict=True):
        row[:] = np.frombuffer(part, dtype)
    return tuple(name.decode() for name in selected["face_id"]), features


def _read_table(
    file: FileIO, end: int, fingerprint: str
) -> tuple[int, npt.NDArray[np.void]] | None:
    """Bytes per row and the table's rows; None unless the table is intact and of this recipe."""
    table_end = file.seek(0, 2) - end
    match = _END.fullmatch(_read(file, table_end - _END_BYTES, _END_BYTES))
    if match is None:
        return None
    size = int(match[1])
    table = _read(file, table_end - _END_BYTES - size, size)
    head, _, rows = table.partition(b"\n")
    is_intact = hashlib.sha256(table).hexdigest() == match[2].decode()
    if not is_intact or head[: len(fingerprint)].decode() != fingerprint:
        return None
    return int(head.split()[1]), np.frombuffer(rows, _ROW)


def _read(file: FileIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size) or b""


def _digest(row: bytes) -> bytes:
    return hashlib.blake2b(row, digest_size=_DIGEST_BYTES).digest()
