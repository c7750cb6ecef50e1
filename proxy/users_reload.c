#include "users_reload.h"

#include <stdio.h>
#include <stdlib.h>

#include "../common/log.h"
#include "../common/users.h"
#include "worker.h"

struct users_reload {
    const char *path;
    struct users *users;
    bool undelivered; /* a worker did not get the last ones */
};

struct users_reload *users_reload_new(const char *path, char *error, unsigned error_size) {
    struct users_reload *reload = calloc(1, sizeof(*reload));
    struct users_error why = {"out of memory"};
    if (reload != NULL) {
        reload->path = path;
        reload->users = users_load(path, &why);
        if (reload->users != NULL)
            return reload;
    }
    free(reload);
    snprintf(error, error_size, "%s", why.text);
    return NULL;
}

void users_reload_free(struct users_reload **reload) {
    if (*reload == NULL)
        return;
    users_free(&(*reload)->users);
    free(*reload);
    *reload = NULL;
}

struct users *users_reload_copy(const struct users_reload *reload) {
    return users_copy(reload->users);
}

bool users_reload_again(struct users_reload *reload, struct worker **workers, unsigned count) {
    struct users_error why;
    struct users *users = users_load(reload->path, &why);
    if (users == NULL) {
        log_event(LOG_LEVEL_ERROR, "users_refused", "why=\"%s\" kept=%zu", why.text,
                  users_count(reload->users));
        return false;
    }
    if (users_same(reload->users, users) && !reload->undelivered) {
        log_event(LOG_LEVEL_INFO, "users_unchanged", "count=%zu", users_count(users));
        users_free(&users);
        return false;
    }
    reload->undelivered = false;
    for (unsigned i = 0; i < count; i++) {
        struct users *own = users_copy(users);
        if (own != NULL && worker_give_users(workers[i], own))
            continue;
        reload->undelivered = true;
        log_event(LOG_LEVEL_ERROR, "users_not_delivered",
                  "worker=%u why=\"out of memory or a full mailbox; SIGHUP tries again\"", i);
    }
    users_free(&reload->users);
    reload->users = users;
    log_event(LOG_LEVEL_INFO, "users_reloaded", "count=%zu", users_count(users));
    return true;
}
