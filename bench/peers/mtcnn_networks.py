"""The three networks of the package ``mtcnn`` with their weights, as .keras files.

Runs where TensorFlow, Keras 3 and mtcnn are installed:

    KERAS_BACKEND=tensorflow python mtcnn_networks.py DIRECTORY

The package has them as subclassed models of open size; here they are functional, of a fixed size.
"""

import sys
from pathlib import Path

import keras
from mtcnn.network.onet import ONet
from mtcnn.network.pnet import PNet
from mtcnn.network.rnet import RNet
from mtcnn.utils.tensorflow import load_weights

_NETWORKS = {"pnet": (PNet, 96), "rnet": (RNet, 24), "onet": (ONet, 48)}


def main() -> None:
    """Build, load the package's weights, save."""
    directory = Path(sys.argv[1])
    for name, (kind, size) in _NETWORKS.items():
        model = kind()
        model.build((None, size, size, 3))
        model.set_weights(load_weights(f"{name}.lz4"))
        x = keras.Input((size, size, 3))
        keras.Model(x, model.call(x)).save(directory / f"{name}.keras")


if __name__ == "__main__":
    main()
