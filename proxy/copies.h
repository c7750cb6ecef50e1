/*
 * copies: what one request for the values of several keys has to do with near: which of them are
 * answered from copies, and what becomes of the answers for the others: kept, or they end the
 * copies that they may be newer than. Pure policy, as near. Owned by its request.
 */
#ifndef RINGFENCE_COPIES_H
#define RINGFENCE_COPIES_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/span.h"

struct copies;
struct near;
struct near_ticket;

enum { COPIES_KEYS_MAX = 64 /* of a request; longer ones have nothing to do with copies */ };

/** copies_new(near, count): of a request for so many keys, none of them known yet; NULL without
 * memory. copies_free(copies). */
struct copies *copies_new(struct near *near, uint32_t count);
void copies_free(struct copies **copies);

/** copies_take(copies, index, value): a key's copy, one whole RESP reply, which is copied; false
 * without memory. copies_ask(copies, index, hash, ticket): it is asked for; `hash`: the ring's,
 * `ticket`: near_ask()'s. Every key is either. */
bool copies_take(struct copies *copies, uint32_t index, struct span value);
void copies_ask(struct copies *copies, uint32_t index, uint64_t hash,
                const struct near_ticket *ticket);

/** copies_taken(copies): keys with a copy. copies_value(copies, index): a key's copy, until it is
 * freed; `ptr` NULL: it has none. Of no copies (NULL) too. */
uint32_t copies_taken(const struct copies *copies);
struct span copies_value(const struct copies *copies, uint32_t index);

/** copies_answered(copies, index, element, in_order): the answer for a key that was asked for, in
 * the order in which the nodes' answers come. `in_order`: from the node that was asked first, in
 * its turn, and it says what changes; else it is not kept. */
void copies_answered(struct copies *copies, uint32_t index, struct span element, bool in_order);

#endif
