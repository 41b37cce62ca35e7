"""Ed25519 signatures checked by arithmetic alone, for machines that have nothing but Python.

RFC 8032, section 5.1.7. Nothing secret is computed with here, so it need not take equal times.
"""

import hashlib

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)
_Y = 4 * pow(5, _P - 2, _P) % _P


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature of 64 bytes is that of the key's owner, of 32 bytes, on a message."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key, noise = _point(public), _point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if key is None or noise is None or s >= _ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    h = int.from_bytes(digest, "little") % _ORDER
    return bool(_equal(_times(s, _base()), _sum(noise, _times(h, key))))


def _base():
    x = _x_of(_Y, 0)
    return (x, _Y, 1, x * _Y % _P)


def _x_of(y, sign):
    """The x of a point by its y and its lowest bit; None where there is none."""
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    return _P - x if x & 1 != sign else x


def _point(data):
    number = int.from_bytes(data, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    x = _x_of(y, sign) if y < _P else None
    return None if x is None else (x, y, 1, x * y % _P)


def _sum(one, other):
    """The sum of two points in extended homogeneous coordinates (section 5.1.4)."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c = 2 * one[3] * other[3] * _D % _P
    d = 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _times(number, point):
    total = (0, 1, 1, 0)
    while number:
        if number & 1:
            total = _sum(total, point)
        point = _sum(point, point)
        number >>= 1
    return total


def _equal(one, other):
    across = (one[0] * other[2] - other[0] * one[2]) % _P
    return across == 0 and (one[1] * other[2] - other[1] * one[2]) % _P == 0
