"""Networks that refuse, stay silent, break off or are not whom they claim to be, on this machine:
one line each, at once, and nothing half-written."""

import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from huggingface_hub import close_session

from swinkit.checkpoints import hub
from swinkit.checkpoints.hub import fetch_hub, fetch_url
from swinkit.errors import CheckpointError

Fetch = Callable[[str, Path], object]
WAYS: dict[str, Fetch] = {
    "hub": lambda address, cache: fetch_hub("some/thing", endpoint=address, cache=cache),
    "url": lambda address, cache: fetch_url(f"{address}/w.pth#sha256={'a' * 64}", cache=cache),
}
TAGS = f'X-Repo-Commit: {"0" * 40}\r\nETag: "{"b" * 64}"\r\nContent-Length: 5000\r\n'


@contextmanager
def answering(answer: Callable[[str], bytes], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Address of a server that answers by the method of a request."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if asked := self.request.recv(65536).decode():
                self.request.sendall(answer(asked.split()[0]))

    class Server(socketserver.ThreadingTCPServer):
        def handle_error(self, *_: object) -> None:
            """A client that turns away is expected."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def check_refusal(fetch: Fetch, address: str, cache: Path, said: str) -> None:
    with pytest.raises(CheckpointError, match=said) as caught:
        fetch(address, cache)
    assert "\n" not in str(caught.value)
    weights = [path for path in cache.rglob("*") if "w.pth" in path.name or "blobs" in path.parts]
    assert [path for path in weights if path.is_file()] == []
    assert not list(cache.rglob("*.incomplete"))


@pytest.mark.parametrize(
    ("status", "said", "most"),
    [
        ("404 Not Found", "404 Not Found", 2),
        ("429 Too Many Requests", "answers 429", 1),
        ("500 Internal Server Error", "answers 500", 1),
        ("503 Service Unavailable", "answers 503", 1),
    ],
)
def test_a_hub_that_refuses_is_not_asked_again(
    status: str, said: str, most: int, tmp_path: Path
) -> None:
    asked: list[str] = []

    def answer(method: str) -> bytes:
        asked.append(method)
        return f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()

    with answering(answer) as address:
        check_refusal(WAYS["hub"], address, tmp_path, said)
    assert 1 <= len(asked) <= most


@pytest.mark.parametrize(("answer", "said"), [(b"", "disconnected"), (b"no\r\n\r\n", "illegal|no")])
def test_a_hub_that_is_none(answer: bytes, said: str, tmp_path: Path) -> None:
    with answering(lambda _: answer) as address:
        check_refusal(WAYS["hub"], address, tmp_path, said)


def test_a_hub_cut_in_the_middle_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # between attempts of huggingface_hub
    head = f"HTTP/1.1 200 OK\r\nConnection: close\r\n{TAGS}\r\n".encode()
    with answering(lambda method: head + b"x" * (1000 if method == "GET" else 0)) as address:
        check_refusal(WAYS["hub"], address, tmp_path, "broke off .*try again")


@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_never_answers(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(hub, "TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        check_refusal(WAYS[way], address, tmp_path, "timed out")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate")
@pytest.mark.parametrize("way", WAYS)
def test_a_certificate_that_nobody_vouches_for(way: str, tmp_path: Path) -> None:
    words = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key -out cert"
    subprocess.run(words.split(), cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with answering(lambda _: b"HTTP/1.1 200 OK\r\n\r\n", context) as address:
        check_refusal(WAYS[way], address, tmp_path / "cache", "certificate verify failed")


@pytest.fixture
def new_session(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What both ways connect by is made for the environment of the first call."""
    monkeypatch.setattr("urllib.request._opener", None)
    close_session()
    yield
    close_session()


@pytest.mark.usefixtures("new_session")
@pytest.mark.parametrize("way", WAYS)
def test_a_proxy_that_refuses(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        proxy = f"http://127.0.0.1:{closed.getsockname()[1]}"
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, proxy)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    said = "Connection refused" if way == "url" else "through the proxy .*Connection refused"
    check_refusal(WAYS[way], "https://example.org", tmp_path, said)
