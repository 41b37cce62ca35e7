/* unsqueeze: the model files of a .sqz file, format version 2 (docs/format.md, docs/coder.md).
 *
 *     cc -O2 -o unsqueeze unsqueeze.c -lm
 *     ./unsqueeze model.sqz DIRECTORY
 *
 * C99, no dependency. Every length is checked before anything is allocated or read. Memory is the file, its
 * block M (at most 16 MiB) and one layer. Floats are IEEE 754 and rounded to nearest, ties to even.
 */
#include "unsqueeze.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0
#error "floats must be computed in their own precision (on x86: -msse2 -mfpmath=sse)"
#endif

#ifndef SQZ_MALLOC /* a program may bring its own */
#define SQZ_MALLOC malloc
#define SQZ_FREE free
#endif

#define MAX_META ((uint32_t)1 << 24)
#define MAX_WEIGHTS ((uint32_t)1 << 28)
#define FREE_WEIGHTS ((uint64_t)1 << 20) /* however small the file is */
#define WEIGHTS_PER_BYTE ((uint64_t)1 << 10)
#define MAX_FILES 64
#define MAX_NAME 100
#define MAX_PERIOD 16
#define SMALLEST_SCALE 0x1p-40f
#define CHUNK 4096

#define TRY(call)                        \
    do {                                 \
        sqz_status status_ = (call);     \
        if (status_ != SQZ_OK)           \
            return status_;              \
    } while (0)

/* -- bytes ---------------------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *data;
    size_t size;
} bytes;

static sqz_status take(bytes *from, size_t count, bytes *taken)
{
    if (count > from->size)
        return SQZ_CORRUPT;
    taken->data = from->data;
    taken->size = count;
    from->data += count;
    from->size -= count;
    return SQZ_OK;
}

/* 1 to 5 bytes of 7 bits, lowest first, in the shortest form. */
static sqz_status take_varint(bytes *from, uint32_t *value)
{
    uint64_t found = 0;
    for (unsigned shift = 0; shift < 35 && from->size > 0; shift += 7) {
        uint8_t byte = *from->data++;
        from->size--;
        found |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            if (found > UINT32_MAX || (byte == 0 && shift > 0))
                return SQZ_CORRUPT;
            *value = (uint32_t)found;
            return SQZ_OK;
        }
    }
    return SQZ_CORRUPT;
}

static int64_t unzigzag(uint32_t value)
{
    return value & 1 ? -(int64_t)(value >> 1) - 1 : (int64_t)(value >> 1);
}

static uint32_t little_endian(const uint8_t *data)
{
    return data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
}

static float as_float(uint32_t pattern)
{
    float value;
    memcpy(&value, &pattern, sizeof value);
    return value;
}

static uint32_t as_pattern(float value)
{
    uint32_t pattern;
    memcpy(&pattern, &value, sizeof pattern);
    return pattern;
}

static uint32_t crc32(const uint8_t *data, size_t size)
{
    uint32_t table[256], crc = UINT32_MAX;
    for (uint32_t byte = 0; byte < 256; byte++) {
        table[byte] = byte;
        for (int bit = 0; bit < 8; bit++)
            table[byte] = table[byte] >> 1 ^ (table[byte] & 1 ? 0xEDB88320u : 0);
    }
    for (size_t i = 0; i < size; i++)
        crc = crc >> 8 ^ table[(crc ^ data[i]) & 0xFF];
    return ~crc;
}

/* Memory for `count` > 0 things; NULL if there is none. */
static void *allocate(size_t count, size_t size)
{
    return count > SIZE_MAX / size ? NULL : SQZ_MALLOC(count * size);
}

static void release(void *memory)
{
    if (memory != NULL)
        SQZ_FREE(memory);
}

/* -- the binary coder (docs/coder.md) -------------------------------------------------------------- */

#define REACH 2816
#define HALF ((int32_t)1 << 30)
#define MAX_INPUTS 12
enum { SIGNIFICANCE, SIGN, MAGNITUDE, BYTE, NUM_GROUPS };

/* Right shifts of negative numbers round down, as with every compiler in use. */
typedef char shifts_round_down[(-1 >> 1) == -1 ? 1 : -1];

typedef struct {
    int32_t squash[2 * REACH], stretch[4096];
    int32_t paces[NUM_GROUPS][256], rates[NUM_GROUPS][512]; /* of mixers by age, of counters by count */
    int32_t *counters;
    int64_t (*weights)[MAX_INPUTS];
    uint32_t *uses;
    uint32_t slots[MAX_INPUTS];
    uint32_t low, high, code;
    const uint8_t *data;
    size_t position, size;
} engine;

static void make_tables(engine *e)
{
    static const int32_t final[NUM_GROUPS] = {18, 100, 110, 100}, extra[NUM_GROUPS] = {300, 300, 0, 300};
    static const int32_t first[NUM_GROUPS] = {30, 30, 30, 11}, last[NUM_GROUPS] = {511, 511, 511, 127};
    int64_t decay = (int64_t)1 << 30; /* e^(-i/256) in 2^-30 */
    int32_t x = 0;
    for (int32_t i = 0; i <= REACH; i++) {
        int64_t below = (decay << 16) / (((int64_t)1 << 30) + decay);
        int64_t above = ((int64_t)1 << 46) / (((int64_t)1 << 30) + decay);
        e->squash[REACH - i] = (int32_t)(below < 1 ? 1 : below);
        if (i < REACH)
            e->squash[REACH + i] = (int32_t)(above > 65535 ? 65535 : above);
        decay = decay * 1069555701 >> 30;
    }
    for (int32_t p = 0; p < 4096; p++) {
        while (x < 2 * REACH - 1 && e->squash[x] < 16 * p + 8)
            x++;
        e->stretch[p] = x - REACH;
    }
    for (int group = 0; group < NUM_GROUPS; group++) {
        for (int32_t age = 0; age < 256; age++)
            e->paces[group][age] = final[group] + extra[group] * 8 / (8 + age);
        for (int32_t count = 0; count < 512; count++)
            e->rates[group][count] = 655360 / (10 * (count < last[group] ? count : last[group]) + first[group]);
    }
}

static sqz_status start_engine(engine *e, bytes from, size_t num_counters, uint32_t num_mixers)
{
    memset(e, 0, sizeof *e);
    make_tables(e);
    e->counters = allocate(num_counters, sizeof *e->counters);
    e->weights = allocate(num_mixers, sizeof *e->weights);
    e->uses = allocate(num_mixers, sizeof *e->uses);
    if (e->counters == NULL || e->weights == NULL || e->uses == NULL)
        return SQZ_MEMORY;
    for (size_t i = 0; i < num_counters; i++)
        e->counters[i] = HALF;
    memset(e->weights, 0, num_mixers * sizeof *e->weights);
    memset(e->uses, 0, num_mixers * sizeof *e->uses);
    e->high = UINT32_MAX;
    e->data = from.data;
    e->size = from.size;
    for (; e->position < 4; e->position++)
        e->code = e->code << 8 | (e->position < e->size ? e->data[e->position] : 0);
    return SQZ_OK;
}

static void stop_engine(engine *e)
{
    release(e->counters);
    release(e->weights);
    release(e->uses);
}

static void set_weights(engine *e, uint32_t first, uint32_t end, uint32_t count, int32_t weight)
{
    for (uint32_t mixer = first; mixer < end; mixer++)
        for (uint32_t k = 0; k < count; k++)
            e->weights[mixer][k] = weight;
}

static int32_t stretched(const engine *e, size_t slot)
{
    return e->stretch[e->counters[slot] >> 19];
}

static void learn(engine *e, size_t slot, int32_t bit, int group)
{
    int32_t count = e->counters[slot] & 511;
    int64_t probability = e->counters[slot] >> 9;
    probability += (bit * (((int64_t)1 << 22) - 1) - probability) * e->rates[group][count] >> 16;
    e->counters[slot] = (int32_t)(probability << 9) | (count < 511 ? count + 1 : 511);
}

static int32_t decode_with(engine *e, int32_t probability)
{
    uint32_t middle = e->low + (uint32_t)((uint64_t)(e->high - e->low) * (uint32_t)probability >> 16);
    int32_t bit = e->code <= middle;
    if (bit)
        e->high = middle;
    else
        e->low = middle + 1;
    while ((e->low ^ e->high) >> 24 == 0) {
        e->code = e->code << 8 | (e->position < e->size ? e->data[e->position] : 0);
        e->position++;
        e->low <<= 8;
        e->high = e->high << 8 | 255;
    }
    return bit;
}

/* A bit by the counters in slots[0] to slots[count - 1], which learn from it. */
static int32_t code_bit(engine *e, uint32_t count, uint32_t mixer, int group)
{
    int64_t *weights = e->weights[mixer], total = 256 * weights[count], error;
    int32_t inputs[MAX_INPUTS], bit, probability;
    for (uint32_t k = 0; k < count; k++) {
        inputs[k] = stretched(e, e->slots[k]);
        total += inputs[k] * weights[k];
    }
    total >>= 16;
    total = total < -REACH ? -REACH : total > REACH - 1 ? REACH - 1 : total;
    probability = e->squash[total + REACH];
    bit = decode_with(e, probability);
    error = (int64_t)(bit * 65536 - probability) * e->paces[group][e->uses[mixer] >> 4];
    if (e->uses[mixer] < 4095)
        e->uses[mixer]++;
    for (uint32_t k = 0; k < count; k++) {
        weights[k] += (inputs[k] * error + ((int64_t)1 << 21)) >> 22;
        learn(e, e->slots[k], bit, group);
    }
    weights[count] += (256 * error + ((int64_t)1 << 21)) >> 22;
    return bit;
}

