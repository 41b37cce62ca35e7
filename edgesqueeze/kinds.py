"""What a network is asked to do."""

from typing import Literal

TaskKind = Literal["classification", "detection", "segmentation", "reconstruction", "regression"]
