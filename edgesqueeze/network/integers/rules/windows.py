"""Windows of a map."""

from typing import Any

from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edgesqueeze.network.graph.nodes import Pair


def windows_of(x: NDArray[Any], kernel: Pair, stride: Pair, dilation: Pair) -> NDArray[Any]:
    """A view [N, C, rows, columns, kernel height, kernel width] of every window."""
    reach = (dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1)
    view = sliding_window_view(x, reach, axis=(2, 3))
    return view[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
