"""Keras models as torch modules: the same answers, torch's own layers under Keras's names, and a graph."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from edgesqueeze.errors import TaskError
from edgesqueeze.importing.keras.load import keras_on_torch
from edgesqueeze.importing.keras.network import KerasNetwork
from edgesqueeze.network.reading.torch.build import build_graph

MAP, SIGNAL = (16, 12, 4), (20, 3)


@pytest.fixture(scope="module")
def keras():
    return keras_on_torch()


def random(model):
    """Weights of ordinary size everywhere, statistics of norms included."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.dtype.startswith("float"):
            value = rng.normal(size=weight.shape) * 0.3
            weight.assign((np.abs(value) + 0.5 if "variance" in weight.path else value).astype("float32"))
    return model


def chain(keras, shape, *parts):
    return random(keras.Sequential([keras.Input(shape), *parts]))


def convolutions(keras):
    layers = keras.layers
    return chain(
        keras,
        MAP,
        layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2D(4, 4, padding="same", dilation_rate=2),
        layers.Conv2D(6, 3, groups=2, padding="same", use_bias=False),
        layers.BatchNormalization(scale=False),
        layers.ReLU(6.0),
        layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", strides=2),
        layers.SeparableConv2D(8, 3, padding="same", depth_multiplier=2, activation="swish"),
        layers.Conv2DTranspose(5, 3, strides=2, padding="same"),
        layers.Conv2DTranspose(5, 4, strides=2, padding="same"),
        layers.Conv2DTranspose(5, 2, strides=3, padding="same"),
        layers.Conv2DTranspose(4, 3, strides=2),
        layers.Dense(5, activation="tanh"),
    )


def signals(keras):
    layers = keras.layers
    return chain(
        keras,
        SIGNAL,
        layers.Conv1D(4, 3, padding="causal", dilation_rate=2),
        layers.SeparableConv1D(8, 3, padding="same"),
        layers.DepthwiseConv1D(3, padding="same"),
        layers.Conv1DTranspose(5, 3, strides=2, padding="same"),
        layers.BatchNormalization(),
    )


def norms(keras):
    layers = keras.layers
    return chain(
        keras,
        (8, 8, 8),
        layers.Rescaling(1 / 2, -0.5),
        layers.Normalization(mean=np.arange(8) / 8, variance=np.arange(8) + 1.0),
        layers.LayerNormalization(),
        layers.GroupNormalization(4),
        layers.UnitNormalization(),
        layers.PReLU(shared_axes=[1, 2]),
        layers.PReLU(),
        layers.LeakyReLU(0.2),
        layers.ReLU(max_value=6.0, negative_slope=0.1, threshold=0.2),
    )


def scaled(keras):
    from keras.src.applications.convnext import LayerScale  # which Keras has for its ConvNeXt alone

    return chain(keras, MAP, keras.layers.Conv2D(6, 1), LayerScale(0.5, 6), keras.layers.Conv2D(3, 1))


def windows(keras):
    layers = keras.layers
    return chain(
        keras,
        (15, 13, 3),
        layers.MaxPooling2D(3, 2, padding="same"),
        layers.UpSampling2D(2),
        layers.AveragePooling2D(3, 2, padding="same"),
        layers.UpSampling2D(2, interpolation="bilinear"),
        layers.ZeroPadding2D(((1, 2), (0, 3))),
        layers.Cropping2D(((2, 0), (1, 1))),
        layers.Resizing(12, 12),
        layers.CenterCrop(8, 8),
        layers.Permute((2, 1, 3)),
        layers.Dropout(0.3),
        layers.SpatialDropout2D(0.3),
        layers.GaussianNoise(0.1),
        layers.GlobalMaxPooling2D(),
        layers.RepeatVector(4),
        layers.Reshape((2, 6)),
        layers.Flatten(),
        layers.Dense(3, activation="softmax"),
    )


def merges(keras):
    layers, one, other = keras.layers, keras.Input(MAP, name="one"), keras.Input(MAP, name="other")
    shared = layers.Conv2D(4, 1, name="shared")
    a, b = shared(one), shared(other)
    parts = [
        kind()([a, b])
        for kind in (
            layers.Add,
            layers.Subtract,
            layers.Multiply,
            layers.Average,
            layers.Maximum,
            layers.Minimum,
        )
    ]
    joined = layers.Concatenate()(parts) * 2 + 1
    return random(
        keras.Model([one, other], [keras.ops.relu(joined - 0.5), layers.GlobalAveragePooling2D()(a)])
    )


def nested(keras):
    layers, x = keras.layers, keras.Input(MAP)
    block = keras.Sequential(
        [
            keras.Input(MAP),
            layers.Conv2D(4, 3, padding="same", name="conv"),
            layers.BatchNormalization(name="norm"),
        ],
        name="block",
    )
    y = layers.GlobalAveragePooling2D()(block(block(x)))
    return random(keras.Model(x, layers.Dense(3, name="head")(y)))


