"""Annotations of a data folder -> the table of its faces."""

from fec_cache.datasets.annotations import (
    SPLITS,
    Annotations,
    find_annotations,
    read_annotations,
)
from fec_cache.datasets.image_paths import is_url
from fec_cache.errors import MissingData
from fec_cache.faces.digests import ImageDigests
from fec_cache.faces.table import FaceTable, identify_faces, unique_refs
from fec_cache.system.reporter import Reporter
from fec_cache.system.wording import counted
from fec_cache.system.workspace import Workspace


def read_splits(workspace: Workspace, reporter: Reporter) -> list[Annotations]:
    """Annotations of train.csv and, if there is one, of test.csv.

    Raises:
        MissingData: there is no train.csv.
    """
    splits = []
    for split in SPLITS:
        try:
            path = find_annotations(workspace.data_dir, split)
        except MissingData:
            if split == "train":
                raise
            reporter.warning(f"{workspace.data_dir} has no test split; only train.csv is used.")
            continue
        splits.append(read_annotations(path))
    return splits


def table_of_faces(
    workspace: Workspace,
    annotations: list[Annotations],
    reporter: Reporter,
    digests: ImageDigests | None = None,
) -> FaceTable:
    """The unique faces of annotations, identified by their images' bytes.

    Args:
        workspace: the folders.
        annotations: of one split or of both.
        reporter: for progress.
        digests: how images are read; by default with the settings of `ImageDigests`.

    Raises:
        MissingData: no face has an image.
    """
    refs = unique_refs(triplet for part in annotations for triplet in part.triplets)
    workspace.cache_dir.mkdir(parents=True, exist_ok=True)
    with reporter.progress("Looking at images", "images") as step:
        faces = identify_faces(
            refs,
            workspace.images_dir,
            digests or ImageDigests(workspace.cache_dir),
            lambda done, total: step(done, total, ""),
        )
    if not faces.present:
        first = faces.missing[0]
        fetch = f" Fetch them: fec download --data {workspace.data_dir}"
        raise MissingData(
            f"None of {counted(len(refs), 'face')} has an image. The first, "
            f"{first.ref.image_path}: "
            f"{first.reason}. Expected the images in {workspace.images_dir}."
            f"{fetch if is_url(first.ref.image) else ''}"
        )
    return faces
