from collections import Counter

import numpy as np
import pytest

from fec_cache.datasets.synthetic.raters import (
    FEC_AGREEMENT,
    MAX_RATERS,
    average_agreement,
    count_votes,
    judge,
    pair_distances,
    tied_rows,
)


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(11).uniform(0, 1, (4000, 3, 13))


@pytest.fixture(scope="module")
def judged(points):
    return judge(points, np.random.default_rng(5))


def test_distances_stand_in_the_place_of_the_face_left_out():
    faces = np.array([[[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]])
    # Faces 2 and 3, then 1 and 3, then 1 and 2.
    assert pair_distances(faces)[0].tolist() == pytest.approx([np.sqrt(18), 1.0, 5.0])


def test_votes_ties_and_agreement_by_hand():
    answers = np.array([
        [1, 1, 1, 1, 1, 2, 0, 0],  # 5 of 6
        [3, 3, 3, 3, 3, 3, 3, 0],  # 7 of 7
        [1, 1, 1, 2, 2, 2, 0, 0],  # a tie
        [1, 1, 2, 2, 3, 3, 3, 3],  # 4 of 8
    ])  # fmt: skip
    assert count_votes(answers).tolist() == [[5, 1, 0], [0, 0, 7], [3, 3, 0], [2, 2, 4]]
    assert tied_rows(answers).tolist() == [False, False, True, False]
    assert average_agreement(answers) == pytest.approx((5 + 7 + 4) / (6 + 7 + 8))


def test_agreement_of_ties_alone_is_unknown():
    assert np.isnan(average_agreement(np.array([[1, 2, 3, 0, 0, 0, 0, 0]])))


def test_average_rater_agrees_as_often_as_fec_raters(judged):
    assert FEC_AGREEMENT == 0.862
    assert judged.agreement == pytest.approx(0.862, abs=0.005)
    slow = []
    for row in judged.answers.tolist():
        votes = Counter(answer for answer in row if answer).most_common()
        if len(votes) == 1 or votes[0][1] > votes[1][1]:
            slow += [answer == votes[0][0] for answer in row if answer]
    assert np.mean(slow) == pytest.approx(judged.agreement)


def test_six_to_eight_different_raters_a_row(judged):
    sizes = Counter((judged.answers > 0).sum(axis=1).tolist())
    assert set(sizes) == {6, 7, 8}
    assert sizes[6] / 4000 == pytest.approx(0.88, abs=0.02)
    for raters, answers in zip(judged.raters, judged.answers, strict=True):
        present = raters[answers > 0]
        assert len(set(present.tolist())) == len(present)
        assert (raters[answers == 0] == -1).all()
    assert judged.answers.shape == (4000, MAX_RATERS)


def test_ties_happen_but_are_rare(judged):
    assert judged.num_ties == tied_rows(judged.answers).sum()
    assert 40 < judged.num_ties < 600


def test_majority_mostly_names_the_face_that_is_farthest(points, judged):
    truth = pair_distances(points).argmin(axis=1) + 1
    majority = count_votes(judged.answers).argmax(axis=1) + 1
    clear = ~tied_rows(judged.answers)
    assert (truth == majority)[clear].mean() > 0.9


def test_near_ties_in_distance_are_harder(points, judged):
    ordered = np.sort(pair_distances(points), axis=1)
    margin = ordered[:, 1] - ordered[:, 0]
    top = count_votes(judged.answers).max(axis=1) / (judged.answers > 0).sum(axis=1)
    hard, easy = margin < np.quantile(margin, 0.2), margin > np.quantile(margin, 0.8)
    assert top[easy].mean() > 0.95
    assert top[hard].mean() < 0.8


def test_other_target_other_noise(points):
    careful = judge(points[:800], np.random.default_rng(5), target=0.95)
    careless = judge(points[:800], np.random.default_rng(5), target=0.7)
    assert careful.agreement == pytest.approx(0.95, abs=0.01)
    assert careless.agreement == pytest.approx(0.7, abs=0.01)
    assert careful.noise < careless.noise


def test_same_generator_same_answers(points, judged):
    again = judge(points, np.random.default_rng(5))
    assert (again.answers == judged.answers).all()
    assert again.noise == judged.noise
    other = judge(points, np.random.default_rng(6))
    assert (other.answers != judged.answers).any()
