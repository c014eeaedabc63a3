"""What of a test split a head has seen before, and what of it is missing."""

from collections.abc import Mapping

from fec_cache.datasets.annotations import FaceRef
from fec_cache.datasets.face_labels import FaceLabel
from fec_cache.evaluation.overlap import Overlap
from fec_cache.evaluation.people import RowLabels, people_on_both_sides
from fec_cache.faces.digests import ImageDigests
from fec_cache.faces.table import identify_faces
from fec_cache.pairs.build import TripletCounts
from fec_cache.pairs.labelled import Labelled
from fec_cache.system.reporter import Reporter
from fec_cache.system.wording import counted, percent
from fec_cache.system.workspace import Workspace

_MISSING = 0.1


def find_overlap(
    workspace: Workspace,
    seen: frozenset[str],
    labelled: Labelled,
    labels: Mapping[FaceRef, FaceLabel],
) -> Overlap:
    """Faces of the test triplets that were seen, and people of whom another picture was.

    Args:
        workspace: for the images behind the labels.
        seen: ids of faces that the head was trained or chosen on.
        labelled: the test split.
        labels: of the set's faces; without any, only faces are compared.
    """
    used = labelled.face_ids()
    num_faces = len(used & seen)
    if not labels:
        return Overlap(num_faces)
    refs = [ref for ref, label in labels.items() if label.identity]
    found = identify_faces(refs, workspace.images_dir, ImageDigests(workspace.cache_dir))
    ids = found.ids()
    trained = [labels[ref].identity for ref, face_id in ids.items() if face_id in seen]
    tested = [labels[ref].identity for ref, face_id in ids.items() if face_id in used]
    return Overlap(num_faces, tuple(sorted(people_on_both_sides(tested, trained))))


def row_labels(labelled: Labelled, labels: Mapping[FaceRef, FaceLabel]) -> RowLabels | None:
    """Labels by row of the matrix; None where not one face of the split has any."""
    known = {
        row: (labels[ref].identity, labels[ref].expression)
        for row, ref in labelled.picture_of.items()
        if ref in labels
    }
    return RowLabels.of_rows(len(labelled.matrix.face_ids), known) if known else None


def warn_of_missing(counts: TripletCounts, reporter: Reporter) -> None:
    """Say so where a good part of the test set cannot be measured."""
    share = counts.num_without_feature / max(1, counts.num_rows)
    if share > _MISSING:
        reporter.warning(
            f"{counts.num_without_feature} of {counted(counts.num_rows, 'test triplet')} "
            f"({percent(share)}) not measured, for want of a face's feature: figures describe the "
            "others, and compare only with figures on the same ones."
        )
