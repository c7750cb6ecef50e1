#include "window.h"

#include <stdlib.h>
#include <string.h>

enum { WINDOW_CAPACITY_MIN = 64 };

void window_init(struct window *w) {
    *w = (struct window){.first = 1, .end = 1};
}

void window_release(struct window *w) {
    free(w->slots);
    window_init(w);
}

static bool grow(struct window *w) {
    uint32_t capacity = w->capacity == 0 ? WINDOW_CAPACITY_MIN : w->capacity * 2;
    void **slots = calloc(capacity, sizeof(*slots));
    if (slots == NULL || capacity == 0) {
        free(slots);
        return false;
    }
    for (uint64_t n = w->first; n < w->end; n++)
        slots[n & (capacity - 1)] = w->slots[n & (w->capacity - 1)];
    free(w->slots);
    w->slots = slots;
    w->capacity = capacity;
    return true;
}

bool window_push(struct window *w, void *item) {
    if (w->end - w->first >= w->capacity && !grow(w))
        return false;
    w->slots[w->end++ & (w->capacity - 1)] = item;
    w->held++;
    return true;
}

/* Numbers whose items were taken out of order are let go once they are the oldest. */
static void skip_taken(struct window *w) {
    while (w->first < w->end && w->slots[w->first & (w->capacity - 1)] == NULL)
        w->first++;
}

void *window_take(struct window *w, uint64_t number) {
    if (number < w->first || number >= w->end)
        return NULL;
    void **slot = &w->slots[number & (w->capacity - 1)];
    void *item = *slot;
    if (item != NULL) {
        *slot = NULL;
        w->held--;
        skip_taken(w);
    }
    return item;
}

void *window_at(const struct window *w, uint64_t number) {
    bool inside = number >= w->first && number < w->end;
    return inside ? w->slots[number & (w->capacity - 1)] : NULL;
}

void window_set(struct window *w, uint64_t number, void *item) {
    w->slots[number & (w->capacity - 1)] = item;
}

void window_cut(struct window *w, uint64_t number) {
    while (w->end > number && w->end > w->first) {
        void **slot = &w->slots[--w->end & (w->capacity - 1)];
        w->held -= *slot != NULL;
        *slot = NULL;
    }
}

void *window_first(const struct window *w) {
    return w->first < w->end ? w->slots[w->first & (w->capacity - 1)] : NULL;
}

void *window_pop(struct window *w) {
    return window_take(w, w->first);
}
