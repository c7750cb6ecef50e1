/* What waits in the store, and when it is sent. */
#include <event2/event.h>

#include "../common/clock.h"
#include "store_private.h"

/* ---- queues ---- */

void store_queue_push(struct store_queue *queue, struct store_write *write) {
    write->next = NULL;
    write->prev = queue->last;
    *(queue->last != NULL ? &queue->last->next : &queue->first) = write;
    queue->last = write;
    queue->count++;
}

void store_queue_remove(struct store_queue *queue, struct store_write *write) {
    *(write->prev != NULL ? &write->prev->next : &queue->first) = write->next;
    *(write->next != NULL ? &write->next->prev : &queue->last) = write->prev;
    queue->count--;
}

enum store_status store_gets_push(struct store *store, struct store_gets *gets,
                                  struct store_get *get) {
    if (gets->count >= STORE_WAITING_MAX)
        return STORE_BUSY;
    get->sent = false;
    get->next = NULL;
    get->prev = gets->last;
    *(gets->last != NULL ? &gets->last->next : &gets->first) = get;
    gets->last = get;
    gets->count++;
    store_pump_later(store);
    return STORE_OK;
}

enum store_status store_get(struct store *store, struct store_get *get) {
    if (get->from_replica)
        return store_replica_get(store, get);
    if (!store_up(store) || store->closing)
        return STORE_DOWN;
    return store_gets_push(store, &store->gets, get);
}

bool store_get_cancel(struct store *store, struct store_get *get) {
    struct store_gets *gets = get->from_replica ? &store->replica_gets : &store->gets;
    if (get->sent)
        return false;
    *(get->prev != NULL ? &get->prev->next : &gets->first) = get->next;
    *(get->next != NULL ? &get->next->prev : &gets->last) = get->prev;
    gets->count--;
    return true;
}

/* Where a write waits that was not sent. */
static struct store_queue *queue_of(struct store *store, const struct store_write *write) {
    return write->op == STORE_EXEC ? &store->transactions
           : write->attempt == 0   ? &store->queue
                                   : &store->alone;
}

enum store_status store_write(struct store *store, struct store_write *write) {
    bool up = write->op == STORE_EXEC
                  ? store_any_ready(store->execs, store->conf.transaction_connections)
                  : store_any_ready(store->writes, store->conf.write_connections);
    if (!up || store->closing)
        return STORE_DOWN;
    write->sent = false;
    write->attempt = 0;
    struct store_queue *queue = queue_of(store, write);
    if (queue->count >= STORE_WAITING_MAX)
        return STORE_BUSY;
    store_queue_push(queue, write);
    store_pump_later(store);
    return STORE_OK;
}

bool store_write_cancel(struct store *store, struct store_write *write) {
    if (write->sent)
        return false;
    store_queue_remove(queue_of(store, write), write);
    return true;
}

enum store_status store_ask(struct store *store, struct store_query *query) {
    bool changes = store_question_changes(query->question);
    struct store_queries *queries = changes ? &store->chores : &store->queries;
    if (!(changes ? store->slow.ready : store_up(store)) || store->closing)
        return STORE_DOWN;
    if (queries->count >= STORE_QUERIES_MAX)
        return STORE_BUSY;
    query->next = NULL;
    query->asked_mono_ms = clock_mono_ms();
    *(queries->last != NULL ? &queries->last->next : &queries->first) = query;
    queries->last = query;
    queries->count++;
    store_pump_later(store);
    return STORE_OK;
}

/* ---- sending ---- */

/* At the end of the loop's turn, so that what arrives together leaves together. */
void store_pump_later(struct store *store) {
    if (!store->closing)
        event_active(store->pump, EV_TIMEOUT, 0);
}

/* Questions may be slow: half of the connections, or more, are for rows alone. */
static bool takes_questions(const struct store *s, int64_t lane) {
    return s->conf.read_connections == 1 || lane >= (s->conf.read_connections + 1) / 2;
}

/* Who is answered together may be about to write together again: see write_gate.h. */
static void send_writes(struct store_lane *lane) {
    struct store *s = lane->store;
    uint32_t waiting = s->queue.count;
    int64_t now_us = clock_mono_us();
    int64_t wait_us = write_gate_wait_us(&lane->gate, waiting, now_us);
    if (wait_us == 0) {
        store_write_send(lane);
        write_gate_sent(&lane->gate, waiting - s->queue.count, now_us);
    } else if (!s->closing) {
        const struct timeval wait = {.tv_usec = wait_us};
        event_add(s->pump, &wait); /* or earlier: whatever arrives activates it */
    }
}

void store_pump(evutil_socket_t fd, short what, void *arg) {
    static const struct timeval SLICE = {.tv_usec = FILL_GATE_SLICE_MS * 1000};
    struct store *s = arg;
    for (int64_t i = 0; i < s->conf.read_connections; i++) {
        struct store_lane *lane = &s->reads[i];
        if (lane->ready && lane->busy == 0 && s->queries.first != NULL && takes_questions(s, i))
            store_query_send(lane, &s->queries);
        if (lane->ready && lane->busy == 0 && s->gets.first != NULL)
            store_read_send(lane, &s->gets);
    }
    if (s->gets.first != NULL && s->conf.fill_rate_max != 0) /* its time comes, not an answer */
        event_add(s->pump, &SLICE);
    if (s->replica.lane.ready && s->replica.lane.busy == 0 && s->replica_gets.first != NULL)
        store_read_send(&s->replica.lane, &s->replica_gets);
    for (int64_t i = 0; i < s->conf.write_connections; i++) {
        if (s->writes[i].ready && s->writes[i].busy == 0 && s->queue.first != NULL)
            send_writes(&s->writes[i]);
    }
    if (s->slow.ready && s->slow.busy == 0 && s->alone.first != NULL)
        store_alone_send(&s->slow);
    for (int64_t i = 0; i < s->conf.transaction_connections; i++) {
        if (s->execs[i].ready && s->execs[i].busy == 0 && s->transactions.first != NULL)
            store_exec_send(&s->execs[i]);
    }
    if (s->slow.ready && s->slow.busy == 0 && s->chores.first != NULL)
        store_query_send(&s->slow, &s->chores);
}
