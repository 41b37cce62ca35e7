"""What ONNX Runtime makes of operators that it joins."""

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from torch import nn

from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.network.reading.torch.build import build_graph


class PaddedPool(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return F.max_pool2d(F.pad(self.conv(x) - 9.0, (1, 1, 1, 1)), 3, 2)


def test_zeros_around_a_map_are_counted_by_the_maximum():
    torch.manual_seed(0)
    model, x = PaddedPool().eval(), torch.randn(1, 3, 8, 8)
    session = onnxruntime.InferenceSession(emit_onnx(build_graph(model, x), None))
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(found, model(x).detach().numpy(), atol=1e-6)
