"""Torch operations written as others of torch before a program is read."""

from edgesqueeze.network.reading.torch.decompositions.decomposition import Decomposition
from edgesqueeze.network.reading.torch.decompositions.places import PLACES
from edgesqueeze.network.reading.torch.decompositions.signals import SIGNALS
from edgesqueeze.network.reading.torch.decompositions.statistics import STATISTICS
from edgesqueeze.network.reading.torch.decompositions.values import VALUES
from edgesqueeze.network.reading.torch.decompositions.windows import WINDOWS

DECOMPOSITIONS: dict[object, Decomposition] = {**SIGNALS, **STATISTICS, **WINDOWS, **VALUES, **PLACES}
"""What ``run_decompositions`` replaces, and by what."""
