/* SPDX-License-Identifier: MIT */
/*
 * data.h - kvd's data files
 *
 * The file, all of it, is the arena: records point into what was read. Format,
 * in bytes, without anything before, between or after:
 *
 *   kvd-data 1 <records>\n
 *   <key bytes> <value bytes>\n<key><value>\n      once per record
 *
 * Numbers are decimal. A key has 1 to KVD_KEY_MAX bytes, a value up to
 * KVD_VALUE_MAX, both of any kind. Records may come in any order, each key
 * once.
 *
 * Errors     0 or a negative errno, and a sentence for the user.
 */
#ifndef KVD_DATA_H
#define KVD_DATA_H

#include <stddef.h>
#include <stdint.h>

#define KVD_KEY_MAX	65536u
#define KVD_VALUE_MAX	(1024u * 1024)
#define KVD_FILE_MAX	((size_t)4 * 1024 * 1024 * 1024)
#define KVD_NAME_MAX	255

struct record {
	uint64_t prefix;	/* first 8 bytes of the key, big-endian */
	const char *key;	/* the value follows it */
	uint32_t key_size;
	uint32_t value_size;
};

struct data {
	struct record *record;	/* sorted by key */
	char *arena;
	size_t arena_size;
	uint32_t records_n;
	char name[KVD_NAME_MAX + 1];
};

/*
 * data_load - read the file @name in the directory @dir, both paths
 * @why: room for a sentence about what was wrong
 *
 * @ret is written on success only; data_fini() frees what it points to.
 */
int data_load(const char *dir, const char *name, struct data *ret, char *why,
		size_t why_size);

/* Accepts data that is all zero; leaves it so. */
void data_fini(struct data *data);

static inline const char *
record_value(const struct record *record)
{
	return record->key + record->key_size;
}

#endif
