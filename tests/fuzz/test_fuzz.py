"""A damaged file ends in an answer or in one line, and in nothing else.

`make fuzz` runs many more cases of the same kinds; a case that fails names its number, with which
`SWINKIT_FUZZ_FIRST=NUMBER SWINKIT_FUZZ=1` runs it alone.
"""

import os
import random
import shutil
import sys
import warnings
from pathlib import Path

import pytest

from swinkit.errors import SwinkitError

sys.path.insert(0, str(Path(__file__).parent))

from mutations import mutated
from seeds import SEEDS

FIRST, CASES = (
    int(os.environ.get("SWINKIT_FUZZ_FIRST", "0")),
    int(os.environ.get("SWINKIT_FUZZ", "50")),
)


@pytest.mark.parametrize("kind", SEEDS)
def test_a_sound_file_is_read(kind: str, tmp_path: Path) -> None:
    written = SEEDS[kind].write(tmp_path)
    SEEDS[kind].use(tmp_path)  # raises where it is refused
    assert all(path.is_file() for path in written)


@pytest.mark.parametrize("kind", SEEDS)
def test_damaged_files(kind: str, tmp_path: Path) -> None:
    seed, sound = SEEDS[kind], tmp_path / "sound"
    names = [path.relative_to(sound) for path in seed.write(sound)]
    answers = 0
    for number in range(FIRST, FIRST + CASES):
        rng = random.Random(f"{kind} {number}")
        case = tmp_path / "case"
        shutil.copytree(sound, case)
        for name in rng.sample(names, min(len(names), rng.randint(1, 2))):
            (case / name).write_bytes(mutated((sound / name).read_bytes(), rng))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # libraries warn of what they then read
                seed.use(case)
            answers += 1
        except SwinkitError as error:
            message = str(error)
            assert message.isprintable(), f"case {number}: {message!r}"
            assert 0 < len(message) <= 500, f"case {number}: {message!r}"
        except Exception as error:
            raise AssertionError(f"{kind}, case {number}: {error!r}") from error
        shutil.rmtree(case)
    assert 0 <= answers <= CASES
