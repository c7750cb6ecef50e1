/*
 * users: who may do what, as the users file says it: one line a user,
 *     user NAME role=read|write|admin [prefix=P ...] sha256=HEX | pbkdf2=ITERATIONS:SALT:HEX ...
 * Immutable once parsed. Several digests: any of them opens, so that a password can be changed
 * without a gap. `nopass` instead of a digest: only for the user "default", whom every connection
 * is from its start. Knows no connection.
 */
#ifndef RINGFENCE_USERS_H
#define RINGFENCE_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "digest.h"
#include "span.h"

enum {
    USERS_MAX = 1000,
    USER_NAME_BYTES = 64, /* with its NUL */
    USER_DIGESTS_MAX = 4,
    USER_PREFIXES_MAX = 16,
};

enum user_role { USER_READ, USER_WRITE, USER_ADMIN }; /* each may what those before it may */

struct user {
    char name[USER_NAME_BYTES];
    enum user_role role;
    bool nopass;
    uint32_t digests_count, prefixes_count; /* no prefix: all keys */
    struct digest digests[USER_DIGESTS_MAX];
    struct span prefixes[USER_PREFIXES_MAX]; /* in the users' own copy of the file */
};

struct users;

/** One error text; always NUL-terminated, begins with "file:line: " where there is one. */
struct users_error {
    char text[512];
};

/** users_parse(text, path, error): NULL with a text at the first bad line. `path` is for the text
 * alone. Owned by the caller; users_free(). */
struct users *users_parse(struct span text, const char *path, struct users_error *error);

/** users_load(path, error): a file. Refused, too: one that others than its owner may read or
 * write (what root owns may be read by the group), or whose owner is neither we nor root. */
struct users *users_load(const char *path, struct users_error *error);

/** users_copy(users): another, for another thread; NULL without memory. */
struct users *users_copy(const struct users *users);
void users_free(struct users **users);

/** users_same(a, b): they came from the same text. */
bool users_same(const struct users *a, const struct users *b);

size_t users_count(const struct users *users);
const struct user *users_at(const struct users *users, size_t index);

/** users_find(users, name): the user, or NULL. Cost: O(log users). */
const struct user *users_find(const struct users *users, struct span name);

/** user_role_name(role): "read", "write", "admin". user_role_parse(): the other way; false for
 * another word. */
const char *user_role_name(enum user_role role);
bool user_role_parse(struct span word, enum user_role *out);

/** user_covers(user, key): the key begins with one of the prefixes, or there are none. */
bool user_covers(const struct user *user, struct span key);

#endif
