"""From triplets to the unique faces that they contain, each with a `face_id` from its content."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from fec_cache.datasets.annotations import FaceRef, Triplet
from fec_cache.faces.digests import ImageDigests

FACE_ID_LENGTH = 32
ProgressCallback = Callable[[int, int], None]


@dataclass(frozen=True)
class Face:
    """A face that has an image file."""

    face_id: str
    ref: FaceRef


@dataclass(frozen=True)
class MissingFace:
    """A face without a usable image file, and why."""

    ref: FaceRef
    reason: str


@dataclass(frozen=True)
class FaceTable:
    """Unique faces in stable order, split into those with an image and those without.

    `present` may contain a `face_id` several times: the same image bytes and box under two names.
    """

    present: tuple[Face, ...]
    missing: tuple[MissingFace, ...]

    def ids(self) -> dict[FaceRef, str]:
        """Return the `face_id` of every face that has an image."""
        return {face.ref: face.face_id for face in self.present}

    def unique(self) -> tuple[Face, ...]:
        """Return the first face of each `face_id`, in order."""
        seen: dict[str, Face] = {}
        for face in self.present:
            seen.setdefault(face.face_id, face)
        return tuple(seen.values())


def unique_refs(triplets: Iterable[Triplet]) -> tuple[FaceRef, ...]:
    """Return the faces of the triplets, each once, sorted by image and box.

    The order does not depend on the order of the triplets, and the faces of one image are
    neighbours, so that an image is decoded once.
    """
    # By object first: hashing every occurrence of a face would take four times as long.
    objects = {id(ref): ref for triplet in triplets for ref in triplet.faces}
    return tuple(sorted(set(objects.values()), key=lambda ref: (ref.image, ref.box)))


def face_id_of(image_sha256: str, ref: FaceRef) -> str:
    """Return the identity of a face: sha256 of the image's sha256 and the box, 32 hex digits.

    File names do not matter: the same bytes and box under two names are one face, and changed
    bytes under the same name are another face.
    """
    # Adding 0.0 turns -0.0 into 0.0: equal boxes must give equal text.
    box = ",".join((side + 0.0).hex() for side in ref.box)
    return hashlib.sha256(f"{image_sha256}|{box}".encode()).hexdigest()[:FACE_ID_LENGTH]


def identify_faces(
    refs: Iterable[FaceRef],
    images_dir: Path,
    digests: ImageDigests,
    on_progress: ProgressCallback | None = None,
) -> FaceTable:
    """Give each face its `face_id`, reading only images that are new or changed.

    If `images_dir` does not exist at all, digests of an earlier run are used, so that heads can be
    trained on a machine that has only the annotations and the cache.

    Args:
        refs: faces in the order of the table.
        images_dir: folder to which `FaceRef.image_path` is relative.
        digests: sha256 of images seen before.
        on_progress: called with the number of images done and the number of all images.
    """
    with_paths = [(ref, ref.image_path) for ref in refs]
    # Every image is hashed before anything is planned: the price of names by content (decision 2).
    shas = digests.lookup(images_dir, sorted({path for _, path in with_paths}), on_progress)
    present: list[Face] = []
    missing: list[MissingFace] = []
    for ref, path in with_paths:
        sha, reason = shas[path]
        if sha:
            present.append(Face(face_id_of(sha, ref), ref))
        else:
            missing.append(MissingFace(ref, reason))
    return FaceTable(tuple(present), tuple(missing))