/* Whether more bytes were used than an encoder can have left out at the end. */
static int overrun(const engine *e)
{
    return e->position > e->size + 4;
}

/* The data must end where the shortest bytes end which, followed by zeros, lie in the interval. */
static sqz_status finish_engine(const engine *e)
{
    size_t used = e->position - 4;
    for (uint32_t count = 0; count < 5; count++) {
        uint64_t rest = ((uint64_t)1 << (32 - 8 * count)) - 1, value = (e->low + rest) & ~rest;
        if (value > e->high)
            continue;
        if (used + count != e->size)
            return SQZ_CORRUPT;
        for (uint32_t i = 0; i < count; i++)
            if (e->data[used + i] != (uint8_t)(value >> (24 - 8 * i)))
                return SQZ_CORRUPT;
        return SQZ_OK;
    }
    return SQZ_CORRUPT;
}

/* -- weight symbols -------------------------------------------------------------------------------- */

/* Where each kind of counter starts. */
enum { ALL = 0, ROW = 1, EMPTY_ROW = 2, EMPTY_COLUMN = 4, DENSITIES = 8, NEIGHBOURS = 264, LEVELS = 392 };
enum { SIGNS = 648, LAST_SIGNS = 729, SIGN_SUMS = 810, NODES = 1322, NUM_NODES = 312 };
enum {
    BY_COLUMN = NODES + NUM_NODES,
    BY_BOTH = BY_COLUMN + 32 * NUM_NODES,
    BY_NEIGHBOURS = BY_BOTH + 256 * NUM_NODES,
    BY_LAST = BY_NEIGHBOURS + 16 * NUM_NODES,
    CHANNELS = BY_LAST + 16 * NUM_NODES
};
enum { SIGN_MIXERS = 1, MAGNITUDE_MIXERS = 9, FLAG_MIXER = 72, NUM_MIXERS = 73 };
#define MAX_BITS 30
#define MAX_CHUNKS 16

typedef struct {
    engine e;
    int32_t *line, *column_magnitudes; /* line: the row so far, behind `pad` zeros */
    uint8_t *skip;                     /* 1 for a column that is empty in all rows */
    uint32_t channels, positions, width, pad, columns;
    int is_first;
    int64_t near[7]; /* A to G */
    int64_t row_magnitude, last, last_but_one;
    uint32_t contexts[4];
} weight_model;

static uint32_t at_most(int64_t value, uint32_t largest)
{
    return value > largest ? largest : (uint32_t)value;
}

static int64_t size_of_symbol(int64_t symbol)
{
    return symbol < 0 ? -symbol : symbol;
}

static uint32_t level(int64_t magnitude)
{
    uint32_t found = 0;
    for (; magnitude >= 4; magnitude >>= 1)
        found += 2;
    return at_most(found + magnitude, 15);
}

static uint32_t density(int32_t value)
{
    value = (value + 1536) >> 7;
    return value < 0 ? 0 : value > 15 ? 15 : (uint32_t)value;
}

static uint32_t sign(int64_t symbol)
{
    return symbol > 0 ? 1 : symbol < 0 ? 2 : 0;
}

static void look_around(weight_model *m, const int32_t *at, uint32_t k)
{
    uint32_t x = k % m->width, w = m->width;
    m->near[0] = x > 0 ? at[-1] : 0;
    m->near[4] = x > 1 ? at[-2] : 0;
    m->near[6] = *(at - m->positions);
    m->near[1] = k >= w ? *(at - w) : 0;
    m->near[2] = k >= w && x < w - 1 ? *(at - w + 1) : 0;
    m->near[3] = k >= w && x > 0 ? *(at - w - 1) : 0;
    m->near[5] = k >= 2 * (uint64_t)w ? *(at - 2 * (size_t)w) : 0;
}

static uint32_t around_level(const weight_model *m)
{
    int64_t sum = 0;
    for (int n = 0; n < 6; n++)
        sum += (n < 2 ? 2 : 1) * size_of_symbol(m->near[n]);
    return level(sum);
}

static int32_t code_significance(weight_model *m, uint32_t c, uint32_t j, uint32_t around)
{
    engine *e = &m->e;
    uint32_t column_slot = CHANNELS + m->channels + j, pattern = 0;
    int32_t column = stretched(e, column_slot), row = stretched(e, ROW), everywhere = stretched(e, ALL), bit;
    for (int n = 0; n < 7; n++)
        pattern = 2 * pattern + (m->near[n] != 0);
    e->slots[0] = column_slot;
    e->slots[1] = ROW;
    e->slots[2] = CHANNELS + c;
    e->slots[3] = DENSITIES + 16 * density(column) + density(row);
    e->slots[4] = NEIGHBOURS + pattern;
    e->slots[5] = LEVELS + 16 * around + density(column + row - everywhere);
    bit = code_bit(e, 6, 0, SIGNIFICANCE);
    learn(e, ALL, bit, SIGNIFICANCE);
    return bit;
}

static uint32_t code_node(weight_model *m, uint32_t node, uint32_t mixer)
{
    engine *e = &m->e;
    e->slots[0] = NODES + node;
    e->slots[1] = BY_COLUMN + 32 * node + m->contexts[0];
    e->slots[2] = BY_BOTH + 256 * node + m->contexts[1];
    e->slots[3] = BY_NEIGHBOURS + 16 * node + m->contexts[2];
    e->slots[4] = BY_LAST + 16 * node + m->contexts[3];
    for (int k = 1; k < 5; k++)
        if (e->counters[e->slots[k]] == HALF)
            e->counters[e->slots[k]] = (e->counters[e->slots[0]] & ~511) | 2;
    return (uint32_t)code_bit(e, 5, MAGNITUDE_MIXERS + mixer, MAGNITUDE);
}

static int64_t code_magnitude(weight_model *m, uint32_t j, uint32_t around)
{
    uint32_t by_column = at_most(m->column_magnitudes[j] >> 6, 31), bits = 0, prefix = 1;
    m->contexts[0] = by_column;
    m->contexts[1] = 16 * at_most(m->row_magnitude >> 7, 15) + (by_column >> 1);
    m->contexts[2] = around;
    m->contexts[3] = level(size_of_symbol(m->last) + size_of_symbol(m->last_but_one));
    while (bits < MAX_BITS && code_node(m, bits, bits))
        bits++;
    for (uint32_t rest = bits; rest-- > 0;) {
        uint32_t node = prefix < 8 ? 32 + 8 * bits + prefix : 280 + rest;
        prefix = 2 * prefix + code_node(m, node, 32 + bits);
    }
    return prefix;
}

static int32_t code_sign(weight_model *m, uint32_t j, int64_t magnitude)
{
    engine *e = &m->e;
    uint32_t pattern = 0;
    int32_t total = 0;
    for (int n = 0; n < 6; n++) {
        uint32_t found = sign(m->near[n]);
        int32_t weight = 4 >> (n >> 1);
        if (n < 4)
            pattern = 3 * pattern + found;
        total += found == 1 ? weight : found == 2 ? -weight : 0;
    }
    e->slots[0] = CHANNELS + m->channels + m->columns + j;
    e->slots[1] = SIGNS + pattern;
    e->slots[2] = LAST_SIGNS + 24 * sign(m->last) + 8 * sign(m->last_but_one) + at_most(magnitude, 7);
    e->slots[3] = SIGN_SUMS + 16 * (uint32_t)(total + 16) + level(magnitude);
    return code_bit(e, 4, SIGN_MIXERS + at_most(total < 0 ? -total : total, 7), SIGN);
}

static int32_t code_nonzero(weight_model *m, uint32_t j, uint32_t around)
{
    int64_t magnitude = code_magnitude(m, j, around), exact;
    int32_t negative = code_sign(m, j, magnitude), bits = 0, before = m->column_magnitudes[j];
    while (magnitude >> bits > 1)
        bits++;
    exact = bits * 256 + ((magnitude << 8 >> bits) & 255) + 128;
    m->column_magnitudes[j] = (int32_t)(before ? (before * 3 + exact) >> 2 : exact);
    m->row_magnitude = m->row_magnitude ? (m->row_magnitude * 7 + exact) >> 3 : exact;
    m->last_but_one = m->last;
    m->last = negative ? -magnitude : magnitude;
    return (int32_t)m->last;
}

static void code_row(weight_model *m, int32_t *symbols)
{
    int32_t *counters = m->e.counters;
    memset(m->line, 0, ((size_t)m->columns + m->pad) * sizeof *m->line);
    m->row_magnitude = m->last = m->last_but_one = 0;
    counters[ROW] = (counters[ALL] & ~511) | 10;
    for (uint32_t c = 0; c < m->channels; c++) {
        if (m->is_first)
            counters[CHANNELS + c] = (counters[ALL] & ~511) | 20;
        for (uint32_t k = 0; k < m->positions; k++) {
            uint32_t j = c * m->positions + k, around;
            if (m->skip[j])
                continue;
            if (m->is_first)
                counters[CHANNELS + m->channels + j] = (counters[ALL] & ~511) | 6;
            look_around(m, m->line + m->pad + j, k);
            around = around_level(m);
            if (code_significance(m, c, j, around))
                symbols[j] = m->line[m->pad + j] = code_nonzero(m, j, around);
        }
    }
}

