"""What runs an exported network in PyTorch's place: one file per engine, each an extra.

This file needs none of them, so that a command can name an engine.
"""

from typing import Literal

EngineName = Literal["auto", "eager", "compiled", "onnxruntime", "openvino"]
"""What `predict` and `evaluate` send images through; all give the same results.

auto: the fastest that is installed, once there is enough work to pay for making it.
eager: PyTorch, with the fast paths of `windows/kernels`.
compiled: torch.compile, made anew in each process.
onnxruntime, openvino: the network exported once and kept, run by that library.
"""

RunPrecision = Literal["fp32", "bf16"]
"""In what an engine multiplies. bf16: faster on processors with AMX or AVX-512 BF16 and on GPUs,
at three significant digits."""
