"""`Plan` -> a synthetic set in FEC's format: drawn faces, simulated ratings, ground truth.

The format is FEC's (Vemulapalli & Agarwala, CVPR 2019, arXiv:1811.11283), except that the "URL"
is a path relative to `images/`. Identity, hair, light and background vary strongly and
independently of the expression, and no person is in both training and test.
"""

import csv
import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

from fec_cache.datasets.out_folder import check_out
from fec_cache.datasets.synthetic.config import SyntheticConfig
from fec_cache.datasets.synthetic.emotions import EMOTIONS, UNIT_NAMES
from fec_cache.datasets.synthetic.plan import Picture, PlacedFace, Plan, plan_set
from fec_cache.datasets.synthetic.portrait.drawing import draw_people
from fec_cache.errors import StorageFailed, system_advice

MARKER = "synthetic.json"
"""The file that marks a folder made by `synthesize`; it holds the configuration."""

_SCENE_NAMES = ("yaw", "pitch", "roll", "light_angle", "light_strength", "warmth", "exposure")
_TRUTH_HEADER = (
    "image", "left", "right", "top", "bottom", "split", "identity", "word", "emotion_class",
    *UNIT_NAMES, *_SCENE_NAMES,
)  # fmt: skip


@dataclass(frozen=True)
class SyntheticSummary:
    """What was written.

    Attributes:
        out: the folder.
        num_faces, num_images, num_identities: number of faces, pictures and people drawn.
        num_train_triplets, num_test_triplets: rows of the two files.
        num_ties: rows whose raters have no majority; they are kept.
        agreement: how often the average rater agrees with the majority, 0..1.
        rater_noise: the calibrated error of an average rater, in action-unit distance.
        duration_s: seconds taken.
    """

    out: Path
    num_faces: int
    num_images: int
    num_identities: int
    num_train_triplets: int
    num_test_triplets: int
    num_ties: int
    agreement: float
    rater_noise: float
    duration_s: float


def synthesize(
    out: Path, config: SyntheticConfig, progress: Callable[[int, int], None] | None = None
) -> SyntheticSummary:
    """Draw a set and write `train.csv`, `test.csv`, `truth.csv`, `images/` and the marker.

    Args:
        out: the folder; new, empty, or made by this function before.
        config: what to draw. The same configuration gives the same bytes.
        progress: called with the number of faces drawn so far and their total.

    Returns:
        What was written.

    Raises:
        BadOption: the faces do not allow as many distinct triplets.
        OutputExists: `out` holds files that this function did not write.
        StorageFailed: writing failed.
    """
    start = time.perf_counter()
    try:
        check_out(out, MARKER, "fec synthesize")
        # Planned completely before the first byte is written: a bad request changes no file.
        plan = plan_set(config)
        _prepare(out, config)
        _draw(out / "images", plan.pictures, config.jpeg_quality, progress)
        _write_tables(out, plan)
    except OSError as error:
        raise StorageFailed(
            f"{out} could not be written: {error.strerror or error}; {system_advice(error)}"
        ) from error
    return _summarise(out, plan, time.perf_counter() - start)


def _summarise(out: Path, plan: Plan, duration_s: float) -> SyntheticSummary:
    return SyntheticSummary(
        out=out,
        num_faces=len(plan.faces),
        num_images=len(plan.pictures),
        num_identities=len({placed.face.identity for placed in plan.faces}),
        num_train_triplets=sum(row.split == "train" for row in plan.rows),
        num_test_triplets=sum(row.split == "test" for row in plan.rows),
        num_ties=plan.judgements.num_ties,
        agreement=plan.judgements.agreement,
        rater_noise=plan.judgements.noise,
        duration_s=duration_s,
    )


def _prepare(out: Path, config: SyntheticConfig) -> None:
    """Delete what an earlier run wrote, and mark the folder as made by this function."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ("train.csv", "test.csv", "truth.csv"):
        (out / name).unlink(missing_ok=True)
    for split in ("train", "test"):
        (out / "images" / split).mkdir(parents=True, exist_ok=True)
        for picture in (out / "images" / split).glob("[0-9]*.jpg"):
            picture.unlink()
    # Before the pictures: after a kill, the marker lets the next run overwrite the folder.
    (out / MARKER).write_text(json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8")


def _draw(
    folder: Path,
    pictures: Sequence[Picture],
    quality: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    total = sum(len(picture.faces) for picture in pictures)
    done = 0
    for picture in pictures:
        people = [placed.face.person for placed in picture.faces]
        image = draw_people(people, picture.width, picture.height)
        image.save(folder / picture.image, "JPEG", quality=quality)
        done += len(people)
        if progress is not None:
            progress(done, total)


def _write_tables(out: Path, plan: Plan) -> None:
    # newline="" keeps "\n" on Windows: the same configuration gives the same bytes everywhere.
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for number, row in enumerate(plan.rows):
        lines[row.split].append(_line(plan, number))
    for split, rows in lines.items():
        (out / f"{split}.csv").write_text("".join(rows), encoding="utf-8", newline="")
    truth = io.StringIO()
    writer = csv.writer(truth, lineterminator="\n")
    writer.writerow(_TRUTH_HEADER)
    writer.writerows(_truth(placed) for placed in plan.faces)
    (out / "truth.csv").write_text(truth.getvalue(), encoding="utf-8", newline="")


def _line(plan: Plan, row: int) -> str:
    """One row in FEC's format; the csv module cannot quote the image column alone."""
    cells: list[str] = []
    for face in plan.rows[row].faces:
        placed = plan.faces[face]
        cells += [f'"{placed.image}"', *placed.box]
    cells.append(plan.rows[row].type)
    answers, raters = plan.judgements.answers[row], plan.judgements.raters[row]
    for rater, answer in zip(raters, answers, strict=True):
        # Rows are ragged, as in FEC: answer 0 is a rater that this row does not have.
        if answer:
            cells += [f"rater{rater:03d}", str(answer)]
    return ",".join(cells) + "\n"


def _truth(placed: PlacedFace) -> list[str]:
    """One row of truth.csv, under `_TRUTH_HEADER`."""
    face = placed.face
    units: tuple[float, ...] = astuple(face.person.units)
    scene = [f"{getattr(face.person.scene, name):.4f}" for name in _SCENE_NAMES]
    emotion_class = EMOTIONS[face.word].emotion_class
    return [
        placed.image, *placed.box, face.split, face.identity, face.word, emotion_class,
        *(f"{unit:.3f}" for unit in units), *scene,
    ]  # fmt: skip
