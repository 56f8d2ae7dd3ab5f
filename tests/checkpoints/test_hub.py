"""Downloads, against stand-ins on this machine: a hub, and a plain file server."""

import functools
import hashlib
import http.server
import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_peers import timm_v1, timm_v2
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file

from swinkit.checkpoints import hub
from swinkit.checkpoints.hub import fetch_hub, fetch_url, is_hub_id
from swinkit.checkpoints.load import load
from swinkit.checkpoints.opening import files_beside
from swinkit.errors import CheckpointError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.SimpleHTTPRequestHandler):
    """Answers the requests that huggingface_hub makes for a file; files lie in `directory`."""

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        parts = self.path.split("?")[0].strip("/").split("/")
        root = Path(self.directory)
        file = root / "/".join(parts[:2]) / parts[-1]
        if "resolve" in parts and file.is_file():
            content = file.read_bytes()
            tags = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
            return self._send(200, content, tags, with_body)
        plain = root / parts[-1]
        if len(parts) == 1 and plain.is_file():
            return self._send(200, plain.read_bytes(), {}, with_body)
        known = (root / "/".join(parts[:2])).is_dir()
        code = "EntryNotFound" if known else "RepoNotFound"
        return self._send(404, b"{}", {"X-Error-Code": code}, with_body)

    def _send(self, status: int, content: bytes, headers: dict[str, str], with_body: bool) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Keep the test's output quiet."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Hub, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_hub_id(served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, endpoint = served
    repository = folder / "timm" / "swinv2_nano_window8_128"
    repository.mkdir(parents=True)
    peer = timm_v2(128, 8)
    save_file(peer.state_dict(), repository / "model.safetensors")
    settings = {
        "architecture": "swinv2_nano_window8_128",
        "pretrained_cfg": {"input_size": [3, 128, 128], "crop_pct": 0.9, "mean": [0.5] * 3},
        "label_names": [f"class {i}" for i in range(11)],
    }
    (repository / "config.json").write_text(json.dumps(settings))
    path = fetch_hub(
        "timm/swinv2_nano_window8_128",
        files_beside(),
        endpoint=endpoint,
        cache=tmp_path / "cache",
    )
    model = load(path, strict=True, report=None)
    assert model.config.window_size == ((8, 8), (8, 8), (8, 8), (4, 4))
    assert model.class_names[3] == "class 3"  # type: ignore[union-attr]
    assert model.info.preprocessing.crop_fraction == 0.9  # type: ignore[union-attr]
    image = torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        torch.testing.assert_close(model(image), peer(image), rtol=1e-4, atol=1e-4)


def test_hub_errors(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, endpoint = served
    with pytest.raises(CheckpointError, match="no such repository"):
        fetch_hub("nobody/nothing", endpoint=endpoint, cache=tmp_path / "cache")
    (folder / "some" / "thing").mkdir(parents=True)
    (folder / "some" / "thing" / "README.md").write_text("empty")
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        fetch_hub("some/thing", endpoint=endpoint, cache=tmp_path / "cache")


def test_hub_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(hub, "hf_hub_download", unreachable)
    monkeypatch.setattr(hub, "_no_answer", lambda *_: "no network")
    with pytest.raises(CheckpointError, match="cannot be reached"):
        load("some/thing", report=None)


def test_odd_hub_id() -> None:
    with pytest.raises(CheckpointError, match="or hub id"):
        load("some/--thing--", report=None)


def test_hub_ids() -> None:
    assert is_hub_id("microsoft/swin-tiny-patch4-window7-224")
    assert is_hub_id("timm/swin_tiny.ms_in1k@main")
    assert not is_hub_id("swin_t.in1k")
    assert not is_hub_id("/a/b/c")


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(hub, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def test_url_with_hash_is_fetched_once(served: tuple[Path, str], cached: Path) -> None:
    folder, base = served
    torch.save(timm_v1().state_dict(), folder / "weights.pth")
    digest = hashlib.sha256((folder / "weights.pth").read_bytes()).hexdigest()
    url = f"{base}/weights.pth#sha256={digest}"
    model = load(url, strict=True, report=None)
    assert model.info.provenance["sha256"] == digest  # type: ignore[union-attr]
    (folder / "weights.pth").rename(folder / f"weights-{digest[:8]}.pth")
    assert load(url, report=None) is not None
    assert fetch_url(f"{base}/weights-{digest[:8]}.pth")[0].is_file()


def test_url_errors(served: tuple[Path, str], cached: Path) -> None:
    folder, base = served
    (folder / "weights.pth").write_bytes(b"something else")
    with pytest.raises(CheckpointError, match="#sha256="):
        load(f"{base}/weights.pth", report=None)
    with pytest.raises(CheckpointError, match="nothing was kept"):
        load(f"{base}/weights.pth#sha256={'a' * 64}", report=None)
    assert not cached.exists() or not list(cached.iterdir())
    with pytest.raises(CheckpointError, match="cannot be downloaded"):
        load(f"{base}/absent.pth#sha256={'a' * 64}", report=None)
    with pytest.raises(CheckpointError, match="no hexadecimal"):
        load(f"{base}/weights.pth#sha256=xyz", report=None)


def test_offline_is_said_at_once(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(CheckpointError) as caught:
        fetch_hub("some/thing", endpoint=f"http://127.0.0.1:{port}", cache=tmp_path)
    for words in ("Connection refused", str(tmp_path), "--recipe small_data", "weight file"):
        assert words in str(caught.value)


@pytest.mark.parametrize("url", ["http://example.com/a-704ceda3.pth", "http://[/a.pth"])
def test_addresses_that_are_refused(url: str, cached: Path) -> None:
    with pytest.raises(CheckpointError, match=r"https alone|no address"):
        fetch_url(f"{url}#sha256={'a' * 64}")


ANSWERS = {
    b"HTTP/1.1 403 Forbidden\r\n\r\n": "403",
    b"HTTP/1.1 404 Not Found\r\n\r\n": "404",
    b"HTTP/1.1 429 Too Many Requests\r\n\r\n": "429",
    b"HTTP/1.1 500 Internal Server Error\r\n\r\n": "500",
    b"HTTP/1.1 302 Found\r\nLocation: /weights.pth\r\n\r\n": "infinite loop",
    b"HTTP/1.1 302 Found\r\nLocation: gopher://x/\r\n\r\n": "not allowed",
    b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc": "ended after 3 of 100",
    b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nabc": "cannot be downloaded",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n": "cannot be downloaded",
    b"HTTP/1.1 200 OK\r\n\r\n <!DOCTYPE html><html>log in</html>": "is a page, no weights",
    b"HTTP/1.1 200 OK\r\n\r\nother": "nothing was kept",
    b"nonsense\r\n\r\n": "cannot be downloaded",
    b"": "cannot be downloaded",
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_faults_of_the_network(answer: bytes, cached: Path) -> None:
    class Answer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/weights.pth#sha256={'a' * 64}"
        with pytest.raises(CheckpointError, match=ANSWERS[answer]) as caught:
            fetch_url(url)
        server.shutdown()
        thread.join()
    assert "\n" not in str(caught.value)
    assert not cached.exists() or not list(cached.iterdir())
