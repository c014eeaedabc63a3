"""Which of FEC's images could be downloaded: the name of the set that figures are measured on."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fec_cache.datasets.image_paths import SURVIVORS_NAME
from fec_cache.system.wording import counted


@dataclass(frozen=True)
class Survivors:
    """The test images that `fec download` got: the set's hash, its images and triplets."""

    name: str
    num_images: int
    num_usable: int
    num_triplets: int

    def to_dict(self) -> dict[str, Any]:
        """The fields for --json."""
        return {
            "test_set": self.name,
            "images": self.num_images,
            "triplets": self.num_usable,
            "triplets_in_all": self.num_triplets,
        }

    def in_words(self) -> str:
        """One line of text; only figures with the same name are measured on the same pictures."""
        return (
            f"Survivors: test set {self.name[:16]}, {counted(self.num_images, 'image')}, "
            f"{self.num_usable} of {counted(self.num_triplets, 'triplet')}; figures on another set "
            "are not comparable."
        )


def read_survivors(data_dir: Path, split: str = "test") -> Survivors | None:
    """The set that the last `fec download` left; None if the images came in another way."""
    try:
        text = (data_dir / SURVIVORS_NAME).read_text(encoding="utf-8")
        fields = json.loads(text)["splits"][split]
        return Survivors(
            str(fields["survivors"]),
            int(fields["images"]),
            sum(fields["triplets"].values()),
            sum(fields["triplets_in_all"].values()),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
