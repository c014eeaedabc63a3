"""Settings of `fec download`, and the kinds of failure that a URL can end in."""

import math
from dataclasses import dataclass, field

from fec_cache.errors import BadOption
from fec_cache.system.checks import check_choice, check_range
from fec_cache.system.version import VERSION

KEEPS = ("original", "crop")
RETRIES = ("all", "transient", "none")

TRANSIENT = frozenset(
    {
        "dns",  # the host name did not resolve
        "connect",  # connection refused, host unreachable or silent
        "broken",  # the connection broke, or the response was not HTTP
        "cut-short",  # fewer bytes than announced
        "timeout",  # deadline exceeded
        "rate-limited",  # 429, or 503 with Retry-After
        "server-error",  # 5xx, 408
        "host-down",  # not requested: its host did not answer several times in a row
    }
)
PERMANENT = frozenset(
    {
        "not-found",  # 404
        "gone",  # 410
        "forbidden",  # 401, 403, 451
        "status",  # any other status than 200
        "redirects",  # too many of them, or a loop
        "bad-url",
        "unsafe-address",  # loopback, private, link-local, metadata, ...
        "tls",  # certificate or handshake refused
        "robots",  # X-Robots-Tag says no
        "too-large",
        "encoding",  # an unknown compression, which was not asked for
        "empty",
        "html",
        "not-a-picture",
        "damaged",  # starts like a picture but cannot be decoded
        "bomb",  # small on the wire, huge when decompressed
        "placeholder",  # a picture that only says that the photo was removed
        "unexpected",  # any other error; its type is in the ledger
    }
)
KINDS = TRANSIENT | PERMANENT


# Not a FecError: it ends one URL and is written to the ledger, but never ends the run.
class FetchFailed(Exception):
    """A URL did not give its picture.

    Attributes:
        kind: one of `KINDS`.
        detail: the reason in words.
        status: the HTTP status, if there was one.
        retry_after_s: the pause that the server asked for; None if it asked for none.
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind, self.detail = kind, detail
        self.status, self.retry_after_s = status, retry_after_s


@dataclass(frozen=True)
class DownloadConfig:
    """Settings of one download.

    Attributes:
        concurrency: maximum number of requests at a time, over all hosts.
        per_host: maximum number of requests at a time to one host.
        tries: maximum number of requests for one URL in one run; only transient failures repeat.
        deadline_s: time limit of one request, redirects and body included.
        connect_s: time limit for opening one connection.
        max_bytes: maximum size of one picture, on the wire and decompressed.
        backoff_s: pause before the second try; doubled for each further one, with jitter.
        longest_wait_s: a host that asks for a longer pause is left for a later run.
        contact: added to the User-Agent, so that a server's operator can write to us.
        honour_robots: whether X-Robots-Tag is obeyed.
        allow_private: allow loopback and private addresses; for tests.
        keep: `original`, or `crop` for each face with a margin.
        max_gb: stop when this many gigabytes (1e9 bytes) are stored; 0 for no limit.
        retry_failed: which failures of earlier runs are tried again.
        placeholder_urls: content that more photos than this share is a placeholder; 0: never.
    """

    concurrency: int = field(
        default=32, metadata={"help": "Maximum number of concurrent requests, over all hosts."}
    )
    per_host: int = field(
        default=6, metadata={"help": "Maximum number of concurrent requests to one host."}
    )
    tries: int = field(
        default=3, metadata={"help": "Maximum number of requests for one URL in one run."}
    )
    deadline_s: float = field(
        default=60.0,
        metadata={
            "help": "Time limit for one request, redirects and body included.",
            "flag": "--deadline",
            "metavar": "SECONDS",
        },
    )
    connect_s: float = field(
        default=15.0,
        metadata={
            "help": "Time limit for opening one connection.",
            "flag": "--connect-timeout",
            "metavar": "SECONDS",
        },
    )
    max_bytes: int = field(
        default=30_000_000, metadata={"help": "Maximum size of one picture, in bytes."}
    )
    backoff_s: float = field(
        default=1.0,
        metadata={
            "help": "Pause before the second try, doubled for each further try, with jitter.",
            "flag": "--backoff",
            "metavar": "SECONDS",
        },
    )
    longest_wait_s: float = field(
        default=900.0,
        metadata={
            "help": "Longest pause a host may ask for; if it asks for more, its URLs are left for "
            "a later run.",
            "flag": "--longest-wait",
            "metavar": "SECONDS",
        },
    )
    contact: str = field(
        default="",
        metadata={
            "help": "E-mail address or web page to send in the User-Agent header, so that a "
            "server's operator can reach you; please give one.",
            "metavar": "TEXT",
        },
    )
    honour_robots: bool = field(
        default=True,
        metadata={
            "help": "Whether to obey X-Robots-Tag headers.",
            "flag": "--honour-robots/--ignore-robots",
        },
    )
    allow_private: bool = field(
        default=False, metadata={"help": "Allow loopback and private addresses, for tests."}
    )
    keep: str = field(
        default="original",
        metadata={
            "help": "Keep whole pictures, or each face with a 40 % margin in DATA/cropped.",
            "choices": KEEPS,
        },
    )
    max_gb: float = field(
        default=0.0, metadata={"help": "Stop when this many GB are stored; 0 for no limit."}
    )
    retry_failed: str = field(
        default="transient",
        metadata={"help": "Which failures of earlier runs to try again.", "choices": RETRIES},
    )
    placeholder_urls: int = field(
        default=3,
        metadata={
            "help": "Treat content of more than this many photos as a placeholder; 0: never."
        },
    )

    def __post_init__(self) -> None:
        """Check every field."""
        check_range("concurrency", self.concurrency, 1, 1024)
        check_range("per host", self.per_host, 1, 256)
        check_range("tries", self.tries, 1, 100)
        check_range("deadline", self.deadline_s, 0.01, 86_400)
        check_range("connect timeout", self.connect_s, 0.01, 3600)
        check_range("max bytes", self.max_bytes, 1, 1_000_000_000)
        check_range("back-off", self.backoff_s, 0.0, 3600)
        check_range("longest wait", self.longest_wait_s, 0.0, 86_400)
        check_range("max GB", self.max_gb, 0.0, math.inf)
        check_range("placeholder URLs", self.placeholder_urls, 0, 1_000_000)
        check_choice("keep", self.keep, KEEPS)
        check_choice("retry failed", self.retry_failed, RETRIES)
        if not (self.contact.isascii() and self.contact.isprintable()) and self.contact:
            raise BadOption(
                f"contact is {self.contact!r}, but it must be plain ASCII on one line, such as "
                "an e-mail address or a web page: it is sent in a header of each request."
            )

    @property
    def user_agent(self) -> str:
        """The User-Agent header: name, version, purpose and contact."""
        contact = f"; {self.contact}" if self.contact else ""
        return f"fec-cache/{VERSION} (research download of the FEC set{contact})"