/* Rows of symbols into `symbols`, which holds zeros. Flags: 1 empty rows are marked, 2 empty columns. */
static sqz_status code_rows(weight_model *m, int32_t *symbols, uint32_t num_rows, uint32_t flags)
{
    uint32_t previous = 0, has_symbols = 1;
    for (uint32_t j = 0; flags & 2 && j < m->columns; j++) {
        m->e.slots[0] = EMPTY_COLUMN + previous;
        previous = m->skip[j] = (uint8_t)code_bit(&m->e, 1, FLAG_MIXER, SIGN);
    }
    for (uint32_t row = 0; row < num_rows; row++) {
        if (flags & 1) {
            m->e.slots[0] = EMPTY_ROW + has_symbols;
            has_symbols = (uint32_t)code_bit(&m->e, 1, FLAG_MIXER, SIGN);
        }
        if (has_symbols) {
            code_row(m, symbols + (size_t)row * m->columns);
            m->is_first = 0;
        }
        if (overrun(&m->e))
            return SQZ_CORRUPT;
    }
    return SQZ_OK;
}

static sqz_status start_model(weight_model *m, uint32_t channels, uint32_t height, uint32_t width)
{
    memset(m, 0, sizeof *m);
    m->channels = channels;
    m->positions = height * width;
    m->width = width;
    m->columns = channels * m->positions;
    m->pad = m->positions + 2 * width + 2;
    m->line = allocate((size_t)m->columns + m->pad, sizeof *m->line);
    m->column_magnitudes = allocate(m->columns, sizeof *m->column_magnitudes);
    m->skip = allocate(m->columns, sizeof *m->skip);
    return m->line == NULL || m->column_magnitudes == NULL || m->skip == NULL ? SQZ_MEMORY : SQZ_OK;
}

/* One chunk of rows, by a model that has seen nothing. */
static sqz_status decode_rows(weight_model *m, bytes stream, int32_t *symbols, uint32_t num_rows, uint32_t flags)
{
    size_t num_counters = CHANNELS + (size_t)m->channels + 2 * (size_t)m->columns;
    sqz_status status = start_engine(&m->e, stream, num_counters, NUM_MIXERS);
    if (status == SQZ_OK) {
        set_weights(&m->e, 0, SIGN_MIXERS, 7, 14000);
        set_weights(&m->e, SIGN_MIXERS, MAGNITUDE_MIXERS, 4, 12000);
        set_weights(&m->e, MAGNITUDE_MIXERS, FLAG_MIXER, 5, 12000);
        set_weights(&m->e, FLAG_MIXER, NUM_MIXERS, 1, 65536);
        memset(m->column_magnitudes, 0, m->columns * sizeof *m->column_magnitudes);
        memset(m->skip, 0, m->columns);
        m->is_first = 1;
        status = code_rows(m, symbols, num_rows, flags);
    }
    if (status == SQZ_OK)
        status = finish_engine(&m->e);
    stop_engine(&m->e);
    return status;
}

/* Symbols [rows, columns] into memory that holds zeros. */
static sqz_status decode_symbols(bytes payload, uint32_t num_rows, uint32_t columns, int32_t *symbols)
{
    uint32_t channels, height, chunks, lengths[MAX_CHUNKS];
    bytes flags, stream;
    weight_model m;
    sqz_status status;
    TRY(take_varint(&payload, &channels));
    TRY(take_varint(&payload, &height));
    TRY(take(&payload, 1, &flags));
    TRY(take_varint(&payload, &chunks));
    if (channels == 0 || height == 0 || columns % ((uint64_t)channels * height) != 0)
        return SQZ_CORRUPT;
    if (flags.data[0] > 3 || chunks < 1 || chunks > num_rows || chunks > MAX_CHUNKS)
        return SQZ_CORRUPT;
    for (uint32_t chunk = 0; chunk + 1 < chunks; chunk++)
        TRY(take_varint(&payload, &lengths[chunk]));
    status = start_model(&m, channels, height, columns / channels / height);
    for (uint32_t chunk = 0; chunk < chunks && status == SQZ_OK; chunk++) {
        uint32_t first = (uint32_t)((uint64_t)chunk * num_rows / chunks);
        uint32_t end = (uint32_t)((chunk + (uint64_t)1) * num_rows / chunks);
        status = take(&payload, chunk + 1 < chunks ? lengths[chunk] : payload.size, &stream);
        if (status == SQZ_OK)
            status = decode_rows(&m, stream, symbols + (size_t)first * columns, end - first, flags.data[0]);
    }
    release(m.line);
    release(m.column_magnitudes);
    release(m.skip);
    return status;
}

/* -- floats ---------------------------------------------------------------------------------------- */

enum { ZEROS, GRID_HALF, GRID, CODEBOOK_HALF, CODEBOOK, FLOATS };
enum { HIGHEST = 32, REST = 64, NUM_ASCENDING = 96 };
enum { NEXT_EXPONENT = 256, MANTISSA = NEXT_EXPONENT + 65536, MANTISSA_OF = MANTISSA + 8 };
enum { LOW_BITS = MANTISSA_OF + 2048, NUM_FIELDS = LOW_BITS + 20 };
#define MAX_DISTINCT 65536
#define LARGEST_MULTIPLE ((int32_t)1 << 24)

static sqz_status start_numbers(engine *e, bytes stream, size_t num_counters)
{
    TRY(start_engine(e, stream, num_counters, 3));
    set_weights(e, 0, 1, 1, 65536);
    set_weights(e, 1, 3, 2, 32768);
    return SQZ_OK;
}

/* A bit by one counter of its own. */
static uint32_t plain_bit(engine *e, uint32_t slot)
{
    e->slots[0] = slot;
    return (uint32_t)code_bit(e, 1, 0, SIGN);
}

static uint32_t code_gap(engine *e)
{
    uint32_t bits = 0, value = 1;
    while (bits < 31 && plain_bit(e, bits))
        bits++;
    for (uint32_t rest = bits; rest-- > 0;)
        value = 2 * value + plain_bit(e, value == 1 ? HIGHEST + bits : REST + rest);
    return value;
}

static sqz_status code_ascending(engine *e, uint32_t *values, uint32_t count, uint64_t end)
{
    uint64_t before = UINT64_MAX; /* -1 */
    for (uint32_t i = 0; i < count; i++) {
        before += code_gap(e);
        if (before >= end || overrun(e))
            return SQZ_CORRUPT;
        values[i] = (uint32_t)before;
    }
    return SQZ_OK;
}

static float half_to_float(uint32_t half)
{
    uint32_t exponent = half >> 10 & 31, mantissa = half & 0x3FF;
    float size = exponent == 0 ? (float)mantissa * 0x1p-24f : as_float((exponent + 112) << 23 | mantissa << 13);
    if (exponent == 31)
        size = mantissa == 0 ? INFINITY : NAN;
    return half & 0x8000 ? -size : size;
}

typedef struct {
    uint32_t num_negative, num_positive;
    uint32_t *patterns; /* outwards: the negative ones, then the positive ones, all without sign */
} codebook;

static sqz_status take_codebook(bytes *from, int is_half, codebook *book)
{
    engine e = {.counters = NULL};
    bytes stream;
    uint32_t length, total;
    uint64_t end = is_half ? 1 << 15 : (uint64_t)1 << 31;
    sqz_status status;
    TRY(take_varint(from, &book->num_negative));
    TRY(take_varint(from, &book->num_positive));
    if (book->num_negative > MAX_DISTINCT || book->num_positive > MAX_DISTINCT - book->num_negative)
        return SQZ_CORRUPT;
    total = book->num_negative + book->num_positive;
    if (total < 1)
        return SQZ_CORRUPT;
    TRY(take_varint(from, &length));
    TRY(take(from, length, &stream));
    book->patterns = allocate(total, sizeof *book->patterns);
    if (book->patterns == NULL)
        return SQZ_MEMORY;
    status = start_numbers(&e, stream, NUM_ASCENDING);
    if (status == SQZ_OK)
        status = code_ascending(&e, book->patterns, book->num_negative, end);
    if (status == SQZ_OK)
        status = code_ascending(&e, book->patterns + book->num_negative, book->num_positive, end);
    if (status == SQZ_OK)
        status = finish_engine(&e);
    stop_engine(&e);
    for (uint32_t i = 0; i < total && status == SQZ_OK && is_half; i++) {
        float value = half_to_float(book->patterns[i]);
        if (!isfinite(value))
            status = SQZ_CORRUPT;
        book->patterns[i] = as_pattern(value);
    }
    return status;
}

/* The value of rank -num_negative to num_positive; 0 is zero. */
static sqz_status value_of(const codebook *book, int32_t rank, float *value)
{
    uint32_t pattern = 0;
    if (rank > 0 && (uint32_t)rank <= book->num_positive)
        pattern = book->patterns[book->num_negative + (uint32_t)rank - 1];
    else if (rank < 0 && (uint32_t)-rank <= book->num_negative)
        pattern = book->patterns[(uint32_t)-rank - 1] | 0x80000000u;
    else if (rank != 0)
        return SQZ_CORRUPT;
    *value = as_float(pattern);
    return SQZ_OK;
}

static uint32_t code_field(engine *e, uint32_t *exponent)
{
    uint32_t node = 1, value;
    for (int rest = 0; rest < 8; rest++) {
        e->slots[0] = node;
        e->slots[1] = NEXT_EXPONENT + 256 * *exponent + node;
        node = 2 * node + (uint32_t)code_bit(e, 2, 1, SIGN);
    }
    *exponent = node - 256;
    node = 1;
    for (int rest = 0; rest < 3; rest++) {
        e->slots[0] = MANTISSA + node;
        e->slots[1] = MANTISSA_OF + 8 * *exponent + node;
        node = 2 * node + (uint32_t)code_bit(e, 2, 2, SIGN);
    }
    value = *exponent << 3 | (node - 8);
    for (uint32_t rest = 20; rest-- > 0;)
        value = 2 * value + plain_bit(e, LOW_BITS + rest);
    return value;
}

