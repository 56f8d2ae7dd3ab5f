"""Which implementation of attention computes; all give the same numbers."""

from typing import Literal, get_args

Kernel = Literal["auto", "sdpa", "reference"]
"""auto: on a CPU swinkit's own, in pieces that stay in the cache; elsewhere sdpa.
sdpa: PyTorch's scaled_dot_product_attention. reference: the equation as the paper writes it."""

KERNELS: tuple[str, ...] = get_args(Kernel)
