"""The server of `swinkit explore` over real HTTP: pictures in, pages out, strangers refused."""

import http.client
import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import swinkit
from swinkit.cli import main
from swinkit.errors import ConfigError, ImageError
from swinkit.explaining import desk as desk_module
from swinkit.explaining.desk import Desk, Job, file_name
from swinkit.explaining.serving import MOST_BYTES, Server


def picture() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


class Worker:
    """Makes pages; waits before each until it may go on."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()
        self.at_once = self.most_at_once = 0

    def __call__(self, path: Path, say: Callable[[str], object]) -> str:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        say("looking")
        assert self.free.wait(30)
        self.at_once -= 1
        if path.suffix == ".txt":
            raise ImageError(f"{path}: not an image")
        if path.suffix == ".bug":
            raise ValueError("an\nerror")
        return f"<p>{path.name}, {len(path.read_bytes())} bytes</p>"


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def server(worker: Worker) -> Iterator[Server]:
    desk = Desk(worker)
    with Server("127.0.0.1", 0, desk) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        worker.free.set()
        running.shutdown()
        thread.join()
        desk.close()


def ask(
    server: Server, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, named)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text, dict(answer.headers)


def drop(server: Server, name: str = "a.png", body: bytes = b"123") -> str:
    status, text, _ = ask(server, "POST", f"/pages?name={name}", body)
    assert status == 202, text
    return json.loads(text)["key"]


def ended(server: Server, key: str) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        jobs = json.loads(ask(server, "GET", "/pages")[1])
        (job,) = (job for job in jobs if job["key"] == key)
        if job["state"] in ("done", "failed"):
            return job
        time.sleep(0.01)
    raise AssertionError("the page was not made")


def test_a_picture_becomes_a_page(server: Server) -> None:
    key = drop(server, "my%20photo.png", b"12345")
    assert ended(server, key) == {
        "key": key, "name": "my photo.png", "state": "done", "line": "done"
    }  # fmt: skip
    status, text, headers = ask(server, "GET", f"/pages/{key}")
    assert (status, text) == (200, "<p>my photo.png, 5 bytes</p>")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "connect-src 'self'" in headers["Content-Security-Policy"]
    status, index, _ = ask(server, "GET", "/")
    assert status == 200
    assert "Drop pictures here" in index
    assert "/*STYLE*/" not in index
    assert "/*MOST*/" not in index


def test_a_bad_file_says_why_in_one_line(server: Server) -> None:
    job = ended(server, drop(server, "note.txt"))
    assert (job["state"], job["line"]) == ("failed", "note.txt: not an image")
    assert ask(server, "GET", f"/pages/{job['key']}")[0] == 404


def test_a_fault_does_not_end_the_worker(server: Server, capsys: pytest.CaptureFixture) -> None:
    assert ended(server, drop(server, "a.bug"))["line"] == "ValueError: an error"
    assert ended(server, drop(server))["state"] == "done"
    assert "Traceback" in capsys.readouterr().err


def test_one_is_made_at_a_time_few_wait_and_the_last_are_kept(
    server: Server, worker: Worker
) -> None:
    worker.free.clear()
    keys = [drop(server) for _ in range(desk_module.MOST_WAITING)]
    status, text, _ = ask(server, "POST", "/pages?name=b.png", b"1")
    assert status == 503
    assert "waiting" in text
    worker.free.set()
    for key in keys:
        ended(server, key)
    for _ in range(desk_module.MOST_KEPT):
        ended(server, drop(server))
    assert worker.most_at_once == 1
    kept = json.loads(ask(server, "GET", "/pages")[1])
    assert len(kept) == desk_module.MOST_KEPT
    assert ask(server, "GET", f"/pages/{keys[0]}")[0] == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Host": "127.0.0.1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/pages"), ("POST", "/pages")])
def test_other_sites_are_refused(
    server: Server, method: str, path: str, headers: dict[str, str]
) -> None:
    status, text, sent = ask(server, method, path, b"1" if method == "POST" else None, **headers)
    assert status == 403
    assert server.url in text
    assert "Access-Control-Allow-Origin" not in sent


def test_the_own_page_is_welcome_by_each_local_name(server: Server) -> None:
    for name in ("127.0.0.1", "localhost"):
        host = f"{name}:{server.server_port}"
        assert ask(server, "GET", "/", Host=host, Origin=f"http://{host}")[0] == 200


def test_bodies_are_bounded(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    for length, status in (
        (str(MOST_BYTES + 1), 413), ("9" * 5000, 413), ("-1", 411), ("x", 411), ("", 411),
    ):  # fmt: skip
        connection.putrequest("POST", "/pages?name=a.png")
        connection.putheader("Content-Length", length)
        connection.endheaders()
        assert connection.getresponse().status == status
        connection.close()


def test_a_picture_that_breaks_off_frees_its_place(server: Server) -> None:
    for _ in range(desk_module.MOST_WAITING + 1):
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
        connection.putrequest("POST", "/pages?name=a.png")
        connection.putheader("Content-Length", "100")
        connection.endheaders(b"12")
        connection.sock.shutdown(1)
        with pytest.raises(http.client.RemoteDisconnected):
            connection.getresponse()
        connection.close()
    assert json.loads(ask(server, "GET", "/pages")[1]) == []


@pytest.mark.parametrize(
    "path", ["/../../etc/passwd", "/pages/../../etc/passwd", "/pages/", "/%2e%2e/x", "/page.css"]
)
def test_no_path_leads_to_a_file(server: Server, path: str) -> None:
    assert ask(server, "GET", path)[0] == 404


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../a.png", "a.png"), ("C:\\x\\b.jpg", "b.jpg"), ("..", "picture"), ("", "picture"),
        ("a\x00\n<b>.png", "a___b_.png"),
        ("x" * 500 + ".jpg", "x" * 76 + ".jpg"), ("größe.png", "größe.png"),
    ],
)  # fmt: skip
def test_names_are_safe_as_files(given: str, kept: str) -> None:
    assert file_name(given) == kept


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "example.com", ""])
def test_it_listens_on_loopback_alone(host: str) -> None:
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1"):
        Server(host, 0, None)  # type: ignore[arg-type]


def test_a_port_in_use_is_named(server: Server) -> None:
    with pytest.raises(ConfigError, match=f"port {server.server_port}.*--port"):
        Server("127.0.0.1", server.server_port, server.desk)


def test_mistakes_of_the_command_cost_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    weights = str(tmp_path / "none.safetensors")
    for words, said in (
        (["--weights", weights, "--host", "0.0.0.0"], "127.0.0.1"),
        (["--weights", weights, "--port", "70000"], "port"),
        (["--weights", weights], "none.safetensors"),
    ):
        assert main(["explore", *words, "--no-browser"]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1


def test_the_command_explains_a_picture(tmp_path: Path) -> None:
    weights = tmp_path / "tiny.safetensors"
    swinkit.save(swinkit.create_model("swin_nano", num_classes=2, image_size=32), weights)
    words = ["explore", "--weights", str(weights), "--port", "0", "--no-browser"]
    command = [sys.executable, "-m", "swinkit", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[0]
            port = int(url.rstrip("/").rpartition(":")[2])
            server: Any = type("Running", (), {"server_port": port})
            page = ended(server, drop(server, "black.png", picture()))
            assert page["state"] == "done", page
            assert (
                "black.png in a Swin Transformer" in ask(server, "GET", f"/pages/{page['key']}")[1]
            )
            bad = ended(server, drop(server, "note.jpg", b"no picture"))
            assert bad["line"].startswith("note.jpg: not an image")
        finally:
            process.terminate()


def test_a_job_is_open_until_it_ends() -> None:
    job = Job(key="k", name="n")
    assert job.is_open
    job.state = "failed"
    assert not job.is_open
