import pytest

from fec_cache import __version__
from fec_cache.datasets.download.config import KINDS, PERMANENT, TRANSIENT, DownloadConfig
from fec_cache.errors import BadOption


def test_a_kind_of_failure_is_either_transient_or_permanent():
    assert not TRANSIENT & PERMANENT
    assert len(KINDS) == len(TRANSIENT) + len(PERMANENT) == 26


def test_the_user_agent_names_version_and_contact():
    plain = f"fec-cache/{__version__} (research download of the FEC set"
    assert DownloadConfig().user_agent == f"{plain})"
    assert DownloadConfig(contact="a@b.example").user_agent == f"{plain}; a@b.example)"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"concurrency": 0}, "concurrency is 0, but it must be between 1 and 1024."),
        ({"max_gb": -1.0}, "max GB is -1, but it must be at least 0."),
        ({"keep": "face"}, "keep is 'face', but it must be one of: original, crop."),
        ({"contact": "a\nb"}, "contact is 'a\\nb', but it must be plain ASCII on one line, such "
         "as an e-mail address or a web page: it is sent in a header of each request."),
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_named(option, message):
    with pytest.raises(BadOption) as caught:
        DownloadConfig(**option)
    assert str(caught.value) == message
