/* From a TFLite file to a network that can run: tensors, operators, and memory for what they compute. */
#include <string.h>

#include "infer.h"

enum { MOST_BYTES = 1 << 30 }; /* of a tensor, and of all together twice that */

static size_t width_of(int type)
{
    switch (type) {
    case FLOAT32:
    case INT32:
        return 4;
    case UINT8:
    case INT8:
        return 1;
    default:
        return 0;
    }
}

/* Shape and bytes. A type that nothing here computes with has none; its operator refuses it. */
static void read_shape(tensor *into, list shape, size_t number)
{
    size_t width = width_of(into->type);
    if (shape.count > MAX_AXES)
        fail("tensor %zu has %zu axes, %d are allowed", number, shape.count, (int)MAX_AXES);
    into->axes = (int)shape.count;
    into->count = 1;
    for (size_t i = 0; i < shape.count; i++) {
        into->shape[i] = int_of(shape, i);
        if (into->shape[i] < 1 || into->count > (size_t)(MOST_BYTES / 4) / (size_t)into->shape[i])
            fail("tensor %zu has a size of %d in axis %zu", number, (int)into->shape[i], i);
        into->count *= (size_t)into->shape[i];
    }
    into->bytes = into->count * width;
}

static void read_values(tensor *into, list buffers, uint32_t buffer, size_t number)
{
    table found = buffer == 0 ? (table){buffers.in, 0} : table_of(buffers, buffer);
    list data = list_in(found, 0, 1);
    if (number_in(found, 1, 4, 0) != 0 || number_in(found, 2, 4, 0) != 0)
        fail("tensor %zu has its values outside of the tables, which this program does not read", number);
    if (data.count == 0)
        return;
    if (data.count != into->bytes && width_of(into->type) != 0)
        fail("tensor %zu has %zu bytes of values, its shape asks for %zu", number, data.count, into->bytes);
    into->constant = data.in->bytes + data.at;
    into->written = 1;
}

static void read_grid(tensor *into, table grid, size_t number)
{
    list zero_points = list_in(grid, 3, 8);
    into->scales = list_in(grid, 2, 4);
    for (size_t i = 0; i < into->scales.count; i++)
        if (!(float_of(into->scales, i) > 0 && float_of(into->scales, i) < 1e30f))
            fail("tensor %zu has a scale that is not above zero", number);
    for (size_t i = 0; i < zero_points.count; i++) {
        list halves = {zero_points.in, zero_points.at + 8 * i, 2}; /* of 64 bits the low ones */
        into->zero_point = int_of(halves, 0);
        if (into->zero_point < -128 || into->zero_point > 255 || (zero_points.count > 1 && into->zero_point))
            fail("tensor %zu has a zero point of %d", number, (int)into->zero_point);
    }
    if (into->scales.count == 1)
        into->scale = float_of(into->scales, 0);
}

static void read_tensors(network *into, list tensors, list buffers)
{
    into->tensors = tensors.count;
    into->tensor = allocate(tensors.count, sizeof *into->tensor);
    for (size_t i = 0; i < tensors.count; i++) {
        table from = table_of(tensors, i);
        into->tensor[i].type = number_in(from, 1, 1, FLOAT32);
        if (table_in(from, 6).at != 0)
            fail("tensor %zu is stored sparsely, which this program does not read", i);
        read_shape(&into->tensor[i], list_in(from, 0, 4), i);
        read_values(&into->tensor[i], buffers, (uint32_t)number_in(from, 2, 4, 0), i);
        read_grid(&into->tensor[i], table_in(from, 4), i);
    }
}

static tensor *tensor_of(const network *net, int32_t index)
{
    if (index < 0 || (size_t)index >= net->tensors)
        fail("the file is damaged: it names tensor %d of %zu", (int)index, net->tensors);
    return &net->tensor[index];
}

static void read_operands(network *into, operation *op, list inputs, list outputs)
{
    op->inputs = inputs.count;
    op->input = allocate(inputs.count + 1, sizeof(tensor *));
    for (size_t i = 0; i < inputs.count; i++) {
        if (int_of(inputs, i) == -1)
            continue;
        op->input[i] = tensor_of(into, int_of(inputs, i));
        if (!op->input[i]->written)
            refuse(op, "it reads what nothing in front of it has computed");
        op->input[i]->last = op->number;
    }
    if (outputs.count != 1)
        refuse(op, "it has %zu outputs, one is allowed", outputs.count);
    op->output = tensor_of(into, int_of(outputs, 0));
    if (op->output->written || op->output->bytes == 0)
        refuse(op, "its output was computed before, or is of a type that this program does not know");
    op->output->written = 1;
    op->output->last = op->number;
}

