// needs: fakes/conn_peer.c
/*
 * The turn: one write per connection and turn, callbacks from the loop alone, reading again, and
 * connections that are freed at the worst moments (the sanitizers watch).
 */
#include <criterion/criterion.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/clock.h"
#include "../../common/conn_private.h"
#include "../fakes/conn_peer.h"

/* ---- one write a turn ---- */

Test(conn_loop, writes_once_a_turn_and_not_from_inside_the_call) {
    struct conn_peer p;
    conn_peer_init(&p, SOCK_SEQPACKET);
    conn_peer_send(&p, "a");
    conn_peer_send(&p, "b");
    cr_assert_str_eq(conn_peer_read(&p), "-");
    conn_peer_turn(&p);
    cr_assert_str_eq(conn_peer_read(&p), "ab");
    conn_peer_send(&p, "c");
    conn_peer_turn(&p);
    cr_assert_str_eq(conn_peer_read(&p), "c");
    cr_assert_str_eq(conn_peer_read(&p), "-");
    conn_peer_release(&p);
}

static void answer_both(struct conn_peer *p) {
    conn_peer_send(p, "x");
    conn_peer_send(p->other, "y");
}

/* What the callbacks of one turn append to a connection leaves together, whoever appended it. */
Test(conn_loop, gathers_what_all_callbacks_of_a_turn_append) {
    struct conn_peer p, q;
    conn_peer_init(&p, SOCK_SEQPACKET);
    conn_peer_init_beside(&q, &p, SOCK_SEQPACKET);
    p.other = q.other = &q;
    p.on_read = q.on_read = answer_both;
    conn_peer_write(&p, "1");
    conn_peer_write(&q, "2");
    conn_peer_turn(&p);
    cr_assert_str_eq(p.log, "read:1");
    cr_assert_str_eq(q.log, "read:2");
    cr_assert_str_eq(conn_peer_read(&p), "x");
    const char *got = conn_peer_read(&q);
    cr_assert_eq(strlen(got), 3u, "%s: one of its own, one of each callback", got);
    cr_assert_str_eq(conn_peer_read(&q), "-");
    conn_peer_release(&q);
    conn_peer_release(&p);
}

static void send_more(struct conn_peer *p) {
    if (p->drains == 1)
        conn_peer_send(p, "more");
}

Test(conn_loop, sends_what_is_appended_when_drained) {
    struct conn_peer p;
    conn_peer_init(&p, SOCK_STREAM);
    p.conf.out_low = 2;
    p.on_drained = send_more;
    conn_peer_send(&p, "abc");
    conn_peer_turns(&p);
    cr_assert_str_eq(conn_peer_read(&p), "abcmore");
    cr_assert_str_eq(p.log, "drained drained");
    conn_peer_release(&p);
}

/* ---- the clock ---- */

static int64_t seen_us[2];

static void look_at_the_clock(struct conn_peer *p) {
    seen_us[p->other == NULL] = conn_loop_now_us(p->loop);
    int64_t until_us = conn_loop_now_us(p->loop) + 1;
    while (clock_mono_us() <= until_us)
        ;
}

Test(conn_loop, reads_the_clock_once_a_turn) {
    struct conn_peer p, q;
    conn_peer_init(&p, SOCK_STREAM);
    conn_peer_init_beside(&q, &p, SOCK_STREAM);
    p.other = &q;
    p.on_read = q.on_read = look_at_the_clock;
    int64_t before_us = clock_mono_us();
    conn_peer_write(&p, "1");
    conn_peer_write(&q, "2");
    conn_peer_turn(&p);
    cr_assert_eq(seen_us[0], seen_us[1]);
    cr_assert_geq(seen_us[0], before_us);
    cr_assert_leq(seen_us[0], clock_mono_us());
    int64_t first_us = seen_us[0];
    conn_peer_write(&p, "3");
    conn_peer_turn(&p);
    cr_assert_gt(seen_us[0], first_us);
    conn_peer_release(&q);
    conn_peer_release(&p);
}

/* ---- reading again ---- */

static void again(struct conn_peer *p) {
    if (p->reads < 5)
        conn_read_again(p->c);
}

