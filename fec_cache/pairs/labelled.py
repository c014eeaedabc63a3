"""`Labelled`: triplets of one split as rows of a feature matrix, what heads learn from."""

from dataclasses import dataclass
from pathlib import Path

from fec_cache.cache.joined import CacheSet
from fec_cache.cache.matrix import FeatureMatrix
from fec_cache.datasets.annotations import FaceRef
from fec_cache.pairs.build import TripletCounts, TripletTable


@dataclass(frozen=True)
class Labelled:
    """Triplets of one split, as rows of the matrix of one cache or of several side by side.

    `picture_of` names, for each row of the matrix that a triplet uses, a face that shows it.
    """

    caches: CacheSet
    matrix: FeatureMatrix
    table: TripletTable
    counts: TripletCounts
    picture_of: dict[int, FaceRef]
    digest: str
    data_dir: Path

    def face_ids(self) -> set[str]:
        """Ids of all faces that stand in a triplet."""
        return {self.matrix.face_ids[row] for row in set(self.table.rows.ravel().tolist())}