/* Signs and zeros are symbols in the values' own memory; each is replaced by its value. */
static sqz_status fill_floats(engine *e, const int32_t *signs, float *values, uint32_t count)
{
    uint32_t exponent = 127;
    for (uint32_t i = 0; i < count; i++) {
        int32_t sign = signs[i];
        uint32_t pattern = sign < 0 ? 0x80000000u : 0;
        if (sign < -1 || sign > 1)
            return SQZ_CORRUPT;
        if (sign != 0) {
            pattern |= code_field(e, &exponent);
            if (pattern == 0 || overrun(e))
                return SQZ_CORRUPT;
        }
        values[i] = as_float(pattern);
    }
    return finish_engine(e);
}

static sqz_status decode_grid(bytes payload, int is_half, uint32_t num_rows, uint32_t columns, float *values)
{
    int32_t *symbols = (int32_t *)(void *)values;
    bytes raw;
    float step;
    TRY(take(&payload, is_half ? 2 : 4, &raw));
    step = is_half ? half_to_float(raw.data[0] | (uint32_t)raw.data[1] << 8) : as_float(little_endian(raw.data));
    if (!isfinite(step) || step <= 0)
        return SQZ_CORRUPT;
    TRY(decode_symbols(payload, num_rows, columns, symbols));
    for (uint32_t i = 0; i < num_rows * columns; i++) {
        int32_t multiple = symbols[i];
        if (multiple > LARGEST_MULTIPLE || multiple < -LARGEST_MULTIPLE)
            return SQZ_CORRUPT;
        values[i] = step * (float)multiple;
    }
    return SQZ_OK;
}

static sqz_status decode_codebook(bytes payload, int is_half, uint32_t num_rows, uint32_t columns, float *values)
{
    int32_t *symbols = (int32_t *)(void *)values;
    codebook book = {0, 0, NULL};
    sqz_status status = take_codebook(&payload, is_half, &book);
    if (status == SQZ_OK)
        status = decode_symbols(payload, num_rows, columns, symbols);
    for (uint32_t i = 0; i < num_rows * columns && status == SQZ_OK; i++) {
        int32_t rank = symbols[i];
        status = value_of(&book, rank, &values[i]);
    }
    release(book.patterns);
    return status;
}

static sqz_status decode_plain(bytes payload, uint32_t num_rows, uint32_t columns, float *values)
{
    engine e = {.counters = NULL};
    bytes signs;
    uint32_t length;
    sqz_status status;
    TRY(take_varint(&payload, &length));
    TRY(take(&payload, length, &signs));
    TRY(decode_symbols(signs, num_rows, columns, (int32_t *)(void *)values));
    status = start_numbers(&e, payload, NUM_FIELDS);
    if (status == SQZ_OK)
        status = fill_floats(&e, (const int32_t *)(const void *)values, values, num_rows * columns);
    stop_engine(&e);
    return status;
}

/* A tensor [rows, …]; one of a single dimension is one row. */
static sqz_status decode_tensor(bytes payload, const uint32_t *shape, uint32_t rank, float *values)
{
    uint32_t num_rows = rank > 1 ? shape[0] : 1, columns = rank > 1 ? 1 : shape[0];
    bytes kind;
    for (uint32_t axis = 1; axis < rank; axis++)
        columns *= shape[axis];
    TRY(take(&payload, 1, &kind));
    memset(values, 0, (size_t)num_rows * columns * sizeof *values);
    switch (kind.data[0]) {
    case ZEROS: return payload.size > 0 ? SQZ_CORRUPT : SQZ_OK;
    case GRID_HALF: return decode_grid(payload, 1, num_rows, columns, values);
    case GRID: return decode_grid(payload, 0, num_rows, columns, values);
    case CODEBOOK_HALF: return decode_codebook(payload, 1, num_rows, columns, values);
    case CODEBOOK: return decode_codebook(payload, 0, num_rows, columns, values);
    case FLOATS: return decode_plain(payload, num_rows, columns, values);
    default: return SQZ_CORRUPT;
    }
}

/* -- strings of bytes ------------------------------------------------------------------------------ */

enum { HASHED = 8, INPUTS = 11, BYTE_MIXERS = 12, NUM_PLACES = 65536 };
enum { MATCH_COUNTERS = 512, FURTHER_COUNTERS = 512 + 2 * 512 };
enum { SHORTEST_MATCH = 5, SURE_MATCH = 16, LONGEST_MATCH = 64 };
#define GOLDEN 0x9E3779B1u

typedef struct {
    engine e;
    uint8_t *text;
    uint32_t contexts[HASHED], mask; /* the hash of each context; the size of a table less 1 */
    uint32_t *places;                /* by a hash of four bytes, the position behind where they were last */
    uint32_t pointer, misses, matched;
    int64_t length;                         /* of the match; -1 after a miss */
    uint32_t guess[2], is_same[2], gone[2]; /* words guessed, right so far, and how often they were not */
} byte_model;

static uint32_t byte_at(const byte_model *m, int64_t position)
{
    return position >= 0 ? m->text[position] : 0;
}

static uint32_t word_at(const byte_model *m, int64_t position)
{
    return byte_at(m, position) | byte_at(m, position + 1) << 8 | byte_at(m, position + 2) << 16 |
           byte_at(m, position + 3) << 24;
}

static void set_contexts(byte_model *m, int64_t position)
{
    uint32_t last = word_at(m, position - 4), four = byte_at(m, position - 4), eight = byte_at(m, position - 8);
    uint32_t b1 = byte_at(m, position - 1), phase = (uint32_t)(position & 3) << 8, *c = m->contexts;
    int64_t distance = position - m->pointer;
    m->matched = m->pointer > 0 ? byte_at(m, m->pointer) : 0;
    c[0] = 0;
    c[1] = b1;
    c[2] = b1 | byte_at(m, position - 2) << 8;
    c[3] = last;
    c[4] = four | phase | eight << 16;
    c[5] = eight | phase;
    c[6] = m->matched | b1 << 8 | level(m->length > 0 ? m->length : 0) << 16;
    c[7] = m->matched | (m->misses & 15) << 8;
    for (uint32_t i = 0; i < HASHED; i++) {
        uint32_t mixed = (c[i] + i + 1) * GOLDEN;
        c[i] = (mixed ^ mixed >> 15) * 0x85EBCA6Bu;
    }
    if (phase != 0)
        return;
    m->guess[0] = m->pointer > 0 && distance >= 4 ? word_at(m, m->pointer) + (uint32_t)distance : 0;
    m->guess[1] = 2 * last - word_at(m, position - 8);
    m->is_same[0] = m->is_same[1] = 1;
}

/* The counter of the match; which state it is in, 0 for none. */
static uint32_t match_state(byte_model *m, uint32_t node, uint32_t rest, uint32_t *expected)
{
    uint32_t predicted = m->matched | 256;
    *expected = 0;
    if (m->pointer == 0 || m->length < 0)
        return 0;
    if (predicted >> (rest + 1) != node) {
        m->length = -1;
        return 0;
    }
    *expected = predicted >> rest & 1;
    return 8 * level(m->length) + (m->misses & 7) + 1;
}

static uint32_t guess_slot(const byte_model *m, uint32_t number, uint32_t node, uint32_t rest, uint32_t phase)
{
    uint32_t predicted = (m->guess[number] >> 8 * phase & 255) | 256, fits = 0;
    if (m->is_same[number] && predicted >> (rest + 1) == node)
        fits = 1 + (predicted >> rest & 1);
    return MATCH_COUNTERS + 512 * number + 4 * (32 * phase + 4 * (m->gone[number] & 7) + rest / 2) + fits;
}

static uint32_t code_byte(byte_model *m, uint32_t phase)
{
    uint32_t first = HASHED * (m->mask + 1), node = 1, state, expected, seen, mixer;
    for (uint32_t rest = 8; rest-- > 0;) {
        seen = 0;
        for (uint32_t i = 0; i < HASHED; i++) {
            uint32_t mixed = (m->contexts[i] + node * 0x3C6EF372u) * GOLDEN;
            m->e.slots[i] = i * (m->mask + 1) + (mixed >> 11 & m->mask);
            if (i > 0 && i < 4 && m->e.counters[m->e.slots[i]] & 511)
                seen = i;
        }
        state = match_state(m, node, rest, &expected);
        m->e.slots[HASHED] = first + 2 * state + expected;
        m->e.slots[HASHED + 1] = first + guess_slot(m, 0, node, rest, phase);
        m->e.slots[HASHED + 2] = first + guess_slot(m, 1, node, rest, phase);
        mixer = seen + (state == 0 ? 0 : m->length < SURE_MATCH ? 4 : 8);
        node = 2 * node + (uint32_t)code_bit(&m->e, INPUTS, mixer, BYTE);
    }
    return node & 255;
}

static void check_guesses(byte_model *m, uint32_t byte, uint32_t phase)
{
    for (int number = 0; number < 2; number++) {
        if ((m->guess[number] >> 8 * phase & 255) != byte)
            m->is_same[number] = 0;
        if (phase == 3)
            m->gone[number] = (2 * m->gone[number] + !m->is_same[number]) & 255;
    }
}

static void find_match(byte_model *m, uint32_t position)
{
    uint32_t place = word_at(m, (int64_t)position - 3) * GOLDEN >> 16, length = 0;
    if (m->pointer > 0) {
        m->misses = (2 * m->misses + (m->length < 0)) & 255;
        m->pointer++;
        m->length++;
    }
    if (m->length < SURE_MATCH) {
        uint32_t candidate = m->places[place];
        while (length < LONGEST_MATCH && length < candidate &&
               m->text[candidate - 1 - length] == m->text[position - length])
            length++;
        if (length >= SHORTEST_MATCH && length > m->length) {
            m->length = length;
            m->pointer = candidate;
            m->misses = 0;
        }
    }
    m->places[place] = position + 1;
}

