"""`Judge`: a trained head with its frozen networks, loaded once and used many times."""

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fec_cache.cache.recipe import random_weights_notes
from fec_cache.datasets.boxes import WHOLE_PICTURE, Box, as_box
from fec_cache.errors import BadImage, BadOption, FecError, HeadMismatch
from fec_cache.evaluation.report import DECISION_THRESHOLD
from fec_cache.extraction.recipes import RecipeNetworks, check_finite
from fec_cache.faces.crop import CropConfig
from fec_cache.faces.sources import PictureSource, open_picture
from fec_cache.heads.base import PairHead
from fec_cache.heads.scoring import embeddings_of, pair_logits, probability_of
from fec_cache.judge.verdict import FailedPair, JudgedFace, Verdict
from fec_cache.runs.checkpoint import load_head
from fec_cache.runs.config import RunConfig
from fec_cache.system.checks import check_whole

NO_BOX = (
    "no box was given, so the whole pictures were used. If a face fills only part of its picture, "
    "the answer means little."
)
_NAMES = ("picture A", "picture B")
_MOST_PER_BATCH = 65536


@dataclass(frozen=True)
class _CutFace:
    """One face, cropped for each of the networks: [S, S, 3] uint8 by crop."""

    face: JudgedFace
    has_box: bool
    crops: Mapping[CropConfig, npt.NDArray[np.uint8]]


