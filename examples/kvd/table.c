/* SPDX-License-Identifier: MIT */
/* table.c - contract in table.h */
#include <pthread.h>
#include <sys/random.h>

#include "table.h"

#define BITS_MIN	4u

static uint64_t seed;
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void
seed_draw(void)
{
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = own_now_ns();
}

/* Eight bytes at a time; the finish is MurmurHash3's (Appleby 2011). */
uint64_t
table_hash(struct own_bytes key)
{
	const char *at = key.data;
	uint64_t h, word;
	size_t left = key.size;

	pthread_once(&seed_once, seed_draw);
	h = seed ^ key.size;
	while (left) {
		size_t n = left < 8 ? left : 8;

		word = 0;
		memcpy(&word, at, n);
		h = (h ^ word) * 0x9e3779b97f4a7c15u;
		h ^= h >> 32;
		at += n;
		left -= n;
	}
	h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
	return h ^ h >> 33;
}

static size_t
bucket_of(const struct table *t, uint64_t hash)
{
	return (size_t)(hash >> (64 - t->bits));
}

static int
resize(struct table *t, uint32_t bits)
{
	struct table grown = { .bits = bits, .entries_n = t->entries_n };
	size_t buckets_n = t->bucket ? (size_t)1 << t->bits : 0;
	struct table_entry *e, *next, **to;

	grown.bucket = calloc((size_t)1 << bits, sizeof(struct table_entry *));
	if (!grown.bucket)
		return -ENOMEM;
	for (size_t i = 0; i < buckets_n; i++)
		for (e = t->bucket[i]; e; e = next) {
			next = e->next;
			to = &grown.bucket[bucket_of(&grown, e->hash)];
			e->next = *to;
			*to = e;
		}
	free(t->bucket);
	*t = grown;
	return 0;
}

struct table_entry *
table_find(const struct table *t, uint64_t hash, struct own_bytes key)
{
	struct table_entry *e = t->bucket ? t->bucket[bucket_of(t, hash)] :
		NULL;

	while (e && !(e->hash == hash && e->key_size == key.size &&
			!memcmp(e->key, key.data, key.size)))
		e = e->next;
	return e;
}

int
table_insert(struct table *t, uint64_t hash, struct own_bytes key,
		struct table_entry **ret)
{
	struct table_entry *e, **to;

	if (!t->bucket || t->entries_n >> t->bits) {
		/* a table that cannot grow goes on, if it is one */
		if (resize(t, t->bucket ? t->bits + 1 : BITS_MIN) &&
				!t->bucket)
			return -ENOMEM;
	}
	e = calloc(1, sizeof(*e) + key.size);
	if (!e)
		return -ENOMEM;
	e->hash = hash;
	e->key_size = key.size;
	memcpy(e->key, key.data, key.size);
	to = &t->bucket[bucket_of(t, hash)];
	e->next = *to;
	*to = e;
	t->entries_n++;
	*ret = e;
	return 0;
}

static void
entry_free(struct table_entry *e)
{
	value_fini(&e->value);
	free(e);
}

void
table_remove(struct table *t, struct table_entry *entry)
{
	struct table_entry **link = &t->bucket[bucket_of(t, entry->hash)];

	while (*link != entry)
		link = &(*link)->next;
	*link = entry->next;
	entry_free(entry);
	t->entries_n--;
	if (t->bits > BITS_MIN && t->entries_n < (uint64_t)1 << t->bits >> 3)
		(void)resize(t, t->bits - 1);
}

void
table_fini(struct table *t)
{
	struct table_entry *e, *next;

	for (size_t i = 0; t->bucket && i < (size_t)1 << t->bits; i++)
		for (e = t->bucket[i]; e; e = next) {
			next = e->next;
			entry_free(e);
		}
	free(t->bucket);
	memset(t, 0, sizeof(*t));
}

/* Buckets that merged or split since @cursor was made do so at its bounds. */
uint64_t
table_scan(const struct table *t, uint64_t cursor, uint64_t entries_max,
		void (*visit)(struct own_bytes key, const struct value *value,
			void *arg), void *arg)
{
	uint64_t n = 0;
	size_t i;

	if (!t->bucket)
		return 0;
	for (i = bucket_of(t, cursor); i < (size_t)1 << t->bits &&
			n < entries_max; i++)
		for (struct table_entry *e = t->bucket[i]; e; e = e->next)
			if (e->hash >= cursor) {
				visit(own_bytes(e->key, e->key_size),
						&e->value, arg);
				n++;
			}
	return i >> t->bits ? 0 : (uint64_t)i << (64 - t->bits);
}