static sqz_status code_bytes(byte_model *m, uint32_t count)
{
    for (uint32_t position = 0; position < count; position++) {
        set_contexts(m, position);
        m->text[position] = (uint8_t)code_byte(m, position & 3);
        check_guesses(m, m->text[position], position & 3);
        find_match(m, position);
        if (overrun(&m->e))
            return SQZ_CORRUPT;
    }
    return finish_engine(&m->e);
}

static sqz_status start_bytes(byte_model *m, bytes stream, uint32_t count)
{
    uint32_t bits = 5;
    while (bits < 20 && count >> (bits - 5) > 0)
        bits++;
    m->mask = ((uint32_t)1 << bits) - 1;
    m->text = allocate(count, 1);
    m->places = allocate(NUM_PLACES, sizeof *m->places);
    if (m->text == NULL || m->places == NULL)
        return SQZ_MEMORY;
    memset(m->places, 0, NUM_PLACES * sizeof *m->places);
    TRY(start_engine(&m->e, stream, ((size_t)HASHED << bits) + FURTHER_COUNTERS, BYTE_MIXERS));
    set_weights(&m->e, 0, BYTE_MIXERS, INPUTS + 1, 16000);
    return SQZ_OK;
}

/* A packed string of at most `limit` bytes; `*text` is the caller's, NULL if it is empty or broken. */
static sqz_status unpack(bytes payload, uint32_t limit, uint8_t **text, size_t *size)
{
    byte_model m = {.text = NULL};
    uint32_t count;
    sqz_status status;
    uint64_t longest = ((uint64_t)1 << 16) + ((uint64_t)payload.size << 8); /* no bombs */
    TRY(take_varint(&payload, &count));
    if (count > limit || count > longest)
        return SQZ_CORRUPT;
    *size = count;
    if (count == 0)
        return payload.size > 0 ? SQZ_CORRUPT : SQZ_OK;
    status = start_bytes(&m, payload, count);
    if (status == SQZ_OK)
        status = code_bytes(&m, count);
    stop_engine(&m.e);
    release(m.places);
    if (status == SQZ_OK)
        *text = m.text;
    else
        release(m.text);
    return status;
}

/* -- block M -------------------------------------------------------------------------------------- */

enum { SCALES = 1, WEIGHTS = 2, BIASES = 4, ONE_SCALE = 8, FLOAT = 16 };
enum { END, RUN, FIRST_FORM };
enum { FLOAT32, FLOAT16 = 5, INT8 = 10, UINT8 = 15 };
enum { BIAS_FLOAT32 = 20, BIAS_FLOAT16, BIAS_INT32, SCALE, BIAS_SCALE, NUM_FORMS, SPREAD = NUM_FORMS };
enum { AS_IT_IS, IN_LAST, OUT_LAST, BLOCKS_LAST, IN_FIRST };
enum { WEIGHT, INT8_WEIGHT, UINT8_WEIGHT, BIAS, INT_BIAS, SCALE_ARRAY, BIAS_SCALE_ARRAY, NUM_ARRAYS };
#define NOTHING UINT32_MAX
#define LARGEST_STRIDE 16

typedef struct {
    uint32_t rank, shape[4], num_weights, flags;
    float input_scale; /* 0 without an int8 form */
    bytes parts[5];    /* weight, bias, and one for each flag */
    uint32_t first_fill;
    uint32_t seen[NUM_ARRAYS]; /* number + 1 of the last file that wants an array */
} layer;

/* `stride` is 0 unless the array is one of a transposed convolution, spread over as many times the channels. */
typedef struct {
    uint32_t form, blocks, file, next;
    uint64_t offset;
    uint32_t stride[2], fronts[2];
} fill;

/* Literal bytes; the last `period` of them are repeated for `run` bytes more. */
typedef struct {
    uint32_t file, period, run;
    uint64_t offset;
    bytes literal;
} piece;

typedef struct {
    char name[MAX_NAME + 1];
    uint32_t swapped;
    uint64_t size;
    bytes numbers;
} output;

struct sqz_model {
    uint8_t *meta;
    layer *layers;
    fill *fills;
    piece *pieces;
    output *files;
    uint32_t num_layers, num_files, num_fills, num_pieces;
    uint64_t num_weights; /* and biases */
};

static sqz_status take_layer(bytes *from, const bytes *grids, uint32_t num_grids, layer *found)
{
    uint32_t grid;
    uint64_t count = 1;
    memset(found, 0, sizeof *found);
    found->first_fill = NOTHING;
    TRY(take_varint(from, &found->rank));
    if (found->rank != 1 && found->rank != 2 && found->rank != 4)
        return SQZ_CORRUPT;
    for (uint32_t axis = 0; axis < found->rank; axis++) {
        TRY(take_varint(from, &found->shape[axis]));
        count *= found->shape[axis];
        if (count < 1 || count > MAX_WEIGHTS)
            return SQZ_CORRUPT;
    }
    found->num_weights = (uint32_t)count;
    if (num_grids == 0 || found->rank == 1)
        return SQZ_OK;
    TRY(take_varint(from, &found->flags));
    TRY(take_varint(from, &grid));
    if (found->flags > FLOAT || (found->flags & (SCALES | ONE_SCALE)) == ONE_SCALE || grid >= num_grids)
        return SQZ_CORRUPT;
    found->input_scale = as_float(little_endian(grids->data + 5 * (size_t)grid));
    return SQZ_OK;
}

static sqz_status take_grids(bytes *from, bytes *grids, uint32_t *count)
{
    TRY(take_varint(from, count));
    if (*count > from->size / 5)
        return SQZ_CORRUPT;
    TRY(take(from, 5 * (size_t)*count, grids));
    for (uint32_t grid = 0; grid < *count; grid++) {
        float scale = as_float(little_endian(grids->data + 5 * (size_t)grid));
        if (!(isfinite(scale) && scale >= SMALLEST_SCALE))
            return SQZ_CORRUPT;
    }
    return SQZ_OK;
}

static sqz_status take_layers(sqz_model *model, bytes *from)
{
    bytes grids;
    uint32_t num_grids;
    uint64_t total = 0;
    TRY(take_grids(from, &grids, &num_grids));
    TRY(take_varint(from, &model->num_layers));
    if (model->num_layers > from->size / 2)
        return SQZ_CORRUPT;
    model->layers = allocate((size_t)model->num_layers + 1, sizeof *model->layers);
    if (model->layers == NULL)
        return SQZ_MEMORY;
    for (uint32_t i = 0; i < model->num_layers; i++) {
        TRY(take_layer(from, &grids, num_grids, &model->layers[i]));
        total += model->layers[i].num_weights + (uint64_t)model->layers[i].shape[0];
    }
    model->num_weights = total;
    return total > MAX_WEIGHTS ? SQZ_CORRUPT : SQZ_OK;
}

static sqz_status take_name(bytes *from, char *name)
{
    bytes found;
    uint32_t length;
    TRY(take_varint(from, &length));
    if (length < 1 || length > MAX_NAME)
        return SQZ_CORRUPT;
    TRY(take(from, length, &found));
    for (uint32_t i = 0; i < length; i++) {
        uint8_t c = found.data[i];
        int letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '_' && c != '-' && (c != '.' || i == 0))
            return SQZ_CORRUPT;
        name[i] = (char)c;
    }
    name[length] = '\0';
    return SQZ_OK;
}

/* Whether two names are equal but for the case of their letters. */
static int same_name(const char *one, const char *other)
{
    for (;; one++, other++) {
        int a = *one >= 'A' && *one <= 'Z' ? *one + 32 : *one;
        int b = *other >= 'A' && *other <= 'Z' ? *other + 32 : *other;
        if (a != b)
            return 0;
        if (a == '\0')
            return 1;
    }
}

static uint32_t order_of(uint32_t form)
{
    return form < BIAS_FLOAT32 ? form % 5 : AS_IT_IS;
}

static uint32_t array_of(uint32_t form)
{
    static const uint8_t behind[] = {BIAS, BIAS, INT_BIAS, SCALE_ARRAY, BIAS_SCALE_ARRAY};
    if (form >= BIAS_FLOAT32)
        return behind[form - BIAS_FLOAT32];
    return form < INT8 ? WEIGHT : form < UINT8 ? INT8_WEIGHT : UINT8_WEIGHT;
}

static uint32_t num_scales(const layer *from)
{
    return from->flags & ONE_SCALE ? 1 : from->shape[0];
}

/* Rows (axis 0) or columns (axis 1) of a spread kernel. */
static uint32_t taps(const layer *from, const fill *wanted, uint32_t axis)
{
    uint32_t stride = wanted->stride[axis];
    return (wanted->fronts[axis] + from->shape[2 + axis] + stride - 1) / stride;
}

static uint64_t size_of(const layer *from, const fill *wanted)
{
    uint32_t form = wanted->form, width = form < FLOAT16 ? 4 : form < INT8 ? 2 : 1;
    uint64_t copies = wanted->stride[0] > 0 ? (uint64_t)wanted->stride[0] * wanted->stride[1] : 1;
    if (form >= SCALE)
        return copies * 4 * num_scales(from);
    if (form >= BIAS_FLOAT32)
        return copies * from->shape[0] * (form == BIAS_FLOAT16 ? 2 : 4);
    if (wanted->stride[0] == 0)
        return (uint64_t)from->num_weights * width;
    return copies * from->shape[0] * from->shape[1] * taps(from, wanted, 0) * taps(from, wanted, 1) * width;
}

