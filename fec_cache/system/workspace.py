"""The folders that every command works in."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """Folders of the data, the feature caches and the trained heads.

    Example:
        >>> Workspace("data").images_dir.as_posix()
        'data/images'
    """

    data_dir: Path = Path("data")
    cache_dir: Path = Path("cache")
    runs_dir: Path = Path("runs")

    def __post_init__(self) -> None:
        """Accept plain strings for folders."""
        for name in ("data_dir", "cache_dir", "runs_dir"):
            object.__setattr__(self, name, Path(getattr(self, name)))

    @property
    def images_dir(self) -> Path:
        """Folder of the images."""
        return self.data_dir / "images"
