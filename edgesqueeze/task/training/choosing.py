"""Which epoch is the best so far, and when there is no more hope of a better one."""

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from edgesqueeze.task.metrics import Measure
from edgesqueeze.task.training.history import Epoch
from edgesqueeze.task.training.settings import TrainingSettings


@dataclass
class Best:
    """The best epoch so far by the primary metric; 0 while none has one. Of equals the first counts.

    A metric that is no number is worse than all.
    """

    settings: TrainingSettings
    measure: Measure
    epoch: int = 0
    metric: float = math.nan
    weights: dict[str, Tensor] | None = None
    """A copy of its state, if that is what the stage leaves."""

    def see(self, epoch: Epoch, model: nn.Module) -> None:
        """Take an epoch if it is better than all before."""
        if epoch.metric is None or (math.isnan(epoch.metric) and self.epoch):
            return
        if self.measure.is_better(epoch.metric, than=self.metric) or math.isnan(self.metric):
            self.epoch, self.metric = epoch.number, epoch.metric
            if self.settings.keep == "best":
                self.weights = {name: value.detach().clone() for name, value in model.state_dict().items()}

    def gives_up_after(self, epoch: int) -> bool:
        """Whether patience is at its end."""
        patience = self.settings.early_stop
        return patience is not None and epoch - self.epoch >= patience

    def state(self) -> dict[str, Any]:
        """Plain values and tensors."""
        return {"epoch": self.epoch, "metric": self.metric, "weights": self.weights}

    def load_state(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state`."""
        self.epoch, self.metric, self.weights = state["epoch"], state["metric"], state["weights"]
