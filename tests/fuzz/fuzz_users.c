// needs: common/users.c common/lines.c common/digest.c common/span.c -lcrypto
/* The users file: users that can be asked, or a text that says why not. */
#include <stdlib.h>

#include "../../common/users.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static void check(const struct users *users, const struct user *user) {
    char text[DIGEST_TEXT_BYTES];
    struct digest again;
    bool open = user->nopass && user->digests_count == 0;
    if (users_find(users, span_str(user->name)) != user || open == (user->digests_count != 0))
        abort();
    for (uint32_t i = 0; i < user->digests_count; i++) {
        digest_write(&user->digests[i], text);
        if (!digest_parse(span_str(text), &again) ||
            !digest_same(again.bytes, user->digests[i].bytes))
            abort();
    }
    for (uint32_t i = 0; i < user->prefixes_count; i++) {
        if (!user_covers(user, user->prefixes[i]))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    struct users_error error = {{0}};
    struct users *users = users_parse(span_of((const char *)input, size), "users", &error);
    if (users == NULL) {
        if (error.text[0] == '\0' || memchr(error.text, '\0', sizeof(error.text)) == NULL)
            abort();
        return 0;
    }
    for (size_t i = 0; i < users_count(users); i++) {
        check(users, users_at(users, i));
        if (i > 0 && span_compare(span_str(users_at(users, i - 1)->name),
                                  span_str(users_at(users, i)->name)) >= 0)
            abort();
    }
    struct users *copy = users_copy(users);
    if (copy == NULL || users_count(copy) != users_count(users) || !users_same(copy, users))
        abort();
    users_free(&copy);
    users_free(&users);
    return 0;
}
