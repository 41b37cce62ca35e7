/* Decodes many .sqz files in one process. Standard input: for each a u32 length and its bytes. Standard output:
 * for each one line: status, number of files, peak of memory, a digest of the written bytes that does not depend on
 * the order in which they are written, and seconds of CPU. */
#include <stdlib.h>
#include <time.h>

static void *counted_malloc(size_t size);
static void counted_free(void *memory);
#define SQZ_MALLOC counted_malloc
#define SQZ_FREE counted_free
#define UNSQUEEZE_NO_MAIN
#include "unsqueeze.c"

#define LIMIT ((size_t)1 << 30)
#define LARGEST_OUTPUT ((uint64_t)1 << 24)

static size_t used, peak;

typedef union {
    size_t size;
    double alignment[2];
} header;

static void *counted_malloc(size_t size)
{
    header *memory;
    if (size > LIMIT - used)
        return NULL;
    memory = malloc(sizeof *memory + size);
    if (memory == NULL)
        return NULL;
    memory->size = size;
    used += size;
    peak = used > peak ? used : peak;
    return memory + 1;
}

static void counted_free(void *memory)
{
    header *start = (header *)memory - 1;
    used -= start->size;
    free(start);
}

static int digest(void *context, size_t file, uint64_t offset, const uint8_t *data, size_t size)
{
    uint64_t *sum = context;
    for (size_t i = 0; i < size; i++) {
        uint64_t x = (offset + i) * 256 + data[i] + ((uint64_t)file << 48);
        x = (x ^ x >> 31) * 0x9E3779B97F4A7C15u;
        *sum += x ^ x >> 29;
    }
    return 0;
}

int main(void)
{
    uint8_t head[4];
    while (fread(head, 1, 4, stdin) == 4) {
        size_t size = little_endian(head);
        uint8_t *data = malloc(size > 0 ? size : 1); /* exactly: one byte too far is found */
        sqz_model *model = NULL;
        uint64_t sum = 0, total = 0;
        if (data == NULL || fread(data, 1, size, stdin) != size)
            return 1;
        clock_t began = clock();
        peak = 0;
        sqz_status status = sqz_open(data, size, &model);
        size_t count = status == SQZ_OK ? sqz_num_files(model) : 0;
        for (size_t i = 0; i < count; i++)
            total += sqz_file_size(model, i);
        if (status == SQZ_OK && total <= LARGEST_OUTPUT)
            status = sqz_fill(model, digest, &sum);
        else if (status == SQZ_OK)
            count = 99; /* too large to be worth the time */
        sqz_close(model);
        printf("%d %zu %zu %016llx %f\n", (int)status, status == SQZ_OK ? count : 0, peak,
               status == SQZ_OK ? (unsigned long long)sum : 0ULL, (double)(clock() - began) / CLOCKS_PER_SEC);
        fflush(stdout);
        free(data);
        if (used != 0)
            return 3; /* memory was lost */
    }
    return 0;
}
