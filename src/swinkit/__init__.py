"""swinkit: the Swin Transformer as a whole system.

Names are imported on first use, so that `swinkit --help` does not wait for PyTorch; `__init__.pyi`
beside this file is the list of them.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
