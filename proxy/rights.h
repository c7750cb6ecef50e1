/*
 * rights: who a client is and what it may do, for one worker. Knows users and the table of
 * commands; no connection. Without a users file there is no object: everybody is "default" and may
 * do everything. Owned by the worker; its users are immutable and replaced whole.
 */
#ifndef RINGFENCE_RIGHTS_H
#define RINGFENCE_RIGHTS_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/span.h"

struct rights;
struct user;
struct users;

/* Who a client is; embedded in struct local_client. Zero: nobody yet. */
struct rights_holder {
    const struct user *user; /* NULL: not authenticated. Valid until the next rights_swap() */
    uint64_t mark;           /* of the digest that let it in; 0: none was needed */
    unsigned failures;       /* wrong passwords, one after the other */
};

enum rights_verdict {
    RIGHTS_FINE,
    RIGHTS_NOAUTH,     /* it has to authenticate first */
    RIGHTS_NO_COMMAND, /* its user may not run this command */
    RIGHTS_NO_KEY,     /* nor use one of these keys */
};

/** rights_new(users): takes the users over, also on failure; NULL without memory or random bytes.
 */
struct rights *rights_new(struct users *users);
void rights_free(struct rights **rights);

/** rights_swap(rights, users): other users from now on; takes them over. Each holder must be given
 * to rights_renew() with the name of its user before it is used again; rights_renew() returns false
 * when that user is gone, or its password is no longer one of the user's. */
void rights_swap(struct rights *rights, struct users *users);
bool rights_renew(const struct rights *rights, struct span name, struct rights_holder *holder);

/** rights_users(rights): borrowed until the next swap. */
const struct users *rights_users(const struct rights *rights);

/** rights_begin(rights, holder): who a new connection is: "default", if that needs no password, or
 * nobody. `rights` may be NULL. */
void rights_begin(const struct rights *rights, struct rights_holder *holder);

/**
 * rights_login(rights, name, password, holder): true: the holder is that user. False: it is who it
 * was, and one failure more. An unknown user takes as long as a wrong password. Cost: about a
 * millisecond for PBKDF2; a microsecond when the same password opened the same user before.
 */
bool rights_login(struct rights *rights, struct span name, struct span password,
                  struct rights_holder *holder);

/** rights_waits(rights, holder): it has to authenticate before anything else.
 * rights_limited(rights, holder): its requests have to be judged; else everything is allowed. */
bool rights_waits(const struct rights *rights, const struct rights_holder *holder);
bool rights_limited(const struct rights *rights, const struct rights_holder *holder);

/** rights_judge(holder, id, argv, argc): may it run this command (arity already checked)?
 * Subcommands are judged where they are known: rights_is_admin(). Cost: O(keys x prefixes). */
enum rights_verdict rights_judge(const struct rights_holder *holder, int id,
                                 const struct span *argv, uint32_t argc);

/** rights_is_admin(rights, holder): its user is an admin, or there are no users. */
bool rights_is_admin(const struct rights *rights, const struct rights_holder *holder);

/** rights_prefixes(holder, count_out): what its keys begin with; none: all keys are its own.
 * Borrowed until the next swap. */
const struct span *rights_prefixes(const struct rights_holder *holder, uint32_t *count_out);

/** rights_covers_prefix(holder, prefix): all keys that begin with `prefix` are its own. */
bool rights_covers_prefix(const struct rights_holder *holder, struct span prefix);

#endif
