"""What is said, and refused, of faces and people seen in training."""

import pytest

from fec_cache.errors import FacesLeak
from fec_cache.evaluation.overlap import Overlap

SHOWN = "of the test split WERE SEEN IN TRAINING: not comparable."


def test_without_overlap_nothing_is_said_or_refused():
    Overlap().refuse_unless(is_allowed=False, run="first")
    assert Overlap().in_words() == []


@pytest.mark.parametrize(
    ("overlap", "counts"),
    [
        (Overlap(1), "1 face"),
        (Overlap(1200), "1200 faces"),
        (Overlap(people=("Ann",)), "1 person (Ann)"),
        (Overlap(2, ("Ann", "Bo", "Cy")), "2 faces and 3 people (Ann, Bo, Cy)"),
        (Overlap(0, ("Ann", "Bo", "Cy", "Di")), "4 people (Ann, Bo, Cy, ...)"),
    ],
)
def test_faces_and_people_are_counted_and_three_people_named(overlap, counts):
    assert overlap.in_words() == [f"{counts} {SHOWN}"]
    with pytest.raises(FacesLeak) as caught:
        overlap.refuse_unless(is_allowed=False, run="first")
    assert str(caught.value) == (
        f"first has seen {counts} of the test split in training, so its figures would be "
        "too good. Fix the split, or continue with --allow-overlap."
    )
    overlap.refuse_unless(is_allowed=True, run="first")
