"""The machine and the software a measurement was made on."""

import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edgesqueeze.bundled import ROOT

_FEATURES = {
    # What the kernel calls it, and what the field does.
    "sse4_2": "sse4.2",
    "avx2": "avx2",
    "fma": "fma",
    "avx512f": "avx512f",
    "avx512_vnni": "avx512_vnni",
    "avx_vnni": "avx_vnni",
    "amx_int8": "amx_int8",
    "neon": "neon",
    "asimd": "neon",
    "asimddp": "dotprod",
    "i8mm": "i8mm",
}
_PACKAGES = (
    "edgesqueeze",
    "torch",
    "torchvision",
    "numpy",
    "onnx",
    "onnxruntime",
    "ai-edge-litert",
)


@dataclass(frozen=True)
class HostFacts:
    """Where numbers were measured.

    ``cores`` are those this process may use; ``cpu_features`` the instruction sets the runtimes pick their
    kernels by; ``load`` the one-minute load average when asked, None where the system has none;
    ``versions`` maps a package to its version, None when not installed; ``git_commit`` is that of the
    checkout edgesqueeze runs from, with ``-dirty`` behind it if files differ, None outside a checkout.
    """

    cpu_model: str
    cpu_features: tuple[str, ...]
    cores: int
    machine: str
    system: str
    python: str
    load: float | None
    versions: dict[str, str | None]
    git_commit: str | None

    def to_json(self) -> dict[str, object]:
        """All fields as plain JSON values."""
        return {**asdict(self), "cpu_features": list(self.cpu_features)}

    def sentence(self) -> str:
        """The facts in one line, for below a table."""
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items() if number)
        commit = f", commit {self.git_commit}" if self.git_commit else ""
        return (
            f"{self.cpu_model} ({', '.join(self.cpu_features) or 'no known SIMD'}), {self.cores} cores, "
            f"{self.system}, Python {self.python}, {versions}{commit}"
        )


def host_facts() -> HostFacts:
    """The facts of this machine, now. What the system does not tell is "unknown", never guessed."""
    described = _cpu_description()
    return HostFacts(
        cpu_model=_cpu_model(described),
        cpu_features=_cpu_features(described),
        cores=_cores(),
        machine=platform.machine() or "unknown",
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        versions={name: _version(name) for name in _PACKAGES},
        git_commit=_git_commit(),
    )


def _cpu_description() -> dict[str, str]:
    """The first processor's entries of /proc/cpuinfo; empty elsewhere than on Linux."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    described: dict[str, str] = {}
    for key, _, value in pairs:
        described.setdefault(key.strip(), value.strip())
    return described


def _cpu_model(described: dict[str, str]) -> str:
    return described.get("model name") or described.get("Model") or platform.processor() or "unknown"


def _cpu_features(described: dict[str, str]) -> tuple[str, ...]:
    flags = set((described.get("flags") or described.get("Features") or "").split())
    return tuple(dict.fromkeys(name for flag, name in _FEATURES.items() if flag in flags))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    root = ROOT
    # An installed package may lie inside somebody else's checkout, whose commit says nothing about us.
    if not (root / ".git").exists() or not (root / "edgesqueeze").is_dir():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
