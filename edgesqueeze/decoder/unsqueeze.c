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
#define FREE_WEIGHTS ((uint64_t)1 << 22) /* however small the file is */
#define WEIGHTS_PER_BYTE ((uint64_t)1 << 12)
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

/*CODER*/

/* -- block M -------------------------------------------------------------------------------------- */

enum { SCALES = 1, WEIGHTS = 2, BIASES = 4 };
enum { END, RUN, FIRST_FORM };
enum { FLOAT32, FLOAT16 = 4, INT8 = 8, BIAS_FLOAT32 = 12, BIAS_FLOAT16, BIAS_INT32, SCALE, BIAS_SCALE, NUM_FORMS };
enum { AS_IT_IS, CHANNELS_LAST, CHANNELS_FIRST_LAST, BLOCKS_LAST };
#define NOTHING UINT32_MAX

typedef struct {
    uint32_t rank, shape[4], num_weights, flags;
    float input_scale; /* 0 without an int8 form */
    bytes parts[5];    /* weight, bias, and one for each flag */
    uint32_t first_fill;
    uint32_t seen[6]; /* number + 1 of the last file that wants an array */
} layer;

typedef struct {
    uint32_t form, blocks, file, next;
    uint64_t offset;
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
    if (found->rank != 2 && found->rank != 4)
        return SQZ_CORRUPT;
    for (uint32_t axis = 0; axis < found->rank; axis++) {
        TRY(take_varint(from, &found->shape[axis]));
        count *= found->shape[axis];
        if (count < 1 || count > MAX_WEIGHTS)
            return SQZ_CORRUPT;
    }
    found->num_weights = (uint32_t)count;
    if (num_grids == 0)
        return SQZ_OK;
    TRY(take_varint(from, &found->flags));
    TRY(take_varint(from, &grid));
    if (found->flags > (SCALES | WEIGHTS | BIASES) || grid >= num_grids)
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
    if (model->num_layers > from->size / 3)
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
    return form < BIAS_FLOAT32 ? form % 4 : AS_IT_IS;
}

/* The array that a form is made of, as a number below 6. */
static uint32_t array_of(uint32_t form)
{
    static const uint8_t arrays[NUM_FORMS] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 4, 5};
    return arrays[form];
}

static uint64_t size_of(const layer *from, uint32_t form)
{
    if (form >= BIAS_FLOAT32)
        return (uint64_t)from->shape[0] * (form == BIAS_FLOAT16 ? 2 : 4);
    return (uint64_t)from->num_weights * (form < FLOAT16 ? 4 : form < INT8 ? 2 : 1);
}

/* A fill behind its command; it is counted, and kept if `keep`. */
static sqz_status take_fill(sqz_model *model, bytes *from, fill wanted, int64_t *place, int keep)
{
    uint32_t step;
    layer *source;
    TRY(take_varint(from, &step));
    *place += unzigzag(step);
    if (wanted.form >= NUM_FORMS || *place < 0 || *place >= model->num_layers)
        return SQZ_CORRUPT;
    source = &model->layers[*place];
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
            fill wanted = {command - FIRST_FORM, 1, file, NOTHING, offset};
            TRY(take_fill(model, from, wanted, &place, literals != NULL));
            offset += size_of(&model->layers[place], wanted.form);
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
            if (part >= 2 && !(owner->flags >> (part - 2) & 1))
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
        double needed = fabs((double)a->bias[c]) / (0x1p30 * (double)a->from->input_scale);
        scale = scale > 0 ? scale : default_scale;
        scale = scale > needed ? scale : needed;
        scale = scale > SMALLEST_SCALE ? scale : SMALLEST_SCALE;
        a->scale[c] = (float)scale;
    }
}

static float bias_scale(const arrays *a, uint32_t channel)
{
    return a->scale[channel] * a->from->input_scale;
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
    uint32_t channels = a->from->shape[0];
    if (a->from->input_scale == 0 || !all_finite(a->weight, a->from->num_weights) || !all_finite(a->bias, channels))
        return SQZ_CORRUPT;
    if (a->from->flags & SCALES) {
        TRY(decode_floats(a->from->parts[2], &channels, 1, &a->scale));
    } else {
        a->scale = allocate(channels, sizeof *a->scale);
        if (a->scale == NULL)
            return SQZ_MEMORY;
        min_max_scales(a);
    }
    for (uint32_t c = 0; c < channels; c++)
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
    double nearest = rint((double)a->weight[place] / (double)a->scale[channel]);
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
    return put(to, (uint8_t)integer, 1);
}

/* A weight [outer, blocks, rest] is written as [outer, rest, blocks]. */
static sqz_status write_weight(const arrays *a, const fill *wanted, writer *to)
{
    uint32_t outer = a->from->shape[0], blocks = 1, rest;
    switch (order_of(wanted->form)) {
    case CHANNELS_LAST: blocks = a->from->shape[1]; break;
    case CHANNELS_FIRST_LAST: blocks = outer; outer = 1; break;
    case BLOCKS_LAST: blocks = wanted->blocks; break;
    default: break;
    }
    rest = a->from->num_weights / outer / blocks;
    for (uint32_t i = 0; i < outer; i++)
        for (uint32_t k = 0; k < rest; k++)
            for (uint32_t j = 0; j < blocks; j++)
                TRY(put_weight(a, wanted->form, (i * blocks + j) * rest + k, to));
    return SQZ_OK;
}

static sqz_status put_channel(const arrays *a, uint32_t form, uint32_t channel, writer *to)
{
    switch (form) {
    case BIAS_FLOAT32: return put(to, as_pattern(a->bias[channel]), 4);
    case BIAS_FLOAT16: return put(to, as_half(a->bias[channel]), 2);
    case BIAS_INT32: return put(to, (uint32_t)a->int_bias[channel], 4);
    case SCALE: return put(to, as_pattern(a->scale[channel]), 4);
    default: return put(to, as_pattern(bias_scale(a, channel)), 4);
    }
}

static sqz_status write_fill(arrays *a, const fill *wanted, writer *to)
{
    uint32_t array = array_of(wanted->form);
    if (array != 0 && array != 2 && a->scale == NULL)
        TRY(find_scales(a));
    if (array == 1 && a->from->flags & WEIGHTS && a->weight_steps == NULL)
        TRY(decode_floats(a->from->parts[3], a->from->shape, a->from->rank, &a->weight_steps));
    if (array == 3 && a->int_bias == NULL)
        TRY(find_int_bias(a));
    seek(to, wanted->file, wanted->offset);
    if (wanted->form < BIAS_FLOAT32)
        TRY(write_weight(a, wanted, to));
    else
        for (uint32_t c = 0; c < a->from->shape[0]; c++)
            TRY(put_channel(a, wanted->form, c, to));
    return flush(to);
}

static void release(void *memory)
{
    if (memory != NULL)
        SQZ_FREE(memory);
}

static sqz_status fill_from(const sqz_model *model, const layer *from, writer *to)
{
    arrays a = {from, NULL, NULL, NULL, NULL, NULL};
    sqz_status status = decode_floats(from->parts[0], from->shape, from->rank, &a.weight);
    if (status == SQZ_OK)
        status = decode_floats(from->parts[1], from->shape, 1, &a.bias);
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
        if (model->layers[i].first_fill != NOTHING)
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
