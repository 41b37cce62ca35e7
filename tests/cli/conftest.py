"""A file that several commands read."""

import pytest
import torch

from edgesqueeze.formats.sqz.file import emit_sqz
from edgesqueeze.models import built_in_model
from edgesqueeze.network.reading.torch.build import build_graph


@pytest.fixture(scope="session")
def squeezed(tmp_path_factory):
    path = tmp_path_factory.mktemp("sqz") / "model.sqz"
    torch.manual_seed(0)
    graph = build_graph(built_in_model("lenet300_100").build(), torch.zeros(1, 1, 28, 28))
    path.write_bytes(emit_sqz(graph, None))
    return path
