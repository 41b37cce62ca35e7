/* Operators that bring a map to another size. */
#include <math.h>
#include <string.h>

#include "infer.h"

enum { ONE = 1 << 11 }; /* of XNNPACK's weights in fixed point */

static void want_resize(operation *op)
{
    const tensor *x, *y = op->output;
    int32_t size[2];
    want_maps(op);
    x = op->input[0];
    want_same_grid(op, x, y);
    if (read_constant(op, 1, 2, size) != 2 || size[0] != y->shape[1] || size[1] != y->shape[2] ||
        x->shape[3] != y->shape[3])
        refuse(op, "its size does not fit its output");
}

static void nearest(const operation *op)
{
    const tensor *x = op->input[0], *y = op->output;
    size_t channels = (size_t)x->shape[3];
    const int8_t *from = bytes_of(x);
    uint8_t *out = y->data;
    for (int64_t row = 0; row < y->shape[1]; row++)
        for (int64_t column = 0; column < y->shape[2]; column++, out += channels) {
            size_t down = (size_t)(row * x->shape[1] / y->shape[1]);
            size_t across = (size_t)(column * x->shape[2] / y->shape[2]);
            memcpy(out, from + (down * (size_t)x->shape[2] + across) * channels, channels);
        }
}

void prepare_nearest(operation *op)
{
    want_resize(op);
    if (number_in(op->options, 0, 1, 0) != 0 || number_in(op->options, 1, 1, 0) != 0)
        refuse(op, "it aligns corners or centers, which this program does not know of it");
    op->run = nearest;
}

/* Of a place of the output, those in front and behind in the input, and the weight of the one behind. */
typedef struct {
    int32_t front, behind, weight;
} between;

static between between_of(const operation *op, int axis, int32_t at)
{
    int32_t length = op->input[0]->shape[1 + axis], size = op->output->shape[1 + axis];
    float place = (float)at;
    between found;
    if (op->shift) /* corners are aligned */
        place = place * ((float)(length - 1) / (float)(size > 1 ? size - 1 : 1));
    else
        place = (place + 0.5f) * ((float)length / (float)size) - 0.5f;
    place = place < 0 ? 0 : place > (float)(length - 1) ? (float)(length - 1) : place;
    found.front = (int32_t)place;
    found.behind = found.front + 1 < length ? found.front + 1 : length - 1;
    found.weight = (int32_t)rintf((place - (float)found.front) * ONE);
    return found;
}

static void bilinear(const operation *op)
{
    const tensor *x = op->input[0], *y = op->output;
    size_t channels = (size_t)x->shape[3], width = (size_t)x->shape[2] * channels;
    const int8_t *map = bytes_of(x);
    int8_t *out = (int8_t *)y->data;
    for (int32_t row = 0; row < y->shape[1]; row++)
        for (int32_t column = 0; column < y->shape[2]; column++, out += channels) {
            between down = between_of(op, 0, row), across = between_of(op, 1, column);
            const int8_t *top = map + (size_t)down.front * width, *bottom = map + (size_t)down.behind * width;
            size_t left = (size_t)across.front * channels, right = (size_t)across.behind * channels;
            for (size_t c = 0; c < channels; c++) {
                int32_t a = top[left + c], b = top[right + c], e = bottom[left + c], f = bottom[right + c];
                int32_t upper = a * ONE + (b - a) * across.weight, lower = e * ONE + (f - e) * across.weight;
                int32_t total = upper * ONE + (lower - upper) * down.weight;
                out[c] = (int8_t)((total + ONE * ONE / 2) >> 22);
            }
        }
}

void prepare_bilinear(operation *op)
{
    want_resize(op);
    op->shift = number_in(op->options, 2, 1, 0);
    if (!op->shift && !number_in(op->options, 3, 1, 0))
        refuse(op, "it aligns neither corners nor centers, which this program does not know of it");
    op->run = bilinear;
}
