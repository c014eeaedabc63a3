"""What a search's points were tried on: a figure is reused only where all of it is the same."""

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
    """Digests of everything but a point's own settings that a figure depends on."""

    features: str
    triplets: str
    split: str
    trainer: str

    @property
    def digest(self) -> str:
        """One name for all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def differences(self, other: "Scope") -> list[str]:
        """In words, what differs."""
        mine, theirs = asdict(self), asdict(other)
        return [word for name, word in _WORDS.items() if mine[name] != theirs[name]]

    def claim(self, folder: Path) -> bool:
        """Take a folder for a search of this scope; whether its search file had to be mended.

        Raises:
            OutputExists: the folder holds another search, or a run that no search made.
            StorageFailed: the disk would not take it.
        """
        path = folder / SEARCH_NAME
        text = json.dumps(asdict(self), indent=1) + "\n"
        try:
            found = Scope(**json.loads(path.read_bytes()))
        except FileNotFoundError:
            if (folder / CONFIG_NAME).exists():
                raise OutputExists(
                    f"{folder} holds a trained head that no search made, and a search keeps its "
                    "best head there. Choose another --name."
                ) from None
            write_atomically(path, text.encode())
            return False
        except (OSError, ValueError, TypeError):
            # Points carry their scope in their keys: those of another search are never believed.
            write_atomically(path, text.encode())
            return True
        if found != self:
            raise OutputExists(
                f"{folder} holds a search with other {', other '.join(self.differences(found))}: "
                "their figures cannot be compared. Choose another --name, or remove the folder."
            )
        return False


def split_digest(split: Split) -> str:
    """Names the very rows of training and validation, their answers and their order."""
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
