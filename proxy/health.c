#include "health.h"

void health_init(struct health *h) {
    *h = (struct health){.up = false};
}

static int64_t at_most(int64_t us, int64_t max_us) {
    return us < max_us ? us : max_us;
}

static int64_t probation_us(const struct health_conf *conf, uint32_t flaps) {
    int64_t us = conf->probation_min_us;
    for (uint32_t i = 1; i < flaps && us < conf->probation_max_us; i++)
        us *= 2;
    return flaps == 0 ? 0 : at_most(us, conf->probation_max_us);
}

void health_up(struct health *h, const struct health_conf *conf, int64_t now_us) {
    h->up = true;
    h->came_back = h->failed;
    h->failed = false;
    h->trusted_us = now_us + probation_us(conf, h->flaps);
    if (h->flaps == 0)
        h->pause_us = 0;
}

void health_down(struct health *h, const struct health_conf *conf, int64_t now_us,
                 uint64_t random) {
    if (h->up && h->came_back && now_us - h->trusted_us < conf->stable_us) {
        h->flaps += h->flaps < UINT32_MAX; /* on probation too */
    } else if (h->up) {
        h->flaps = 0;
        h->pause_us = 0;
    }
    h->up = false;
    h->failed = true;
    h->pause_us =
        h->pause_us == 0 ? conf->retry_min_us : at_most(2 * h->pause_us, conf->retry_max_us);
    int64_t half_us = h->pause_us / 2;
    h->retry_us = now_us + half_us + (int64_t)(random % (uint64_t)(half_us + 1));
}

bool health_may_try(const struct health *h, int64_t now_us) {
    return !h->up && now_us >= h->retry_us;
}

bool health_is_trusted(const struct health *h, int64_t now_us) {
    return h->up && now_us >= h->trusted_us;
}
