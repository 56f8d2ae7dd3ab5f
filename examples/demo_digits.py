"""A small set of real images without a download: the handwritten digits of scikit-learn."""

import random
from pathlib import Path

import numpy as np
from PIL import Image

from swinkit.errors import DataError
from swinkit.files import atomic_write

SIDE = 32  # pixels; the originals have 8
PARTS = (("train", 0.7), ("val", 0.1), ("test", 0.2))
MARKER = "digits.txt"
COUNT = 1797


def write_digits(folder: str | Path, seed: int = 0) -> Path:
    """Write 1797 digits (UCI optical recognition, 8x8 gray, enlarged to 32x32) as PNG files.

    They lie in train, val and test (70, 10 and 20 % of each class, chosen by `seed`), in class
    folders 0 to 9. A folder that is complete already is left alone; another seed or an interrupted
    run is put right.

    Returns:
        The folder.

    Raises:
        DataError: scikit-learn is not installed.
        SwinkitError: a file cannot be written.
    """
    root = Path(folder).expanduser()
    note = f"scikit-learn digits, {SIDE}x{SIDE}, seed {seed}\n"
    marker = root / MARKER
    complete = marker.is_file() and marker.read_text(encoding="utf-8") == note
    if complete and sum(1 for _ in root.glob("*/*/digit_*.png")) == COUNT:
        return root
    pixels, labels = _load()
    try:
        marker.unlink(missing_ok=True)
        for index, part in enumerate(_parts(labels, seed)):
            _write(root, part, str(labels[index]), index, pixels[index])
    except OSError as error:
        raise DataError(
            f"cannot write the digits to {root}: {error.strerror or error}; "
            "free space or choose another folder"
        ) from error
    with atomic_write(marker) as temporary:
        temporary.write_text(note, encoding="utf-8")
    return root


def _write(root: Path, part: str, label: str, index: int, values: np.ndarray) -> None:
    name = f"digit_{index:04d}.png"
    for other, _ in PARTS:
        if other != part:
            (root / other / label / name).unlink(missing_ok=True)
    target = root / part / label / name
    target.parent.mkdir(parents=True, exist_ok=True)
    small = Image.fromarray(np.rint(values * (255 / 16)).astype(np.uint8))
    # Not synced one by one, which takes minutes on a slow disk: the marker is written last.
    small.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(target)


def _load() -> tuple[np.ndarray, np.ndarray]:
    try:
        # Imported here because only the demo needs this optional package.
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise DataError(
            "the digits come with scikit-learn, which is not installed; "
            "run: pip install 'swinkit[demo]'"
        ) from error
    digits = load_digits()
    return digits.images, digits.target


def _parts(labels: np.ndarray, seed: int) -> list[str]:
    """The split of each image."""
    parts = [PARTS[0][0]] * len(labels)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label).tolist()
        random.Random(f"{seed}/{label}").shuffle(places)
        start = 0
        for name, fraction in PARTS[1:]:
            count = round(len(places) * fraction)
            for place in places[start : start + count]:
                parts[place] = name
            start += count
    return parts
