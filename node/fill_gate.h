/*
 * fill_gate: how many rows may be asked for now. After the loss of a node its successors miss many
 * keys at once; what PostgreSQL feels of that is bounded here: rows that are out at once, rows a
 * second, bytes that one statement brings back. Pure: the time is an argument. Owned by the store.
 */
#ifndef RINGFENCE_FILL_GATE_H
#define RINGFENCE_FILL_GATE_H

#include <stdint.h>

enum { FILL_GATE_SLICE_MS = 5 /* of a rate: what is saved up before a statement leaves */ };

struct fill_gate {
    uint32_t rows_max;  /* out at once; 0: any number */
    uint32_t lanes;     /* statements that share them evenly, at least 1 */
    int64_t rate_max;   /* rows a second; 0: any number */
    uint32_t bytes_max; /* of one statement's values, as far as can be foreseen; 0: any number */
    /* its own */
    uint32_t rows;          /* out now */
    uint64_t row_bytes;     /* what a row has lately */
    int64_t credit_rows_ms; /* rows that the rate allows, times 1000 */
    int64_t earned_mono_ms; /* up to then */
};

/** fill_gate_take(gate, wanted, now_mono_ms): how many rows the next statement may ask for, at most
 * `wanted`; they are out until fill_gate_give(). 0: none now: when rows come back, or, with a rate,
 * FILL_GATE_SLICE_MS later. A rate is given out in slices, so that rows still travel together. */
uint32_t fill_gate_take(struct fill_gate *gate, uint32_t wanted, int64_t now_mono_ms);

/** fill_gate_give(gate, rows, bytes): a statement that asked for `rows` ended; its values had
 * `bytes`. */
void fill_gate_give(struct fill_gate *gate, uint32_t rows, uint64_t bytes);

#endif
