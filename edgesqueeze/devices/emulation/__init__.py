"""Devices without having them: aarch64 processors under qemu-user, in which a bundle tests itself."""
