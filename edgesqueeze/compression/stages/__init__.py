"""The stages, as a closed type. A new stage is one file and one line here."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from edgesqueeze.compression.stages.base import Stage
from edgesqueeze.compression.stages.prune import Prune
from edgesqueeze.compression.stages.ptq import Ptq
from edgesqueeze.compression.stages.qat import Qat
from edgesqueeze.compression.stages.share import Share
from edgesqueeze.compression.stages.squeeze import Squeeze
from edgesqueeze.compression.stages.train import Train

AnyStage = Annotated[Train | Prune | Share | Squeeze | Qat | Ptq, Field(discriminator="stage")]


def check_order(stages: Sequence[Stage]) -> None:
    """Refuse an order in which one stage would undo another.

    Raises:
        ValueError: which stage stands behind which.
    """
    earlier: set[str] = set()
    last: str | None = None
    for stage in stages:
        if last is not None:
            raise ValueError(
                f"stage {stage.stage!r} stands behind {last!r}; {last!r} fixes every integer and must be last"
            )
        if stage.stage == "prune" and "share" in earlier:
            raise ValueError("stage 'prune' stands behind 'share' and would undo it; prune first, then share")
        if stage.stage in ("prune", "share", "squeeze") and "squeeze" in earlier:
            raise ValueError(f"stage {stage.stage!r} stands behind 'squeeze' and would undo it")
        if stage.stage == "squeeze" and "share" in earlier:
            raise ValueError("stage 'squeeze' stands behind 'share'; it takes its place, so leave one out")
        earlier.add(stage.stage)
        last = stage.stage if stage.makes_integers else None


__all__ = ["AnyStage", "Prune", "Ptq", "Qat", "Share", "Squeeze", "Train", "check_order"]