Test(conn_loop, shows_again_what_was_left_without_new_bytes) {
    struct conn_peer p;
    conn_peer_init(&p, SOCK_STREAM);
    p.take = 1;
    p.on_read = again;
    conn_peer_write(&p, "abcdefgh");
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "read:abcdefgh read:bcdefgh read:cdefgh read:defgh read:efgh");
    conn_read_again(p.c);
    conn_read_again(p.c);
    cr_assert_eq(p.reads, 5u, "not from inside the call");
    conn_peer_turns(&p);
    cr_assert_eq(p.reads, 6u, "asked for twice, done once");
    p.take = SIZE_MAX;
    conn_read_again(p.c);
    conn_peer_turns(&p);
    conn_read_again(p.c);
    conn_peer_turns(&p);
    cr_assert_eq(p.reads, 7u, "there is nothing left");
    conn_peer_release(&p);
}

static void again_always(struct conn_peer *p) {
    if (p->reads < 1000)
        conn_read_again(p->c);
}

/* One that has much to do does not keep the others waiting. */
Test(conn_loop, lets_others_read_between) {
    struct conn_peer p, q;
    conn_peer_init(&p, SOCK_STREAM);
    conn_peer_init_beside(&q, &p, SOCK_STREAM);
    p.take = 0;
    p.on_read = again_always;
    conn_peer_write(&p, "x");
    conn_peer_turn(&p);
    conn_peer_write(&q, "y");
    conn_peer_wait(&p, &q.reads, 1);
    cr_assert_lt(p.reads, 20u, "%u", p.reads);
    conn_peer_wait(&p, &p.reads, 1000);
    conn_peer_release(&q);
    conn_peer_release(&p);
}

static void end_it(struct conn_peer *p) {
    if (p->reads > 1)
        conn_end_after_send(p->c);
}

Test(conn_loop, shows_what_was_left_after_the_peers_end) {
    struct conn_peer p;
    conn_peer_init(&p, SOCK_STREAM);
    p.take = 1;
    p.on_read = end_it;
    conn_peer_write(&p, "ab");
    shutdown(p.fd, SHUT_WR);
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "read:ab eof");
    conn_read_again(p.c);
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "read:ab eof read:b eof");
    conn_peer_release(&p);
}

/* ---- freed anywhere ---- */

static void free_it(struct conn_peer *p) {
    conn_free(&p->c);
}

static void free_it_after_all(struct conn_peer *p) {
    conn_peer_send(p, "never sent");
    conn_read_again(p->c);
    conn_free(&p->c);
}

static void free_other(struct conn_peer *p) {
    conn_free(&p->other->c);
}

Test(conn_loop, may_be_freed_while_it_reads) {
    static void (*const WAYS[])(struct conn_peer *) = {free_it, free_it_after_all};
    for (size_t way = 0; way < 2; way++) {
        for (size_t left = 0; left <= 1; left++) {
            struct conn_peer p;
            conn_peer_init(&p, SOCK_STREAM);
            p.take = left == 0 ? SIZE_MAX : 0;
            p.on_read = NULL;
            conn_peer_write(&p, "a");
            conn_peer_turns(&p);
            p.on_read = WAYS[way];
            conn_peer_write(&p, "b");
            conn_peer_turns(&p);
            cr_assert_eq(p.reads, 2u, "nothing follows");
            cr_assert_eq(p.ends, 0u);
            cr_assert_null(p.c);
            cr_assert_str_eq(conn_peer_read(&p), ".", "closed, and nothing sent");
            conn_peer_release(&p);
        }
    }
}

Test(conn_loop, may_be_freed_while_it_is_read_again) {
    struct conn_peer p;
    conn_peer_init(&p, SOCK_STREAM);
    p.take = 0;
    conn_peer_write(&p, "a");
    conn_peer_turns(&p);
    p.on_read = free_it_after_all;
    conn_read_again(p.c);
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "read:a read:a");
    conn_peer_release(&p);
}

Test(conn_loop, may_be_freed_at_its_end) {
    struct conn_peer p;
    conn_peer_init(&p, SOCK_STREAM);
    p.on_end = free_it_after_all;
    shutdown(p.fd, SHUT_WR);
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "eof");
    conn_peer_release(&p);
    conn_peer_init(&p, SOCK_STREAM);
    p.on_end = free_it;
    conn_end_after_send(p.c);
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "eof");
    conn_peer_release(&p);
    conn_peer_init(&p, SOCK_STREAM);
    p.on_end = free_it;
    p.conf.in_max = 0;
    p.take = 0;
    conn_peer_write(&p, "a");
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "read:a full");
    conn_peer_release(&p);
}

Test(conn_loop, may_be_freed_when_drained) {
    struct conn_peer p;
    conn_peer_init(&p, SOCK_STREAM);
    p.conf.out_low = 2;
    p.on_drained = free_it_after_all;
    conn_peer_send(&p, "abc");
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "drained");
    cr_assert_str_eq(conn_peer_read(&p), "abc");
    conn_peer_release(&p);
}

