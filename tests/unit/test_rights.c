#include <criterion/criterion.h>
#include <dlfcn.h>
#include <openssl/hmac.h>
#include <stdio.h>

#include "../../common/command.h"
#include "../../common/users.h"
#include "../../proxy/rights.h"

#define PLAIN "sha256=2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
#define OTHER "sha256=d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"
#define SLOW                                                                                       \
    "pbkdf2=7:000102030405060708090a0b0c0d0e0f:"                                                   \
    "2e17a218ef1e26188d6ed14be961150c5de5660bbecb9d7c980a45dafd825144"

#define TEXT                                                                                       \
    "user reader role=read " PLAIN "\nuser writer role=write " PLAIN "\n"                          \
    "user admin role=admin " SLOW "\nuser app role=write prefix=app: prefix=x: " PLAIN " " OTHER   \
    "\nuser part role=admin prefix=app: " PLAIN "\n"

/* Before libcrypto's own, which has no memory as long as a test says so. */
static bool no_memory;

unsigned char *HMAC(const EVP_MD *md, const void *key, int key_len, const unsigned char *data,
                    size_t len, unsigned char *out, unsigned *out_len) {
    unsigned char *(*real)(const EVP_MD *, const void *, int, const unsigned char *, size_t,
                           unsigned char *, unsigned *) = dlsym(RTLD_NEXT, "HMAC");
    return no_memory ? NULL : real(md, key, key_len, data, len, out, out_len);
}

static struct users *users_of(const char *text) {
    struct users_error error = {{0}};
    struct users *users = users_parse(span_str(text), "u", &error);
    cr_assert_not_null(users, "%s", error.text);
    return users;
}

static struct rights *start(const char *text) {
    struct rights *rights = rights_new(users_of(text));
    cr_assert_not_null(rights);
    return rights;
}

static struct rights_holder login(struct rights *rights, const char *name) {
    struct rights_holder h = {0};
    cr_assert(rights_login(rights, span_str(name), SPAN("secret"), &h), "%s", name);
    return h;
}

/* `text` is words parted by single blanks. */
static enum rights_verdict judge(const struct rights_holder *h, const char *text) {
    char room[256];
    struct span argv[16];
    uint32_t argc = 0;
    snprintf(room, sizeof(room), "%s", text);
    char *rest = room;
    for (char *word; (word = strsep(&rest, " ")) != NULL;)
        argv[argc++] = span_str(word);
    int id = command_find(argv[0]);
    cr_assert_geq(id, 0, "%s", text);
    return rights_judge(h, id, argv, argc);
}

Test(rights, without_users_everybody_may_do_everything) {
    struct rights_holder h = {.failures = 3};
    rights_begin(NULL, &h);
    cr_assert_not(rights_waits(NULL, &h));
    cr_assert_not(rights_limited(NULL, &h));
    cr_assert(rights_is_admin(NULL, &h));
    cr_assert(rights_covers_prefix(&h, SPAN("")));
}

Test(rights, a_right_password_makes_a_user_and_a_wrong_one_changes_nothing) {
    struct rights *rights = start(TEXT);
    struct rights_holder h;
    rights_begin(rights, &h);
    cr_assert(rights_waits(rights, &h));
    cr_assert_not(rights_login(rights, SPAN("app"), SPAN("wrong"), &h));
    cr_assert_not(rights_login(rights, SPAN("nobody"), SPAN("secret"), &h));
    cr_assert_not(rights_login(rights, SPAN("default"), SPAN("secret"), &h));
    cr_assert_not(rights_login(rights, SPAN("app"), SPAN(""), &h));
    cr_assert_eq(h.failures, 4);
    cr_assert(rights_waits(rights, &h));
    cr_assert(rights_login(rights, SPAN("app"), SPAN("other"), &h));
    cr_assert_str_eq(h.user->name, "app");
    cr_assert_eq(h.failures, 0);
    cr_assert_not(rights_login(rights, SPAN("admin"), SPAN("other"), &h));
    cr_assert_str_eq(h.user->name, "app");
    rights_free(&rights);
}

