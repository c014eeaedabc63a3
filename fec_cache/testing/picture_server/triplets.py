"""A CSV in FEC's format over any URLs."""

from collections.abc import Iterable
from pathlib import Path


def write_csv(path: Path, urls: Iterable[str], kind: str = "ONE_CLASS_TRIPLET") -> None:
    """Write triplets in which each URL appears at least once; the boxes vary with the position.

    Six raters answer each triplet: three name the first face, three the second.
    """
    urls = list(urls)
    lines = []
    for start in range(0, len(urls), 3):
        three = [urls[(start + k) % len(urls)] for k in range(3)]
        cells = [f'"{url}",0.{1 + (start + k) % 7},0.8,0.25,0.75' for k, url in enumerate(three)]
        lines.append(",".join([*cells, kind, *(f"r{r},{1 + r % 2}" for r in range(6))]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
