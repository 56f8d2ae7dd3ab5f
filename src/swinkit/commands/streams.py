"""Videos, cameras and addresses among the sources of `swinkit predict`."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from swinkit.images.sources import Stream, is_address, is_stream, is_video, names_below
from swinkit.images.streams import VideoWriter, frame_rate, frames_of


def as_stream(source: str) -> Stream | None:
    """The video, the address or the camera that a source of a command means; None: images.

    A number is a camera's, unless a file has such a name.

    Raises:
        ImageError: a video that is not there or cannot be opened.
    """
    if source.isdecimal() and len(source) <= 3 and not Path(source).exists():
        return int(source)
    if not is_stream(source) or (is_video(source) and Path(source).is_dir()):
        return None
    stream: Stream = source if is_address(source) else Path(source).expanduser()
    if isinstance(stream, Path) and any(letter in source for letter in "*?["):
        return None
    frames_of(stream)
    return stream


def count_images(images: Iterable[Stream]) -> int:
    """Images and frames, as far as headers tell; cameras count nothing."""
    return sum(frames_of(item) or 0 if is_stream(item) else 1 for item in images)


class ImageNames(dict[str, str]):
    """The name of each image as `names_below` gives it, of frames with their number.

    Args:
        sources: as given to the command.
        images: what was found for them.
    """

    def __init__(self, sources: Sequence[str], images: Sequence[Stream]) -> None:
        files = [image for image in images if isinstance(image, Path)]
        super().__init__(names_below(sources, files))
        for image in images:
            if isinstance(image, int):
                self[f"camera {image}"] = f"camera {image}"
            elif is_address(image):
                self[str(image)] = str(image).split("?")[0].rstrip("/").rpartition("/")[2]

    def __missing__(self, source: str) -> str:
        stream, number = split_frame(source)
        return source if number is None else f"{Path(self[stream]).with_suffix('')}-{number:06}"


def split_frame(source: str) -> tuple[str, int | None]:
    """A frame's video or camera, and its number; None where it is a whole image."""
    stream, mark, number = source.rpartition("#")
    framed = mark and number.isdecimal() and (is_video(stream) or stream.startswith("camera "))
    return (stream, int(number)) if framed else (source, None)


class DrawnVideos:
    """Writes the drawn frames of each video as a video of its name.

    Args:
        folder: where.
        names: of the videos.
    """

    def __init__(self, folder: Path, names: Mapping[str, str]) -> None:
        self._folder = folder
        self._names = names
        self._stream: str | None = None
        self._writer: VideoWriter | None = None

    def __enter__(self) -> "DrawnVideos":
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self._writer is not None:
            self._writer.close(error)

    def add(self, stream: str, picture_rgb: np.ndarray) -> None:
        """The next frame. Raises SwinkitError where the system refuses."""
        if stream != self._stream or self._writer is None:
            if self._writer is not None:
                self._writer.close()
            path = self._folder / Path(self._names[stream]).with_suffix(".mp4")
            self._stream, self._writer = stream, VideoWriter(path, frame_rate(stream))
        self._writer.add(picture_rgb)
