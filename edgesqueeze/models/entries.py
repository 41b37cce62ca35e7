"""The built-in networks. Each is imported when it is built, so that a name can be checked without torch."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from edgesqueeze.models.entry import Factory, ImageSizes, ModelEntry, Option, Sizes

if TYPE_CHECKING:
    from torch import nn

    from edgesqueeze.models.fire import FireSettings

_Options = Mapping[str, Any]
_ACTIVATION = Option(("relu", "relu6"), "what follows each convolution")
_ACTIVATION6 = Option(("relu6", "relu"), "what follows each convolution")
_WIDTH = Option((1.0, 0.75, 0.5, 0.25), "a factor of the number of channels")
_AUTOENCODER_WIDTH = Option((1.0, 1.5, 2.0), _WIDTH.meaning)
_LEVELS = Option((2, 3), "strides 8 and 16, or 8, 16 and 32")
_BYPASS = Option(("none", "simple", "complex"), "the paper's bypasses around Fire modules")
_SIMPLE_BYPASS = Option(("none", "simple"), _BYPASS.meaning)
_FIRE_OPTIONS = {"activation": _ACTIVATION6, "bypass": _SIMPLE_BYPASS, "width": _WIDTH}


def _lenet300_100(sizes: Sizes, _: _Options) -> "nn.Module":
    from edgesqueeze.models.lenet import LeNet300100

    return LeNet300100(sizes.num_classes, sizes.channels)


def _lenet5(sizes: Sizes, _: _Options) -> "nn.Module":
    from edgesqueeze.models.lenet import LeNet5

    return LeNet5(sizes.num_classes, sizes.channels)


def _lenet5_1998(sizes: Sizes, _: _Options) -> "nn.Module":
    from edgesqueeze.models.lenet1998 import LeNet5Of1998

    return LeNet5Of1998(sizes.num_classes, sizes.channels, sizes.image_size[0])


def _alexnet(sizes: Sizes, options: _Options) -> "nn.Module":
    from edgesqueeze.models.alexnet import alexnet

    return alexnet(sizes.num_classes, sizes.channels, sizes.image_size, options["activation"])


def _squeezenet1_0(sizes: Sizes, options: _Options) -> "nn.Module":
    from edgesqueeze.models.squeezenet import squeezenet1_0

    return squeezenet1_0(sizes.num_classes, sizes.channels, options["activation"], options["bypass"])


def _squeezenet1_1(sizes: Sizes, options: _Options) -> "nn.Module":
    from edgesqueeze.models.squeezenet import squeezenet1_1

    return squeezenet1_1(sizes.num_classes, sizes.channels, options["activation"], options["bypass"])


def _mobilenet_v2(sizes: Sizes, _: _Options) -> "nn.Module":
    from edgesqueeze.models.torchvision_networks import torchvision_network

    return torchvision_network("mobilenet_v2", sizes.num_classes, sizes.channels)


def _mobilenet_v3_small(sizes: Sizes, _: _Options) -> "nn.Module":
    from edgesqueeze.models.torchvision_networks import torchvision_network

    return torchvision_network("mobilenet_v3_small", sizes.num_classes, sizes.channels)


def _resnet18(sizes: Sizes, _: _Options) -> "nn.Module":
    from edgesqueeze.models.torchvision_networks import torchvision_network

    return torchvision_network("resnet18", sizes.num_classes, sizes.channels)


def _autoencoder_dense(sizes: Sizes, options: _Options) -> "nn.Module":
    from edgesqueeze.models.autoencoders import DenseAutoencoder

    return DenseAutoencoder(sizes.image_shape, options["activation"])


def _autoencoder_conv(sizes: Sizes, options: _Options) -> "nn.Module":
    from edgesqueeze.models.autoencoders import ConvAutoencoder

    return ConvAutoencoder(sizes.channels, options["activation"])


def _autoencoder_squeeze(sizes: Sizes, options: _Options) -> "nn.Module":
    from edgesqueeze.models.autoencoders import SqueezeAutoencoder

    return SqueezeAutoencoder(sizes.channels, options["width"], options["activation"])


def _squeezenet_segmenter(sizes: Sizes, options: _Options) -> "nn.Module":
    from edgesqueeze.models.segmenter import SqueezeNetSegmenter

    return SqueezeNetSegmenter(sizes.num_classes, sizes.channels, _fire_settings(options))


def _squeezenet_detector(sizes: Sizes, options: _Options) -> "nn.Module":
    from edgesqueeze.models.detector import SqueezeNetDetector

    return SqueezeNetDetector(sizes.num_classes, sizes.channels, options["levels"], _fire_settings(options))


def _fire_settings(options: _Options) -> "FireSettings":
    from edgesqueeze.models.fire import FireSettings

    return FireSettings(options["width"], options["activation"], options["bypass"] == "simple")


def _squeezenet(name: str, factory: Factory, smallest: int) -> ModelEntry:
    return ModelEntry(
        name=name,
        kind="classification",
        factory=factory,
        input_shape=(3, 224, 224),
        num_classes=1000,
        paper="Iandola et al. 2016, arXiv 1602.07360",
        sizes=ImageSizes(smallest),
        options=MappingProxyType({"activation": _ACTIVATION, "bypass": _BYPASS}),
    )


def _torchvision(name: str, factory: Factory, paper: str) -> ModelEntry:
    return ModelEntry(name, "classification", factory, (3, 224, 224), 1000, paper, ImageSizes(32))


def _lenet(name: str, factory: Factory, paper: str, sizes: tuple[int, ...]) -> ModelEntry:
    return ModelEntry(name, "classification", factory, (1, 28, 28), 10, paper, ImageSizes(only=sizes))


def _autoencoder(name: str, factory: Factory, paper: str, options: Mapping[str, Option]) -> ModelEntry:
    return ModelEntry(
        name=name,
        kind="reconstruction",
        factory=factory,
        input_shape=(1, 28, 28),
        num_classes=0,
        paper=paper,
        sizes=ImageSizes(smallest=28, multiple_of=4),
        options=MappingProxyType(dict(options)),
    )


ENTRIES = (
    _lenet("lenet300_100", _lenet300_100, "LeCun et al. 1998; Han et al. 2016, arXiv 1510.00149", (28,)),
    _lenet("lenet5", _lenet5, "LeCun et al. 1998 as in Caffe; Han et al. 2016, arXiv 1510.00149", (28,)),
    _lenet("lenet5_1998", _lenet5_1998, "LeCun et al. 1998, Proceedings of the IEEE 86(11)", (28, 32)),
    ModelEntry(
        name="alexnet",
        kind="classification",
        factory=_alexnet,
        input_shape=(3, 224, 224),
        num_classes=1000,
        paper="Krizhevsky et al. 2012; Krizhevsky 2014, arXiv 1404.5997",
        sizes=ImageSizes(smallest=21),
        options=MappingProxyType({"activation": _ACTIVATION}),
    ),
    _squeezenet("squeezenet1_0", _squeezenet1_0, 21),
    _squeezenet("squeezenet1_1", _squeezenet1_1, 17),
    _torchvision("mobilenet_v2", _mobilenet_v2, "Sandler et al. 2018, arXiv 1801.04381"),
    _torchvision("mobilenet_v3_small", _mobilenet_v3_small, "Howard et al. 2019, arXiv 1905.02244"),
    _torchvision("resnet18", _resnet18, "He et al. 2016, arXiv 1512.03385"),
    _autoencoder(
        "autoencoder_squeeze",
        _autoencoder_squeeze,
        "Fire modules: arXiv 1602.07360",
        {"activation": _ACTIVATION6, "width": _AUTOENCODER_WIDTH},
    ),
    _autoencoder(
        "autoencoder_conv", _autoencoder_conv, "Masci et al. 2011, ICANN", {"activation": _ACTIVATION}
    ),
    _autoencoder(
        "autoencoder_dense",
        _autoencoder_dense,
        "Hinton and Salakhutdinov 2006, Science 313",
        {"activation": _ACTIVATION},
    ),
    ModelEntry(
        name="squeezenet_segmenter",
        kind="segmentation",
        factory=_squeezenet_segmenter,
        input_shape=(3, 96, 96),
        num_classes=21,
        paper="SqueezeNet: arXiv 1602.07360; skips: Long et al. 2015, arXiv 1411.4038",
        sizes=ImageSizes(smallest=32, multiple_of=16),
        options=MappingProxyType(_FIRE_OPTIONS),
    ),
    ModelEntry(
        name="squeezenet_detector",
        kind="detection",
        factory=_squeezenet_detector,
        input_shape=(3, 96, 96),
        num_classes=20,
        paper="SqueezeDet: Wu et al. 2017, arXiv 1612.01051; FCOS: Tian et al. 2019, arXiv 1904.01355",
        sizes=ImageSizes(smallest=32, multiple_of=32),
        options=MappingProxyType(_FIRE_OPTIONS | {"levels": _LEVELS}),
    ),
)
"""Of each task the smallest first."""
