"""Digests of a network and of its integers, independent of how numpy or dataclasses print themselves."""

import hashlib


def network_digest(graph):
    """Nodes and tensors."""
    digest = hashlib.sha256()
    for node in graph.nodes:
        # What came later than the golden files and has nothing to say there is left out.
        fields = sorted((k, v) for k, v in vars(node).items() if (k, v) != ("weights_of", ""))
        digest.update(f"{type(node).__name__} {fields}\n".encode())
    for name, tensor in graph.tensors.items():
        digest.update(f"{name} {tensor.shape}\n".encode() + tensor.astype("<f4").tobytes())
    return digest.hexdigest()


def int8_digest(spec):
    """Grids, int8 weights and int32 biases."""
    digest = hashlib.sha256()
    for name, grid in spec.activations.items():
        digest.update(f"{name} {grid.scale.hex()} {grid.zero_point}\n".encode())
    for name, layer in spec.weights.items():
        arrays = (layer.weight.astype("i1"), layer.scale.astype("<f4"), layer.bias.astype("<i4"))
        digest.update(name.encode() + b"".join(array.tobytes() for array in arrays))
    return digest.hexdigest()
