/* CLIENT PAUSE: requests that are held back stay where they are, unread, and with them what their
 * client sends behind them; nothing of them is lost and no time of theirs runs. */
#include "../common/command.h"
#include "client_private.h"
#include "pause.h"
#include "rights.h"

/* A transaction that was queued before the pause began. */
static bool writes_queued(const struct client *c) {
    struct multi_walk walk;
    struct resp_request in = {0};
    bool writes = false;
    multi_walk_begin(&walk, span_of(buf_head(&c->multi.commands), buf_len(&c->multi.commands)));
    while (!writes && multi_walk_next(&walk, &in))
        writes = (command_row(command_find(in.argv[0]))->flags & COMMAND_WRITE) != 0;
    multi_walk_end(&walk);
    return writes;
}

static bool ends_pause(const struct client *c, int id, const struct resp_request *in) {
    return id == COMMAND_CLIENT && in->argc > 1 &&
           (span_equal_nocase(in->argv[1], SPAN("UNPAUSE")) ||
            span_equal_nocase(in->argv[1], SPAN("PAUSE"))) &&
           rights_is_admin(c->env->server->rights, &c->local.rights);
}

/* As Redis, which refuses before it holds back; but whoever may end the pause gets through. */
bool client_is_paused(struct client *c, const struct resp_request *in) {
    int64_t left_us;
    enum pause_kind kind = pause_now(c->env->pause, conn_loop_now_us(c->env->loop), &left_us);
    int id = kind == PAUSE_NONE || c->waits ? -1 : command_find(in->argv[0]);
    if (id < 0 || !command_arity_ok(id, in->argc))
        return false;
    bool writes = (command_row(id)->flags & COMMAND_WRITE) != 0 ||
                  (id == COMMAND_TX_EXEC && c->multi.open && writes_queued(c));
    if (kind == PAUSE_WRITE ? !writes : ends_pause(c, id, in))
        return false;
    c->list->paused_any = true;
    return true;
}

int64_t client_list_pause(struct client_list *list) {
    int64_t left_us;
    pause_now(list->env->pause, conn_loop_now_us(list->env->loop), &left_us);
    if (!list->paused_any)
        return left_us;
    list->paused_any = false; /* until one is held back again */
    for (struct client *c = list->first; c != NULL; c = c->next) {
        if (c->stalled && !c->dead)
            conn_read_again(c->conn);
    }
    return left_us;
}
