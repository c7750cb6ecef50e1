#include "exec.h"

#include <stdlib.h>

#include "../common/buf.h"
#include "../common/command.h"
#include "../common/reply.h"
#include "../common/resp_parse.h"
#include "node_conf.h"
#include "wish.h"

/* What there is room for, counted before anything is made. */
struct sizes {
    uint32_t steps, words, keys, watches, pairs;
};

/* A transaction that is being made. */
struct making {
    const struct node_conf *conf;
    struct exec *exec;
    uint32_t words, edits, versions, keys, pairs;
    struct buf errors;
};

/* ---- counting ---- */

static struct resp_limits limits_of(const struct node_conf *conf) {
    return (struct resp_limits){
        .args_max = (uint32_t)conf->args_max, .bulk_bytes_max = INT32_MAX, .inline_bytes_max = 64};
}

/* One request from the front of `left`; false if it is none. */
static bool next(struct resp_parser *parser, const struct resp_limits *limits, struct span *left,
                 struct resp_request *out) {
    if (left->ptr[0] != '*' ||
        resp_parse_request(parser, left->ptr, left->len, limits, out) != RESP_OK || out->argc == 0)
        return false;
    *left = span_of(left->ptr + out->size, left->len - out->size);
    return true;
}

static bool count_watches(const struct node_conf *conf, struct span left, struct sizes *sizes) {
    const struct resp_limits limits = limits_of(conf);
    struct resp_parser parser;
    struct resp_request in = {0};
    bool fine = true;
    resp_parser_init(&parser);
    while (fine && left.len != 0) {
        fine = next(&parser, &limits, &left, &in) && in.argc == 3;
        sizes->watches++;
        sizes->words += 3;
    }
    resp_parser_release(&parser);
    sizes->keys += sizes->watches;
    return fine;
}

static bool count_commands(const struct node_conf *conf, struct span left, struct sizes *sizes) {
    const struct resp_limits limits = limits_of(conf);
    struct resp_parser parser;
    struct resp_request in = {0};
    bool fine = true;
    resp_parser_init(&parser);
    while (fine && left.len != 0) {
        fine = next(&parser, &limits, &left, &in);
        int id = fine ? command_find(in.argv[0]) : -1;
        fine = id >= 0 && command_in_exec(id) && (command_row(id)->flags & COMMAND_LOCAL) == 0 &&
               command_arity_ok(id, in.argc) && in.argc > (uint32_t)command_row(id)->first_key;
        sizes->steps++;
        sizes->words += in.argc;
        sizes->keys += fine ? command_key_end(command_row(id), in.argc) : 0;
        sizes->pairs += id == COMMAND_MSETNX ? in.argc : 0;
    }
    resp_parser_release(&parser);
    return fine;
}

/* ---- making ---- */

void exec_free(struct exec **pointer) {
    struct exec *exec = *pointer;
    *pointer = NULL;
    if (exec == NULL)
        return;
    free(exec->steps);
    free(exec->keys);
    free(exec->bytes);
    free(exec->words);
    free(exec->edits);
    free(exec->mores);
    free(exec->watches);
    free(exec->pairs);
    free(exec->holds);
    free(exec->errors);
    free(exec);
}

static struct exec *make(const struct sizes *sizes, struct span watches, struct span commands) {
    struct exec *exec = calloc(1, sizeof(*exec));
    if (exec == NULL)
        return NULL;
    exec->steps = calloc(sizes->steps + 1, sizeof(*exec->steps));
    exec->keys = calloc(sizes->keys + 1, sizeof(*exec->keys));
    exec->bytes = malloc(watches.len + commands.len + 1);
    exec->words = calloc(sizes->words + 1, sizeof(*exec->words));
    exec->edits = calloc(sizes->keys + 1, sizeof(*exec->edits));
    exec->mores = calloc(sizes->keys + 1, sizeof(*exec->mores));
    exec->watches = calloc(sizes->watches + 1, sizeof(*exec->watches));
    exec->pairs = calloc(sizes->pairs + 1, sizeof(*exec->pairs));
    exec->holds = calloc(sizes->keys + 1, sizeof(*exec->holds));
    if (exec->steps == NULL || exec->keys == NULL || exec->bytes == NULL || exec->words == NULL ||
        exec->edits == NULL || exec->mores == NULL || exec->watches == NULL ||
        exec->pairs == NULL || exec->holds == NULL) {
        exec_free(&exec);
        return NULL;
    }
    if (watches.len != 0)
        memcpy(exec->bytes, watches.ptr, watches.len);
    if (commands.len != 0)
        memcpy(exec->bytes + watches.len, commands.ptr, commands.len);
    return exec;
}

/* Words that live as long as the transaction: they lie in its copy of the bytes. */
static const struct span *keep_words(struct making *m, const struct resp_request *in) {
    struct span *words = m->exec->words + m->words;
    memcpy(words, in->argv, in->argc * sizeof(*words));
    m->words += in->argc;
    return words;
}

