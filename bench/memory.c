/*
 * Memory per item of the node's cache, and how long one cache_put() takes at worst: while the table
 * grows, and at the budget with everything in use. What a put does is the same in every round, so
 * its cost is the least CPU time over the rounds: what interrupts or a hypervisor add falls away.
 * The wall's figures are of all rounds, noise and all.
 *
 *   bench_memory [MILLIONS OF ITEMS TO GROW TO [ROUNDS]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../node/cache.h"
#include "cpu.h"
#include "draw.h"
#include "histogram.h"

enum { KEY_BYTES = 16, VALUE_BYTES = 100, ITEMS = 1000000, MB = 1 << 20, MIXED_BYTES = 64 << 10 };

static char bytes[MIXED_BYTES];

static uint64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *checked(void *memory) {
    if (memory == NULL) {
        fprintf(stderr, "no memory\n");
        exit(EXIT_FAILURE);
    }
    return memory;
}

static uint64_t key_of(const struct cache *c, uint64_t number, char text[KEY_BYTES + 1]) {
    snprintf(text, KEY_BYTES + 1, "key:%012llu", (unsigned long long)number);
    return cache_hash(c, span_of(text, KEY_BYTES));
}

static void put(struct cache *c, uint64_t number, size_t value_len) {
    char key[KEY_BYTES + 1];
    uint64_t hash = key_of(c, number, key);
    const struct cache_item item = {.value = span_of(bytes, value_len), .version = 1, .epoch = 1};
    cache_put(c, span_of(key, KEY_BYTES), hash, &item);
}

/* Read the keys below `items` so often that no count can rise. */
static void use_all(struct cache *c, uint64_t items) {
    for (uint64_t i = 0; i < items * 8; i++) {
        char key[KEY_BYTES + 1];
        struct cache_item item;
        uint64_t hash = key_of(c, i / 8, key);
        cache_get(c, span_of(key, KEY_BYTES), hash, &item);
    }
}

/* ---- memory ---- */

static void memory_per_item(void) {
    size_t before = cpu_rss_bytes(getpid());
    struct cache *c = checked(cache_new((size_t)256 * MB, 1));
    struct cache_stats s;
    for (uint64_t i = 0; i < ITEMS; i++)
        put(c, i, VALUE_BYTES);
    size_t resident = cpu_rss_bytes(getpid()) - before;
    cache_stats_get(c, &s);
    printf("%llu items of %d + %d bytes: %.1f bytes resident each, %.1f beyond key and value "
           "(by its own account %.1f)\n",
           (unsigned long long)s.items, KEY_BYTES, VALUE_BYTES, (double)resident / ITEMS,
           (double)resident / ITEMS - KEY_BYTES - VALUE_BYTES,
           (double)s.bytes_used / ITEMS - KEY_BYTES - VALUE_BYTES);
    cache_free(&c);
}

/* ---- pauses ---- */

struct pauses {
    uint32_t *cpu_ns; /* by put: the least of the rounds */
    uint64_t at, count, passed_max;
    struct histogram wall_ns;
};

static void timed_put(struct cache *c, uint64_t number, size_t value_len, struct pauses *p) {
    char key[KEY_BYTES + 1];
    uint64_t hash = key_of(c, number, key);
    const struct cache_item item = {.value = span_of(bytes, value_len), .version = 1, .epoch = 1};
    struct cache_stats before, after;
    cache_stats_get(c, &before);
    uint64_t wall = clock_ns(CLOCK_MONOTONIC), cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    cache_put(c, span_of(key, KEY_BYTES), hash, &item);
    cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
    wall = clock_ns(CLOCK_MONOTONIC) - wall;
    cache_stats_get(c, &after);
    histogram_add(&p->wall_ns, wall);
    if (cpu < p->cpu_ns[p->at])
        p->cpu_ns[p->at] = (uint32_t)cpu;
    p->at++;
    if (after.passed - before.passed > p->passed_max)
        p->passed_max = after.passed - before.passed;
}

/* Every put is timed. */
static void growth(struct pauses *p) {
    struct cache *c = checked(cache_new((size_t)64 * 1024 * MB, 1));
    for (uint64_t i = 0; i < p->count; i++)
        timed_put(c, i, VALUE_BYTES, p);
    cache_free(&c);
}

/* A cache that is full of entries in use meets new keys. */
static void all_in_use(struct pauses *p) {
    struct cache *c = checked(cache_new((size_t)256 * MB, 1));
    for (uint64_t i = 0; i < 2 * ITEMS; i++) {
        put(c, i, VALUE_BYTES);
        if (i % (ITEMS / 2) == 0)
            use_all(c, i);
    }
    use_all(c, 2 * ITEMS);
    for (uint64_t i = 0; i < p->count; i++)
        timed_put(c, 2 * ITEMS + i, VALUE_BYTES, p);
    cache_free(&c);
}

/* A cache that is full of small entries meets large values, of keys new and old. */
static void mixed_sizes(struct pauses *p) {
    struct draw d;
    struct cache *c = checked(cache_new((size_t)256 * MB, 1));
    for (uint64_t i = 0; i < 2 * ITEMS; i++)
        put(c, i, VALUE_BYTES);
    draw_init(&d, 1, 1, 0);
    for (uint64_t i = 0; i < p->count; i++)
        timed_put(c, draw_between(&d, 0, 4 * ITEMS), draw_between(&d, 0, sizeof(bytes)), p);
    cache_free(&c);
}

static void show(const char *name, const struct histogram *h) {
    printf("  %-9s p50 %7.2f   p99 %7.2f   p99.9 %8.2f   p99.99 %8.2f   max %9.2f us\n", name,
           (double)histogram_at(h, 500000) / 1e3, (double)histogram_at(h, 990000) / 1e3,
           (double)histogram_at(h, 999000) / 1e3, (double)histogram_at(h, 999900) / 1e3,
           (double)h->max / 1e3);
}

static void run(const char *what, void (*round)(struct pauses *p), uint64_t count,
                unsigned rounds) {
    static struct pauses p;
    static struct histogram cpu;
    p = (struct pauses){.count = count, .cpu_ns = checked(malloc(count * sizeof(uint32_t)))};
    memset(p.cpu_ns, 0xFF, count * sizeof(uint32_t));
    for (unsigned i = 0; i < rounds; i++) {
        p.at = 0;
        round(&p);
    }
    cpu = (struct histogram){0};
    uint64_t slowest = 0;
    for (uint64_t i = 0; i < count; i++) {
        histogram_add(&cpu, p.cpu_ns[i]);
        slowest = p.cpu_ns[i] > p.cpu_ns[slowest] ? i : slowest;
    }
    printf("\none put of %llu, %s (%u rounds; it passed at most %llu entries):\n",
           (unsigned long long)count, what, rounds, (unsigned long long)p.passed_max);
    show("CPU time", &cpu);
    show("wall", &p.wall_ns);
    printf("  the slowest by CPU time was put %llu\n", (unsigned long long)slowest);
    fflush(stdout);
    free(p.cpu_ns);
}

int main(int argc, char **argv) {
    uint64_t millions = argc > 1 ? strtoull(argv[1], NULL, 10) : 10;
    unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 5;
    memset(bytes, 'v', sizeof(bytes));
    memory_per_item();
    run("while the table grows", growth, millions * 1000000, rounds);
    run("at 256 MiB, all entries in use", all_in_use, ITEMS, rounds);
    run("at 256 MiB, values of 0 to 64 KiB after small ones", mixed_sizes, 20000, rounds);
    return EXIT_SUCCESS;
}
