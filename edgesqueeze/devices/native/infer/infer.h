/* What the parts of infer.c share: a network of a TFLite file, ready to run. C99, libc and libm. */
#ifndef INFER_H_
#define INFER_H_

#include <stddef.h>
#include <stdint.h>

enum { MAX_AXES = 6 };
enum { /* BuiltinOperator: what can be run */
    ADD = 0, CONCATENATION = 2, CONV_2D = 3, DEPTHWISE_CONV_2D = 4, DEPTH_TO_SPACE = 5, DEQUANTIZE = 6,
    FULLY_CONNECTED = 9, LOGISTIC = 14, MAX_POOL_2D = 17, MUL = 18, RESHAPE = 22, RESIZE_BILINEAR = 23,
    SOFTMAX = 25, TANH = 28, PAD = 34, TRANSPOSE = 39, MEAN = 40, STRIDED_SLICE = 45, CAST = 53, MAXIMUM
    = 55, ARG_MAX = 56, MINIMUM = 57, PADV2 = 60, SLICE = 65, REDUCE_MAX = 82, RESIZE_NEAREST_NEIGHBOR =
    97, MIRROR_PAD = 100, QUANTIZE = 114
};
enum { FLOAT32 = 0, INT32 = 2, UINT8 = 3, INT8 = 9 }; /* TensorType of the schema */

typedef struct {
    const uint8_t *bytes;
    size_t size;
} file;

/* A table of a flatbuffer; at is 0 where there is none. */
typedef struct {
    const file *in;
    size_t at;
} table;

/* The elements of a vector of a flatbuffer. */
typedef struct {
    const file *in;
    size_t at, count;
} list;

typedef struct {
    int type, axes;
    int32_t shape[MAX_AXES];
    size_t count, bytes;
    const uint8_t *constant; /* its values in the file, at any address; NULL of what is computed */
    uint8_t *data;           /* where its values are */
    list scales;             /* of its grid: none, one, or one of every channel */
    float scale;
    int32_t zero_point;
    size_t last; /* the operator that reads it last */
    int written;
} tensor;

/* Where a window of a map stands, [rows, columns]. */
typedef struct {
    int32_t size[2], stride[2], dilation[2];
    int32_t before[2], padded[2]; /* rows in front of the map; of the map with what is put around it */
} window;

/* An operator; below its tensors what prepare() has found. */
typedef struct operation operation;
struct operation {
    int code;
    size_t number, inputs, outputs;
    tensor **input; /* NULL where an optional one is left out */
    tensor *output;
    table options;
    void (*run)(const operation *);
    window window;
    int32_t *bias; /* of every output channel, the input's zero point times the weights taken off */
    float *multiplier;
    int32_t low, high; /* what the fused activation lets through */
    int32_t factors[2], shift;
    float scale, offset;
    int32_t numbers[2 * MAX_AXES]; /* places, sizes or amounts */
    int8_t *values;                /* of a function, for every integer from -128 to 127 */
    uint8_t *scratch; /* the padded input */
    int32_t *sums;    /* of every output channel of a depthwise convolution */
};

typedef struct {
    file content;
    size_t tensors, operations;
    tensor *tensor;
    operation *operation;
    tensor *input;
    size_t outputs;
    tensor **output;
} network;

#ifdef __GNUC__
#define SAYS(place) __attribute__((noreturn, format(printf, place, place + 1)))
#else
#define SAYS(place)
#endif

/* Says one sentence and ends the program, exit code 2. */
void fail(const char *format, ...) SAYS(1);
/* Likewise, about an operator. */
void refuse(const operation *op, const char *format, ...) SAYS(2);
/* Zeroed memory that is freed when the program ends. */
void *allocate(size_t count, size_t size);

/* flatbuffer.c: whatever points out of the file ends the program. */
table root_of(const file *content);
int32_t number_in(table from, int slot, size_t width, int32_t otherwise);
float real_in(table from, int slot, float otherwise);
table table_in(table from, int slot);
list list_in(table from, int slot, size_t width);
table table_of(list from, size_t index);
int32_t int_of(list from, size_t index);
float float_of(list from, size_t index);

/* network.c */
void read_network(network *into, const file *content);
void run_network(const network *net);
const char *name_of(int code);

/* kinds.c: of every operator that is known the function that checks it and sets run; NULL of others. */
typedef void (*preparation)(operation *);
preparation preparation_of(int code);

/* prepare.c: what preparations and kernels have in common. */
tensor *input_of(const operation *op, size_t index, int type);
const void *bytes_of(const tensor *one);
void want_output(const operation *op, int type);
void want_maps(const operation *op);
void want_shape(const operation *op, const tensor *found, const int32_t *shape, int axes);
void want_same_grid(const operation *op, const tensor *one, const tensor *other);
void want_no_activation(const operation *op, int slot);
size_t read_constant(const operation *op, size_t index, size_t most, int32_t *into);
int axis_of(const operation *op, int32_t axis, int axes);
void set_limits(operation *op, int activation);
void set_window(operation *op, int padding);
const int8_t *padded_input(const operation *op);

/* weighted.c, values.c, types.c, moves.c, resize.c */
void prepare_conv(operation *op);
void prepare_depthwise(operation *op);
void prepare_dense(operation *op);
void prepare_max_pool(operation *op);
void prepare_mean(operation *op);
void prepare_add(operation *op);
void prepare_mul(operation *op);
void prepare_extreme(operation *op);
void prepare_function(operation *op);
void prepare_softmax(operation *op);
void prepare_quantize(operation *op);
void prepare_dequantize(operation *op);
void prepare_largest(operation *op);
void prepare_cast(operation *op);
void prepare_concatenation(operation *op);
void prepare_reshape(operation *op);
void prepare_pad(operation *op);
void prepare_mirror_pad(operation *op);
void prepare_slice(operation *op);
void prepare_transpose(operation *op);
void prepare_nearest(operation *op);
void prepare_bilinear(operation *op);
void prepare_depth_to_space(operation *op);

#endif