/* The other one stands on the list of those to read again, or to send, or both, in either order. */
Test(conn_loop, may_be_freed_by_another_while_it_waits_on_a_list) {
    for (unsigned lists = 0; lists < 4; lists++) {
        for (unsigned first = 0; first < 2; first++) {
            struct conn_peer p, q;
            conn_peer_init(&p, SOCK_STREAM);
            conn_peer_init_beside(&q, &p, SOCK_STREAM);
            p.other = &q;
            p.take = q.take = 0;
            conn_peer_write(&p, "1");
            conn_peer_write(&q, "2");
            conn_peer_turns(&p);
            p.on_read = free_other;
            if (first == 0)
                conn_read_again(p.c);
            if ((lists & 1) != 0)
                conn_read_again(q.c);
            if ((lists & 2) != 0)
                conn_peer_send(&q, "never sent");
            if (first == 1)
                conn_read_again(p.c);
            conn_peer_turns(&p);
            cr_assert_null(q.c);
            cr_assert_eq(p.reads, 2u);
            /* q came later than p: it may have been shown its bytes before p freed it */
            cr_assert_leq(q.reads, 2u);
            cr_assert_str_eq(conn_peer_read(&q), ".", "closed, and nothing sent");
            conn_peer_release(&q);
            conn_peer_release(&p);
        }
    }
}

/* Freed by the drained callback of one while the other waits to send in the same turn. */
Test(conn_loop, may_be_freed_by_another_that_was_drained) {
    for (unsigned first = 0; first < 2; first++) {
        struct conn_peer p, q;
        conn_peer_init(&p, SOCK_STREAM);
        conn_peer_init_beside(&q, &p, SOCK_STREAM);
        p.other = &q;
        p.conf.out_low = 0;
        p.on_drained = free_other;
        if (first == 0)
            conn_peer_send(&p, "p");
        conn_peer_send(&q, "q");
        if (first == 1)
            conn_peer_send(&p, "p");
        conn_peer_turns(&p);
        cr_assert_null(q.c);
        cr_assert_str_eq(p.log, "drained");
        cr_assert_str_eq(conn_peer_read(&p), "p");
        conn_peer_release(&q);
        conn_peer_release(&p);
    }
}

/* The daemon stops in the middle of everything: nothing is lost, nothing is touched again. */
Test(conn_loop, is_freed_with_connections_on_its_lists) {
    for (unsigned lists = 0; lists < 4; lists++) {
        struct conn_peer p, q;
        conn_peer_init(&p, SOCK_STREAM);
        conn_peer_init_beside(&q, &p, SOCK_STREAM);
        if ((lists & 1) != 0) {
            conn_read_again(p.c);
            conn_read_again(q.c);
        }
        if ((lists & 2) != 0) {
            conn_peer_send(&p, "x");
            conn_peer_send(&q, "x");
        }
        conn_peer_release(&q);
        conn_peer_release(&p);
    }
    struct conn_loop *none = NULL;
    conn_loop_free(&none);
    struct conn *nobody = NULL;
    conn_free(&nobody);
    cr_assert_null(nobody);
}

/* ---- buffers ---- */

Test(conn_loop, lends_the_same_block_to_one_after_the_other) {
    struct conn_peer p, q;
    conn_peer_init(&p, SOCK_STREAM);
    conn_peer_init_beside(&q, &p, SOCK_STREAM);
    conn_peer_send(&p, "a");
    const char *block = p.c->out.data;
    conn_peer_turns(&p);
    conn_peer_send(&q, "b");
    cr_assert_eq(q.c->out.data, block);
    conn_peer_turns(&p);
    cr_assert_str_eq(conn_peer_read(&p), "a");
    cr_assert_str_eq(conn_peer_read(&q), "b");
    cr_assert_eq(p.loop->blocks_count, 1u);
    conn_peer_release(&q);
    conn_peer_release(&p);
}

Test(conn_loop, keeps_a_bounded_number_of_blocks) {
    enum { MANY = BLOCKS_MAX + 10 };
    static struct conn_peer p, q[MANY];
    conn_peer_init(&p, SOCK_STREAM);
    for (int i = 0; i < MANY; i++) {
        conn_peer_init_beside(&q[i], &p, SOCK_STREAM);
        conn_peer_send(&q[i], "x");
    }
    conn_peer_turns(&p);
    cr_assert_eq(p.loop->blocks_count, (unsigned)BLOCKS_MAX);
    for (int i = 0; i < MANY; i++) {
        cr_assert_str_eq(conn_peer_read(&q[i]), "x");
        conn_peer_release(&q[i]);
    }
    conn_peer_release(&p);
}

