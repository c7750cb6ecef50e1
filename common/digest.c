#include "digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>

enum { NUMBER_DIGITS_MAX = 6 };

/* ---- text ---- */

static int nibble(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Exactly `len` bytes as lower-case hexadecimal digits. */
static bool parse_hex(struct span text, uint8_t *out, size_t len) {
    if (text.len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = nibble(text.ptr[2 * i]), low = nibble(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static void write_hex(const uint8_t *bytes, size_t len, char *out) {
    for (size_t i = 0; i < len; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

/* What stands before the next ':', which is taken off `rest` too. */
static struct span field(struct span *rest) {
    const char *colon = memchr(rest->ptr, ':', rest->len);
    size_t len = colon == NULL ? rest->len : (size_t)(colon - rest->ptr);
    struct span taken = span_of(rest->ptr, len);
    size_t step = colon == NULL ? len : len + 1;
    *rest = span_of(rest->ptr + step, rest->len - step);
    return taken;
}

bool digest_parse(struct span text, struct digest *out) {
    const struct span PLAIN = SPAN("sha256="), SLOW = SPAN("pbkdf2=");
    if (text.len < PLAIN.len)
        return false;
    struct span head = span_of(text.ptr, PLAIN.len);
    struct span rest = span_of(text.ptr + PLAIN.len, text.len - PLAIN.len);
    *out = (struct digest){0};
    if (span_equal(head, PLAIN))
        return parse_hex(rest, out->bytes, DIGEST_BYTES);
    if (!span_equal(head, SLOW))
        return false;
    int64_t iterations;
    struct span count = field(&rest), salt = field(&rest);
    if (count.len > NUMBER_DIGITS_MAX || !span_to_int64(count, &iterations) || iterations < 1 ||
        iterations > DIGEST_ITERATIONS_MAX)
        return false;
    out->iterations = (uint32_t)iterations;
    return parse_hex(salt, out->salt, DIGEST_SALT_BYTES) &&
           parse_hex(rest, out->bytes, DIGEST_BYTES);
}

void digest_write(const struct digest *d, char *out) {
    char salt[2 * DIGEST_SALT_BYTES + 1], bytes[2 * DIGEST_BYTES + 1];
    write_hex(d->salt, DIGEST_SALT_BYTES, salt);
    write_hex(d->bytes, DIGEST_BYTES, bytes);
    if (d->iterations == 0)
        snprintf(out, DIGEST_TEXT_BYTES, "sha256=%s", bytes);
    else
        snprintf(out, DIGEST_TEXT_BYTES, "pbkdf2=%u:%s:%s", d->iterations, salt, bytes);
}

/* ---- bytes ---- */

static bool compute(const struct digest *d, struct span password, uint8_t *out) {
    if (d->iterations == 0)
        return SHA256((const unsigned char *)password.ptr, password.len, out) != NULL;
    return PKCS5_PBKDF2_HMAC(password.ptr, (int)password.len, d->salt, DIGEST_SALT_BYTES,
                             (int)d->iterations, EVP_sha256(), DIGEST_BYTES, out) == 1;
}

bool digest_make(struct span password, struct digest *out) {
    *out = (struct digest){.iterations = DIGEST_ITERATIONS};
    return digest_random(out->salt, DIGEST_SALT_BYTES) && compute(out, password, out->bytes);
}

bool digest_matches(const struct digest *d, struct span password) {
    uint8_t bytes[DIGEST_BYTES];
    return compute(d, password, bytes) && digest_same(bytes, d->bytes);
}

bool digest_keyed(const uint8_t *key, struct span text, uint8_t *out) {
    return HMAC(EVP_sha256(), key, DIGEST_BYTES, (const unsigned char *)text.ptr, text.len, out,
                NULL) != NULL;
}

bool digest_same(const uint8_t *a, const uint8_t *b) {
    return CRYPTO_memcmp(a, b, DIGEST_BYTES) == 0;
}

bool digest_random(uint8_t *out, size_t len) {
    return RAND_bytes(out, (int)len) == 1;
}

void digest_forget(void *data, size_t len) {
    OPENSSL_cleanse(data, len);
}
