"""Makes `golden_detectors` and detection's `last_bit` importable (importlib mode adds no path)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "detection"))
sys.path.insert(0, str(Path(__file__).parent))
