from collections import Counter

import pytest

from fec_cache.datasets.synthetic.config import SyntheticConfig
from fec_cache.datasets.synthetic.plan import plan_set
from fec_cache.datasets.synthetic.portrait.drawing import face_box
from fec_cache.datasets.synthetic.raters import average_agreement


@pytest.fixture(scope="module")
def full_plan():
    return plan_set(SyntheticConfig())


def test_full_set_has_fec_proportions_and_agreement(full_plan):
    plan = full_plan
    assert (len(plan.faces), len(plan.rows)) == (900, 4000)
    train = Counter(row.type for row in plan.rows if row.split == "train")
    assert train == {
        "ONE_CLASS_TRIPLET": 1088, "TWO_CLASS_TRIPLET": 1070, "THREE_CLASS_TRIPLET": 1042,
    }  # fmt: skip
    test = Counter(row.type for row in plan.rows if row.split == "test")
    assert test == {
        "ONE_CLASS_TRIPLET": 267, "TWO_CLASS_TRIPLET": 268, "THREE_CLASS_TRIPLET": 265,
    }  # fmt: skip
    assert plan.judgements.agreement == pytest.approx(0.862, abs=0.005)
    assert average_agreement(plan.judgements.answers) == plan.judgements.agreement
    assert plan.judgements.num_ties > 50
    two_faces = sum(len(picture.faces) == 2 for picture in plan.pictures)
    assert two_faces / len(plan.pictures) == pytest.approx(0.08, abs=0.03)


def test_full_set_uses_words_and_faces_evenly(full_plan):
    words = Counter(placed.face.word for placed in full_plan.faces)
    assert len(words) == 30
    assert min(words.values()) >= 20
    uses = Counter(face for row in full_plan.rows for face in row.faces)
    assert len(uses) == 900
    assert max(uses.values()) - min(uses.values()) <= 4
    assert len({frozenset(row.faces) for row in full_plan.rows}) == 4000


def test_more_triplets_leave_the_faces_as_they_are():
    few = plan_set(SyntheticConfig(faces=60, triplets=30))
    many = plan_set(SyntheticConfig(faces=60, triplets=90))
    assert few.pictures == many.pictures


def test_training_people_form_groups_that_share_no_triplet(full_plan):
    group_of = {}
    for row in full_plan.rows:
        people = {full_plan.faces[face].face.identity for face in row.faces}
        group = set().union(people, *(group_of.get(person, set()) for person in people))
        for person in group:
            group_of[person] = group
    groups = {frozenset(group) for group in group_of.values()}
    # 120 training people in ten groups, and the 30 people of the test split.
    assert sorted(len(group) for group in groups) == [12] * 10 + [30]


def test_splits_have_their_share_of_faces_and_triplets():
    plan = plan_set(SyntheticConfig(faces=60, triplets=40, test_share=0.25))
    assert Counter(placed.face.split for placed in plan.faces) == {"train": 45, "test": 15}
    assert Counter(row.split for row in plan.rows) == {"train": 30, "test": 10}


def test_boxes_hold_the_face_and_spare_the_edge(full_plan):
    for picture in full_plan.pictures[:40]:
        for placed in picture.faces:
            left, right, top, bottom = map(float, placed.box)
            tight = face_box(placed.face.person, picture.width, picture.height)
            assert 0.004 <= left <= max(tight[0], 0.004)
            assert 0.996 >= right >= min(tight[1], 0.996) - 1e-6
            assert 0.004 <= top <= max(tight[2], 0.004)
            assert 0.996 >= bottom >= min(tight[3], 0.996) - 1e-6