/* The form of an array that is spread, and how. */
static sqz_status take_spread(bytes *from, fill *wanted)
{
    TRY(take_varint(from, &wanted->form));
    TRY(take_varint(from, &wanted->stride[0]));
    TRY(take_varint(from, &wanted->stride[1]));
    TRY(take_varint(from, &wanted->fronts[0]));
    TRY(take_varint(from, &wanted->fronts[1]));
    if (wanted->form >= NUM_FORMS || order_of(wanted->form) > IN_LAST)
        return SQZ_CORRUPT;
    for (int axis = 0; axis < 2; axis++)
        if (wanted->stride[axis] > LARGEST_STRIDE || wanted->fronts[axis] >= wanted->stride[axis])
            return SQZ_CORRUPT;
    return SQZ_OK;
}

/* A fill behind its command, whose size is added to the offset; it is counted, and kept if `keep`. */
static sqz_status take_fill(sqz_model *model, bytes *from, fill wanted, int64_t *place, uint64_t *offset, int keep)
{
    uint32_t step;
    layer *source;
    TRY(take_varint(from, &step));
    *place += unzigzag(step);
    if (wanted.form > SPREAD || *place < 0 || *place >= model->num_layers)
        return SQZ_CORRUPT;
    source = &model->layers[*place];
    if (wanted.form == SPREAD) {
        TRY(take_spread(from, &wanted));
        if (source->rank != 4)
            return SQZ_CORRUPT;
    }
    if (order_of(wanted.form) != AS_IT_IS && source->rank == 1)
        return SQZ_CORRUPT;
    if (order_of(wanted.form) == BLOCKS_LAST) {
        TRY(take_varint(from, &wanted.blocks));
        if (wanted.blocks < 1 || source->num_weights / source->shape[0] % wanted.blocks != 0)
            return SQZ_CORRUPT;
    }
    if (keep) {
        wanted.next = source->first_fill;
        source->first_fill = model->num_fills;
        model->fills[model->num_fills] = wanted;
    } else {
        if (source->seen[array_of(wanted.form)] == wanted.file + 1)
            return SQZ_CORRUPT;
        source->seen[array_of(wanted.form)] = wanted.file + 1;
    }
    model->num_fills++;
    *offset += size_of(source, &wanted);
    return SQZ_OK;
}

/* Aligned words 0xFFxxxxxx get their place less their lower 24 bits, unless these or those are nearly 2^24. */
static void swap_words(uint8_t *data, size_t size, uint64_t offset)
{
    const uint32_t largest = 0xFFFF00;
    for (size_t i = (size_t)(-offset & 3); i + 4 <= size; i += 4) {
        uint32_t low = little_endian(data + i) & 0xFFFFFF, swapped = ((uint32_t)(offset + i) - low) & 0xFFFFFF;
        if (data[i + 3] != 0xFF || low >= largest || swapped >= largest)
            continue;
        for (int byte = 0; byte < 3; byte++, swapped >>= 8)
            data[i + (size_t)byte] = (uint8_t)swapped;
    }
}

/* One file's numbers. They are read twice: to be checked and counted, then (`literals` not NULL) to be kept. */
static sqz_status take_numbers(sqz_model *model, uint32_t file, bytes *from, bytes *literals)
{
    uint64_t offset = 0;
    int64_t place = 0;
    for (;;) {
        uint32_t literal, command, period = 0, run = 0;
        TRY(take_varint(from, &literal));
        TRY(take_varint(from, &command));
        if (command == RUN) {
            TRY(take_varint(from, &period));
            TRY(take_varint(from, &run));
            if (period < 1 || period > literal || period > MAX_PERIOD || run < 1)
                return SQZ_CORRUPT;
        }
        if (literal > 0) {
            if (literals != NULL) {
                piece *kept = &model->pieces[model->num_pieces];
                *kept = (piece){file, period, run, offset, {NULL, 0}};
                TRY(take(literals, literal, &kept->literal));
                if (model->files[file].swapped)
                    swap_words(model->meta + (kept->literal.data - model->meta), literal, offset);
            }
            model->num_pieces++;
            offset += (uint64_t)literal + run;
        }
        if (command >= FIRST_FORM) {
            fill wanted = {command - FIRST_FORM, 1, file, NOTHING, offset, {0, 0}, {0, 0}};
            TRY(take_fill(model, from, wanted, &place, &offset, literals != NULL));
        }
        if (offset > UINT32_MAX)
            return SQZ_CORRUPT;
        if (command == END) {
            model->files[file].size = offset;
            return SQZ_OK;
        }
    }
}

static sqz_status take_files(sqz_model *model, bytes *from)
{
    TRY(take_varint(from, &model->num_files));
    if (model->num_files > MAX_FILES)
        return SQZ_CORRUPT;
    model->files = allocate((size_t)model->num_files + 1, sizeof *model->files);
    if (model->files == NULL)
        return SQZ_MEMORY;
    for (uint32_t file = 0; file < model->num_files; file++) {
        output *found = &model->files[file];
        TRY(take_name(from, found->name));
        for (uint32_t other = 0; other < file; other++)
            if (same_name(found->name, model->files[other].name))
                return SQZ_CORRUPT;
        TRY(take_varint(from, &found->swapped));
        if (found->swapped > 1)
            return SQZ_CORRUPT;
        found->numbers = *from;
        TRY(take_numbers(model, file, from, NULL));
    }
    model->fills = allocate((size_t)model->num_fills + 1, sizeof *model->fills);
    model->pieces = allocate((size_t)model->num_pieces + 1, sizeof *model->pieces);
    if (model->fills == NULL || model->pieces == NULL)
        return SQZ_MEMORY;
    model->num_fills = model->num_pieces = 0;
    for (uint32_t file = 0; file < model->num_files; file++) {
        bytes numbers = model->files[file].numbers;
        TRY(take_numbers(model, file, &numbers, from));
    }
    return from->size > 0 ? SQZ_CORRUPT : SQZ_OK;
}

static sqz_status read_meta(sqz_model *model, bytes meta, uint32_t *coder)
{
    bytes graph;
    uint32_t length;
    TRY(take_varint(&meta, coder));
    if (*coder > 1)
        return SQZ_CORRUPT;
    TRY(take_varint(&meta, &length));
    TRY(take(&meta, length, &graph)); /* not needed here */
    TRY(take_layers(model, &meta));
    return take_files(model, &meta);
}

static sqz_status read_tensors(sqz_model *model, bytes tensors)
{
    for (uint32_t i = 0; i < model->num_layers; i++) {
        layer *owner = &model->layers[i];
        for (uint32_t part = 0; part < 5; part++) {
            uint32_t length;
            if (part >= 2 && !(owner->flags & (SCALES | WEIGHTS | BIASES) & 1u << (part - 2)))
                continue;
            TRY(take_varint(&tensors, &length));
            TRY(take(&tensors, length, &owner->parts[part]));
        }
    }
    return tensors.size > 0 ? SQZ_CORRUPT : SQZ_OK;
}

static sqz_status take_block(bytes *from, uint8_t tag, bytes *payload)
{
    const uint8_t *start = from->data;
    bytes head, stored;
    uint32_t length, found;
    TRY(take(from, 1, &head));
    if (head.data[0] != tag)
        return SQZ_CORRUPT;
    TRY(take_varint(from, &length));
    TRY(take(from, length, payload));
    found = crc32(start, (size_t)(from->data - start));
    TRY(take(from, 4, &stored));
    return little_endian(stored.data) == found ? SQZ_OK : SQZ_CORRUPT;
}

static sqz_status read_file(sqz_model *model, bytes file)
{
    bytes head, packed, tensors, meta;
    uint32_t coder;
    TRY(take(&file, 6, &head));
    if (memcmp(head.data, "ESQZ", 4) != 0)
        return SQZ_CORRUPT;
    if (head.data[4] != 2 || head.data[5] != 0)
        return SQZ_VERSION;
    TRY(take_block(&file, 'M', &packed));
    TRY(take_block(&file, 'T', &tensors));
    if (file.size > 0)
        return SQZ_CORRUPT;
    TRY(unpack(packed, MAX_META, &model->meta, &meta.size));
    meta.data = model->meta;
    TRY(read_meta(model, meta, &coder));
    if (model->num_weights > FREE_WEIGHTS + WEIGHTS_PER_BYTE * tensors.size)
        return SQZ_CORRUPT;
    TRY(read_tensors(model, tensors));
    return coder != 1 || model->num_files == 0 ? SQZ_UNSUPPORTED : SQZ_OK;
}

/* -- arrays of a layer ---------------------------------------------------------------------------- */

typedef struct {
    const layer *from;
    float *weight, *bias;
    float *scale;        /* NULL until an int8 form is wanted */
    float *weight_steps; /* NULL: none */
    int32_t *int_bias;
} arrays;

static sqz_status decode_floats(bytes payload, const uint32_t *shape, uint32_t rank, float **values)
{
    size_t count = 1;
    for (uint32_t axis = 0; axis < rank; axis++)
        count *= shape[axis];
    *values = allocate(count, sizeof **values);
    return *values == NULL ? SQZ_MEMORY : decode_tensor(payload, shape, rank, *values);
}

static double largest_of(const arrays *a, uint32_t channel)
{
    uint32_t fan_in = a->from->num_weights / a->from->shape[0];
    float largest = 0;
    for (uint32_t i = 0; i < fan_in; i++) {
        float size = fabsf(a->weight[(size_t)channel * fan_in + i]);
        largest = size > largest ? size : largest;
    }
    return largest;
}

