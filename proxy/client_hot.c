/* What is asked for most: a sample of the requests goes to hotkeys. */
#include "client_private.h"
#include "hotkeys.h"
#include "proxy_conf.h"

enum { UNCOUNTED_REQUESTS = 1024 /* with hotkeys-sample 0: until that is looked at again */ };

void client_sample(struct client *c, const struct command *row, const struct resp_request *in) {
    const struct proxy_env *env = c->env;
    uint32_t mean = (uint32_t)env->conf->hotkeys_sample;
    c->list->until_sample = UNCOUNTED_REQUESTS;
    if (mean == 0 || env->hotkeys == NULL)
        return;
    c->list->until_sample = hotkeys_gap(env->hotkeys, env->worker, mean) - 1;
    uint32_t end = row->last_key < 0 ? in->argc : (uint32_t)row->last_key + 1, counted = 0;
    if (row->first_key == 0 || row->subcommands != NULL) /* who looks at a key does not use it */
        return;
    for (uint32_t i = (uint32_t)row->first_key;
         i < end && i < in->argc && counted < HOTKEYS_PER_REQUEST;
         i += (uint32_t)row->key_step, counted++) {
        if (in->argv[i].len <= (size_t)env->conf->key_bytes_max)
            hotkeys_add(env->hotkeys, env->worker, conn_loop_now_us(env->loop), in->argv[i], mean);
    }
}
