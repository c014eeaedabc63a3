"""How much of a test split a head has seen before, and how much of it cannot be measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fec_cache.datasets.annotations import FaceRef
from fec_cache.datasets.face_labels import FaceLabel, read_face_labels
from fec_cache.evaluation.overlap import Overlap
from fec_cache.evaluation.people import RowLabels, people_on_both_sides
from fec_cache.faces.digests import ImageDigests
from fec_cache.faces.table import identify_faces
from fec_cache.pairs.build import TripletCounts
from fec_cache.pairs.labelled import Labelled
from fec_cache.runs.checkpoint import load_seen_faces
from fec_cache.runs.config import RunConfig
from fec_cache.system.reporter import Reporter
from fec_cache.system.wording import counted, percent
from fec_cache.system.workspace import Workspace

_LARGEST_MISSING_SHARE = 0.1


@dataclass(frozen=True)
class LeakCheck:
    """Refuses heads that have seen faces or people of the test split.

    `labels` name the people on the set's faces; without any, only faces are compared.
    """

    workspace: Workspace
    labels: Mapping[FaceRef, FaceLabel]
    is_overlap_allowed: bool = False

    @classmethod
    def of(cls, workspace: Workspace, is_overlap_allowed: bool) -> "LeakCheck":
        """A check with the labels of the data folder."""
        return cls(workspace, read_face_labels(workspace.data_dir), is_overlap_allowed)

    def overlap(self, folder: Path, config: RunConfig, labelled: Labelled) -> Overlap:
        """The part of a test split that a run's head has seen.

        Raises:
            FacesLeak: there is an overlap, and it is not allowed.
        """
        seen = load_seen_faces(folder, config)
        overlap = find_overlap(self.workspace, seen, labelled, self.labels)
        overlap.refuse_unless(self.is_overlap_allowed, folder.name)
        return overlap


def find_overlap(
    workspace: Workspace,
    seen: frozenset[str],
    labelled: Labelled,
    labels: Mapping[FaceRef, FaceLabel],
) -> Overlap:
    """Test faces that were seen in training, and test people on other pictures seen there.

    Args:
        workspace: for the images behind the labels.
        seen: ids of all faces that were used to train or choose the head.
        labelled: the test split.
        labels: of the set's faces; without any, only faces are compared.
    """
    used = labelled.face_ids()
    num_faces = len(used & seen)
    if not labels:
        return Overlap(num_faces)
    refs = [ref for ref, label in labels.items() if label.identity]
    faces = identify_faces(refs, workspace.images_dir, ImageDigests(workspace.cache_dir))
    ids = faces.ids()
    trained = [labels[ref].identity for ref, face_id in ids.items() if face_id in seen]
    tested = [labels[ref].identity for ref, face_id in ids.items() if face_id in used]
    return Overlap(num_faces, tuple(sorted(people_on_both_sides(tested, trained))))


def row_labels(labelled: Labelled, labels: Mapping[FaceRef, FaceLabel]) -> RowLabels | None:
    """Labels by row of the feature matrix; None if no face of the split has any."""
    known = {
        row: (labels[ref].identity, labels[ref].expression)
        for row, ref in labelled.picture_of.items()
        if ref in labels
    }
    return RowLabels.of_rows(len(labelled.matrix.face_ids), known) if known else None


def warn_of_missing(counts: TripletCounts, reporter: Reporter) -> None:
    """Warn if more than a tenth of the test triplets cannot be measured."""
    share = counts.num_without_feature / max(1, counts.num_rows)
    if share > _LARGEST_MISSING_SHARE:
        reporter.warning(
            f"{counts.num_without_feature} of {counted(counts.num_rows, 'test triplet')} "
            f"({percent(share)}) not measured, because a face has no features. The figures "
            "describe the others and can only be compared with figures on the same triplets."
        )
