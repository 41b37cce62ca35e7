/* Operators between types: at the ends of a file, and of the numbers of classes. */
#include <math.h>
#include <string.h>

#include "infer.h"

/* uint8 to int8 on the grid that is 128 lower: the highest bit changes. */
static void flip(const operation *op)
{
    const uint8_t *from = bytes_of(op->input[0]);
    for (size_t i = 0; i < op->output->count; i++)
        op->output->data[i] = from[i] ^ 128;
}

/* XNNPACK multiplies by the inverse of the scale. */
static void quantize(const operation *op)
{
    const tensor *y = op->output;
    const uint8_t *from = bytes_of(op->input[0]);
    float inverse = 1 / y->scale, zero_point = (float)y->zero_point;
    for (size_t i = 0; i < y->count; i++) {
        float value;
        memcpy(&value, from + 4 * i, 4);
        value *= inverse;
        value = value > 127 - zero_point ? 127 - zero_point : value;
        value = value >= -128 - zero_point ? value : -128 - zero_point; /* also what is no number */
        ((int8_t *)y->data)[i] = (int8_t)((int32_t)rintf(value) + y->zero_point);
    }
}

void prepare_quantize(operation *op)
{
    const tensor *y = op->output, *x;
    want_output(op, INT8);
    if (op->inputs == 1 && op->input[0] != NULL && op->input[0]->type == UINT8) {
        x = input_of(op, 0, UINT8);
        if (x->scales.count != 1 || x->scale != y->scale || x->zero_point != y->zero_point + 128)
            refuse(op, "its output's grid is not that of its input, 128 lower");
        op->run = flip;
    } else {
        x = input_of(op, 0, FLOAT32);
        op->run = quantize;
    }
    want_shape(op, y, x->shape, x->axes);
}

static void dequantize(const operation *op)
{
    const tensor *x = op->input[0];
    const int8_t *from = bytes_of(x);
    float *out = (float *)(void *)op->output->data;
    for (size_t i = 0; i < x->count; i++)
        out[i] = (float)(from[i] - x->zero_point) * x->scale;
}

void prepare_dequantize(operation *op)
{
    const tensor *x = input_of(op, 0, INT8);
    want_output(op, FLOAT32);
    want_shape(op, op->output, x->shape, x->axes);
    if (x->scales.count != 1)
        refuse(op, "its input has %zu scales, one is wanted", x->scales.count);
    op->run = dequantize;
}

static void cast(const operation *op)
{
    const uint8_t *from = bytes_of(op->input[0]);
    for (size_t i = 0; i < op->output->count; i++) {
        int32_t value;
        memcpy(&value, from + 4 * i, 4);
        ((float *)(void *)op->output->data)[i] = (float)value;
    }
}

void prepare_cast(operation *op)
{
    const tensor *x = input_of(op, 0, INT32);
    want_output(op, FLOAT32);
    want_shape(op, op->output, x->shape, x->axes);
    op->run = cast;
}

/* The largest of the last axis, or the number of the first of them. */
static void largest(const operation *op)
{
    const tensor *x = op->input[0];
    const int8_t *from = bytes_of(x);
    size_t last = (size_t)x->shape[x->axes - 1];
    for (size_t row = 0; row < x->count / last; row++, from += last) {
        size_t best = 0;
        for (size_t i = 1; i < last; i++)
            best = from[i] > from[best] ? i : best;
        if (op->code == ARG_MAX)
            ((int32_t *)(void *)op->output->data)[row] = (int32_t)best;
        else
            ((int8_t *)op->output->data)[row] = from[best];
    }
}

void prepare_largest(operation *op)
{
    const tensor *x = input_of(op, 0, INT8);
    int32_t axis;
    want_output(op, op->code == ARG_MAX ? INT32 : INT8);
    if (read_constant(op, 1, 1, &axis) != 1 || x->axes == 0 || axis_of(op, axis, x->axes) != x->axes - 1 ||
        op->output->count != x->count / (size_t)x->shape[x->axes - 1])
        refuse(op, "it is no maximum over the last axis");
    if (op->code == REDUCE_MAX)
        want_same_grid(op, x, op->output);
    op->run = largest;
}
