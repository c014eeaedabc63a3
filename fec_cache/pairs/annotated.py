"""`load_pairs`: the annotated triplets of one split, before they meet any features."""

from dataclasses import dataclass
from pathlib import Path

from fec_cache.datasets.annotations import Annotations, find_annotations, read_annotations


@dataclass(frozen=True)
class AnnotatedPairs:
    """The triplets of one CSV file; each stands for one similar and two different pairs.

    `annotations.rejected` holds the rows that could not be used, with the reasons.

    Example:
        >>> from fec_cache import load_pairs
        >>> pairs = load_pairs("data")
        >>> len(pairs) == len(pairs.annotations.triplets)
        True
    """

    data_dir: Path
    split: str
    annotations: Annotations

    def __len__(self) -> int:
        """Number of usable triplets."""
        return len(self.annotations.triplets)


def load_pairs(data_dir: str | Path = "data", split: str = "train") -> AnnotatedPairs:
    """Read the annotations of a split of a data folder.

    Args:
        data_dir: folder with train.csv, test.csv and images/.
        split: `train` or `test`.

    Raises:
        MissingData: the folder has no such file.
        BadAnnotations: the file has no usable row.

    Example:
        >>> load_pairs("data", "test").split
        'test'
    """
    folder = Path(data_dir)
    return AnnotatedPairs(folder, split, read_annotations(find_annotations(folder, split)))
