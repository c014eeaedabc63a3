"""Faces -> pieces of work, each of which becomes one shard.

A piece depends only on the order of the faces and on what the cache holds, never on how far a
killed run got inside a piece. So resuming, repairing and retrying are one operation, and a
recomputed shard has the same bytes.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from fec_cache.extraction.config import SHARD_FACES
from fec_cache.faces.table import Face

_SHARD_BYTES = 64 << 20


@dataclass(frozen=True)
class WorkItem:
    """The faces of one future shard; `plan` is the digest of their ids in order.

    A retry holds faces that failed in an earlier run.
    """

    faces: tuple[Face, ...]
    plan: str
    is_retry: bool = False


def faces_per_shard(width: int, itemsize: int, wanted: int = SHARD_FACES) -> int:
    """Number of faces per shard so that its features stay under 64 MiB; at least one.

    Args:
        width: D, numbers per face.
        itemsize: bytes per number.
        wanted: maximum number of faces.
    """
    return max(1, min(wanted, _SHARD_BYTES // (width * itemsize)))


def plan_work(
    faces: Sequence[Face],
    stored: Collection[str],
    failed: Collection[str],
    shard_faces: int,
) -> tuple[WorkItem, ...]:
    """Split the faces that have no feature yet into pieces of work.

    Args:
        faces: all unique faces in stable order, including those with a feature.
        stored: ids of faces with a feature.
        failed: ids of faces that failed before.
        shard_faces: maximum number of faces per piece.

    Returns:
        Untouched pieces first, then faces added later to pieces already begun, then the retries.
    """
    whole: list[WorkItem] = []
    rest: list[Face] = []
    for chunk in _chunks(faces, shard_faces):
        open_faces = [f for f in chunk if f.face_id not in stored and f.face_id not in failed]
        if len(open_faces) == len(chunk):
            whole.append(_item(chunk))
        else:
            rest.extend(open_faces)
    retries = [f for f in faces if f.face_id in failed and f.face_id not in stored]
    added = [_item(chunk) for chunk in _chunks(rest, shard_faces)]
    retried = [_item(chunk, is_retry=True) for chunk in _chunks(retries, shard_faces)]
    return (*whole, *added, *retried)


def _item(faces: Sequence[Face], is_retry: bool = False) -> WorkItem:
    # A retry of a whole piece holds the same faces, but must not be mistaken for the piece.
    text = "\n".join(["retry"] * is_retry + [face.face_id for face in faces])
    return WorkItem(tuple(faces), hashlib.sha256(text.encode()).hexdigest()[:32], is_retry)


def _chunks(faces: Sequence[Face], size: int) -> Iterable[Sequence[Face]]:
    return (faces[i : i + size] for i in range(0, len(faces), size))
