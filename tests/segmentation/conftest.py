"""Makes the peers' builders beside these tests importable."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "checkpoints"))
sys.path.insert(0, str(Path(__file__).parent))
