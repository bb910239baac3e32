/* SPDX-License-Identifier: MIT */
/*
 * map_ck.c - Concurrency Kit's ck_ht: one writer at a time, readers lock-free
 *
 * Writers take a mutex. ck_ht protects no value: readers are in a section of
 * liburcu's, and what writers take out, values and tables, goes to call_rcu.
 */
#include <pthread.h>

#include "bench/peers/map_rcu.h"

#include <ck_ht.h>

#define CAPACITY_FIRST	16u

struct ck_map {
	struct ck_ht ht;
	/* its own line: readers look at what is above */
	pthread_mutex_t lock __attribute__((aligned(64)));
};

struct kept {
	struct rcu_head head;
	uint32_t word[];
};

/* In front of each of ck_ht's own allocations; keeps their alignment. */
union late {
	struct rcu_head head;
	char line[64];
};

static void
kept_free(struct rcu_head *head)
{
	free((char *)head - offsetof(struct kept, head));
}

static void
late_free(struct rcu_head *head)
{
	free(head);
}

static void *
table_alloc(size_t size_bytes)
{
	union late *l = malloc(sizeof(*l) + size_bytes);

	return l ? l + 1 : NULL;
}

static void
table_free(void *p, size_t size_bytes, bool defer)
{
	union late *l = (union late *)p - 1;

	(void)size_bytes;
	if (defer)
		urcu_memb_call_rcu(&l->head, late_free);
	else
		free(l);
}

static struct ck_malloc tables = { .malloc = table_alloc, .free = table_free };

static void
hash(struct ck_ht_hash *h, const void *key, size_t size_bytes, uint64_t seed)
{
	uint64_t number;

	(void)size_bytes;
	(void)seed;
	memcpy(&number, key, sizeof(number));
	h->value = map_hash(number);
}

static void *
ck_ht_create(unsigned words)
{
	struct ck_map *m = aligned_alloc(64, sizeof(*m));

	(void)words;
	if (!m || !ck_ht_init(&m->ht, CK_HT_MODE_DIRECT |
			CK_HT_WORKLOAD_DELETE, hash, &tables,
			CAPACITY_FIRST, 0))
		return NULL;
	pthread_mutex_init(&m->lock, NULL);
	return m;
}

static void
ck_ht_end(void *map)
{
	struct ck_map *m = map;
	struct ck_ht_iterator it = CK_HT_ITERATOR_INITIALIZER;
	struct ck_ht_entry *e;

	while (ck_ht_next(&m->ht, &it, &e))
		free((void *)ck_ht_entry_value_direct(e));
	ck_ht_destroy(&m->ht);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

MAP_INLINE struct kept *
find(struct ck_map *m, uint64_t key, struct ck_ht_hash *h)
{
	struct ck_ht_entry e;

	ck_ht_hash_direct(h, &m->ht, key);
	ck_ht_entry_key_set_direct(&e, key);
	if (!ck_ht_get_spmc(&m->ht, *h, &e))
		return NULL;
	return (struct kept *)ck_ht_entry_value_direct(&e);
}

MAP_INLINE int
ck_ht_insert(void *map, uint64_t key, unsigned words)
{
	struct ck_map *m = map;
	struct kept *k = malloc(sizeof(*k) + words * sizeof(k->word[0]));
	struct ck_ht_hash h;
	struct ck_ht_entry e;
	bool in;

	if (!k)
		return -1;
	map_value_set(k->word, words, key, 0);
	ck_ht_hash_direct(&h, &m->ht, key);
	ck_ht_entry_set_direct(&e, h, key, (uintptr_t)k);
	pthread_mutex_lock(&m->lock);
	in = ck_ht_put_spmc(&m->ht, h, &e);
	pthread_mutex_unlock(&m->lock);
	if (in)
		return 0;
	free(k);
	return -1;
}

MAP_INLINE int
ck_ht_remove(void *map, uint64_t key)
{
	struct ck_map *m = map;
	struct ck_ht_hash h;
	struct ck_ht_entry e;
	bool out;

	ck_ht_hash_direct(&h, &m->ht, key);
	ck_ht_entry_key_set_direct(&e, key);
	pthread_mutex_lock(&m->lock);
	out = ck_ht_remove_spmc(&m->ht, h, &e);
	pthread_mutex_unlock(&m->lock);
	if (!out)
		return -1;
	urcu_memb_call_rcu(&((struct kept *)ck_ht_entry_value_direct(&e))->head,
			kept_free);
	return 0;
}

MAP_INLINE uint32_t
ck_ht_read(void *map, uint64_t key, unsigned words, uint32_t *ret_count)
{
	struct ck_ht_hash h;
	const struct kept *k;
	uint32_t bad = 1;

	urcu_memb_read_lock();
	k = find(map, key, &h);
	if (k) {
		bad = map_value_bad(k->word, words, key);
		*ret_count = k->word[1];
	}
	urcu_memb_read_unlock();
	return bad;
}

MAP_INLINE uint32_t
ck_ht_update(void *map, uint64_t key, unsigned words)
{
	struct ck_map *m = map;
	struct kept *k = malloc(sizeof(*k) + words * sizeof(k->word[0]));
	struct kept *old;
	struct ck_ht_hash h;
	struct ck_ht_entry e;
	uint32_t bad = 1;
	bool in = false;

	if (!k)
		return bad;
	pthread_mutex_lock(&m->lock);
	old = find(m, key, &h);
	if (old) {
		memcpy(k->word, old->word, words * sizeof(k->word[0]));
		bad = map_value_step(k->word, words, key);
		ck_ht_entry_set_direct(&e, h, key, (uintptr_t)k);
		in = ck_ht_set_spmc(&m->ht, h, &e);
	}
	pthread_mutex_unlock(&m->lock);
	if (!in) {
		free(k);
		return 1;
	}
	urcu_memb_call_rcu(&old->head, kept_free);
	return bad;
}

static void
ck_ht_filled(void *map, uint64_t entries)
{
	(void)map;
	(void)entries;
}

static void
ck_ht_settle(void)
{
	urcu_memb_barrier();
}

/* ck_ht.h has a function of that name */
#define ck_ht_destroy	ck_ht_end
#define ck_ht_enter	section_enter
#define ck_ht_leave	section_leave
#define SUBJECT		ck_ht
#include "bench/map_runs.h"
