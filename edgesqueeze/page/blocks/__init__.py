"""The blocks of a page: each file answers one kind of question with functions from a run to a block.

Those of a benchmark are made of its report. A block is None where a run has nothing to say: no two files to
compare, no stage that trained.
"""

from edgesqueeze.page.blocks.about import about_block
from edgesqueeze.page.blocks.benchmark import benchmark_blocks
from edgesqueeze.page.blocks.checks import first_block
from edgesqueeze.page.blocks.classes import classes_block
from edgesqueeze.page.blocks.examples import examples_block
from edgesqueeze.page.blocks.layer_times import layer_times_block
from edgesqueeze.page.blocks.layers import layers_block, weights_block
from edgesqueeze.page.blocks.network import network_block
from edgesqueeze.page.blocks.rows import latency_block, size_block, table_block
from edgesqueeze.page.blocks.together import together_blocks
from edgesqueeze.page.blocks.trade import trade_block
from edgesqueeze.page.blocks.training import training_block
from edgesqueeze.page.facts import RunFacts
from edgesqueeze.page.view import Block

__all__ = ["benchmark_blocks", "blocks_of", "together_blocks"]

_IN_ORDER = (
    first_block,
    size_block,
    trade_block,
    table_block,
    latency_block,
    layers_block,
    layer_times_block,
    weights_block,
    network_block,
    classes_block,
    examples_block,
    training_block,
    about_block,
)


def blocks_of(run: RunFacts) -> list[Block]:
    """What a page says of one run, in its order."""
    blocks = (make(run) for make in _IN_ORDER)
    return [block for block in blocks if block is not None]
