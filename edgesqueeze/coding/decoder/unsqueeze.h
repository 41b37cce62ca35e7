/* Decoder of .sqz files, format version 2 (docs/format.md, docs/coder.md). C99, no dependency. */
#ifndef UNSQUEEZE_H
#define UNSQUEEZE_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
    SQZ_OK,
    SQZ_CORRUPT,     /* the bytes are not what the format says */
    SQZ_VERSION,     /* another version of the format */
    SQZ_UNSUPPORTED, /* valid, but not for this decoder: Huffman-coded, or without templates */
    SQZ_MEMORY,      /* memory has run out */
    SQZ_OUTPUT       /* the caller's function could not write */
} sqz_status;

typedef struct sqz_model sqz_model;

/* Receives bytes of file number `file` at `offset`; bytes come in any order, none twice. 0 means success. */
typedef int (*sqz_write)(void *context, size_t file, uint64_t offset, const uint8_t *bytes, size_t size);

/* Read all but the tensors. `data` must stay until sqz_close. `*model` is NULL unless SQZ_OK is returned. */
sqz_status sqz_open(const uint8_t *data, size_t size, sqz_model **model);
void sqz_close(sqz_model *model);

/* The files that the templates give. */
size_t sqz_num_files(const sqz_model *model);
const char *sqz_file_name(const sqz_model *model, size_t file);
uint64_t sqz_file_size(const sqz_model *model, size_t file);

/* Write all of them, layer by layer: no more than one layer is decoded at a time. Tensors that no file wants are
 * checked as well. */
sqz_status sqz_fill(const sqz_model *model, sqz_write write, void *context);

/* One sentence. */
const char *sqz_message(sqz_status status);

#endif
