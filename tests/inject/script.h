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

struct stack;

enum {
    SCRIPT_KEYS = 8,
    SCRIPT_MAY = 6,
    SCRIPT_NAME_BYTES = 32,
    SCRIPT_WORD_BYTES = 64,
    SCRIPT_TITLE_BYTES = 200
};

/* Answers of a round that are errors though nothing fails: an unknown command's. */
enum { SCRIPT_ERRORS = 1 };

/* What a key may hold now, and what it held before in this round, as caller_show() writes it; "nil"
 * for nothing. */
struct script_key {
    char name[SCRIPT_NAME_BYTES], may[SCRIPT_MAY][SCRIPT_WORD_BYTES],
        was[SCRIPT_MAY][SCRIPT_WORD_BYTES];
    unsigned count, was_count;
};

struct script {
    const struct stack *stack;
    struct caller *c;
    PGconn *sql;
    unsigned round;
    int64_t connections; /* of a node to the database when all is well */
    struct script_key keys[SCRIPT_KEYS];
    char title[SCRIPT_TITLE_BYTES]; /* for messages: what fails in this round */
    unsigned errors;                /* answers of this round that were errors, or no answers */
    unsigned old;                   /* and that were older than a write that was answered */
    bool fails;                     /* something fails in this round, so an owner may be out of
                                       reach, and what the next one says may be old */
};

/** script_init(script, stack): connected. script_release(script): not any more. */
void script_init(struct script *script, const struct stack *stack);
void script_release(struct script *script);

/** script_run(script): one round, with keys of its own. script_settle(script): until all is well
 * again; then each key must hold what it may, by every reader and by the table, and take a write.
 */
void script_run(struct script *script);
void script_settle(struct script *script);

#endif