def activations(keras):
    layers, x = keras.layers, keras.Input(MAP)
    names = "elu selu softplus softsign sigmoid hard_sigmoid hard_silu gelu mish exponential silu log_sigmoid"
    return random(
        keras.Model(
            x, layers.Concatenate()([layers.Conv2D(2, 1, activation=name)(x) for name in names.split()])
        )
    )


def subclassed(keras):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv = keras.layers.Conv2D(4, 3, name="conv")
            self.norm = keras.layers.BatchNormalization(name="norm")
            self.head = keras.layers.Dense(3, name="head")

        def call(self, x, training=False):
            x = keras.ops.relu(self.norm(self.conv(x), training=training))
            return self.head(keras.ops.mean(x, axis=(1, 2)))

    model = Own()
    model(np.zeros((1, *MAP), "float32"))
    return random(model)


def inputs_of(model):
    shapes = [MAP] if not getattr(model, "inputs", None) else [tuple(t.shape[1:]) for t in model.inputs]
    rng = np.random.default_rng(1)
    return [rng.normal(size=(2, *shape)).astype("float32") for shape in shapes]


def in_torch_order(array):
    return torch.from_numpy(array).movedim(-1, 1).contiguous()


@pytest.mark.parametrize(
    "make",
    [convolutions, signals, norms, scaled, windows, merges, nested, activations, subclassed],
    ids=lambda make: make.__name__,
)
@torch.no_grad()
def test_a_network_answers_what_keras_answers_and_has_a_graph(make, keras):
    model = make(keras)
    given = inputs_of(model)
    expected = model(given if len(given) > 1 else given[0], training=False)
    network = KerasNetwork(model).eval()
    images = tuple(map(in_torch_order, given))
    found = network(*images)
    parts = zip(found, expected, strict=True) if isinstance(expected, list) else [(found, expected)]
    for ours, theirs in parts:
        ours = ours.movedim(1, -1) if ours.ndim > 3 else ours
        assert float((ours - theirs).abs().max()) <= 1e-5 * float(theirs.abs().max())
    first = tuple(image[:1] for image in images)
    build_graph(network, first if len(first) > 1 else first[0])  # compares its own answers


def test_layers_are_torchs_under_keras_own_names(keras):
    network = KerasNetwork(nested(keras))
    kinds = {name: type(m) for name, m in network.named_modules() if any(True for _ in m.parameters(False))}
    assert kinds == {"block.conv": nn.Conv2d, "block.norm": nn.BatchNorm2d, "head": nn.Linear}


@torch.no_grad()
def test_a_copy_has_weights_of_its_own(keras):
    network = KerasNetwork(nested(keras)).eval()
    other, x = copy.deepcopy(network), torch.randn(1, 4, 16, 12)
    other.head.bias.add_(1)
    assert torch.allclose(other(x), network(x) + 1, atol=1e-6)


def test_a_frozen_norm_keeps_its_statistics(keras):
    model = nested(keras)
    model.get_layer("block").get_layer("norm").trainable = False
    network = KerasNetwork(model)
    before = network.block.norm.running_mean.clone()
    network.train()(torch.randn(4, 4, 16, 12))
    assert torch.equal(network.block.norm.running_mean, before)
    assert not network.block.norm.weight.requires_grad


def test_training_draws_from_torch_and_moves_every_weight(keras):
    layers = keras.layers
    network = KerasNetwork(chain(keras, MAP, layers.Dropout(0.5), layers.Flatten(), layers.Dense(3))).train()
    x = torch.randn(4, 4, 16, 12)
    torch.manual_seed(1)
    first = network(x)
    torch.manual_seed(1)
    assert torch.equal(network(x), first)
    assert not torch.equal(network(x), first)
    first.sum().backward()
    assert all(float(parameter.grad.abs().sum()) > 0 for parameter in network.parameters())


def test_a_network_of_caffes_order_is_given_its_channels_turned_around(keras):
    network = KerasNetwork(nested(keras)).eval()
    x = torch.randn(1, 4, 16, 12)
    turned = network(x.flip(1))
    network.takes_bgr = True
    assert torch.equal(network(x), turned)


def test_layers_without_a_torch_counterpart_are_refused_by_name(keras):
    layers = keras.layers
    model = keras.Sequential([keras.Input((5, 4)), layers.LSTM(3, name="memory"), layers.Dense(2)])
    with pytest.raises(TaskError, match="'memory.lstm_cell' is a LSTMCell"):
        KerasNetwork(model)


def test_answers_are_compared_with_keras_own(keras):
    layers = [keras.layers.Conv2D(3, 3, name="conv"), keras.layers.Dense(2, name="head")]
    model = keras.Sequential([keras.Input((8, 8, 2)), *layers])
    network = KerasNetwork(random(model))
    example = torch.zeros(1, 2, 8, 8)
    network.check_agreement(example)
    with torch.no_grad():
        network.head.weight[0, 0] += 1
    with pytest.raises(TaskError, match=r"otherwise than Keras, by [\d.]+ of the largest value"):
        network.check_agreement(example)
