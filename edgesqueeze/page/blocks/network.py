"""The network as a list with its lines beside it."""

from markupsafe import Markup

from edgesqueeze.page.blocks.layer_times import layer_tips
from edgesqueeze.page.blocks.layers import sqnr_of
from edgesqueeze.page.facts import RunFacts
from edgesqueeze.page.lanes import LaneRow, lane_rows
from edgesqueeze.page.network import LayerFacts, NodeFacts
from edgesqueeze.page.svg import element, line
from edgesqueeze.page.view import Block, Cell, Column, Table
from edgesqueeze.page.wording import NOTHING, count_text, shape_text

_STEP, _HEIGHT = 14, 30
_MOST_LANES = 12
"""Lines that are drawn; of a wider network the node and its own lines move together at the right."""


def network_block(run: RunFacts) -> Block | None:
    """Every node in execution order, and what flows where."""
    if run.network is None:
        return None
    nodes = run.network.nodes
    layers = {layer.counts.name: layer for layer in run.network.layers}
    sqnr = sqnr_of(run)
    lanes = lane_rows({node.name: node.inputs for node in nodes})
    width = min(max(row.width for row in lanes), _MOST_LANES)
    rows = [
        _row(node, _lines(lane, width, node, _said(run, node)), layers.get(node.name), _said(run, node))
        for node, lane in zip(nodes, lanes, strict=True)
    ]
    if sqnr:
        for node, row in zip(nodes, rows, strict=True):
            db = sqnr.get(node.name)
            row.insert(-1, Cell(NOTHING if db is None else f"{db:.1f} dB", db))
    columns = [
        Column("node", numeric=False),
        Column("kind", numeric=False),
        Column("output"),
        Column("settings", numeric=False),
        Column("parameters"),
        Column("MACs"),
        *([Column("int8 SQNR")] if sqnr else []),
        Column("reads", numeric=False),
    ]
    lead = (
        f"{len(nodes)} nodes in the order in which they run, read from {run.network.file}. Batch norm is "
        "folded into the layer before it, and activations are part of the node that they follow. A line is "
        "a tensor that is still needed; shapes are without the batch."
    )
    table = Table("Nodes of the network", columns, rows, sortable=False, kind="network tall")
    return Block("network", "Network", lead, [table])


def _row(node: NodeFacts, picture: Markup, layer: LayerFacts | None, tip: str) -> list[Cell]:
    params = None if layer is None else layer.counts.params
    macs = None if layer is None else layer.counts.macs
    return [
        Cell(node.name, kind="name", picture=picture, tip=tip),
        Cell(node.kind),
        Cell(shape_text(node.shape[1:])),
        Cell(node.settings or NOTHING, kind="settings"),
        Cell(count_text(params), params),
        Cell(count_text(macs), macs),
        Cell(", ".join(node.inputs) or NOTHING),
    ]


def _said(run: RunFacts, node: NodeFacts) -> str:
    settings = f"\n{node.settings}" if node.settings else ""
    return f"{node.name}: {node.kind}\noutput {shape_text(node.shape)}{settings}{layer_tips(run, node.name)}"


def _lines(lane: LaneRow, width: int, node: NodeFacts, tip: str) -> Markup:
    """The lines that come from above, those that go on below, and the node between them."""

    def x(place: int) -> float:
        return (min(place, width - 1) + 0.5) * _STEP

    middle = _HEIGHT / 2
    marks = [line((x(place), 0), (x(place), _HEIGHT), "lane") for place in lane.passes]
    marks += [line((x(place), 0), (x(lane.place), middle), "lane") for place in lane.reads]
    if lane.goes_on:
        marks.append(line((x(lane.place), middle), (x(lane.place), _HEIGHT), "lane"))
    kind = "node-end" if node.kind == "Input" or not lane.goes_on else "node"
    marks.append(
        element("circle", {"cx": x(lane.place), "cy": middle, "r": 5, "class": kind, "data-tip": tip})
    )
    size: dict[str, str | float] = {
        "viewBox": f"0 0 {width * _STEP} {_HEIGHT}",
        "width": width * _STEP,
        "height": _HEIGHT,
    }
    return element("svg", {**size, "class": "lanes", "aria-hidden": "true"}, *marks)
