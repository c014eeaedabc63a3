import hashlib
import http.server
import os
import pickle
import threading
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fec_cache.backbones import weights
from fec_cache.backbones.base import PublishedFile
from fec_cache.backbones.weights import find_weights, read_state
from fec_cache.errors import BadOption, WeightsMismatch, WeightsNotFound


def small_state(scale=1.0):
    return OrderedDict(
        [("a.weight", torch.arange(6.0).reshape(2, 3) * scale), ("a.bias", torch.tensor([1.0, 2]))]
    )


def save_bytes(state, path):
    torch.save(state, path)
    return path.read_bytes()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def serve():
    servers = []

    def start(answer):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                answer(self)

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def answer_with(content, status=200, claimed_size=None):
    def answer(handler):
        handler.send_response(status)
        handler.send_header("Content-Length", str(claimed_size or len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def published_as(content, url_base="", backbone="toynet", **more):
    name = f"toynet-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    return PublishedFile(backbone, name, f"{url_base}/{name}" if url_base else "", **more)


# A port without a listener: refused at once, like a machine without internet.
NOWHERE = "http://127.0.0.1:9"


def test_named_file_comes_before_the_hub_cache(tmp_path, hub):
    content = save_bytes(small_state(), tmp_path / "mine.pth")
    published = published_as(b"other")
    (hub / published.file_name).write_bytes(b"other")
    path, origin = find_weights(str(tmp_path / "mine.pth"), published)
    assert path == tmp_path / "mine.pth"
    assert origin.identity == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert origin.source == str(tmp_path / "mine.pth")


def test_hub_cache_is_used_without_a_download(tmp_path, hub):
    content = save_bytes(small_state(), tmp_path / "x.pth")
    published = published_as(content, NOWHERE)
    (hub / published.file_name).write_bytes(content)
    path, origin = find_weights(None, published)
    assert path == hub / published.file_name
    assert origin.identity == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert weights.find_local_file(published) == (path, str(path))


def test_altered_file_in_the_hub_cache_is_refused(tmp_path, hub):
    content = save_bytes(small_state(), tmp_path / "x.pth")
    published = published_as(content, NOWHERE)
    (hub / published.file_name).write_bytes(content[:-1] + b"!")
    with pytest.raises(WeightsMismatch, match=r"damaged or a different file.*Delete it"):
        find_weights(None, published)


def test_download_lands_in_the_hub_cache(tmp_path, hub, serve):
    content = save_bytes(small_state(), tmp_path / "x.pth")
    published = published_as(content, serve(answer_with(content)))
    path, origin = find_weights(None, published)
    assert path.read_bytes() == content
    assert origin.source == published.url
    assert [file.name for file in hub.iterdir()] == [published.file_name]


@pytest.mark.parametrize("sent", [b"<html>please log in</html>", b""])
def test_download_with_another_hash_is_refused_and_not_kept(hub, serve, sent):
    published = published_as(b"what was meant", serve(answer_with(sent)))
    with pytest.raises(WeightsMismatch, match="It was deleted"):
        find_weights(None, published)
    assert list(hub.iterdir()) == []


def test_download_that_breaks_off_is_not_kept(hub, serve):
    content = b"0123456789" * 100
    published = published_as(content, serve(answer_with(content[:500], claimed_size=1000)))
    with pytest.raises((WeightsMismatch, WeightsNotFound)):
        find_weights(None, published)
    assert list(hub.iterdir()) == []


def test_server_that_refuses_is_reported(hub, serve):
    published = published_as(b"x", serve(answer_with(b"gone", status=404)))
    with pytest.raises(WeightsNotFound, match="HTTP Error 404"):
        find_weights(None, published)


def test_silent_server_does_not_hang(hub, serve, monkeypatch):
    monkeypatch.setattr(weights, "DOWNLOAD_TIMEOUT_S", 0.2)
    release = threading.Event()
    published = published_as(b"x", serve(lambda handler: release.wait(10)))
    with pytest.raises(WeightsNotFound, match="timed out"):
        find_weights(None, published)
    release.set()


def test_no_internet_lists_what_can_be_done(hub):
    published = published_as(b"x", NOWHERE)
    with pytest.raises(WeightsNotFound) as caught:
        find_weights(None, published, other_ways=["take toynet2"])
    text = str(caught.value)
    assert "The weights of toynet are not on this machine (download failed: " in text
    assert "(1) --weights FILE" in text
    assert f"(2) save {published.url} as {hub / published.file_name}; (3) take toynet2" in text
    assert text.endswith("For a dry run only: --weights random:0.")


def test_download_can_be_forbidden(hub, serve):
    published = published_as(b"x", serve(answer_with(b"x")))
    with pytest.raises(WeightsNotFound, match="downloads are off"):
        find_weights(None, published, allow_download=False)


def test_unwritable_hub_cache_is_reported(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder can be made in here")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "file"))
    with pytest.raises(WeightsNotFound, match="download failed"):
        find_weights(None, published_as(b"x", NOWHERE))


def test_missing_file_and_folder_have_different_errors(tmp_path):
    with pytest.raises(WeightsNotFound, match="does not exist"):
        find_weights(str(tmp_path / "none.pth"), published_as(b"x"))
    with pytest.raises(WeightsNotFound, match="is a folder"):
        find_weights(str(tmp_path), published_as(b"x"))


def test_package_is_found_without_importing_it(hub, tmp_path, monkeypatch):
    content = b"weights"
    published = published_as(content, package="toy-weights")
    package, info = tmp_path / "toy_weights", tmp_path / "toy_weights-1.5.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / published.file_name).write_bytes(content)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-weights\nVersion: 1.5\n")
    (info / "RECORD").write_text(f"toy_weights/{published.file_name},,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    path, origin = find_weights(None, published)
    assert path == package / published.file_name
    assert origin.source == "package toy-weights 1.5"


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_state_dict_is_unwrapped(tmp_path, wrap, prefix):
    state = OrderedDict((prefix + name, tensor) for name, tensor in small_state().items())
    torch.save(wrap(state), tmp_path / "x.pt")
    read = read_state(tmp_path / "x.pt")
    assert list(read) == ["a.weight", "a.bias"]
    assert torch.equal(read["a.weight"], small_state()["a.weight"])


def test_safetensors_are_read(tmp_path):
    save_file(small_state(), tmp_path / "x.safetensors")
    assert torch.equal(read_state(tmp_path / "x.safetensors")["a.bias"], torch.tensor([1.0, 2]))


def test_format_versions_survive(tmp_path):
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(2))
    torch.save(network.state_dict(), tmp_path / "x.pth")
    assert read_state(tmp_path / "x.pth")._metadata["0"] == {"version": 2}


class Trap:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_pickle_that_runs_code_is_refused_unrun(tmp_path):
    torch.save({"a": Trap(str(tmp_path / "sprung"))}, tmp_path / "x.pth")
    with pytest.raises(WeightsMismatch, match="cannot be read as weights"):
        read_state(tmp_path / "x.pth")
    assert not (tmp_path / "sprung").exists()


def test_no_error_advises_to_run_the_code_of_a_file(tmp_path):
    (tmp_path / "x.pth").write_text("image,identity\na.jpg,ann\n")
    with pytest.raises(WeightsMismatch, match="it contains more than tensors") as caught:
        read_state(tmp_path / "x.pth")
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html><body>not found</body></html>",
        b"PK\x03\x04 cut",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        pickle.dumps([1, 2]),
        bytes(range(256)),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_bytes_that_are_no_weights_are_one_named_error(tmp_path, content, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsMismatch, match=r"x\.(pth|safetensors)"):
        read_state(path)


@pytest.mark.parametrize("content", [{}, {"a": 1}, {1: torch.zeros(1)}, torch.zeros(2), [1]])
def test_files_without_a_state_dict_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(WeightsMismatch, match="does not contain a state dict"):
        read_state(tmp_path / "x.pth")


def test_truncated_file_is_refused(tmp_path):
    content = save_bytes(small_state(), tmp_path / "x.pth")
    (tmp_path / "x.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsMismatch, match="cannot be read as weights"):
        read_state(tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("text", "seed"), [("random:0", 0), ("random:007", 7), (None, None), ("randomly.pth", None)]
)
def test_seed_is_parsed(text, seed):
    assert weights.random_seed(text) == seed


@pytest.mark.parametrize("text", ["random", "random:", "random:x", "random:-1", f"random:{10**30}"])
def test_bad_seeds_are_reported(text):
    with pytest.raises(BadOption, match="such as random:0"):
        weights.random_seed(text)


def test_random_identity_depends_on_names_shapes_and_values():
    state = {"a": torch.zeros(2, 3), "n": torch.tensor(5)}
    identity = weights.random_origin(3, state).identity
    assert identity.startswith("random:3:") and len(identity) == len("random:3:") + 16
    assert weights.random_origin(3, dict(reversed(state.items()))).identity == identity
    others = [
        {"b": torch.zeros(2, 3), "n": torch.tensor(5)},
        {"a": torch.zeros(3, 2), "n": torch.tensor(5)},
        {"a": torch.zeros(2, 3), "n": torch.tensor(6)},
    ]
    assert identity not in [weights.random_origin(3, other).identity for other in others]


def test_sha256_of_a_file_of_several_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "_CHUNK_BYTES", 7)
    Path(tmp_path / "x").write_bytes(b"abc" * 50)
    assert weights.sha256_of_file(tmp_path / "x") == hashlib.sha256(b"abc" * 50).hexdigest()
