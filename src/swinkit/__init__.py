"""swinkit: the Swin Transformer as a whole system.

Names are imported on first use, so that `swinkit --help` does not wait for PyTorch; `__init__.pyi`
beside this file is the list of them.
"""

from typing import Any

import lazy_loader

__version__ = "0.1.0"
_attached, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    """The public name. Raises MissingPackage where it needs an extra that is not installed."""
    from swinkit.errors import extras_named

    with extras_named():
        return _attached(name)
