"""What ``edgesqueeze doctor`` finds out about the machine it runs on."""

from collections.abc import Iterator
from importlib import import_module
from typing import get_args

from edgesqueeze.bundled import bundled_recipes
from edgesqueeze.data import DataName
from edgesqueeze.data.named import locate, ways_to_get
from edgesqueeze.measure.runtimes.host import host_facts

_RUNTIMES = {"ONNX Runtime": "onnxruntime", "LiteRT": "ai_edge_litert.interpreter", "torch": "torch"}
Finding = tuple[str, str]


def diagnose() -> Iterator[Finding]:
    """Label and finding, one pair a line; nothing found is said, not hidden."""
    facts = host_facts()
    yield "cpu", f"{facts.cpu_model}, {facts.cores} cores usable"
    yield "cpu features", ", ".join(facts.cpu_features) or "none known"
    yield "system", f"{facts.system}, {facts.machine}, Python {facts.python}"
    for name, version in facts.versions.items():
        yield name, version or "not installed"
    for name, module in _RUNTIMES.items():
        try:
            import_module(module)
        except Exception as error:  # a broken runtime can raise anything while it loads
            yield name, f"does not load: {error}"
        else:
            yield name, "loads"
    for data in get_args(DataName):
        path = locate(data)
        yield f"data {data}", str(path) if path else f"not found: {ways_to_get(data)}"
    yield "recipes", ", ".join(bundled_recipes()) or "none found"
