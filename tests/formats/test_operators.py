"""Operations as people write them, from torch to files that the parity gate passes: float and int8, both formats."""

import pytest
import torch
import torch.nn.functional as F
from ai_edge_litert import schema_py_generated as schema
from operator_bodies import BODIES, Net
from torch import Tensor, nn

from edgesqueeze.compression.quantizing.calibrate import calibrate_min_max
from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.formats.sqz.file import MODEL_FILES, decode_sqz, emit_model_file, emit_sqz, read_sqz
from edgesqueeze.formats.tflite.writing.emit import emit_tflite
from edgesqueeze.measure.proof.verification import verify_files
from edgesqueeze.network.floats.run import graph_weights, run_graph
from edgesqueeze.network.integers.spec import make_spec
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.trees import map_tree

pytestmark = pytest.mark.slow  # every operator in four files; ``test_small_graphs`` is the quick look


def check_all_files(net, x, folder):
    graph = build_graph(net, x[:1])
    torch.testing.assert_close(
        run_graph(graph, x, graph_weights(graph)), map_tree(Tensor.float, net(x)), atol=2e-5, rtol=1e-5
    )
    spec = make_spec(graph, calibrate_min_max(graph, [x]))
    files = {
        "model.onnx": emit_onnx(graph, None),
        "model.tflite": emit_tflite(graph, None),
        "model_int8.onnx": emit_onnx(graph, spec),
        "model_int8.tflite": emit_tflite(graph, spec),
    }
    for file, data in files.items():
        (folder / file).write_bytes(data)
    verify_files(graph, spec, [folder / file for file in files], x.numpy()).require()


@pytest.mark.parametrize("name", BODIES)
def test_the_gate_passes_all_files(name, tmp_path):
    torch.manual_seed(3)
    check_all_files(Net(BODIES[name]).eval(), torch.randn(24, 3, 10, 8), tmp_path)


@pytest.mark.parametrize("name", ["yolo", "cls", "cat rows", "windows", "reshape odd"])
def test_sqz_gives_back_networks_of_any_shape(name, tmp_path):
    torch.manual_seed(3)
    x = torch.randn(4, 3, 10, 8)
    graph = build_graph(Net(BODIES[name]).eval(), x[:1])
    spec = make_spec(graph, calibrate_min_max(graph, [x]))
    files = {file: emit_model_file(file, graph, spec) for file in MODEL_FILES}
    data = emit_sqz(graph, spec, files)
    (tmp_path / "model.sqz").write_bytes(data)
    decoded = decode_sqz(tmp_path / "model.sqz", tmp_path / "decoded")
    assert {path.name: path.read_bytes() for path in decoded} == files
    again = read_sqz(data)
    assert {file: emit_model_file(file, *again) for file in MODEL_FILES} == files


MOVED = {
    "tokens": 0,
    "head": 0,
    "yolo": 1,
    "windows": 1,
    "transposed add": 1,
    "cls": 0,
    "flatten relu flat": 1,
    "reshape odd": 1,
}
"""How many values' orders a TFLite file has to change."""


@pytest.mark.parametrize("name", MOVED)
def test_a_tflite_file_transposes_only_where_the_meaning_needs_it(name):
    torch.manual_seed(3)
    graph = build_graph(Net(BODIES[name]).eval(), torch.randn(1, 3, 10, 8))
    model = schema.ModelT.InitFromPackedBuf(emit_tflite(graph, None), 0)
    codes = [model.operatorCodes[op.opcodeIndex].builtinCode for op in model.subgraphs[0].operators]
    assert codes.count(schema.BuiltinOperator.TRANSPOSE) == MOVED[name]


