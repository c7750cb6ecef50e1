/*
 * window: a queue of pointers numbered from 1 on without a gap; any of them can be taken by number,
 * and the oldest are let go first. Holds the requests of one node connection, by position and by
 * late id. Embedded by value.
 */
#ifndef RINGFENCE_WINDOW_H
#define RINGFENCE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

struct window {
    void **slots; /* capacity is a power of two, or 0 */
    uint32_t capacity;
    uint32_t held;       /* pointers inside */
    uint64_t first, end; /* numbers in use: first .. end - 1 */
};

void window_init(struct window *w);
void window_release(struct window *w);

/** window_push(w, item): give `item` the next number. Returns false without memory. Amortised O(1).
 */
bool window_push(struct window *w, void *item);

/** window_take(w, number): remove and return the item, NULL if there is none of that number. */
void *window_take(struct window *w, uint64_t number);

/** window_at(w, number): the item of that number, or NULL. window_set(w, number, item): another in
 * its place; both are not NULL. */
void *window_at(const struct window *w, uint64_t number);
void window_set(struct window *w, uint64_t number, void *item);

/** window_cut(w, number): forget the items from `number` on; their numbers will be given again. */
void window_cut(struct window *w, uint64_t number);

/** window_first(w): the oldest item, or NULL; window_pop(w): remove it too. */
void *window_first(const struct window *w);
void *window_pop(struct window *w);

#endif
