"""Whom bundles are for."""

from enum import StrEnum


class Target(StrEnum):
    """Machines with Python, an app that brings its own runtime, or a microcontroller."""

    RASPBERRY_PI = "raspberry-pi"
    LINUX = "linux-x86_64"
    ANDROID = "android"
    C_ARRAY = "c-array"
