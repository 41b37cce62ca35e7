"""Words of flatbuffers that say how far back something lies, as the place where it lies."""

import numpy as np

_LARGEST_LOW = (1 << 24) - (1 << 8)


def swap_words(content: bytes, offset: int) -> bytes:
    """Bytes at some place of a file, its references backwards by distance swapped with those by place.

    A flatbuffer refers to one table description from many places, by negative distances. Every aligned word
    0xFFxxxxxx has its lower 24 bits replaced by its place less these bits; where these or the new ones lie
    within 256 of 2^24, as in -1, it is left alone. Doing this twice changes nothing.
    """
    start = -offset % 4
    count = max(len(content) - start, 0) // 4
    words = np.frombuffer(content, "<u4", count, start).astype(np.int64)
    low = words & 0xFFFFFF
    swapped = (offset + start + 4 * np.arange(count) - low) & 0xFFFFFF
    changes = (words >> 24 == 0xFF) & (low < _LARGEST_LOW) & (swapped < _LARGEST_LOW)
    middle = np.where(changes, 0xFF000000 | swapped, words).astype("<u4").tobytes()
    return content[:start] + middle + content[start + 4 * count :]
