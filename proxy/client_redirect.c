/* CLIENT TRACKING REDIRECT: what one client would be told, another one is told, perhaps of another
 * worker. It leaves behind the replies that the first one waits for, so whoever keeps a reply that
 * it has read before the message knows all. */
#include <stdint.h>
#include <string.h>

#include "../common/resp_write.h"
#include "client_private.h"
#include "inbox.h"
#include "tracking.h"

enum { KEY_BYTES_MAX = 4096, RECORD_BYTES_MAX = sizeof(uint32_t) + KEY_BYTES_MAX };

/* ---- a key, or "all keys", as bytes: a length and so many bytes ---- */

static const uint32_t EVERYTHING = UINT32_MAX;

static struct span to_record(char room[RECORD_BYTES_MAX], struct span key) {
    bool fits = key.ptr != NULL && key.len <= KEY_BYTES_MAX;
    uint32_t len = fits ? (uint32_t)key.len : EVERYTHING;
    memcpy(room, &len, sizeof(len));
    if (fits)
        memcpy(room + sizeof(len), key.ptr, key.len);
    return span_of(room, sizeof(len) + (fits ? key.len : 0));
}

/* The record at the beginning of `left`, which moves behind it. */
static struct span from_record(struct span *left) {
    uint32_t len;
    memcpy(&len, left->ptr, sizeof(len));
    struct span key = len == EVERYTHING ? span_of(NULL, 0) : span_of(left->ptr + sizeof(len), len);
    size_t size = sizeof(len) + key.len;
    *left = span_of(left->ptr + size, left->len - size);
    return key;
}

/* ---- who is told ---- */

static struct client *client_of(struct local_client *local) {
    return (struct client *)((char *)local - offsetof(struct client, local));
}

void client_redirect_hears(struct client *c) {
    c->missed = false;
    client_invalidate(c, span_of(NULL, 0), NULL);
}

void client_inbox(struct inbox *inbox) {
    struct local_client *local = inbox_owner(inbox);
    struct buf records;
    uint64_t lost;
    if (local == NULL)
        return;
    if (inbox_kind(inbox) == INBOX_LINES) {
        client_hear_lines(client_of(local), inbox);
        return;
    }
    if (inbox_take(inbox, &records, &lost)) {
        struct span left = span_of(buf_head(&records), buf_len(&records));
        if (lost != 0) {
            client_invalidate(client_of(local), span_of(NULL, 0), NULL);
            left.len = 0;
        }
        while (left.len != 0)
            client_invalidate(client_of(local), from_record(&left), NULL);
    }
    buf_release(&records);
}

void client_redirect_tick(struct client_list *list) {
    for (struct client *c = list->first; c != NULL; c = c->next) {
        struct inbox *inbox = atomic_load(&c->local.inbox);
        if (inbox != NULL)
            client_inbox(inbox);
        if (c->local.monitor != NULL)
            client_inbox(c->local.monitor);
    }
}

/* ---- who tracks ---- */

static void tell_broken(struct client *c) {
    struct buf *out;
    c->tracking.broken = true;
    local_show_tracking(&c->local);
    if (c->local.proto != 3 || c->dead || c->ended)
        return;
    struct request *r = client_open_reply(c, &out);
    if (out == NULL) {
        client_out_of_memory(c);
        return;
    }
    resp_write_push(out, 2);
    resp_write_bulk(out, SPAN("tracking-redir-broken"));
    resp_write_int(out, (int64_t)inbox_id(c->tracking.redirect));
    client_close_reply(c, r, false);
}

static void put(struct client *c, struct inbox *to, struct span record) {
    const struct local_peers *peers = c->env->server->peers;
    switch (inbox_put(to, record)) {
    case INBOX_WAITS:
        break;
    case INBOX_GONE:
        tell_broken(c);
        break;
    case INBOX_WAKE:
        if (peers == NULL || !peers->wake(peers->ctx, to))
            inbox_unwoken(to); /* it looks every second */
        break;
    }
}

void client_pass_on(struct client *c, struct span record) {
    struct inbox *to = c->tracking.redirect;
    if (to == NULL) /* it does not track any more */
        return;
    if (inbox_worker(to) != c->env->worker)
        put(c, to, record);
    else if (inbox_owner(to) == NULL)
        tell_broken(c);
    else
        client_invalidate(client_of(inbox_owner(to)), from_record(&record), NULL);
}

void client_redirect(struct client *c, struct span key, const struct authors_change *doubt) {
    char room[RECORD_BYTES_MAX];
    struct span record = to_record(room, key);
    struct buf *out = NULL;
    struct request *r = c->head == NULL ? NULL : client_open_reply(c, &out);
    if (r == NULL) { /* without memory: too early rather than not at all */
        client_pass_on(c, record);
        return;
    }
    r->is_redirect = r->is_kept = true;
    if (doubt != NULL)
        r->doubt = *doubt;
    buf_append_span(out, record);
    client_close_reply(c, r, false);
}
