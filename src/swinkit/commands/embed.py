"""`swinkit embed`: images as vectors."""

from dataclasses import dataclass
from pathlib import Path

from swinkit.commands.loading import ModelOptions, Sources, check_sources
from swinkit.console import ImagesBar
from swinkit.files import check_place
from swinkit.images.sources import find_images
from swinkit.task.options import check_range


@dataclass(frozen=True, kw_only=True)
class Embed(ModelOptions):
    """Write a vector for each image, for retrieval, nearest neighbors and clustering.

    The vector is the mean of the backbone's last map; weights of any task will do. The file is what
    `swinkit similar` looks in.
    """

    sources: Sources
    """Images, folders of images, or quoted patterns such as 'photos/**/*.jpg'."""
    out: Path
    """.npz: arrays `names` and `vectors`; .parquet: columns `name` and `vector`."""
    skip_bad: bool = False
    """Leave unreadable images out; without this the first one stops the command."""
    batch_size: int | None = None
    """Images per forward pass; None: 16."""

    def run(self) -> None:
        """Embed and write.

        Raises:
            SwinkitError: no image, an unreadable one, unusable weights, or a refused write.
        """
        self.check()
        check_range("batch-size", self.batch_size, 1)
        check_sources(self.sources, "embed")
        # A mistake is told before PyTorch and the weights are loaded.
        images = [path for source in self.sources for path in find_images(source)]
        from swinkit.retrieval import check_path, embed

        check_path(self.out)
        check_place(self.out)
        with ImagesBar() as bar:
            found = embed(
                images,
                self.weights,
                image_size=self.image_size,
                device=self.device,
                batch_size=self.batch_size or 16,
                on_error="skip" if self.skip_bad else "raise",
                progress=bar.images,
            )
        found.save(self.out)
        images, channels = found.vectors.shape
        print(f"{images} vectors of {channels} numbers in {self.out}")
