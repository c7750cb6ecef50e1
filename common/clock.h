/*
 * clock: the only place that reads the time. Policy code takes times as arguments; a name says its
 * clock: `now_mono_ms` never goes back, `now_wall_ms` is the time of day.
 */
#ifndef RINGFENCE_CLOCK_H
#define RINGFENCE_CLOCK_H

#include <stdint.h>

/** clock_mono_us(): CLOCK_MONOTONIC in microseconds. Cannot fail. */
int64_t clock_mono_us(void);

/** clock_mono_ms(): CLOCK_MONOTONIC in milliseconds. Cannot fail. */
int64_t clock_mono_ms(void);

/** clock_wall_us(): microseconds since 1970 UTC. Cannot fail. */
int64_t clock_wall_us(void);

/** clock_wall_ms(): milliseconds since 1970 UTC. Cannot fail. */
int64_t clock_wall_ms(void);

#endif
