/*
 * resp_write: append RESP to a buffer. Knows no sockets; a full buffer is buf's sticky failure.
 * `proto` is 2 or 3 where the two differ.
 */
#ifndef RINGFENCE_RESP_WRITE_H
#define RINGFENCE_RESP_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "span.h"

struct buf;

/** resp_write_bulk(b, s): `$len\r\n...\r\n`. */
void resp_write_bulk(struct buf *b, struct span s);

/** resp_write_status(b, text): `+text\r\n`; `text` without CR or LF. */
void resp_write_status(struct buf *b, const char *text);

/** resp_write_error(b, text): `-text\r\n`; CR and LF in `text` become blanks, and it is cut at
 * 1,000 bytes. */
void resp_write_error(struct buf *b, struct span text);

/** resp_write_int(b, n): `:n\r\n`. */
void resp_write_int(struct buf *b, int64_t n);

/** resp_write_null(b, proto): `$-1\r\n` or `_\r\n`. */
void resp_write_null(struct buf *b, int proto);

/** resp_write_array(b, count): `*count\r\n`. */
void resp_write_array(struct buf *b, uint64_t count);

/** resp_write_map(b, pairs, proto): `*2n\r\n` or `%n\r\n`. */
void resp_write_map(struct buf *b, uint64_t pairs, int proto);

/** resp_write_set(b, count, proto): `*n\r\n` or `~n\r\n`. */
void resp_write_set(struct buf *b, uint64_t count, int proto);

/** resp_write_push(b, count): `>count\r\n` (RESP3 only). */
void resp_write_push(struct buf *b, uint64_t count);

/** resp_write_verbatim(b, s, proto): a bulk string, or `=len\r\ntxt:...`. */
void resp_write_verbatim(struct buf *b, struct span s, int proto);

/** resp_write_request(b, argv, argc): a multibulk request. */
void resp_write_request(struct buf *b, const struct span *argv, uint32_t argc);

#endif
