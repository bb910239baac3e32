/* SPDX-License-Identifier: MIT */
/*
 * store.h - how kvd's threads share the current table
 *
 * Four stores behind one set of functions, so that the same server can be
 * measured with each. A request enters the store once, reads the table that
 * its view names as often as it likes, and leaves: what it reads comes from
 * one data set.
 *
 *   own     a versioned cell. A view is a shared handle: it waits for nobody,
 *           nobody waits for it, and it may outlive its request.
 *   rwlock  a read lock from enter to leave; a replacement waits for readers.
 *   mutex   the same with a mutex, so that readers wait for one another.
 *   gil     one lock from a request's arguments to its reply, as an
 *           interpreter holds it; enter and leave are then free.
 *
 * Threads    Any thread. A view is left on the thread that entered it.
 * Blocking   replace waits as said above; own's enter and leave never wait.
 * Errors     0 or a negative errno.
 */
#ifndef KVD_STORE_H
#define KVD_STORE_H

#include <stdbool.h>
#include <own/own.h>

#include "table.h"

struct view {
	const struct table *table;	/* NULL: not entered */
	struct own_shared handle;	/* own only */
};

/* For functions that leave a handle in a view: clang's analysis ends there. */
#define VIEW_VERB	OWN__TS(no_thread_safety_analysis)

struct store;

struct store_ops {
	const char *name;
	bool keeps;	/* a view may be kept until its reply is written */

	/* @first is emptied on success */
	int (*create)(struct table *first, struct store **ret);
	void (*destroy)(struct store *store);

	void (*request_begin)(struct store *store);
	void (*request_end)(struct store *store);
	int (*enter)(struct store *store, struct view *ret);
	void (*leave)(struct store *store, struct view *view);

	/* @next is emptied on success */
	int (*replace)(struct store *store, struct table *next);
};

/* The first member of each store. */
struct store {
	const struct store_ops *ops;
};

extern const struct store_ops store_own, store_rwlock, store_mutex, store_gil;

#endif
