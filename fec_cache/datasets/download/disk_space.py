"""How much may be stored: checked before the first request and while pictures arrive."""

import shutil
from pathlib import Path

from fec_cache.datasets.download.config import DownloadConfig
from fec_cache.datasets.download.ledger import DownloadLedger
from fec_cache.errors import StorageFailed
from fec_cache.system.wording import counted, data_size

USUAL_BYTES = {"original": 150_000, "crop": 200_000}
"""Assumed size of a picture before enough are stored to take their mean: a guess, not measured."""

_RESERVE_BYTES = 256_000_000
_CHECK_EVERY_BYTES = 16_000_000
_FEWEST_FOR_MEAN = 100
_GB = 1e9


class SpaceGuard:
    """Watches the free disk space and the size limit of one data folder.

    Args:
        ledger: knows what is stored.
        data_dir: the folder.
        config: `keep` and `max_gb`.
    """

    def __init__(self, ledger: DownloadLedger, data_dir: Path, config: DownloadConfig) -> None:
        self._ledger, self._data_dir, self._config = ledger, data_dir, config
        self._limit_bytes = config.max_gb * _GB
        self._stored_bytes = ledger.number("SELECT sum(stored_bytes) FROM urls WHERE state = 'ok'")
        self._until_check_bytes = 0
        # On a small disk a fixed reserve would leave nothing at all.
        self._reserve_bytes = min(_RESERVE_BYTES, shutil.disk_usage(data_dir).total // 20)

    def expected_bytes(self, num_pending: int) -> int:
        """Bytes that the pending pictures will take, from the mean of those already stored."""
        row = self._ledger.query("SELECT avg(stored_bytes), count(*) FROM urls WHERE state = 'ok'")
        mean, count = float(str(row[0][0] or 0)), int(str(row[0][1]))
        per_picture = mean if count >= _FEWEST_FOR_MEAN else float(USUAL_BYTES[self._config.keep])
        expected = num_pending * per_picture
        if self._limit_bytes:
            expected = min(expected, max(self._limit_bytes - self._stored_bytes, 0.0))
        return round(expected)

    def check(self, num_pending: int) -> None:
        """Check that the pending pictures fit on the disk.

        Raises:
            StorageFailed: there is not enough free space.
        """
        free, expected = free_disk_bytes(self._data_dir), self.expected_bytes(num_pending)
        if expected + self._reserve_bytes > free:
            room = max(free - self._reserve_bytes, 0)
            raise StorageFailed(
                f"{counted(num_pending, 'picture')} will take about {_size(expected)}, but "
                f"{self._data_dir} has room for {_size(room)} ({_size(free)} free, "
                f"{_size(self._reserve_bytes)} of it kept in reserve). Free some space, choose "
                "another folder with --data DIR, or download a part with "
                f"--max-gb {max(room * 0.9 / _GB, 0.001):.3f}."
            )

    def add(self, num_bytes: int) -> None:
        """Count bytes that were stored."""
        self._stored_bytes += num_bytes
        self._until_check_bytes -= num_bytes

    def why_stop(self) -> str:
        """Why nothing more may be stored; empty if more may come."""
        if self._limit_bytes and self._stored_bytes >= self._limit_bytes:
            return f"{self._config.max_gb:g} GB are stored, the limit set by --max-gb"
        if self._until_check_bytes <= 0:
            self._until_check_bytes = _CHECK_EVERY_BYTES
            free = free_disk_bytes(self._data_dir)
            if free < self._reserve_bytes:
                return f"only {_size(free)} are free on the disk"
        return ""


def free_disk_bytes(folder: Path) -> int:
    """Bytes that may still be written to a folder's file system."""
    return shutil.disk_usage(folder).free


def _size(num_bytes: float) -> str:
    return data_size(num_bytes, on_disk=True)
