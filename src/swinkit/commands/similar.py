"""`swinkit similar`: the images most like another one."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from swinkit.commands.loading import Sources
from swinkit.console import standard_output, table
from swinkit.errors import ConfigError
from swinkit.images.sources import find_images
from swinkit.task.options import check_range


@dataclass(frozen=True, kw_only=True)
class Similar:
    """Find the images most like others among those that `swinkit embed` has seen."""

    sources: Sources
    """Images, folders of images, or quoted patterns."""
    index: Path
    """The file that `swinkit embed` wrote."""
    weights: str | None = None
    """The weights that made it; None takes what the file says."""
    top_k: int = 10
    """Images to name, most similar first."""
    json: bool = False
    """Print JSON instead of the table."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes the GPU where there is one."""

    def run(self) -> None:
        """Search and print.

        Raises:
            SwinkitError: no image, no such index, or weights that are gone.
        """
        check_range("top-k", self.top_k, 1)
        if not self.sources:
            raise ConfigError("no image to look for; name files, folders or patterns")
        # A mistake is told before PyTorch and the weights are loaded.
        images = [path for source in self.sources for path in find_images(source)]
        from swinkit.retrieval import similar

        found = similar(
            images, self.index, weights=self.weights, top_k=self.top_k, device=self.device
        )
        rows = [
            (str(image), name, cosine)
            for image, names in zip(images, found, strict=True)
            for name, cosine in names
        ]
        if self.json:
            entries = [{"source": a, "similar": b, "cosine": round(c, 6)} for a, b, c in rows]
            json.dump(entries, sys.stdout, indent=1, ensure_ascii=False)
            sys.stdout.write("\n")
            return
        cells = [(image, name, f"{cosine:.3f}") for image, name, cosine in rows]
        standard_output().print(table(("image", "similar", "cosine"), cells, numbers=(2,)))
