"""What a synthetic set will hold, decided before the first pixel is drawn."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import comb

import numpy as np

from fec_cache.datasets.synthetic.emotions import EMOTIONS, vary
from fec_cache.datasets.synthetic.portrait.drawing import Person, face_box
from fec_cache.datasets.synthetic.portrait.people import random_identity, random_scene
from fec_cache.datasets.synthetic.raters import Judgements, judge
from fec_cache.datasets.synthetic.triplets import FEC_TRIPLETS, TYPES, TripletPicker, share_out
from fec_cache.errors import BadOption

_MIN_FACES = 9
_MAX_POOLS = 10
_FACES_PER_POOL = 36
_MOST_USED = 0.6


@dataclass(frozen=True)
class SyntheticConfig:
    """What to draw.

    Attributes:
        faces: number of faces, both splits together; at least 18.
        triplets: number of triplets, both splits together; at least 6.
        seed: decides everything that is random.
        test_share: share of the faces and of the triplets that make the test split.
        faces_per_identity: average number of faces a person.
        two_face_share: share of the pictures that show two faces.
        jpeg_quality: of the pictures, 1..95.
    """

    faces: int = 900
    triplets: int = 4000
    seed: int = 0
    test_share: float = 0.2
    faces_per_identity: int = 6
    two_face_share: float = 0.08
    jpeg_quality: int = 92

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            BadOption: a value is outside of what it may be.
        """
        limits = (
            ("faces", self.faces, 2 * _MIN_FACES, 99_999),
            ("triplets", self.triplets, 6, 10_000_000),
            ("seed", self.seed, 0, 2**32 - 1),
            ("test_share", self.test_share, 0.02, 0.5),
            ("faces_per_identity", self.faces_per_identity, 1, 1_000),
            ("two_face_share", self.two_face_share, 0.0, 1.0),
            ("jpeg_quality", self.jpeg_quality, 1, 95),
        )
        for name, value, low, high in limits:
            if not low <= value <= high:
                raise BadOption(f"{name} is {value}; expected {low} to {high}.")


@dataclass(frozen=True)
class DrawnFace:
    """A face with its truth."""

    split: str
    identity: str
    word: str
    person: Person


@dataclass(frozen=True)
class PlacedFace:
    """A face in its picture; `box` is left, right, top, bottom as the files hold them."""

    face: DrawnFace
    image: str
    box: tuple[str, str, str, str]


@dataclass(frozen=True)
class Picture:
    """A picture with one or two faces; `image` is its path relative to `images/`."""

    image: str
    width: int
    height: int
    faces: tuple[PlacedFace, ...]


@dataclass(frozen=True)
class TripletRow:
    """A row of a file: its split, its FEC type, its faces as places in `Plan.faces`."""

    split: str
    type: str
    faces: tuple[int, int, int]


@dataclass(frozen=True)
class Plan:
    """Everything but the pixels. `judgements` has one row for each of `rows`."""

    pictures: tuple[Picture, ...]
    faces: tuple[PlacedFace, ...]
    rows: tuple[TripletRow, ...]
    judgements: Judgements


def plan_set(config: SyntheticConfig) -> Plan:
    """Decide who shows what in which picture, which triplets there are and how they are rated.

    Raises:
        BadOption: the faces do not give as many different triplets.
    """
    # One stream a purpose: more triplets must not change a single face.
    people_rng, place_rng, triplet_rng, rater_rng = (
        np.random.default_rng([config.seed, stream]) for stream in range(4)
    )
    pictures: list[Picture] = []
    rows: list[TripletRow] = []
    for split, num_faces, num_triplets in _sizes(config):
        first = sum(len(picture.faces) for picture in pictures)
        people = _people(split, num_faces, config, people_rng)
        placed = list(_place(people, config, place_rng))
        pictures += placed
        faces_of_split = [face.face for picture in placed for face in picture.faces]
        kinds = _kinds(split, num_triplets, triplet_rng)
        pools = _pools(split, faces_of_split, kinds)
        pickers = [
            TripletPicker([_class_of(faces_of_split[row]) for row in pool], triplet_rng)
            for pool in pools
        ]
        for turn, kind in enumerate(kinds):
            pool = pools[turn % len(pools)]
            a, b, c = (first + pool[i] for i in pickers[turn % len(pools)].pick(kind))
            rows.append(TripletRow(split, TYPES[kind - 1], (a, b, c)))
    faces = tuple(face for picture in pictures for face in picture.faces)
    units = np.stack([placed.face.person.units.as_array() for placed in faces])
    judgements = judge(units[np.array([row.faces for row in rows])], rater_rng)
    return Plan(tuple(pictures), faces, tuple(rows), judgements)


