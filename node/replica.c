#include "replica.h"

#include <stdlib.h>
#include <string.h>

#include "../common/plant.h"

enum { PERIODS = 4, PERIOD_MS_MIN = 20 };

enum floor_state {
    FLOOR_NONE,
    FLOOR_ASKED,  /* of the primary */
    FLOOR_AWAITED /* the replica is not known to have replayed so far */
};

struct replica {
    int64_t age_max_ms, next_due_ms, pause_until_ms, pause_ms;
    char lineage[REPLICA_LINEAGE_BYTES]; /* of the primary, for all floors that are of use */
    uint64_t number;                     /* of the newest floor that was begun */
    uint64_t met_all;                    /* floors up to this one are of no use */
    enum floor_state state;              /* of `next` */
    struct replica_ticket next;
    struct replica_ticket reached; /* number 0: none */
    struct replica_counters counters;
    uint64_t met[REPLICA_SLOTS]; /* the newest floor when something of such a key came in */
};

struct replica *replica_new(int64_t age_max_ms) {
    struct replica *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return NULL;
    r->age_max_ms = age_max_ms;
    r->pause_ms = REPLICA_PAUSE_MS_MIN;
    return r;
}

void replica_free(struct replica **replica) {
    free(*replica);
    *replica = NULL;
}

/* ---- what is known ---- */

void replica_met(struct replica *r, uint64_t hash) {
    r->met[hash % REPLICA_SLOTS] = r->number;
}

void replica_met_all(struct replica *r) {
    if (!PLANTED(replica_survives_gap))
        r->met_all = r->number;
}

/* ---- floors ---- */

static bool is_young(const struct replica *r, const struct replica_ticket *t, int64_t now_mono_ms) {
    return now_mono_ms - t->began_mono_ms <= r->age_max_ms || PLANTED(replica_floor_never_ages);
}

static bool is_of_use(const struct replica *r, const struct replica_ticket *t) {
    return t->number > r->met_all;
}

bool replica_due(const struct replica *r, int64_t now_mono_ms) {
    return now_mono_ms >= r->next_due_ms && now_mono_ms >= r->pause_until_ms &&
           (r->state == FLOOR_NONE ||
            (r->state == FLOOR_AWAITED &&
             (!is_of_use(r, &r->next) || !is_young(r, &r->next, now_mono_ms))));
}

void replica_began(struct replica *r, int64_t now_mono_ms) {
    int64_t period_ms = r->age_max_ms / PERIODS;
    r->next_due_ms = now_mono_ms + (period_ms > PERIOD_MS_MIN ? period_ms : PERIOD_MS_MIN);
    r->next = (struct replica_ticket){.number = ++r->number, .began_mono_ms = now_mono_ms};
    r->state = FLOOR_ASKED;
}

void replica_primary_said(struct replica *r, const struct replica_place *place) {
    if (r->state != FLOOR_ASKED)
        return;
    r->state = FLOOR_NONE;
    if (place == NULL || place->lineage[0] == '\0' || place->in_recovery || !is_of_use(r, &r->next))
        return;
    if (strcmp(r->lineage, place->lineage) != 0) { /* positions of another log mean nothing here */
        r->met_all = r->next.number - 1;
        memcpy(r->lineage, place->lineage, sizeof(r->lineage));
    }
    if (PLANTED(replica_floor_begins_late))
        r->next.number = ++r->number;
    r->next.lsn = place->lsn;
    r->next.horizon = place->horizon;
    r->state = FLOOR_AWAITED;
}

bool replica_is_awaited(const struct replica *r, int64_t now_mono_ms) {
    return r->state == FLOOR_AWAITED && now_mono_ms >= r->pause_until_ms;
}

static bool has_reached(const struct replica *r, const struct replica_ticket *t,
                        const struct replica_place *place) {
    return place->in_recovery &&
           (strcmp(place->lineage, r->lineage) == 0 || PLANTED(replica_ignores_lineage)) &&
           (place->lsn >= t->lsn || PLANTED(replica_ignores_lsn));
}

void replica_said(struct replica *r, const struct replica_place *place) {
    if (r->state != FLOOR_AWAITED || !has_reached(r, &r->next, place))
        return;
    r->reached = r->next;
    r->state = FLOOR_NONE;
    r->counters.floors++;
}

void replica_failed(struct replica *r, int64_t now_mono_ms) {
    r->counters.failures++;
    r->reached.number = 0;
    if (r->state == FLOOR_AWAITED) /* an answer that is still owed belongs to the floor it is of */
        r->state = FLOOR_NONE;
    r->pause_until_ms = now_mono_ms + r->pause_ms;
    r->pause_ms = 2 * r->pause_ms < REPLICA_PAUSE_MS_MAX ? 2 * r->pause_ms : REPLICA_PAUSE_MS_MAX;
}

void replica_answered(struct replica *r) {
    r->pause_ms = REPLICA_PAUSE_MS_MIN;
}

/* ---- fills ---- */

bool replica_serves(const struct replica *r, int64_t now_mono_ms, uint64_t hash,
                    struct replica_ticket *ticket) {
    const struct replica_ticket *t = &r->reached;
    if (t->number == 0 || !is_of_use(r, t) || !is_young(r, t, now_mono_ms) ||
        (r->met[hash % REPLICA_SLOTS] >= t->number && !PLANTED(replica_ignores_recent_keys)))
        return false;
    *ticket = *t;
    return true;
}

bool replica_joins(const struct replica *r, int64_t now_mono_ms,
                   const struct replica_ticket *ticket) {
    return is_young(r, ticket, now_mono_ms);
}

bool replica_admits(const struct replica *r, const struct replica_ticket *ticket,
                    const struct replica_place *place) {
    return is_of_use(r, ticket) && has_reached(r, ticket, place);
}

bool replica_is_settled(const struct replica_ticket *ticket, uint32_t transaction) {
    /* Numbers wrap around: what is far behind looks ahead, which only costs a read. */
    return (int32_t)(transaction - ticket->horizon) < 0 || PLANTED(replica_row_ahead);
}

const struct replica_counters *replica_counters(const struct replica *r) {
    return &r->counters;
}

int64_t replica_age_ms(const struct replica *r, int64_t now_mono_ms) {
    const struct replica_ticket *t = &r->reached;
    return t->number != 0 && is_of_use(r, t) && is_young(r, t, now_mono_ms)
               ? now_mono_ms - t->began_mono_ms
               : -1;
}
