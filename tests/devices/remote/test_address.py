"""What ssh is given comes from an address in which nothing else can hide."""

import pytest

from edgesqueeze.devices.remote.address import Address, parse_address
from edgesqueeze.errors import RecipeError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ssh://pi@raspberrypi.local", Address("pi", "raspberrypi.local")),
        ("ssh://pi@192.168.1.7:2222", Address("pi", "192.168.1.7", 2222)),
        ("ssh://pi@[fe80::1%eth0]:22/", Address("pi", "fe80::1%eth0", 22)),
    ],
)
def test_addresses(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        *("pi@host", "ssh://host", "ssh://pi:secret@host", "ssh://pi@-oProxyCommand=x", "ssh://-x@host"),
        *("ssh://pi@host:0", "ssh://pi@host:70000", "ssh://pi@host/path", "ssh://pi@ho st", "ssh://p;i@host"),
        *("ssh://pi@host\n", "http://pi@host"),
    ],
)
def test_others_are_refused(text):
    with pytest.raises(RecipeError, match="a device is ssh://user@host or ssh://user@host:port, found"):
        parse_address(text)
