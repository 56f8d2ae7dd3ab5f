"""The two files that the report of every task has, and its numbers as JSON can hold them."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swinkit.files import atomic_write


def write_numbers(
    folder: Path, numbers: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> None:
    """report.json of all numbers and per_class.csv, a row per class.

    Raises:
        SwinkitError: the system refuses.
    """
    with atomic_write(folder / "report.json") as temporary:
        text = json.dumps(numbers, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text, encoding="utf-8")
    with (
        atomic_write(folder / "per_class.csv") as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def finite(value: float) -> float | None:
    """None instead of NaN, which JSON does not have."""
    return None if math.isnan(value) else float(value)