/* What cannot be remembered is not: two of them would be the same. */
Test(rights, without_memory_for_its_digest_a_password_is_compared_as_if_for_the_first_time) {
    struct rights *rights = start(TEXT);
    struct rights_holder h;
    rights_begin(rights, &h);
    no_memory = true;
    cr_assert(rights_login(rights, SPAN("admin"), SPAN("secret"), &h));
    rights_begin(rights, &h);
    cr_assert_not(rights_login(rights, SPAN("admin"), SPAN("wrong"), &h));
    no_memory = false;
    cr_assert_not(rights_login(rights, SPAN("admin"), SPAN("wrong"), &h));
    cr_assert(rights_login(rights, SPAN("admin"), SPAN("secret"), &h));
    no_memory = true;
    rights_begin(rights, &h);
    cr_assert_not(rights_login(rights, SPAN("admin"), SPAN("wrong"), &h));
    cr_assert(rights_login(rights, SPAN("admin"), SPAN("secret"), &h));
    rights_free(&rights);
}

Test(rights, what_opened_before_opens_again_and_nothing_else_does) {
    struct rights *rights = start(TEXT);
    for (int i = 0; i < 3; i++) {
        struct rights_holder h = login(rights, "admin");
        cr_assert_str_eq(h.user->name, "admin");
        cr_assert_not(rights_login(rights, SPAN("admin"), SPAN("secret2"), &h));
        cr_assert_not(rights_login(rights, SPAN("admin"), SPAN("other"), &h));
        cr_assert(rights_login(rights, SPAN("app"), SPAN("other"), &h));
        cr_assert(rights_login(rights, SPAN("app"), SPAN("secret"), &h));
    }
    rights_free(&rights);
}

Test(rights, default_without_a_password_is_who_connects) {
    struct rights *rights = start(TEXT "user default role=read nopass\n");
    struct rights_holder h;
    rights_begin(rights, &h);
    cr_assert_not(rights_waits(rights, &h));
    cr_assert(rights_limited(rights, &h));
    cr_assert_eq(judge(&h, "GET a"), RIGHTS_FINE);
    cr_assert_eq(judge(&h, "SET a 1"), RIGHTS_NO_COMMAND);
    cr_assert(rights_login(rights, SPAN("default"), SPAN("anything"), &h));
    rights_free(&rights);
}

Test(rights, roles_and_prefixes_are_judged) {
    static const struct {
        const char *user, *request;
        enum rights_verdict want;
    } CASES[] = {
        {"reader", "GET a", RIGHTS_FINE},
        {"reader", "MGET a b", RIGHTS_FINE},
        {"reader", "SET a 1", RIGHTS_NO_COMMAND},
        {"reader", "DEL a", RIGHTS_NO_COMMAND},
        {"reader", "GETEX a", RIGHTS_NO_COMMAND},
        {"reader", "DBSIZE", RIGHTS_FINE},
        {"reader", "PING", RIGHTS_FINE},
        {"reader", "INFO", RIGHTS_FINE},
        {"writer", "SET a 1", RIGHTS_FINE},
        {"writer", "GET a", RIGHTS_FINE},
        {"admin", "SET a 1", RIGHTS_FINE},
        {"app", "GET app:1", RIGHTS_FINE},
        {"app", "GET x:1", RIGHTS_FINE},
        {"app", "GET y:1", RIGHTS_NO_KEY},
        {"app", "MGET app:1 x:1", RIGHTS_FINE},
        {"app", "MGET app:1 y:1", RIGHTS_NO_KEY},
        {"app", "MSET app:1 y:1 x:2 y:2", RIGHTS_FINE}, /* values are no keys */
        {"app", "MSET app:1 1 y:2 2", RIGHTS_NO_KEY},
        {"app", "DEL app:1 app", RIGHTS_NO_KEY},
        {"app", "SET app:1 y:", RIGHTS_FINE},
        {"app", "DBSIZE", RIGHTS_FINE},
        {"app", "SCAN 0", RIGHTS_FINE}, /* the node shows its own keys alone */
        {"app", "KEYS *", RIGHTS_FINE},
        {"app", "RANDOMKEY", RIGHTS_FINE},
        {"part", "FLUSHALL", RIGHTS_NO_COMMAND},
        {"part", "FLUSHDB", RIGHTS_NO_COMMAND},
        {"app", "PING y:", RIGHTS_FINE},
        {"part", "SET app:1 1", RIGHTS_FINE},
        {"part", "SET y:1 1", RIGHTS_NO_KEY},
    };
    struct rights *rights = start(TEXT);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct rights_holder h = login(rights, CASES[i].user);
        cr_assert_eq(judge(&h, CASES[i].request), CASES[i].want, "%s: %s", CASES[i].user,
                     CASES[i].request);
    }
    rights_free(&rights);
}

