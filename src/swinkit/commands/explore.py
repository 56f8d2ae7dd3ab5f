"""`swinkit explore`: the pages of `swinkit explain` for pictures that are dropped on a page."""

import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from swinkit.commands.loading import Device, Size, Weights, check_weights_and_size, load_model
from swinkit.task.options import check_range


@dataclass(frozen=True, kw_only=True)
class Explore:
    """Show what a model does with any picture that is dropped on a page, until Ctrl-C.

    The page is served to this machine alone.
    """

    weights: Weights
    port: int = 8765
    """Where the page is served; 0 takes a free one."""
    host: str = "127.0.0.1"
    """A loopback address of this machine."""
    browser: bool = True
    """Open the page in the browser."""
    image_size: Size = None
    """Side of the input in pixels, of detectors and segmenters the short one; None takes the
    model's own."""
    device: Device = "auto"

    def run(self) -> None:
        """Serve until interrupted.

        Raises:
            SwinkitError: unusable weights, an address that others could reach, or one that is
                taken.
        """
        check_weights_and_size(self.weights, self.image_size)
        check_range("port", self.port, 0, 65535)
        from swinkit.explaining.desk import Desk
        from swinkit.explaining.explanation import explain
        from swinkit.explaining.serving import Server, loopback

        loopback(self.host)
        model = load_model(self.weights, self.image_size, self.device, "eager", "fp32")
        model.need_weights()

        def make(path: Path, say: Callable[[str], object]) -> str:
            found = explain(model, path, say=say)
            say("drawing the page")
            return found.to_html()

        with Server(self.host, self.port, Desk(make)) as server:
            print(f"{server.url}  drop pictures there; Ctrl-C ends it", flush=True)
            if self.browser:
                webbrowser.open(server.url)
            server.serve_forever()
