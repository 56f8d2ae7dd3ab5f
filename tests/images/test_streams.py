"""Videos, cameras and addresses as sources; nothing of it needs a network or a camera."""

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from swinkit import create_detector, create_model, create_segmenter, save
from swinkit.cli import main
from swinkit.errors import ImageError, SwinkitError
from swinkit.images import streams
from swinkit.images.fitting import Fit
from swinkit.images.streams import VideoWriter, fetch_image, frame_rate, frames_of, read_stream
from swinkit.task.model import TaskModel

FRAMES = 5
FIT = Fit(short_side=64, long_side=128)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Five gray frames, each brighter than the one before."""
    pytest.importorskip("av", reason="PyAV is not installed")
    path = tmp_path / "clip.mp4"
    writer = VideoWriter(path, Fraction(5))
    for number in range(FRAMES):
        writer.add(np.full((48, 64, 3), 40 * number + 20, np.uint8))
    writer.close()
    return path


def test_frames_come_back_in_their_order(video: Path) -> None:
    names, frames = zip(*read_stream(video), strict=True)
    assert names == tuple(f"{video}#{number}" for number in range(FRAMES))
    levels = [float(np.mean(frame)) for frame in frames]
    np.testing.assert_allclose(levels, [20, 60, 100, 140, 180], atol=8)
    assert (frames_of(video), frame_rate(video)) == (FRAMES, 5)


def test_python_takes_a_video(video: Path) -> None:
    model = create_model("swin_nano", class_names=["dark", "light"])
    found = list(model.predict_iter(video, batch_size=2))
    assert [result.source for result in found] == [f"{video}#{n}" for n in range(FRAMES)]
    pixels = [np.asarray(frame) for _, frame in read_stream(video)]
    alone = model.predict(pixels)
    np.testing.assert_allclose(found[3].probabilities, alone[3].probabilities, atol=1e-5)


def models() -> dict[str, TaskModel[Any]]:
    names = ("bolt", "nut")
    return {
        "classification": create_model("swin_nano", class_names=names),
        "detection": create_detector("retinanet_swin_nano", class_names=names, fit=FIT),
        "segmentation": create_segmenter("unet_swin_nano", class_names=names, fit=FIT),
    }


@pytest.mark.parametrize("task", ["classification", "detection", "segmentation"])
def test_a_drawn_video_is_written(task: str, video: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = save(models()[task], tmp_path / "model.safetensors")
    out = tmp_path / "drawn"
    arguments = [str(video), "--weights", str(weights), "--plot", str(out), "--frames", "3"]
    assert main(["predict", *arguments, "--engine", "eager", "--csv", str(tmp_path / "a.csv")]) == 0
    assert [path.name for path in out.iterdir()] == ["clip.mp4"]
    drawn = [np.asarray(frame) for _, frame in read_stream(out / "clip.mp4")]
    assert len(drawn) == 3
    assert min(drawn[0].shape[:2]) > 400  # in a size to look at
    if task != "detection":  # a new detector finds nothing
        assert f"{video}#2" in (tmp_path / "a.csv").read_text()


def test_what_is_no_video_is_told(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ImageError, match=r"text\.mp4: not a video that can be opened"):
        frames_of(tmp_path / "text.mp4")
    assert main(["predict", str(tmp_path / "none.mp4"), "--weights", "x"]) == 2
    error = capsys.readouterr().err
    assert "none.mp4: no such video; check the path" in error
    assert error.count("\n") == 1
    assert main(["predict", "7", "--weights", "x"]) == 2
    assert "a camera has no end; say by --frames" in capsys.readouterr().err


def test_a_video_that_breaks_off_is_told_and_skipped(video: Path, tmp_path: Path) -> None:
    content = video.read_bytes()
    place = content.index(b"mdat") + 4
    video.write_bytes(content[:place] + bytes(len(content[place:])))
    model = create_model("swin_nano", class_names=["dark", "light"])
    with pytest.raises(ImageError, match=r"clip\.mp4"):
        list(model.predict_iter(video))
    still = np.zeros((48, 64, 3), np.uint8)
    assert len(list(model.predict_iter([video, still], on_error="skip"))) == 1


def test_without_pyav_a_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(ImageError, match=r"install PyAV \(pip install 'swinkit\[video\]'\)"):
        next(read_stream(tmp_path / "clip.mp4"))


class Answer(io.BytesIO):
    """What `urlopen` gives."""

    address = "https://example.org/a.png"

    def geturl(self) -> str:
        return self.address


def answering(monkeypatch: pytest.MonkeyPatch, content: bytes, address: str) -> None:
    def urlopen(_: str, timeout: float) -> Answer:
        assert timeout == streams.TIMEOUT_SECONDS
        answer = Answer(content)
        answer.address = address
        return answer

    monkeypatch.setattr(streams.urllib.request, "urlopen", urlopen)


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), "white").save(file, "PNG")
    return file.getvalue()


def test_a_picture_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "https://example.org/a.png"
    answering(monkeypatch, png(), address)
    model = create_model("swin_nano", class_names=["dark", "light"])
    found = model.predict([address])
    assert [result.source for result in found] == [address]
    assert found[0].image_rgb.shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("address", "content", "leads_to", "told"),
    [
        ("http://example.org/a.png", png(), None, "by https alone"),
        ("https://example.org/a.png", png(), "http://example.org/a.png", "leads to http:.*https"),
        ("https://example.org/a.png", b"<html>", None, "no picture that can be decoded"),
        ("https://example.org/a.png", bytes(3000), None, "more than 0 MiB"),
    ],
)
def test_addresses_that_are_refused(
    address: str, content: bytes, leads_to: str | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, content, leads_to or address)
    monkeypatch.setattr(streams, "MOST_BYTES", 2000)
    with pytest.raises(ImageError, match=told) as caught:
        fetch_image(address)
    assert "\n" not in str(caught.value)


def test_no_network_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def urlopen(_: str, timeout: float) -> Answer:
        raise OSError("Name or service not known")

    monkeypatch.setattr(streams.urllib.request, "urlopen", urlopen)
    with pytest.raises(ImageError, match=r"cannot be fetched .* check the address"):
        fetch_image("https://example.org/a.png")


class Camera:
    """Stands for OpenCV's: two frames, then it is pulled out."""

    left = 2

    def __init__(self, number: int) -> None:
        assert number == 3

    def isOpened(self) -> bool:
        return True

    def read(self) -> tuple[bool, np.ndarray]:
        self.left -= 1
        return self.left >= 0, np.full((48, 64, 3), (255, 0, 0), np.uint8)

    def release(self) -> None:
        Camera.left = -99


def test_a_camera_gives_rgb_until_it_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams.cv2, "VideoCapture", Camera)
    frames = read_stream(3)
    name, frame = next(frames)
    assert (name, np.asarray(frame)[0, 0].tolist()) == ("camera 3#0", [0, 0, 255])
    next(frames)
    with pytest.raises(ImageError, match="camera 3: gave no more pictures after 2"):
        next(frames)
    assert Camera.left == -99  # given back


def test_a_video_that_cannot_be_written_is_one_line_and_no_file(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="PyAV is not installed")
    writer = VideoWriter(tmp_path / "clip.mp4", Fraction(5))
    with pytest.raises(SwinkitError, match="cannot be written") as caught:
        writer.add(np.zeros((1, 1, 3), np.uint8))
    writer.close(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_camera_that_is_not_there_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImageError, match="camera 97: cannot be opened"):
        next(read_stream(97))
    assert capfd.readouterr().err == ""  # OpenCV reports each backend that it tries


def test_videos_are_encoded_quickly(video: Path) -> None:
    pytest.importorskip("av", reason="needs the extra video")
    settings = video.read_bytes()  # x264 writes its settings into the file
    assert b"x264" not in settings or b"subme=0" in settings
