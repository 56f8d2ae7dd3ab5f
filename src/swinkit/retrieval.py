"""Images as vectors in a file, and the images most like another one. N images, C channels."""

import contextlib
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from swinkit.checkpoints.hub import sha256_of
from swinkit.data.config import DataConfig
from swinkit.errors import ConfigError, DataError
from swinkit.files import atomic_write
from swinkit.inference import ImageSize, Weights, load_model
from swinkit.parsing import reason_of
from swinkit.registry import find_images_of, recognize
from swinkit.settings import Progress, expand_user
from swinkit.task.base import OnError
from swinkit.task.features import FeaturePredictor
from swinkit.task.model import TaskModel
from swinkit.task.predicting import Input, Source, list_sources

SUFFIXES = (".npz", ".parquet")
MEMBERS = ("names", "vectors", "origin")  # of a .npz file
MOST_CHANNELS = 1 << 16
KEY = b"swinkit"  # of the origin in a .parquet file


@dataclass(frozen=True, kw_only=True, eq=False)
class Embeddings:
    """Vectors of images, by one model.

    Attributes:
        names: (N) of the images: their files, or their numbers where they came as arrays.
        vectors: (N, C) float32.
        origin: the weights, and the image size if one was asked for; `similar` on the command line
            makes the vector of its image in the same way.

    >>> import numpy
    >>> found = swinkit.Embeddings(names=("a", "b"), vectors=numpy.eye(2, dtype="float32"))
    >>> found.similar(numpy.array([0.6, 0.8]), top_k=1)
    [('b', 0.800000011920929)]
    """

    names: tuple[str, ...]
    vectors: np.ndarray
    origin: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        shape = self.vectors.shape
        if len(shape) != 2 or shape[0] != len(self.names) or self.vectors.dtype != np.float32:
            raise ConfigError(
                f"{len(self.names)} names with vectors of shape {shape} and type "
                f"{self.vectors.dtype}; expected ({len(self.names)}, C) float32"
            )

    def similar(self, vector: np.ndarray, *, top_k: int = 10) -> list[tuple[str, float]]:
        """The images most like a (C,) vector, with the cosine of the angle between them.

        Raises:
            ConfigError: a vector of another length, or `top_k` below 1.
        """
        if vector.shape != self.vectors.shape[1:] or top_k < 1:
            raise ConfigError(
                f"a vector of shape {vector.shape} and top_k {top_k}; expected a vector of "
                f"{self.vectors.shape[1]} numbers and top_k >= 1"
            )
        cosines = _unit(self.vectors) @ _unit(vector.astype(np.float32)[None])[0]
        order = np.argsort(-cosines, kind="stable")[:top_k]
        return [(self.names[place], float(cosines[place])) for place in order]

    def save(self, path: str | Path) -> None:
        """Write as .npz (NumPy) or .parquet (`pip install 'swinkit[parquet]'`).

        Raises:
            ConfigError: another suffix, or a package that is missing.
            SwinkitError: the system refuses.
        """
        check_path(path)
        origin = json.dumps(self.origin)
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            if Path(path).suffix == ".npz":
                names = np.array(self.names)
                np.savez(file, names=names, vectors=self.vectors, origin=np.array(origin))
            else:
                import pyarrow
                from pyarrow import parquet

                vectors = pyarrow.FixedSizeListArray.from_arrays(
                    self.vectors.ravel(), self.vectors.shape[1]
                )
                table = pyarrow.table({"name": list(self.names), "vector": vectors})
                parquet.write_table(table.replace_schema_metadata({KEY: origin}), file)

    @classmethod
    def read(cls, path: str | Path) -> "Embeddings":
        """Read what `save` wrote; nothing in the file is run.

        Raises:
            DataError: missing, damaged, or another kind of file.
        """
        check_path(path)
        reader = _read_npz if Path(path).suffix == ".npz" else _read_parquet
        try:
            names, vectors, origin = reader(Path(path))
            found = json.loads(origin)
            if vectors.ndim != 2 or not 0 < vectors.shape[1] <= MOST_CHANNELS:
                raise ValueError(f"vectors of shape {vectors.shape}")
            return cls(names=names, vectors=vectors, origin=found if found else None)
        except DataError:
            raise
        except Exception as error:  # zip, NumPy, Arrow and JSON have errors of their own
            raise DataError(
                f"{path} holds no vectors of images ({reason_of(error)[:100]}); make it with "
                "swinkit embed"
            ) from error


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def check_path(path: str | Path) -> None:
    """Refuse a suffix that is not known, or whose package is missing. Raises ConfigError."""
    suffix = Path(path).suffix
    if suffix not in SUFFIXES:
        raise ConfigError(f"{path}: vectors are kept as {' or '.join(SUFFIXES)}; choose one")
    if suffix == ".parquet" and find_spec("pyarrow") is None:
        raise ConfigError(
            f"{path}: .parquet needs a package that is not installed: "
            "pip install 'swinkit[parquet]', or use .npz"
        )


def _read_npz(path: Path) -> tuple[tuple[str, ...], np.ndarray, str]:
    with zipfile.ZipFile(path) as archive:
        sizes = {info.filename: info for info in archive.infolist()}
        for member in MEMBERS:
            info = sizes[f"{member}.npy"]
            # Without compression nothing in the file can be larger than the file.
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > path.stat().st_size:
                raise ValueError(f"{member} is compressed")
            with archive.open(info) as file:
                _check_header(file, info.file_size)
    with np.load(path, allow_pickle=False) as arrays:
        names, vectors, origin = (arrays[member] for member in MEMBERS)
    return tuple(map(str, names)), vectors, str(origin)


