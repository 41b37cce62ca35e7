"""The int8 weights of a TFLite file of ours, whatever else is in it: int8, dynamic range or partly float.

``stored_integers`` reads every number of a file that is int8 throughout; here only weights matter, and a
layer that is kept in float is left out.
"""

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgesqueeze.formats.tflite.cut import TfliteFile
from edgesqueeze.formats.tflite.stored_integers import tflite_weight

_OP = schema.BuiltinOperator
_WEIGHTED = (_OP.CONV_2D, _OP.DEPTHWISE_CONV_2D, _OP.FULLY_CONNECTED)


def tflite_int8_weights(file: TfliteFile) -> dict[str, NDArray[np.int8]]:
    """Layer to int8 weight in PyTorch's layout, [out, in / groups, ...]."""
    found = {}
    for operator in file.graph.operators:
        if file.code(operator) not in _WEIGHTED:
            continue
        if file.graph.tensors[int(operator.inputs[1])].type == schema.TensorType.INT8:
            name = file.graph.tensors[int(operator.outputs[0])].name.decode()
            found[name] = tflite_weight(file, operator)
    return found
