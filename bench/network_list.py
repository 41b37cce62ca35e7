"""The networks of the table: a small variant of every model file of torchvision and timm, all Keras has."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models import segmentation
from torchvision.ops import StochasticDepth

from bench.subjects import noise_images, settle
from edgesqueeze.errors import TaskError
from edgesqueeze.importing.keras.load import keras_on_torch, network_of

Part = Literal["convolutional", "hybrids and transformers", "keras.applications"]
Library = Literal["torchvision", "timm", "keras"]
CLASSES = 10
_SETTLING_IMAGES = 4
_TINY_SCALE = 1e-2
_KERAS_ERROR = 1e-5
_OFFSETS, _KERAS_OFFSETS = (-0.3, 0.3), (0.5, 1.5)

# Model file, its variant, and the image size where it is not the usual one: what the variant is built for.
_TIMM_CONVOLUTIONAL = """
byobnet mobileone_s1, convmixer convmixer_768_32, convnext convnext_atto, cspnet cs3darknet_focus_s,
cspnext cspnext_tiny, densenet densenet121, dla dla46x_c, dpn dpn48b, efficientnet tinynet_e,
fasternet fasternet_t0, fastvit fastvit_t8, ghostnet ghostnet_050, hardcorenas hardcorenas_b,
hgnet hgnetv2_b0, hrnet hrnet_w18_small, inception_next inception_next_atto 224,
inception_resnet_v2 inception_resnet_v2 160, inception_v3 inception_v3 160, inception_v4 inception_v4 160,
lcnetv2 lcnetv2_small, mambaout mambaout_femto, metaformer poolformerv2_s12, mobilenetv3 lcnet_050,
nasnet nasnetalarge, nfnet nf_regnet_b0, pnasnet pnasnet5large, rdnet rdnet_tiny, regnet regnetx_002,
repghost repghostnet_050, repvit repvit_m1, res2net res2next50, resnest resnest14d, resnet resnet10t,
resnetv2 resnetv2_18, rexnet rexnet_100, selecsls selecsls42, senet legacy_seresnet18, sknet skresnet18,
starnet starnet_s050, tresnet tresnet_m, vgg vgg11 224, vovnet ese_vovnet19b_slim_dw,
xception legacy_xception 160, xception_aligned xception41p 160
"""
_TIMM_OTHERS = """
beit beit_base_patch16_224, byoanet eca_botnext26ts_256 256, cait cait_xxs24_224, coat coat_tiny,
convit convit_tiny, cpubone cpubone_nano, crossvit crossvit_tiny_240 240, csatv2 csatv2 512, davit davit_tiny,
deepseek_vit deepseek_vit_412m 546, deit deit_tiny_patch16_224, edgenext edgenext_xx_small 256,
efficientformer efficientformer_l1, efficientformer_v2 efficientformerv2_s0, efficientvim efficientvim_m1,
efficientvit_mit efficientvit_b0, efficientvit_msra efficientvit_m0, eva eva02_tiny_patch14_224,
focalnet focalnet_tiny_srf, gcvit gcvit_xxtiny, gemma4_vit gemma4_vit_167m 768, hiera hiera_tiny_224,
hieradet_sam2 hieradet_small 256, iformer iformer_t, levit levit_128s, lowformer lowformer_b0,
maxxvit maxvit_pico_rw_256 256, mlp_mixer gmlp_ti16_224, mobilenetv5 mobilenetv5_300m 768,
mobilevit mobilevit_xxs 256, mvitv2 mvitv2_tiny, naflexvit naflexvit_so150m2_patch16_reg1_gap 384,
nest nest_tiny, nextvit nextvit_small, pit pit_ti_224, pvt_v2 pvt_v2_b0, qwen3_vit qwen3_vit_88m 768,
sequencer sequencer2d_s, shvit shvit_s1, swiftformer swiftformer_xs,
swin_transformer swin_tiny_patch4_window7_224, swin_transformer_v2 swinv2_tiny_window8_256 256,
swin_transformer_v2_cr swinv2_cr_tiny_ns_224, tiny_vit tiny_vit_5m_224, tnt tnt_s_patch16_224,
twins twins_svt_small, visformer visformer_tiny, vision_transformer vit_tiny_patch16_224,
vision_transformer_hybrid vit_tiny_r_s16_p8_224, vision_transformer_relpos vit_srelpos_small_patch16_224,
vision_transformer_sam samvit_base_patch16_224, vitamin vitamin_small_224, volo volo_d1_224,
xcit xcit_nano_12_p16_224
"""
_TORCHVISION_CONVOLUTIONAL = """
alexnet alexnet 224, convnext convnext_tiny, densenet densenet121, efficientnet efficientnet_b0,
googlenet googlenet, inception inception_v3 160, mnasnet mnasnet0_5, mobilenetv2 mobilenet_v2,
mobilenetv3 mobilenet_v3_small, regnet regnet_x_400mf, resnet resnet18, shufflenetv2 shufflenet_v2_x0_5,
squeezenet squeezenet1_1, vgg vgg11_bn 224, lraspp lraspp_mobilenet_v3_large, fcn fcn_resnet50,
deeplabv3 deeplabv3_resnet50
"""
_KERAS = """
mobilenet_v3 MobileNetV3Small, mobilenet MobileNet, mobilenet_v2 MobileNetV2, mobilenet_v3 MobileNetV3Large,
nasnet NASNetMobile, efficientnet EfficientNetB0, efficientnet_v2 EfficientNetV2B0, densenet DenseNet121,
efficientnet EfficientNetB1, efficientnet_v2 EfficientNetV2B1, efficientnet EfficientNetB2,
efficientnet_v2 EfficientNetV2B2, densenet DenseNet169, inception_v3 InceptionV3 80, xception Xception 80,
resnet ResNet50, resnet_v2 ResNet50V2, vgg16 VGG16, vgg19 VGG19, efficientnet EfficientNetB3,
efficientnet_v2 EfficientNetV2B3, densenet DenseNet201, resnet ResNet101, resnet_v2 ResNet101V2,
convnext ConvNeXtTiny, convnext ConvNeXtSmall, efficientnet EfficientNetB4, efficientnet_v2 EfficientNetV2S,
resnet ResNet152, resnet_v2 ResNet152V2, inception_resnet_v2 InceptionResNetV2 80,
efficientnet EfficientNetB5, efficientnet_v2 EfficientNetV2M, convnext ConvNeXtBase,
efficientnet EfficientNetB6, nasnet NASNetLarge,
efficientnet EfficientNetB7, efficientnet_v2 EfficientNetV2L, convnext ConvNeXtLarge, convnext ConvNeXtXLarge
"""
_TORCHVISION_OTHERS = "maxvit maxvit_t 224, swin_transformer swin_t 224, vision_transformer vit_b_16 224"


@dataclass(frozen=True)
class ListedNetwork:
    """A variant of a model file of ``library``, and the height and width it is given."""

    library: Library
    file: str
    variant: str
    image_size: int
    part: Part

    @property
    def name(self) -> str:
        """How the table and the command line call it."""
        return f"{self.library}/{self.variant}"

    def images(self, count: int) -> Tensor:
        """Pictures of 1/f noise, [count, 3, image_size, image_size]."""
        return noise_images(count, (3, self.image_size, self.image_size))

    def settled(self, x: Tensor, offsets: tuple[float, float] | None = None) -> "Settled":
        """The network with seeded random weights whose activations have the scales of a trained one.

        Args:
            x: images [N, 3, image_size, image_size].
            offsets: the least and the largest of the norms; left out, -0.3 and 0.3, in Keras 0.5 and 1.5.

        Raises:
            TaskError: timm or Keras is not installed, or answers differ from Keras's own.
        """
        torch.manual_seed(0)
        if self.library == "keras":
            return _keras(self.variant, x, offsets or _KERAS_OFFSETS)
        model = _BUILDERS[self.library](self.variant)
        for name, parameter in model.named_parameters():
            # A layer scale begins at nearly nothing, which would leave a block without a say.
            if name.endswith(("gamma", "layer_scale")) and parameter.abs().max() < _TINY_SCALE:
                nn.init.uniform_(parameter, 0.2, 1.0)
        for module in model.modules():
            if isinstance(module, StochasticDepth | nn.Dropout):
                module.p = 0.0  # settling runs in training mode
        settle(model, x[:_SETTLING_IMAGES], offsets or _OFFSETS)
        return Settled(model.eval())


@dataclass(frozen=True)
class Settled:
    """A network to measure, in evaluation mode.

    ``source_error`` is its largest difference to what the framework that it comes from answers, as a fraction
    of the answers' range; None where it comes from torch.
    """

    model: nn.Module
    source_error: float | None = None


def _keras(variant: str, x: Tensor, offsets: tuple[float, float]) -> Settled:
    """The network as a torch module, which must answer what Keras answers with the same random weights."""
    keras = keras_on_torch()
    keras.utils.set_random_seed(0)
    build = getattr(keras.applications, variant)
    shape = (*x.shape[2:], x.shape[1])
    model = build(weights=None, classes=CLASSES, classifier_activation=None, input_shape=shape)
    _settle_keras(model, x[:_SETTLING_IMAGES].movedim(1, -1), offsets)
    network = network_of(model, variant).eval()
    tested = x[_SETTLING_IMAGES : _SETTLING_IMAGES + 1]
    with torch.no_grad():
        found, expected = network(tested), model(tested.movedim(1, -1), training=False)
    apart = float((found - expected).abs().max() / (expected.max() - expected.min()))
    if apart > _KERAS_ERROR:
        raise TaskError(f"{variant} answers otherwise than Keras, by {apart:.1e} of the answers' range")
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        settle(network, x[:_SETTLING_IMAGES])
    return Settled(network.eval(), apart)


@torch.no_grad()
def _settle_keras(model: Any, x: Tensor, offsets: tuple[float, float]) -> None:
    """Norms' statistics from images [N, H, W, C], and offsets drawn between two bounds.

    Positive offsets leave most units in their linear part. Without them a random network of this depth is
    chaotic: rounding grows to a tenth of the answers, and no two computations of it can be compared.
    """
    generator = np.random.default_rng(0)
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "Rescaling":  # the table's images are normalized already
            layer.scale, layer.offset = 1.0, 0.0
        elif kind == "Dropout":
            layer.rate = 0.0  # settling runs in training mode
        elif kind == "LayerScale":  # begins at nearly nothing, which would leave a block without a say
            layer.gamma.assign(generator.uniform(0.2, 1.0, layer.gamma.shape))
        elif kind == "BatchNormalization":
            layer.momentum = 0.0
            layer.beta.assign(generator.uniform(*offsets, layer.beta.shape))
            if layer.scale:
                layer.gamma.assign(generator.uniform(0.7, 1.3, layer.gamma.shape))
    model(x, training=True)


def _timm(variant: str) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise TaskError(f"timm is not installed, which {variant} is of; pip install timm") from error
    model: nn.Module = timm.create_model(variant, num_classes=CLASSES)
    return model


def _torchvision(variant: str) -> nn.Module:
    segmenter: Callable[..., nn.Module] | None = getattr(segmentation, variant, None)
    if segmenter is not None:
        return segmenter(weights=None, weights_backbone=None, num_classes=CLASSES)
    build: Callable[..., nn.Module] = getattr(models, variant)
    two_heads = variant in ("googlenet", "inception_v3")
    arguments: dict[str, Any] = {"aux_logits": False, "init_weights": False} if two_heads else {}
    return build(weights=None, num_classes=CLASSES, **arguments)


_BUILDERS: dict[Library, Callable[[str], nn.Module]] = {
    "torchvision": _torchvision,
    "timm": _timm,
}


def _listed(library: Library, part: Part, text: str, size: int) -> list[ListedNetwork]:
    entries = [entry.split() for entry in text.split(",")]
    return [ListedNetwork(library, e[0], e[1], int(e[2]) if len(e) > 2 else size, part) for e in entries]


NETWORKS: dict[str, ListedNetwork] = {
    network.name: network
    for network in [
        *_listed("torchvision", "convolutional", _TORCHVISION_CONVOLUTIONAL, 128),
        *_listed("timm", "convolutional", _TIMM_CONVOLUTIONAL, 128),
        *_listed("torchvision", "hybrids and transformers", _TORCHVISION_OTHERS, 224),
        *_listed("timm", "hybrids and transformers", _TIMM_OTHERS, 224),
        *_listed("keras", "keras.applications", _KERAS, 64),
    ]
}
"""By name, in the order of the table."""