class Judge:
    """Says whether the expressions of two faces are similar. Threads may share one judge.

    Example:
        >>> judge = Judge.load("runs/toy")
        >>> verdict = judge.compare("a.png", "b.png")
        >>> verdict.is_similar, round(verdict.probability, 2)  # doctest: +SKIP
        (True, 0.74)
    """

    def __init__(
        self,
        head: PairHead,
        config: RunConfig,
        name: str = "",
        weights: Sequence[str] = (),
        device: str = "auto",
    ) -> None:
        """Load the frozen networks that a head reads.

        Args:
            head: a trained head; it is put into evaluation mode.
            config: of its run; names the features that the head reads.
            name: what verdicts call it.
            weights: files of the networks' weights; by default they are looked up or downloaded.
            device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.

        Raises:
            WeightsNotFound, WeightsMismatch: the weights of a network are not available.
        """
        # `eval` switches dropout off; nothing changes the head afterwards, so threads share it.
        self.head, self.config, self.name = head.eval(), config, name
        self._networks = RecipeNetworks(config.recipes, weights, device)
        self._crops = tuple(dict.fromkeys(recipe.crop for recipe in config.recipes))
        self._notes = random_weights_notes(config.recipes)

    @classmethod
    def load(
        cls,
        run: str | Path,
        *,
        weights: str | Path | Sequence[str | Path] = (),
        device: str = "auto",
    ) -> "Judge":
        """Load a trained head from the folder of its run.

        Args:
            run: the folder, such as `runs/best`.
            weights: a file of the network's weights, or several; by default they are looked up or
                downloaded.
            device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.

        Raises:
            MissingData: the folder is not a run.
            HeadMismatch: its files do not belong together.
            WeightsNotFound, WeightsMismatch: the weights of a network are not available.
        """
        folder = Path(run)
        head, config = load_head(folder)
        files = [weights] if isinstance(weights, (str, Path)) else weights
        return cls(head, config, folder.name, [str(file) for file in files], device)

    def compare(
        self,
        a: PictureSource,
        b: PictureSource,
        box_a: Box | None = None,
        box_b: Box | None = None,
    ) -> Verdict:
        """Compare the expressions of two faces.

        Args:
            a: a path, bytes, a Pillow image, or an array [H, W, 3] uint8 in RGB order.
            b: likewise.
            box_a: of the face: left, right, top, bottom as fractions of the picture; by default
                the whole picture.
            box_b: likewise.

        Raises:
            BadImage: a picture cannot be read, or has none of these types.
            BadOption: a box lies outside its picture.
        """
        faces = [self._cut(a, box_a, _NAMES[0]), self._cut(b, box_b, _NAMES[1])]
        features = self._features(faces)
        check_finite(features, self._store_dtype)
        (verdict,) = self._verdicts(faces, features)
        return verdict

    def compare_many(
        self, pairs: Iterable[tuple[PictureSource, PictureSource]], batch_size: int = 64
    ) -> Iterator[Verdict | FailedPair]:
        """Compare many pairs of whole pictures: one answer per pair, in order.

        Args:
            pairs: pictures as `compare` takes them; read as needed, so the iterable may be endless.
            batch_size: pairs per forward pass.

        Returns:
            An iterator of answers: a verdict, or a `FailedPair` for a pair with a picture that
            cannot be used.

        Raises:
            BadOption: the batch size is not a whole number of at least 1.
        """
        check_whole("batch size", batch_size, 1, _MOST_PER_BATCH)
        return self._compare_many(pairs, batch_size)

    def _compare_many(
        self, pairs: Iterable[tuple[PictureSource, PictureSource]], batch_size: int
    ) -> Iterator[Verdict | FailedPair]:
        """The answers of `compare_many`, whose arguments are checked when it is called."""
        numbered = enumerate(pairs)
        while batch := list(itertools.islice(numbered, batch_size)):
            yield from self._judge_batch(batch)

    def embed(
        self, pictures: Iterable[PictureSource], batch_size: int = 128
    ) -> npt.NDArray[np.float32]:
        """Embed faces in the space that the head learned: near faces have similar expressions.

        Args:
            pictures: N whole pictures, as `compare` takes them.
            batch_size: pictures per forward pass.

        Returns:
            [N, k] float32, of unit length.

        Raises:
            HeadMismatch: the head has no embedding.
            BadOption: one picture was given instead of a list, or the batch size is not valid.
            BadImage: a picture cannot be used.
        """
        if not self.config.head.kind.has_embedding:
            raise HeadMismatch(
                f"The head {self.name or self.config.head.head} has no embedding. "
                "Train one with --head embedding or --head scatter."
            )
        check_whole("batch size", batch_size, 1, _MOST_PER_BATCH)
        if isinstance(pictures, (str, bytes, os.PathLike)) or not isinstance(pictures, Iterable):
            raise BadOption("embed takes a list of pictures, but got one. Write embed([picture]).")
        parts, remaining = [], iter(pictures)
        while batch := list(itertools.islice(remaining, batch_size)):
            features = self._features([self._cut(source, None, "a picture") for source in batch])
            check_finite(features, self._store_dtype)
            parts.append(embeddings_of(self.head, features))
        if not parts:
            return embeddings_of(self.head, np.empty((0, self.config.width), np.float32))
        return np.concatenate(parts)

    @property
    def _store_dtype(self) -> str:
        return self.config.recipe.store_dtype

    def _cut(self, source: PictureSource, box: Box | None, name: str) -> _CutFace:
        """Decode one picture and crop its face.

        Raises:
            BadImage: the picture cannot be used.
            BadOption: the box lies outside the picture.
        """
        try:
            used = WHOLE_PICTURE if box is None else as_box(box)
        except ValueError as error:
            raise BadOption(f"The box of {name} is {box!r}: {error}.") from error
        is_named = isinstance(source, (str, os.PathLike))
        picture = open_picture(source, "" if is_named else name)
        crops = {crop: picture.cut(used, crop) for crop in self._crops}
        return _CutFace(JudgedFace(picture.name, used), box is not None, crops)

    def _features(self, faces: Sequence[_CutFace]) -> npt.NDArray[np.floating]:
        """Features [B, D] of B faces, in the dtype of the cache."""
        return self._networks.features(lambda crop: [face.crops[crop] for face in faces])

    def _verdicts(
        self, faces: Sequence[_CutFace], features: npt.NDArray[np.floating]
    ) -> list[Verdict]:
        """Verdicts of P pairs; faces and features [2P, D] hold the two of a pair in a row."""
        logits = pair_logits(self.head, features[0::2], features[1::2])
        probabilities = probability_of(self.head, logits)
        return [
            Verdict(
                faces=(a.face, b.face),
                probability=float(probability),
                threshold=DECISION_THRESHOLD,
                run=self.name,
                features=self.config.features,
                warnings=self._notes if a.has_box and b.has_box else (*self._notes, NO_BOX),
            )
            for a, b, probability in zip(faces[0::2], faces[1::2], probabilities, strict=True)
        ]

    def _judge_batch(
        self, batch: Sequence[tuple[int, tuple[PictureSource, PictureSource]]]
    ) -> Iterator[Verdict | FailedPair]:
        """One answer for each pair of a batch, in order."""
        answers: dict[int, Verdict | FailedPair] = {}
        usable: dict[int, list[_CutFace]] = {}
        for index, pair in batch:
            try:
                a, b = _two_of(pair)
                usable[index] = [self._cut(a, None, _NAMES[0]), self._cut(b, None, _NAMES[1])]
            except (FecError, TypeError, ValueError) as error:
                answers[index] = FailedPair(index, _names_of(pair), str(error))
        if usable:
            faces = [face for pair in usable.values() for face in pair]
            features = self._features(faces)
            # One bad feature must not fail the batch: it is a number here and a FailedPair below.
            verdicts = self._verdicts(faces, np.nan_to_num(features))
            for position, index in enumerate(usable):
                of_pair = features[2 * position : 2 * position + 2]
                answers[index] = self._checked(index, verdicts[position], of_pair)
        for index, _ in batch:
            yield answers[index]

    def _checked(
        self, index: int, verdict: Verdict, features: npt.NDArray[np.floating]
    ) -> Verdict | FailedPair:
        """The verdict, unless a feature of its two faces [2, D] is not finite."""
        try:
            check_finite(features, self._store_dtype)
        except BadImage as error:
            a, b = verdict.faces
            return FailedPair(index, (a.picture, b.picture), str(error))
        return verdict


def _two_of(pair: Iterable[PictureSource]) -> tuple[PictureSource, PictureSource]:
    """Raise `BadOption` unless the pair is two pictures."""
    try:
        a, b = () if isinstance(pair, (str, bytes)) else tuple(pair)
    except (TypeError, ValueError):
        raise BadOption(
            f"A pair was given as {type(pair).__name__}; expected two pictures, such as "
            '("a.jpg", "b.jpg").'
        ) from None
    return a, b


def _names_of(pair: object) -> tuple[str, str]:
    """Names of the two pictures of a pair that could not be compared."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        return "", ""
    names = [str(s) if isinstance(s, (str, os.PathLike)) else "" for s in pair]
    return names[0] or _NAMES[0], names[1] or _NAMES[1]
