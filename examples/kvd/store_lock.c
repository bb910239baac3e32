/* SPDX-License-Identifier: MIT */
/*
 * store_lock.c - the table behind a rwlock, a mutex, or one global lock
 *
 * All three read a pointer under their lock and free an old table after they
 * have let it go. The rwlock prefers writers: glibc's default would let two
 * busy loops starve a RELOAD.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"

struct lock_store {
	struct store store;
	pthread_mutex_t mutex;
	pthread_rwlock_t rwlock;
	struct table table;
};

static struct lock_store *
lock_of(struct store *store)
{
	return (struct lock_store *)store;
}

static int
create(const struct store_ops *ops, struct table *first, struct store **ret)
{
	struct lock_store *s = calloc(1, sizeof(*s));
	pthread_rwlockattr_t attr;
	int r;

	if (!s)
		return -ENOMEM;
	s->store.ops = ops;
	pthread_mutex_init(&s->mutex, NULL);
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr,
			PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	r = pthread_rwlock_init(&s->rwlock, &attr);
	pthread_rwlockattr_destroy(&attr);
	if (r) {
		pthread_mutex_destroy(&s->mutex);
		free(s);
		return -r;
	}
	s->table = *first;
	memset(first, 0, sizeof(*first));
	*ret = &s->store;
	return 0;
}

static void
destroy(struct store *store)
{
	struct lock_store *s = lock_of(store);

	if (!s)
		return;
	table_fini(&s->table);
	pthread_rwlock_destroy(&s->rwlock);
	pthread_mutex_destroy(&s->mutex);
	free(s);
}

static void
nothing(struct store *store)
{
	(void)store;
}

static void
swap(struct lock_store *s, struct table *next)
{
	struct table old = s->table;

	s->table = *next;
	*next = old;
}

/* ---- rwlock ---- */

static int
rwlock_create(struct table *first, struct store **ret)
{
	return create(&store_rwlock, first, ret);
}

static int
rwlock_enter(struct store *store, struct view *ret)
{
	int r = pthread_rwlock_rdlock(&lock_of(store)->rwlock);

	if (r)
		return -r;
	ret->table = &lock_of(store)->table;
	return 0;
}

static void
rwlock_leave(struct store *store, struct view *view)
{
	view->table = NULL;
	pthread_rwlock_unlock(&lock_of(store)->rwlock);
}

static int
rwlock_replace(struct store *store, struct table *next)
{
	int r = pthread_rwlock_wrlock(&lock_of(store)->rwlock);

	if (r)
		return -r;
	swap(lock_of(store), next);
	pthread_rwlock_unlock(&lock_of(store)->rwlock);
	table_fini(next);
	return 0;
}

const struct store_ops store_rwlock = {
	.name = "rwlock",
	.create = rwlock_create, .destroy = destroy,
	.request_begin = nothing, .request_end = nothing,
	.enter = rwlock_enter, .leave = rwlock_leave,
	.replace = rwlock_replace,
};

/* ---- mutex ---- */

static void
lock(struct store *store)
{
	pthread_mutex_lock(&lock_of(store)->mutex);
}

static void
unlock(struct store *store)
{
	pthread_mutex_unlock(&lock_of(store)->mutex);
}

static int
mutex_create(struct table *first, struct store **ret)
{
	return create(&store_mutex, first, ret);
}

static int
mutex_enter(struct store *store, struct view *ret)
{
	lock(store);
	ret->table = &lock_of(store)->table;
	return 0;
}

static void
mutex_leave(struct store *store, struct view *view)
{
	view->table = NULL;
	unlock(store);
}

static int
mutex_replace(struct store *store, struct table *next)
{
	lock(store);
	swap(lock_of(store), next);
	unlock(store);
	table_fini(next);
	return 0;
}

const struct store_ops store_mutex = {
	.name = "mutex",
	.create = mutex_create, .destroy = destroy,
	.request_begin = nothing, .request_end = nothing,
	.enter = mutex_enter, .leave = mutex_leave, .replace = mutex_replace,
};

/* ---- gil: the mutex around the whole request ---- */

static int
gil_create(struct table *first, struct store **ret)
{
	return create(&store_gil, first, ret);
}

static int
gil_enter(struct store *store, struct view *ret)
{
	ret->table = &lock_of(store)->table;
	return 0;
}

static void
gil_leave(struct store *store, struct view *view)
{
	(void)store;
	view->table = NULL;
}

const struct store_ops store_gil = {
	.name = "gil",
	.create = gil_create, .destroy = destroy,
	.request_begin = lock, .request_end = unlock,
	.enter = gil_enter, .leave = gil_leave, .replace = mutex_replace,
};
