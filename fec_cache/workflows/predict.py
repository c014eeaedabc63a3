"""`fec predict` as one call: two new pictures, similar or different."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fec_cache.datasets.annotations import SPLITS, find_annotations, read_annotations
from fec_cache.datasets.boxes import WHOLE_PICTURE, Box
from fec_cache.errors import BadImage, FecError
from fec_cache.evaluation.report import DECISION_THRESHOLD
from fec_cache.extraction.recipes import features_by_recipes
from fec_cache.faces.crop import CropConfig
from fec_cache.faces.images import Picture, read_picture
from fec_cache.heads.scoring import pair_logits, probability_of
from fec_cache.runs.checkpoint import load_head
from fec_cache.system.reporter import Reporter
from fec_cache.system.wording import counted
from fec_cache.system.workspace import Workspace

_FEWEST_DIGITS, _MOST_DIGITS = 3, 9


@dataclass(frozen=True)
class Prediction:
    """What a head says of two pictures, and of which part of them."""

    pictures: tuple[str, str]
    boxes: tuple[Box, Box]
    probability: float
    threshold: float
    run: str
    features: str

    @property
    def verdict(self) -> str:
        """`similar` or `different`."""
        return "similar" if self.probability >= self.threshold else "different"

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "verdict": self.verdict,
            "probability_similar": self.probability,
            "threshold": self.threshold,
            "pictures": list(self.pictures),
            "boxes": [list(box) for box in self.boxes],
            "run": self.run,
            "features": self.features,
        }

    def in_words(self) -> str:
        """For people; in as many digits as it takes to see which side of the threshold it is on."""
        for digits in range(_FEWEST_DIGITS, _MOST_DIGITS + 1):
            told = [f"{value:.{digits}f}" for value in (self.probability, self.threshold)]
            if told[0] != told[1]:
                break
        return (
            f"{self.verdict} (P(similar) = {told[0]}; similar from {told[1]}, the share of similar "
            f"pairs in training)"
        )


def open_pictures(paths: tuple[Path, Path]) -> tuple[Picture, Picture]:
    """Read two picture files.

    Raises:
        BadImage: one is not there, or is no picture.
    """
    try:
        first, second = (Picture(read_picture(path), str(path)) for path in paths)
    except BadImage as error:
        raise BadImage(f"{error} Name two pictures, as JPEG or PNG.") from error
    return first, second


def run_predict(
    folder: Path,
    pictures: tuple[Picture, Picture],
    boxes: Sequence[Box],
    weights: Sequence[str],
    device: str,
) -> Prediction:
    """Say whether two pictures show similar expressions.

    Args:
        folder: the run.
        pictures: see `open_pictures`.
        boxes: of the faces, none (whole pictures), one (for both) or two.
        weights: the backbones' weights files, if they are not where they are looked for.
        device: in torch's words, or `auto`.

    Raises:
        BadImage: a picture is damaged.
        WeightsNotFound, WeightsMismatch: the head's backbone is not at hand.
    """
    head, config = load_head(folder)
    first, second = ((list(boxes) or [WHOLE_PICTURE]) * 2)[:2]

    def cropped(crop: CropConfig) -> list[npt.NDArray[np.uint8]]:
        """Both faces as a backbone sees them."""
        return [image.cut(box, crop) for image, box in zip(pictures, (first, second), strict=True)]

    features = features_by_recipes(config.recipes, cropped, weights, device)
    logit = pair_logits(head, features[:1], features[1:])
    return Prediction(
        pictures=(pictures[0].name, pictures[1].name),
        boxes=(first, second),
        probability=float(probability_of(head, logit)[0]),
        threshold=DECISION_THRESHOLD,
        run=folder.name,
        features=config.features,
    )


def boxes_of_pictures(
    workspace: Workspace, pictures: tuple[Path, Path], reporter: Reporter
) -> tuple[Box, ...]:
    """The faces' boxes where both pictures belong to the data folder, else none.

    A head knows faces, not scenes: on the annotated box it sees what it was trained on. Of several
    faces on one picture the largest is taken, and told.
    """
    names = [_name_in(workspace.images_dir, picture) for picture in pictures]
    known = _boxes_by_name(workspace, set(names) - {""})
    if not all(name in known for name in names):
        reporter.warning(
            "no --box: the whole pictures are taken for the faces. Where a face fills only a part "
            "of its picture, the answer means little."
        )
        return ()
    for name in dict.fromkeys(names):
        if len(known[name]) > 1:
            reporter.warning(
                f"{counted(len(known[name]), 'face')} on {name}: the largest is taken, or say "
                "--box."
            )
    boxes = tuple(max(known[name], key=_area) for name in names)
    told = " and ".join(",".join(f"{side:g}" for side in box) for box in boxes)
    reporter.message(f"Boxes from {workspace.data_dir}: {told}")
    return boxes


def _boxes_by_name(workspace: Workspace, names: set[str]) -> dict[str, tuple[Box, ...]]:
    """The boxes of each picture that an annotation names."""
    found: dict[str, dict[Box, None]] = {}
    for split in SPLITS if names else ():
        try:
            triplets = read_annotations(find_annotations(workspace.data_dir, split)).triplets
        except FecError:
            continue
        for ref in {ref for triplet in triplets for ref in triplet.faces}:
            if ref.image_path in names:
                found.setdefault(ref.image_path, {})[ref.box] = None
    return {name: tuple(sorted(boxes)) for name, boxes in found.items()}


def _name_in(images_dir: Path, picture: Path) -> str:
    try:
        return picture.resolve().relative_to(images_dir.resolve()).as_posix()
    except ValueError:
        return ""


def _area(box: Box) -> float:
    left, right, top, bottom = box
    return (right - left) * (bottom - top)
