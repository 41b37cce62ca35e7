"""Byte strings to fewer bytes and back: structure files and templates of some kilobytes.

Every bit is predicted by eleven counters: after the last bytes, after the bytes four and eight back, and by
what followed where the last bytes occurred before. Flat buffers hold 32-bit words that repeat with an address
moved along, or in even steps; two counters look for these. docs/coder.md has the specification.
"""

from typing import NamedTuple

import numpy as np

from edgesqueeze.coding.byte_reader import ByteReader, encode_varint
from edgesqueeze.coding.compiled import Integers, compiled, filled, from_array
from edgesqueeze.coding.engine import (
    BYTE_PACE,
    MAX_INPUTS,
    Engine,
    code_bit,
    encoded,
    finish_decoding,
    is_decoding,
    new_engine,
    overrun,
    start_decoding,
    start_encoding,
)
from edgesqueeze.errors import CodecError, CorruptFileError

MAX_BYTES = 1 << 24
_HASHED, _INPUTS = 8, 11
_MIXERS = 12
_FIRST_WEIGHT = 16000
_PLACES = 1 << 16
_SHORTEST_MATCH, _SURE_MATCH, _LONGEST_MATCH = 5, 16, 64
_MATCH_COUNTERS, _FURTHER_COUNTERS = 512, 512 + 2 * 512
_WORD_MASK = (1 << 32) - 1
_GOLDEN, _MURMUR, _STEP = 0x9E3779B1, 0x85EBCA6B, 0x3C6EF372
_POINTER, _LENGTH, _MISSES, _MATCHED, _SAME, _GUESS, _GUESS_MISSES = 0, 1, 2, 3, 4, 5, 7


class ByteModel(NamedTuple):
    """The engine and what the contexts remember."""

    engine: Engine
    text: Integers
    contexts: Integers  # the hash of each context, then the mask of the hash tables' size
    slots: Integers  # the places of the eleven counters
    places: Integers  # by a hash of four bytes, the position behind where they were last
    match: Integers  # pointer, length, misses, predicted byte; guessed words and their misses


def encode_bytes(data: bytes | memoryview) -> bytes:
    """A byte string in the adaptive code: its length as varint, then the stream.

    Raises:
        CodecError: more than 2²⁴ bytes.
    """
    if len(data) > MAX_BYTES:
        raise CodecError(f"{len(data)} bytes to code; allowed are {MAX_BYTES}")
    head = encode_varint(len(data))
    if not len(data):
        return head
    model = _new_model(from_array(np.frombuffer(data, np.uint8).copy()))
    # A bit costs at most 16, but only one that was all but certain to be the other.
    engine = start_encoding(model.engine, 16 * len(data) + 16)
    _code_bytes(model._replace(engine=engine))
    stream = encoded(engine)
    if stream is None:
        raise AssertionError("8 bits of at most 16 bits each need at most 16 bytes")
    return head + stream


def decode_bytes(payload: bytes | memoryview, limit: int = MAX_BYTES) -> bytes:
    """The byte string of a payload, of at most ``limit`` bytes.

    Raises:
        CorruptFileError: it would be longer, or the payload was not written by :func:`encode_bytes`.
    """
    reader = ByteReader(payload)
    num_bytes = reader.varint()
    if num_bytes > min(limit, MAX_BYTES):
        raise CorruptFileError(f"a string of {num_bytes} bytes; allowed are {min(limit, MAX_BYTES)}")
    if not num_bytes:
        reader.finish("an empty string")
        return b""
    model = _new_model(filled(num_bytes, 0, np.uint8))
    engine = start_decoding(model.engine, reader.take(reader.remaining))
    if not _code_bytes(model._replace(engine=engine)):
        raise CorruptFileError(f"a stream of {len(payload)} bytes ends before its string of {num_bytes} does")
    finish_decoding(engine)
    return bytes(model.text)


def _new_model(text: Integers) -> ByteModel:
    """A model of a string of this length. The tables have room for every context that it can have."""
    bits = min(len(text).bit_length() + 5, 20)
    weights = ([_FIRST_WEIGHT] * MAX_INPUTS) * _MIXERS
    contexts = filled(_HASHED + 1, 0, np.int64)
    contexts[_HASHED] = (1 << bits) - 1
    return ByteModel(
        engine=new_engine((_HASHED << bits) + _FURTHER_COUNTERS, weights),
        text=text,
        contexts=contexts,
        slots=filled(_INPUTS, 0, np.uint64),
        places=filled(_PLACES, 0, np.int32),
        match=filled(9, 0, np.int64),
    )


@compiled
def _code_bytes(model: ByteModel) -> bool:
    """Code all bytes of ``text``; False if a decoder ran out of data."""
    text, match = model.text, model.match
    decodes = is_decoding(model.engine)
    for position in range(len(text)):
        _set_contexts(model, position)
        byte = _code_byte(model, 0 if decodes else text[position], position & 3)
        if decodes:
            text[position] = byte
        for guess in range(2):
            if (match[_GUESS + guess] >> 8 * (position & 3) & 255) != byte:
                match[_SAME] &= ~(1 << guess)
            if position & 3 == 3:
                missed = 0 if match[_SAME] >> guess & 1 else 1
                match[_GUESS_MISSES + guess] = (2 * match[_GUESS_MISSES + guess] + missed) & 255
        _find_match(model, position)
        if overrun(model.engine):
            return False
    return True