/* Scales that cover the largest weight of each channel, raised where its bias would not fit in 31 bits. */
static void min_max_scales(const arrays *a)
{
    uint32_t channels = a->from->shape[0];
    double default_scale = 0;
    for (uint32_t c = 0; c < channels; c++) {
        double scale = largest_of(a, c) / 127.0;
        default_scale = scale > default_scale ? scale : default_scale;
    }
    default_scale = default_scale > 0 ? default_scale : 1.0;
    for (uint32_t c = 0; c < channels; c++) {
        double scale = largest_of(a, c) / 127.0;
        scale = scale > 0 ? scale : default_scale;
        if (a->from->input_scale > 0) { /* else biases are float, and need no room */
            double needed = fabs((double)a->bias[c]) / (0x1p30 * (double)a->from->input_scale);
            scale = scale > needed ? scale : needed;
        }
        scale = scale > SMALLEST_SCALE ? scale : SMALLEST_SCALE;
        a->scale[c] = (float)scale;
    }
}

static float scale_of(const arrays *a, uint32_t channel)
{
    return a->scale[a->from->flags & ONE_SCALE ? 0 : channel];
}

static float bias_scale(const arrays *a, uint32_t channel)
{
    return scale_of(a, channel) * (a->from->input_scale > 0 ? a->from->input_scale : 1);
}

static int all_finite(const float *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return 0;
    return 1;
}

static sqz_status find_scales(arrays *a)
{
    uint32_t count = num_scales(a->from);
    if (a->from->rank == 1 || a->from->flags & FLOAT)
        return SQZ_CORRUPT;
    if (!all_finite(a->weight, a->from->num_weights) || !all_finite(a->bias, a->from->shape[0]))
        return SQZ_CORRUPT;
    if (a->from->flags & SCALES) {
        TRY(decode_floats(a->from->parts[2], &count, 1, &a->scale));
    } else {
        a->scale = allocate(count, sizeof *a->scale);
        if (a->scale == NULL)
            return SQZ_MEMORY;
        min_max_scales(a);
    }
    for (uint32_t c = 0; c < count; c++)
        if (!(isfinite(a->scale[c]) && a->scale[c] >= SMALLEST_SCALE && isfinite(bias_scale(a, c))))
            return SQZ_CORRUPT;
    return SQZ_OK;
}

static sqz_status add_steps(arrays *a, bytes payload)
{
    uint32_t channels = a->from->shape[0], step, sum;
    uint8_t *unpacked = NULL;
    bytes steps = {NULL, 0};
    sqz_status status = unpack(payload, 5 * channels, &unpacked, &steps.size);
    steps.data = unpacked;
    for (uint32_t c = 0; c < channels && status == SQZ_OK; c++) {
        status = take_varint(&steps, &step);
        if (status == SQZ_OK) {
            sum = (uint32_t)a->int_bias[c] + (uint32_t)unzigzag(step); /* modulo 2^32 */
            memcpy(&a->int_bias[c], &sum, sizeof sum);
        }
    }
    if (unpacked != NULL)
        SQZ_FREE(unpacked);
    return status == SQZ_OK && steps.size > 0 ? SQZ_CORRUPT : status;
}

static sqz_status find_int_bias(arrays *a)
{
    uint32_t channels = a->from->shape[0];
    a->int_bias = allocate(channels, sizeof *a->int_bias);
    if (a->int_bias == NULL)
        return SQZ_MEMORY;
    for (uint32_t c = 0; c < channels; c++) {
        double nearest = rint((double)a->bias[c] / (double)bias_scale(a, c));
        if (!(fabs(nearest) <= INT32_MAX))
            return SQZ_CORRUPT;
        a->int_bias[c] = (int32_t)nearest;
    }
    return a->from->flags & BIASES ? add_steps(a, a->from->parts[4]) : SQZ_OK;
}

/* IEEE 754 binary16, to nearest, ties to even. */
static uint16_t as_half(float value)
{
    uint32_t pattern = as_pattern(value), sign = pattern >> 16 & 0x8000, size = pattern & 0x7FFFFFFF;
    if (size > 0x7F800000) { /* not a number: its upper bits, which must not be all zero */
        uint32_t payload = size >> 13 & 0x3FF;
        return (uint16_t)(sign | 0x7C00 | (payload ? payload : 1));
    }
    if (size >= 0x477FF000) /* 65520 and more are infinite */
        return (uint16_t)(sign | 0x7C00);
    if (size >= 0x38800000) /* normal */
        return (uint16_t)(sign | (size - 0x38000000 + 0xFFF + (size >> 13 & 1)) >> 13);
    /* Below 2^-14: whole multiples of 2^-24. */
    return (uint16_t)(sign | (uint32_t)rint((double)as_float(size) * 0x1p24));
}

static sqz_status int8_weight(const arrays *a, uint32_t place, int8_t *integer)
{
    uint32_t channel = place / (a->from->num_weights / a->from->shape[0]);
    double nearest = rint((double)a->weight[place] / (double)scale_of(a, channel));
    nearest = nearest > 127 ? 127 : nearest < -127 ? -127 : nearest;
    if (a->weight_steps != NULL) {
        double step = a->weight_steps[place];
        if (!(fabs(step) <= 254) || step != rint(step) || fabs(nearest + step) > 127)
            return SQZ_CORRUPT;
        nearest += step;
    }
    *integer = (int8_t)nearest;
    return SQZ_OK;
}

/* -- writing -------------------------------------------------------------------------------------- */

typedef struct {
    sqz_write write;
    void *context;
    uint32_t file;
    uint64_t offset;
    size_t size;
    uint8_t buffer[CHUNK];
} writer;

static void seek(writer *to, uint32_t file, uint64_t offset)
{
    to->file = file;
    to->offset = offset;
    to->size = 0;
}

static sqz_status flush(writer *to)
{
    if (to->size > 0 && to->write(to->context, to->file, to->offset, to->buffer, to->size) != 0)
        return SQZ_OUTPUT;
    to->offset += to->size;
    to->size = 0;
    return SQZ_OK;
}

static sqz_status put(writer *to, uint32_t value, uint32_t num_bytes)
{
    if (to->size + num_bytes > CHUNK)
        TRY(flush(to));
    for (; num_bytes > 0; num_bytes--, value >>= 8)
        to->buffer[to->size++] = (uint8_t)value;
    return SQZ_OK;
}

static sqz_status write_piece(const piece *from, writer *to)
{
    size_t size = from->literal.size;
    if (to->write(to->context, from->file, from->offset, from->literal.data, size) != 0)
        return SQZ_OUTPUT;
    seek(to, from->file, from->offset + size);
    for (uint32_t i = 0; i < from->run; i++)
        TRY(put(to, from->literal.data[size - from->period + i % from->period], 1));
    return flush(to);
}

static sqz_status put_weight(const arrays *a, uint32_t form, uint32_t place, writer *to)
{
    int8_t integer;
    if (form < FLOAT16)
        return put(to, as_pattern(a->weight[place]), 4);
    if (form < INT8)
        return put(to, as_half(a->weight[place]), 2);
    TRY(int8_weight(a, place, &integer));
    return put(to, (uint8_t)(form < UINT8 ? integer : integer + 128), 1);
}

/* Three loops over a weight, each with its count and its step, in the order in which the file has the values. */
static void find_loops(const layer *from, const fill *wanted, uint32_t count[3], uint32_t step[3])
{
    uint32_t out = from->shape[0], fan_in = from->num_weights / out, blocks = wanted->blocks;
    uint32_t order = order_of(wanted->form);
    count[0] = out, step[0] = fan_in;
    count[1] = 1, step[1] = 0;
    count[2] = fan_in, step[2] = 1;
    if (order == IN_LAST || order == IN_FIRST)
        blocks = from->shape[1];
    if (order == IN_LAST || order == BLOCKS_LAST) {
        count[1] = fan_in / blocks, step[1] = 1;
        count[2] = blocks, step[2] = fan_in / blocks;
    } else if (order == OUT_LAST) {
        count[0] = fan_in, step[0] = 1;
        count[2] = out, step[2] = fan_in;
    } else if (order == IN_FIRST) {
        count[0] = blocks, step[0] = fan_in / blocks;
        count[1] = out, step[1] = fan_in;
        count[2] = fan_in / blocks;
    }
}

static sqz_status write_weight(const arrays *a, const fill *wanted, writer *to)
{
    uint32_t count[3], step[3];
    find_loops(a->from, wanted, count, step);
    for (uint32_t i = 0; i < count[0]; i++)
        for (uint32_t j = 0; j < count[1]; j++)
            for (uint32_t k = 0; k < count[2]; k++)
                TRY(put_weight(a, wanted->form, i * step[0] + j * step[1] + k * step[2], to));
    return SQZ_OK;
}

/* A weight as that of a convolution with `stride` times the channels, whose kernel is mirrored; see docs/format.md. */
static sqz_status put_spread_row(const arrays *a, const fill *wanted, const uint32_t place[3], writer *to)
{
    const uint32_t *shape = a->from->shape, rows = taps(a->from, wanted, 0), columns = taps(a->from, wanted, 1);
    uint32_t size = rows * columns, form = wanted->form, width = form < FLOAT16 ? 4 : form < INT8 ? 2 : 1;
    for (uint64_t i = 0; i < (uint64_t)shape[1] * size; i++) {
        int in_last = order_of(form) == IN_LAST;
        uint32_t in = (uint32_t)(in_last ? i % shape[1] : i / size), tap = (uint32_t)(in_last ? i / shape[1] : i % size);
        uint32_t y = (rows - 1 - tap / columns) * wanted->stride[0] + place[0] - wanted->fronts[0];
        uint32_t x = (columns - 1 - tap % columns) * wanted->stride[1] + place[1] - wanted->fronts[1];
        if (y < shape[2] && x < shape[3]) /* before the kernel they have wrapped around */
            TRY(put_weight(a, form, ((place[2] * shape[1] + in) * shape[2] + y) * shape[3] + x, to));
        else
            TRY(put(to, form < UINT8 ? 0 : 128, width));
    }
    return SQZ_OK;
}

