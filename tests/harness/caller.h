/*
 * caller: a client of a proxy or a node that speaks RESP and waits for its answers: for tests.
 * Built on our own reply reader. Knows no Criterion, so that threads may use it. Nothing waits
 * longer than CALLER_PATIENCE_MS.
 */
#ifndef RINGFENCE_CALLER_H
#define RINGFENCE_CALLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../common/resp_parse.h"
#include "../../common/span.h"

enum { CALLER_PATIENCE_MS = 20000 };

struct caller; /* owned by whoever opened it */

/** caller_open(port): connect to 127.0.0.1. NULL if nobody listens. */
struct caller *caller_open(uint16_t port);
void caller_close(struct caller **caller);

/** caller_say(caller, argv, argc): a request behind what waits to be sent. */
void caller_say(struct caller *caller, const struct span *argv, uint32_t argc);

/** caller_say_words(caller, word, ..., NULL): the same from NUL-terminated words. */
void caller_say_words(struct caller *caller, ...) __attribute__((sentinel));

/** caller_say_raw(caller, bytes): bytes as they are. */
void caller_say_raw(struct caller *caller, struct span bytes);

/**
 * caller_flush(caller): send all that waits, taking in what arrives meanwhile (so a pipeline may be
 * as deep as you like). False if the connection broke; what arrived can still be heard.
 */
bool caller_flush(struct caller *caller);

/** caller_hear(caller): the next answer, freed by resp_reply_free(); NULL when the connection
 * ended, or patience. */
struct resp_reply *caller_hear(struct caller *caller);

/** caller_ended(caller): waits for the other side to close; what it sent before stays to be heard.
 * False when patience ended first. */
bool caller_ended(struct caller *caller);

/** caller_fd(caller): its socket. */
int caller_fd(const struct caller *caller);

/**
 * caller_show(reply): an answer as text: +OK, -ERR text, :1, $value, nil, [$a nil :3]; "closed" for
 * NULL. Freed by the caller.
 */
char *caller_show(const struct resp_reply *reply);

#endif
