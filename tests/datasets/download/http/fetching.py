"""One URL fetched through a backend, as the tests of all modules of `http` need it."""

import asyncio

import pytest

from fec_cache.datasets.download.config import DownloadConfig, FetchFailed
from fec_cache.datasets.download.http.connections import HostConnections
from fec_cache.datasets.download.http.fetch import Fetcher


def fetch(url, backend, **options):
    async def go():
        config = DownloadConfig(**{"deadline_s": 5.0, "allow_private": False, **options})
        transport = HostConnections(backend, 2.0)
        try:
            return await Fetcher(transport, config).fetch(url)
        finally:
            await transport.aclose()

    return asyncio.run(go())


def kind_of(url, backend, **options):
    with pytest.raises(FetchFailed) as caught:
        fetch(url, backend, **options)
    return caught.value.kind
