#include <criterion/criterion.h>
#include <string.h>

#include "../../common/digest.h"

/* SHA-256 of "secret" and of "other"; PBKDF2 of "secret" with the salt 00 01 ... 0f, 7 rounds: as
 * Python's hashlib has them. */
#define PLAIN "sha256=2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
#define SLOW                                                                                       \
    "pbkdf2=7:000102030405060708090a0b0c0d0e0f:"                                                   \
    "2e17a218ef1e26188d6ed14be961150c5de5660bbecb9d7c980a45dafd825144"

static struct digest parsed(const char *text) {
    struct digest d;
    cr_assert(digest_parse(span_str(text), &d), "%s", text);
    return d;
}

Test(digest, a_password_opens_its_own_digest_alone) {
    static const char *const TEXTS[] = {PLAIN, SLOW};
    for (size_t i = 0; i < 2; i++) {
        struct digest d = parsed(TEXTS[i]);
        cr_assert(digest_matches(&d, SPAN("secret")), "%s", TEXTS[i]);
        cr_assert_not(digest_matches(&d, SPAN("secre")), "%s", TEXTS[i]);
        cr_assert_not(digest_matches(&d, SPAN("secret ")), "%s", TEXTS[i]);
        cr_assert_not(digest_matches(&d, SPAN("Secret")), "%s", TEXTS[i]);
        cr_assert_not(digest_matches(&d, span_of(NULL, 0)), "%s", TEXTS[i]);
    }
}

Test(digest, one_byte_that_differs_is_enough_wherever_it_is) {
    struct digest d = parsed(PLAIN);
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        struct digest other = d;
        other.bytes[i] ^= 1;
        cr_assert_not(digest_matches(&other, SPAN("secret")), "byte %zu", i);
        cr_assert_not(digest_same(d.bytes, other.bytes), "byte %zu", i);
    }
}

Test(digest, its_text_gives_it_back) {
    static const char *const TEXTS[] = {PLAIN, SLOW};
    for (size_t i = 0; i < 2; i++) {
        char text[DIGEST_TEXT_BYTES];
        struct digest d = parsed(TEXTS[i]);
        digest_write(&d, text);
        cr_assert_str_eq(text, TEXTS[i]);
    }
}

Test(digest, what_is_no_digest_is_refused) {
    static const char *const BAD[] = {
        "",
        "sha256=",
        "sha256=ab",
        "sha256",
        "md5=00",
        PLAIN "0",
        "SHA256=",
        "pbkdf2=0:000102030405060708090a0b0c0d0e0f:"
        "2e17a218ef1e26188d6ed14be961150c5de5660bbecb9d7c980a45dafd825144",
        "pbkdf2=20001:000102030405060708090a0b0c0d0e0f:"
        "2e17a218ef1e26188d6ed14be961150c5de5660bbecb9d7c980a45dafd825144",
        "pbkdf2=7:0001:"
        "2e17a218ef1e26188d6ed14be961150c5de5660bbecb9d7c980a45dafd825144",
        "pbkdf2=7:000102030405060708090a0b0c0d0e0f:00",
        "pbkdf2=7",
        "pbkdf2=7:",
        SLOW ":",
        "pbkdf2=-7:000102030405060708090a0b0c0d0e0f:"
        "2e17a218ef1e26188d6ed14be961150c5de5660bbecb9d7c980a45dafd825144",
        "sha256=zz0000000000000000000000000000000000000000000000000000000000000000"};
    struct digest d;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        cr_assert_not(digest_parse(span_str(BAD[i]), &d), "%s", BAD[i]);
}

Test(digest, a_new_one_has_a_salt_of_its_own) {
    struct digest a, b;
    cr_assert(digest_make(SPAN("secret"), &a));
    cr_assert(digest_make(SPAN("secret"), &b));
    cr_assert_eq(a.iterations, DIGEST_ITERATIONS);
    cr_assert_neq(memcmp(a.salt, b.salt, sizeof(a.salt)), 0);
    cr_assert_neq(memcmp(a.bytes, b.bytes, sizeof(a.bytes)), 0);
    cr_assert(digest_matches(&a, SPAN("secret")));
    cr_assert_not(digest_matches(&a, SPAN("secreT")));
}

Test(digest, a_keyed_one_depends_on_key_and_text) {
    uint8_t key[DIGEST_BYTES] = {1}, a[DIGEST_BYTES], b[DIGEST_BYTES];
    digest_keyed(key, SPAN("x"), a);
    digest_keyed(key, SPAN("x"), b);
    cr_assert(digest_same(a, b));
    digest_keyed(key, SPAN("y"), b);
    cr_assert_not(digest_same(a, b));
    key[0] = 2;
    digest_keyed(key, SPAN("x"), b);
    cr_assert_not(digest_same(a, b));
}
