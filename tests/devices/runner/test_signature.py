"""Ed25519 as RFC 8032 has it (section 7.1), and nothing else passes."""

import pytest

from edgesqueeze.devices.runner.signature import is_signed

VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
]


@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_the_standards_signatures_pass(public, message, signature):
    assert is_signed(*map(bytes.fromhex, (public, message, signature)))


@pytest.mark.parametrize("place", [0, 31, 32, 63])
def test_a_changed_signature_does_not(place):
    public, message, signature = map(bytes.fromhex, VECTORS[1])
    changed = bytearray(signature)
    changed[place] ^= 1
    assert not is_signed(public, message, bytes(changed))
    assert not is_signed(public, message + b"x", signature)
    assert not is_signed(public[:-1], message, signature)


def test_a_number_above_the_order_is_no_signature():
    public, message, signature = map(bytes.fromhex, VECTORS[0])
    order = 2**252 + 27742317777372353535851937790883648493
    more = int.from_bytes(signature[32:], "little") + order
    assert not is_signed(public, message, signature[:32] + more.to_bytes(32, "little"))
