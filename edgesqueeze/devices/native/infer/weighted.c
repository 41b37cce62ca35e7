/* Operators with weights: sums of int8 products in int32, brought to the output's grid by float32.
 *
 *     q = clamp(rint(float(sum) * m) + zero point),    m = input's scale * weight's scale / output's scale
 *
 * where rint rounds halves to even. It is XNNPACK's rule, by which LiteRT computes these operators.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "infer.h"

/* Biases and factors of the output channels; of each the weights lie ``step`` apart, ``apart`` from the next.
 * No sum of these can leave 32 bits: such files are refused. */
static void set_channels(operation *op, size_t channels, size_t apart, size_t step)
{
    const tensor *x = op->input[0], *w = op->input[1];
    const tensor *b = op->inputs > 2 && op->input[2] != NULL ? input_of(op, 2, INT32) : NULL;
    const int8_t *weights = (const int8_t *)w->constant;
    if (w->constant == NULL || (w->scales.count != 1 && w->scales.count != channels) || w->zero_point != 0)
        refuse(op, "its weights are no constants with one scale, or one of every channel, and zero point 0");
    if (b != NULL && (b->constant == NULL || b->count != channels))
        refuse(op, "its bias is no constant of %zu numbers", channels);
    op->bias = allocate(channels, sizeof *op->bias);
    op->multiplier = allocate(channels, sizeof *op->multiplier);
    for (size_t c = 0; c < channels; c++) {
        int64_t total = 0, absolute = 0;
        int32_t bias = 0;
        if (b != NULL)
            memcpy(&bias, b->constant + 4 * c, 4);
        for (size_t i = 0; i < w->count / channels; i++) {
            total += weights[c * apart + i * step];
            absolute += abs(weights[c * apart + i * step]);
        }
        if (absolute * 256 + llabs(bias) > INT32_MAX)
            refuse(op, "its sums can leave 32 bits");
        op->bias[c] = (int32_t)(bias - total * x->zero_point);
        op->multiplier[c] = float_of(w->scales, w->scales.count == 1 ? 0 : c) * x->scale / op->output->scale;
        if (!(op->multiplier[c] < 256))
            refuse(op, "the scales of its input, weights and output lie too far apart");
    }
}

static int8_t requantized(const operation *op, size_t channel, int32_t sum)
{
    float zero_point = (float)op->output->zero_point, value = (float)sum * op->multiplier[channel];
    float low = (float)op->low - zero_point, high = (float)op->high - zero_point;
    value = value < low ? low : value > high ? high : value;
    return (int8_t)((int32_t)rintf(value) + op->output->zero_point);
}

/* Products of one vector with four that lie ``apart``, added up. */
static void add_products(const int8_t *x, const int8_t *w, size_t apart, size_t count, int32_t sums[4])
{
    const int8_t *w1 = w + apart, *w2 = w + 2 * apart, *w3 = w + 3 * apart;
    int32_t a = 0, b = 0, c = 0, d = 0;
    for (size_t i = 0; i < count; i++) {
        a += x[i] * w[i];
        b += x[i] * w1[i];
        c += x[i] * w2[i];
        d += x[i] * w3[i];
    }
    sums[0] += a;
    sums[1] += b;
    sums[2] += c;
    sums[3] += d;
}

static int32_t products(const int8_t *x, const int8_t *w, size_t count)
{
    int32_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += x[i] * w[i];
    return sum;
}

/* -- convolutions ---------------------------------------------------------------------------------------- */

static void read_window(operation *op, int stride, int dilation)
{
    const tensor *w = op->input[1];
    for (int axis = 0; axis < 2; axis++) { /* options have columns in front of rows */
        op->window.size[axis] = w->shape[1 + axis];
        op->window.stride[axis] = number_in(op->options, stride + 1 - axis, 4, 0);
        op->window.dilation[axis] = number_in(op->options, dilation + 1 - axis, 4, 1);
    }
    set_window(op, number_in(op->options, 0, 1, 0));
}

/* The sums of some output channels, at most four, at one place. */
static void add_windows(const operation *op, const int8_t *corner, size_t channel, size_t many, int32_t *sums)
{
    const window *p = &op->window;
    const tensor *x = op->input[0], *w = op->input[1];
    size_t channels = (size_t)x->shape[3], each = (size_t)w->shape[3], columns = (size_t)p->size[1];
    size_t width = (size_t)p->padded[1] * channels, apart = w->count / (size_t)w->shape[0];
    size_t joined = p->dilation[1] == 1 && each == channels ? columns : 1; /* they lie one behind the other */
    const int8_t *weights = (const int8_t *)w->constant + channel * apart;
    for (size_t row = 0; row < (size_t)p->size[0]; row++)
        for (size_t column = 0; column < columns; column += joined) {
            size_t down = row * (size_t)p->dilation[0], across = column * (size_t)p->dilation[1];
            const int8_t *from = corner + down * width + across * channels;
            const int8_t *by = weights + (row * columns + column) * each;
            if (many == 4)
                add_products(from, by, apart, joined * each, sums);
            else
                for (size_t i = 0; i < many; i++)
                    sums[i] += products(from, by + i * apart, joined * each);
        }
}