Test(rights, nobody_may_only_say_who_it_is_or_leave) {
    static const char *const ALLOWED[] = {"AUTH x", "HELLO 3", "QUIT", "RESET"};
    static const char *const REFUSED[] = {"PING",     "GET a",  "CLIENT ID", "COMMAND",   "INFO",
                                          "SELECT 0", "ECHO a", "DBSIZE",    "ACL WHOAMI"};
    struct rights_holder h = {0};
    for (size_t i = 0; i < sizeof(ALLOWED) / sizeof(ALLOWED[0]); i++)
        cr_assert_eq(judge(&h, ALLOWED[i]), RIGHTS_FINE, "%s", ALLOWED[i]);
    for (size_t i = 0; i < sizeof(REFUSED) / sizeof(REFUSED[0]); i++)
        cr_assert_eq(judge(&h, REFUSED[i]), RIGHTS_NOAUTH, "%s", REFUSED[i]);
}

Test(rights, an_admin_of_all_keys_is_not_judged_at_all) {
    struct rights *rights = start(TEXT);
    struct rights_holder admin = login(rights, "admin"), part = login(rights, "part"),
                         writer = login(rights, "writer");
    cr_assert_not(rights_limited(rights, &admin));
    cr_assert(rights_limited(rights, &part));
    cr_assert(rights_limited(rights, &writer));
    cr_assert(rights_is_admin(rights, &part));
    cr_assert_not(rights_is_admin(rights, &writer));
    cr_assert(rights_covers_prefix(&part, SPAN("app:x")));
    cr_assert_not(rights_covers_prefix(&part, SPAN("")));
    rights_free(&rights);
}

Test(rights, other_users_keep_those_who_are_still_there) {
    struct rights *rights = start(TEXT "user default role=read nopass\n");
    struct rights_holder reader = login(rights, "reader"), app = login(rights, "app"), other,
                         writer = login(rights, "writer"), anybody;
    cr_assert(rights_login(rights, SPAN("app"), SPAN("other"), &other));
    rights_begin(rights, &anybody);
    rights_swap(rights,
                users_of("user app role=read prefix=y: " PLAIN "\nuser writer role=write " OTHER
                         "\nuser default role=read " PLAIN));
    cr_assert_not(rights_renew(rights, SPAN("reader"), &reader)); /* gone */
    cr_assert_null(reader.user);
    cr_assert(rights_renew(rights, SPAN("app"), &app));
    cr_assert_eq(judge(&app, "GET y:1"), RIGHTS_FINE); /* by the new rules */
    cr_assert_eq(judge(&app, "GET app:1"), RIGHTS_NO_KEY);
    cr_assert_eq(judge(&app, "SET y:1 1"), RIGHTS_NO_COMMAND);
    cr_assert_not(rights_renew(rights, SPAN("app"), &other));       /* its password is gone */
    cr_assert_not(rights_renew(rights, SPAN("writer"), &writer));   /* it has another */
    cr_assert_not(rights_renew(rights, SPAN("default"), &anybody)); /* it needs one now */
    struct rights_holder nobody = {0};
    cr_assert(rights_renew(rights, SPAN("default"), &nobody));
    cr_assert(rights_waits(rights, &nobody));
    cr_assert_not(rights_login(rights, SPAN("writer"), SPAN("secret"), &nobody));
    cr_assert(rights_login(rights, SPAN("writer"), SPAN("other"), &nobody));
    rights_free(&rights);
}