def _pools(split: str, faces: Sequence[DrawnFace], kinds: Sequence[int]) -> list[list[int]]:
    """Part the training people into groups that share no triplet, as many as the set allows.

    Validation can then take whole groups: where every face may meet every other, a split that
    shares no face has to drop most of the triplets.
    """
    people = {name: place for place, name in enumerate(dict.fromkeys(f.identity for f in faces))}
    num_one_class = sum(kind == 1 for kind in kinds)
    most = min(_MAX_POOLS, len(faces) // _FACES_PER_POOL) if split == "train" else 1
    for num_pools in range(most, 1, -1):
        pools: list[list[int]] = [[] for _ in range(num_pools)]
        for row, face in enumerate(faces):
            pools[people[face.identity] % num_pools].append(row)
        # One-class triplets run out first: each pool must hold clearly more of them than needed.
        if all(
            _one_class_choices(faces, p) * _MOST_USED > num_one_class / num_pools for p in pools
        ):
            return pools
    return [list(range(len(faces)))]


def _one_class_choices(faces: Sequence[DrawnFace], pool: Sequence[int]) -> int:
    sizes = Counter(_class_of(faces[row]) for row in pool)
    return sum(comb(size, 3) for size in sizes.values())


def _class_of(face: DrawnFace) -> str:
    return EMOTIONS[face.word].emotion_class


def _sizes(config: SyntheticConfig) -> tuple[tuple[str, int, int], ...]:
    num_test = max(_MIN_FACES, round(config.faces * config.test_share))
    num_test_triplets = max(3, round(config.triplets * config.test_share))
    num_train_triplets = config.triplets - num_test_triplets
    return (
        ("train", config.faces - num_test, num_train_triplets),
        ("test", num_test, num_test_triplets),
    )


def _kinds(split: str, num_triplets: int, rng: np.random.Generator) -> list[int]:
    counts = share_out(num_triplets, FEC_TRIPLETS[split])
    kinds = np.repeat([1, 2, 3], counts)
    return [int(kind) for kind in rng.permutation(kinds)]


def _words(num_faces: int, rng: np.random.Generator) -> list[str]:
    """Give as many words, all about equally often, at least three of each class in use.

    Few faces show few classes, or there were hardly any one-class triplets.
    """
    groups: dict[str, list[str]] = {}
    for emotion in EMOTIONS.values():
        groups.setdefault(emotion.emotion_class, []).append(emotion.word)
    names = rng.permutation(sorted(groups))[: max(3, num_faces // 6)]
    words = [groups[name][turn % len(groups[name])] for name in names for turn in range(3)]
    pool = sorted(word for name in names for word in groups[name])
    while len(words) < num_faces:
        words += [str(word) for word in rng.permutation(pool)]
    return [str(word) for word in rng.permutation(words[:num_faces])]


def _people(
    split: str, num_faces: int, config: SyntheticConfig, rng: np.random.Generator
) -> list[DrawnFace]:
    """Draw the people of a split, and give each of them several words to show."""
    num_identities = max(3, round(num_faces / config.faces_per_identity))
    identities = [random_identity(rng) for _ in range(num_identities)]
    faces = []
    for number, word in enumerate(_words(num_faces, rng)):
        who = number % num_identities
        units = vary(EMOTIONS[word].units, rng)
        person = Person(identities[who], units, random_scene(rng))
        faces.append(DrawnFace(split, f"{split}-{who:04d}", word, person))
    return faces


def _place(
    faces: Sequence[DrawnFace], config: SyntheticConfig, rng: np.random.Generator
) -> Iterator[Picture]:
    """Put one face, sometimes two of different people, into each picture."""
    waiting = list(faces)
    number = 0
    while waiting:
        face = waiting.pop(0)
        together = [face]
        if waiting and rng.uniform() < config.two_face_share:
            # Consecutive faces show different people, since people take turns.
            together.append(waiting.pop(0))
        yield _picture(f"{face.split}/{number:05d}.jpg", together, rng)
        number += 1


def _picture(image: str, together: Sequence[DrawnFace], rng: np.random.Generator) -> Picture:
    width = int(rng.integers(12, 19)) * 16
    height = round(width * float(rng.uniform(0.95, 1.25)) / 2) * 2
    if len(together) == 2:
        width = round(height * 1.55)
        together = [
            replace(face, person=replace(face.person, place=place))
            for face, place in zip(together, (0.27, 0.73), strict=True)
        ]
    placed = tuple(
        PlacedFace(face, image, _box(face.person, width, height, rng)) for face in together
    )
    return Picture(image, width, height, placed)


def _box(
    person: Person, width: int, height: int, rng: np.random.Generator
) -> tuple[str, str, str, str]:
    """Give the box as a detector would: roughly right, never the whole picture."""
    left, right, top, bottom = face_box(person, width, height)
    wide, high = right - left, bottom - top
    grow = rng.uniform(0.0, 0.1, 4) * (wide, wide, high, high)
    sides = np.array([left - grow[0], right + grow[1], top - grow[2], bottom + grow[3]])
    low, high_, low_y, high_y = (f"{side:.6f}" for side in np.clip(sides, 0.004, 0.996))
    return low, high_, low_y, high_y
