"""An aarch64 Python with the runtimes, from Debian's packages and PyPI's wheels, in the user's cache folder.

Nothing is installed into the host: packages are fetched into folders of our own and unpacked there. Where
they come from is what the host's apt and pip are set up with.
"""

import json
import os
import shutil
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from filelock import FileLock

from edgesqueeze.devices.processes import run
from edgesqueeze.errors import DeviceError
from edgesqueeze.files import make_directory, remove

_RUNTIMES = ("ai-edge-litert", "onnxruntime")
_PACKAGES = ("python3-minimal", "libpython3-stdlib", "libstdc++6")
_QEMU = ("qemu-user-static", "qemu-user")
"""Packages that have had the emulator; the second is linked statically since Debian 13."""
_EMULATORS = ("qemu-aarch64-static", "qemu-aarch64")
_PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64")


@dataclass(frozen=True)
class Root:
    """What is in the cache: the emulator, an aarch64 root folder with Python, and its packages."""

    folder: Path

    @property
    def emulator(self) -> Path:
        """qemu-aarch64."""
        return self.folder / "qemu-aarch64"

    @property
    def system(self) -> Path:
        """Debian's files."""
        return self.folder / "root"

    @property
    def site(self) -> Path:
        """The folder of numpy and the runtimes."""
        return self.folder / "site"

    @property
    def python(self) -> Path:
        """The interpreter within ``system``."""
        return next(iter(sorted((self.system / "usr" / "bin").glob("python3.[0-9]*[0-9]"))))

    @property
    def versions(self) -> dict[str, str]:
        """Of the emulator, Python, and every wheel."""
        found: dict[str, str] = json.loads((self.folder / "versions.json").read_text())
        return found


def cache_folder() -> Path:
    """Where a user's programs keep what can be made again (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgesqueeze"


def cached_root(cache: Path) -> Root:
    """Where a root for the runtimes that are installed here lies, or would lie."""
    versions = "-".join(f"{name}-{metadata.version(name)}" for name in _RUNTIMES)
    return Root(cache / f"aarch64-{versions}")


def ready_root(cache: Path) -> Root:
    """The root, built if it is not there yet: some 150 MB to fetch, 250 MB on disk.

    Args:
        cache: a folder that survives; see ``cache_folder``.

    Raises:
        DeviceError: this is no Linux with apt and pip, or a package cannot be fetched.
    """
    root = cached_root(cache)
    if root.folder.is_dir():
        return root
    _check_host()
    make_directory(cache)
    with FileLock(cache / "aarch64.lock"):
        if not root.folder.is_dir():
            _build(root)
    return root


def _check_host() -> None:
    missing = [name for name in ("apt-get", "dpkg-deb") if shutil.which(name) is None]
    if sys.platform != "linux" or missing:
        found = f"without {' and '.join(missing)}" if missing else sys.platform
        raise DeviceError(f"devices are emulated on a Debian or Ubuntu Linux, this is a machine {found}")


def _build(root: Root) -> None:
    """Build beside the final place, then rename: half a root never lies there."""
    part = Root(Path(tempfile.mkdtemp(prefix=".aarch64-", dir=root.folder.parent)))
    work = part.folder / "work"
    work.mkdir()
    try:
        _fetch_emulator(part, work)
        _fetch_system(part, work)
        _fetch_wheels(part, work)
        remove(work)
        part.folder.chmod(0o755)
        part.folder.replace(root.folder)
    finally:
        shutil.rmtree(part.folder, ignore_errors=True)


def _fetch_emulator(root: Root, work: Path) -> None:
    there = next(filter(None, map(shutil.which, _EMULATORS)), None)
    if there is not None:
        root.emulator.symlink_to(there)
        return
    for package in _QEMU:
        folder = work / package
        folder.mkdir()
        run(["apt-get", "-qq", "download", package], f"fetching {package}", folder=folder)
        unpack(folder, folder / "files")
        for name in _EMULATORS:
            if (folder / "files" / "usr" / "bin" / name).is_file():
                shutil.move(folder / "files" / "usr" / "bin" / name, root.emulator)
                return
    raise DeviceError(f"none of {', '.join(_QEMU)} has {_EMULATORS[0]}; install qemu-user-static")


def _fetch_system(root: Root, work: Path) -> None:
    apt = ["apt-get", "-qq", "-c", str(_apt_settings(work / "apt"))]
    run([*apt, "update"], "reading the lists of aarch64 packages", folder=work)
    install = [*apt, "-y", "--download-only", "--no-install-recommends", "install", *_PACKAGES]
    run(install, "fetching Python for aarch64", folder=work)
    unpack(work / "apt" / "cache" / "archives", root.system)


def _apt_settings(folder: Path) -> Path:
    """Settings of apt: the host's sources and keys, everything else in folders of its own."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    settings = folder / "settings"
    settings.write_text(
        f'Dir::State "{folder}/state";\nDir::State::status "{folder}/status";\nDir::Cache "{folder}/cache";\n'
        'APT::Architecture "arm64";\n#clear APT::Architectures;\nAPT::Architectures { "arm64"; };\n'
        "#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n"
        'APT::Sandbox::User "";\nAcquire::Languages "none";\n'
    )
    return settings


def unpack(folder: Path, target: Path) -> None:
    """Unpack every Debian package of a folder.

    Raises:
        DeviceError: it has none, or one cannot be unpacked.
    """
    packages = sorted(folder.glob("*.deb"))
    if not packages:
        raise DeviceError(f"apt-get has fetched no package into {folder}")
    for package in packages:
        run(["dpkg-deb", "-x", package, target], f"unpacking {package.name}", folder=folder)


def _fetch_wheels(root: Root, work: Path) -> None:
    """numpy, and the runtimes in the versions that the golden answers come from."""
    version = root.python.name.removeprefix("python")
    wanted = ["numpy", *(f"{name}=={metadata.version(name)}" for name in _RUNTIMES)]
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
    command += ["--implementation", "cp", "--abi", f"cp{version.replace('.', '')}"]
    command += ["--python-version", version, *(f"--platform={name}" for name in _PLATFORMS), *wanted]
    wheels = work / "wheels"
    wheels.mkdir()
    run(command, "fetching wheels for aarch64", folder=wheels)
    versions = {"qemu": _emulator_version(root), "python": version}
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as file:
            file.extractall(root.site)
        name, number = wheel.name.split("-")[:2]
        versions[name.replace("_", "-")] = number
    (root.folder / "versions.json").write_text(json.dumps(versions, indent=1) + "\n")


def _emulator_version(root: Root) -> str:
    text = run([root.emulator, "--version"], "starting the emulator", folder=root.folder)
    return text.split("version ")[-1].split()[0]
