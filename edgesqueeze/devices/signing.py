"""Signatures of bundles, by the package ``cryptography``; a device checks them without it."""

from pathlib import Path

from edgesqueeze.errors import OutputError

_INSTALL = "pip install 'edgesqueeze[sign]'"


class Signer:
    """A private Ed25519 key (RFC 8032) from a PEM file without a password, as OpenSSL writes it.

    Raises:
        OutputError: there is no such file, it is another kind of key, or ``cryptography`` is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
            from cryptography.hazmat.primitives.serialization import load_pem_private_key
        except ImportError as error:
            raise OutputError(f"signing needs the package cryptography: {_INSTALL}") from error
        try:
            key = load_pem_private_key(path.read_bytes(), None)
        except OSError as error:
            raise OutputError(f"the key {path} cannot be read: {error.strerror}") from error
        except (ValueError, TypeError) as error:
            raise OutputError(f"{path} is not a private key in a PEM file without a password") from error
        if not isinstance(key, Ed25519PrivateKey):
            found = type(key).__name__.strip("_")
            raise OutputError(
                f"{path} is a {found}; an Ed25519 key is wanted: openssl genpkey -algorithm ed25519"
            )
        self._key = key

    @property
    def public_key(self) -> str:
        """What a device is given to check signatures: 64 hexadecimal digits."""
        return self._key.public_key().public_bytes_raw().hex()

    def signature(self, content: bytes) -> str:
        """The signature of bytes: 128 hexadecimal digits; always the same for the same bytes."""
        return self._key.sign(content).hex()
