/*
 * pg_message: messages of PostgreSQL's protocol 3, as a server writes and reads them. For pg_fake.
 */
#ifndef RINGFENCE_PG_MESSAGE_H
#define RINGFENCE_PG_MESSAGE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

/** pg_message_open(b, type) begins a message, pg_message_close(b, at) with what the first returned
 * ends it; between them its fields. pg_message_put_plain(b, type): one without fields. */
size_t pg_message_open(struct buf *b, char type);
void pg_message_close(struct buf *b, size_t at);
void pg_message_put_int(struct buf *b, uint32_t value, int bytes);
void pg_message_put_text(struct buf *b, const char *text);
void pg_message_put_plain(struct buf *b, char type);

/* Whole messages. */
void pg_message_put_parameter(struct buf *b, const char *name, const char *value);
void pg_message_put_ready(struct buf *b);
void pg_message_put_error(struct buf *b, const char *severity, const char *state,
                          const char *message);

/** A result: begin, with Parse answered as well or Bind alone, then rows, then the end. Types of a
 * row are pg_fake_row()'s. */
void pg_message_put_begin(struct buf *b, bool is_parsed, unsigned columns);
void pg_message_put_row(struct buf *b, const char *types, va_list args);
void pg_message_put_end(struct buf *b);

/* What is left of a message. */
struct pg_message_reader {
    const char *at, *end;
};

/** The next field; aborts when there is none. */
uint32_t pg_message_get_int(struct pg_message_reader *r, int bytes);
const char *pg_message_get_text(struct pg_message_reader *r);

#endif
