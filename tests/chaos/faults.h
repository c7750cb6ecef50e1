/*
 * faults: what goes wrong, and when: a list that is drawn from the seed before anything starts, so
 * the same seed does the same in the same order. For the test's main thread only.
 */
#ifndef RINGFENCE_CHAOS_FAULTS_H
#define RINGFENCE_CHAOS_FAULTS_H

#include "chaos.h"

struct field;
struct monitor;

enum { FAULTS_MAX = 4000 };

struct fault {
    unsigned kind;
    int a, b;            /* which node, which proxy */
    int at_ms, until_ms; /* since the start */
    int64_t amount;      /* of whatever the kind takes */
};

struct faults {
    struct fault list[FAULTS_MAX];
    int count;
    uint64_t kills, restarts, cuts; /* done: kill -9; of PostgreSQL; of or in links */
    uint64_t done;
};

/** faults_draw(conf, out): the list of a regime and seed. */
void faults_draw(const struct chaos_conf *conf, struct faults *out);

/** faults_print(faults): a line for each. */
void faults_print(const struct faults *faults);

/** faults_run(conf, faults, field, monitor): do them, each at its time; returns when the last one
 * is over. */
void faults_run(const struct chaos_conf *conf, struct faults *faults, struct field *field,
                struct monitor *monitor);

#endif
