"""Where an imported network keeps its layers: under the names that their framework gave them."""

from torch import nn


def put(root: nn.Module, name: str, module: nn.Module) -> None:
    """Add a module under a name with dots; what stands on the way to it is made where it is missing."""
    *path, last = name.split(".")
    for part in path:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    root.add_module(last, module)