def _check_header(file: Any, size: int) -> None:
    """Raises ValueError where an array says to be larger than what is there of it."""
    version = np.lib.format.read_magic(file)
    readers: dict[tuple[int, int], Callable[..., Any]] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, _, kind = readers[version](file)
    if file.tell() + int(np.prod([*map(int, shape), kind.itemsize], dtype=object)) > size:
        raise ValueError("an array is cut off")


def _read_parquet(path: Path) -> tuple[tuple[str, ...], np.ndarray, str]:
    from pyarrow import parquet

    table = parquet.read_table(path, columns=["name", "vector"])
    vectors = np.stack(table["vector"].to_numpy()).astype(np.float32)
    return tuple(table["name"].to_pylist()), vectors, table.schema.metadata[KEY].decode()


def embed(
    source: Source,
    weights: Weights,
    *,
    image_size: ImageSize = None,
    device: str | None = None,
    batch_size: int = 16,
    on_error: OnError = "raise",
    progress: Progress | None = None,
) -> Embeddings:
    """Images as vectors, for retrieval, nearest neighbors and clustering.

    Args:
        source: a path, a folder, a pattern, an array, a Pillow image, or a list of them.
        weights: what `swinkit.load` takes, or a model, of any task.
        image_size: side of the input in pixels; None takes the model's own.
        device: "auto" takes the GPU where there is one; None does too, but leaves a model that is
            given where it is.
        batch_size: images in one forward pass.
        on_error: "skip" leaves out images that cannot be read.
        progress: called with (images done, all).

    Raises:
        SwinkitError: nothing found, an unreadable image, or unusable weights.

    Example:
        >>> import numpy
        >>> model = swinkit.create_model("swin_nano", num_classes=2)
        >>> dark, light = numpy.zeros((64, 64, 3), "uint8"), numpy.full((64, 64, 3), 255, "uint8")
        >>> found = swinkit.embed([dark, light], model)
        >>> found.vectors.shape
        (2, 384)
        >>> found.similar(found.vectors[0], top_k=1)[0][0]
        '0'
    """
    before = weights.info if isinstance(weights, TaskModel) else None
    model = load_model(weights, image_size=image_size, device=device)
    predictor = FeaturePredictor(
        network=model,
        class_names=model.class_names,
        preprocessing=model.preprocessing.for_channels(model.backbone.config.in_channels),
        batch_size=batch_size,
    )
    sources = _pictures(source)
    names, vectors = [], []
    try:
        for number, found in enumerate(
            predictor.predict_iter(sources, on_error=on_error, keep_images=False)
        ):
            names.append(str(number) if found.source is None else found.source)
            vectors.append(found.vector)
            if progress is not None:
                progress(number + 1, len(sources))
    finally:
        if before is not None:
            model.info = before
    if not vectors:
        raise DataError(f"none of the {len(sources)} images is readable; name others")
    return Embeddings(
        names=tuple(names), vectors=np.stack(vectors), origin=_origin(weights, image_size)
    )


def _pictures(source: Source) -> list[Input]:
    """What `source` means; of a data set of label masks the images alone."""
    if isinstance(source, (str, Path)) and os.path.isdir(expand_user(Path(source))):
        with contextlib.suppress(DataError):  # no data set, or a broken one: a folder of pictures
            found = recognize(source)
            if found.kind == "masks":
                parts = find_images_of(DataConfig(path=Path(source), kind="masks"))
                return [path for part in parts.values() for path in part]
    return list_sources(source)


def _origin(weights: Weights, image_size: ImageSize) -> dict[str, Any] | None:
    if isinstance(weights, TaskModel):
        return None
    name, digest = str(weights), None
    if os.path.isfile(weights):
        name, digest = os.path.abspath(weights), sha256_of(Path(weights))
    return {"weights": name, "sha256": digest, "image_size": image_size}


def similar(
    source: Source,
    index: str | Path | Embeddings,
    *,
    weights: Weights | None = None,
    top_k: int = 10,
    device: str | None = None,
) -> list[list[tuple[str, float]]]:
    """The images of an index most like each image of a source, with their cosines.

    Args:
        source: what `embed` takes.
        index: vectors that `embed` made, or their file.
        weights: that made them; None takes what the index says.
        top_k: images for each.
        device: "auto" takes the GPU where there is one.

    Raises:
        SwinkitError: no such file, weights that are gone or are others by now.

    Example:
        >>> import numpy
        >>> model = swinkit.create_model("swin_nano", num_classes=2)
        >>> pictures = [numpy.full((64, 64, 3), value, "uint8") for value in (0, 128, 255)]
        >>> index = swinkit.embed(pictures, model)
        >>> [found[0][0] for found in swinkit.similar(pictures, index, weights=model)]
        ['0', '1', '2']
    """
    known = index if isinstance(index, Embeddings) else Embeddings.read(index)
    size = None
    if weights is None:
        if known.origin is None:
            raise ConfigError("the index does not say which weights made it; name them")
        weights, size = str(known.origin["weights"]), known.origin.get("image_size")
        digest = known.origin.get("sha256")
        if digest is not None and os.path.isfile(weights) and sha256_of(Path(weights)) != digest:
            raise ConfigError(
                f"{weights} is another file than the one that made the index; embed the images "
                "again, or name the weights"
            )
    found = embed(source, weights, image_size=size, device=device)
    return [known.similar(vector, top_k=top_k) for vector in found.vectors]