@compiled
def _byte(text: Integers, position: int) -> int:
    """A byte of the text; 0 before its start."""
    return text[position] & 255 if position >= 0 else 0


@compiled
def _word(text: Integers, position: int) -> int:
    """A little-endian word of the text."""
    low = _byte(text, position) | _byte(text, position + 1) << 8
    return low | _byte(text, position + 2) << 16 | _byte(text, position + 3) << 24


@compiled
def _level(number: int) -> int:
    """0, 1, 2, 3, then two levels for every doubling; at most 15."""
    level = 0
    while number >= 4:
        number >>= 1
        level += 2
    return min(level + number, 15)


@compiled
def _set_contexts(model: ByteModel, position: int) -> None:
    """Hash the contexts of the byte at ``position``, and guess the word that starts there."""
    text, match, contexts = model.text, model.match, model.contexts
    pointer = match[_POINTER]
    last, four, eight = _word(text, position - 4), _byte(text, position - 4), _byte(text, position - 8)
    b1, b2 = _byte(text, position - 1), _byte(text, position - 2)
    predicted = _byte(text, pointer) if pointer > 0 else 0
    match[_MATCHED] = predicted
    phase = (position & 3) << 8
    contexts[0] = 0
    contexts[1] = b1
    contexts[2] = b1 | b2 << 8
    contexts[3] = last
    contexts[4] = four | phase | eight << 16
    contexts[5] = eight | phase
    contexts[6] = predicted | b1 << 8 | _level(max(match[_LENGTH], 0)) << 16
    contexts[7] = predicted | (match[_MISSES] & 15) << 8
    for i in range(_HASHED):
        mixed = (contexts[i] + i + 1) * _GOLDEN & _WORD_MASK
        contexts[i] = (mixed ^ mixed >> 15) * _MURMUR & _WORD_MASK
    if phase == 0:
        distance = position - pointer
        moved = _word(text, pointer) + distance if pointer > 0 and distance >= 4 else 0
        stepped = 2 * last - _word(text, position - 8)
        match[_GUESS], match[_GUESS + 1] = moved & _WORD_MASK, stepped & _WORD_MASK
        match[_SAME] = 3


@compiled
def _code_byte(model: ByteModel, byte: int, phase: int) -> int:
    """Code one byte, its highest bit first."""
    engine, match, contexts = model.engine, model.match, model.contexts
    slots, counters = model.slots, engine.counters
    mask = contexts[_HASHED]
    size = mask + 1
    first = _HASHED * size
    node = 1
    for rest in range(7, -1, -1):
        seen = 0
        for i in range(_HASHED):
            mixed = (contexts[i] + node * _STEP & _WORD_MASK) * _GOLDEN & _WORD_MASK
            slots[i] = i * size + (mixed >> 11 & mask)
            if 0 < i < 4 and counters[slots[i]] & 511:
                seen = i
        state = expected = 0
        if match[_POINTER] > 0 and match[_LENGTH] >= 0:
            predicted = match[_MATCHED] | 256
            if predicted >> (rest + 1) == node:
                expected = predicted >> rest & 1
                state = 8 * _level(match[_LENGTH]) + (match[_MISSES] & 7) + 1
            else:
                match[_LENGTH] = -1
        slots[8] = first + 2 * state + expected
        for guess in range(2):
            predicted = (match[_GUESS + guess] >> 8 * phase & 255) | 256
            fits = 0
            if match[_SAME] >> guess & 1 and predicted >> (rest + 1) == node:
                fits = 1 + (predicted >> rest & 1)
            misses = match[_GUESS_MISSES + guess] & 7
            slots[9 + guess] = (
                first + _MATCH_COUNTERS + 512 * guess + 4 * (32 * phase + 4 * misses + rest // 2) + fits
            )
        mixer = seen + (0 if state == 0 else (4 if match[_LENGTH] < _SURE_MATCH else 8))
        node = 2 * node + code_bit(engine, byte >> rest & 1, slots, mixer, BYTE_PACE)
    return node & 255


@compiled
def _find_match(model: ByteModel, position: int) -> None:
    """Move the pointer past the byte just coded; where there is a longer match, go there."""
    text, match = model.text, model.match
    if match[_POINTER] > 0:
        missed = 1 if match[_LENGTH] < 0 else 0
        match[_MISSES] = (2 * match[_MISSES] + missed) & 255
        match[_POINTER] += 1
        match[_LENGTH] += 1
    place = (_word(text, position - 3) * _GOLDEN & _WORD_MASK) >> 16
    if match[_LENGTH] < _SURE_MATCH:
        candidate, length = model.places[place], 0
        while length < _LONGEST_MATCH and length < candidate:
            if text[candidate - 1 - length] != text[position - length]:
                break
            length += 1
        if length >= _SHORTEST_MATCH and length > match[_LENGTH]:
            match[_LENGTH], match[_POINTER], match[_MISSES] = length, candidate, 0
    model.places[place] = position + 1
