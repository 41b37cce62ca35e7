"""Whom bundles are for."""

from enum import StrEnum


class Target(StrEnum):
    """Machines with Python, or an app that brings its own runtime."""

    RASPBERRY_PI = "raspberry-pi"
    LINUX = "linux-x86_64"
    ANDROID = "android"
