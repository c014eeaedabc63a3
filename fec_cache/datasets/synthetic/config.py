"""`SyntheticConfig`: what a synthetic set contains."""

from dataclasses import dataclass, field

from fec_cache.system.checks import check_range, check_whole

MIN_FACES = 9
"""Fewest faces of a split: three classes of three, so that every type of triplet exists."""


@dataclass(frozen=True)
class SyntheticConfig:
    """What to draw. The same configuration gives the same bytes.

    Raises:
        BadOption: a field is out of range.

    Example:
        >>> SyntheticConfig(faces=300, triplets=1000).seed
        0
    """

    faces: int = field(
        default=900, metadata={"help": "Number of faces to draw, train and test together."}
    )
    triplets: int = field(
        default=4000, metadata={"help": "Number of triplets to rate, train and test together."}
    )
    seed: int = field(
        default=0, metadata={"help": "Random seed; the same seed writes the same files."}
    )
    test_share: float = field(
        default=0.2, metadata={"help": "Share of the faces and of the triplets in test.csv."}
    )
    faces_per_identity: int = field(
        default=6, metadata={"help": "Average number of faces per person."}
    )
    two_face_share: float = field(
        default=0.08, metadata={"help": "Share of pictures that show two faces."}
    )
    jpeg_quality: int = field(
        default=92, metadata={"help": "JPEG quality of the pictures, 1 to 95."}
    )

    def __post_init__(self) -> None:
        """Check every field."""
        check_whole("faces", self.faces, 2 * MIN_FACES, 99_999)
        check_whole("triplets", self.triplets, 6, 10_000_000)
        check_whole("seed", self.seed, 0, 2**32 - 1)
        check_range("test share", self.test_share, 0.02, 0.5)
        check_whole("faces per identity", self.faces_per_identity, 1, 1_000)
        check_range("two-face share", self.two_face_share, 0.0, 1.0)
        # Pillow advises against more than 95: larger files, hardly a better picture.
        check_whole("JPEG quality", self.jpeg_quality, 1, 95)
