"""Detectors whose files do the decoding and the suppression themselves: outputs are boxes, not distances.

Both formats give four float32 outputs, padded with zeros behind the ``count`` [1] boxes that were found:
``boxes`` [1, K, 4] as x1, y1, x2, y2 in pixels, ``scores`` [1, K] and ``labels`` [1, K], best first, K the
most that are left. What the operators compute is what :class:`edgesqueeze.numerics.boxes.BoxDecoding` does.
"""

from edgesqueeze.formats.detections.onnx import onnx_with_detections
from edgesqueeze.formats.detections.tflite import tflite_with_detections

__all__ = ["onnx_with_detections", "tflite_with_detections"]
