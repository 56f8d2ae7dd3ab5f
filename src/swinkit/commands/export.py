"""`swinkit export`: a model as a file for another library."""

from dataclasses import dataclass
from pathlib import Path

from swinkit.commands.loading import Weights
from swinkit.console import standard_output
from swinkit.exporting import Precision, Target


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a model as a file that runs without swinkit, and prove that it gives the same numbers.

    The file holds the class names and the preprocessing too, and `swinkit predict --weights FILE`
    runs an .onnx or .xml file.
    """

    weights: Weights
    to: Target
    """onnx: ONNX Runtime and others. openvino: an .xml and a .bin file. torch-export: a .pt2."""
    out: Path
    """The file to write; it ends in .onnx, .xml or .pt2."""
    dynamic: bool = False
    """Take images of any height and width; without this those of one size. The batch is free."""
    image_size: int | None = None
    """Side in pixels of the images of a file for one size; None takes the model's own."""
    precision: Precision = "fp32"
    """fp16 halves the file."""
    int8: Path | None = None
    """Make the products INT8, with ranges from these images or this data set."""
    verify: bool = True
    """Compare the file with PyTorch at many sizes, and keep it if the numbers are the same."""

    def run(self) -> None:
        """Export, compare and print. Raises SwinkitError where that is impossible."""
        from swinkit.checkpoints.load import load
        from swinkit.exporting.export import export

        done = export(
            load(self.weights, report=None),
            self.out,
            to=self.to,
            dynamic=self.dynamic,
            image_size=self.image_size,
            precision=self.precision,
            int8=self.int8,
            verify=self.verify,
            say=standard_output().print,
        )
        beside = (done.path.with_suffix(".bin"),) if self.to == "openvino" else ()
        size = sum(file.stat().st_size for file in (done.path, *beside))
        print(f"wrote {done.path}, {size / 1e6:.1f} MB")