static bool take_watches(struct making *m, struct span left) {
    const struct resp_limits limits = limits_of(m->conf);
    struct exec *exec = m->exec;
    struct resp_parser parser;
    struct resp_request in = {0};
    bool fine = true;
    resp_parser_init(&parser);
    while (fine && left.len != 0 && next(&parser, &limits, &left, &in)) {
        const struct span *words = keep_words(m, &in);
        int64_t version;
        fine = wish_check_key(m->conf, words[0], &m->errors) && span_to_int64(words[1], &version) &&
               version >= 0;
        if (!fine)
            break;
        exec->watches[exec->plan.watches_count++] = (struct store_watch){
            .key = words[0], .version = (uint64_t)version, .live = span_equal(words[2], SPAN("1"))};
        exec->keys[m->keys++] = words[0];
    }
    resp_parser_release(&parser);
    return fine;
}

static void plan_edit(struct making *m, struct exec_step *step, const struct store_write *edit) {
    step->edits++;
    m->exec->edits[m->edits++] = *edit;
    m->versions += edit->count;
}

struct pair {
    struct span key, value;
    uint32_t at;
};

static int by_key_and_place(const void *a, const void *b) {
    const struct pair *x = a, *y = b;
    int order = span_compare(x->key, y->key);
    return order != 0 ? order : (x->at > y->at) - (x->at < y->at);
}

/* One edit of all its keys; of those that are repeated the last one counts. */
static void plan_msetnx(struct making *m, struct exec_step *step, const struct wish *wish) {
    struct pair *pairs = calloc(wish->count, sizeof(*pairs));
    struct span *keys = m->exec->pairs + m->pairs, *values = keys + wish->count;
    uint32_t count = 0;
    if (pairs == NULL) {
        m->errors.failed = true;
        return;
    }
    for (uint32_t i = 0; i < wish->count; i++)
        pairs[i] = (struct pair){wish->keys[i * wish->step], wish->values[i * wish->step], i};
    qsort(pairs, wish->count, sizeof(*pairs), by_key_and_place);
    for (uint32_t i = 0; i < wish->count; i++) {
        if (i + 1 < wish->count && span_equal(pairs[i].key, pairs[i + 1].key))
            continue;
        keys[count] = pairs[i].key;
        values[count++] = pairs[i].value;
    }
    free(pairs);
    m->pairs += 2 * wish->count;
    plan_edit(
        m, step,
        &(struct store_write){.op = wish->op, .count = count, .keys = keys, .values = values});
}

static void plan_edits(struct making *m, struct exec_step *step, const struct wish *wish) {
    struct exec *exec = m->exec;
    if (step->command == COMMAND_MSETNX) {
        plan_msetnx(m, step, wish);
        return;
    }
    step->want_old = wish->want_old;
    step->is_conditional = wish->is_conditional;
    for (uint32_t i = 0; i < wish->count; i++) {
        exec->mores[m->edits] = wish->more;
        plan_edit(m, step,
                  &(struct store_write){.op = wish->op,
                                        .want_old = wish->want_old,
                                        .more = wish->has_more ? &exec->mores[m->edits] : NULL,
                                        .count = 1,
                                        .keys = &wish->keys[i * wish->step],
                                        .values = &wish->values[i * wish->step]});
    }
}

/* False if the step is an error, whose text was written. */
static bool plan_step(struct making *m, struct exec_step *step) {
    const struct command *row = command_row(step->command);
    struct wish wish;
    uint32_t end = command_key_end(row, step->argc);
    for (uint32_t i = (uint32_t)row->first_key; i < end; i += (uint32_t)row->key_step) {
        if (!wish_check_key(m->conf, step->argv[i], &m->errors))
            return false;
    }
    if ((step->command == COMMAND_GETRANGE || step->command == COMMAND_SUBSTR) &&
        (!span_to_int64(step->argv[2], &step->range.from) ||
         !span_to_int64(step->argv[3], &step->range.to))) {
        reply_error(&m->errors, REPLY_NOT_INTEGER, NULL);
        return false;
    }
    int error = aspect_asks(step->command)
                    ? aspect_parse(step->command, step->argv, step->argc, &step->aspect)
                    : -1;
    if (error >= 0) {
        reply_error(&m->errors, (enum reply_error)error, NULL);
        return false;
    }
    step->first_edit = m->edits;
    step->first_version = m->versions;
    if ((row->flags & COMMAND_TABLE) != 0) {
        plan_edit(m, step,
                  &(struct store_write){.op = STORE_LOOK, .count = 1, .keys = step->argv + 1});
    } else if ((row->flags & COMMAND_WRITE) != 0) {
        if (!wish_parse(m->conf, step->command, step->argv, step->argc, &wish, &m->errors))
            return false;
        if (!wish.is_read)
            plan_edits(m, step, &wish);
    }
    for (uint32_t i = (uint32_t)row->first_key; i < end; i += (uint32_t)row->key_step)
        m->exec->keys[m->keys++] = step->argv[i];
    return true;
}

