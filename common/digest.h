/*
 * digest: what is kept of a password: its SHA-256, or the salted and stretched PBKDF2 of it, by
 * OpenSSL. Comparing takes the same time whatever differs. Knows no users.
 */
#ifndef RINGFENCE_DIGEST_H
#define RINGFENCE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"

enum {
    DIGEST_BYTES = 32,
    DIGEST_SALT_BYTES = 16,
    DIGEST_ITERATIONS = 4096, /* as PostgreSQL's SCRAM: about a millisecond */
    DIGEST_ITERATIONS_MAX = 20000,
    DIGEST_TEXT_BYTES = 128, /* room for any text of digest_write() */
};

struct digest {
    uint32_t iterations; /* 0: plain SHA-256, without a salt */
    uint8_t salt[DIGEST_SALT_BYTES];
    uint8_t bytes[DIGEST_BYTES];
};

/** digest_parse(text, out): `sha256=HEX` (64 digits) or `pbkdf2=ITERATIONS:SALT:HEX` (32 and 64
 * digits, at most DIGEST_ITERATIONS_MAX iterations). Returns false for anything else. */
bool digest_parse(struct span text, struct digest *out);

/** digest_write(digest, out): its text, as digest_parse() takes it; `out` has DIGEST_TEXT_BYTES. */
void digest_write(const struct digest *digest, char *out);

/** digest_make(password, out): PBKDF2 with DIGEST_ITERATIONS and a new salt. Returns false when
 * there are no random bytes. */
bool digest_make(struct span password, struct digest *out);

/** digest_matches(digest, password): Cost: under a microsecond, or 0.25 us for each iteration. */
bool digest_matches(const struct digest *digest, struct span password);

/** digest_keyed(key, text, out): HMAC of a text, to know it again without keeping it. `key` and
 * `out` have DIGEST_BYTES. False, with nothing in `out`, when libcrypto has no memory. Cost: about
 * a microsecond. */
bool digest_keyed(const uint8_t *key, struct span text, uint8_t *out);

/** digest_same(a, b): whether DIGEST_BYTES are equal, in constant time. */
bool digest_same(const uint8_t *a, const uint8_t *b);

/** digest_random(out, len): bytes that nobody can guess; false without any. */
bool digest_random(uint8_t *out, size_t len);

/** digest_forget(data, len): overwrite a secret. */
void digest_forget(void *data, size_t len);

#endif
