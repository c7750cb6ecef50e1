/*
 * script: every kind of request once, against a stack in which something may fail meanwhile. Knows
 * what each key may hold after what was answered, and fails the test for a reply that can be
 * neither right nor an error. Owned by the test.
 */
#ifndef RINGFENCE_SCRIPT_H
#define RINGFENCE_SCRIPT_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "../../common/digest.h"

struct stack;

enum {
    SCRIPT_KEYS = 8,
    SCRIPT_MAY = 6,
    SCRIPT_NAME_BYTES = 32,
    SCRIPT_WORD_BYTES = 64,
    SCRIPT_TITLE_BYTES = 200
};

struct script_texts {
    char of[SCRIPT_MAY][SCRIPT_WORD_BYTES];
    unsigned count;
};

/* What a key may hold now, what it held before in this round, and what writes of unknown outcome
 * may make of it at any later time, as caller_show() writes it; "nil" for nothing. */
struct script_key {
    char name[SCRIPT_NAME_BYTES];
    struct script_texts may, was, unknown;
};

struct script {
    const struct stack *stack;
    struct caller *c;
    PGconn *sql;
    unsigned round;
    int64_t connections; /* of a node to the database when all is well */
    struct script_key keys[SCRIPT_KEYS];
    char title[SCRIPT_TITLE_BYTES]; /* for messages: what fails in this round */
    /* Answers of this round that were errors, or no answers, though they should not be; the last
     * of them. */
    unsigned errors;
    char error[SCRIPT_TITLE_BYTES], asked[SCRIPT_WORD_BYTES];
    bool wants_error; /* of what is asked now */
    unsigned old;     /* and that were older than a write that was answered */
    unsigned late;    /* of a write of unknown outcome that took effect after a later one */
    char users_file[SCRIPT_NAME_BYTES], reader[DIGEST_TEXT_BYTES], writer[DIGEST_TEXT_BYTES];
    bool fails; /* something fails in this round, so an owner may be out of
                   reach, and what the next one says may be old */
};

/** script_users(script): makes the users file, for a proxy that is started then. */
void script_users(struct script *script);

/** script_init(script, stack): connected. script_release(script): not any more. */
void script_init(struct script *script, const struct stack *stack);
void script_release(struct script *script);

/** script_run(script): one round, with keys of its own. script_settle(script): until all is well
 * again; then each key must hold what it may, by every reader and by the table, and take a write.
 */
void script_run(struct script *script);
void script_settle(struct script *script);

#endif
