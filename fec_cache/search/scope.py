"""What a search's points were trained on: figures are reused only if all of it is the same."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from fec_cache.errors import OutputExists
from fec_cache.pairs.build import TripletTable
from fec_cache.pairs.split import Split
from fec_cache.runs.files import CONFIG_NAME, SEARCH_NAME
from fec_cache.system.atomic import write_atomically

_WORDS = {
    "features": "features",
    "triplets": "triplets",
    "split": "validation split",
    "trainer": "version of the training code",
}


@dataclass(frozen=True)
class Scope:
    """Digests of everything that a figure depends on besides the point's own settings."""

    # The names are those in search.json; `trainer` holds the version of the training code.
    features: str
    triplets: str
    split: str
    trainer: str

    @property
    def digest(self) -> str:
        """Sha256 over all fields, 64 hex digits."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def differences(self, other: "Scope") -> list[str]:
        """Names of the fields that differ, in words."""
        mine, theirs = asdict(self), asdict(other)
        return [word for name, word in _WORDS.items() if mine[name] != theirs[name]]

    def claim(self, folder: Path) -> bool:
        """Reserve a folder for a search of this scope.

        Returns:
            True if the folder's search file was damaged and has been rewritten.

        Raises:
            OutputExists: the folder holds another search, or a run that no search made.
            StorageFailed: the search file cannot be written.
        """
        path = folder / SEARCH_NAME
        text = json.dumps(asdict(self), indent=1) + "\n"
        try:
            stored = Scope(**json.loads(path.read_bytes()))
        except FileNotFoundError:
            if (folder / CONFIG_NAME).exists():
                raise OutputExists(
                    f"{folder} contains a trained head that was not made by a search, and a search "
                    "saves its best head there. Choose another --name."
                ) from None
            write_atomically(path, text.encode())
            return False
        except (OSError, ValueError, TypeError):
            # Safe without the old scope: keys contain it, so points of another search never match.
            write_atomically(path, text.encode())
            return True
        if stored != self:
            raise OutputExists(
                f"{folder} contains a search with other {', other '.join(self.differences(stored))}"
                ", so its figures cannot be compared. Choose another --name, or remove the folder."
            )
        return False


def split_digest(split: Split) -> str:
    """Digest of the rows of training and validation, their answers and order: 16 hex digits."""
    digest = hashlib.sha256()
    for table in (split.train, split.validation):
        digest.update(_table_digest(table))
    return digest.hexdigest()[:16]


def _table_digest(table: TripletTable) -> bytes:
    columns = (table.rows, table.odd, table.types, table.votes)
    parts = [
        str((column.shape, column.dtype.str)).encode() + column.tobytes() for column in columns
    ]
    return hashlib.sha256(b"".join(parts)).digest()
