"""The emulated system is built once, by apt and pip as the host has them, and nothing is left of half a one."""

import os
import stat
from pathlib import Path

import pytest

from edgesqueeze.devices.emulation.root import cache_folder, cached_root, ready_root
from edgesqueeze.devices.processes import run
from edgesqueeze.errors import DeviceError


def programs(folder, **bodies):
    """Shell programs as the only ones that can be found."""
    folder.mkdir()
    for name, body in bodies.items():
        path = folder / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return folder


def test_a_machine_without_apt_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(programs(tmp_path / "bin", dpkg_deb="exit 0")))
    with pytest.raises(DeviceError, match="Debian or Ubuntu Linux, this is a machine without apt-get"):
        ready_root(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_offline_is_one_sentence_and_leaves_nothing_behind(tmp_path, monkeypatch):
    broken = (
        "echo 'W: some warning' >&2; echo 'E: Failed to fetch http://x/y' >&2; echo trailing >&2; exit 100"
    )
    folder = programs(tmp_path / "bin", apt_get=broken, dpkg_deb="exit 0")
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(DeviceError) as found:
        ready_root(tmp_path / "cache")
    assert str(found.value) == "fetching qemu-user-static failed: E: Failed to fetch http://x/y"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["aarch64.lock"]


def test_apt_is_told_to_keep_to_folders_of_its_own(tmp_path, monkeypatch):
    """The host's emulator is used if there is one; the second call asks apt for aarch64 packages."""
    apt = f'cat "$3" > {tmp_path}/settings; echo "$@" > {tmp_path}/arguments; /bin/false'
    bin_folder = programs(tmp_path / "bin", apt_get=apt, dpkg_deb="exit 0", qemu_aarch64="exit 0")
    monkeypatch.setenv("PATH", f"{bin_folder}{os.pathsep}/bin")
    with pytest.raises(DeviceError, match="reading the lists of aarch64 packages failed"):
        ready_root(tmp_path / "cache")
    settings = (tmp_path / "settings").read_text()
    assert 'APT::Architecture "arm64";' in settings
    kept = [line.split('"')[1] for line in settings.splitlines() if line.startswith("Dir::")]
    assert kept
    assert all(path.startswith(str(tmp_path / "cache")) for path in kept)
    assert (tmp_path / "arguments").read_text().split()[-1] == "update"


def test_the_cache_is_where_the_user_has_it(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/edgesqueeze")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_folder() == Path("/home/me/.cache/edgesqueeze")
    assert "onnxruntime-" in cached_root(cache_folder()).folder.name


def test_a_program_that_takes_too_long_is_ended(tmp_path):
    with pytest.raises(DeviceError, match="waiting took longer than 0 s"):
        run(["sleep", "30"], "waiting", folder=tmp_path, seconds=0.1)
