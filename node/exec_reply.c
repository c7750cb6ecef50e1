/* The replies of a transaction: its commands are gone through once more, with the rows as they were
 * and what became of each edit. */
#include <stdlib.h>

#include "../common/buf.h"
#include "../common/command.h"
#include "../common/resp_write.h"
#include "exec.h"
#include "look.h"
#include "wish.h"

bool exec_watched(const struct exec *exec, const struct store_row *rows) {
    for (uint32_t i = 0; i < exec->plan.watches_count; i++) {
        const struct store_watch *watch = &exec->watches[i];
        const struct store_row *row = &rows[exec_place(exec, watch->key)];
        if (row->version != watch->version || row->present != watch->live)
            return false;
    }
    return true;
}

/* What was written is what the commands behind it read. */
static void apply(const struct exec *exec, const struct store_write *edit,
                  const struct store_result *result, const uint64_t *versions,
                  struct store_row *now) {
    if (edit->count == 1) {
        now[exec_place(exec, edit->keys[0])] = (struct store_row){
            .present = result->live, .payload = result->payload, .ttl_ms = result->ttl_ms};
        return;
    }
    for (uint32_t i = 0; versions[0] != 0 && i < edit->count; i++)
        now[exec_place(exec, edit->keys[i])] =
            (struct store_row){.present = true, .payload = edit->values[i], .ttl_ms = -1};
}

static void write_edits(const struct exec *exec, const struct exec_step *step, int proto,
                        const struct store_exec_ack *done, struct store_row *now, struct buf *out) {
    const uint64_t *versions = done->versions + step->first_version;
    struct store_ack ack = {.status = STORE_OK, .versions = versions};
    for (uint32_t i = step->first_edit; i < step->first_edit + step->edits; i++) {
        const struct store_write *edit = &exec->edits[i];
        apply(exec, edit, &done->results[i], versions, now);
        for (uint32_t k = 0; k < edit->count; k++)
            ack.changed += *versions++ != 0;
    }
    if (step->edits == 1)
        ack.result = &done->results[step->first_edit];
    const struct wish wish = {.command = step->command,
                              .want_old = step->want_old,
                              .is_conditional = step->is_conditional};
    wish_reply(&wish, proto, &ack, out);
}

static void write_bulk(const struct store_row *row, int proto, struct buf *out) {
    if (row->present)
        resp_write_bulk(out, row->payload);
    else
        resp_write_null(out, proto);
}

static int64_t ttl_of(const struct store_row *row, bool in_ms) {
    if (!row->present)
        return -2;
    if (row->ttl_ms < 0)
        return -1;
    return in_ms ? row->ttl_ms : (row->ttl_ms + 500) / 1000;
}

static void write_count(const struct exec *exec, const struct exec_step *step,
                        const struct store_row *now, struct buf *out) {
    int64_t sum = 0;
    for (uint32_t i = 1; i < step->argc; i++)
        sum += now[exec_place(exec, step->argv[i])].present;
    resp_write_int(out, sum);
}

static void write_read(const struct exec *exec, const struct exec_step *step, int proto,
                       const struct store_row *now, struct buf *out) {
    uint32_t first = (uint32_t)command_row(step->command)->first_key;
    const struct store_row *row = &now[exec_place(exec, step->argv[first])];
    switch (step->command) {
    case COMMAND_MEMORY:
    case COMMAND_OBJECT:
        if (row->present)
            aspect_write(&step->aspect, row->payload, row->ttl_ms >= 0, out);
        else
            resp_write_null(out, proto);
        return;
    case COMMAND_MGET:
        resp_write_array(out, step->argc - 1);
        for (uint32_t i = 1; i < step->argc; i++)
            write_bulk(&now[exec_place(exec, step->argv[i])], proto, out);
        return;
    case COMMAND_EXISTS:
    case COMMAND_TOUCH:
        write_count(exec, step, now, out);
        return;
    case COMMAND_GETRANGE:
    case COMMAND_SUBSTR:
        resp_write_bulk(out, row->present ? range_of(row->payload, step->range) : SPAN(""));
        return;
    case COMMAND_STRLEN:
        resp_write_int(out, row->present ? (int64_t)row->payload.len : 0);
        return;
    case COMMAND_TYPE:
        resp_write_status(out, row->present ? "string" : "none");
        return;
    case COMMAND_TTL:
    case COMMAND_PTTL:
        resp_write_int(out, ttl_of(row, step->command == COMMAND_PTTL));
        return;
    }
    write_bulk(row, proto, out); /* GET, and GETEX without an option */
}

bool exec_reply(const struct exec *exec, int proto, const struct store_exec_ack *done,
                struct buf *out) {
    struct store_row *now = calloc(exec->keys_count + 1, sizeof(*now));
    if (now == NULL)
        return false;
    if (exec->keys_count != 0)
        memcpy(now, done->rows, exec->keys_count * sizeof(*now));
    resp_write_array(out, exec->steps_count);
    for (uint32_t i = 0; i < exec->steps_count; i++) {
        const struct exec_step *step = &exec->steps[i];
        if (step->error.len != 0)
            buf_append_span(out, step->error);
        else if (step->edits != 0 && exec->edits[step->first_edit].op == STORE_LOOK)
            look_reply(step->command, proto, done->results[step->first_edit].row, out);
        else if (step->edits != 0)
            write_edits(exec, step, proto, done, now, out);
        else
            write_read(exec, step, proto, now, out);
    }
    free(now);
    return !out->failed;
}