static void conv(const operation *op)
{
    const window *p = &op->window;
    const tensor *x = op->input[0], *w = op->input[1], *y = op->output;
    const int8_t *map = padded_input(op);
    int8_t *out = (int8_t *)y->data;
    size_t channels = (size_t)x->shape[3], each = (size_t)w->shape[3], made = (size_t)y->shape[3];
    size_t width = (size_t)p->padded[1] * channels, of_group = made / (channels / each);
    for (size_t row = 0; row < (size_t)y->shape[1]; row++)
        for (size_t column = 0; column < (size_t)y->shape[2]; column++) {
            const int8_t *corner =
                map + row * (size_t)p->stride[0] * width + column * (size_t)p->stride[1] * channels;
            for (size_t c = 0, many; c < made; c += many) {
                size_t left = of_group - c % of_group;
                int32_t sums[4];
                many = left < 4 ? left : 4;
                memcpy(sums, op->bias + c, many * sizeof *sums);
                add_windows(op, corner + c / of_group * each, c, many, sums);
                for (size_t i = 0; i < many; i++)
                    *out++ = requantized(op, c + i, sums[i]);
            }
        }
}

void prepare_conv(operation *op)
{
    const tensor *w = input_of(op, 1, INT8);
    int32_t channels, each, made;
    want_maps(op);
    if (w->axes != 4)
        refuse(op, "its weights have %d axes, four are wanted", w->axes);
    channels = op->input[0]->shape[3], each = w->shape[3], made = w->shape[0];
    if (channels % each != 0 || made % (channels / each) != 0 || op->output->shape[3] != made)
        refuse(op, "its weights do not fit the channels of its input and output");
    set_limits(op, number_in(op->options, 3, 1, 0));
    read_window(op, 1, 4);
    set_channels(op, (size_t)made, w->count / (size_t)made, 1);
    op->run = conv;
}

static void depthwise(const operation *op)
{
    const window *p = &op->window;
    const tensor *x = op->input[0], *y = op->output;
    const int8_t *map = padded_input(op), *weights = (const int8_t *)op->input[1]->constant;
    int8_t *out = (int8_t *)y->data;
    size_t channels = (size_t)x->shape[3], made = (size_t)y->shape[3], each = made / channels;
    size_t width = (size_t)p->padded[1] * channels;
    int32_t *sums = op->sums;
    for (size_t place = 0; place < (size_t)y->shape[1] * (size_t)y->shape[2]; place++) {
        size_t row = place / (size_t)y->shape[2] * (size_t)p->stride[0];
        size_t column = place % (size_t)y->shape[2] * (size_t)p->stride[1];
        memcpy(sums, op->bias, made * sizeof *sums);
        for (size_t tap = 0; tap < (size_t)p->size[0] * (size_t)p->size[1]; tap++) {
            size_t down = row + tap / (size_t)p->size[1] * (size_t)p->dilation[0];
            size_t across = column + tap % (size_t)p->size[1] * (size_t)p->dilation[1];
            const int8_t *from = map + down * width + across * channels, *by = weights + tap * made;
            if (each == 1)
                for (size_t c = 0; c < channels; c++)
                    sums[c] += from[c] * by[c];
            else
                for (size_t c = 0; c < made; c++)
                    sums[c] += from[c / each] * by[c];
        }
        for (size_t c = 0; c < made; c++)
            *out++ = requantized(op, c, sums[c]);
    }
}

void prepare_depthwise(operation *op)
{
    const tensor *w = input_of(op, 1, INT8);
    int32_t made;
    want_maps(op);
    made = op->output->shape[3];
    if (w->axes != 4 || w->shape[0] != 1 || w->shape[3] != made || made % op->input[0]->shape[3] != 0)
        refuse(op, "its weights do not fit the channels of its input and output");
    set_limits(op, number_in(op->options, 4, 1, 0));
    read_window(op, 1, 5);
    set_channels(op, (size_t)made, 1, (size_t)made);
    op->sums = allocate((size_t)made, sizeof *op->sums);
    op->run = depthwise;
}

/* -- matrices -------------------------------------------------------------------------------------------- */

static void dense(const operation *op)
{
    const tensor *x = op->input[0], *w = op->input[1];
    size_t made = (size_t)w->shape[0], count = (size_t)w->shape[1];
    const int8_t *from = bytes_of(x), *weights = (const int8_t *)w->constant;
    int8_t *out = (int8_t *)op->output->data;
    for (size_t row = 0; row < x->count / count; row++, from += count)
        for (size_t c = 0, many; c < made; c += many) {
            int32_t sums[4];
            many = made - c < 4 ? made - c : 4;
            memcpy(sums, op->bias + c, many * sizeof *sums);
            if (many == 4)
                add_products(from, weights + c * count, count, count, sums);
            else
                for (size_t i = 0; i < many; i++)
                    sums[i] += products(from, weights + (c + i) * count, count);
            for (size_t i = 0; i < many; i++)
                *out++ = requantized(op, c + i, sums[i]);
        }
}

void prepare_dense(operation *op)
{
    const tensor *x = input_of(op, 0, INT8), *w = input_of(op, 1, INT8);
    want_output(op, INT8);
    if (w->axes != 2 || x->scales.count != 1 || x->count % (size_t)w->shape[1] != 0 ||
        op->output->count != x->count / (size_t)w->shape[1] * (size_t)w->shape[0])
        refuse(op, "its weights do not fit its input and output");
    if (number_in(op->options, 1, 1, 0) != 0)
        refuse(op, "its weights are shuffled, which this program does not read");
    set_limits(op, number_in(op->options, 0, 1, 0));
    set_channels(op, (size_t)w->shape[0], (size_t)w->shape[1], 1);
    op->run = dense;
}
