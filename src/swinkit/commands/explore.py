"""`swinkit explore`: the pages of `swinkit explain` for pictures that are dropped on a page."""

import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from swinkit.commands.loading import ModelOptions
from swinkit.task.options import check_range


@dataclass(frozen=True, kw_only=True)
class Explore(ModelOptions):
    """Show what a model does with any picture that is dropped on a page, until Ctrl-C.

    The page is served to this machine alone.
    """

    port: int = 8765
    """Where the page is served; 0 takes a free one."""
    host: str = "127.0.0.1"
    """A loopback address of this machine."""
    browser: bool = True
    """Open the page in the browser."""

    def run(self) -> None:
        """Serve until interrupted.

        Raises:
            SwinkitError: unusable weights, an address that others could reach, or one that is
                taken.
        """
        self.check()
        check_range("port", self.port, 0, 65535)
        from swinkit.explaining.desk import Desk
        from swinkit.explaining.explanation import explain
        from swinkit.explaining.serving import Server, loopback

        loopback(self.host)
        model = self.load()
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