/* Errors are kept as places, since their buffer moves; spans are made of them in the end. */
static void take_commands(struct making *m, struct span left) {
    const struct resp_limits limits = limits_of(m->conf);
    struct exec *exec = m->exec;
    struct resp_parser parser;
    struct resp_request in = {0};
    resp_parser_init(&parser);
    while (left.len != 0 && next(&parser, &limits, &left, &in)) {
        struct exec_step *step = &exec->steps[exec->steps_count++];
        size_t from = buf_len(&m->errors);
        step->command = command_find(in.argv[0]);
        step->argv = keep_words(m, &in);
        step->argc = in.argc;
        if (!plan_step(m, step))
            step->error.len = buf_len(&m->errors) - from;
    }
    resp_parser_release(&parser);
}

static int by_bytes(const void *a, const void *b) {
    return span_compare(*(const struct span *)a, *(const struct span *)b);
}

uint32_t exec_place(const struct exec *exec, struct span key) {
    const struct span *found = bsearch(&key, exec->keys, exec->keys_count, sizeof(key), by_bytes);
    return (uint32_t)(found - exec->keys);
}

static void sort_keys(struct making *m) {
    struct exec *exec = m->exec;
    qsort(exec->keys, m->keys, sizeof(exec->keys[0]), by_bytes);
    for (uint32_t i = 0; i < m->keys; i++) {
        if (exec->keys_count == 0 || !span_equal(exec->keys[exec->keys_count - 1], exec->keys[i]))
            exec->keys[exec->keys_count++] = exec->keys[i];
    }
}

static bool may_create(const struct store_write *edit) {
    switch (edit->op) {
    case STORE_SET:
    case STORE_SET_NX:
    case STORE_ADD:
    case STORE_ADD_DECIMAL:
    case STORE_APPEND:
    case STORE_OVERLAY:
        return true;
    case STORE_SET_VERSION:
        return edit->more->number == 0;
    case STORE_DELETE:
    case STORE_SET_XX:
    case STORE_SET_IFEQ:
    case STORE_EXPIRE:
    case STORE_PERSIST:
    case STORE_ENABLE:
    case STORE_DISABLE:
    case STORE_LOOK:
    case STORE_EXEC:
        break;
    }
    return false;
}

/* One that changes nothing leaves nothing behind: what it watches is checked in the end, too. */
static void hold(struct making *m) {
    struct exec *exec = m->exec;
    for (uint32_t i = 0; i < m->edits; i++)
        exec->plan.writes = exec->plan.writes || exec->edits[i].op != STORE_LOOK;
    for (uint32_t i = 0; exec->plan.writes && i < exec->plan.watches_count; i++)
        exec->holds[exec_place(exec, exec->watches[i].key)] = true;
    for (uint32_t i = 0; i < m->edits; i++) {
        const struct store_write *edit = &exec->edits[i];
        for (uint32_t k = 0; k < edit->count && may_create(edit); k++)
            exec->holds[exec_place(exec, edit->keys[k])] = true;
    }
}

static void finish(struct making *m) {
    struct exec *exec = m->exec;
    sort_keys(m);
    hold(m);
    exec->errors = m->errors.data;
    size_t at = 0;
    for (uint32_t i = 0; i < exec->steps_count; i++) {
        struct span *error = &exec->steps[i].error;
        if (error->len != 0)
            *error = span_of(exec->errors + at, error->len);
        at += error->len;
    }
    exec->plan.watches = exec->watches;
    exec->plan.edits = exec->edits;
    exec->plan.edits_count = m->edits;
    exec->plan.holds = exec->holds;
}

struct exec *exec_parse(const struct node_conf *conf, struct span watches, struct span commands,
                        struct buf *error) {
    struct sizes sizes = {0};
    if (!count_watches(conf, watches, &sizes) || !count_commands(conf, commands, &sizes)) {
        reply_error(error, REPLY_NOT_IN_MULTI, NULL);
        return NULL;
    }
    struct making m = {.conf = conf, .exec = make(&sizes, watches, commands)};
    if (m.exec == NULL) {
        reply_error(error, REPLY_OOM, NULL);
        return NULL;
    }
    buf_init(&m.errors, 0);
    bool fine = take_watches(&m, span_of(m.exec->bytes, watches.len));
    if (fine)
        take_commands(&m, span_of(m.exec->bytes + watches.len, commands.len));
    if (!fine || m.errors.failed) {
        reply_error(error, fine ? REPLY_OOM : REPLY_SYNTAX, NULL);
        buf_release(&m.errors);
        exec_free(&m.exec);
        return NULL;
    }
    finish(&m);
    return m.exec;
}
