/* A plugin of qemu (API version 1) that counts A64 instructions between two marks of the guest.
 *
 *     cc -O2 -shared -fPIC -o count.so count.c
 *     qemu-aarch64 -plugin count.so,out=FILE,blocks=400 PROGRAM
 *
 * A mark is the system call getpriority(PRIO_USER, 0xE5NNNN): it changes nothing, and needs no library. NNNN 1
 * begins, 2 writes a line of JSON to FILE: the instructions by class, and the basic blocks in which most of
 * them were executed, with how often and with their code.
 *
 * A block counts when it is entered, so an instruction that faults is counted with those behind it. There is no
 * header of qemu's in Debian; what is used of it is declared here.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { QEMU_PLUGIN_INLINE_ADD_U64 };
typedef void (*translated)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*called)(qemu_plugin_id_t, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                       uint64_t, uint64_t, uint64_t);
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translated);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
extern void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, called);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
int qemu_plugin_version = 1;

#define GETPRIORITY 141 /* of aarch64's Linux */
enum { BEGIN = 1, END = 2, MARK = 0xE5 };
enum { MEMORY, VECTOR, REGISTER, IMMEDIATE, BRANCH, OTHER, NUM_CLASSES };
static const char *const names[NUM_CLASSES] = {"memory", "vector", "register", "immediate", "branch", "other"};

typedef struct block {
    uint64_t address, count, seen; /* seen: count when it was looked at; other threads go on */
    uint32_t size, *code;
    struct block *next;
} block;

static block *blocks;
static size_t num_shown;
static FILE *output;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The top level of the A64 encoding (Arm Architecture Reference Manual, C4.1): bits 28 to 25. */
static int class_of(uint32_t word)
{
    uint32_t op0 = word >> 25 & 15;
    if ((op0 & 5) == 4)
        return MEMORY;
    if ((op0 & 7) == 7)
        return VECTOR;
    if ((op0 & 7) == 5)
        return REGISTER;
    if ((op0 & 14) == 8)
        return IMMEDIATE;
    return (op0 & 14) == 10 ? BRANCH : OTHER;
}

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL)
        abort();
    return memory;
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    block *b = allocate(sizeof *b);
    (void)id;
    b->address = qemu_plugin_tb_vaddr(tb);
    b->size = (uint32_t)qemu_plugin_tb_n_insns(tb);
    b->code = allocate(4 * (size_t)b->size);
    for (uint32_t i = 0; i < b->size; i++)
        memcpy(&b->code[i], qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i)), 4);
    pthread_mutex_lock(&lock);
    b->next = blocks;
    blocks = b;
    pthread_mutex_unlock(&lock);
    qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &b->count, 1);
}

static int costlier(const void *one, const void *other)
{
    const block *a = *(block *const *)one, *b = *(block *const *)other;
    uint64_t p = a->seen * a->size, q = b->seen * b->size;
    if (p != q)
        return p < q ? 1 : -1;
    return (a->address > b->address) - (a->address < b->address);
}

static void write_block(const block *b, const char *comma)
{
    fprintf(output, "%s{\"count\": %" PRIu64 ", \"code\": \"", comma, b->seen);
    for (uint32_t i = 0; i < b->size; i++)
        fprintf(output, "%08" PRIx32, b->code[i]);
    fputs("\"}", output);
}

static void report(void)
{
    uint64_t of_class[NUM_CLASSES] = {0}, total = 0;
    size_t executed = 0, i = 0;
    block **found;
    for (block *b = blocks; b != NULL; b = b->next) {
        b->seen = b->count;
        executed += b->seen > 0;
    }
    found = allocate((executed + 1) * sizeof *found);
    for (block *b = blocks; b != NULL; b = b->next) {
        if (b->seen == 0)
            continue;
        found[i++] = b;
        total += b->seen * b->size;
        for (uint32_t k = 0; k < b->size; k++)
            of_class[class_of(b->code[k])] += b->seen;
    }
    qsort(found, executed, sizeof *found, costlier);
    fprintf(output, "{\"instructions\": %" PRIu64 ", \"classes\": {", total);
    for (int k = 0; k < NUM_CLASSES; k++)
        fprintf(output, "%s\"%s\": %" PRIu64, k ? ", " : "", names[k], of_class[k]);
    fputs("}, \"blocks\": [", output);
    for (i = 0; i < executed && i < num_shown; i++)
        write_block(found[i], i ? ", " : "");
    fputs("]}\n", output);
    fflush(output);
    free(found);
}

static void call(qemu_plugin_id_t id, unsigned cpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3,
                 uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id, (void)cpu, (void)a1, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number != GETPRIORITY || (a2 >> 16 & 0xFFFF) != MARK)
        return;
    pthread_mutex_lock(&lock);
    if ((a2 & 0xFFFF) == END)
        report();
    for (block *b = blocks; b != NULL; b = b->next)
        b->count = 0;
    pthread_mutex_unlock(&lock);
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "out=", 4) == 0)
            output = fopen(argv[i] + 4, "w");
        if (strncmp(argv[i], "blocks=", 7) == 0)
            num_shown = strtoul(argv[i] + 7, NULL, 10);
    }
    if (output == NULL)
        return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    qemu_plugin_register_vcpu_syscall_cb(id, call);
    return 0;
}
