#include "rights.h"

#include <stdlib.h>
#include <string.h>

#include "../common/command.h"
#include "../common/digest.h"
#include "../common/hash.h"
#include "../common/users.h"

/* What opened a user before, to know it again without the cost of its digest. */
struct known {
    bool is_set;
    uint64_t mark;
    uint8_t keyed[DIGEST_BYTES];
};

struct rights {
    struct users *users;
    struct known *known; /* one for each user */
    uint8_t secret[DIGEST_BYTES];
    struct digest nobody; /* compared with for users that are not there */
};

/* Names the digest, so that one that left the file is missed. */
static uint64_t mark_of(const struct digest *digest) {
    char text[DIGEST_TEXT_BYTES];
    digest_write(digest, text);
    return hash_ring(span_str(text)) | 1;
}

struct rights *rights_new(struct users *users) {
    struct rights *rights = calloc(1, sizeof(*rights));
    if (rights == NULL) {
        users_free(&users);
        return NULL;
    }
    rights->users = users;
    rights->known = calloc(users_count(users), sizeof(*rights->known));
    if (rights->known == NULL || !digest_random(rights->secret, sizeof(rights->secret)) ||
        !digest_make(span_of((const char *)rights->secret, DIGEST_BYTES), &rights->nobody))
        rights_free(&rights);
    return rights;
}

static void forget(struct rights *rights) {
    if (rights->known != NULL)
        digest_forget(rights->known, users_count(rights->users) * sizeof(*rights->known));
    free(rights->known);
    rights->known = NULL;
    users_free(&rights->users);
}

void rights_free(struct rights **pointer) {
    struct rights *rights = *pointer;
    *pointer = NULL;
    if (rights == NULL)
        return;
    forget(rights);
    free(rights);
}

void rights_swap(struct rights *rights, struct users *users) {
    forget(rights);
    rights->users = users;
    rights->known = calloc(users_count(users), sizeof(*rights->known)); /* NULL: each time anew */
}

bool rights_renew(const struct rights *rights, struct span name, struct rights_holder *holder) {
    bool was = holder->user != NULL;
    holder->user = NULL;
    if (!was)
        return true; /* nobody stays nobody */
    const struct user *user = users_find(rights->users, name);
    bool stays = user != NULL && holder->mark == 0 && user->nopass;
    for (uint32_t i = 0; user != NULL && i < user->digests_count; i++)
        stays = stays || (holder->mark != 0 && mark_of(&user->digests[i]) == holder->mark);
    if (stays)
        holder->user = user;
    return stays;
}

const struct users *rights_users(const struct rights *rights) {
    return rights->users;
}

/* ---- who ---- */

void rights_begin(const struct rights *rights, struct rights_holder *holder) {
    *holder = (struct rights_holder){0};
    const struct user *user = rights == NULL ? NULL : users_find(rights->users, SPAN("default"));
    if (user != NULL && user->nopass)
        holder->user = user;
}

/* The mark of the digest that `password` opens, or 0. */
static uint64_t open_digest(const struct user *user, struct span password) {
    for (uint32_t i = 0; i < user->digests_count; i++) {
        if (digest_matches(&user->digests[i], password))
            return mark_of(&user->digests[i]);
    }
    return 0;
}

static uint64_t open_user(struct rights *rights, const struct user *user, struct span password) {
    uint8_t keyed[DIGEST_BYTES];
    struct known *known = NULL; /* none without memory: then it is as for the first time */
    if (rights->known != NULL && digest_keyed(rights->secret, password, keyed))
        known = &rights->known[user - users_at(rights->users, 0)];
    if (known != NULL && known->is_set && digest_same(known->keyed, keyed))
        return known->mark;
    uint64_t mark = open_digest(user, password);
    if (mark != 0 && known != NULL) {
        *known = (struct known){.is_set = true, .mark = mark};
        memcpy(known->keyed, keyed, sizeof(keyed));
    }
    return mark;
}

bool rights_login(struct rights *rights, struct span name, struct span password,
                  struct rights_holder *holder) {
    const struct user *user = users_find(rights->users, name);
    uint64_t mark = 0;
    if (user == NULL)
        digest_matches(&rights->nobody, password);
    else if (!user->nopass)
        mark = open_user(rights, user, password);
    if (user == NULL || (mark == 0 && !user->nopass)) {
        holder->failures++;
        return false;
    }
    *holder = (struct rights_holder){.user = user, .mark = mark};
    return true;
}

/* ---- what ---- */

bool rights_waits(const struct rights *rights, const struct rights_holder *holder) {
    return rights != NULL && holder->user == NULL;
}

bool rights_limited(const struct rights *rights, const struct rights_holder *holder) {
    return rights != NULL && (holder->user == NULL || holder->user->role != USER_ADMIN ||
                              holder->user->prefixes_count != 0);
}

bool rights_is_admin(const struct rights *rights, const struct rights_holder *holder) {
    return rights == NULL || (holder->user != NULL && holder->user->role == USER_ADMIN);
}

bool rights_covers_prefix(const struct rights_holder *holder, struct span prefix) {
    return holder->user == NULL || user_covers(holder->user, prefix);
}

const struct span *rights_prefixes(const struct rights_holder *holder, uint32_t *count_out) {
    *count_out = holder->user == NULL ? 0 : holder->user->prefixes_count;
    return holder->user == NULL ? NULL : holder->user->prefixes;
}

static bool is_before_auth(int id) {
    return id == COMMAND_AUTH || id == COMMAND_HELLO || id == COMMAND_QUIT || id == COMMAND_RESET;
}

static bool covers_keys(const struct user *user, const struct command *row, const struct span *argv,
                        uint32_t argc) {
    uint32_t end = command_key_end(row, argc);
    for (uint32_t i = (uint32_t)row->first_key; i < end && i < argc; i += (uint32_t)row->key_step) {
        if (!user_covers(user, argv[i]))
            return false;
    }
    return true;
}

/* A command over all keys: of those that read, somebody who has some of them sees these. */
static bool covers_all(const struct user *user, const struct command *row) {
    return user->prefixes_count == 0 || (row->flags & COMMAND_WRITE) == 0;
}

enum rights_verdict rights_judge(const struct rights_holder *holder, int id,
                                 const struct span *argv, uint32_t argc) {
    const struct command *row = command_row(id);
    const struct user *user = holder->user;
    if (is_before_auth(id))
        return RIGHTS_FINE;
    if (user == NULL)
        return RIGHTS_NOAUTH;
    if (((row->flags & COMMAND_ADMIN) != 0 && user->role != USER_ADMIN) ||
        ((row->flags & COMMAND_WRITE) != 0 && user->role < USER_WRITE))
        return RIGHTS_NO_COMMAND;
    if (row->first_key != 0)
        return covers_keys(user, row, argv, argc) ? RIGHTS_FINE : RIGHTS_NO_KEY;
    return (row->flags & COMMAND_LOCAL) != 0 || covers_all(user, row) ? RIGHTS_FINE
                                                                      : RIGHTS_NO_COMMAND;
}
