/* SPDX-License-Identifier: MIT */
/*
 * map_locks.c - the plain table under a mutex, under a rwlock, and in 64 parts
 *
 * A reader's pointer is good while it has the lock; a writer changes the value
 * in place. Values are allocated before the lock is taken and freed after it.
 */
#include <pthread.h>

#include "bench/peers/map_table.h"
#include "bench/peers/maps.h"

#define SHARDS		64u
#define SHARD_SHIFT	58u

/* A table and its lock, on lines of their own. */
struct locked {
	union {
		pthread_mutex_t mutex;
		pthread_rwlock_t rwlock;
	} lock;
	struct table table;
} __attribute__((aligned(64)));

static void
nothing(void)
{
}

static void
as_it_is(void *map, uint64_t entries)
{
	(void)map;
	(void)entries;
}

static uint32_t *
value_make(uint64_t key, unsigned words)
{
	uint32_t *word = malloc(words * sizeof(*word));

	if (word)
		map_value_set(word, words, key, 0);
	return word;
}

/* RDLOCK and the others take a struct locked *; PARTS of them are one map. */
#define LOCKED(x, PARTS, INIT, FINI, RDLOCK, RDUNLOCK, WRLOCK, WRUNLOCK) \
static void								\
x##_destroy(void *map)							\
{									\
	struct locked *all = map;					\
									\
	for (unsigned i = 0; i < PARTS; i++) {				\
		FINI(&all[i]);						\
		table_fini(&all[i].table);				\
	}								\
	free(all);							\
}									\
									\
static void *								\
x##_create(unsigned words)						\
{									\
	struct locked *all = aligned_alloc(64, PARTS * sizeof(*all));	\
									\
	(void)words;							\
	if (!all)							\
		return NULL;						\
	memset(all, 0, PARTS * sizeof(*all));				\
	for (unsigned i = 0; i < PARTS; i++)				\
		if (INIT(&all[i]) || table_init(&all[i].table))		\
			abort();					\
	return all;							\
}									\
									\
MAP_INLINE struct locked *						\
x##_part(void *map, uint64_t hash)					\
{									\
	return (struct locked *)map +					\
			(PARTS > 1 ? hash >> SHARD_SHIFT : 0);		\
}									\
									\
MAP_INLINE int								\
x##_insert(void *map, uint64_t key, unsigned words)			\
{									\
	uint64_t hash = map_hash(key);					\
	struct locked *l = x##_part(map, hash);				\
	uint32_t *word = value_make(key, words);			\
	int r;								\
									\
	if (!word)							\
		return -1;						\
	WRLOCK(l);							\
	r = table_insert(&l->table, key, hash, word);			\
	WRUNLOCK(l);							\
	if (r)								\
		free(word);						\
	return r;							\
}									\
									\
MAP_INLINE int								\
x##_remove(void *map, uint64_t key)					\
{									\
	uint64_t hash = map_hash(key);					\
	struct locked *l = x##_part(map, hash);				\
	uint32_t *word;							\
									\
	WRLOCK(l);							\
	word = table_remove(&l->table, key, hash);			\
	WRUNLOCK(l);							\
	free(word);							\
	return word ? 0 : -1;						\
}									\
									\
MAP_INLINE uint32_t							\
x##_read(void *map, uint64_t key, unsigned words, uint32_t *ret_count)	\
{									\
	uint64_t hash = map_hash(key);					\
	struct locked *l = x##_part(map, hash);				\
	const uint32_t *word;						\
	uint32_t bad = 1;						\
									\
	RDLOCK(l);							\
	word = table_find(&l->table, key, hash)->word;			\
	if (word) {							\
		bad = map_value_bad(word, words, key);			\
		*ret_count = word[1];					\
	}								\
	RDUNLOCK(l);							\
	return bad;							\
}									\
									\
MAP_INLINE uint32_t							\
x##_update(void *map, uint64_t key, unsigned words)			\
{									\
	uint64_t hash = map_hash(key);					\
	struct locked *l = x##_part(map, hash);				\
	uint32_t *word;							\
	uint32_t bad = 1;						\
									\
	WRLOCK(l);							\
	word = table_find(&l->table, key, hash)->word;			\
	if (word)							\
		bad = map_value_step(word, words, key);			\
	WRUNLOCK(l);							\
	return bad;							\
}

#define MUTEX_INIT(l)	pthread_mutex_init(&(l)->lock.mutex, NULL)
#define MUTEX_FINI(l)	pthread_mutex_destroy(&(l)->lock.mutex)
#define MUTEX_LOCK(l)	pthread_mutex_lock(&(l)->lock.mutex)
#define MUTEX_UNLOCK(l)	pthread_mutex_unlock(&(l)->lock.mutex)
#define RWLOCK_INIT(l)	pthread_rwlock_init(&(l)->lock.rwlock, NULL)
#define RWLOCK_FINI(l)	pthread_rwlock_destroy(&(l)->lock.rwlock)
#define RWLOCK_RD(l)	pthread_rwlock_rdlock(&(l)->lock.rwlock)
#define RWLOCK_WR(l)	pthread_rwlock_wrlock(&(l)->lock.rwlock)
#define RWLOCK_UN(l)	pthread_rwlock_unlock(&(l)->lock.rwlock)

LOCKED(mutex, 1, MUTEX_INIT, MUTEX_FINI, MUTEX_LOCK, MUTEX_UNLOCK, MUTEX_LOCK,
		MUTEX_UNLOCK)
LOCKED(rwlock, 1, RWLOCK_INIT, RWLOCK_FINI, RWLOCK_RD, RWLOCK_UN, RWLOCK_WR,
		RWLOCK_UN)
LOCKED(sharded, SHARDS, MUTEX_INIT, MUTEX_FINI, MUTEX_LOCK, MUTEX_UNLOCK,
		MUTEX_LOCK, MUTEX_UNLOCK)

#define mutex_filled	as_it_is
#define mutex_enter	nothing
#define mutex_leave	nothing
#define mutex_settle	nothing
#define SUBJECT		mutex
#include "bench/map_runs.h"

#define rwlock_filled	as_it_is
#define rwlock_enter	nothing
#define rwlock_leave	nothing
#define rwlock_settle	nothing
#define SUBJECT		rwlock
#include "bench/map_runs.h"

#define sharded_filled	as_it_is
#define sharded_enter	nothing
#define sharded_leave	nothing
#define sharded_settle	nothing
#define SUBJECT		sharded
#include "bench/map_runs.h"
