"""Every output of a file comes back under its name, in both runtimes."""

import numpy as np
from emit_networks import SMALL_GRAPHS, small_input

from edgesqueeze.formats.any_file import model_file, open_cuttable
from edgesqueeze.formats.names import RUNNABLE
from edgesqueeze.measure.runtimes.runtime import load_model


def test_two_tensors_of_a_file_have_their_names(tmp_path):
    graph, x = SMALL_GRAPHS["add"], small_input(3)
    for file_format in RUNNABLE:
        whole, watched = (tmp_path / f"{name}{file_format.suffix}" for name in ("whole", "watched"))
        whole.write_bytes(model_file(graph, None, file_format))
        watched.write_bytes(open_cuttable(whole).watched(["c1", "sum"]))
        found = load_model(watched).predict_all(x)
        assert [name.partition("/")[0] for name in found] in (["c1", "sum"], ["c1", "output"])
        last = list(found.values())[-1]
        np.testing.assert_allclose(last, load_model(whole).predict(x), atol=1e-6)
