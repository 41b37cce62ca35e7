"""What a network is asked to do."""

from typing import Literal

TaskKind = Literal["classification", "detection", "segmentation", "reconstruction", "regression"]

IGNORED = 255
"""Pixels of a mask with this value are not counted: borders, what nobody labelled, what moved away."""
