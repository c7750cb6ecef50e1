// needs: node/[ae][sx]*.c node/wi*.c node/[jlr]*.c common/[br][eu]*.c common/[cs]*an*.c -ljansson
/*
 * A transaction as a node gets it: whatever the bytes, no fault; what is taken is in order, and its
 * reply is whole. The first byte says how many of the others are watches.
 */
#include <stdlib.h>

#include "../../common/buf.h"
#include "../../common/resp_parse.h"
#include "../../node/cache.h"
#include "../../node/exec.h"
#include "../../node/node_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static const struct node_conf CONF = {.key_bytes_max = 32, .value_bytes_max = 64, .args_max = 32};

/* All that MEMORY USAGE needs of a cache. */
size_t cache_item_bytes(size_t key_len, size_t value_len, bool expires) {
    return key_len + value_len + expires;
}

/* A fault shows behind its end. */
static char *exactly(const uint8_t *bytes, size_t len) {
    char *copy = malloc(len + 1);
    if (copy == NULL)
        abort();
    if (len != 0)
        memcpy(copy + 1, bytes, len);
    return copy;
}

static void check_keys(const struct exec *exec) {
    for (uint32_t i = 0; i < exec->keys_count; i++) {
        if (exec_place(exec, exec->keys[i]) != i ||
            (i != 0 && span_compare(exec->keys[i - 1], exec->keys[i]) >= 0))
            abort();
    }
    for (uint32_t i = 0; i < exec->plan.edits_count; i++) {
        const struct store_write *edit = &exec->plan.edits[i];
        for (uint32_t k = 0; k < edit->count; k++) {
            if (exec_place(exec, edit->keys[k]) >= exec->keys_count ||
                (k != 0 && span_compare(edit->keys[k - 1], edit->keys[k]) >= 0))
                abort();
        }
    }
}

static uint32_t versions_of(const struct exec *exec) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < exec->plan.edits_count; i++)
        count += exec->plan.edits[i].count;
    return count;
}

/* Whatever became of it, the reply has one part for each command. */
static void check_reply(const struct exec *exec, uint8_t fate) {
    struct store_row *rows = calloc(exec->keys_count + 1, sizeof(*rows));
    struct store_result *results = calloc(exec->plan.edits_count + 1, sizeof(*results));
    uint32_t versions_count = versions_of(exec);
    uint64_t *versions = calloc(versions_count + 1, sizeof(*versions));
    const struct store_answer look = {
        .found = fate % 2, .live = fate % 3 == 0, .payload = SPAN("row"), .expires_ms = fate};
    struct buf out;
    struct resp_scan scan = {0};
    size_t whole;
    buf_init(&out, 0);
    for (uint32_t i = 0; i < exec->keys_count; i++)
        rows[i] = (struct store_row){.present = (fate + i) % 2 == 0, .payload = SPAN("päyload")};
    for (uint32_t i = 0; i < exec->plan.edits_count; i++) {
        results[i] = (struct store_result){.outcome = (enum store_outcome)((fate + i) % 6),
                                           .live = (fate + i) % 3 == 0,
                                           .payload = SPAN("new"),
                                           .row = &look};
    }
    for (uint32_t i = 0; i < versions_count; i++)
        versions[i] = (fate + i) % 2;
    const struct store_exec_ack done = {.rows = rows, .results = results, .versions = versions};
    exec_watched(exec, rows);
    if (!exec_reply(exec, 2 + fate % 2, &done, &out) ||
        resp_scan_reply(&scan, out.data, buf_len(&out), &whole) != RESP_OK ||
        whole != buf_len(&out))
        abort();
    buf_release(&out);
    free(rows);
    free(results);
    free(versions);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    if (size < 2)
        return 0;
    size_t len = size - 1, watches_len = input[0] < len ? input[0] : len;
    char *watches = exactly(input + 1, watches_len);
    char *commands = exactly(input + 1 + watches_len, len - watches_len);
    struct buf error;
    buf_init(&error, 0);
    struct exec *exec = exec_parse(&CONF, span_of(watches + 1, watches_len),
                                   span_of(commands + 1, len - watches_len), &error);
    if ((exec == NULL) != (buf_len(&error) != 0))
        abort();
    free(watches); /* it keeps a copy */
    free(commands);
    if (exec != NULL) {
        check_keys(exec);
        check_reply(exec, input[size - 1]);
    }
    exec_free(&exec);
    buf_release(&error);
    return 0;
}
