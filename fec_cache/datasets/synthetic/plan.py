"""Configuration -> `Plan`: all that a synthetic set contains, except the pixels."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import comb

import numpy as np

from fec_cache.datasets.annotations import TRIPLET_TYPES
from fec_cache.datasets.synthetic.config import MIN_FACES, SyntheticConfig
from fec_cache.datasets.synthetic.emotions import EMOTIONS, vary
from fec_cache.datasets.synthetic.portrait.drawing import Person, face_box
from fec_cache.datasets.synthetic.portrait.people import random_identity, random_scene
from fec_cache.datasets.synthetic.raters import Judgements, judge
from fec_cache.datasets.synthetic.triplets import FEC_TRIPLETS, TripletPicker, share_out

# Training people are divided into groups that share no triplet (see `_groups`).
_MAX_GROUPS = 10
_FACES_PER_GROUP = 36
# Largest part of a group's possible one-class triplets to plan for: picking the last unused
# ones by chance would fail.
_MAX_USED_SHARE = 0.6
# Centres of the two heads in a picture of two, as fractions of its width.
_TWO_PLACES = (0.27, 0.73)


@dataclass(frozen=True)
class DrawnFace:
    """A face with its ground truth: split, person's name, emotion word, and what is drawn."""

    split: str
    identity: str
    word: str
    person: Person


@dataclass(frozen=True)
class PlacedFace:
    """A face in its picture; `box` is left, right, top, bottom as written to the files."""

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
    """A row of a file: its split, its FEC type, its faces as indices into `Plan.faces`."""

    split: str
    type: str
    faces: tuple[int, int, int]


@dataclass(frozen=True)
class Plan:
    """Everything but the pixels; `judgements` has one row for each of `rows`."""

    pictures: tuple[Picture, ...]
    faces: tuple[PlacedFace, ...]
    rows: tuple[TripletRow, ...]
    judgements: Judgements


def plan_set(config: SyntheticConfig) -> Plan:
    """Decide who shows what in which picture, and which triplets get which ratings.

    Raises:
        BadOption: the faces do not allow as many distinct triplets.
    """
    # One random stream per purpose: a different number of triplets leaves every face as it is.
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
        groups = _groups(split, faces_of_split, kinds)
        pickers = [
            TripletPicker([_class_of(faces_of_split[row]) for row in group], triplet_rng)
            for group in groups
        ]
        for turn, kind in enumerate(kinds):
            group = groups[turn % len(groups)]
            a, b, c = (first + group[i] for i in pickers[turn % len(groups)].pick(kind))
            rows.append(TripletRow(split, TRIPLET_TYPES[kind - 1], (a, b, c)))
    faces = tuple(face for picture in pictures for face in picture.faces)
    units = np.stack([placed.face.person.units.as_array() for placed in faces])
    judgements = judge(units[np.array([row.faces for row in rows])], rater_rng)
    return Plan(tuple(pictures), faces, tuple(rows), judgements)


