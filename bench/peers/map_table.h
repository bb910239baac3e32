/* SPDX-License-Identifier: MIT */
/*
 * map_table.h - a plain hash table, for one thread at a time
 *
 * Open addressing: key and pointer side by side, linear probing, no tombstone,
 * doubled at three quarters full. A value is one allocation, as in all maps
 * here, so that growing moves no value.
 */
#ifndef BENCH_MAP_TABLE_H
#define BENCH_MAP_TABLE_H

#include <stdlib.h>

#include "bench/map_cases.h"

#define TABLE_MIN	16u

struct slot {
	uint64_t key;
	uint32_t *word;		/* NULL: free */
};

struct table {
	struct slot *slot;
	uint64_t mask;
	uint64_t count;
};

static inline int
table_init(struct table *t)
{
	t->mask = TABLE_MIN - 1;
	t->count = 0;
	t->slot = calloc(TABLE_MIN, sizeof(*t->slot));
	return t->slot ? 0 : -1;
}

static inline void
table_fini(struct table *t)
{
	for (uint64_t i = 0; t->slot && i <= t->mask; i++)
		free(t->slot[i].word);
	free(t->slot);
}

/* The key's slot, or the free one where it would go. */
MAP_INLINE struct slot *
table_find(const struct table *t, uint64_t key, uint64_t hash)
{
	uint64_t i = hash & t->mask;

	while (t->slot[i].word && t->slot[i].key != key)
		i = (i + 1) & t->mask;
	return &t->slot[i];
}

static inline int
table_grow(struct table *t)
{
	struct table next = { NULL, t->mask * 2 + 1, t->count };

	next.slot = calloc(next.mask + 1, sizeof(*next.slot));
	if (!next.slot)
		return -1;
	for (uint64_t i = 0; i <= t->mask; i++)
		if (t->slot[i].word)
			*table_find(&next, t->slot[i].key,
					map_hash(t->slot[i].key)) = t->slot[i];
	free(t->slot);
	*t = next;
	return 0;
}

/* Puts @word in, which is the table's then. */
MAP_INLINE int
table_insert(struct table *t, uint64_t key, uint64_t hash, uint32_t *word)
{
	struct slot *s;

	if (4 * (t->count + 1) > 3 * (t->mask + 1) && table_grow(t))
		return -1;
	s = table_find(t, key, hash);
	if (s->word)
		return -1;
	s->key = key;
	s->word = word;
	t->count++;
	return 0;
}

/* Takes the key's value out, and moves up what its slot kept from its place. */
MAP_INLINE uint32_t *
table_remove(struct table *t, uint64_t key, uint64_t hash)
{
	struct slot *s = table_find(t, key, hash);
	uint64_t hole = (uint64_t)(s - t->slot), i = hole, home;
	uint32_t *word = s->word;

	if (!word)
		return NULL;
	for (;;) {
		i = (i + 1) & t->mask;
		if (!t->slot[i].word)
			break;
		home = map_hash(t->slot[i].key) & t->mask;
		if (((i - home) & t->mask) < ((i - hole) & t->mask))
			continue;
		t->slot[hole] = t->slot[i];
		hole = i;
	}
	t->slot[hole].word = NULL;
	t->count--;
	return word;
}

#endif
