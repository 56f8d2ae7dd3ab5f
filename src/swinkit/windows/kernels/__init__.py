"""Faster ways to compute what `windows/` and the block define, behind one call: `fast_block`.

Every path gives the numbers of the reference up to rounding, and the reference can be read without
it. `block.py` decides whether a path applies and runs it; `attention.py` and `linear.py` hold the
arithmetic. This file needs no PyTorch, so that a configuration can name a kernel.
"""

from typing import Literal

Kernel = Literal["auto", "sdpa", "reference"]
"""How attention is computed; all give the same numbers.

auto: on a CPU the fast path of this folder where it applies; elsewhere sdpa.
sdpa: PyTorch's scaled_dot_product_attention.
reference: the equation as the paper writes it.
"""
