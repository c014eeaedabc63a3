"""What of a test split a head has seen before, and what of it is missing."""

from collections.abc import Mapping
from dataclasses import dataclass

from fec_cache.cli.console import Console
from fec_cache.datasets.annotations import FaceRef
from fec_cache.datasets.face_labels import FaceLabel
from fec_cache.errors import FacesLeak
from fec_cache.evaluation.people import RowLabels, people_on_both_sides
from fec_cache.faces.digests import ImageDigests
from fec_cache.faces.table import identify_faces
from fec_cache.pairs.build import TripletCounts
from fec_cache.system.wording import counted, percent
from fec_cache.system.workspace import Workspace
from fec_cache.workflows.labelled import Labelled

_NUM_NAMED = 3
_MISSING = 0.1


@dataclass(frozen=True)
class Overlap:
    """Test faces that were seen in training, and names of test people who were, if known."""

    num_faces: int = 0
    people: tuple[str, ...] = ()

    def refuse_unless(self, is_allowed: bool, run: str) -> None:
        """Turn down figures that would be too good.

        Raises:
            FacesLeak: there is an overlap and nobody insists.
        """
        if (self.num_faces or self.people) and not is_allowed:
            raise FacesLeak(
                f"{self._counts()} of the test split already seen in training by {run}, so its "
                "figures would be too good. Mend the split, or insist with --allow-overlap."
            )

    def in_words(self) -> list[str]:
        """A line for under a table; none without an overlap."""
        if not (self.num_faces or self.people):
            return []
        return [f"{self._counts()} of the test split WERE SEEN IN TRAINING: not comparable."]

    def _counts(self) -> str:
        parts = [counted(self.num_faces, "face")] if self.num_faces else []
        if self.people:
            named = ", ".join(self.people[:_NUM_NAMED])
            more = ", ..." if len(self.people) > _NUM_NAMED else ""
            parts.append(f"{counted(len(self.people), 'person', 'people')} ({named}{more})")
        return " and ".join(parts)


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


def warn_of_missing(counts: TripletCounts, console: Console) -> None:
    """Say so where a good part of the test set cannot be measured."""
    share = counts.num_without_feature / max(1, counts.num_rows)
    if share > _MISSING:
        console.warn(
            f"{counts.num_without_feature} of {counted(counts.num_rows, 'test triplet')} "
            f"({percent(share)}) not measured, for want of a face's feature: figures describe the "
            "others, and compare only with figures on the same ones."
        )
