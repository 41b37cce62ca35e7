"""A real sshd on this machine."""

import pytest
from loopback_ssh import started


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The folder of its keys and of its places for files, and its port."""
    yield from started(tmp_path_factory.mktemp("sshd"))
