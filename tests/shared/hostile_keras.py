"""Keras files that are damaged, or made to break what reads them or to run something."""

import copy
import functools
import io
import json
import tempfile
import zipfile
from pathlib import Path

import h5py
import numpy as np

from edgesqueeze.importing.keras.load import keras_on_torch

CONFIG, WEIGHTS, METADATA = "config.json", "model.weights.h5", "metadata.json"
HUGE = 10**6


@functools.cache
def good():
    """The parts of a small .keras file, and the bytes of the same as .h5."""
    keras = keras_on_torch()
    layers = [
        keras.Input((8, 8, 3), name="start"),
        keras.layers.Conv2D(4, 3, name="conv"),
        keras.layers.ReLU(name="relu"),
        keras.layers.Dense(2, name="dense"),
    ]
    model = keras.Sequential(layers)
    x = keras.Input((8, 8, 3), name="start")
    y = keras.layers.Dense(2, name="dense")(keras.layers.Conv2D(4, 3, name="conv")(x))
    functional = keras.Model(x, y)
    with tempfile.TemporaryDirectory() as folder:
        made = []
        for network in (model, functional):
            network.save(Path(folder) / "m.keras")
            with zipfile.ZipFile(Path(folder) / "m.keras") as archive:
                made.append({name: archive.read(name) for name in archive.namelist()})
        model.save(Path(folder) / "m.h5")
        return *made, (Path(folder) / "m.h5").read_bytes()


def archive(parts, *, more=(), compression=zipfile.ZIP_STORED):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as made:
        for name, content in (*parts.items(), *more):
            made.writestr(name, content)
    return data.getvalue()


def changed(change, place=0):
    """The good file with its configuration changed in place."""
    parts = good()[place]
    config = json.loads(parts[CONFIG])
    change(config)
    return archive(parts | {CONFIG: json.dumps(config)})


def layer(settings, name="relu"):
    """The good file with other settings of a layer; Keras's own layers by their class."""

    def change(config):
        for found in config["config"]["layers"]:
            if found["config"].get("name") == name:
                found.update(copy.deepcopy(settings))

    return changed(change)


def own(kind, **config):
    return layer(
        {
            "module": "keras.layers",
            "class_name": kind,
            "registered_name": None,
            "config": {"name": "relu", **config},
        }
    )


def code(module, name, config=None):
    """A configuration that names something else than a layer."""
    return layer({"module": module, "class_name": name, "registered_name": name, "config": config or {}})


def with_weights(change):
    """The good file with its weights changed: ``change`` is given the open HDF5 file."""
    parts = good()[0]
    data = io.BytesIO(parts[WEIGHTS])
    with h5py.File(data, "r+") as file:
        change(file)
    return archive(parts | {WEIGHTS: data.getvalue()})


def kernel_of(file):
    """Where the convolution keeps its kernel."""
    found = []
    file.visititems(lambda name, item: found.append(name) if getattr(item, "ndim", 0) == 4 else None)
    return found[0]


def replaced(make):
    """The kernel replaced by what ``make(group, name, old)`` puts there."""

    def change(file):
        place = kernel_of(file)
        old = file[place][:]
        del file[place]
        group, _, name = place.rpartition("/")
        make(file[group], name, old)

    return with_weights(change)


def _virtual(group, name, old):
    layout = h5py.VirtualLayout(old.shape, old.dtype)
    layout[...] = h5py.VirtualSource("/etc/passwd", "x", old.shape)
    group.create_virtual_dataset(name, layout)


def _group(group, name, old):
    group.create_group(name)


