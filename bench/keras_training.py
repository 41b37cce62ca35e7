"""Three networks trained by Keras itself, on any backend of it: what `bench.keras_converters` starts from.

    KERAS_BACKEND=tensorflow python -m bench.keras_training --output FOLDER [--networks …] [--epochs 8]

A squeeze autoencoder (28 × 28, Fire modules), a small SqueezeNet and MobileNet v2 (96 × 96, three equal
channels) on Fashion-MNIST, by ``Model.fit``. Each is saved as FOLDER/NAME.keras; FOLDER/NAME.json has what
Keras's own ``evaluate`` says of it on the test images.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torchvision  # noqa: F401  (TensorFlow brings the process down that imports it before torch)

# isort: split
import keras
import numpy as np
from keras import layers

from edgesqueeze.data.named import load_named
from edgesqueeze.data.preparation import Sizing
from edgesqueeze.data.splits import DataSplit
from edgesqueeze.data.task_data import fewer, renormalized, resized
from edgesqueeze.normalization import Normalization
from edgesqueeze.task.preprocess import PREPROCESSING

UNIT = Normalization((0.0,), (1.0,))
_BATCH = 128
_SETTLING = 60
"""Batches that the norms' statistics are taken of once more."""


@dataclass(frozen=True)
class Trained:
    """A network, what its inputs are, and the learning rate it begins with."""

    build: Callable[[], Any]
    sizing: Sizing
    rate: float
    preprocess: str | None
    """What a recipe says of it; None for images in [0, 1] that the network is to give back."""


def squeeze_autoencoder() -> Any:
    """Encoder and decoder of Fire modules, [28, 28, 1] in [0, 1] and back."""
    x = inputs = keras.Input((28, 28, 1))
    for index, (squeeze, expand) in enumerate([(8, 16), (12, 24)]):
        x = _fire(x, f"down{index}", squeeze, expand, layers.Conv2D, 2)
    x = layers.Conv2D(8, 1, activation="relu", name="code")(x)
    for index, (squeeze, expand) in enumerate([(12, 24), (8, 16)]):
        x = _fire(x, f"up{index}", squeeze, expand, layers.Conv2DTranspose, 2)
    x = layers.Conv2D(1, 3, padding="same", activation="sigmoid", name="image")(x)
    return keras.Model(inputs, x, name="squeeze_autoencoder")


def squeezenet() -> Any:
    """SqueezeNet 1.1's first six Fire modules with batch norm; pixels are scaled inside."""
    x = inputs = keras.Input((96, 96, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    x = layers.Conv2D(64, 3, strides=2, use_bias=False, name="stem")(x)
    x = layers.Activation("relu")(layers.BatchNormalization(name="stem_norm")(x))
    for block, modules in enumerate([[(16, 64), (16, 64)], [(32, 128), (32, 128)], [(48, 192), (48, 192)]]):
        x = layers.MaxPooling2D(3, strides=2)(x)
        for index, (squeeze, expand) in enumerate(modules):
            x = _fire(x, f"fire{block}_{index}", squeeze, expand, layers.Conv2D, 1)
    x = layers.Dropout(0.3)(x)
    x = layers.Conv2D(10, 1, name="classes")(x)
    x = layers.Softmax()(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, x, name="squeezenet")


def mobilenet_v2() -> Any:
    """keras.applications' own; pixels come in as its ``preprocess_input`` makes them."""
    return keras.applications.MobileNetV2((96, 96, 3), weights=None, classes=10)


def _fire(x: Any, name: str, squeeze: int, expand: int, kind: Any, stride: int) -> Any:
    """A Fire module (Iandola et al. 2016, arXiv 1602.07360); its expansions may have a stride."""
    x = layers.Conv2D(squeeze, 1, activation="relu", name=f"{name}_squeeze")(x)
    small, large = (1, 3) if stride == 1 else (2, 4)
    parts = []
    for kernel in (small, large):
        label = f"{name}_expand{kernel}"
        part = kind(expand, kernel, strides=stride, padding="same", use_bias=False, name=label)(x)
        parts.append(layers.ReLU()(layers.BatchNormalization(name=f"{label}_norm")(part)))
    return layers.Concatenate(name=f"{name}_out")(parts)


_LARGE = Sizing((96, 96), 3)
NETWORKS = {
    "squeeze_autoencoder": Trained(squeeze_autoencoder, Sizing(), 0.003, None),
    "squeezenet": Trained(squeezenet, _LARGE, 0.002, "0..255"),
    "mobilenet_v2": Trained(mobilenet_v2, _LARGE, 0.002, "keras.applications.mobilenet_v2"),
}


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--train-images", type=int, default=20_000)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in arguments.networks:
        facts = train(name, arguments)
        (arguments.output / f"{name}.json").write_text(json.dumps(facts, indent=1) + "\n")


def train(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one by ``fit``, Adam with a cosine, and save it; what ``evaluate`` says."""
    wanted = NETWORKS[name]
    keras.utils.set_random_seed(0)
    model = wanted.build()
    data = resized(load_named("fashion_mnist"), wanted.sizing)
    channels = data.image_shape[0]
    rule = UNIT if wanted.preprocess is None else PREPROCESSING[wanted.preprocess].normalization(channels)
    data = fewer(renormalized(data, rule), arguments.train_images)
    x, y = arrays(data.train)
    steps = arguments.epochs * -(-len(x) // _BATCH)
    rate = keras.optimizers.schedules.CosineDecay(wanted.rate, steps, alpha=0.01)
    images = wanted.preprocess is None
    loss = "mse" if images else "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(rate), loss, metrics=[] if images else ["accuracy"])
    model.fit(x, x if images else y, batch_size=_BATCH, epochs=arguments.epochs, verbose=2)
    path = arguments.output / f"{name}.keras"
    keras.Model(model.inputs, model.outputs, name=model.name).save(path)  # without the optimizer's state
    model = keras.models.load_model(path, compile=False)  # what fit has traced keeps the norms' momentum
    settle(model, x[: _SETTLING * _BATCH])
    model.save(path)
    del x
    x, y = arrays(data.test)
    model.compile(loss=loss, metrics=[] if images else ["accuracy"])
    found = model.evaluate(x, x if images else y, batch_size=500, verbose=0, return_dict=True)
    facts = {"epochs": arguments.epochs, "train_images": arguments.train_images, "keras": keras.__version__}
    return {"network": name, "parameters": model.count_params(), **found, **facts}


def settle(model: Any, x: Any) -> None:
    """Take the norms' running means and variances again: those of keras.applications move by 0.1 % a step."""
    norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.9
    for start in range(0, len(x), _BATCH):
        model(x[start : start + _BATCH], training=True)
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum


def arrays(split: DataSplit) -> tuple[Any, Any]:
    """All inputs float32 [n, H, W, C], and labels int64 [n]."""
    batches = [(x.permute(0, 2, 3, 1).numpy(), y.numpy()) for x, y in split.batches(1000)]
    return np.concatenate([x for x, _ in batches]), np.concatenate([y for _, y in batches])


if __name__ == "__main__":
    main()
