"""The sample app: compiled against stubs, its arithmetic run beside the bundle's, its assets packed and signed."""

import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pages import ROOT
from PIL import Image
from small_run import RECIPE

from edgesqueeze.devices.bundle import write_bundle
from edgesqueeze.devices.runner.edge import Model
from edgesqueeze.devices.targets import Target
from edgesqueeze.pipeline import compress
from edgesqueeze.run.recipe import parse_recipe
from edgesqueeze.run.rundir import new_run

APP = ROOT / "examples" / "android" / "app" / "src" / "main"
SOURCES = APP / "kotlin" / "edgesqueeze" / "sample"
STUBS = Path(__file__).parent / "shared" / "android_stubs.txt"
FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
PASSWORD = "password"
HARNESS = """
import edgesqueeze.sample.InputSpec
import edgesqueeze.sample.inputOf
import java.io.File

fun main(words: Array<String>) {
    val numbers = File(words[0]).readText().trim().split(" ").map { it.toInt() }
    val channels = words[3].toInt()
    val spec = InputSpec(
        channels, words[1].toInt(), words[2].toInt(), FloatArray(channels) { words[4].toFloat() },
        FloatArray(channels) { words[5].toFloat() }, words[6], words[7].toFloat(), words[8].toInt(), words[9] == "true"
    )
    val buffer = inputOf(numbers.toIntArray(), spec)
    val bytes = ByteArray(buffer.remaining())
    buffer.get(bytes)
    File(words[10]).writeBytes(bytes)
}
"""


def run(*command, folder):
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def bundle(tiny_task, tmp_path_factory):
    folder = tmp_path_factory.mktemp("android")
    recipe = parse_recipe(RECIPE, "test")
    compress(recipe, tiny_task, new_run(recipe, folder / "run"))
    path = write_bundle(folder / "run", Target.ANDROID, folder / "bundle.zip").path
    with zipfile.ZipFile(path) as file:
        file.extractall(folder / "assets")
    return folder / "assets"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The app's classes, and one that runs its arithmetic."""
    if shutil.which("kotlinc") is None or shutil.which("javac") is None:
        pytest.skip("there is no kotlinc or no javac here: kotlin, default-jdk-headless")
    folder = tmp_path_factory.mktemp("compiled")
    names = []
    for part in STUBS.read_text().split("=== ")[1:]:
        name, _, text = part.partition("\n")
        names.append(name)
        (folder / "stubs" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "stubs" / name).write_text(text)
    run(
        "javac",
        "--release",
        "8",
        "-Xlint:-options",
        "-d",
        folder / "android",
        *names,
        folder=folder / "stubs",
    )
    (folder / "Harness.kt").write_text(HARNESS)
    sources = [*sorted(SOURCES.glob("*.kt")), folder / "Harness.kt"]
    jar = folder / "app.jar"
    run("kotlinc", *sources, "-cp", folder / "android", "-include-runtime", "-d", jar, folder=folder)
    return jar


@pytest.mark.slow
def test_the_app_is_compiled_against_stubs(compiled):
    with zipfile.ZipFile(compiled) as file:
        names = set(file.namelist())
    assert {
        f"edgesqueeze/sample/{name}.class" for name in ("MainActivity", "DeviceModel", "TensorsKt")
    } <= names


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "dtype"), [(1, "int8"), (3, "int8"), (3, "float32"), (3, "uint8")])
def test_the_app_gives_a_model_the_bytes_that_the_bundle_s_programs_give(channels, dtype, compiled, tmp_path):
    rng = np.random.default_rng(channels)
    rgb = rng.integers(0, 256, (8, 6, 3), dtype=np.uint8)
    mean, std, scale, zero_point = 0.4812, 0.2683, 0.0173, -7
    pixels = dtype == "uint8"
    facts = {"layout": "NHWC", "dtype": dtype, "scale": scale, "zero_point": zero_point}
    facts["pixels"] = {"mean": [mean] * channels, "std": [std] * channels} if pixels else None
    levels = np.asarray(Image.fromarray(rgb).convert("L" if channels == 1 else "RGB")).reshape(8, 6, channels)
    x = (levels.astype(np.float32) / np.float32(255) - np.float32(mean)) / np.float32(std)
    model = Model.__new__(Model)  # only its conversion of inputs, which needs no file
    model.facts = {"input": facts}
    wanted = model.as_input(x.transpose(2, 0, 1)[None])
    argb = (rgb.astype(np.int64) @ [1 << 16, 1 << 8, 1]) - (1 << 24)  # opaque, as a signed int
    (tmp_path / "pixels").write_text(" ".join(map(str, argb.reshape(-1).tolist())))
    words = [tmp_path / "pixels", 8, 6, channels, mean, std, dtype, scale, zero_point, str(pixels).lower()]
    run("java", "-cp", compiled, "HarnessKt", *words, tmp_path / "bytes", folder=tmp_path)
    assert (tmp_path / "bytes").read_bytes() == wanted.tobytes()


@pytest.mark.slow
def test_its_assets_are_packed_signed_and_verified(bundle, tmp_path):
    programs = ("aapt", "zipalign", "apksigner", "keytool")
    missing = [name for name in programs if shutil.which(name) is None]
    if missing or not FRAMEWORK.is_file():
        pytest.skip(f"not here: {', '.join(missing) or FRAMEWORK}")
    manifest = (APP / "AndroidManifest.xml").read_text()
    manifest = manifest.replace("<manifest ", '<manifest package="edgesqueeze.sample" ', 1)
    manifest = manifest.replace(
        "<application ", '<uses-sdk android:minSdkVersion="24"/><application android:hasCode="false" ', 1
    )
    (tmp_path / "AndroidManifest.xml").write_text(manifest)
    packing = ["-M", "AndroidManifest.xml", "-I", FRAMEWORK, "-A", bundle, "-0", "tflite", "-F", "raw.apk"]
    run("aapt", "package", *packing, folder=tmp_path)
    run("zipalign", "-f", "4", "raw.apk", "app.apk", folder=tmp_path)
    key = [
        "-genkeypair",
        "-keystore",
        "k.p12",
        "-storepass",
        PASSWORD,
        "-alias",
        "k",
        "-keyalg",
        "RSA",
        "-dname",
        "CN=test",
    ]
    run("keytool", *key, folder=tmp_path)
    run("apksigner", "sign", "--ks", "k.p12", "--ks-pass", f"pass:{PASSWORD}", "app.apk", folder=tmp_path)
    found = run("apksigner", "verify", "--verbose", "app.apk", folder=tmp_path)
    assert "Verified using v2 scheme (APK Signature Scheme v2): true" in found
    badging = run("aapt", "dump", "badging", "app.apk", folder=tmp_path)
    assert "package: name='edgesqueeze.sample'" in badging
    assert "sdkVersion:'24'" in badging
    facts = json.loads((bundle / "manifest.json").read_text())
    with zipfile.ZipFile(tmp_path / "app.apk") as file:
        info = file.getinfo(f"assets/{facts['models'][0]['file']}")
        assert info.compress_type == zipfile.ZIP_STORED
        for name in facts["files"]:
            assert file.read(f"assets/{name}") == (bundle / name).read_bytes()
        offset = (
            info.header_offset
            + 30
            + sum(
                int.from_bytes(header_sizes(tmp_path / "app.apk", info)[i : i + 2], "little") for i in (0, 2)
            )
        )
    assert offset % 4 == 0


def header_sizes(path, info):
    """Of a local header the lengths of name and extra field, behind which the content lies."""
    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        return file.read(4)
