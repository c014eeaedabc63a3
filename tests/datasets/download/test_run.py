import hashlib
from contextlib import closing

import pytest

from fec_cache.datasets.download.config import DownloadConfig
from fec_cache.datasets.download.ledger import DownloadLedger
from fec_cache.datasets.download.plan import enter_source, reopen_failed, urls_in_state
from fec_cache.datasets.download.run import NetworkAccess, download
from fec_cache.datasets.image_paths import url_path
from fec_cache.errors import NetworkDown
from fec_cache.faces.examine import examine
from fec_cache.testing.picture_server.behaviours import EXPECTED
from fec_cache.testing.picture_server.loopback import PUBLIC, PUBLIC_SIX, LoopbackDial, pinned
from fec_cache.testing.picture_server.server import PictureServer
from fec_cache.testing.picture_server.triplets import write_csv

FAST = {"backoff_s": 0.02, "deadline_s": 1.5, "max_bytes": 1_000_000, "per_host": 8}


@pytest.fixture
def server():
    with PictureServer() as running:
        yield running


def fetch(folder, urls, dial=None, **options):
    """Download URLs as a first run would; the ledger stays open for questions."""
    write_csv(folder / "train.csv", urls)
    ledger = DownloadLedger(folder)
    again(ledger, folder, dial, **options)
    return ledger


def again(ledger, folder, dial=None, **options):
    config = DownloadConfig(**{**FAST, **options})
    source = enter_source(ledger, "train", folder / "train.csv")
    reopen_failed(ledger, [source], config.retry_failed)
    return download(
        ledger, urls_in_state(ledger, [source], "pending"), folder, config, examine,
        network=NetworkAccess(pinned(dial)),
    )  # fmt: skip


def states(ledger):
    rows = ledger.query("SELECT url, state, kind FROM urls")
    return {url: kind if state == "failed" else {"ok": ""}.get(state, state)
            for url, state, kind in rows}  # fmt: skip


def mixture(server, each):
    """URLs of every behaviour, and the kind that each is to end with."""
    wanted_kinds = {}
    for behaviour, kind in EXPECTED.items():
        host = f"{behaviour}.example"  # a host that asks for a pause must not hold up the others
        few = {"twins": 3, "drip": 3, "silent": 3, "endless": 3}.get(behaviour, each)
        for number in range(few):
            wanted_kinds[server.url(behaviour, number, host)] = kind
    for number in range(each):
        wanted_kinds[server.url("ok", 500 + number, "six.example")] = ""
        wanted_kinds[server.url("ok", number, f"h{number}.nowhere.example")] = "dns"
    for number in range(12):
        wanted_kinds[server.url("ok", number, "only.refused.example")] = "connect"
    return wanted_kinds


def test_every_behaviour_of_the_web_ends_in_its_state(server, tmp_path):
    kinds = mixture(server, 8)
    dial = LoopbackDial()
    # On a busy machine five redirects can take more than a second.
    with closing(fetch(tmp_path, kinds, dial, concurrency=48, tries=2, deadline_s=2.2)) as ledger:
        found = states(ledger)
        down = {url for url, kind in found.items() if kind == "host-down"}
        assert {url for url in found if found[url] != kinds[url]} == down
        assert all("refused" in url for url in down)
        assert len(kinds) > 300
        # Only checked, public addresses were dialled: nothing local, no metadata service.
        assert set(dial.dialled) == {PUBLIC, PUBLIC_SIX, "192.0.9.9"}
        rows = ledger.query(
            "SELECT url, sha256, size_bytes, width, height FROM urls WHERE state = 'ok'"
        )
    for url, sha, size, width, height in rows:
        content = (tmp_path / "images" / url_path(url)).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (sha, size)
        assert (width, height) == (160, 120)
    files = {p for p in (tmp_path / "images").rglob("*") if p.is_file()}
    assert files == {tmp_path / "images" / url_path(url) for url, *_ in rows}
    assert not (tmp_path / ".partial").exists()


def test_what_is_ok_is_never_asked_for_again(server, tmp_path):
    urls = [server.url("ok", n) for n in range(20)] + [server.url("missing", n) for n in range(9)]
    with closing(fetch(tmp_path, urls)) as ledger:
        asked = len(server.log)
        assert asked == 29
        progress = again(ledger, tmp_path)
        assert (len(server.log), progress.total) == (asked, 0)
        progress = again(ledger, tmp_path, retry_failed="all")
        assert server.log[asked:] == [f"/missing/{n}.jpg" for n in range(9)]
        assert (progress.total, progress.adopted) == (9, 0)


def test_transient_failures_are_tried_again_by_the_next_run(server, tmp_path):
    urls = [server.url(kind, 1, f"{kind}.example") for kind in ("sick", "missing", "flaky")]
    with closing(fetch(tmp_path, urls, tries=1)) as ledger:
        assert list(states(ledger).values()) == ["server-error", "not-found", "server-error"]
        before = list(server.log)
        again(ledger, tmp_path, retry_failed="none")
        assert server.log == before
        again(ledger, tmp_path, retry_failed="transient")
        assert sorted(server.log[len(before) :]) == ["/flaky/1.jpg"] + ["/sick/1.jpg"] * 3
        assert list(states(ledger).values()) == ["server-error", "not-found", ""]
        tries = dict(ledger.query("SELECT url, tries FROM urls"))
        assert [tries[url] for url in urls] == [4, 1, 2]


