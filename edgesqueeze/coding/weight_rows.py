"""Rows of weight symbols: code them, or say what each of several candidates for every weight would cost."""

from edgesqueeze.coding.compiled import Integers, compiled
from edgesqueeze.coding.engine import PEEKS, PRICED, SIGN_PACE, code_bit, is_decoding, overrun
from edgesqueeze.coding.weight_model import (
    EMPTY_COLUMN,
    EMPTY_ROW,
    FLAG_MIXER,
    IS_FIRST,
    MOST,
    WeightModel,
    code_nonzero,
    code_significance,
    remember,
    start_channel,
    start_column,
    start_row,
)

ROWS_MARKED, COLUMNS_MARKED = 1, 2
"""Flags of :func:`code_rows`."""


@compiled
def code_rows(model: WeightModel, symbols: Integers, num_rows: int, flags: int) -> bool:
    """Code rows of symbols, in the engine's mode; False if a decoder ran out of data.

    Args:
        model: whose contexts learn.
        symbols: [num_rows × columns], read when encoding, written (over zeros) when decoding.
        num_rows: how many rows.
        flags: ROWS_MARKED if empty rows are marked and then cost nothing, COLUMNS_MARKED likewise.
    """
    columns = len(model.skip)
    if flags & COLUMNS_MARKED:
        _code_columns(model, symbols, num_rows)
    has_symbols = 1
    for row in range(num_rows):
        start = row * columns
        if flags & ROWS_MARKED:
            previous, has_symbols = has_symbols, 0
            if not is_decoding(model.engine):
                for j in range(columns):
                    if symbols[start + j] != 0:
                        has_symbols = 1
                        break
            has_symbols = code_bit(model.engine, has_symbols, (EMPTY_ROW + previous,), FLAG_MIXER, SIGN_PACE)
        if has_symbols:
            _code_row(model, symbols, start)
            model.seen[IS_FIRST] = 0
        if overrun(model.engine):
            return False
    return True


@compiled
def _code_columns(model: WeightModel, symbols: Integers, num_rows: int) -> None:
    """Mark the columns that are empty in all rows; a flag is likely what the one before was."""
    columns = len(model.skip)
    for j in range(columns):
        model.skip[j] = 1
    if not is_decoding(model.engine):
        for row in range(num_rows):
            for j in range(columns):
                if symbols[row * columns + j] != 0:
                    model.skip[j] = 0
    previous = 0
    for j in range(columns):
        previous = code_bit(model.engine, model.skip[j], (EMPTY_COLUMN + previous,), FLAG_MIXER, SIGN_PACE)
        model.skip[j] = previous


@compiled
def _code_row(model: WeightModel, symbols: Integers, start: int) -> None:
    """Code one row that is not marked as empty."""
    channels, positions, is_first = model.channels, model.positions, model.seen[IS_FIRST]
    start_row(model)
    for c in range(channels):
        if is_first:
            start_channel(model, c)
        for k in range(positions):
            j = c * positions + k & MOST
            if model.skip[j]:
                continue
            if is_first:
                start_column(model, j)
            symbol = symbols[start + j]
            if code_significance(model, 1 if symbol != 0 else 0, c, j):
                symbol = code_nonzero(model, symbol, j, k)
                remember(model, symbol, j, k)
                symbols[start + j] = symbol


@compiled
def price_rows(
    model: WeightModel, symbols: Integers, num_rows: int, candidates: Integers, prices: Integers
) -> None:
    """What each candidate would cost where it stands, with the contexts that the symbols themselves leave.

    Args:
        model: a new one; its contexts learn from the symbols.
        symbols: [num_rows × columns].
        num_rows: how many rows.
        candidates: [num_rows × columns × choices], of the same symbols.
        prices: filled with as many prices, in 2⁻¹² bit.
    """
    coder, columns, positions = model.engine.coder, len(model.skip), model.positions
    choices = len(candidates) // len(symbols)
    for row in range(num_rows):
        start_row(model)
        for j in range(columns):
            c, k = j // positions, j % positions
            if row == 0:
                if k == 0:
                    start_channel(model, c)
                start_column(model, j)
            coder[PEEKS] = 1
            place = row * columns + j
            for choice in range(place * choices, (place + 1) * choices):
                coder[PRICED] = 0
                candidate = candidates[choice]
                if code_significance(model, 1 if candidate != 0 else 0, c, j):
                    code_nonzero(model, candidate, j, k)
                prices[choice] = coder[PRICED]
            coder[PEEKS] = 0
            symbol = symbols[place]
            if code_significance(model, 1 if symbol != 0 else 0, c, j):
                code_nonzero(model, symbol, j, k)
                remember(model, symbol, j, k)
