"""Keras' published weights: found where Keras keeps them, or downloaded, and always verified."""

import hashlib
import http.server
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import pytest

from fieldmark.base.errors import RecipeError, WeightsError
from fieldmark.models import published
from fieldmark.models.backbones import ModelConfig, resolve_backbone
from fieldmark.models.own_networks import OWN_NETWORKS, OwnNetwork, PublishedFile
from fieldmark.models.published import keras_models_folder, locate_published, published_weights

CONTENT, OTHER = b"weights " * 50_000, b"weights with the top " * 50_000
FILES = tuple(
    PublishedFile(name=name, md5=hashlib.md5(content).hexdigest())
    for name, content in (("notop.h5", CONTENT), ("top.h5", OTHER))
)
REAL_CONNECT, REAL_GETADDRINFO = socket.socket.connect, socket.getaddrinfo


class Server:
    """A stand-in for the publisher, on this machine, that behaves as it is told."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.content = CONTENT
        self.status = 200
        self.promised: int | None = None
        """Length in the header, the true one where None."""
        self.wait_before_s = self.wait_within_s = 0.0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                time.sleep(outer.wait_before_s)
                self.send_response(outer.status)
                length = len(outer.content) if outer.promised is None else outer.promised
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(outer.content[:1000])
                time.sleep(outer.wait_within_s)
                self.wfile.write(outer.content[1000:])

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/resnet/"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The stand-in, which is asked in the publisher's place; no other machine can be reached."""
    stand_in = Server()

    def to_this_machine(self: socket.socket, address: tuple[str, int]) -> None:
        assert address[0] == "127.0.0.1"
        REAL_CONNECT(self, address)

    monkeypatch.setattr(socket.socket, "connect", to_this_machine)
    monkeypatch.setattr(socket, "getaddrinfo", REAL_GETADDRINFO)
    monkeypatch.setattr(published, "KERAS_URL", stand_in.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield stand_in
    stand_in.close()


@pytest.fixture(autouse=True)
def keras_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of Keras' own that holds nothing yet; return where weights are in it."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    folder = tmp_path / "keras" / "models"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def own_folder(tmp_path: Path) -> Path:
    """Where Fieldmark keeps what it has downloaded."""
    return tmp_path / "cache" / "weights"


def refused() -> str:
    with pytest.raises(WeightsError) as caught:
        locate_published(FILES, backbone="keras_resnet50")
    return str(caught.value)


def test_keras_own_file_is_used_without_any_request(keras_home: Path) -> None:
    (keras_home / "notop.h5").write_bytes(CONTENT)
    found = locate_published(FILES, backbone="keras_resnet50")
    assert found.path == keras_home / "notop.h5"
    assert found.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert found.source == "Keras' published ImageNet weights notop.h5"


def test_the_file_with_the_top_will_do(keras_home: Path) -> None:
    (keras_home / "top.h5").write_bytes(OTHER)
    assert locate_published(FILES, backbone="keras_resnet50").path == keras_home / "top.h5"


def test_without_the_variable_keras_folder_is_in_the_users_home(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("KERAS_HOME")
    assert keras_models_folder() == Path.home() / ".keras" / "models"


def test_what_is_not_here_is_downloaded_once(server: Server, own_folder: Path) -> None:
    found = locate_published(FILES, backbone="keras_resnet50")
    assert found.path == own_folder / "notop.h5"
    assert found.path.read_bytes() == CONTENT
    assert found.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert locate_published(FILES, backbone="keras_resnet50") == found
    assert server.asked == ["/resnet/notop.h5"]
    assert [path.name for path in own_folder.iterdir()] == ["notop.h5"]


def test_an_altered_file_of_keras_is_not_used(
    server: Server, keras_home: Path, own_folder: Path
) -> None:
    (keras_home / "notop.h5").write_bytes(CONTENT[:-1])
    assert locate_published(FILES, backbone="keras_resnet50").path == own_folder / "notop.h5"
    assert len(server.asked) == 1


def test_an_altered_file_in_the_cache_is_downloaded_again(server: Server, own_folder: Path) -> None:
    own_folder.mkdir(parents=True)
    (own_folder / "notop.h5").write_bytes(b"damaged")
    assert locate_published(FILES, backbone="keras_resnet50").path.read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_what_is_not_the_published_file_is_refused_and_not_kept(
    server: Server, own_folder: Path
) -> None:
    server.content = b"<html>Log in to the network</html>"
    message = refused()
    assert "is not the published file: its MD5 sum is" in message
    assert FILES[0].md5 in message
    assert not own_folder.exists()


def test_a_download_that_breaks_off_is_refused_and_not_kept(
    server: Server, own_folder: Path
) -> None:
    server.promised = len(CONTENT) + 1
    assert f"it broke off after {len(CONTENT):,} of {len(CONTENT) + 1:,} bytes" in refused()
    assert not own_folder.exists()


def test_a_file_without_end_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "MAX_BYTES", len(CONTENT) - 1)
    assert "more than 399,999 bytes came" in refused()


def test_a_page_that_is_not_there_is_told(server: Server) -> None:
    server.status = 404
    message = refused()
    assert "HTTPError: HTTP Error 404" in message
    assert server.url + "notop.h5" in message


@pytest.mark.parametrize("silent", ["ANSWER_LIMIT_S", "SILENCE_LIMIT_S", "DOWNLOAD_LIMIT_S"])
def test_every_wait_has_an_end(
    silent: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    if silent == "ANSWER_LIMIT_S":
        server.wait_before_s = 1.0
    else:
        server.wait_within_s = 1.0
    monkeypatch.setattr(published, silent, 0.2)
    began_s = time.monotonic()
    assert "TimeoutError" in refused()
    assert time.monotonic() - began_s < (5 if silent == "DOWNLOAD_LIMIT_S" else 0.9)


def test_without_a_network_the_message_says_what_can_be_done(
    monkeypatch: pytest.MonkeyPatch, keras_home: Path, own_folder: Path
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    (keras_home / "notop.h5").write_bytes(b"damaged")
    message = refused()
    assert "The published weights of 'keras_resnet50' (notop.h5) are not on this machine" in message
    assert "Temporary failure in name resolution" in message
    assert f"{keras_home / 'notop.h5'} is there, but is not the published file" in message
    for remedy in (str(own_folder), str(keras_home), "--weights PATH", "--weights none"):
        assert remedy in message


def test_a_name_that_is_looked_up_for_ever_does_not_keep_anyone_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def hang(*_: object, **__: object) -> None:
        time.sleep(1)
        raise socket.gaierror(-3, "too late")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(published, "ANSWER_LIMIT_S", 0.1)
    began_s = time.monotonic()
    assert "no answer within 0 s" in refused()
    assert time.monotonic() - began_s < 0.9


def test_a_cache_that_cannot_be_written_is_told(server: Server, own_folder: Path) -> None:
    own_folder.parent.mkdir()
    own_folder.write_text("a file in its place")
    message = refused()
    assert "cannot be kept at" in message
    assert "FIELDMARK_CACHE" in message


@pytest.mark.parametrize("name", [name for name in OWN_NETWORKS if name.startswith("keras")])
def test_each_keras_network_has_its_own_files(name: str) -> None:
    files = OWN_NETWORKS[name].published
    stem = f"{name.removeprefix('keras_')}_weights_tf_dim_ordering_tf_kernels"
    assert [file.name for file in files] == [f"{stem}_notop.h5", f"{stem}.h5"]
    assert all(len(file.md5) == 32 for file in files)


def test_names_and_checksums_are_those_of_keras(keras: object) -> None:
    from keras.src.applications import resnet

    assert published.KERAS_URL == resnet.BASE_WEIGHTS_PATH
    for name in ("resnet50", "resnet101", "resnet152"):
        with_top, without = resnet.WEIGHTS_HASHES[name]
        found = [file.md5 for file in OWN_NETWORKS[f"keras_{name}"].published]
        assert found == [without, with_top]


def test_auto_takes_the_published_weights(
    monkeypatch: pytest.MonkeyPatch, keras_home: Path
) -> None:
    own = OwnNetwork(build=OWN_NETWORKS["keras_resnet50"].build, published=FILES)
    with_own = MappingProxyType({**OWN_NETWORKS, "keras_resnet50": own})
    monkeypatch.setattr(published, "OWN_NETWORKS", with_own)
    (keras_home / "notop.h5").write_bytes(CONTENT)
    spec = resolve_backbone(ModelConfig(backbone="keras_resnet50"))
    assert spec.weights is not None
    assert spec.weights.path == keras_home / "notop.h5"


def test_without_published_weights_auto_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    own = OwnNetwork(build=OWN_NETWORKS["keras_resnet50"].build)
    with_own = MappingProxyType({**OWN_NETWORKS, "keras_resnet50": own})
    monkeypatch.setattr(published, "OWN_NETWORKS", with_own)
    with pytest.raises(WeightsError, match=r"no pretrained weights for 'keras_resnet50'.*none"):
        published_weights("keras_resnet50")


def test_of_an_unknown_backbone_nothing_is_published() -> None:
    with pytest.raises(RecipeError, match="no backbone 'keras_resnet51'"):
        published_weights("keras_resnet51")
