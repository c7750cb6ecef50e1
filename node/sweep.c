#include "sweep.h"

enum { HURRY = 10 /* times as often while a batch is full */ };

static void on_answer(struct store_query *query, enum store_status status,
                      const struct store_answer *answer) {
    struct sweep *sweep = (struct sweep *)query;
    sweep->asked = false;
    if (status != STORE_OK)
        return;
    *sweep->swept += (uint64_t)answer->count;
    if (answer->count >= query->count_max)
        sweep->next_mono_ms = sweep->now_mono_ms + sweep->interval_ms / HURRY;
}

void sweep_init(struct sweep *sweep, struct store *store, int64_t interval_ms, uint32_t batch,
                uint64_t *swept) {
    *sweep =
        (struct sweep){.query = {.question = STORE_SWEEP, .count_max = batch, .done = on_answer},
                       .store = store,
                       .interval_ms = interval_ms,
                       .swept = swept};
}

void sweep_tick(struct sweep *sweep, int64_t now_mono_ms) {
    sweep->now_mono_ms = now_mono_ms;
    if (sweep->interval_ms == 0 || sweep->asked || now_mono_ms < sweep->next_mono_ms)
        return;
    sweep->next_mono_ms = now_mono_ms + sweep->interval_ms;
    sweep->asked = store_ask(sweep->store, &sweep->query) == STORE_OK;
}
