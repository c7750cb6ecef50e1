#include "conn_private.h"

#include <stdlib.h>
#include <time.h>

#include "clock.h"

static void on_turn_end(evutil_socket_t fd, short what, void *arg);

void conn_loop_open_turn(struct conn_loop *loop) {
    if (loop->turn_open)
        return;
    loop->turn_open = true;
    loop->now_us = clock_mono_us();
    event_active(&loop->turn_end, EV_TIMEOUT, 0);
}

static void on_next_turn(evutil_socket_t fd, short what, void *arg) {
    conn_loop_open_turn(arg);
}

void conn_loop_turn_again(struct conn_loop *loop) {
    static const struct timeval now = {0, 0};
    event_add(&loop->next_turn, &now);
}

struct conn_loop *conn_loop_new(struct event_base *base) {
    struct conn_loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL)
        return NULL;
    loop->base = base;
    if (event_assign(&loop->turn_end, base, -1, 0, on_turn_end, loop) != 0 ||
        evtimer_assign(&loop->next_turn, base, on_next_turn, loop) != 0) {
        free(loop);
        return NULL;
    }
    return loop;
}

int64_t conn_loop_now_us(struct conn_loop *loop) {
    conn_loop_open_turn(loop);
    return loop->now_us;
}

static void free_dead(struct conn_loop *loop) {
    while (loop->dead != NULL) {
        struct conn *c = loop->dead;
        loop->dead = c->next_dirty;
        free(c);
    }
}

void conn_loop_free(struct conn_loop **loop) {
    if (*loop == NULL)
        return;
    event_del(&(*loop)->turn_end);
    event_del(&(*loop)->next_turn);
    /* Freed connections that are still on a list are on `dead` only once the lists let go of them.
     */
    for (struct conn *c = (*loop)->again, *next; c != NULL; c = next) {
        next = c->next_again;
        c->is_again = false;
        if (c->freed && !c->is_dirty) {
            c->next_dirty = (*loop)->dead;
            (*loop)->dead = c;
        }
    }
    for (struct conn *c = (*loop)->dirty, *next; c != NULL; c = next) {
        next = c->next_dirty;
        if (c->freed) {
            c->next_dirty = (*loop)->dead;
            (*loop)->dead = c;
        }
    }
    free_dead(*loop);
    while ((*loop)->blocks_count > 0)
        free((*loop)->blocks[--(*loop)->blocks_count]);
    free(*loop);
    *loop = NULL;
}

void conn_loop_bury(struct conn_loop *loop, struct conn *c) {
    c->next_dirty = loop->dead;
    loop->dead = c;
    conn_loop_open_turn(loop);
}

/* A list let go of `c`: true if it was freed meanwhile. */
static bool was_freed(struct conn *c) {
    if (c->freed && !c->is_dirty && !c->is_again)
        conn_loop_bury(c->loop, c);
    return c->freed;
}

void conn_loop_pace(struct conn_loop *loop, int64_t rest_us, uint32_t crowd_min,
                    const uint32_t *waiting) {
    loop->pace = (struct pace){.rest_us = rest_us, .crowd_min = crowd_min};
    loop->waiting = rest_us > 0 ? waiting : NULL;
}

static void rest(struct conn_loop *loop) {
    int64_t rest_us = pace_rest_us(&loop->pace, *loop->waiting, clock_mono_us() - loop->now_us);
    const struct timespec time = {rest_us / 1000000, rest_us % 1000000 * 1000};
    if (rest_us > 0)
        clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

/* Callbacks in here may make further connections dirty; each is sent at most once more, since
 * on_drained needs a full socket. What expects more waits for one more turn if many others wait. */
static void send_dirty(struct conn_loop *loop) {
    struct conn *later = NULL;
    bool crowded = loop->waiting != NULL && pace_is_crowded(&loop->pace);
    while (loop->dirty != NULL) {
        struct conn *c = loop->dirty;
        bool wait = c->expects_more && crowded;
        loop->dirty = c->next_dirty;
        c->expects_more = false;
        c->is_dirty = wait;
        if (wait) {
            c->next_dirty = later;
            later = c;
        } else if (!was_freed(c)) {
            conn_send_now(c);
        }
    }
    loop->dirty = later;
    if (later != NULL)
        conn_loop_turn_again(loop);
}

static void on_turn_end(evutil_socket_t fd, short what, void *arg) {
    struct conn_loop *loop = arg;
    loop->in_turn_end = true;
    struct conn *again = loop->again;
    loop->again = NULL;
    while (again != NULL) {
        struct conn *c = again;
        again = c->next_again;
        c->is_again = false;
        if (!was_freed(c) && !c->ended && !c->ending && buf_len(&c->in) != 0)
            conn_show(c, buf_head(&c->in), buf_len(&c->in), true);
    }
    send_dirty(loop);
    free_dead(loop);
    loop->in_turn_end = false;
    loop->turn_open = false;
    if (loop->waiting != NULL)
        rest(loop);
}
