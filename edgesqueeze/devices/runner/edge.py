"""Run, test and time the models of this folder. It needs Python 3.9, numpy and one runtime.

    python run.py IMAGE          what the model says of an image (Pillow reads it), or of an array .npy
    python selftest.py           every file is as it was made, and every model answers as it did there
    python benchmark.py          how long one inference takes, and in what state the machine was

manifest.json says what is here. Nothing is used before its SHA-256 has been compared with the manifest's.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import numpy as np

HERE = Path(__file__).resolve().parent
FORMAT = 1


class BundleError(Exception):
    """One sentence for the user."""


def main(command: Callable[[List[str]], int]) -> None:
    """Run a command on the arguments of this process; an error is one sentence, exit code 2."""
    try:
        code = command(sys.argv[1:])
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    sys.exit(code)


def read_manifest(folder: Path = HERE, key: Optional[str] = None) -> Dict[str, Any]:
    """The manifest, every file that it names compared with its SHA-256.

    With ``key``, a public Ed25519 key of 64 hexadecimal digits, its signature is checked before all else.
    """
    try:
        content = (folder / "manifest.json").read_bytes()
        if key is not None:
            _check_signature(content, folder, key)
        manifest: Dict[str, Any] = json.loads(content)
    except (OSError, ValueError) as error:
        raise BundleError(f"manifest.json cannot be read: {error}") from None
    if manifest.get("format") != FORMAT:
        raise BundleError(f"the manifest has format {manifest.get('format')!r}; this program reads {FORMAT}")
    _decode(manifest, folder)
    for name, facts in {**manifest["files"], **manifest.get("decoded", {})}.items():
        path = folder / name
        if not path.is_file():
            raise BundleError(f"{name} is missing")
        if hashlib.sha256(path.read_bytes()).hexdigest() != facts["sha256"]:
            raise BundleError(
                f"{name} is not the file that was bundled: its SHA-256 differs from the manifest's"
            )
    return manifest


def _check_signature(content: bytes, folder: Path, key: str) -> None:
    from signature import is_signed

    path = folder / "manifest.sig"
    if not path.is_file():
        raise BundleError("the bundle is not signed: it has no manifest.sig")
    try:
        public, signature = bytes.fromhex(key), bytes.fromhex(path.read_text(errors="replace").strip())
    except ValueError:
        raise BundleError("a key has 64 hexadecimal digits, a signature 128") from None
    if not is_signed(public, content, signature):
        raise BundleError("the manifest is not signed by the owner of this key")


def _decode(manifest: Dict[str, Any], folder: Path) -> None:
    """Make the models that travel as a .sqz file, once."""
    wanted = manifest.get("decoded", {})
    if all((folder / name).is_file() for name in wanted):
        return
    source, decoder = manifest["squeezed"], manifest["decoder"]
    for name in (source, decoder):  # nothing runs that has not been compared
        content = (folder / name).read_bytes() if (folder / name).is_file() else b""
        if hashlib.sha256(content).hexdigest() != manifest["files"][name]["sha256"]:
            raise BundleError(f"{name} is missing or not the file that was bundled")
    found = subprocess.run([sys.executable, decoder, source, "."], cwd=folder, capture_output=True, text=True)
    if found.returncode:
        raise BundleError(f"{source} cannot be decoded: {(found.stderr or found.stdout).strip()}")


class Model:
    """One model file in its runtime; inputs and outputs are as the file has them."""

    def __init__(self, facts: Dict[str, Any], folder: Path = HERE, threads: int = 1) -> None:
        self.facts = facts
        path = folder / facts["file"]
        if facts["runtime"] == "litert":
            self._interpreter = _litert()(model_path=str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
            self.version = _version("ai-edge-litert", "tflite-runtime")
        else:
            self._interpreter = None
            self._session = _onnx_session(path, threads)
            self.version = _version("onnxruntime")

    def prepare(self, x: Any) -> Any:
        """A call that runs one inference on an input of the file, [1, ...], and converts nothing."""
        if self._interpreter is None:
            feed = {self._session.get_inputs()[0].name: x}
            return lambda: self._session.run(None, feed)
        self._interpreter.set_tensor(self._interpreter.get_input_details()[0]["index"], x)
        return self._interpreter.invoke

    def run(self, x: Any) -> List[Any]:
        """Every output of the file, in its order."""
        found = self.prepare(x)()
        if self._interpreter is None:
            return [np.asarray(part) for part in found]
        return [self._interpreter.get_tensor(d["index"]) for d in self._interpreter.get_output_details()]

    def as_input(self, x: Any) -> Any:
        """What the file is given for normalized numbers [1, C, H, W]: its layout, its type, its grid."""
        wanted = self.facts["input"]
        x = np.asarray(x, np.float32)
        if wanted["pixels"] is not None:
            mean, std = (np.reshape(wanted["pixels"][name], (1, -1, 1, 1)) for name in ("mean", "std"))
            x = np.clip(np.rint((x.astype(np.float64) * std + mean) * 255), 0, 255).astype(np.uint8)
        if wanted["layout"] == "NHWC":
            x = x.transpose(0, 2, 3, 1)
        if x.dtype == wanted["dtype"]:
            return np.ascontiguousarray(x)
        # the arithmetic of a quantize operator: float32 division, ties to even
        q = np.rint(x / np.float32(wanted["scale"])) + wanted["zero_point"]
        info = np.iinfo(wanted["dtype"])
        return np.ascontiguousarray(np.clip(q, info.min, info.max).astype(wanted["dtype"]))

    def answers(self, outputs: List[Any]) -> Dict[str, Any]:
        """Outputs as numbers by their names; maps are [1, C, H, W]."""
        found = {}
        for facts, value in zip(self.facts["outputs"], outputs):
            if facts["scale"] is not None:
                value = (value.astype(np.float32) - facts["zero_point"]) * np.float32(facts["scale"])
            is_map = facts["layout"] == "NHWC"
            found[facts["name"]] = value.transpose(0, 3, 1, 2) if is_map else value
        return found


def _litert() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        try:
            from tflite_runtime.interpreter import Interpreter
        except ImportError:
            raise BundleError("no runtime for .tflite files: pip install ai-edge-litert") from None
    return Interpreter


def _onnx_session(path: Path, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise BundleError("no runtime for .onnx files: pip install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _version(*packages: str) -> str:
    from importlib import metadata

    for package in packages:
        try:
            return f"{package} {metadata.version(package)}"
        except metadata.PackageNotFoundError:
            continue
    return packages[0]


def chosen_models(manifest: Dict[str, Any], only: Optional[str] = None) -> List[Dict[str, Any]]:
    """The models of a bundle whose runtime is here; ``only`` names one file."""
    models = [facts for facts in manifest["models"] if only in (None, facts["file"])]
    if not models:
        names = ", ".join(facts["file"] for facts in manifest["models"])
        raise BundleError(f"there is no model {only}; there are {names}")
    here = [facts for facts in models if _is_here(facts["runtime"])]
    if not here:
        raise BundleError("no runtime is installed: pip install -r requirements.txt")
    return here


def _is_here(runtime: str) -> bool:
    from importlib.util import find_spec

    packages = ("ai_edge_litert", "tflite_runtime") if runtime == "litert" else ("onnxruntime",)
    return any(find_spec(package) is not None for package in packages)


# -- commands -------------------------------------------------------------------------------------------


def add_key(parser: argparse.ArgumentParser) -> None:
    """The option that every command has."""
    parser.add_argument(
        "--key", metavar="HEX", help="use the bundle only if this public key's owner signed it"
    )


def run(arguments: List[str]) -> int:
    """Say what the model says of images."""
    from images import describe, read_image

    parser = argparse.ArgumentParser(prog="run.py", description="What the model says of an image.")
    parser.add_argument("image", type=Path, nargs="+", help="an image file, or an .npy array")
    parser.add_argument("--model", help="a model file of the bundle; by default the first")
    parser.add_argument("--threads", type=int, default=1)
    add_key(parser)
    parser.add_argument("--save", type=Path, help="write the outputs of the last image to this .npz file")
    given = parser.parse_args(arguments)
    manifest = read_manifest(key=given.key)
    facts = chosen_models(manifest, given.model)[0]
    model = Model(facts, threads=given.threads)
    for path in given.image:
        answers = model.answers(model.run(model.as_input(read_image(path, manifest))))
        print(f"{path}  ({facts['file']}, {model.version})")
        for line in describe(answers, manifest):
            print(f"  {line}")
        if given.save is not None:
            np.savez(given.save, **answers)
    return 0


def selftest(arguments: List[str]) -> int:
    """Compare every model's answers with those it gave where the bundle was made."""
    parser = argparse.ArgumentParser(prog="selftest.py", description="Does everything answer as it did?")
    parser.add_argument("--model", help="one model file of the bundle; by default all that can run here")
    add_key(parser)
    given = parser.parse_args(arguments)
    manifest = read_manifest(key=given.key)
    print(f"{len(manifest['files'])} files are as they were bundled")
    differing = 0
    for facts in chosen_models(manifest, given.model):
        model = Model(facts)
        inputs, wanted = (np.load(HERE / name, allow_pickle=False) for name in facts["golden"])
        inputs, wanted = dict(inputs)["input"], list(dict(wanted).values())
        difference = first_difference(model, inputs, wanted)
        differing += difference is not None
        how = _BOUNDS[facts["bound"]]
        print(f"{facts['file']} ({model.version}): {difference or f'{len(inputs)} inputs, outputs {how}'}")
    print("selftest passed" if not differing else "selftest FAILED")
    return 1 if differing else 0


