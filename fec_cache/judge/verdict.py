"""`Verdict`, a head's answer on two faces, and `FailedPair`, the reason why there is none."""

from dataclasses import dataclass
from typing import Any

from fec_cache.datasets.boxes import Box

_FEWEST_DIGITS, _MOST_DIGITS = 3, 9


@dataclass(frozen=True)
class JudgedFace:
    """Which part of which picture was judged; `box` is left, right, top, bottom as fractions."""

    picture: str
    box: Box


@dataclass(frozen=True)
class Verdict:
    """A head's answer on two faces.

    Attributes:
        faces: the two faces that were compared.
        probability: P(similar) in [0, 1].
        threshold: the pair counts as similar at or above it.
        run: the name of the head.
        features: what the head reads.
        warnings: reasons to trust the answer less.

    Example:
        >>> from fec_cache import Judge
        >>> verdict = Judge.load("runs/toy").compare("a.png", "a.png", box_a=(0, 1, 0, 0.5))
        >>> verdict.faces[0].box
        (0.0, 1.0, 0.0, 0.5)
    """

    faces: tuple[JudgedFace, JudgedFace]
    probability: float
    threshold: float
    run: str
    features: str
    warnings: tuple[str, ...] = ()

    @property
    def is_similar(self) -> bool:
        """Whether the head calls the expressions similar."""
        return self.probability >= self.threshold

    @property
    def word(self) -> str:
        """`similar` or `different`."""
        return "similar" if self.is_similar else "different"

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "verdict": self.word,
            "probability_similar": self.probability,
            "threshold": self.threshold,
            "pictures": [face.picture for face in self.faces],
            "boxes": [list(face.box) for face in self.faces],
            "run": self.run,
            "features": self.features,
            "warnings": list(self.warnings),
        }

    def in_words(self) -> str:
        """One line, with enough digits to show which side of the threshold the pair is on."""
        # 0.3334 and 1/3 are both 0.333: rounded alike, they would contradict the word beside them.
        for digits in range(_FEWEST_DIGITS, _MOST_DIGITS + 1):
            probability, threshold = (
                f"{value:.{digits}f}" for value in (self.probability, self.threshold)
            )
            if probability != threshold:
                break
        return (
            f"{self.word} (P(similar) = {probability}; similar from {threshold}, the share of "
            "similar pairs in training)"
        )


@dataclass(frozen=True)
class FailedPair:
    """A pair that could not be compared: its index in the input, its pictures, and the reason.

    Example:
        >>> from fec_cache import Judge
        >>> judge = Judge.load("runs/toy")
        >>> good, bad = judge.compare_many([("a.png", "b.png"), ("a.png", "missing.png")])
        >>> bad.error
        'missing.png cannot be read: No such file or directory.'
    """

    index: int
    pictures: tuple[str, str]
    error: str
