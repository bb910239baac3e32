/* SPDX-License-Identifier: MIT */
/*
 * table.h - the hash table of the stores with locks
 *
 * Chained, a power of two of buckets in the order of their hashes: a bucket is
 * found by the hash's first bits. So a scan has a hash for a cursor, which
 * means the same place whatever the number of buckets.
 *
 * Threads    None: the stores lock.
 * Errors     0 or -ENOMEM.
 */
#ifndef KVD_TABLE_H
#define KVD_TABLE_H

#include <own/map.h>

#include "value.h"

struct table_entry {
	struct table_entry *next;
	uint64_t hash;
	struct value value;
	size_t key_size;
	char key[];
};

/* All zero: an empty one. */
struct table {
	struct table_entry **bucket;
	uint32_t bits;		/* 2^bits buckets */
	uint64_t entries_n;
};

/* Of the process: the seed is random. */
uint64_t table_hash(struct own_bytes key);

/* NULL if there is none. */
struct table_entry *table_find(const struct table *t, uint64_t hash,
		struct own_bytes key);

/* A zeroed value under a key that is not there. */
int table_insert(struct table *t, uint64_t hash, struct own_bytes key,
		struct table_entry **ret);
void table_remove(struct table *t, struct table_entry *entry);
void table_fini(struct table *t);

/*
 * table_scan - visit about @entries_max entries from @cursor on
 *
 * Returns where to go on, or 0 when all were visited. As own_map_scan(): what
 * stays from the first call to the last is visited once.
 */
uint64_t table_scan(const struct table *t, uint64_t cursor,
		uint64_t entries_max,
		void (*visit)(struct own_bytes key, const struct value *value,
			void *arg), void *arg);

#endif