TRANSPOSED = {
    "depthwise": {"kernel_size": 4, "stride": 2, "padding": 1, "groups": 6},
    "depthwise of an odd kernel": {"kernel_size": 3, "stride": 2, "output_padding": 1, "groups": 6},
    "in groups": {"kernel_size": (3, 2), "stride": (2, 3), "padding": 1, "groups": 3},
    "in groups, more channels": {"out_channels": 12, "kernel_size": 2, "stride": 2, "groups": 2},
    "in groups, stride 1": {"kernel_size": 3, "padding": 1, "groups": 2},
    "depthwise, stride 1, much padding": {"kernel_size": 3, "padding": 3, "groups": 6},
    "dilated, stride 1": {"kernel_size": 3, "dilation": 2, "output_padding": 1},
    "dilated": {"kernel_size": 3, "stride": 2, "dilation": (2, 3), "padding": 2},
    "dilated, more rows than the stride": {"kernel_size": 2, "stride": 2, "dilation": 3, "output_padding": 2},
    "dilated, to one channel": {"out_channels": 1, "kernel_size": 2, "stride": (1, 2), "dilation": 3},
    "dilated in groups": {"kernel_size": 3, "stride": 2, "dilation": 2, "groups": 2, "bias": False},
}


class Decoder(nn.Module):
    """A transposed convolution with a batch norm and a ReLU, and once more with the same weights."""

    def __init__(self, out_channels=6, **settings):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 3), nn.Conv2d(3, 6, 3, stride=2)
        self.up = nn.ConvTranspose2d(6, out_channels, **settings)
        self.norm = nn.BatchNorm2d(out_channels)
        nn.init.uniform_(self.norm.weight, 0.5, 1.5)
        nn.init.uniform_(self.norm.bias, -0.5, 0.5)

    def forward(self, x):
        return F.relu(self.norm(self.up(self.a(x)))), self.up(self.b(x))


@pytest.mark.parametrize("name", TRANSPOSED)
def test_the_gate_passes_transposed_convolutions(name, tmp_path):
    torch.manual_seed(3)
    check_all_files(Decoder(**TRANSPOSED[name]).eval(), torch.randn(8, 3, 12, 11), tmp_path)


class Residual(nn.Module):
    """A block whose last batch norm starts at zero, as torchvision's zero_init_residual has it."""

    def __init__(self, scale):
        super().__init__()
        self.first, self.a, self.b = (nn.Conv2d(n, 4, 3, padding=1) for n in (3, 4, 4))
        self.scale = scale
        with torch.no_grad():
            self.b.weight.zero_()
            self.b.bias.zero_()

    def forward(self, x):
        y = F.relu(self.first(x) * self.scale)
        return F.relu(y + self.b(F.relu(self.a(y))))


@pytest.mark.parametrize("scale", [1.0, 1e-2, 1e-4, 1e-6])
def test_a_term_far_from_its_sum_gets_a_copy_on_a_grid_that_fits(scale, tmp_path):
    torch.manual_seed(3)
    check_all_files(Residual(scale).eval(), torch.randn(16, 3, 8, 8), tmp_path)


class Alone(nn.Module):
    """A network without a layer, or with a source so small that only an offset counts."""

    def __init__(self, body):
        super().__init__()
        self.conv, self.body = nn.Conv2d(3, 4, 3), body

    def forward(self, x):
        return self.body(self, x)


ALONE = {
    "a max pool": lambda m, x: F.max_pool2d(x, 2),
    "nothing": lambda m, x: x,
    "a slice": lambda m, x: x[:, :, 1:, 1:],
    "a concatenation": lambda m, x: torch.cat([x, x], 1),
    "a relu": lambda m, x: F.relu(x),
    **{
        f"a hard sigmoid of {scale:g}": lambda m, x, scale=scale: F.hardsigmoid(m.conv(x) * scale)
        for scale in (1.0, 1e-6, 1e-8, 1e-12, 0.0)
    },
}


@pytest.mark.parametrize("name", ALONE)
def test_the_gate_passes_networks_that_are_hardly_there(name, tmp_path):
    torch.manual_seed(3)
    check_all_files(Alone(ALONE[name]).eval(), torch.randn(16, 3, 8, 8), tmp_path)
