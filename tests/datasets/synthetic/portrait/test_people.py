from dataclasses import astuple

import numpy as np
import pytest

from fec_cache.datasets.synthetic.portrait.people import (
    random_identity,
    random_scene,
)

GREYS = {(126, 124, 126), (172, 172, 174), (214, 212, 210)}
VIVID = {(60, 120, 150), (176, 70, 110), (112, 84, 150)}


@pytest.fixture(scope="module")
def people():
    rng = np.random.default_rng(5)
    return [random_identity(rng) for _ in range(400)]


def test_a_seed_gives_the_person_it_always_gave():
    # The digests of drawn faces are in caches: the order of random draws must never change.
    rng = np.random.default_rng(0)
    identity, scene = random_identity(rng), random_scene(rng)
    assert (identity.skin, identity.hair, identity.iris) == (
        (198, 142, 102), (70, 46, 34), (86, 110, 70),
    )  # fmt: skip
    assert (identity.lips, identity.clothes) == ((190, 114, 90), (202, 156, 208))
    worn = (identity.hair_style, identity.beard, identity.glasses, identity.collar)
    assert worn == ("curly", "stubble", "none", "roll")
    numbers = [value for value in astuple(identity) if isinstance(value, float)]
    assert numbers == pytest.approx(
        [0.737686, 0.574146, 0.209971, 0.306907, 0.165708, -0.008786, 0.226825, 0.065474, 0.167692,
         0.340694, 0.274847, 0.089233, 0.638386], abs=1e-6,
    )  # fmt: skip
    numbers = [value for value in astuple(scene) if isinstance(value, float)]
    assert numbers == pytest.approx(
        [-0.068659, 0.015414, -0.080769, 0.945563, -0.116769, 0.064298, 0.064398, 1.031581,
         0.514377, 0.812129, 0.514257], abs=1e-6,
    )  # fmt: skip
    assert (scene.backdrop, scene.backdrop_accent) == ((112, 164, 120), (126, 142, 162))
    assert scene.backdrop_seed == 1566923139


def test_one_generator_gives_different_people():
    rng = np.random.default_rng(1)
    first, second = random_identity(rng), random_identity(rng)
    assert first != second
    assert first == random_identity(np.random.default_rng(1))


def test_half_of_the_people_have_lashes_and_none_of_them_a_beard(people):
    with_lashes = [person for person in people if person.has_lashes]
    assert len(with_lashes) == pytest.approx(200, abs=50)  # five sigma
    assert {person.beard for person in with_lashes} == {"none"}
    others = [person.beard for person in people if not person.has_lashes]
    assert set(others) == {"none", "stubble", "moustache", "goatee", "full"}
    # 3 of 7 entries are "none".
    assert others.count("none") / len(others) == pytest.approx(3 / 7, abs=0.18)


def test_hair_turns_grey_with_age_only(people):
    grey_ages = [person.age for person in people if person.hair in GREYS]
    assert len(grey_ages) > 20
    assert min(grey_ages) > 0.45
    assert all(person.hair in GREYS for person in people if person.age > 0.95)


def test_dark_skin_goes_with_dark_hair_and_brown_eyes(people):
    dark = [person for person in people if sum(person.skin) <= 176 + 120 + 82]
    assert len(dark) > 80
    assert all(person.iris[0] > person.iris[2] for person in dark)
    undyed = [person.hair for person in dark if person.hair not in GREYS | VIVID]
    assert max(sum(hair) for hair in undyed) <= 70 + 46 + 34


def test_freckles_are_on_light_skin_only(people):
    freckled = [person for person in people if person.has_freckles]
    assert freckled
    assert min(person.skin[0] for person in freckled) >= 226


def test_proportions_vary_over_their_range(people):
    for name, low, high in (
        ("face_width", 0.66, 0.75),
        ("jaw_width", 0.46, 0.62),
        ("mouth_width", 0.22, 0.275),
        ("nose_length", 0.31, 0.39),
    ):
        values = [getattr(person, name) for person in people]
        assert low <= min(values) < low + 0.1 * (high - low)
        assert high >= max(values) > high - 0.1 * (high - low)


def test_scenes_stay_within_their_limits():
    rng = np.random.default_rng(6)
    scenes = [random_scene(rng) for _ in range(400)]
    for name, limit in (("yaw", 0.34), ("pitch", 0.16), ("roll", 0.2), ("gaze", 0.8)):
        values = np.array([getattr(scene, name) for scene in scenes])
        assert 0.7 * limit < np.abs(values).max() <= limit
        assert abs(values.mean()) < 0.15 * limit
    assert len({scene.backdrop_seed for scene in scenes}) == 400


def test_identities_are_hashable():
    # `shape_mouth` caches by identity.
    rng = np.random.default_rng(7)
    assert len({random_identity(rng) for _ in range(5)}) == 5
