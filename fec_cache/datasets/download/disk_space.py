"""How much may be stored: checked before the first request, and while pictures come in."""

from pathlib import Path

from fec_cache.datasets.download.config import DownloadConfig
from fec_cache.datasets.download.ledger import Ledger
from fec_cache.datasets.download.store import free_bytes, total_bytes
from fec_cache.errors import StorageFailed
from fec_cache.system.wording import counted

USUAL_BYTES = {"original": 150_000, "crop": 200_000}
"""What a picture takes where none is there yet to go by: a guess, not a measurement of FEC."""

_RESERVE_BYTES = 256_000_000
_LOOK_EVERY_BYTES = 16_000_000
GB = 1e9


class SpaceGuard:
    """Watches the disk and the limit of one data folder.

    Args:
        ledger: knows what is stored.
        data_dir: the folder.
        config: `keep` and `max_gb`.
    """

    def __init__(self, ledger: Ledger, data_dir: Path, config: DownloadConfig) -> None:
        self._ledger, self._data_dir, self._config = ledger, data_dir, config
        self._limit = config.max_gb * GB
        self._stored = ledger.number("SELECT sum(stored_bytes) FROM urls WHERE state = 'ok'")
        self._until_look = 0
        # On a small disk a fixed reserve would leave nothing at all.
        self._reserve = min(_RESERVE_BYTES, total_bytes(data_dir) // 20)

    def expected_bytes(self, num_pending: int) -> int:
        """What the pending pictures will take: as much as the stored ones on average."""
        row = self._ledger.query("SELECT avg(stored_bytes), count(*) FROM urls WHERE state = 'ok'")
        mean, count = float(str(row[0][0] or 0)), int(str(row[0][1]))
        each = mean if count >= 100 else float(USUAL_BYTES[self._config.keep])
        expected = num_pending * each
        if self._limit:
            expected = min(expected, max(self._limit - self._stored, 0.0))
        return round(expected)

    def check(self, num_pending: int) -> None:
        """Refuse to begin what the disk cannot hold.

        Raises:
            StorageFailed: there is too little room.
        """
        free, expected = free_bytes(self._data_dir), self.expected_bytes(num_pending)
        if expected + self._reserve > free:
            room = max(free - self._reserve, 0)
            raise StorageFailed(
                f"{counted(num_pending, 'picture')} will take about {in_words(expected)}, but "
                f"{self._data_dir} has room for {in_words(room)} ({in_words(free)} free, "
                f"{in_words(self._reserve)} of it kept back). Make room, name another folder with "
                f"--data DIR, or fetch a part with --max-gb {max(room * 0.9 / GB, 0.001):.3f}."
            )

    def stored(self, num_bytes: int) -> None:
        """Take note of bytes that were stored."""
        self._stored += num_bytes
        self._until_look -= num_bytes

    def why_stop(self) -> str:
        """Why no more is to be stored; empty if more may come."""
        if self._limit and self._stored >= self._limit:
            return f"{self._config.max_gb:g} GB are stored, the limit set by --max-gb"
        if self._until_look <= 0:
            self._until_look = _LOOK_EVERY_BYTES
            free = free_bytes(self._data_dir)
            if free < self._reserve:
                return f"only {in_words(free)} are free on the disk"
        return ""


def in_words(num_bytes: float) -> str:
    """Bytes in the unit that people would use; a GB is 1e9 bytes."""
    return f"{num_bytes / GB:.2f} GB" if num_bytes >= GB / 10 else f"{num_bytes / 1e6:.1f} MB"
