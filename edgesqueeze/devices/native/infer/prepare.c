/* What preparations of operators have in common. Each checks everything, so that running checks nothing. */
#include <math.h>
#include <string.h>

#include "infer.h"

enum { NONE = 0, RELU = 1, RELU6 = 3, SAME = 0 }; /* ActivationFunctionType, Padding */

tensor *input_of(const operation *op, size_t index, int type)
{
    if (index >= op->inputs || op->input[index] == NULL)
        refuse(op, "it has %zu inputs, one more is wanted", op->inputs);
    if (op->input[index]->type != type)
        refuse(op, "its input %zu is of type %d of the schema, this program computes with type %d there",
               index, op->input[index]->type, type);
    if (type == INT8 && (op->input[index]->scales.count == 0 || op->input[index]->zero_point > 127))
        refuse(op, "its input %zu has no scale, or a zero point that is no int8", index);
    return op->input[index];
}

const void *bytes_of(const tensor *one)
{
    return one->constant != NULL ? one->constant : one->data;
}

/* The output, of a type; of int8 on a grid. */
void want_output(const operation *op, int type)
{
    if (op->output->type != type)
        refuse(op, "its output is of type %d of the schema, this program makes type %d", op->output->type,
               type);
    if (type == INT8 && (op->output->scales.count != 1 || op->output->zero_point > 127))
        refuse(op, "its output has not one scale, or a zero point that is no int8");
}

/* The first input and the output as int8 maps [1, rows, columns, channels]. */
void want_maps(const operation *op)
{
    const tensor *x = input_of(op, 0, INT8);
    want_output(op, INT8);
    if (x->axes != 4 || op->output->axes != 4 || x->shape[0] != 1 || op->output->shape[0] != 1)
        refuse(op, "it reads or makes something else than one map [1, rows, columns, channels]");
    if (x->scales.count != 1)
        refuse(op, "its input has %zu scales, one is wanted", x->scales.count);
}

void want_shape(const operation *op, const tensor *found, const int32_t *shape, int axes)
{
    if (found->axes != axes || memcmp(found->shape, shape, (size_t)axes * sizeof *shape) != 0)
        refuse(op, "a shape is not what the others ask for");
}

void want_same_grid(const operation *op, const tensor *one, const tensor *other)
{
    if (one->scales.count != 1 || other->scales.count != 1 || one->scale != other->scale ||
        one->zero_point != other->zero_point)
        refuse(op, "its input and its output are on different grids");
}

/* The numbers of a constant input, int32; at most so many. */
size_t read_constant(const operation *op, size_t index, size_t most, int32_t *into)
{
    const tensor *from = input_of(op, index, INT32);
    if (from->constant == NULL || from->count > most)
        refuse(op, "its input %zu is no constant of at most %zu numbers", index, most);
    memcpy(into, from->constant, from->bytes);
    return from->count;
}

/* An axis counted from the front; negative ones are from the back. */
int axis_of(const operation *op, int32_t axis, int axes)
{
    if (axis < -axes || axis >= axes)
        refuse(op, "its axis is %d of %d", (int)axis, axes);
    return (int)(axis < 0 ? axis + axes : axis);
}

void set_limits(operation *op, int activation)
{
    const tensor *y = op->output;
    op->low = activation == NONE || y->zero_point < -128 ? -128 : y->zero_point;
    op->high = 127;
    if (activation == RELU6 && 6 / y->scale + (float)y->zero_point < 127)
        op->high = (int32_t)rintf(6 / y->scale) + y->zero_point;
    if (activation != NONE && activation != RELU && activation != RELU6)
        refuse(op, "its fused activation is number %d of the schema, which this program does not know",
               activation);
}

void want_no_activation(const operation *op, int slot)
{
    if (number_in(op->options, slot, 1, NONE) != NONE)
        refuse(op, "it has a fused activation, which this program does not know of it");
}

/* Where windows stand, from their size, stride and dilation and the padding's rule. */
void set_window(operation *op, int padding)
{
    window *w = &op->window;
    const tensor *x = op->input[0], *y = op->output;
    for (int axis = 0; axis < 2; axis++) {
        int64_t size = x->shape[1 + axis], made = y->shape[1 + axis], stride = w->stride[axis];
        int64_t reach, spanned, wanted;
        if (w->size[axis] < 1 || stride < 1 || w->dilation[axis] < 1 || stride > 1 << 20 ||
            w->size[axis] > 1 << 20 || w->dilation[axis] > 1 << 20)
            refuse(op, "its window, stride or dilation is not above zero, or above a million");
        reach = (int64_t)(w->size[axis] - 1) * w->dilation[axis] + 1;
        spanned = (made - 1) * stride + reach;
        wanted = padding == SAME ? (size + stride - 1) / stride : (size - reach) / stride + 1;
        if (made != wanted || (padding != SAME && spanned > size))
            refuse(op, "its output has %d rows or columns, its window asks for %d", (int)made, (int)wanted);
        if (spanned > 1 << 24)
            refuse(op, "its windows span more than 16 million rows or columns");
        w->before[axis] = (int32_t)(spanned > size ? (spanned - size) / 2 : 0);
        w->padded[axis] = (int32_t)(spanned > size ? spanned : size);
    }
    if (padding == SAME && (w->padded[0] > x->shape[1] || w->padded[1] > x->shape[2])) {
        size_t row = (size_t)w->padded[1] * (size_t)x->shape[3];
        if (row > ((size_t)1 << 30) / (size_t)w->padded[0])
            refuse(op, "its padded input takes more than a GB");
        op->scratch = allocate(row, (size_t)w->padded[0]);
    }
}

/* The input with its zero point around it, as far as windows reach. */
const int8_t *padded_input(const operation *op)
{
    const window *w = &op->window;
    const tensor *x = op->input[0];
    size_t channels = (size_t)x->shape[3], width = (size_t)w->padded[1] * channels;
    size_t row = (size_t)x->shape[2] * channels;
    const int8_t *from = bytes_of(x);
    if (op->scratch == NULL)
        return from;
    memset(op->scratch, x->zero_point & 255, width * (size_t)w->padded[0]);
    for (int32_t i = 0; i < x->shape[1]; i++)
        memcpy(op->scratch + (size_t)(w->before[0] + i) * width + (size_t)w->before[1] * channels,
               from + (size_t)i * row, row);
    return (const int8_t *)op->scratch;
}
