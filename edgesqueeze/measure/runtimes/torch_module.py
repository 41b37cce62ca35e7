"""Built-in networks in torch itself, as they run where they were trained."""

from collections.abc import Callable
from pathlib import Path

from edgesqueeze.errors import ExportError
from edgesqueeze.measure.runtimes.predictor import existing
from edgesqueeze.models import built_in_model
from edgesqueeze.trees import Tree, map_tree


class TorchModule:
    """A built-in network with the weights of a file; ``runtime`` is name and version."""

    runtime: str

    def __init__(self, model: str, weights: Path, threads: int) -> None:
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        torch.set_num_threads(threads)
        self._module = built_in_model(model).build().eval()
        try:
            self._module.load_state_dict(load_file(existing(weights)))
        except (SafetensorError, RuntimeError) as error:
            raise ExportError(f"{weights} does not hold the weights of {model}") from error
        self.runtime = f"torch {torch.__version__.partition('+')[0]}"

    def prepare(self, x: Tree) -> Callable[[], object]:
        """A call that runs one inference on float32 ``x`` [N, C, H, W]."""
        import torch

        inputs = map_tree(torch.from_numpy, x)

        def run() -> object:
            with torch.inference_mode():
                return self._module(inputs)

        return run
