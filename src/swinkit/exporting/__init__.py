"""Networks as files that other libraries run, each compared with PyTorch before it is kept.

graph.py traces a model, formats.py writes what it gave, quantize.py makes INT8 of it, verify.py
compares, export.py is the way through them.
"""

from typing import Literal

Target = Literal["onnx", "openvino", "torch-export"]
Precision = Literal["fp32", "fp16"]

SUFFIX: dict[Target, str] = {"onnx": ".onnx", "openvino": ".xml", "torch-export": ".pt2"}
