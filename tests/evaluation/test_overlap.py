"""How an overlap of training and test is refused and worded."""

import pytest

from fec_cache.errors import FacesLeak
from fec_cache.evaluation.overlap import Overlap


def test_no_overlap_is_silent():
    Overlap().refuse_unless(False, "run")
    assert Overlap().in_words() == []


@pytest.mark.parametrize(
    ("overlap", "counts"),
    [
        (Overlap(1), "1 face"),
        (Overlap(0, ("Ann",)), "1 person (Ann)"),
        (Overlap(10, ("Ann", "Bo", "Cy")), "10 faces and 3 people (Ann, Bo, Cy)"),
        (Overlap(2, ("Ann", "Bo", "Cy", "Di")), "2 faces and 4 people (Ann, Bo, Cy, ...)"),
    ],
)
def test_an_overlap_is_refused_with_its_counts_unless_it_is_allowed(overlap, counts):
    with pytest.raises(FacesLeak) as caught:
        overlap.refuse_unless(False, "best")
    assert str(caught.value) == (
        f"{counts} of the test split already seen in training by best, so its figures would be "
        "too good. Fix the split, or go on with --allow-overlap."
    )
    overlap.refuse_unless(True, "best")
    assert overlap.in_words() == [
        f"{counts} of the test split WERE SEEN IN TRAINING: not comparable."
    ]