def _groups(split: str, faces: Sequence[DrawnFace], kinds: Sequence[int]) -> list[list[int]]:
    """Divide the training people into groups that share no triplet, as many as the set allows.

    Validation can then take whole groups. If any two faces could share a triplet, a split without
    shared faces would drop most triplets: docs/decisions/0004.

    Returns:
        Row numbers of the faces of each group; a single group for the test split.
    """
    numbers = {name: i for i, name in enumerate(dict.fromkeys(face.identity for face in faces))}
    num_one_class = sum(kind == 1 for kind in kinds)
    max_groups = min(_MAX_GROUPS, len(faces) // _FACES_PER_GROUP) if split == "train" else 1
    for num_groups in range(max_groups, 1, -1):
        groups: list[list[int]] = [[] for _ in range(num_groups)]
        for row, face in enumerate(faces):
            groups[numbers[face.identity] % num_groups].append(row)
        # One-class triplets run out first: a group has few faces of any one class.
        num_needed = num_one_class / num_groups
        if all(_num_one_class(faces, g) * _MAX_USED_SHARE > num_needed for g in groups):
            return groups
    return [list(range(len(faces)))]


def _num_one_class(faces: Sequence[DrawnFace], group: Sequence[int]) -> int:
    """Number of one-class triplets that a group's faces allow."""
    sizes = Counter(_class_of(faces[row]) for row in group)
    return sum(comb(size, 3) for size in sizes.values())


def _class_of(face: DrawnFace) -> str:
    return EMOTIONS[face.word].emotion_class


def _sizes(config: SyntheticConfig) -> tuple[tuple[str, int, int], ...]:
    """Split, number of faces and number of triplets, for training and test."""
    num_test = max(MIN_FACES, round(config.faces * config.test_share))
    num_test_triplets = max(3, round(config.triplets * config.test_share))
    num_train_triplets = config.triplets - num_test_triplets
    return (
        ("train", config.faces - num_test, num_train_triplets),
        ("test", num_test, num_test_triplets),
    )


def _kinds(split: str, num_triplets: int, rng: np.random.Generator) -> list[int]:
    """Number of emotion classes of each triplet, 1 to 3, in FEC's proportions."""
    counts = share_out(num_triplets, FEC_TRIPLETS[split])
    kinds = np.repeat([1, 2, 3], counts)
    return [int(kind) for kind in rng.permutation(kinds)]


def _words(num_faces: int, rng: np.random.Generator) -> list[str]:
    """An emotion word per face: all about equally often, and three or more per class in use.

    Small sets use few classes, since a class with fewer than three faces has no one-class triplet.
    """
    words_of: dict[str, list[str]] = {}
    for emotion in EMOTIONS.values():
        words_of.setdefault(emotion.emotion_class, []).append(emotion.word)
    classes = rng.permutation(sorted(words_of))[: max(3, num_faces // 6)]
    words = [words_of[name][turn % len(words_of[name])] for name in classes for turn in range(3)]
    usable = sorted(word for name in classes for word in words_of[name])
    while len(words) < num_faces:
        words += [str(word) for word in rng.permutation(usable)]
    return [str(word) for word in rng.permutation(words[:num_faces])]


def _people(
    split: str, num_faces: int, config: SyntheticConfig, rng: np.random.Generator
) -> list[DrawnFace]:
    """Draw the people of a split, and give each of them several emotion words to show."""
    num_identities = max(3, round(num_faces / config.faces_per_identity))
    identities = [random_identity(rng) for _ in range(num_identities)]
    faces = []
    for turn, word in enumerate(_words(num_faces, rng)):
        number = turn % num_identities
        units = vary(EMOTIONS[word].units, rng)
        person = Person(identities[number], units, random_scene(rng))
        faces.append(DrawnFace(split, f"{split}-{number:04d}", word, person))
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
            # `_people` takes the people in turn, so neighbours in the list are different people.
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
            for face, place in zip(together, _TWO_PLACES, strict=True)
        ]
    placed = tuple(
        PlacedFace(face, image, _box(face.person, width, height, rng)) for face in together
    )
    return Picture(image, width, height, placed)


def _box(
    person: Person, width: int, height: int, rng: np.random.Generator
) -> tuple[str, str, str, str]:
    """A box as a detector would give it: each side up to a tenth of its size too far out."""
    left, right, top, bottom = face_box(person, width, height)
    across, down = right - left, bottom - top
    grow = rng.uniform(0.0, 0.1, 4) * (across, across, down, down)
    sides = np.array([left - grow[0], right + grow[1], top - grow[2], bottom + grow[3]])
    # Kept off the picture's edges: 0, 1, 0, 1 would mean that the whole picture is the face.
    x0, x1, y0, y1 = (f"{side:.6f}" for side in np.clip(sides, 0.004, 0.996))
    return x0, x1, y0, y1
