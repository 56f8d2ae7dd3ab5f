"""Faster ways to compute what `windows/` and the block define, behind one call: `fast_block`.

They give the numbers of the reference up to rounding, and the reference can be read without them.
`block.py` decides whether the fast path applies and runs it; `attention.py` and `linear.py` hold
the arithmetic. This file needs no PyTorch, so that a configuration can name a kernel.
"""

from typing import Literal

Kernel = Literal["auto", "sdpa", "reference"]
"""How a block is computed; all give the same numbers.

auto: float32 on a CPU takes the fast path of this folder, all else is as sdpa.
sdpa: plain PyTorch, with its scaled_dot_product_attention.
reference: plain PyTorch, with attention as the paper's equation.
"""
