/* Reads flatbuffers. Every place is compared with the size of the file before it is read. */
#include <string.h>

#include "infer.h"

/* An unsigned number of so many bytes, the lowest first. */
static uint64_t little(const file *in, size_t at, size_t width)
{
    uint64_t value = 0;
    if (at > in->size || width > in->size - at)
        fail("the file is damaged: it points behind its end");
    for (size_t i = 0; i < width; i++)
        value |= (uint64_t)in->bytes[at + i] << 8 * i;
    return value;
}

static int32_t signed_of(uint64_t value, size_t width)
{
    if (width == 1)
        return (int32_t)value - (value > 127 ? 256 : 0);
    return value > INT32_MAX ? (int32_t)((int64_t)value - ((int64_t)1 << 32)) : (int32_t)value;
}

/* The place that a number at a place points at. */
static size_t target_of(const file *in, size_t at)
{
    size_t offset = (size_t)little(in, at, 4);
    if (offset > in->size - at)
        fail("the file is damaged: it points behind its end");
    return at + offset;
}

table root_of(const file *content)
{
    table root = {content, 0};
    if (content->size < 8 || memcmp(content->bytes + 4, "TFL3", 4) != 0)
        fail("it is no TFLite file");
    root.at = target_of(content, 0);
    little(content, root.at, 4);
    return root;
}

/* Where a field of a table lies, 0 where it is left out. */
static size_t place_of(table from, int slot)
{
    int64_t fields;
    size_t offset;
    if (from.at == 0)
        return 0;
    fields = (int64_t)from.at - signed_of(little(from.in, from.at, 4), 4);
    if (fields < 0)
        fail("the file is damaged: it points in front of its beginning");
    offset = 4 + 2 * (size_t)slot;
    if (offset + 2 > little(from.in, (size_t)fields, 2))
        return 0;
    offset = (size_t)little(from.in, (size_t)fields + offset, 2);
    return offset == 0 ? 0 : from.at + offset;
}

int32_t number_in(table from, int slot, size_t width, int32_t otherwise)
{
    size_t place = place_of(from, slot);
    return place == 0 ? otherwise : signed_of(little(from.in, place, width), width);
}

table table_in(table from, int slot)
{
    size_t place = place_of(from, slot);
    table found = {from.in, place == 0 ? 0 : target_of(from.in, place)};
    return found;
}

list list_in(table from, int slot, size_t width)
{
    size_t place = place_of(from, slot);
    list found = {from.in, 0, 0};
    if (place == 0)
        return found;
    place = target_of(from.in, place);
    found.count = (size_t)little(from.in, place, 4);
    found.at = place + 4;
    if (found.at > from.in->size || found.count > (from.in->size - found.at) / width)
        fail("the file is damaged: a vector is longer than the file");
    return found;
}

static size_t element_of(list from, size_t index, size_t width)
{
    if (index >= from.count)
        fail("the file is damaged: it asks for number %zu of %zu", index, from.count);
    return from.at + index * width;
}

table table_of(list from, size_t index)
{
    table found = {from.in, target_of(from.in, element_of(from, index, 4))};
    return found;
}

int32_t int_of(list from, size_t index)
{
    return signed_of(little(from.in, element_of(from, index, 4), 4), 4);
}

static float float_at(const file *in, size_t at)
{
    uint32_t bits = (uint32_t)little(in, at, 4);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float float_of(list from, size_t index)
{
    return float_at(from.in, element_of(from, index, 4));
}

float real_in(table from, int slot, float otherwise)
{
    size_t place = place_of(from, slot);
    return place == 0 ? otherwise : float_at(from.in, place);
}
