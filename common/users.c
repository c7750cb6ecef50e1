#include "users.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lines.h"

enum { FILE_BYTES_MAX = 4 << 20, WORDS_MAX = 3 + USER_DIGESTS_MAX + USER_PREFIXES_MAX };

struct users {
    char *text; /* the file's, whole; prefixes point into it */
    size_t len;
    struct user *rows; /* ordered by name */
    size_t count, cap;
};

struct parse {
    const char *path;
    unsigned line; /* 0: the whole file */
    struct users *users;
    struct users_error *error;
};

static bool fail(struct parse *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool fail(struct parse *p, const char *fmt, ...) {
    char *out = p->error->text;
    size_t size = sizeof(p->error->text);
    int n = p->line != 0 ? snprintf(out, size, "%s:%u: ", p->path, p->line)
                         : snprintf(out, size, "%s: ", p->path);
    size_t at = n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
    va_list args;
    va_start(args, fmt);
    vsnprintf(out + at, size - at, fmt, args);
    va_end(args);
    return false;
}

/* ---- roles and keys ---- */

const char *user_role_name(enum user_role role) {
    switch (role) {
    case USER_READ:
        return "read";
    case USER_WRITE:
        return "write";
    case USER_ADMIN:
        return "admin";
    }
    return "unknown";
}

bool user_role_parse(struct span word, enum user_role *out) {
    for (int role = USER_READ; role <= USER_ADMIN; role++) {
        if (span_equal(word, span_str(user_role_name((enum user_role)role)))) {
            *out = (enum user_role)role;
            return true;
        }
    }
    return false;
}

bool user_covers(const struct user *user, struct span key) {
    for (uint32_t i = 0; i < user->prefixes_count; i++) {
        if (span_begins_with(key, user->prefixes[i]))
            return true;
    }
    return user->prefixes_count == 0;
}

/* ---- one line ---- */

static bool parse_name(struct parse *p, struct span word, struct user *u) {
    if (word.len >= USER_NAME_BYTES)
        return fail(p, "the user's name is longer than %d bytes", USER_NAME_BYTES - 1);
    for (size_t i = 0; i < word.len; i++) {
        char c = word.ptr[i];
        if (!isalnum((unsigned char)c) && (c == '\0' || strchr("_.-@", c) == NULL))
            return fail(p, "a user's name has letters, digits, '_', '.', '-' and '@' only");
    }
    memcpy(u->name, word.ptr, word.len);
    return true;
}

static bool has_head(struct span word, struct span head, struct span *rest) {
    if (!span_begins_with(word, head))
        return false;
    *rest = span_of(word.ptr + head.len, word.len - head.len);
    return true;
}

static bool parse_digest(struct parse *p, struct span word, struct user *u) {
    if (u->digests_count == USER_DIGESTS_MAX)
        return fail(p, "user '%s' has more than %d digests", u->name, USER_DIGESTS_MAX);
    if (!digest_parse(word, &u->digests[u->digests_count]))
        return fail(p,
                    "user '%s': a digest is sha256=HEX with 64 digits, or pbkdf2=N:SALT:HEX "
                    "with N up to %d, 32 and 64 digits",
                    u->name, DIGEST_ITERATIONS_MAX);
    u->digests_count++;
    return true;
}

/* A word behind the name. No error shows it whole: it may be a password in the wrong place. */
static bool parse_word(struct parse *p, struct span word, bool *has_role, struct user *u) {
    struct span rest;
    if (has_head(word, SPAN("role="), &rest)) {
        if (*has_role || !user_role_parse(rest, &u->role))
            return fail(p, "user '%s': role=read, role=write or role=admin, once", u->name);
        *has_role = true;
        return true;
    }
    if (has_head(word, SPAN("prefix="), &rest)) {
        if (rest.len == 0)
            return fail(p, "user '%s': an empty prefix; without any, all keys are meant", u->name);
        if (u->prefixes_count == USER_PREFIXES_MAX)
            return fail(p, "user '%s' has more than %d prefixes", u->name, USER_PREFIXES_MAX);
        u->prefixes[u->prefixes_count++] = rest;
        return true;
    }
    if (span_equal(word, SPAN("nopass"))) {
        u->nopass = true;
        return true;
    }
    if (has_head(word, SPAN("sha256="), &rest) || has_head(word, SPAN("pbkdf2="), &rest))
        return parse_digest(p, word, u);
    return fail(p, "user '%s': a word that is none of role=, prefix=, sha256=, pbkdf2=, nopass",
                u->name);
}

static bool is_whole(struct parse *p, const struct user *u, bool has_role) {
    if (!has_role)
        return fail(p, "user '%s' has no role= (read, write or admin)", u->name);
    if (u->nopass && strcmp(u->name, "default") != 0)
        return fail(p, "user '%s': nopass is for the user 'default' alone", u->name);
    if (u->nopass && u->digests_count != 0)
        return fail(p, "user '%s' has nopass and a digest", u->name);
    if (!u->nopass && u->digests_count == 0)
        return fail(p, "user '%s' has no digest: `ringfence-ctl user line` makes one", u->name);
    return true;
}

/* Where `name` stands, or would. */
static size_t place_of(const struct users *users, struct span name, bool *found) {
    size_t from = 0, to = users->count;
    *found = false;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = span_compare(span_str(users->rows[middle].name), name);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static bool add(struct parse *p, const struct user *u) {
    struct users *users = p->users;
    bool found;
    size_t at = place_of(users, span_str(u->name), &found);
    if (found)
        return fail(p, "user '%s' stands twice", u->name);
    if (users->count == USERS_MAX)
        return fail(p, "more than %d users", USERS_MAX);
    if (users->count == users->cap) {
        size_t cap = users->cap == 0 ? 16 : users->cap * 2;
        struct user *rows = realloc(users->rows, cap * sizeof(*rows));
        if (rows == NULL)
            return fail(p, "out of memory");
        users->rows = rows;
        users->cap = cap;
    }
    memmove(users->rows + at + 1, users->rows + at, (users->count - at) * sizeof(*u));
    users->rows[at] = *u;
    users->count++;
    return true;
}

static bool parse_line(struct parse *p, const struct span *words, unsigned count) {
    struct user u = {.role = USER_READ};
    bool has_role = false;
    if (!span_equal(words[0], SPAN("user")) || count < 2)
        return fail(p, "'user NAME role=read|write|admin [prefix=P ...] DIGEST ...'");
    if (!parse_name(p, words[1], &u))
        return false;
    for (unsigned i = 2; i < count; i++) {
        if (!parse_word(p, words[i], &has_role, &u))
            return false;
    }
    return is_whole(p, &u, has_role) && add(p, &u);
}

/* ---- the file ---- */

static bool parse_text(struct parse *p, struct span text) {
    size_t at = 0;
    for (struct span line; lines_next(text, &at, &line);) {
        struct span words[WORDS_MAX];
        unsigned count;
        p->line++;
        if (!lines_words(line, words, WORDS_MAX, &count))
            return fail(p, "too many words");
        if (count != 0 && !parse_line(p, words, count))
            return false;
    }
    p->line = 0;
    return p->users->count != 0 || fail(p, "no user in it");
}

struct users *users_parse(struct span text, const char *path, struct users_error *error) {
    struct users *users = calloc(1, sizeof(*users));
    struct parse p = {.path = path, .users = users, .error = error};
    if (users != NULL)
        users->text = malloc(text.len + 1);
    if (users == NULL || users->text == NULL) {
        fail(&p, "out of memory");
        users_free(&users);
        return NULL;
    }
    if (text.len != 0)
        memcpy(users->text, text.ptr, text.len);
    users->len = text.len;
    if (!parse_text(&p, span_of(users->text, text.len)))
        users_free(&users);
    return users;
}

/* Judged by the open file, so that nobody can put another into its place meanwhile. */
static bool is_private(struct parse *p, int fd) {
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fail(p, "%s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return fail(p, "is no plain file");
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return fail(p, "belongs to user %u, neither to us (%u) nor to root", (unsigned)st.st_uid,
                    (unsigned)geteuid());
    bool is_ours = st.st_uid == geteuid();
    if ((st.st_mode & (is_ours ? 077 : 037)) != 0)
        return fail(p, "mode %04o lets others at it: chmod %s %s", (unsigned)st.st_mode & 07777,
                    is_ours ? "0600" : "0640", p->path);
    return true;
}

struct users *users_load(const char *path, struct users_error *error) {
    struct parse p = {.path = path, .error = error};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    if (file == NULL) {
        fail(&p, "%s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    struct users *users = NULL;
    char why[64], *text = NULL;
    size_t len;
    if (is_private(&p, fd)) {
        text = lines_read(file, FILE_BYTES_MAX, &len, why, sizeof(why));
        if (text == NULL)
            fail(&p, "%s", why);
        else
            users = users_parse(span_of(text, len), path, error);
    }
    free(text);
    fclose(file);
    return users;
}

struct users *users_copy(const struct users *users) {
    struct users_error ignored; /* it was parsed before */
    return users_parse(span_of(users->text, users->len), "", &ignored);
}

void users_free(struct users **pointer) {
    struct users *users = *pointer;
    *pointer = NULL;
    if (users == NULL)
        return;
    if (users->text != NULL)
        digest_forget(users->text, users->len);
    free(users->text);
    free(users->rows);
    free(users);
}

bool users_same(const struct users *a, const struct users *b) {
    return span_equal(span_of(a->text, a->len), span_of(b->text, b->len));
}

size_t users_count(const struct users *users) {
    return users->count;
}

const struct user *users_at(const struct users *users, size_t index) {
    return &users->rows[index];
}

const struct user *users_find(const struct users *users, struct span name) {
    bool found;
    size_t at = place_of(users, name, &found);
    return found ? &users->rows[at] : NULL;
}
