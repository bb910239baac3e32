/* SPDX-License-Identifier: MIT */
/*
 * table.h - kvd's data set: one immutable table, sorted by key
 *
 * The file, all of it, is the arena: entries point into what was read. Format,
 * in bytes, without anything before, between or after:
 *
 *   kvd-data 1 <records>\n
 *   <key bytes> <value bytes>\n<key><value>\n      once per record
 *
 * Numbers are decimal. A key has 1 to KVD_KEY_MAX bytes, a value up to
 * KVD_VALUE_MAX, both of any kind. Records may come in any order, each key
 * once.
 *
 * Threads    A loaded table is never changed, so any number may read it.
 * Errors     0 or a negative errno, and a sentence for the user.
 */
#ifndef KVD_TABLE_H
#define KVD_TABLE_H

#include <stddef.h>
#include <stdint.h>

#define KVD_KEY_MAX	65536u
#define KVD_VALUE_MAX	(1024u * 1024)
#define KVD_FILE_MAX	((size_t)4 * 1024 * 1024 * 1024)
#define KVD_NAME_MAX	255

struct table_entry {
	uint64_t prefix;	/* first 8 bytes of the key, big-endian */
	const char *key;	/* the value follows it */
	uint32_t key_size;
	uint32_t value_size;
};

struct table {
	struct table_entry *entry;
	char *arena;
	size_t arena_size;
	uint32_t entries_n;
	char name[KVD_NAME_MAX + 1];
};

/*
 * table_load - read the file @name in the directory @dir, both paths
 * @why: room for a sentence about what was wrong
 *
 * @ret is written on success only; table_fini() frees what it points to.
 */
int table_load(const char *dir, const char *name, struct table *ret, char *why,
		size_t why_size);

/* Accepts a table that is all zero; leaves one. */
void table_fini(struct table *table);

/* NULL if there is no such key. */
const struct table_entry *table_find(const struct table *table,
		const char *key, size_t key_size);

static inline const char *
table_value(const struct table_entry *entry)
{
	return entry->key + entry->key_size;
}

#endif
