/*
 * lru_model: an exact LRU cache of numbered keys with a byte budget, to compare misses with. No
 * contents, no waste: what an item costs is what the caller says. Owned by the caller.
 */
#ifndef RINGFENCE_LRU_MODEL_H
#define RINGFENCE_LRU_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lru_model;

/** lru_model_new(keys, bytes_max): keys are 0 .. keys - 1. */
struct lru_model *lru_model_new(uint32_t keys, size_t bytes_max);
void lru_model_free(struct lru_model **lru);

/** lru_model_get(lru, key): is it there? Then it is the most recent one. O(1). */
bool lru_model_get(struct lru_model *lru, uint32_t key);

/** lru_model_put(lru, key, bytes): the most recent one; the least recent ones go. `key` was not
 * there. */
void lru_model_put(struct lru_model *lru, uint32_t key, size_t bytes);

#endif
