#include "warmup.h"

void warmup_begin(struct warmup *w, int64_t now_mono_ms) {
    *w = (struct warmup){.lasts = true, .since_mono_ms = now_mono_ms};
}

bool warmup_lasts(struct warmup *w, int64_t now_mono_ms, bool connected, bool trusts,
                  int64_t fence_after_ms) {
    if (!connected)
        w->connected_mono_ms = 0;
    else if (w->connected_mono_ms == 0)
        w->connected_mono_ms = now_mono_ms;
    bool silent = connected && now_mono_ms - w->connected_mono_ms >= fence_after_ms;
    bool over = (connected && trusts) || silent || now_mono_ms - w->since_mono_ms >= WARMUP_MS;
    w->lasts = w->lasts && !over;
    return w->lasts;
}