/* Everything of an operator, checked; afterwards running it touches nothing that is not its own. */
static void read_operation(network *into, operation *op, table from, list codes)
{
    table code = table_of(codes, (size_t)(uint32_t)number_in(from, 0, 4, 0));
    int32_t old = number_in(code, 0, 1, 0), new = number_in(code, 3, 4, 0);
    preparation prepare;
    op->code = new > old ? new : old;
    prepare = preparation_of(op->code);
    if (prepare == NULL)
        refuse(op, "this program does not know the operator");
    op->options = table_in(from, 4);
    read_operands(into, op, list_in(from, 1, 4), list_in(from, 2, 4));
    prepare(op);
}

/* Memory that tensors share, one after the other. */
typedef struct {
    size_t size, last; /* the operator behind which it is free */
    int is_used;
    uint8_t *data;
} slot;

static int suits_better(const slot *one, const slot *best, size_t bytes)
{
    int holds = one->size >= bytes;
    if (best == NULL || holds != (best->size >= bytes))
        return best == NULL || holds;
    return holds ? one->size < best->size : one->size > best->size;
}

/* The slot of a tensor that is computed by the operator ``now``: the one that has to grow least. */
static size_t slot_for(slot *slots, size_t count, const tensor *one, size_t now)
{
    slot *best = NULL;
    size_t first_unused = count;
    for (size_t i = count; i-- > 0;) {
        if (!slots[i].is_used)
            first_unused = i;
        else if (slots[i].last < now && suits_better(&slots[i], best, one->bytes))
            best = &slots[i];
    }
    if (best == NULL)
        best = &slots[first_unused];
    best->size = best->size < one->bytes ? one->bytes : best->size;
    best->last = one->last;
    best->is_used = 1;
    return (size_t)(best - slots);
}

/* Memory for everything that is computed. An input of an operator is never in the place of its output. */
static void place_tensors(network *net)
{
    size_t count = net->operations + 1, total = 0;
    slot *slots = allocate(count, sizeof *slots);
    size_t *where = allocate(count, sizeof *where);
    where[0] = slot_for(slots, count, net->input, 0);
    for (size_t i = 0; i < net->operations; i++)
        where[i + 1] = slot_for(slots, count, net->operation[i].output, i);
    for (size_t i = 0; i < count; i++)
        total += slots[i].size;
    if (total > 2 * (size_t)MOST_BYTES)
        fail("its activations take %zu bytes, %zu are allowed", total, 2 * (size_t)MOST_BYTES);
    for (size_t i = 0; i < count; i++)
        slots[i].data = slots[i].is_used ? allocate(slots[i].size, 1) : NULL;
    net->input->data = slots[where[0]].data;
    for (size_t i = 0; i < net->operations; i++)
        net->operation[i].output->data = slots[where[i + 1]].data;
}

static void read_ends(network *into, list inputs, list outputs)
{
    if (inputs.count != 1)
        fail("it takes %zu inputs, this program gives it one", inputs.count);
    into->input = tensor_of(into, int_of(inputs, 0));
    if (into->input->constant != NULL || into->input->bytes == 0)
        fail("its input is of a type that this program does not know");
    into->input->written = 1;
    into->outputs = outputs.count;
    into->output = allocate(outputs.count + 1, sizeof(tensor *));
    for (size_t i = 0; i < outputs.count; i++)
        into->output[i] = tensor_of(into, int_of(outputs, i));
}

void read_network(network *into, const file *content)
{
    table root = root_of(content);
    list graphs = list_in(root, 2, 4), codes = list_in(root, 1, 4), operations;
    table graph;
    if (graphs.count != 1)
        fail("it has %zu subgraphs, one is allowed", graphs.count);
    graph = table_of(graphs, 0);
    operations = list_in(graph, 3, 4);
    read_tensors(into, list_in(graph, 0, 4), list_in(root, 4, 4));
    read_ends(into, list_in(graph, 1, 4), list_in(graph, 2, 4));
    into->operations = operations.count;
    into->operation = allocate(operations.count, sizeof *into->operation);
    for (size_t i = 0; i < operations.count; i++) {
        into->operation[i].number = i;
        read_operation(into, &into->operation[i], table_of(operations, i), codes);
    }
    for (size_t i = 0; i < into->outputs; i++) {
        if (into->output[i]->constant != NULL || !into->output[i]->written)
            fail("output %zu is computed by nothing", i);
        into->output[i]->last = SIZE_MAX;
    }
    place_tensors(into);
}

void run_network(const network *net)
{
    for (size_t i = 0; i < net->operations; i++)
        net->operation[i].run(&net->operation[i]);
}
