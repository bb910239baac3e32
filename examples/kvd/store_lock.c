/* SPDX-License-Identifier: MIT */
/*
 * store_lock.c - tables behind one lock, or 64
 *
 * The stores differ in what enter() locks: a shard's mutex or those of all,
 * the rwlock, the mutex, or nothing, since gil has the mutex for the whole
 * request. The rwlock prefers writers: glibc's default would let two busy
 * loops starve them. New tables are filled, and old ones freed, outside.
 */
#include <errno.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"
#include "table.h"

#define SHARD_BITS	6u
#define SHARDS		(1u << SHARD_BITS)
#define SHARD_ALL	UINT32_MAX

/* A cache line of its own, so that shards do not slow one another down. */
struct shard {
	alignas(64) pthread_mutex_t mutex;
	struct table table;
};

struct lock_store {
	struct store store;
	pthread_rwlock_t rwlock;	/* of rwlock */
	uint32_t shard_bits;
	uint32_t shards_n;
	struct shard shard[];
};

static struct lock_store *
lock_of(struct store *store)
{
	return (struct lock_store *)store;
}

/* The first bits of a hash choose the shard, the others the place in it. */
static struct table *
table_of(struct lock_store *s, struct own_bytes key, uint64_t *ret_hash)
{
	uint64_t hash = table_hash(key);

	*ret_hash = hash << s->shard_bits;
	return &s->shard[s->shard_bits ? hash >> (64 - s->shard_bits) : 0]
		.table;
}

/* ---- locks ---- */

static void
nothing(struct store *store)
{
	(void)store;
}

static void
lock_all(struct store *store)
{
	struct lock_store *s = lock_of(store);

	if (store->ops == &store_rwlock)
		pthread_rwlock_wrlock(&s->rwlock);
	for (uint32_t i = 0; i < s->shards_n; i++)
		pthread_mutex_lock(&s->shard[i].mutex);
}

static void
unlock_all(struct store *store)
{
	struct lock_store *s = lock_of(store);

	for (uint32_t i = s->shards_n; i-- > 0;)
		pthread_mutex_unlock(&s->shard[i].mutex);
	if (store->ops == &store_rwlock)
		pthread_rwlock_unlock(&s->rwlock);
}

static int
enter(struct store *store, enum access access, const struct own_bytes *key,
		struct view *ret)
{
	struct lock_store *s = lock_of(store);

	(void)access;
	ret->shard = SHARD_ALL;
	if (key) {
		ret->shard = s->shard_bits ? (uint32_t)(table_hash(*key) >>
				(64 - s->shard_bits)) : 0;
		pthread_mutex_lock(&s->shard[ret->shard].mutex);
	} else {
		lock_all(store);
	}
	return 0;
}

static void
leave(struct store *store, struct view *view)
{
	if (view->shard == SHARD_ALL)
		unlock_all(store);
	else
		pthread_mutex_unlock(&lock_of(store)->shard[view->shard]
				.mutex);
}

static int
rwlock_enter(struct store *store, enum access access,
		const struct own_bytes *key, struct view *ret)
{
	struct lock_store *s = lock_of(store);

	(void)key;
	(void)ret;
	return -(access == READ ? pthread_rwlock_rdlock(&s->rwlock) :
			pthread_rwlock_wrlock(&s->rwlock));
}

static void
rwlock_leave(struct store *store, struct view *view)
{
	(void)view;
	pthread_rwlock_unlock(&lock_of(store)->rwlock);
}

static int
gil_enter(struct store *store, enum access access,
		const struct own_bytes *key, struct view *ret)
{
	(void)store;
	(void)access;
	(void)key;
	(void)ret;
	return 0;
}

static void
gil_leave(struct store *store, struct view *view)
{
	(void)store;
	(void)view;
}

/* ---- creation and destruction ---- */

static int
create(const struct store_ops *ops, uint32_t shard_bits, struct store **ret)
{
	uint32_t shards_n = 1u << shard_bits;
	struct lock_store *s = aligned_alloc(64, sizeof(*s) +
			shards_n * sizeof(struct shard));
	pthread_rwlockattr_t attr;
	int r;

	if (!s)
		return -ENOMEM;
	memset(s, 0, sizeof(*s) + shards_n * sizeof(struct shard));
	s->store.ops = ops;
	s->shard_bits = shard_bits;
	s->shards_n = shards_n;
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr,
			PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	r = pthread_rwlock_init(&s->rwlock, &attr);
	pthread_rwlockattr_destroy(&attr);
	if (r) {
		free(s);
		return -r;
	}
	for (uint32_t i = 0; i < shards_n; i++)
		pthread_mutex_init(&s->shard[i].mutex, NULL);
	*ret = &s->store;
	return 0;
}

static int
sharded_create(uint32_t policy, struct store **ret)
{
	(void)policy;
	return create(&store_sharded, SHARD_BITS, ret);
}

static int
rwlock_create(uint32_t policy, struct store **ret)
{
	(void)policy;
	return create(&store_rwlock, 0, ret);
}

static int
mutex_create(uint32_t policy, struct store **ret)
{
	(void)policy;
	return create(&store_mutex, 0, ret);
}

static int
gil_create(uint32_t policy, struct store **ret)
{
	(void)policy;
	return create(&store_gil, 0, ret);
}

static void
destroy(struct store *store)
{
	struct lock_store *s = lock_of(store);

	for (uint32_t i = 0; i < s->shards_n; i++) {
		table_fini(&s->shard[i].table);
		pthread_mutex_destroy(&s->shard[i].mutex);
	}
	pthread_rwlock_destroy(&s->rwlock);
	free(s);
}