/* ---- rest between turns ---- */

/* How long a turn took from its start, its rest included; only a lower bound is certain. */
static int64_t turn_us(struct conn_peer *p) {
    conn_peer_send(p, "a");
    int64_t before_us = clock_mono_us();
    conn_peer_turn(p);
    return clock_mono_us() - before_us;
}

Test(conn_loop, rests_between_turns_while_many_wait) {
    enum { REST_US = 3000 };
    struct conn_peer p;
    conn_peer_init(&p, SOCK_SEQPACKET);
    uint32_t waiting = 8;
    conn_loop_pace(p.loop, REST_US, 8, &waiting);
    cr_assert_geq(turn_us(&p), REST_US);
    cr_assert_str_eq(conn_peer_read(&p), "a"); /* what was written left before the rest */
    waiting = 0;
    for (int i = 0; i < 100; i++) { /* until the crowd is forgotten */
        conn_peer_send(&p, "b");
        conn_peer_turn(&p);
        conn_peer_read(&p);
    }
    cr_assert_eq(p.loop->pace.crowd, 0u);
    conn_loop_pace(p.loop, 0, 0, &waiting);
    cr_assert_null(p.loop->waiting, "a rest of no time is none");
    conn_peer_release(&p);
}

/* ---- output that expects more ---- */

static void send_soon(struct conn_peer *p, const char *text) {
    buf_append(conn_out(p->c), text, strlen(text));
    conn_send_soon(p->c);
}

/* A crowded loop, in which an "a" waits for the next turn's end. */
static void hold_back(struct conn_peer *p) {
    static const uint32_t waiting = 8;
    conn_peer_init(p, SOCK_SEQPACKET);
    conn_loop_pace(p->loop, 1, 8, &waiting);
    conn_peer_send(p, "first");
    conn_peer_turn(p);
    cr_assert_str_eq(conn_peer_read(p), "first");
    send_soon(p, "a");
    conn_peer_turn(p);
    cr_assert_str_eq(conn_peer_read(p), "-");
}

Test(conn_loop, in_a_crowd_output_that_expects_more_leaves_with_the_next_turns) {
    struct conn_peer p;
    hold_back(&p);
    send_soon(&p, "b"); /* once, not for ever */
    conn_peer_turn(&p);
    cr_assert_str_eq(conn_peer_read(&p), "ab");
    send_soon(&p, "c");
    conn_peer_send(&p, "d"); /* that was the last */
    conn_peer_turn(&p);
    cr_assert_str_eq(conn_peer_read(&p), "cd");
    conn_peer_send(&p, "e");
    send_soon(&p, "f"); /* behind what must leave now */
    conn_peer_turn(&p);
    cr_assert_str_eq(conn_peer_read(&p), "ef");
    conn_peer_release(&p);
}

/* A turn that waits for a descriptor would wait for ever: nobody sends anything. */
Test(conn_loop, output_that_expects_more_waits_for_nothing, .timeout = 10) {
    struct conn_peer p;
    hold_back(&p);
    event_base_loop(p.base, EVLOOP_ONCE);
    cr_assert_str_eq(conn_peer_read(&p), "a");
    conn_peer_release(&p);
}

Test(conn_loop, without_a_crowd_nothing_waits_for_more) {
    static const uint32_t waiting = 7;
    struct conn_peer p;
    conn_peer_init(&p, SOCK_SEQPACKET);
    send_soon(&p, "a"); /* a loop that never rests */
    conn_peer_turn(&p);
    cr_assert_str_eq(conn_peer_read(&p), "a");
    conn_loop_pace(p.loop, 1, 8, &waiting);
    for (int i = 0; i < 3; i++) {
        send_soon(&p, "b");
        conn_peer_turn(&p);
        cr_assert_str_eq(conn_peer_read(&p), "b");
    }
    conn_peer_release(&p);
}

Test(conn_loop, may_be_freed_while_its_output_expects_more) {
    for (int turns = 0; turns < 2; turns++) { /* before the next turn's end; with the loop */
        struct conn_peer p;
        hold_back(&p);
        conn_free(&p.c);
        cr_assert_str_eq(conn_peer_read(&p), ".");
        for (int i = 0; i < turns; i++)
            conn_peer_turn(&p);
        conn_peer_release(&p);
    }
}
