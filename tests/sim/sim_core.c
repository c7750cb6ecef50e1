#include "sim_core.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_net.h"

enum { BLOCK_BYTES = 1 << 20, BLOCKS_MAX = 128 };

/* The memory of all runs, one after the other. */
static char *blocks[BLOCKS_MAX];
static unsigned block;
static size_t block_used;
static struct sim_event *heap;
static size_t heap_count, heap_cap;

static void *must(void *memory) {
    if (memory == NULL) {
        fprintf(stderr, "sim: out of memory\n");
        abort();
    }
    return memory;
}

/* ---- chance: splitmix64 (Steele, Lea, Flood 2014) ---- */

static const uint64_t STEP = 0x9E3779B97F4A7C15u;

static uint64_t mix(uint64_t z) {
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static uint64_t next(struct sim *sim) {
    return mix(sim->random += STEP);
}

void sim_core_begin(struct sim *sim, uint64_t seed) {
    block = 0;
    block_used = 0;
    heap_count = 0;
    /* Mixed: else the next seed's draws would be this one's from the second on. */
    *sim = (struct sim){.random = mix(seed * STEP + 0x1234567)};
    sim->now_us = 1000 * 1000 * 1000; /* like a machine that is up for a while */
}

void sim_release(void) {
    for (int i = 0; i < BLOCKS_MAX; i++) {
        free(blocks[i]);
        blocks[i] = NULL;
    }
    free(heap);
    heap = NULL;
    heap_cap = 0;
}

void *sim_alloc(struct sim *sim, size_t size) {
    size = (size + 15) & ~(size_t)15;
    if (block_used + size > BLOCK_BYTES) {
        if (size > BLOCK_BYTES || block + 1 == BLOCKS_MAX)
            must(NULL);
        block++;
        block_used = 0;
    }
    if (blocks[block] == NULL)
        blocks[block] = must(malloc(BLOCK_BYTES));
    void *memory = blocks[block] + block_used;
    block_used += size;
    memset(memory, 0, size);
    return memory;
}

uint64_t sim_random(struct sim *sim, uint64_t n) {
    return (uint64_t)((unsigned __int128)next(sim) * n >> 64);
}

int64_t sim_between(struct sim *sim, int64_t low, int64_t high) {
    return low + (int64_t)sim_random(sim, (uint64_t)(high - low) + 1);
}

bool sim_chance(struct sim *sim, unsigned permille) {
    return sim_random(sim, 1000) < permille;
}

/* ---- events ---- */

static bool is_before(const struct sim_event *a, const struct sim_event *b) {
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void push(struct sim_event event) {
    if (heap_count == heap_cap) {
        heap_cap = heap_cap == 0 ? 1024 : heap_cap * 2;
        heap = must(realloc(heap, heap_cap * sizeof(*heap)));
    }
    size_t at = heap_count++;
    for (; at != 0 && is_before(&event, &heap[(at - 1) / 4]); at = (at - 1) / 4)
        heap[at] = heap[(at - 1) / 4];
    heap[at] = event;
}

static struct sim_event pop(void) {
    struct sim_event first = heap[0], last = heap[--heap_count];
    size_t at = 0;
    for (;;) {
        size_t child = 4 * at + 1, best = child;
        if (child >= heap_count)
            break;
        for (size_t i = child + 1; i < child + 4 && i < heap_count; i++)
            best = is_before(&heap[i], &heap[best]) ? i : best;
        if (!is_before(&heap[best], &last))
            break;
        heap[at] = heap[best];
        at = best;
    }
    heap[at] = last;
    return first;
}

void sim_at(struct sim *sim, struct sim_process *process, int64_t at_us, sim_event_fn *fn,
            void *ctx, uint64_t arg) {
    push((struct sim_event){at_us, ++sim->order, fn, ctx, arg, process});
}

void sim_in(struct sim *sim, struct sim_process *process, int64_t in_us, sim_event_fn *fn,
            void *ctx, uint64_t arg) {
    sim_at(sim, process, sim->now_us + in_us, fn, ctx, arg);
}

static void happen(struct sim *sim, const struct sim_event *event) {
    sim->result->events++;
    event->fn(sim, event->ctx, event->arg);
    sim_net_turns(sim);
}

/* Kept in the order in which it came, also against what comes when the process goes on. */
static void defer(struct sim *sim, struct sim_process *process, const struct sim_event *event) {
    struct sim_deferred *deferred = sim_alloc(sim, sizeof(*deferred));
    deferred->event = *event;
    *(process->last != NULL ? &process->last->next : &process->first) = deferred;
    process->last = deferred;
}

static void on_go_on(struct sim *sim, void *ctx, uint64_t arg) {
    struct sim_process *process = ctx;
    if (process->stopped_until_us > sim->now_us)
        return;
    while (process->first != NULL && !sim->stopping) {
        struct sim_deferred *deferred = process->first;
        process->first = deferred->next;
        if (process->first == NULL)
            process->last = NULL;
        happen(sim, &deferred->event);
    }
}

void sim_stop(struct sim *sim, struct sim_process *process, int64_t for_us) {
    int64_t until_us = sim->now_us + for_us;
    if (until_us <= process->stopped_until_us)
        return;
    process->stopped_until_us = until_us;
    sim_at(sim, NULL, until_us, on_go_on, process, 0);
}

void sim_go_on(struct sim *sim, struct sim_process *process) {
    process->stopped_until_us = sim->now_us;
    sim_at(sim, NULL, sim->now_us, on_go_on, process, 0);
}

bool sim_core_step(struct sim *sim) {
    if (heap_count == 0 || sim->stopping)
        return false;
    struct sim_event event = pop();
    sim->now_us = event.at_us;
    struct sim_process *process = event.process;
    if (process != NULL && (process->stopped_until_us > event.at_us || process->first != NULL))
        defer(sim, process, &event);
    else
        happen(sim, &event);
    return true;
}

int64_t sim_now_us(const struct sim *sim) {
    return sim->now_us;
}

const struct sim_profile *sim_profile(const struct sim *sim) {
    return &sim->profile;
}

struct sim_parts *sim_parts(struct sim *sim) {
    return &sim->parts;
}

bool sim_loading(const struct sim *sim) {
    return sim->loading;
}

int64_t sim_calm(const struct sim *sim, int64_t us) {
    return sim->loading ? us : us / 8 + 10;
}

/* ---- the trace ---- */

bool sim_is_traced(const struct sim *sim) {
    return sim->traced;
}

void sim_trace_line(struct sim *sim, const char *fmt, ...) {
    if (sim->trace == NULL)
        sim->trace = must(calloc(SIM_TRACE_LINES, SIM_TRACE_BYTES));
    char *line = sim->trace[sim->trace_count++ % SIM_TRACE_LINES];
    int64_t us = sim->now_us - 1000 * 1000 * 1000;
    int n = snprintf(line, SIM_TRACE_BYTES, "%6lld.%03d ms  ", (long long)(us / 1000),
                     (int)(us % 1000));
    va_list args;
    va_start(args, fmt);
    vsnprintf(line + n, (size_t)(SIM_TRACE_BYTES - n), fmt, args);
    va_end(args);
    for (; *line != '\0'; line++) /* keys may hold a newline */
        *line = *line == '\n' ? '~' : *line;
}

void sim_core_print_trace(const struct sim *sim) {
    uint64_t first = sim->trace_count > SIM_TRACE_LINES ? sim->trace_count - SIM_TRACE_LINES : 0;
    for (uint64_t i = first; i < sim->trace_count; i++)
        fprintf(stderr, "  %s\n", sim->trace[i % SIM_TRACE_LINES]);
}

void sim_violation(struct sim *sim, const char *fmt, ...) {
    if (sim->result->failed)
        return;
    sim->result->failed = sim->stopping = true;
    va_list args;
    va_start(args, fmt);
    vsnprintf(sim->result->violation, sizeof(sim->result->violation), fmt, args);
    va_end(args);
    for (char *c = sim->result->violation; *c != '\0'; c++)
        *c = *c == '\n' ? '~' : *c;
    sim_trace(sim, "VIOLATION: %s", sim->result->violation);
}
