/* Operators that put values elsewhere, and those that bring a map to another size. */
#include <string.h>

#include "infer.h"

/* Elements between neighbours of every axis. */
static void set_strides(const tensor *one, size_t *strides)
{
    size_t apart = 1;
    for (int axis = one->axes - 1; axis >= 0; axis--) {
        strides[axis] = apart;
        apart *= (size_t)one->shape[axis];
    }
}

static void reshape(const operation *op)
{
    memcpy(op->output->data, bytes_of(op->input[0]), op->output->bytes);
}

void prepare_reshape(operation *op)
{
    const tensor *x, *y = op->output;
    if (op->inputs < 1 || op->input[0] == NULL)
        refuse(op, "it has no input");
    x = input_of(op, 0, y->type);
    if (x->count != y->count)
        refuse(op, "its input has %zu values, its output %zu", x->count, y->count);
    if (y->type == INT8)
        want_same_grid(op, x, y);
    op->run = reshape;
}

static void concatenation(const operation *op)
{
    const tensor *y = op->output;
    int axis = (int)op->numbers[0];
    size_t rows = 1, apart, at = 0;
    for (int i = 0; i < axis; i++)
        rows *= (size_t)y->shape[i];
    apart = y->count / rows;
    for (size_t n = 0; n < op->inputs; n++) {
        size_t each = op->input[n]->count / rows;
        const uint8_t *from = bytes_of(op->input[n]);
        for (size_t row = 0; row < rows; row++)
            memcpy(y->data + row * apart + at, from + row * each, each);
        at += each;
    }
}

void prepare_concatenation(operation *op)
{
    const tensor *y = op->output;
    int64_t total = 0;
    int axis;
    want_output(op, INT8);
    want_no_activation(op, 1);
    axis = axis_of(op, number_in(op->options, 0, 4, 0), y->axes);
    for (size_t n = 0; n < op->inputs; n++) {
        const tensor *x = input_of(op, n, INT8);
        int32_t shape[MAX_AXES];
        memcpy(shape, y->shape, sizeof shape);
        shape[axis] = x->axes == y->axes ? x->shape[axis] : 0;
        want_shape(op, x, shape, y->axes);
        want_same_grid(op, x, y);
        total += x->shape[axis];
    }
    if (total != y->shape[axis])
        refuse(op, "its inputs and its output have different sizes along axis %d", axis);
    op->numbers[0] = axis;
    op->run = concatenation;
}

/* -- around and out of ----------------------------------------------------------------------------------- */

/* Copies row by row; a row of the smaller tensor begins in the larger one at the places ``first``. */
static void copy_rows(const tensor *small, const tensor *large, const int32_t *first, const int8_t *from,
                      int8_t *to, int into_large)
{
    size_t strides[MAX_AXES], last = (size_t)small->shape[small->axes - 1];
    set_strides(large, strides);
    for (size_t row = 0; row < small->count / last; row++) {
        size_t left = row, at = (size_t)first[small->axes - 1];
        for (int axis = small->axes - 2; axis >= 0; axis--) {
            at += (left % (size_t)small->shape[axis] + (size_t)first[axis]) * strides[axis];
            left /= (size_t)small->shape[axis];
        }
        if (into_large)
            memcpy(to + at, from + row * last, last);
        else
            memcpy(to + row * last, from + at, last);
    }
}

/* Amounts [axes, 2] in front and behind; leaves those in front. */
static void read_amounts(operation *op)
{
    const tensor *x = input_of(op, 0, INT8), *y = op->output;
    int32_t amounts[2 * MAX_AXES];
    want_output(op, INT8);
    want_same_grid(op, x, y);
    if (x->axes == 0 || x->axes != y->axes ||
        read_constant(op, 1, 2 * MAX_AXES, amounts) != 2 * (size_t)x->axes)
        refuse(op, "its amounts do not fit its input and output");
    for (int axis = 0; axis < x->axes; axis++) {
        int64_t sum = (int64_t)x->shape[axis] + amounts[2 * axis] + amounts[2 * axis + 1];
        if (amounts[2 * axis] < 0 || amounts[2 * axis + 1] < 0 || sum != y->shape[axis])
            refuse(op, "its amounts do not fit its input and output");
        op->numbers[axis] = amounts[2 * axis];
    }
}

static void pad(const operation *op)
{
    memset(op->output->data, op->factors[0] & 255, op->output->bytes);
    copy_rows(op->input[0], op->output, op->numbers, bytes_of(op->input[0]), (int8_t *)op->output->data, 1);
}

void prepare_pad(operation *op)
{
    read_amounts(op);
    op->factors[0] = op->output->zero_point;
    if (op->code == PADV2) {
        const tensor *value = input_of(op, 2, INT8);
        if (value->constant == NULL || value->count != 1)
            refuse(op, "what it pads with is no constant of one value");
        op->factors[0] = (int8_t)value->constant[0];
    }
    op->run = pad;
}

static void mirror_pad(const operation *op)
{
    const tensor *x = op->input[0], *y = op->output;
    const int8_t *from = bytes_of(x);
    size_t channels = (size_t)x->shape[3];
    for (int32_t row = 0; row < y->shape[1]; row++)
        for (int32_t column = 0; column < y->shape[2]; column++) {
            int32_t place[2] = {row - op->numbers[1], column - op->numbers[2]};
            for (int axis = 0; axis < 2; axis++) { /* shift is 1 where the edge itself is not repeated */
                int32_t size = x->shape[1 + axis];
                if (place[axis] < 0)
                    place[axis] = -place[axis] - 1 + op->shift;
                if (place[axis] >= size)
                    place[axis] = 2 * size - 1 - op->shift - place[axis];
            }
            memcpy(y->data + ((size_t)row * (size_t)y->shape[2] + (size_t)column) * channels,
                   from + ((size_t)place[0] * (size_t)x->shape[2] + (size_t)place[1]) * channels, channels);
        }
}

