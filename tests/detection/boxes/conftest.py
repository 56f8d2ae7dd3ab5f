"""Makes `box_strategies` importable by the tests of this folder (importlib mode adds no path)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
