"""What a network that was trained elsewhere expects of pixels, by the name of the rule."""

from dataclasses import dataclass

from edgesqueeze.errors import TaskError
from edgesqueeze.normalization import Normalization

_APPLICATIONS = "keras.applications."
_RAW, _UNIT, _SYMMETRIC = (0.0, 1 / 255), (0.0, 1.0), (0.5, 0.5)
_PLAIN = {"0..255": _RAW, "0..1": _UNIT, "-1..1": _SYMMETRIC}
_INSIDE = ("convnext", "efficientnet", "efficientnet_v2", "mobilenet_v3")
_SCALED = (
    "inception_resnet_v2",
    "inception_v3",
    "mobilenet",
    "mobilenet_v2",
    "nasnet",
    "resnet_v2",
    "xception",
)
_CENTRED = ("resnet", "resnet50", "vgg16", "vgg19")
_NORMALIZED = ("densenet",)


@dataclass(frozen=True)
class Preprocessing:
    """How pixels become inputs: mean and std of images in [0, 1], one value for all channels or three.

    With ``reversed_channels`` the network takes blue, green and red; mean and std are in the order of the
    image, red first.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    reversed_channels: bool = False

    def normalization(self, channels: int) -> Normalization:
        """For images of so many channels.

        Raises:
            TaskError: the rule is for images in colour.
        """
        if len(self.mean) == 1:
            return Normalization(self.mean * channels, self.std * channels)
        if channels != len(self.mean):
            raise TaskError(f"task.preprocess is for images in colour, these have {channels} channels")
        return Normalization(self.mean, self.std)


def _rules() -> dict[str, Preprocessing]:
    plain = {name: Preprocessing((mean,), (std,)) for name, (mean, std) in _PLAIN.items()}
    inside, scaled = plain["0..255"], plain["-1..1"]
    centred = Preprocessing(  # of ImageNet's training images, as Caffe subtracted it
        (123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255,) * 3, reversed_channels=True
    )
    normalized = Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    groups = ((_INSIDE, inside), (_SCALED, scaled), (_CENTRED, centred), (_NORMALIZED, normalized))
    return plain | {f"{_APPLICATIONS}{name}": rule for names, rule in groups for name in names}


PREPROCESSING = _rules()
"""By the range of values that the network takes, or by the module of ``keras.applications`` whose
``preprocess_input`` it was trained with (its source says which of three modes it is)."""
