"""Programs in C that need nothing of a device but its Linux kernel: no Python, no C library, no bionic."""