def _external_data(group, name, old):
    group.create_dataset(name, old.shape, old.dtype, external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def _never_written(group, name, old):
    """10^13 bytes of a fill value, of which none is in the file."""
    group.create_dataset(name, (HUGE, HUGE, 3), "float32", chunks=(1000, 1000, 3))


def _packed(group, name, old):
    """A quarter of a gigabyte of zeros that gzip makes a quarter of a megabyte of."""
    group.create_dataset(name, (2**26,), "float32", chunks=(2**22,), compression="gzip", fillvalue=0)
    for start in range(0, 2**26, 2**22):
        group[name][start : start + 2**22] = np.zeros(2**22, np.float32)


def _loop(file):
    file["loop"] = file["/"]


def h5(change):
    """The good .h5 file, its HDF5 content changed."""
    data = io.BytesIO(good()[2])
    with h5py.File(data, "r+") as file:
        change(file)
    return data.getvalue()


def h5_config(change):
    def changed_config(file):
        config = json.loads(file.attrs["model_config"])
        change(config["config"]["layers"])
        del file.attrs["model_config"]  # a longer text does not fit into the place of the old one
        file.attrs["model_config"] = json.dumps(config)

    return h5(changed_config)


def _cycle(config):
    """The first layer reads the last."""
    layers = config["config"]["layers"]
    text = json.dumps(layers[1]["inbound_nodes"]).replace('"start"', '"dense"')
    layers[1]["inbound_nodes"] = json.loads(text)


LAMBDA = {"class_name": "__lambda__", "config": {"value": ["4wEAAA==", None, None]}}
KERAS = {
    "an empty file": lambda: b"",
    "a text": lambda: b"not a model",
    "half of a file": lambda: archive(good()[0])[:900],
    "a file without its last bytes": lambda: archive(good()[0])[:-10],
    "an HDF5 file called .keras": lambda: good()[2],
    "no configuration": lambda: archive({WEIGHTS: good()[0][WEIGHTS]}),
    "no weights": lambda: archive({CONFIG: good()[0][CONFIG]}),
    "a configuration that is no JSON": lambda: archive(good()[0] | {CONFIG: b"\xff{"}),
    "a configuration that is a list": lambda: archive(good()[0] | {CONFIG: b"[]"}),
    "lists 10^5 deep": lambda: archive(good()[0] | {CONFIG: b"[" * 10**5 + b"]" * 10**5}),
    "mappings 10^4 deep": lambda: archive(good()[0] | {CONFIG: b'{"a":' * 10**4 + b"1" + b"}" * 10**4}),
    "a bomb as configuration": lambda: archive(
        good()[0] | {CONFIG: b" " * 2**28}, compression=zipfile.ZIP_DEFLATED
    ),
    "a bomb as weights": lambda: archive(
        good()[0] | {WEIGHTS: bytes(2**27)}, compression=zipfile.ZIP_DEFLATED
    ),
    "a part above the folder": lambda: archive(good()[0], more=[("../../evil.txt", "x")]),
    "a part at the root": lambda: archive(good()[0], more=[("/tmp/evil.txt", "x")]),
    "a part on a drive": lambda: archive(good()[0], more=[("C:\\evil.txt", "x")]),
    "Lambda": lambda: own("Lambda", function=LAMBDA),
    "Lambda in a TimeDistributed": lambda: own(
        "TimeDistributed",
        layer={"module": "keras.layers", "class_name": "Lambda", "config": {"function": LAMBDA}},
    ),
    "Lambda in a nested model": lambda: layer(
        {
            "module": "keras",
            "class_name": "Sequential",
            "config": {
                "name": "relu",
                "layers": [
                    {"module": "keras.layers", "class_name": "Lambda", "config": {"function": LAMBDA}}
                ],
            },
        }
    ),
    "a lambda as activation": lambda: own("Activation", activation=LAMBDA),
    "a lambda as initializer": lambda: own("Dense", units=4, kernel_initializer=LAMBDA),
    "os.system": lambda: code("os", "system", {"command": "touch evil.txt"}),
    "builtins.eval": lambda: code("builtins", "eval", {"source": "open('evil.txt', 'w')"}),
    "subprocess.Popen": lambda: code("subprocess", "Popen", {"args": ["touch", "evil.txt"]}),
    "keras.config.enable_unsafe_deserialization": lambda: code(
        "keras.config", "enable_unsafe_deserialization"
    ),
    "keras.utils.get_file": lambda: code(
        "keras.utils", "get_file", {"fname": "evil.txt", "origin": "file:///etc/passwd"}
    ),
    "keras.models.load_model": lambda: code("keras.models", "load_model", {"filepath": "other.keras"}),
    "a class of somebody": lambda: code("somebody.layers", "Theirs"),
    "a layer that is not registered": lambda: layer(
        {"module": None, "class_name": "Theirs", "registered_name": "a>Theirs"}
    ),
    "a module that is a number": lambda: layer({"module": 7, "class_name": None}),
    "a vocabulary in /etc/passwd": lambda: own("StringLookup", vocabulary="/etc/passwd"),
    "an upsampling to 2^30": lambda: own("UpSampling2D", size=[2**12, 2**12]),
    "an upsampling to 10^12": lambda: own("UpSampling2D", size=[HUGE, HUGE]),
    "a padding to 10^12": lambda: own("ZeroPadding2D", padding=[[HUGE, HUGE], [HUGE, HUGE]]),
    "a vector repeated 10^12 times": lambda: own("RepeatVector", n=10**12),
    "10^12 units": lambda: own("Dense", units=10**12),
    "10^9 units": lambda: own("Dense", units=10**9),
    "minus four units": lambda: own("Dense", units=-4),
    "a stride of zero": lambda: own("Conv2D", filters=4, kernel_size=[3, 3], strides=[0, 0]),
    "an unknown setting": lambda: own("Dense", units=4, evil=1),
    "an unknown policy": lambda: own("Dense", units=4, dtype="float7"),
    "quantized to int8": lambda: own(
        "Dense",
        units=4,
        dtype={
            "module": "keras",
            "class_name": "QuantizedDTypePolicy",
            "config": {"mode": "int8", "source_name": "float32"},
        },
    ),
    "a layer read before it is made": lambda: changed(_cycle, 1),
    "two layers of one name": lambda: layer({"config": {"name": "conv"}}),
    "names that a terminal obeys": lambda: code("\x1b[31m\x1b]0;t\x07", "\x1b[2J\u202e"),
    "weights that are NaN": lambda: replaced(lambda g, n, old: g.create_dataset(n, data=old * np.nan)),
    "weights of another shape": lambda: replaced(lambda g, n, old: g.create_dataset(n, data=old[..., :2])),
    "weights that are texts": lambda: replaced(lambda g, n, old: g.create_dataset(n, data=["a"] * 4)),
    "weights that are not there": lambda: replaced(lambda g, n, old: None),
    "weights in a group": lambda: replaced(_group),
    "weights linked to another file": lambda: replaced(
        lambda g, n, old: g.__setitem__(n, h5py.ExternalLink("/etc/passwd", "/"))
    ),
    "weights linked to another place": lambda: replaced(
        lambda g, n, old: g.__setitem__(n, h5py.SoftLink("/"))
    ),
    "weights in another file": lambda: replaced(_external_data),
    "weights put together of other files": lambda: replaced(_virtual),
    "weights of 10^13 bytes": lambda: replaced(_never_written),
    "weights that gzip packed": lambda: replaced(_packed),
    "groups that hold themselves": lambda: with_weights(_loop),
    "half of the weights": lambda: archive(good()[0] | {WEIGHTS: good()[0][WEIGHTS][:3000]}),
}
H5 = {
    "an empty .h5": lambda: b"",
    "a .keras file called .h5": lambda: archive(good()[0]),
    "half of an .h5": lambda: good()[2][: len(good()[2]) // 2],
    "an .h5 without configuration": lambda: h5(lambda file: file.attrs.__delitem__("model_config")),
    "an .h5 with a text as configuration": lambda: h5(
        lambda file: file.attrs.__setitem__("model_config", "{")
    ),
    "an .h5 without weights": lambda: h5(lambda file: file.__delitem__("model_weights")),
    "an .h5 linked to another file": lambda: h5(
        lambda file: file.__setitem__("more", h5py.ExternalLink("/etc/passwd", "/"))
    ),
    "a Lambda in an .h5": lambda: h5_config(
        lambda layers: layers.append(
            {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "l", "function": LAMBDA}}
        )
    ),
    "an old Lambda in an .h5": lambda: h5_config(
        lambda layers: layers.append(
            {
                "class_name": "Lambda",
                "config": {
                    "name": "l",
                    "function": ["4wEAAA==", None, None],
                    "function_type": "lambda",
                    "module": "__main__",
                },
            }
        )
    ),
    "os.system in an .h5": lambda: h5_config(
        lambda layers: layers.append(
            {"module": "os", "class_name": "system", "config": {"command": "touch evil.txt"}}
        )
    ),
}
FOLDERS = {"a folder called .keras": "net.keras", "a folder called .h5": "net.h5"}


def write(name, folder):
    """Write a file of this name into an empty folder; the name of the file."""
    if name in FOLDERS:
        (folder / FOLDERS[name]).mkdir()
        return FOLDERS[name]
    file, make = ("net.keras", KERAS[name]) if name in KERAS else ("net.h5", H5[name])
    (folder / file).write_bytes(make())
    return file


NAMES = (*KERAS, *H5, *FOLDERS)
