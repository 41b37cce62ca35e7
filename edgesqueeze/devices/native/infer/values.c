/* Operators without weights that compute: pools, sums, products, functions of single values, other types. */
#include <math.h>
#include <string.h>

#include "infer.h"

static int8_t cut(float value)
{
    return (int8_t)rintf(value > 127 ? 127 : value >= -128 ? value : -128); /* also what is no number */
}

/* -- pools ----------------------------------------------------------------------------------------------- */

static void max_pool(const operation *op)
{
    const window *p = &op->window;
    const tensor *x = op->input[0], *y = op->output;
    size_t channels = (size_t)x->shape[3];
    const int8_t *map = bytes_of(x);
    int8_t *out = (int8_t *)y->data;
    for (int32_t row = 0; row < y->shape[1]; row++)
        for (int32_t column = 0; column < y->shape[2]; column++, out += channels) {
            int32_t top = row * p->stride[0] - p->before[0], left = column * p->stride[1] - p->before[1];
            memset(out, -128, channels);
            for (int32_t i = top < 0 ? 0 : top; i < top + p->size[0] && i < x->shape[1]; i++)
                for (int32_t j = left < 0 ? 0 : left; j < left + p->size[1] && j < x->shape[2]; j++) {
                    const int8_t *from = map + ((size_t)i * (size_t)x->shape[2] + (size_t)j) * channels;
                    for (size_t c = 0; c < channels; c++)
                        out[c] = from[c] > out[c] ? from[c] : out[c];
                }
        }
}

void prepare_max_pool(operation *op)
{
    want_maps(op);
    want_same_grid(op, op->input[0], op->output);
    want_no_activation(op, 5);
    if (op->input[0]->shape[3] != op->output->shape[3])
        refuse(op, "its input and output have different channels");
    for (int axis = 0; axis < 2; axis++) {
        op->window.stride[axis] = number_in(op->options, 2 - axis, 4, 0);
        op->window.size[axis] = number_in(op->options, 4 - axis, 4, 0);
        op->window.dilation[axis] = 1;
    }
    set_window(op, number_in(op->options, 0, 1, 0));
    op->run = max_pool;
}

/* XNNPACK's mean: the zero point is taken off behind the product, everything is rounded to float32. */
static void mean(const operation *op)
{
    const tensor *x = op->input[0];
    size_t channels = (size_t)x->shape[3];
    const int8_t *map = bytes_of(x);
    memset(op->sums, 0, channels * sizeof *op->sums);
    for (size_t place = 0; place < x->count / channels; place++, map += channels)
        for (size_t c = 0; c < channels; c++)
            op->sums[c] += map[c];
    for (size_t c = 0; c < channels; c++) {
        float product = (float)op->sums[c] * op->scale;
        ((int8_t *)op->output->data)[c] = cut(product + op->offset);
    }
}

void prepare_mean(operation *op)
{
    const tensor *x = input_of(op, 0, INT8), *y = op->output;
    int32_t axes[MAX_AXES];
    size_t count = read_constant(op, 1, MAX_AXES, axes);
    float area;
    want_output(op, INT8);
    if (x->axes != 4 || x->shape[0] != 1 || x->scales.count != 1 || count != 2 ||
        axis_of(op, axes[0], 4) + axis_of(op, axes[1], 4) != 3 || axes[0] == axes[1] ||
        axis_of(op, axes[0], 4) % 3 == 0 || y->count != (size_t)x->shape[3])
        refuse(op, "it is no mean over rows and columns of one map");
    if (x->count / (size_t)x->shape[3] > 1 << 23)
        refuse(op, "its map has more than 8 million places");
    area = (float)(x->count / (size_t)x->shape[3]);
    op->scale = x->scale / y->scale * (1 / area);
    op->offset = (float)x->zero_point * area * op->scale;
    op->offset = (float)y->zero_point - op->offset;
    op->sums = allocate((size_t)x->shape[3], sizeof *op->sums);
    op->run = mean;
}

/* -- of two tensors -------------------------------------------------------------------------------------- */

/* A row of the last axis; an input of one value there is repeated. */
typedef void (*of_rows)(const operation *, const int8_t *, size_t, const int8_t *, size_t, int8_t *, size_t);

static void each_row(const operation *op, of_rows row)
{
    const tensor *y = op->output;
    size_t last = (size_t)y->shape[y->axes - 1];
    for (size_t first = 0; first < y->count; first += last) {
        const int8_t *from[2];
        size_t step[2];
        for (int side = 0; side < 2; side++) {
            const tensor *x = op->input[side];
            size_t left = first / last, at = 0, apart = 1;
            int missing = y->axes - x->axes;
            step[side] = x->axes > 0 && x->shape[x->axes - 1] > 1;
            apart = x->axes > 0 ? (size_t)x->shape[x->axes - 1] : 1;
            for (int axis = y->axes - 2; axis >= missing && axis >= 0; axis--) {
                size_t place = left % (size_t)y->shape[axis], size = (size_t)x->shape[axis - missing];
                at += size > 1 ? place * apart : 0;
                apart *= size;
                left /= (size_t)y->shape[axis];
            }
            from[side] = (const int8_t *)bytes_of(x) + at;
        }
        row(op, from[0], step[0], from[1], step[1], (int8_t *)y->data + first, last);
    }
}

/* Two int8 inputs that can be repeated to the shape of the output. */
static void want_two(operation *op)
{
    const tensor *y = op->output;
    want_output(op, INT8);
    if (op->inputs != 2 || y->axes == 0)
        refuse(op, "it has %zu inputs, two are wanted", op->inputs);
    for (size_t side = 0; side < 2; side++) {
        const tensor *x = input_of(op, side, INT8);
        if (x->axes > y->axes || x->scales.count != 1)
            refuse(op, "its inputs do not fit its output");
        for (int axis = 0; axis < x->axes; axis++)
            if (x->shape[axis] != 1 && x->shape[axis] != y->shape[axis + y->axes - x->axes])
                refuse(op, "its inputs do not fit its output");
    }
}

