#include "fill_gate.h"

enum { ONE_ROW = 1000, BURST_MS = 2 * FILL_GATE_SLICE_MS, LONG_MS = 1000, FORGET = 8 };

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t at_least_one(int64_t n) {
    return n < 1 ? 1 : n;
}

static void earn(struct fill_gate *g, int64_t now_mono_ms) {
    int64_t passed_ms = least(now_mono_ms - g->earned_mono_ms, LONG_MS);
    int64_t most = ONE_ROW + g->rate_max * BURST_MS;
    g->credit_rows_ms = least(g->credit_rows_ms + g->rate_max * passed_ms, most);
    g->earned_mono_ms = now_mono_ms;
}

uint32_t fill_gate_take(struct fill_gate *g, uint32_t wanted, int64_t now_mono_ms) {
    int64_t rows = wanted;
    if (g->rows_max != 0) {
        int64_t share = (g->rows_max + g->lanes - 1) / g->lanes;
        rows = least(rows, least(share, (int64_t)g->rows_max - g->rows));
    }
    if (g->bytes_max != 0 && g->row_bytes != 0)
        rows = least(rows, at_least_one((int64_t)(g->bytes_max / g->row_bytes)));
    if (g->rate_max != 0 && rows > 0) {
        earn(g, now_mono_ms);
        int64_t slice = at_least_one(g->rate_max * FILL_GATE_SLICE_MS / ONE_ROW);
        if (g->credit_rows_ms < least(rows, slice) * ONE_ROW)
            return 0;
        rows = least(rows, g->credit_rows_ms / ONE_ROW);
        g->credit_rows_ms -= rows * ONE_ROW;
    }
    if (rows <= 0)
        return 0;
    g->rows += (uint32_t)rows;
    return (uint32_t)rows;
}

void fill_gate_give(struct fill_gate *g, uint32_t rows, uint64_t bytes) {
    uint64_t mean = rows == 0 ? 0 : bytes / rows;
    g->rows -= rows;
    /* Up at once, down slowly: one large row among small ones is not foreseen, but a table of large
     * rows is. */
    if (mean >= g->row_bytes)
        g->row_bytes = mean;
    else
        g->row_bytes -= (g->row_bytes - mean + FORGET - 1) / FORGET;
}