void prepare_mirror_pad(operation *op)
{
    want_maps(op);
    read_amounts(op);
    op->shift = number_in(op->options, 0, 1, 0) == 0; /* REFLECT */
    for (int axis = 0; axis < 4; axis++) {
        const tensor *x = op->input[0], *y = op->output;
        int32_t most = axis == 0 || axis == 3 ? 0 : x->shape[axis] - op->shift;
        if (op->numbers[axis] > most || y->shape[axis] - x->shape[axis] - op->numbers[axis] > most)
            refuse(op, "it mirrors more than there is, or other axes than rows and columns");
    }
    op->run = mirror_pad;
}

static void slice(const operation *op)
{
    copy_rows(op->output, op->input[0], op->numbers, bytes_of(op->input[0]), (int8_t *)op->output->data, 0);
}

/* SLICE has places and sizes, STRIDED_SLICE places and ends, of which masks take everything. */
void prepare_slice(operation *op)
{
    const tensor *x = input_of(op, 0, INT8), *y = op->output;
    int32_t ends[MAX_AXES], steps[MAX_AXES], strided = op->code == STRIDED_SLICE, masks[5] = {0};
    size_t axes = (size_t)x->axes;
    want_output(op, INT8);
    want_same_grid(op, x, y);
    if (axes == 0 || y->axes != x->axes || read_constant(op, 1, axes, op->numbers) != axes ||
        read_constant(op, 2, axes, ends) != axes || (strided && read_constant(op, 3, axes, steps) != axes))
        refuse(op, "its places do not fit its input and output");
    for (int i = 0; i < 5; i++)
        masks[i] = strided ? number_in(op->options, i, 4, 0) : 0;
    if (masks[2] != 0 || masks[3] != 0 || masks[4] != 0)
        refuse(op, "it adds or leaves out axes, which this program does not know of it");
    for (size_t axis = 0; axis < axes; axis++) {
        int64_t first = masks[0] >> axis & 1 ? 0 : op->numbers[axis], size = (int64_t)ends[axis];
        size = size == -1 && !strided ? x->shape[axis] - first : size;
        size = masks[1] >> axis & 1 ? x->shape[axis] - first : strided ? size - first : size;
        if (first < 0 || size != y->shape[axis] || first + size > x->shape[axis] ||
            (strided && steps[axis] != 1))
            refuse(op, "its places do not fit its input and output, or it leaves out some between");
        op->numbers[axis] = (int32_t)first;
    }
    op->run = slice;
}

/* -- other orders ---------------------------------------------------------------------------------------- */

static void transpose(const operation *op)
{
    const tensor *x = op->input[0], *y = op->output;
    size_t strides[MAX_AXES], places[MAX_AXES] = {0}, at = 0;
    const int8_t *from = bytes_of(x);
    set_strides(x, strides);
    for (size_t i = 0; i < y->count; i++) {
        ((int8_t *)y->data)[i] = from[at];
        for (int axis = y->axes - 1; axis >= 0; axis--) {
            size_t apart = strides[op->numbers[axis]];
            at += apart;
            if (++places[axis] < (size_t)y->shape[axis])
                break;
            at -= apart * places[axis];
            places[axis] = 0;
        }
    }
}

void prepare_transpose(operation *op)
{
    const tensor *x = input_of(op, 0, INT8), *y = op->output;
    unsigned seen = 0;
    want_output(op, INT8);
    want_same_grid(op, x, y);
    if (x->axes == 0 || y->axes != x->axes || read_constant(op, 1, MAX_AXES, op->numbers) != (size_t)x->axes)
        refuse(op, "its order does not fit its input and output");
    for (int axis = 0; axis < x->axes; axis++) {
        op->numbers[axis] = axis_of(op, op->numbers[axis], x->axes);
        seen |= 1u << op->numbers[axis];
        if (y->shape[axis] != x->shape[op->numbers[axis]])
            refuse(op, "its order does not fit its input and output");
    }
    if (seen != (1u << x->axes) - 1)
        refuse(op, "its order names an axis twice");
    op->run = transpose;
}

static void depth_to_space(const operation *op)
{
    const tensor *x = op->input[0], *y = op->output;
    size_t block = (size_t)op->numbers[0], channels = (size_t)y->shape[3], columns = (size_t)y->shape[2];
    const int8_t *from = bytes_of(x);
    for (size_t row = 0; row < (size_t)y->shape[1]; row++)
        for (size_t column = 0; column < columns; column++) {
            size_t place = row / block * (size_t)x->shape[2] + column / block;
            size_t part = row % block * block + column % block;
            memcpy(y->data + (row * columns + column) * channels,
                   from + place * (size_t)x->shape[3] + part * channels, channels);
        }
}

void prepare_depth_to_space(operation *op)
{
    int64_t block = number_in(op->options, 0, 4, 0);
    const tensor *x, *y = op->output;
    want_maps(op);
    x = op->input[0];
    want_same_grid(op, x, y);
    if (block < 1 || x->shape[1] * block != y->shape[1] || x->shape[2] * block != y->shape[2] ||
        y->shape[3] * block * block != x->shape[3])
        refuse(op, "its block does not fit its input and output");
    op->numbers[0] = (int32_t)block;
    op->run = depth_to_space;
}
