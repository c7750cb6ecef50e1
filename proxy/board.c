#include "board.h"

#include <pthread.h>
#include <stdlib.h>

#include "../common/glob.h"
#include "names.h"

struct board {
    pthread_mutex_t lock;
    struct names names[BOARD_KINDS];
    uint64_t subscriptions, subscriptions_max, patterns_max;
};

struct board *board_new(uint64_t subscriptions_max, uint64_t patterns_max) {
    struct board *board = calloc(1, sizeof(*board));
    if (board == NULL || pthread_mutex_init(&board->lock, NULL) != 0) {
        free(board);
        return NULL;
    }
    board->subscriptions_max = subscriptions_max;
    board->patterns_max = patterns_max;
    for (int kind = 0; kind < BOARD_KINDS; kind++)
        names_init(&board->names[kind]);
    return board;
}

void board_free(struct board **pointer) {
    struct board *board = *pointer;
    *pointer = NULL;
    if (board == NULL)
        return;
    for (int kind = 0; kind < BOARD_KINDS; kind++)
        names_release(&board->names[kind]);
    pthread_mutex_destroy(&board->lock);
    free(board);
}

static struct name *find_or_add(struct board *board, enum board_kind kind, struct span name) {
    struct names *names = &board->names[kind];
    struct name *found = names_find(names, name);
    if (board->subscriptions >= board->subscriptions_max)
        return NULL;
    if (found == NULL && (kind != BOARD_PATTERNS || names->count < board->patterns_max))
        found = names_add(names, name);
    return found;
}

bool board_join(struct board *board, enum board_kind kind, struct span name) {
    pthread_mutex_lock(&board->lock);
    struct name *found = find_or_add(board, kind, name);
    if (found != NULL) {
        found->count++;
        board->subscriptions++;
    }
    pthread_mutex_unlock(&board->lock);
    return found != NULL;
}

void board_leave(struct board *board, enum board_kind kind, struct span name) {
    pthread_mutex_lock(&board->lock);
    struct name *found = names_find(&board->names[kind], name);
    if (found != NULL) {
        board->subscriptions--;
        if (--found->count == 0)
            names_remove(&board->names[kind], found);
    }
    pthread_mutex_unlock(&board->lock);
}

uint64_t board_names(struct board *board, enum board_kind kind) {
    pthread_mutex_lock(&board->lock);
    uint64_t count = board->names[kind].count;
    pthread_mutex_unlock(&board->lock);
    return count;
}

uint64_t board_subscribers(struct board *board, struct span channel) {
    pthread_mutex_lock(&board->lock);
    const struct name *found = names_find(&board->names[BOARD_CHANNELS], channel);
    uint64_t count = found == NULL ? 0 : found->count;
    pthread_mutex_unlock(&board->lock);
    return count;
}

void board_each(struct board *board, struct span pattern, void (*fn)(void *ctx, struct span name),
                void *ctx) {
    pthread_mutex_lock(&board->lock);
    for (const struct name *n = board->names[BOARD_CHANNELS].first; n != NULL; n = n->next) {
        if (pattern.ptr == NULL || glob_match(pattern, name_text(n), false))
            fn(ctx, name_text(n));
    }
    pthread_mutex_unlock(&board->lock);
}