@pytest.mark.parametrize("behaviour", ["limited", "busy"])
def test_a_pause_that_one_answer_asks_for_holds_for_the_whole_host(server, tmp_path, behaviour):
    urls = [server.url(behaviour, 1, "one.example")]
    urls += [server.url("ok", n, "one.example") for n in range(30)]
    urls += [server.url("ok", 100 + n, "two.example") for n in range(30)]
    with closing(fetch(tmp_path, urls, per_host=1, concurrency=4)) as ledger:
        assert set(states(ledger).values()) == {""}
    times = dict(reversed(server.times))
    last = dict(server.times)
    paused_at = times[f"/{behaviour}/1.jpg"]
    assert all(times[f"/ok/{n}.jpg"] >= paused_at + 1.0 for n in range(30))
    assert last[f"/{behaviour}/1.jpg"] >= paused_at + 1.0
    # More of the other host than were under way already.
    meanwhile = [n for n in range(30) if paused_at < times[f"/ok/{100 + n}.jpg"] < paused_at + 1.0]
    assert len(meanwhile) > 4


def test_a_host_that_asks_for_hours_is_left_for_another_day(server, tmp_path):
    urls = [server.url("limited", 1, "one.example"), server.url("ok", 1, "one.example")]
    urls.append(server.url("ok", 2, "two.example"))
    write_csv(tmp_path / "train.csv", urls)
    with closing(DownloadLedger(tmp_path)) as ledger:
        progress = again(ledger, tmp_path, longest_wait_s=0.5, per_host=1)
        assert progress.parked == {"one.example": 2}
        assert list(states(ledger).values()) == ["pending", "pending", ""]


def test_a_placeholder_is_found_by_its_many_photos_and_its_files_go(server, tmp_path):
    few = [server.url("placeholder", n) for n in range(3)]
    with closing(fetch(tmp_path, few)) as ledger:
        assert set(states(ledger).values()) == {""}
        assert len(list((tmp_path / "images").rglob("*.jpg"))) == 3
        write_csv(tmp_path / "train.csv", [server.url("placeholder", n) for n in range(6)])
        progress = again(ledger, tmp_path)
        assert set(states(ledger).values()) == {"placeholder"}
        assert list((tmp_path / "images").rglob("*.jpg")) == []
        assert (progress.ok, progress.total) == (0, 3)
        again(ledger, tmp_path, retry_failed="all", placeholder_urls=0)
        assert set(states(ledger).values()) == {""}


def test_a_placeholder_is_known_to_later_runs(server, tmp_path):
    fetch(tmp_path, [server.url("placeholder", n) for n in range(6)]).close()
    new = server.url("placeholder", 7)
    with closing(fetch(tmp_path, [new, server.url("ok", 1), server.url("ok", 2)])) as ledger:
        assert states(ledger)[new] == "placeholder"
    assert not (tmp_path / "images" / url_path(new)).exists()


def test_one_photo_on_many_hosts_is_no_placeholder(server, tmp_path):
    names = ("farm1", "farm2", "farm3", "live", "c1", "c2")
    urls = [
        f"http://{name}.example:{server.port}/twins/1234567890_abcdef0123_{size}.jpg"
        for name, size in zip(names, "mzbocn", strict=True)
    ]
    with closing(fetch(tmp_path, urls)) as ledger:
        assert set(states(ledger).values()) == {""}
        assert ledger.number("SELECT count(DISTINCT sha256) FROM urls") == 1


def test_robots_are_honoured_unless_switched_off(server, tmp_path):
    urls = [server.url("robots", n) for n in range(3)]
    with closing(fetch(tmp_path, urls)) as ledger:
        assert set(states(ledger).values()) == {"robots"}
        again(ledger, tmp_path, retry_failed="all", honour_robots=False, contact="a@b.example")
        assert set(states(ledger).values()) == {""}
    assert any("a@b.example" in agent for agent in server.agents)


def test_a_picture_that_lies_there_already_is_not_fetched(server, tmp_path):
    url, other = server.url("ok", 1), server.url("ok", 2)
    path, bad = (tmp_path / "images" / url_path(u) for u in (url, other))
    path.parent.mkdir(parents=True)
    bad.parent.mkdir(parents=True, exist_ok=True)
    from fec_cache.testing.picture_server.pictures import picture

    path.write_bytes(picture(7))
    bad.write_bytes(picture(7)[:-3000])
    with closing(fetch(tmp_path, [url, other])) as ledger:
        assert server.log == ["/ok/2.jpg"]
        sha = ledger.query("SELECT sha256 FROM urls WHERE url = ?", (url,))[0][0]
    assert sha == hashlib.sha256(picture(7)).hexdigest()


def test_where_no_host_can_be_reached_the_rest_stays_pending(tmp_path):
    urls = [f"http://h{n}.refused.example/{k}.jpg" for n in range(40) for k in range(9)]
    write_csv(tmp_path / "train.csv", urls)
    with closing(DownloadLedger(tmp_path)) as ledger:
        with pytest.raises(NetworkDown, match=r"None of \d+ hosts could be reached"):
            again(ledger, tmp_path, tries=1)
        assert ledger.number("SELECT count(*) FROM urls WHERE state = 'pending'") > 0


def test_a_limit_of_bytes_ends_the_run_and_leaves_the_rest_pending(server, tmp_path):
    urls = [server.url("ok", n) for n in range(60)]
    write_csv(tmp_path / "train.csv", urls)
    with closing(DownloadLedger(tmp_path)) as ledger:
        progress = again(ledger, tmp_path, max_gb=50_000 / 1e9, concurrency=2)
        assert "--max-gb" in progress.stopped
        stored = ledger.number("SELECT sum(stored_bytes) FROM urls")
        each = ledger.number("SELECT max(stored_bytes) FROM urls")
        assert 50_000 <= stored <= 50_000 + 4 * each
        assert 0 < progress.ok < 60
        again(ledger, tmp_path)
        assert set(states(ledger).values()) == {""}
    assert len(server.log) == 60