/* ---- keys ---- */

static int
get(struct store *store, struct view *view, struct own_bytes key,
		const struct value **ret)
{
	uint64_t hash;
	const struct table *t = table_of(lock_of(store), key, &hash);
	const struct table_entry *e = table_find(t, hash, key);

	(void)view;
	if (!e)
		return -ENOENT;
	if (value_expired(&e->value))
		return -ESTALE;
	*ret = &e->value;
	return 0;
}

static int
edit(struct store *store, struct view *view, struct own_bytes key,
		enum when when, edit_fn fn, void *arg)
{
	uint64_t hash;
	struct table *t = table_of(lock_of(store), key, &hash);
	struct table_entry *e = table_find(t, hash, key);
	bool absent = !e || value_expired(&e->value), made = !e;
	int r = 0;

	(void)view;
	if (absent && when == IF_PRESENT)
		return -ENOENT;
	if (!absent && when == IF_ABSENT)
		return -EEXIST;
	if (made)
		r = table_insert(t, hash, key, &e);
	if (r)
		return r;
	if (absent)
		e->value.size = 0;
	r = fn(&e->value, absent, arg);
	if (r && made)
		table_remove(t, e);
	return r;
}

static int
set(struct store *store, struct view *view, struct own_bytes key,
		enum when when, struct own_bytes bytes, uint64_t expires_ms)
{
	struct setting to = { bytes, expires_ms };

	return edit(store, view, key, when, edit_set, &to);
}

static int
remove_key(struct store *store, struct view *view, struct own_bytes key)
{
	uint64_t hash;
	struct table *t = table_of(lock_of(store), key, &hash);
	struct table_entry *e = table_find(t, hash, key);
	int r = !e || value_expired(&e->value) ? -ENOENT : 0;

	(void)view;
	if (e)
		table_remove(t, e);
	return r;
}

static void
drop_expired(struct store *store, struct view *view, struct own_bytes key)
{
	uint64_t hash;
	struct table *t = table_of(lock_of(store), key, &hash);
	struct table_entry *e = table_find(t, hash, key);

	(void)view;
	if (e && value_expired(&e->value))
		table_remove(t, e);
}

/* ---- all of it ---- */

/* Shards in the order of their hashes, so that a cursor is a hash. */
static int
scan(struct store *store, struct view *view, uint64_t *cursor,
		uint64_t entries_max, visit_fn fn, void *arg)
{
	struct lock_store *s = lock_of(store);
	uint32_t bits = s->shard_bits;
	uint32_t i = bits ? (uint32_t)(*cursor >> (64 - bits)) : 0;
	uint64_t at = *cursor << bits;

	(void)view;
	at = table_scan(&s->shard[i].table, at, entries_max, fn, arg);
	if (!at)
		i++;
	*cursor = i == s->shards_n ? 0 :
		(bits ? (uint64_t)i << (64 - bits) : 0) | at >> bits;
	return 0;
}

static uint64_t
count_keys(struct store *store, struct view *view)
{
	struct lock_store *s = lock_of(store);
	uint64_t n = 0;

	(void)view;
	for (uint32_t i = 0; i < s->shards_n; i++)
		n += s->shard[i].table.entries_n;
	return n;
}

static int
clear(struct store *store, struct view *view)
{
	struct lock_store *s = lock_of(store);

	(void)view;
	for (uint32_t i = 0; i < s->shards_n; i++)
		table_fini(&s->shard[i].table);
	return 0;
}

static int
fill(struct lock_store *next, const struct data *data)
{
	struct table_entry *e;
	int r = 0;

	for (uint32_t i = 0; !r && i < data->records_n; i++) {
		const struct record *from = &data->record[i];
		struct own_bytes key = own_bytes(from->key, from->key_size);
		uint64_t hash;
		struct table *t = table_of(next, key, &hash);

		r = table_insert(t, hash, key, &e);
		if (!r)
			r = value_set(&e->value, record_value(from),
					from->value_size);
	}
	return r;
}

static int
load(struct store *store, const struct data *data)
{
	struct lock_store *s = lock_of(store), *next;
	struct store *made;
	int r = create(store->ops, s->shard_bits, &made);

	if (r)
		return r;
	next = lock_of(made);
	r = fill(next, data);
	if (!r) {
		lock_all(store);
		for (uint32_t i = 0; i < s->shards_n; i++) {
			struct table old = s->shard[i].table;

			s->shard[i].table = next->shard[i].table;
			next->shard[i].table = old;
		}
		unlock_all(store);
	}
	destroy(made);
	return r;
}

#define TABLE_OPS							\
	.destroy = destroy, .get = get, .edit = edit, .set = set,	\
	.remove = remove_key, .drop_expired = drop_expired,		\
	.scan = scan, .count = count_keys, .clear = clear, .load = load

const struct store_ops store_sharded = {
	.name = "sharded", .create = sharded_create,
	.request_begin = nothing, .request_end = nothing,
	.enter = enter, .leave = leave, TABLE_OPS,
};

const struct store_ops store_rwlock = {
	.name = "rwlock", .create = rwlock_create,
	.request_begin = nothing, .request_end = nothing,
	.enter = rwlock_enter, .leave = rwlock_leave, TABLE_OPS,
};

const struct store_ops store_mutex = {
	.name = "mutex", .create = mutex_create,
	.request_begin = nothing, .request_end = nothing,
	.enter = enter, .leave = leave, TABLE_OPS,
};

const struct store_ops store_gil = {
	.name = "gil", .create = gil_create,
	.request_begin = lock_all, .request_end = unlock_all,
	.enter = gil_enter, .leave = gil_leave, TABLE_OPS,
};