static sqz_status write_spread(const arrays *a, const fill *wanted, writer *to)
{
    uint32_t place[3];
    for (place[0] = 0; place[0] < wanted->stride[0]; place[0]++)
        for (place[1] = 0; place[1] < wanted->stride[1]; place[1]++)
            for (place[2] = 0; place[2] < a->from->shape[0]; place[2]++)
                TRY(put_spread_row(a, wanted, place, to));
    return SQZ_OK;
}

static sqz_status put_channel(const arrays *a, uint32_t form, uint32_t channel, writer *to)
{
    switch (form) {
    case BIAS_FLOAT32: return put(to, as_pattern(a->bias[channel]), 4);
    case BIAS_FLOAT16: return put(to, as_half(a->bias[channel]), 2);
    case BIAS_INT32: return put(to, (uint32_t)a->int_bias[channel], 4);
    case SCALE: return put(to, as_pattern(scale_of(a, channel)), 4);
    default: return put(to, as_pattern(bias_scale(a, channel)), 4);
    }
}

/* What an array needs besides weight and bias, once. */
static sqz_status prepare(arrays *a, uint32_t array)
{
    if ((array == INT_BIAS || array == BIAS_SCALE_ARRAY) && a->from->input_scale == 0)
        return SQZ_CORRUPT;
    if (array != WEIGHT && array != BIAS && a->scale == NULL)
        TRY(find_scales(a));
    if ((array == INT8_WEIGHT || array == UINT8_WEIGHT) && a->from->flags & WEIGHTS && a->weight_steps == NULL)
        TRY(decode_floats(a->from->parts[3], a->from->shape, a->from->rank, &a->weight_steps));
    if (array == INT_BIAS && a->int_bias == NULL)
        TRY(find_int_bias(a));
    return SQZ_OK;
}

/* The integers of a layer must be right whether a file wants them or not. */
static sqz_status check_integers(arrays *a)
{
    int8_t integer;
    if (a->from->input_scale == 0 || a->from->flags & FLOAT)
        return SQZ_OK;
    TRY(prepare(a, INT8_WEIGHT));
    TRY(prepare(a, INT_BIAS));
    for (uint32_t place = 0; a->weight_steps != NULL && place < a->from->num_weights; place++)
        TRY(int8_weight(a, place, &integer));
    return SQZ_OK;
}

static sqz_status write_fill(arrays *a, const fill *wanted, writer *to)
{
    uint32_t array = array_of(wanted->form), count = wanted->form < SCALE ? a->from->shape[0] : num_scales(a->from);
    uint64_t copies = wanted->stride[0] > 0 ? (uint64_t)wanted->stride[0] * wanted->stride[1] : 1;
    TRY(prepare(a, array));
    seek(to, wanted->file, wanted->offset);
    if (wanted->form < BIAS_FLOAT32)
        TRY(wanted->stride[0] > 0 ? write_spread(a, wanted, to) : write_weight(a, wanted, to));
    else
        for (uint64_t c = 0; c < count * copies; c++)
            TRY(put_channel(a, wanted->form, (uint32_t)(c % count), to));
    return flush(to);
}

static sqz_status fill_from(const sqz_model *model, const layer *from, writer *to)
{
    arrays a = {from, NULL, NULL, NULL, NULL, NULL};
    sqz_status status = decode_floats(from->parts[0], from->shape, from->rank, &a.weight);
    if (status == SQZ_OK)
        status = decode_floats(from->parts[1], from->shape, 1, &a.bias);
    if (status == SQZ_OK)
        status = check_integers(&a);
    for (uint32_t i = from->first_fill; i != NOTHING && status == SQZ_OK; i = model->fills[i].next)
        status = write_fill(&a, &model->fills[i], to);
    release(a.weight);
    release(a.bias);
    release(a.scale);
    release(a.weight_steps);
    release(a.int_bias);
    return status;
}

/* -- what unsqueeze.h promises --------------------------------------------------------------------- */

sqz_status sqz_open(const uint8_t *data, size_t size, sqz_model **model)
{
    sqz_model *made = allocate(1, sizeof *made);
    sqz_status status;
    *model = NULL;
    if (made == NULL)
        return SQZ_MEMORY;
    memset(made, 0, sizeof *made);
    status = read_file(made, (bytes){data, size});
    if (status == SQZ_OK)
        *model = made;
    else
        sqz_close(made);
    return status;
}

void sqz_close(sqz_model *model)
{
    if (model == NULL)
        return;
    release(model->meta);
    release(model->layers);
    release(model->fills);
    release(model->pieces);
    release(model->files);
    release(model);
}

size_t sqz_num_files(const sqz_model *model)
{
    return model->num_files;
}

const char *sqz_file_name(const sqz_model *model, size_t file)
{
    return model->files[file].name;
}

uint64_t sqz_file_size(const sqz_model *model, size_t file)
{
    return model->files[file].size;
}

sqz_status sqz_fill(const sqz_model *model, sqz_write write, void *context)
{
    writer to = {.write = write, .context = context};
    for (uint32_t i = 0; i < model->num_pieces; i++)
        TRY(write_piece(&model->pieces[i], &to));
    for (uint32_t i = 0; i < model->num_layers; i++)
        TRY(fill_from(model, &model->layers[i], &to));
    return SQZ_OK;
}

const char *sqz_message(sqz_status status)
{
    switch (status) {
    case SQZ_OK: return "no error";
    case SQZ_CORRUPT: return "the file is damaged: its bytes are not what the format says";
    case SQZ_VERSION: return "the file has another format version than 2; decode it with edgesqueeze";
    case SQZ_UNSUPPORTED: return "the file is Huffman-coded or has no templates; decode it with edgesqueeze";
    case SQZ_MEMORY: return "memory has run out";
    case SQZ_OUTPUT: return "a file cannot be written";
    }
    return "unknown status";
}

/* -- the command ---------------------------------------------------------------------------------- */

#ifndef UNSQUEEZE_NO_MAIN

#define MAX_PATH_LENGTH 4096

static uint8_t *read_whole(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    long end;
    if (file == NULL)
        return NULL;
    if (fseek(file, 0, SEEK_END) == 0 && (end = ftell(file)) >= 0 && fseek(file, 0, SEEK_SET) == 0) {
        *size = (size_t)end;
        data = malloc(*size + 1);
        if (data != NULL && fread(data, 1, *size, file) != *size) {
            free(data);
            data = NULL;
        }
    }
    fclose(file);
    return data;
}

/* DIRECTORY/.NAME.part while it is written, DIRECTORY/NAME afterwards. */
static int path_of(char *path, const char *directory, const char *name, int finished)
{
    const char *form = finished ? "%s/%s" : "%s/.%s.part";
    int length = snprintf(path, MAX_PATH_LENGTH, form, directory, name);
    return length > 0 && length < MAX_PATH_LENGTH;
}

static int write_at(void *context, size_t file, uint64_t offset, const uint8_t *data, size_t size)
{
    FILE *to = ((FILE **)context)[file];
    if (offset > LONG_MAX || fseek(to, (long)offset, SEEK_SET) != 0)
        return 1;
    return fwrite(data, 1, size, to) != size;
}

/* Write all files under temporary names, then rename them; what is left over is removed. */
static sqz_status write_files(const sqz_model *model, const char *directory)
{
    FILE *files[MAX_FILES] = {NULL};
    char part[MAX_PATH_LENGTH], path[MAX_PATH_LENGTH];
    size_t count = sqz_num_files(model), i;
    sqz_status status = SQZ_OK;
    for (i = 0; i < count && status == SQZ_OK; i++) {
        if (path_of(part, directory, sqz_file_name(model, i), 0))
            files[i] = fopen(part, "wb");
        if (files[i] == NULL)
            status = SQZ_OUTPUT;
    }
    if (status == SQZ_OK)
        status = sqz_fill(model, write_at, files);
    for (i = 0; i < count; i++)
        if (files[i] != NULL && fclose(files[i]) != 0 && status == SQZ_OK)
            status = SQZ_OUTPUT;
    for (i = 0; i < count; i++) {
        if (files[i] == NULL || !path_of(part, directory, sqz_file_name(model, i), 0))
            continue;
        if (status == SQZ_OK && (!path_of(path, directory, sqz_file_name(model, i), 1) || rename(part, path) != 0))
            status = SQZ_OUTPUT;
        if (status != SQZ_OK)
            remove(part);
        else
            printf("%s  %llu bytes\n", path, (unsigned long long)sqz_file_size(model, i));
    }
    return status;
}

int main(int argc, char **argv)
{
    sqz_model *model = NULL;
    uint8_t *data;
    size_t size = 0;
    sqz_status status;
    if (argc != 3) {
        fprintf(stderr, "usage: unsqueeze FILE.sqz DIRECTORY\n");
        return 2;
    }
    data = read_whole(argv[1], &size);
    if (data == NULL) {
        fprintf(stderr, "error: cannot read %s\n", argv[1]);
        return 2;
    }
    status = sqz_open(data, size, &model);
    if (status == SQZ_OK)
        status = write_files(model, argv[2]);
    sqz_close(model);
    free(data);
    if (status != SQZ_OK)
        fprintf(stderr, "error: %s: %s\n", argv[1], sqz_message(status));
    return status == SQZ_OK ? 0 : 2;
}

#endif
