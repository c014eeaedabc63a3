"""The folders that every command works in."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """The folders of the data, the caches and the trained heads."""

    data_dir: Path = Path("data")
    cache_dir: Path = Path("cache")
    runs_dir: Path = Path("runs")

    @property
    def images_dir(self) -> Path:
        """The folder of the images."""
        return self.data_dir / "images"
