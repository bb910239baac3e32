/* SPDX-License-Identifier: MIT */
/*
 * store.h - how kvd's threads share keys and values
 *
 * Five stores behind one set of functions, so that the same server can be
 * measured with each.
 *
 *   own      an own_map in a cell. A command holds the map by a shared handle
 *            and each entry it uses by one: it meets only who uses the same
 *            key. With the policy versioned, readers wait for nobody, and a
 *            value may outlive its command, its entry and its map.
 *   sharded  64 tables, each with a mutex; a command on one key locks one.
 *   rwlock   one table; commands that read share the lock.
 *   mutex    one table; commands take turns.
 *   gil      the same, from the bytes of a request to its reply, as an
 *            interpreter does it.
 *
 * A command enters the store, uses its view, and leaves: all it sees comes
 * from one data set, whatever is loaded meanwhile. A value whose time has
 * passed is absent to everybody; whoever meets one calls drop_expired(), and a
 * timer looks for the rest.
 *
 * Threads    Any thread. A view is left on the thread that entered it.
 * Errors     0 or a negative errno.
 */
#ifndef KVD_STORE_H
#define KVD_STORE_H

#include <stdbool.h>
#include <own/map.h>
#include <own/own.h>

#include "data.h"
#include "value.h"

struct view {
	uint32_t shard;			/* of the stores with locks */
	struct own_map *map;		/* own: all of these */
	struct own_shared set;
	struct own_shared entry;	/* what get() found */
};

enum access { READ, WRITE };

/* When a change takes place. */
enum when { ALWAYS, IF_ABSENT, IF_PRESENT };

/*
 * Changes @value, whose entry nobody else uses meanwhile. @absent: there was
 * none; then expires_ms must be set as well. Returns 0, or a negative errno if
 * it has changed nothing.
 */
typedef int (*edit_fn)(struct value *value, bool absent, void *arg);
typedef void (*visit_fn)(struct own_bytes key, const struct value *value,
		void *arg);

struct store;

struct store_ops {
	const char *name;

	int (*create)(uint32_t policy, struct store **ret);
	void (*destroy)(struct store *store);

	/* around reading and running a request; no view is entered yet */
	void (*request_begin)(struct store *store);
	void (*request_end)(struct store *store);

	/* @key: the only one that will be used, or NULL */
	int (*enter)(struct store *store, enum access access,
			const struct own_bytes *key, struct view *ret);
	void (*leave)(struct store *store, struct view *view);

	/*
	 * What is there, until the view's next get() or leave(). -ENOENT;
	 * -ESTALE if it has expired and should be dropped.
	 */
	int (*get)(struct store *store, struct view *view,
			struct own_bytes key, const struct value **ret);
	/*
	 * Hands out what get() found, to be released on any thread; NULL: not
	 * in this store. If it fails the bytes have to be copied.
	 */
	int (*keep)(struct store *store, struct view *view,
			struct own_shared *ret);

	/* -EEXIST, -ENOENT as @when says, what @fn returns */
	int (*edit)(struct store *store, struct view *view,
			struct own_bytes key, enum when when, edit_fn fn,
			void *arg);
	/* The same, the value replaced by @bytes. */
	int (*set)(struct store *store, struct view *view,
			struct own_bytes key, enum when when,
			struct own_bytes bytes, uint64_t expires_ms);
	int (*remove)(struct store *store, struct view *view,
			struct own_bytes key);
	/* Nothing happens unless it has expired. */
	void (*drop_expired)(struct store *store, struct view *view,
			struct own_bytes key);

	/* As own_map_scan(); expired ones are visited too. */
	int (*scan)(struct store *store, struct view *view, uint64_t *cursor,
			uint64_t entries_max, visit_fn fn, void *arg);
	uint64_t (*count)(struct store *store, struct view *view);
	/* Everything, in one instant. */
	int (*clear)(struct store *store, struct view *view);

	/* Without a view. All that was there makes way, in one instant. */
	int (*load)(struct store *store, const struct data *data);
};

/* The first member of each store. */
struct store {
	const struct store_ops *ops;
	uint32_t policy;
};

extern const struct store_ops store_own, store_sharded, store_rwlock,
		store_mutex, store_gil;

/* For functions that leave a handle in a view: clang's analysis ends there. */
#define VIEW_VERB	OWN_UNTRACKED("a view keeps its handles")

#endif
