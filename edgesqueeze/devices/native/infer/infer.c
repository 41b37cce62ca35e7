/* Runs an int8 TFLite file on any Linux: no library is needed but libc and libm.
 *
 *     infer MODEL.tflite INPUTS OUTPUTS                 answers every input of a file of inputs
 *     infer MODEL.tflite INPUTS --time ROUNDS WARM_UP   times the first one, in rounds, after so many seconds
 *     infer MODEL.tflite INPUTS --sustain SECONDS       the same for so long without a rest
 *
 * INPUTS and OUTPUTS are tensors as the file has them, one behind the other. Times are printed as JSON, in
 * seconds. What cannot be run is one sentence and exit code 2.
 */
#define _POSIX_C_SOURCE 200809L

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "infer.h"

/* In front of what allocate() gives; all of it is freed at the end. */
typedef union block {
    union block *next;
    long double aligned;
} block;

static block *blocks;
static size_t allocated_bytes;

static void free_everything(void)
{
    while (blocks != NULL) {
        block *next = blocks->next;
        free(blocks);
        blocks = next;
    }
}

#ifdef __GNUC__
__attribute__((noreturn, format(printf, 1, 0)))
#endif
static void
say(const char *format, va_list rest)
{
    vfprintf(stderr, format, rest);
    fputc('\n', stderr);
    free_everything();
    exit(2);
}

void fail(const char *format, ...)
{
    va_list rest;
    va_start(rest, format);
    fputs("error: ", stderr);
    say(format, rest);
}

void refuse(const operation *op, const char *format, ...)
{
    va_list rest;
    va_start(rest, format);
    fprintf(stderr, "error: operator %zu, %s: ", op->number, name_of(op->code));
    say(format, rest);
}

void *allocate(size_t count, size_t size)
{
    block *made = NULL;
    count = count == 0 ? 1 : count;
    if (size <= (SIZE_MAX - sizeof *made) / count)
        made = calloc(1, sizeof *made + count * size);
    if (made == NULL)
        fail("there is no memory for %zu times %zu bytes", count, size);
    made->next = blocks;
    blocks = made;
    allocated_bytes += count * size;
    return made + 1;
}

static file read_file(const char *path)
{
    FILE *from = fopen(path, "rb");
    long size = -1;
    uint8_t *bytes;
    if (from != NULL && fseek(from, 0, SEEK_END) == 0)
        size = ftell(from);
    if (size < 0 || size > 1 << 30 || fseek(from, 0, SEEK_SET) != 0)
        fail("%s cannot be read, or has more than a GB", path);
    bytes = allocate((size_t)size, 1);
    if (fread(bytes, 1, (size_t)size, from) != (size_t)size)
        fail("%s cannot be read", path);
    fclose(from);
    return (file){bytes, (size_t)size};
}

/* -- times ----------------------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec time;
    if (clock_gettime(CLOCK_MONOTONIC, &time) != 0)
        fail("this machine has no clock");
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static double worked(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* Seconds of one inference, the mean of so many. */
static double seconds_of(const network *net, long repeats)
{
    double begin = now();
    for (long i = 0; i < repeats; i++)
        run_network(net);
    return (now() - begin) / (double)repeats;
}

static void print_list(const char *name, const double *values, long count)
{
    printf("\"%s\": [", name);
    for (long i = 0; i < count; i++)
        printf("%s%.9f", i ? ", " : "", values[i]);
    fputs("]", stdout);
}

static void time_rounds(const network *net, double load, long rounds, double warm_up)
{
    double *times = allocate((size_t)rounds, sizeof *times);
    double first = seconds_of(net, 1), end = now() + warm_up, one, wall, cpu;
    long repeats;
    while (now() < end)
        run_network(net);
    one = seconds_of(net, 1);
    repeats = one < 0.005 ? (long)(0.005 / (one > 1e-7 ? one : 1e-7)) : 1;
    wall = now(), cpu = worked();
    for (long i = 0; i < rounds; i++)
        times[i] = seconds_of(net, repeats);
    printf("{\"load_s\": %.9f, \"first_s\": %.9f, \"cpu_share\": %.4f, \"heap_bytes\": %zu, ", load, first,
           (worked() - cpu) / (now() - wall), allocated_bytes);
    print_list("times_s", times, rounds);
    puts("}");
}

/* Windows of a second: when each ended, and what an inference took in it. */
static void sustain(const network *net, double seconds)
{
    long most = (long)seconds + 2, windows = 0, inferences = 0;
    double *ends = allocate((size_t)most, sizeof *ends), *times = allocate((size_t)most, sizeof *times);
    double begin = now();
    while (windows < most && (windows == 0 || ends[windows - 1] < seconds)) {
        double start = now(), spent = 0;
        long count = 0;
        for (; spent < 1; spent = now() - start, count++)
            run_network(net);
        times[windows] = spent / (double)count;
        ends[windows++] = now() - begin;
        inferences += count;
    }
    printf("{\"inferences\": %ld, ", inferences);
    print_list("ends_s", ends, windows);
    fputs(", ", stdout);
    print_list("times_s", times, windows);
    puts("}");
}

/* -- the command ----------------------------------------------------------------------------------------- */

static void answer(const network *net, const file *inputs, const char *path)
{
    size_t count = inputs->size / net->input->bytes, each = 0, at = 0;
    uint8_t *answers;
    FILE *to;
    int is_written;
    for (size_t i = 0; i < net->outputs; i++)
        each += net->output[i]->bytes;
    answers = allocate(count, each);
    for (size_t n = 0; n < count; n++) {
        memcpy(net->input->data, inputs->bytes + n * net->input->bytes, net->input->bytes);
        run_network(net);
        for (size_t i = 0; i < net->outputs; at += net->output[i++]->bytes)
            memcpy(answers + at, net->output[i]->data, net->output[i]->bytes);
    }
    to = fopen(path, "wb");
    is_written = to != NULL && fwrite(answers, 1, at, to) == at;
    if ((to != NULL && fclose(to) != 0) || !is_written) {
        remove(path);
        fail("%s cannot be written", path);
    }
}

/* A number of the command line, within limits. */
static double number_of(const char *text, double least, double most)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= least && value <= most))
        fail("%s is no number from %g to %g", text, least, most);
    return value;
}

int main(int argc, char **argv)
{
    network net = {0};
    file inputs;
    double begin = now();
    int is_timed = argc == 6 && strcmp(argv[3], "--time") == 0;
    int is_sustained = argc == 5 && strcmp(argv[3], "--sustain") == 0;
    if (argc != 4 && !is_timed && !is_sustained)
        fail("infer MODEL.tflite INPUTS OUTPUTS | --time ROUNDS WARM_UP | --sustain SECONDS");
    net.content = read_file(argv[1]);
    read_network(&net, &net.content);
    begin = now() - begin;
    inputs = read_file(argv[2]);
    if (inputs.size == 0 || inputs.size % net.input->bytes != 0)
        fail("%s has %zu bytes, inputs of %zu are wanted", argv[2], inputs.size, net.input->bytes);
    memcpy(net.input->data, inputs.bytes, net.input->bytes);
    if (is_timed)
        time_rounds(&net, begin, (long)number_of(argv[4], 1, 1e6), number_of(argv[5], 0, 86400));
    else if (is_sustained)
        sustain(&net, number_of(argv[4], 0, 86400));
    else
        answer(&net, &inputs, argv[3]);
    free_everything();
    return 0;
}
