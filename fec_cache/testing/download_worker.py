"""A download in a process that a test can kill: python -m fec_cache.testing.download_worker DIR."""

import sys
from pathlib import Path

from fec_cache.datasets.download.config import DownloadConfig
from fec_cache.datasets.download.run import NetworkAccess
from fec_cache.system.reporter import SILENT
from fec_cache.system.workspace import Workspace
from fec_cache.testing.picture_server.loopback import pinned
from fec_cache.workflows.download import download as run_download

# Short waits: the bad behaviours of the picture server end in seconds instead of minutes.
CONFIG = DownloadConfig(
    concurrency=48, per_host=8, backoff_s=0.05, deadline_s=1.5, max_bytes=1_000_000
)


def run(folder: Path) -> None:
    """Download what a data folder's CSV files name, from this machine instead of the internet."""
    workspace = Workspace(data_dir=folder)
    run_download(workspace, (), CONFIG, SILENT, NetworkAccess(pinned()))


if __name__ == "__main__":
    run(Path(sys.argv[1]))
