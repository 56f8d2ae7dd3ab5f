"""Images that are no file of their own: frames of a video or a camera, and pictures by address.

Legend: H W frame.
"""

import io
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from fractions import Fraction
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
from PIL import Image

from swinkit.errors import ImageError, SwinkitError
from swinkit.files import atomic_write
from swinkit.images.sources import Stream, is_address, is_video

MOST_BYTES = 1 << 26  # of a picture that is fetched
TIMEOUT_SECONDS = 20
QUICK = {"preset": "ultrafast"}  # a tenth of the default's time for half as much more of a file
USUAL_RATE = Fraction(25)  # frames a second where a video does not say


def read_stream(source: Stream) -> Iterator[tuple[str, np.ndarray | Image.Image]]:
    """Names and pixels of the images that a video, a camera or an address gives, one by one.

    A frame's name is that of its video with "#" and its number from 0 on.

    Raises:
        ImageError: nothing there, or nothing that can be decoded.
    """
    if isinstance(source, int):
        yield from _camera_frames(source)
    elif is_address(source):
        yield str(source), fetch_image(str(source))
    else:
        yield from _video_frames(Path(source).expanduser())


def frames_of(source: Stream) -> int | None:
    """How many images a stream gives as far as its header tells; None where it has no end.

    Raises:
        ImageError: a video that cannot be opened.
    """
    if isinstance(source, int):
        return None
    if is_address(source):
        return 1
    with closing(_open_video(Path(source).expanduser())) as container:
        stream = container.streams.video[0]
        if stream.frames:
            return int(stream.frames)
        seconds = 0 if container.duration is None else container.duration / 1_000_000
        return round(seconds * float(stream.average_rate or USUAL_RATE)) or None


def frame_rate(source: Stream) -> Fraction:
    """Frames a second."""
    if isinstance(source, int) or not is_video(source):
        return USUAL_RATE
    with closing(_open_video(Path(source).expanduser())) as container:
        return Fraction(container.streams.video[0].average_rate or USUAL_RATE)


def fetch_image(address: str) -> Image.Image:
    """The picture behind an https address.

    Raises:
        ImageError: another kind of address, no answer, too large, or no picture.
    """
    _check_secure(address, address)
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as answer:
            _check_secure(answer.geturl(), f"{address} leads to {answer.geturl()}")
            content = answer.read(MOST_BYTES + 1)
    # HTTPException: an answer that is cut or no HTTP; ValueError: one that counts in words.
    except (OSError, HTTPException, ValueError) as error:
        raise ImageError(f"{address}: cannot be fetched ({error}); check the address") from error
    if len(content) > MOST_BYTES:
        raise ImageError(f"{address}: more than {MOST_BYTES >> 20} MiB; fetch it into a file")
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
    # Decoders of damaged files raise nearly anything.
    except Exception as error:
        raise ImageError(
            f"{address}: gives no picture that can be decoded; take the address of the image itself"
        ) from error
    return image


def _check_secure(address: str, named: str) -> None:
    try:
        scheme = urlsplit(address).scheme
    except ValueError as error:
        raise ImageError(f"{named}: is no address ({error}); correct it") from error
    if scheme != "https":
        raise ImageError(f"{named}: pictures are fetched by https alone; write https:// instead")


def _video_library(path: Path) -> Any:
    try:
        import av
    except ImportError as error:
        raise ImageError(
            f"{path}: a video; install PyAV (pip install 'swinkit[video]') to read and write them"
        ) from error
    return av


def _open_video(path: Path) -> Any:
    av = _video_library(path)
    if not path.is_file():
        raise ImageError(f"{path}: no such video; check the path")
    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ImageError(f"{path}: not a video that can be opened ({error}); check it") from error
    if not container.streams.video:
        container.close()
        raise ImageError(f"{path}: holds no pictures, only sound or text; name another file")
    return container


def _video_frames(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    av = _video_library(path)
    number = 0
    with closing(_open_video(path)) as container:
        try:
            container.streams.video[0].thread_type = "AUTO"
            for frame in container.decode(video=0):
                turned = np.rot90(frame.to_ndarray(format="rgb24"), -_quarters(frame))
                yield f"{path}#{number}", np.ascontiguousarray(turned)
                number += 1
        except (av.FFmpegError, OSError, ValueError) as error:
            raise ImageError(
                f"{path}: cannot be decoded after frame {number} ({error}): damaged or cut off"
            ) from error
    if number == 0:
        raise ImageError(f"{path}: has no frames; name another video")


def _quarters(frame: Any) -> int:
    """Quarter turns to the right that put a telephone's frame upright."""
    return -round(getattr(frame, "rotation", 0) / 90) % 4


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Inside, OpenCV writes nothing of its own to stderr."""
    logging = cv2.utils.logging
    before = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)


def _camera_frames(number: int) -> Iterator[tuple[str, np.ndarray]]:
    with _quiet_opencv():  # it reports every backend that it tries
        camera = cv2.VideoCapture(number)
    try:
        if not camera.isOpened():
            raise ImageError(f"camera {number}: cannot be opened; connect it, or name another")
        taken = 0
        while True:
            there, frame = camera.read()
            if not there:
                raise ImageError(f"camera {number}: gave no more pictures after {taken}")
            yield f"camera {number}#{taken}", cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            taken += 1
    finally:
        camera.release()


class VideoWriter:
    """Writes frames of one size as MP4; the file is there once all of it is.

    Args:
        path: of the file.
        rate: frames a second.

    Raises:
        SwinkitError: PyAV is missing, or the system refuses the file.
    """

    def __init__(self, path: Path, rate: Fraction) -> None:
        self._av = _video_library(path)
        self._path = path
        self._rate = rate.limit_denominator(1001)
        self._held = ExitStack()
        temporary = self._held.enter_context(atomic_write(path))
        with self._refused():
            self._container = self._av.open(str(temporary), "w", format="mp4")
        self._stream: Any = None

    def add(self, picture_rgb: np.ndarray) -> None:
        """One frame, (H, W, 3) uint8; a later one of another size is scaled to the first's."""
        if self._stream is None:
            self._stream = self._new_stream(picture_rgb)
        frame = self._av.VideoFrame.from_ndarray(picture_rgb, format="rgb24")
        size = {"width": self._stream.width, "height": self._stream.height}
        with self._refused():
            self._container.mux(self._stream.encode(frame.reformat(format="yuv420p", **size)))

    def close(self, error: BaseException | None = None) -> None:
        """Finish the file; with an error nothing of it stays."""
        if error is not None:
            with suppress(self._av.FFmpegError, OSError):
                self._container.close()
            self._held.__exit__(type(error), error, error.__traceback__)
            return
        with self._refused():
            if self._stream is not None:
                self._container.mux(self._stream.encode())
            self._container.close()
        self._held.close()

    @contextmanager
    def _refused(self) -> Iterator[None]:
        """A line, and no half of a file, where the system or the codec refuses."""
        try:
            yield
        except (self._av.FFmpegError, OSError, ValueError) as error:
            refusal = SwinkitError(f"{self._path}: cannot be written ({error})")
            self._held.__exit__(SwinkitError, refusal, None)
            raise refusal from error

    def _new_stream(self, picture_rgb: np.ndarray) -> Any:
        codec = "libx264" if "libx264" in self._av.codecs_available else "mpeg4"
        with self._refused():
            stream = self._container.add_stream(
                codec, rate=self._rate, options=QUICK if codec == "libx264" else {}
            )
        stream.height, stream.width = (side - side % 2 for side in picture_rgb.shape[:2])
        stream.pix_fmt = "yuv420p"
        return stream
