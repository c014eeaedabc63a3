"""`load_pairs`: the annotated triplets of one split, before they meet any features."""

from dataclasses import dataclass, field
from pathlib import Path

from fec_cache.cache.cache import FeatureCache
from fec_cache.datasets.annotations import Annotations, find_annotations, read_annotations
from fec_cache.faces.digests import ImageDigests
from fec_cache.faces.table import identify_faces, unique_refs
from fec_cache.pairs.build import PairTable, build_triplets, pairs_from_triplets
from fec_cache.system.checks import check_type
from fec_cache.system.reporter import LOGGING, Reporter
from fec_cache.system.workspace import Workspace


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
    annotations: Annotations = field(repr=False)  # FEC's have 500,000 triplets

    def __len__(self) -> int:
        """Number of usable triplets."""
        return len(self.annotations.triplets)

    def rows_in(self, cache: FeatureCache, reporter: Reporter = LOGGING) -> PairTable:
        """The pairs as rows of `cache.features()`: what scikit-learn or a loop needs.

        Args:
            cache: from `open_cache`, one of those in the folder that `extract` wrote.
            reporter: receives one line that counts the triplets that were used and left out.

        Returns:
            `rows` [P, 2] int64 and `is_similar` [P] bool; three pairs for each triplet that has
            features for all faces and a majority of its raters.

        Raises:
            BadOption: `cache` is not a cache.
            CacheDamaged, CacheNotFound: the features cannot be read.

        Example:
            >>> from fec_cache import load_pairs, open_cache
            >>> with open_cache("cache", "toy") as cache:
            ...     table = load_pairs("data").rows_in(cache)
            >>> table.rows.shape[1], len(table.rows) == len(table.is_similar)
            (2, True)
        """
        check_type("cache", cache, FeatureCache, "what open_cache gives")
        digests = ImageDigests(cache.folder.parent)
        refs = unique_refs(self.annotations.triplets)
        faces = identify_faces(refs, Workspace(self.data_dir).images_dir, digests)
        rows = {face_id: row for row, face_id in enumerate(cache.face_ids())}
        table, counts = build_triplets(
            self.annotations.triplets,
            faces.ids(),
            rows,
            num_rejected=len(self.annotations.rejected),
        )
        reporter.message(f"{self.annotations.path.name}: {counts.in_words()}")
        return pairs_from_triplets(table)


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
