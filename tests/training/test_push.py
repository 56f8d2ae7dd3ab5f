"""Publishing a run, to a stand-in of the hub on this machine."""

import base64
import http.server
import json
import threading
from pathlib import Path

import pytest
import torch
import yaml
from rich.console import Console

import swinkit
from swinkit.checkpoints.load import load
from swinkit.cli import main
from swinkit.errors import SwinkitError, TrainingError
from swinkit.training.train import train

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.BaseHTTPRequestHandler):
    """Takes what huggingface_hub sends; every file as a regular one, without LFS."""

    folder: Path
    asked: list[tuple[str, dict]]
    refuses = False

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        address = f"http://{self.headers['Host']}"
        if self.refuses or self.headers["Authorization"] != "Bearer hf_secret":
            return self._answer(401, {"error": "Invalid username or password."})
        if self.path == "/api/repos/create":
            self.asked.append((self.path, json.loads(body)))
            return self._answer(200, {"url": f"{address}/me/shapes"})
        if "preupload" in self.path:
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            return self._answer(200, {"files": files})
        if "commit" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    file = self.folder / line["value"]["path"]
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(base64.b64decode(line["value"]["content"]))
            commit = {"commitUrl": f"{address}/me/shapes/commit/{COMMIT}", "commitOid": COMMIT}
            return self._answer(200, commit)
        return self._answer(200, {"errors": [], "warnings": []})

    def do_GET(self) -> None:
        self._answer(404, {})

    def _answer(self, status: int, content: dict) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Keep the test's output quiet."""


@pytest.fixture
def hub(tmp_path, monkeypatch):
    kind = type("OwnHub", (Hub,), {"folder": tmp_path / "hub", "asked": []})
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        kind.address = f"http://127.0.0.1:{server.server_address[1]}"
        yield kind
        server.shutdown()
        thread.join()


@pytest.fixture
def run(tiny_config):
    config = tiny_config(schedule={"epochs": 1}, runtime={"preview": True})
    return train(config, console=Console(quiet=True))


def test_a_run_becomes_a_repository_that_loads(run, hub, images, tmp_path):
    address = swinkit.push(run.folder, "me/shapes", license="apache-2.0", endpoint=hub.address)
    assert address == f"{hub.address}/me/shapes"
    assert hub.asked[0][1]["visibility"] == "private"
    published, trained = load(hub.folder, report=None), run.model()
    for name, value in trained.state_dict().items():
        assert torch.equal(published.state_dict()[name], value), name
    assert published.class_names == trained.class_names
    for file in hub.folder.rglob("*"):
        if file.is_file() and file.suffix != ".png":
            assert str(tmp_path).encode() not in file.read_bytes(), f"{file} names this machine"
            assert str(images.parent).encode() not in file.read_bytes(), file
    card = (hub.folder / "README.md").read_text()
    header = yaml.safe_load(card.split("---")[1])
    assert header["license"] == "apache-2.0"
    assert header["pipeline_tag"] == "image-classification"
    (result,) = header["model-index"][0]["results"]
    found = {metric["name"]: metric["value"] for metric in result["metrics"]}
    assert found["val_top1"] == pytest.approx(run.metrics["val_top1"], abs=1e-4)
    assert "24 train, 9 val images" in card
    assert "`bright`, `dark`, `striped`" in card
    assert 'swinkit.predict("photo.jpg", "me/shapes")' in card
    for line in card.splitlines():
        if line.startswith("!["):
            assert (hub.folder / line.split("(")[1].rstrip(")")).is_file()
    assert "](pictures/curves.png)" in card
    assert "](pictures/val_confusion_matrix.png)" in card


def test_pictures_stay_at_home_on_request(run, hub, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)
    words = ["push", str(run.folder), "me/shapes", "--no-pictures", "--public"]
    assert main(words) == 0
    assert capsys.readouterr().out == f"{hub.address}/me/shapes\n"
    assert not list(hub.folder.rglob("*.png"))
    assert "![" not in (hub.folder / "README.md").read_text()
    assert hub.asked[0][1]["visibility"] == "public"


def test_what_cannot_be_pushed_is_one_line(run, hub, tmp_path):
    with pytest.raises(TrainingError, match=r"no config\.yaml, so this is no run"):
        swinkit.push(tmp_path / "nowhere", "me/shapes")
    with pytest.raises(SwinkitError, match="is no name of a repository: use owner/name"):
        swinkit.push(run.folder, "me/shapes/of/mine", endpoint=hub.address)
    hub.refuses = True
    with pytest.raises(
        SwinkitError, match=r"did not take it .* check the connection, and the token"
    ):
        swinkit.push(run.folder, "me/shapes", endpoint=hub.address)
    assert not hub.folder.exists()