_BOUNDS = {
    "exact": "equal",
    "step": "within one step of their grids",
    "float": "within 1e-5 of the largest",
    "loose": "within 1e-2 of the largest",
}


def first_difference(model: Model, inputs: Any, wanted: List[Any]) -> Optional[str]:
    """Where a model first answers otherwise than its bound allows."""
    for number, x in enumerate(inputs):
        for facts, right, found in zip(model.facts["outputs"], wanted, model.run(x[None])):
            right = right[number : number + 1]
            if found.shape != right.shape:
                return (
                    f"input {number}, output {facts['name']}: {list(found.shape)} is not {list(right.shape)}"
                )
            apart = np.abs(found.astype(np.float64) - right.astype(np.float64))
            wrong = apart > _allowed(model.facts["bound"], facts, right)
            if wrong.any():
                place = tuple(int(n) for n in np.argwhere(wrong)[0])
                share = f"{int(wrong.sum())} of {wrong.size} numbers differ"
                where = f"input {number}, output {facts['name']}, place {list(place)}"
                return f"{where}: {right[place]} was expected, {found[place]} found; {share}"
    return None


def _allowed(bound: str, facts: Dict[str, Any], right: Any) -> float:
    if bound == "exact":
        return 0.0
    if bound == "step":
        return 1.0 if facts["step"] is None else 1.001 * float(facts["step"])
    return (1e-5 if bound == "float" else 1e-2) * (float(np.abs(right).max()) or 1.0)
