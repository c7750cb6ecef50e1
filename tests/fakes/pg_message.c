#include "pg_message.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/buf.h"

static void must(bool holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "pg_message: %s\n", what);
    abort();
}

void pg_message_put_int(struct buf *b, uint32_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; i--)
        buf_append(b, &(char){(char)(value >> (8 * i))}, 1);
}

size_t pg_message_open(struct buf *b, char type) {
    buf_append(b, &type, 1);
    pg_message_put_int(b, 0, 4);
    return buf_len(b) - 4;
}

void pg_message_close(struct buf *b, size_t at) {
    uint32_t len = htobe32((uint32_t)(buf_len(b) - at));
    memcpy(buf_head(b) + at, &len, 4);
}

void pg_message_put_text(struct buf *b, const char *text) {
    buf_append(b, text, strlen(text) + 1);
}

void pg_message_put_plain(struct buf *b, char type) {
    pg_message_close(b, pg_message_open(b, type));
}

void pg_message_put_parameter(struct buf *b, const char *name, const char *value) {
    size_t at = pg_message_open(b, 'S');
    pg_message_put_text(b, name);
    pg_message_put_text(b, value);
    pg_message_close(b, at);
}

void pg_message_put_ready(struct buf *b) {
    size_t at = pg_message_open(b, 'Z');
    buf_append(b, "I", 1);
    pg_message_close(b, at);
}

void pg_message_put_error(struct buf *b, const char *severity, const char *state,
                          const char *message) {
    size_t at = pg_message_open(b, 'E');
    buf_append(b, "S", 1);
    pg_message_put_text(b, severity);
    buf_append(b, "V", 1);
    pg_message_put_text(b, severity);
    if (state != NULL) {
        buf_append(b, "C", 1);
        pg_message_put_text(b, state);
    }
    buf_append(b, "M", 1);
    pg_message_put_text(b, message);
    buf_append(b, "", 1);
    pg_message_close(b, at);
}

void pg_message_put_begin(struct buf *b, bool is_parsed, unsigned columns) {
    if (is_parsed)
        pg_message_put_plain(b, '1');
    pg_message_put_plain(b, '2');
    if (columns == 0) {
        pg_message_put_plain(b, 'n');
        return;
    }
    size_t at = pg_message_open(b, 'T');
    pg_message_put_int(b, columns, 2);
    for (unsigned i = 0; i < columns; i++) {
        pg_message_put_text(b, "c");
        pg_message_put_int(b, 0, 4);
        pg_message_put_int(b, 0, 2);
        pg_message_put_int(b, 25, 4);
        pg_message_put_int(b, 0xFFFF, 2);
        pg_message_put_int(b, 0xFFFFFFFF, 4);
        pg_message_put_int(b, 1, 2);
    }
    pg_message_close(b, at);
}

void pg_message_put_row(struct buf *b, const char *types, va_list args) {
    size_t at = pg_message_open(b, 'D');
    pg_message_put_int(b, (uint32_t)strlen(types), 2);
    for (; *types != '\0'; types++) {
        if (*types == 'n') {
            pg_message_put_int(b, 0xFFFFFFFF, 4);
        } else if (*types == 'i') {
            uint64_t number = htobe64((uint64_t)va_arg(args, int64_t));
            pg_message_put_int(b, 8, 4);
            buf_append(b, (const char *)&number, 8);
        } else if (*types == 'b') {
            pg_message_put_int(b, 1, 4);
            pg_message_put_int(b, va_arg(args, int) != 0, 1);
        } else {
            const char *text = va_arg(args, const char *);
            pg_message_put_int(b, (uint32_t)strlen(text), 4);
            buf_append(b, text, strlen(text));
        }
    }
    pg_message_close(b, at);
}

void pg_message_put_end(struct buf *b) {
    size_t at = pg_message_open(b, 'C');
    pg_message_put_text(b, "SELECT 1");
    pg_message_close(b, at);
}

uint32_t pg_message_get_int(struct pg_message_reader *r, int bytes) {
    uint32_t value = 0;
    must(r->end - r->at >= bytes, "a message is too short");
    for (int i = 0; i < bytes; i++)
        value = value << 8 | (unsigned char)*r->at++;
    return value;
}

const char *pg_message_get_text(struct pg_message_reader *r) {
    const char *text = r->at;
    size_t len = strnlen(text, (size_t)(r->end - r->at));
    must(text + len < r->end, "a text does not end");
    r->at += len + 1;
    return text;
}
