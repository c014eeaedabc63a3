"""`fec predict` as one call: two picture files, with their annotated boxes if there are any."""

from collections.abc import Sequence
from pathlib import Path

from fec_cache.datasets.annotations import SPLITS, find_annotations, read_annotations
from fec_cache.datasets.boxes import Box
from fec_cache.errors import FecError
from fec_cache.faces.sources import check_pictures
from fec_cache.judge.judge import Judge
from fec_cache.judge.verdict import Verdict
from fec_cache.system.reporter import Reporter
from fec_cache.system.wording import counted
from fec_cache.system.workspace import Workspace


def predict(
    workspace: Workspace,
    run: Path,
    paths: tuple[Path, Path],
    boxes: Sequence[Box],
    weights: Sequence[str],
    device: str,
    reporter: Reporter,
) -> Verdict:
    """Say whether two picture files show similar expressions.

    Args:
        workspace: its annotations may name the boxes of the faces.
        run: the folder of the trained head.
        paths: of the pictures.
        boxes: of the faces: none (annotated boxes, else whole pictures), one for both, or two.
        weights: files of the networks' weights, if they are not found elsewhere.
        device: in torch's words, or `auto`.
        reporter: for warnings.

    Raises:
        BadImage: a picture cannot be read or is damaged.
        WeightsNotFound, WeightsMismatch: the weights of a network are not available.
    """
    check_pictures(paths)
    known = tuple(boxes) or boxes_of_pictures(workspace, paths, reporter)
    box_a, box_b = (known[0], known[-1]) if known else (None, None)
    verdict = Judge.load(run, weights=weights, device=device).compare(*paths, box_a, box_b)
    for warning in verdict.warnings:
        reporter.warning(warning)
    return verdict


def boxes_of_pictures(
    workspace: Workspace, pictures: tuple[Path, Path], reporter: Reporter
) -> tuple[Box, ...]:
    """The annotated boxes if both pictures belong to the data folder, else none.

    Heads were trained on faces in their annotated boxes. If a picture has several faces, the
    largest is used, with a warning.
    """
    names = [_name_in(workspace.images_dir, picture) for picture in pictures]
    known = _boxes_by_name(workspace, set(names) - {""})
    if not all(name in known for name in names):
        return ()
    for name in dict.fromkeys(names):
        if len(known[name]) > 1:
            reporter.warning(
                f"{counted(len(known[name]), 'face')} on {name}: the largest is used. Choose "
                "another with --box."
            )
    boxes = tuple(max(known[name], key=_area) for name in names)
    shown = " and ".join(",".join(f"{side:g}" for side in box) for box in boxes)
    reporter.message(f"Boxes from {workspace.data_dir}: {shown}")
    return boxes


def _boxes_by_name(workspace: Workspace, names: set[str]) -> dict[str, tuple[Box, ...]]:
    """The boxes of each picture that an annotation names."""
    boxes: dict[str, dict[Box, None]] = {}
    for split in SPLITS if names else ():
        try:
            triplets = read_annotations(find_annotations(workspace.data_dir, split)).triplets
        except FecError:
            continue
        for ref in {ref for triplet in triplets for ref in triplet.faces}:
            if ref.image_path in names:
                boxes.setdefault(ref.image_path, {})[ref.box] = None
    return {name: tuple(sorted(known)) for name, known in boxes.items()}


def _name_in(images_dir: Path, picture: Path) -> str:
    try:
        return picture.resolve().relative_to(images_dir.resolve()).as_posix()
    except ValueError:
        return ""


def _area(box: Box) -> float:
    left, right, top, bottom = box
    return (right - left) * (bottom - top)
