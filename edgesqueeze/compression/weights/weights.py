"""One representation for every weight technique: parametrizations chained on a layer's ``weight``.

``Mask`` (pruning) comes first, ``Codebook`` (weight sharing) or ``Grid`` (a uniform grid) behind it.
Fine-tuning needs to know about none of them; the state is in ``state_dict``; ``bake`` turns it into plain
weights.
"""

import json
from copy import deepcopy
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.utils import parametrize

from edgesqueeze.compression.weights.folding import apply_folding, folded_pairs, mark_folded
from edgesqueeze.compression.weights.parametrizations import Codebook, Grid, Mask
from edgesqueeze.errors import TaskError
from edgesqueeze.layers import weighted_layers


def weight_of(layer: nn.Module) -> Tensor:
    """A layer's weight as it computes with it now."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight


def attach(layer: nn.Module, parametrization: Mask | Codebook | Grid) -> None:
    """Chain a parametrization on a layer's weight."""
    parametrize.register_parametrization(layer, "weight", parametrization)


def parametrization_of(layer: nn.Module, kind: type[nn.Module]) -> nn.Module | None:
    """The mask, codebook or grid on a layer's weight, if it has one."""
    return next((p for p in _chain(layer) if isinstance(p, kind)), None)


def shared_layers(model: nn.Module) -> list[str]:
    """The names of the layers whose weights are few values: those of a codebook or a grid."""
    layers = weighted_layers(model).items()
    return [name for name, layer in layers if any(isinstance(p, Codebook | Grid) for p in _chain(layer))]


def _chain(layer: nn.Module) -> list[nn.Module]:
    """The parametrizations on a layer's weight, in order."""
    if not parametrize.is_parametrized(layer, "weight"):
        return []
    return list(layer.get_submodule("parametrizations.weight").children())


def bake(model: nn.Module) -> nn.Module:
    """A copy of a model whose weights are plain tensors with the values they have now."""
    baked = deepcopy(model)
    for layer in weighted_layers(baked).values():
        if parametrize.is_parametrized(layer, "weight"):
            _make_plain(layer)
    return baked.eval()


def _make_plain(layer: nn.Module) -> None:
    """Remove parametrizations as torch does, but leave the class alone, which a deep copy shares."""
    weight = weight_of(layer)
    del layer.parametrizations
    layer.__class__ = parametrize.type_before_parametrizations(layer)
    layer.register_parameter("weight", nn.Parameter(weight.detach().clone()))


def is_plain(model: nn.Module) -> bool:
    """Whether no technique has touched the model's weights."""
    return not any(parametrize.is_parametrized(layer) for layer in weighted_layers(model).values())


def serialize_model(model: nn.Module) -> bytes:
    """A model's whole state as safetensors; the header says which masks, codebooks and foldings it has."""
    chains = {
        name: [type(p).__name__ for p in _chain(layer)]
        for name, layer in weighted_layers(model).items()
        if _chain(layer)
    }
    description = {"parametrizations": chains, "folded": folded_pairs(model)}
    tensors = {key: value.detach().contiguous() for key, value in model.state_dict().items()}
    # A plain state carries no header of ours, so that its size is the size users know.
    plain = not chains and not description["folded"]
    return bytes(save(tensors, None if plain else {"edgesqueeze": json.dumps(description, sort_keys=True)}))


def load_model(model: nn.Module, path: Path) -> nn.Module:
    """Fill a freshly built model with a state written by :func:`serialize_model`.

    Raises:
        TaskError: the file is damaged or belongs to another model.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
        description = json.loads(metadata.get("edgesqueeze", '{"parametrizations": {}, "folded": []}'))
        pairs = [tuple(pair) for pair in description["folded"]]
        apply_folding(model, pairs)
        mark_folded(model, pairs)
        _attach_empty(model, description["parametrizations"], tensors)
        model.load_state_dict(tensors)
    except (OSError, SafetensorError, RuntimeError, KeyError, ValueError) as error:
        raise TaskError(f"{path} is damaged or holds another model: {str(error).splitlines()[0]}") from error
    return model


def _attach_empty(model: nn.Module, chains: dict[str, list[str]], tensors: dict[str, Tensor]) -> None:
    layers = weighted_layers(model)
    for name, kinds in chains.items():
        for index, kind in enumerate(kinds):
            prefix = f"{name}.parametrizations.weight.{index}"
            if kind == "Mask":
                attach(layers[name], Mask(tensors[f"{prefix}.mask"].clone()))
            elif kind == "Codebook":
                centroids, indices = tensors[f"{prefix}.centroids"], tensors[f"{prefix}.indices"]
                attach(layers[name], Codebook(centroids.clone(), indices.clone()))
            elif kind == "Grid":
                parts = (tensors[f"{prefix}.{part}"].clone() for part in ("step", "dead_zone", "kept"))
                attach(layers[name], Grid(*parts))
            else:
                raise ValueError(f"unknown parametrization {kind!r}")
