"""Take the screenshots of the report for the docs, on synthetic faces only.

    python tools/screenshots.py WORK [--out docs/images]

Draws a synthetic set in WORK, extracts two kinds of features, trains the original recipe and the
winner of a small search with five seeds each, writes the report, and takes screenshots in headless
Chromium at 400 and 1400 pixels, light and dark. Reuses whatever WORK already holds. Prints elements
that overflow the page sideways, and fails if there are any.
"""

import argparse
import dataclasses
import io
import subprocess
import sys
from pathlib import Path

from browser import Browser
from PIL import Image

from fec_cache.pairs.config import PairConfig
from fec_cache.runs.config import load_config
from fec_cache.search.space import Point
from fec_cache.system.reporter import SILENT
from fec_cache.system.workspace import Workspace
from fec_cache.workflows.report import write_report as run_report
from fec_cache.workflows.train import HeadRequest
from fec_cache.workflows.train import train as run_train

FACES, TRIPLETS, SEEDS = 3000, 16_000, range(5)
POOL, GRID = "avgpool", "layer3:grid7"
BACKBONE = "efficientnet_lite0"
SEARCH = (
    "--head embedding --hidden 128 --dropout 0.5 --prepare pca:256 --optimizer adamw "
    "--batch-size 128 --weight-decay 0.1 --loss bce,triplet,odd-one-out --lr 3e-4,1e-3,3e-3"
)
# Width, color scheme and height: a README shows only the top of the page.
SHOTS = {
    "report-1400": (1400, "light", 1560),
    "report-1400-dark": (1400, "dark", 1560),
    "report-400": (400, "light", 1560),
    "report-400-dark": (400, "dark", 1560),
}
WHOLE = {"report-whole-1400": (1400, "light"), "report-whole-400": (400, "dark")}
_QUALITY, _WHOLE_QUALITY = 82, 30


def make(work: Path) -> Path:
    """Path of the report: five seeds of the winner beside five of the original recipe."""
    workspace = Workspace(work / "data", work / "cache", work / "runs")
    folders = ("--cache", str(workspace.cache_dir), "--data", str(workspace.data_dir))
    if not (workspace.data_dir / "test.csv").exists():
        sizes = ("--faces", str(FACES), "--triplets", str(TRIPLETS))
        _fec("synthesize", "--out", str(workspace.data_dir), *sizes)
    for layer, flip in ((POOL, "off"), (GRID, "on")):
        _fec("extract", *folders, "--backbone", BACKBONE, "--layer", layer, "--flip", flip)
    reporter = SILENT
    for seed in SEEDS:
        name = f"original-{seed}"
        if not (workspace.runs_dir / name / "config.json").exists():
            words = ("--features", f"{BACKBONE}:{POOL}", "--seed", str(seed), "--name", name)
            _fec("train-head", *folders, "--runs", str(workspace.runs_dir), *words)
    if not (workspace.runs_dir / "best-0" / "config.json").exists():
        words = ("--features", f"{BACKBONE}:{GRID}", "--name", "best-0", *SEARCH.split())
        _fec("grid-search", *folders, "--runs", str(workspace.runs_dir), *words)
    config = load_config(workspace.runs_dir / "best-0")
    features = config.recipe.folder_name
    for seed in SEEDS:
        if not (workspace.runs_dir / f"best-{seed}" / "config.json").exists():
            point = Point(config.head, dataclasses.replace(config.train, seed=seed))
            run_train(
                workspace, HeadRequest(features, PairConfig(), f"best-{seed}"), point, reporter
            )
    return run_report(workspace, "best-0", work / "report.html", False, reporter)


def shoot(page: Path, out: Path) -> int:
    """Write the screenshots; the number of elements that overflow a page."""
    out.mkdir(parents=True, exist_ok=True)
    num_overflowing = 0
    with Browser() as browser:
        for name, (width, scheme, below) in SHOTS.items():
            browser.open(page, width, scheme)
            num_overflowing += len(elements := browser.overflow())
            for element in elements:
                print(f"{width} px: {element} overflows the page")
            _save(browser.picture(below=below), out / f"{name}.webp")
        for name, (width, scheme) in WHOLE.items():
            browser.open(page, width, scheme)
            _save(browser.picture(), out / f"{name}.webp", _WHOLE_QUALITY)
    return num_overflowing


def _save(png: bytes, path: Path, quality: int = _QUALITY) -> None:
    Image.open(io.BytesIO(png)).convert("RGB").save(path, "WEBP", quality=quality, method=6)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def _fec(*words: str) -> None:
    program = "from fec_cache.cli.main import main; main()"
    subprocess.run([sys.executable, "-c", program, *words, "-q"], check=True)


def main() -> None:
    """Make what is missing, then take the screenshots."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder to work in")
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="where to write")
    options = parser.parse_args()
    sys.exit(min(1, shoot(make(options.work), options.out)))


if __name__ == "__main__":
    main()