/* XNNPACK's sum in fixed point: factors of 20 to 21 bits, halves rounded up. */
static void add_row(const operation *op, const int8_t *a, size_t step_a, const int8_t *b, size_t step_b,
                    int8_t *out, size_t count)
{
    int32_t zero_a = op->input[0]->zero_point, zero_b = op->input[1]->zero_point;
    for (size_t i = 0; i < count; i++) {
        int32_t total = (a[i * step_a] - zero_a) * op->factors[0] + (b[i * step_b] - zero_b) * op->factors[1];
        total = ((total + ((int32_t)1 << (op->shift - 1))) >> op->shift) + op->output->zero_point;
        out[i] = (int8_t)(total < op->low ? op->low : total > op->high ? op->high : total);
    }
}

static void add(const operation *op)
{
    each_row(op, add_row);
}

void prepare_add(operation *op)
{
    double ratio[2];
    int exponent;
    want_two(op);
    set_limits(op, number_in(op->options, 0, 1, 0));
    for (int side = 0; side < 2; side++) {
        ratio[side] = op->input[side]->scale / op->output->scale;
        if (!(ratio[side] >= 1.0 / 1024 && ratio[side] < 256))
            refuse(op, "the scales of its inputs and output lie too far apart");
    }
    frexp(ratio[0] > ratio[1] ? ratio[0] : ratio[1], &exponent);
    op->shift = 21 - exponent;
    for (int side = 0; side < 2; side++)
        op->factors[side] = (int32_t)rint(ldexp(ratio[side], op->shift));
    op->run = add;
}

static void mul_row(const operation *op, const int8_t *a, size_t step_a, const int8_t *b, size_t step_b,
                    int8_t *out, size_t count)
{
    int32_t zero_a = op->input[0]->zero_point, zero_b = op->input[1]->zero_point;
    for (size_t i = 0; i < count; i++) {
        float product = (float)((a[i * step_a] - zero_a) * (b[i * step_b] - zero_b)) * op->scale;
        out[i] = cut(rintf(product) + (float)op->output->zero_point);
    }
}

static void mul(const operation *op)
{
    each_row(op, mul_row);
}

void prepare_mul(operation *op)
{
    want_two(op);
    want_no_activation(op, 0);
    op->scale = op->input[0]->scale * op->input[1]->scale / op->output->scale;
    if (!(op->scale >= 1.0f / 65536 && op->scale < 256))
        refuse(op, "the scales of its inputs and output lie too far apart");
    op->run = mul;
}

static void extreme_row(const operation *op, const int8_t *a, size_t step_a, const int8_t *b, size_t step_b,
                        int8_t *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int8_t one = a[i * step_a], other = b[i * step_b];
        out[i] = (one > other) == (op->code == MAXIMUM) ? one : other;
    }
}

static void extreme(const operation *op)
{
    each_row(op, extreme_row);
}

void prepare_extreme(operation *op)
{
    want_two(op);
    want_same_grid(op, op->input[0], op->output);
    want_same_grid(op, op->input[1], op->output);
    op->run = extreme;
}

/* -- functions of single values -------------------------------------------------------------------------- */

static void look_up(const operation *op)
{
    const int8_t *from = bytes_of(op->input[0]);
    for (size_t i = 0; i < op->output->count; i++)
        ((int8_t *)op->output->data)[i] = op->values[from[i] + 128];
}

void prepare_function(operation *op)
{
    const tensor *x = input_of(op, 0, INT8), *y = op->output;
    want_output(op, INT8);
    want_shape(op, y, x->shape, x->axes);
    op->values = allocate(256, 1);
    for (int32_t q = -128; q < 128; q++) {
        double real = (double)(q - x->zero_point) * (double)x->scale;
        real = op->code == TANH ? tanh(real) : 1 / (1 + exp(-real));
        op->values[q + 128] = cut((float)rint(real / (double)y->scale) + (float)y->zero_point);
    }
    op->run = look_up;
}

/* Softmax of the last axis: powers from a table in float32, as LiteRT's own kernel has them. */
static void softmax(const operation *op)
{
    const tensor *x = op->input[0];
    size_t last = (size_t)x->shape[x->axes - 1];
    for (size_t first = 0; first < x->count; first += last) {
        const int8_t *from = (const int8_t *)bytes_of(x) + first;
        int8_t *out = (int8_t *)op->output->data + first;
        float sum = 0, share;
        int32_t most = -128;
        for (size_t i = 0; i < last; i++)
            most = from[i] > most ? from[i] : most;
        for (size_t i = 0; i < last; i++)
            sum += op->multiplier[most - from[i]];
        share = 1 / (sum * op->output->scale);
        for (size_t i = 0; i < last; i++) {
            float product = op->multiplier[most - from[i]] * share;
            out[i] = cut(rintf(product) + (float)op->output->zero_point);
        }
    }
}

void prepare_softmax(operation *op)
{
    const tensor *x = input_of(op, 0, INT8), *y = op->output;
    want_output(op, INT8);
    want_shape(op, y, x->shape, x->axes);
    if (x->axes == 0 || x->scales.count != 1 || real_in(op->options, 0, 0) != 1)
        refuse(op, "its beta is not 1, or its input no vector on one grid");
    op->multiplier = allocate(256, sizeof *op->multiplier);
    for (int i = 0; i < 256; i++)
        op->multiplier[i] = expf(-x->scale * (float)i);
    op->run = softmax;
}

