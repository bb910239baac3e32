/* SPDX-License-Identifier: MIT */
/*
 * own/map.h - a hash map that lends its entries, and itself, through handles
 *
 * A map owns objects of one type, each under a key: a byte string, or a 64-bit
 * number in maps made with OWN_MAP_U64. Each entry is held as a cell's value
 * is, under the map's policy: OWN_EXCLUSIVE changes it in place while readers
 * of that entry wait, OWN_VERSIONED changes a draft, and readers never wait.
 * The whole map may be held as well (Gray's intention modes, 1976):
 *
 *   held \ asked      share     claim, put, remove  share_all  claim_all
 *   shared entry      yes       another entry (1)   yes        no
 *   unique entry      another entry (1)  another    no         no
 *   whole, shared     yes       no                  yes        no
 *   whole, unique     no        no                  no         no
 *   (1) or the same one, under OWN_VERSIONED
 *
 * A key has at most one entry at any time. Exclusion is per object: whoever
 * claimed an entry and removed it goes on owning that object, while the key
 * may be put again; whoever waits for a removed entry looks the key up again.
 *
 * Ownership  The map owns its entries. Handles must be released before it is
 *            destroyed; detached handles on versions are exempt.
 * Threads    Any thread; its first use registers it and may give -ENOMEM.
 * Blocking   Only functions that say "May block".
 * Ordering   As own/cell.h: whoever takes a handle sees everything done under
 *            the conflicting handles before it on the same entry, or map.
 * Progress   Look-ups, puts and removals are lock-free in the table; growing
 *            and shrinking stop nobody and are shared, in bounded steps, by
 *            those who change the map. Waiting for a handle blocks by nature.
 * Memory     An entry is one allocation: 32 bytes, payload, key; and 11 to 21
 *            bytes of table. An empty map is below 1 KiB. If a larger table
 *            cannot be had the map goes on with the one it has.
 * Units      Sizes are bytes; deadlines absolute CLOCK_MONOTONIC nanoseconds.
 * Errors     As own/cell.h, and: -ENOENT no such key, -EEXIST key taken,
 *            -EINVAL a key of the wrong kind, an object of another type.
 *            Outputs are written on success only. A conflict with the caller's
 *            own handle is -EDEADLK from all three forms of a verb.
 *
 * Open addressing with fingerprints; growth by freezing cells before they are
 * copied (Cliff Click 2007; Maier, Sanders, Dementiev 2016). doc/design/map.md
 *
 * Each verb is a macro that adds the place where it is written; wrappers pass
 * one of their own to the _at form. Each has a twin for 64-bit keys:
 * own_map_share_u64(map, number, ret) and so on.
 */
#ifndef OWN_MAP_H
#define OWN_MAP_H

#include <own/cell.h>

OWN_BEGIN_DECLS

struct own_map;

struct own_bytes {
	const void *data;
	size_t size;
};

OWN__INLINE struct own_bytes
own_bytes(const void *data, size_t size_bytes)
{
	struct own_bytes key;

	key.data = data;
	key.size = size_bytes;
	return key;
}

/* A 64-bit key is passed in the place of the pointer. */
#define OWN__KEY_U64		SIZE_MAX
#define own__u64(number)						\
	own_bytes((const void *)(uintptr_t)(uint64_t)(number), OWN__KEY_U64)

#define OWN_MAP_U64		1u	/* keys are 64-bit numbers */
#define OWN_MAP_KEY_MAX		((size_t)UINT32_MAX)

/*
 * hash: the same value for the same key, given the seed, which is random and
 * the map's own. NULL takes XXH3 keyed by 192 random bytes of the process,
 * which a peer cannot make to collide without knowing hashes; do not show
 * cursors of own_map_scan() to peers that choose keys. For OWN_MAP_U64, data
 * points to the number and size_bytes is 8.
 */
typedef uint64_t (*own_map_hash_fn)(const void *data, size_t size_bytes,
		uint64_t seed);

/*
 * How a map is made. size is sizeof(struct own_map_options), so that later
 * members are zero for older programs; what is zero takes the default.
 *
 * alloc serves the map, its tables, entries, and drafts of them; an entry then
 * costs 16 bytes more. It is not copied, and must stand until the own_barrier()
 * after the destroy of the map, and of whatever it was swapped with, or after
 * the last detached handle. NULL: own_set_alloc()'s, and malloc for tables.
 */
struct own_map_options {
	size_t size;
	const struct own_type *type;	/* required */
	const char *name;		/* for reports; static storage */
	own_map_hash_fn hash;
	const struct own_alloc *alloc;	/* see below */
	uint64_t entries_expected;	/* initial size */
	uint32_t policy;		/* OWN_EXCLUSIVE, OWN_VERSIONED */
	uint32_t flags;			/* OWN_MAP_U64 */
};

struct own_map_stats {
	uint64_t entries;
	uint64_t cells;			/* of the table, tombstones included */
	uint64_t cells_used;		/* entries and tombstones, about */
	uint64_t table_bytes;
	uint64_t migrations;		/* begun: to grow, shrink, rebuild */
	uint64_t migrations_failed;	/* for want of memory */
	int migrating;
};

/*
 * own_map_create - make an empty map
 *
 * Returns 0, -EINVAL (size, policy, flags, no type), -ENOMEM.
 */
OWN_API OWN_MUST_CHECK int own_map_create(const struct own_map_options *options,
		struct own_map **ret);

/*
 * own_map_destroy - end a map and its entries
 *
 * Every handle must have come back: otherwise the process stops with a report
 * that names a holder and its place. Does nothing to NULL. No other thread may
 * use the map any more.
 */
OWN_API void own_map_destroy(struct own_map *map);

/* Entries: cheap, not exact beside changes; exact under a whole-map handle. */
OWN_API uint64_t own_map_count(const struct own_map *map);
/* Work in proportion to the table. */
OWN_API void own_map_stats(const struct own_map *map,
		struct own_map_stats *ret);

/* The key of an entry, or of an object that was taken out of a map or made by
 * own_map_new(); as long as the handle. data is NULL for any other object. */
OWN_API struct own_bytes own__map_key(const void *object);
OWN_API uint64_t own__map_key_u64(const void *object);
#define own_map_key(handle)						\
	own__map_key(own__whole((handle)->object, (handle)->how))
#define own_map_key_u64(handle)						\
	own__map_key_u64(own__whole((handle)->object, (handle)->how))

/* ---- what the verbs below call ---- */

#define OWN__MAP_PUT		0u	/* inserts or replaces */
#define OWN__MAP_PUT_NEW	1u	/* -EEXIST */
#define OWN__MAP_REPLACE	2u	/* -ENOENT */

OWN_API const void *own__map_share(struct own_map *map, struct own_bytes key,
		uint64_t deadline_ns, const struct own_site *site,
		uint64_t *ret_how, int *r);
/* made: NULL, or where to say that a new entry was made */
OWN_API void *own__map_claim(struct own_map *map, struct own_bytes key,
		uint64_t deadline_ns, const struct own_site *site, int *made,
		uint64_t *ret_how, int *r);
OWN_API void *own__map_orphan_claim(struct own_map *map, struct own_bytes key,
		const struct own_site *site, uint64_t *ret_how, int *r);
OWN_API int own__map_put(struct own_map *map, struct own_bytes key,
		uint64_t deadline_ns, const struct own_site *site, uint32_t how,
		struct own_unique *u);
/* ret: NULL retires, else the object is handed out */
OWN_API int own__map_remove(struct own_map *map, struct own_bytes key,
		uint64_t deadline_ns, const struct own_site *site, void **ret);
OWN_API void own__map_remove_held(void *object, uint64_t how,
		const struct own_site *site);
OWN_API void *own__map_new(struct own_map *map, struct own_bytes key,
		size_t size_bytes, int *r);
OWN_API int own__map_peek(struct own_map *map, struct own_bytes key,
		uint64_t deadline_ns, own_peek_fn fn, void *arg);
OWN_API int own__map_read(struct own_map *map, struct own_bytes key,
		uint64_t deadline_ns, void *buffer, size_t size_bytes);
OWN_API int own__map_share_all(struct own_map *map, uint64_t deadline_ns,
		const struct own_site *site, uint64_t *ret_how);
OWN_API int own__map_claim_all(struct own_map *map, uint64_t deadline_ns,
		const struct own_site *site, uint64_t *ret_how);

OWN_MUST_CHECK OWN__INLINE int own__map_share_any(struct own_map *map,
		struct own_bytes key, uint64_t deadline_ns,
		struct own_shared *ret, const struct own_site *site)
		OWN__TAKES_SHARED(ret);
OWN_MUST_CHECK OWN__INLINE int own__map_claim_any(struct own_map *map,
		struct own_bytes key, uint64_t deadline_ns,
		struct own_unique *ret, int *made, const struct own_site *site)
		OWN__TAKES_UNIQUE(ret);
OWN_MUST_CHECK OWN__INLINE int own__map_put_any(struct own_map *map,
		struct own_bytes key, uint64_t deadline_ns,
		struct own_unique *u, uint32_t how, const struct own_site *site)
		OWN__GIVES_UNIQUE(u);

/* ---- entries ---- */

/*
 * own_map_share(map, key, ret) - take a shared handle on an entry
 * own_map_share_try(map, key, ret)
 * own_map_share_timed(map, key, deadline_ns, ret)
 * @ret: an empty handle
 *
 * OWN_EXCLUSIVE: may block (but for _try) while the entry has a unique handle.
 * OWN_VERSIONED: waits for whole-map unique handles only. Returns 0, -ENOENT,
 * -EDEADLK, -EOWNERDEAD, -EOVERFLOW, -ENOMEM; -EBUSY, -ETIMEDOUT.
 */
#define own_map_share_at(map, key, ret, site)				\
	own__map_share_any(map, key, OWN__FOREVER, ret, site)
#define own_map_share_try_at(map, key, ret, site)			\
	own__map_share_any(map, key, OWN__TRY, ret, site)
#define own_map_share_timed_at(map, key, deadline_ns, ret, site)	\
	own__map_share_any(map, key, OWN__DEADLINE(deadline_ns), ret, site)
#define own_map_share(map, key, ret)					\
	own_map_share_at(map, key, ret, OWN_HERE)
#define own_map_share_try(map, key, ret)				\
	own_map_share_try_at(map, key, ret, OWN_HERE)
#define own_map_share_timed(map, key, deadline_ns, ret)			\
	own_map_share_timed_at(map, key, deadline_ns, ret, OWN_HERE)
#define own_map_share_u64(map, number, ret)				\
	own_map_share(map, own__u64(number), ret)
#define own_map_share_try_u64(map, number, ret)				\
	own_map_share_try(map, own__u64(number), ret)
#define own_map_share_timed_u64(map, number, deadline_ns, ret)		\
	own_map_share_timed(map, own__u64(number), deadline_ns, ret)

/*
 * own_map_claim(map, key, ret) - take the unique handle of an entry
 * own_map_claim_try(map, key, ret)
 * own_map_claim_timed(map, key, deadline_ns, ret)
 *
 * May block (but for _try): OWN_EXCLUSIVE until every other handle of the
 * entry has gone, OWN_VERSIONED until its other writer has gone; @ret is then
 * a draft. Returns 0, -ENOENT, -EDEADLK, -EOWNERDEAD, -ENOMEM, what the type's
 * copy returns; -EBUSY, -ETIMEDOUT.
 */
#define own_map_claim_at(map, key, ret, site)				\
	own__map_claim_any(map, key, OWN__FOREVER, ret, NULL, site)
#define own_map_claim_try_at(map, key, ret, site)			\
	own__map_claim_any(map, key, OWN__TRY, ret, NULL, site)
#define own_map_claim_timed_at(map, key, deadline_ns, ret, site)	\
	own__map_claim_any(map, key, OWN__DEADLINE(deadline_ns), ret,	\
			NULL, site)
#define own_map_claim(map, key, ret)					\
	own_map_claim_at(map, key, ret, OWN_HERE)
#define own_map_claim_try(map, key, ret)				\
	own_map_claim_try_at(map, key, ret, OWN_HERE)
#define own_map_claim_timed(map, key, deadline_ns, ret)			\
	own_map_claim_timed_at(map, key, deadline_ns, ret, OWN_HERE)
#define own_map_claim_u64(map, number, ret)				\
	own_map_claim(map, own__u64(number), ret)
#define own_map_claim_try_u64(map, number, ret)				\
	own_map_claim_try(map, own__u64(number), ret)
#define own_map_claim_timed_u64(map, number, deadline_ns, ret)		\
	own_map_claim_timed(map, own__u64(number), deadline_ns, ret)

/*
 * own_map_claim_or_new(map, key, ret, &made) - claim an entry, or make it
 * own_map_claim_or_new_try(map, key, ret, &made)
 * own_map_claim_or_new_timed(map, key, deadline_ns, ret, &made)
 * @made: 1 if the entry is new: zeroed, and absent for everybody else until
 *        own_unique_commit(); a release without commit, or the end of the
 *        thread, undoes it. Else 0, and @ret is what a claim gives.
 *
 * The atomic upsert. May block as a claim does, and while another thread is
 * making the entry.
 */
#define own_map_claim_or_new_at(map, key, ret, made, site)		\
	own__map_claim_any(map, key, OWN__FOREVER, ret, made, site)
#define own_map_claim_or_new(map, key, ret, made)			\
	own__map_claim_any(map, key, OWN__FOREVER, ret, made, OWN_HERE)
#define own_map_claim_or_new_try(map, key, ret, made)			\
	own__map_claim_any(map, key, OWN__TRY, ret, made, OWN_HERE)
#define own_map_claim_or_new_timed(map, key, deadline_ns, ret, made)	\
	own__map_claim_any(map, key, OWN__DEADLINE(deadline_ns), ret, made, \
			OWN_HERE)
#define own_map_claim_or_new_u64(map, number, ret, made)		\
	own_map_claim_or_new(map, own__u64(number), ret, made)
#define own_map_claim_or_new_try_u64(map, number, ret, made)		\
	own_map_claim_or_new_try(map, own__u64(number), ret, made)
#define own_map_claim_or_new_timed_u64(map, number, deadline_ns, ret, made) \
	own_map_claim_or_new_timed(map, own__u64(number), deadline_ns,	\
			ret, made)

/* OWN_EXCLUSIVE: as own_cell_orphan_claim(), of an entry; or -ENOENT. */
OWN_MUST_CHECK OWN__INLINE int own_map_orphan_claim_at(struct own_map *map,
		struct own_bytes key, struct own_unique *ret,
		const struct own_site *site) OWN__TAKES_UNIQUE(ret);
#define own_map_orphan_claim(map, key, ret)				\
	own_map_orphan_claim_at(map, key, ret, OWN_HERE)
#define own_map_orphan_claim_u64(map, number, ret)			\
	own_map_orphan_claim(map, own__u64(number), ret)

/*
 * own_map_put(map, key, u) - insert, or replace what is there
 * own_map_put_new(map, key, u) - insert, or -EEXIST
 * own_map_replace(map, key, u) - replace, or -ENOENT
 *     each with _try(map, key, u) and _timed(map, key, deadline_ns, u)
 * @u: an owned handle of the map's type; emptied on success, else it stands
 *
 * May block (but for _try): to replace, as a claim does; to insert, for whole-
 * map handles, and while another thread is making the entry. What is replaced
 * is retired. An object that own_map_new() made for this key, in this map's
 * memory, goes in as it is; any other one is moved bitwise into a new entry
 * (-ENOMEM; -EINVAL for types with OWN_PINNED). -ENOMEM also when the table is
 * full and none larger can be had. A borrowed handle stops the process.
 */
#define own_map_put_at(map, key, u, site)				\
	own__map_put_any(map, key, OWN__FOREVER, u, OWN__MAP_PUT, site)
#define own_map_put(map, key, u)					\
	own__map_put_any(map, key, OWN__FOREVER, u, OWN__MAP_PUT, OWN_HERE)
#define own_map_put_try(map, key, u)					\
	own__map_put_any(map, key, OWN__TRY, u, OWN__MAP_PUT, OWN_HERE)
#define own_map_put_timed(map, key, deadline_ns, u)			\
	own__map_put_any(map, key, OWN__DEADLINE(deadline_ns), u,	\
			OWN__MAP_PUT, OWN_HERE)
#define own_map_put_new(map, key, u)					\
	own__map_put_any(map, key, OWN__FOREVER, u, OWN__MAP_PUT_NEW, OWN_HERE)
#define own_map_put_new_try(map, key, u)				\
	own__map_put_any(map, key, OWN__TRY, u, OWN__MAP_PUT_NEW, OWN_HERE)
#define own_map_put_new_timed(map, key, deadline_ns, u)			\
	own__map_put_any(map, key, OWN__DEADLINE(deadline_ns), u,	\
			OWN__MAP_PUT_NEW, OWN_HERE)
#define own_map_replace(map, key, u)					\
	own__map_put_any(map, key, OWN__FOREVER, u, OWN__MAP_REPLACE, OWN_HERE)
#define own_map_replace_try(map, key, u)				\
	own__map_put_any(map, key, OWN__TRY, u, OWN__MAP_REPLACE, OWN_HERE)
#define own_map_replace_timed(map, key, deadline_ns, u)			\
	own__map_put_any(map, key, OWN__DEADLINE(deadline_ns), u,	\
			OWN__MAP_REPLACE, OWN_HERE)
#define own_map_put_u64(map, number, u)					\
	own_map_put(map, own__u64(number), u)
#define own_map_put_try_u64(map, number, u)				\
	own_map_put_try(map, own__u64(number), u)
#define own_map_put_timed_u64(map, number, deadline_ns, u)		\
	own_map_put_timed(map, own__u64(number), deadline_ns, u)
#define own_map_put_new_u64(map, number, u)				\
	own_map_put_new(map, own__u64(number), u)
#define own_map_put_new_try_u64(map, number, u)				\
	own_map_put_new_try(map, own__u64(number), u)
#define own_map_put_new_timed_u64(map, number, deadline_ns, u)		\
	own_map_put_new_timed(map, own__u64(number), deadline_ns, u)
#define own_map_replace_u64(map, number, u)				\
	own_map_replace(map, own__u64(number), u)
#define own_map_replace_try_u64(map, number, u)				\
	own_map_replace_try(map, own__u64(number), u)
#define own_map_replace_timed_u64(map, number, deadline_ns, u)		\
	own_map_replace_timed(map, own__u64(number), deadline_ns, u)

/*
 * own_map_new(map, key, ret) - an owned, zeroed object inside its future entry
 * own_map_new_sized(map, key, size_bytes, ret)   types with OWN_SIZED
 *
 * The map is not changed; own_map_put(map, key, ret) puts it in without a
 * copy. Never waits. Returns 0, -ENOMEM, -EINVAL.
 */
OWN_MUST_CHECK OWN__INLINE int own_map_new_sized(struct own_map *map,
		struct own_bytes key, size_t size_bytes,
		struct own_unique *ret) OWN__TAKES_UNIQUE(ret);
/* takes the type's own size */
#define OWN__SIZE_OF_TYPE	SIZE_MAX
#define own_map_new(map, key, ret)					\
	own_map_new_sized(map, key, OWN__SIZE_OF_TYPE, ret)
#define own_map_new_u64(map, number, ret)				\
	own_map_new(map, own__u64(number), ret)
#define own_map_new_sized_u64(map, number, size_bytes, ret)		\
	own_map_new_sized(map, own__u64(number), size_bytes, ret)

/*
 * own_map_remove(map, key) - unlink an entry and retire it
 * own_map_remove_try(map, key)
 * own_map_remove_timed(map, key, deadline_ns)
 *
 * Waits as a claim does. Returns 0, -ENOENT, and what a claim does.
 */
#define own_map_remove_at(map, key, site)				\
	own__map_remove(map, key, OWN__FOREVER, site, NULL)
#define own_map_remove(map, key)	own_map_remove_at(map, key, OWN_HERE)
#define own_map_remove_try(map, key)					\
	own__map_remove(map, key, OWN__TRY, OWN_HERE, NULL)
#define own_map_remove_timed(map, key, deadline_ns)			\
	own__map_remove(map, key, OWN__DEADLINE(deadline_ns), OWN_HERE, NULL)
#define own_map_remove_u64(map, number)					\
	own_map_remove(map, own__u64(number))
#define own_map_remove_try_u64(map, number)				\
	own_map_remove_try(map, own__u64(number))
#define own_map_remove_timed_u64(map, number, deadline_ns)		\
	own_map_remove_timed(map, own__u64(number), deadline_ns)

/*
 * own_map_remove_held(u) - unlink and retire the entry that @u holds
 * @u: of own_map_claim() or own_map_claim_or_new(); emptied
 *
 * What was seen through @u is still so when the entry goes: nobody else can
 * change it in between. A draft is dropped with it. Never waits or fails; does
 * nothing to an empty handle; any other handle stops the process.
 */
OWN__INLINE void own_map_remove_held_at(struct own_unique *u,
		const struct own_site *site) OWN__ENDS_UNIQUE(u);
#define own_map_remove_held(u)	own_map_remove_held_at(u, OWN_HERE)

/*
 * own_map_take(map, key, ret) - unlink an entry and own its object
 * own_map_take_try(map, key, ret)
 * own_map_take_timed(map, key, deadline_ns, ret)
 *
 * After every holder has left it. The object goes back into a map, or is
 * released; its fini then runs at a later scan (own_reclaim()), since look-ups
 * may still be about to see that it has gone; a cell refuses it (-EINVAL).
 * OWN_VERSIONED: readers never wait, so the
 * entry is unlinked before its last reader has gone and cannot be put back:
 * therefore the caller must hold no handle of anything (-EDEADLK), and _try
 * and _timed give -EINVAL, as own_cell_swap() does.
 */
OWN_MUST_CHECK OWN__INLINE int own__map_take_any(struct own_map *map,
		struct own_bytes key, uint64_t deadline_ns,
		struct own_unique *ret, const struct own_site *site)
		OWN__TAKES_UNIQUE(ret);
#define own_map_take(map, key, ret)					\
	own__map_take_any(map, key, OWN__FOREVER, ret, OWN_HERE)
#define own_map_take_try(map, key, ret)					\
	own__map_take_any(map, key, OWN__TRY, ret, OWN_HERE)
#define own_map_take_timed(map, key, deadline_ns, ret)			\
	own__map_take_any(map, key, OWN__DEADLINE(deadline_ns), ret, OWN_HERE)
#define own_map_take_u64(map, number, ret)				\
	own_map_take(map, own__u64(number), ret)
#define own_map_take_try_u64(map, number, ret)				\
	own_map_take_try(map, own__u64(number), ret)
#define own_map_take_timed_u64(map, number, deadline_ns, ret)		\
	own_map_take_timed(map, own__u64(number), deadline_ns, ret)

/*
 * own_map_peek(map, key, fn, arg) - run @fn on the value, keep nothing
 * own_map_read(map, key, buffer, size_bytes) - copy the value out
 *     each with _try and _timed (deadline_ns after the key)
 *
 * As own_cell_peek() and own_cell_read(); -ENOENT.
 */
#define own_map_peek(map, key, fn, arg)					\
	own__map_peek(map, key, OWN__FOREVER, fn, arg)
#define own_map_peek_try(map, key, fn, arg)				\
	own__map_peek(map, key, OWN__TRY, fn, arg)
#define own_map_peek_timed(map, key, deadline_ns, fn, arg)		\
	own__map_peek(map, key, OWN__DEADLINE(deadline_ns), fn, arg)
#define own_map_peek_u64(map, number, fn, arg)				\
	own_map_peek(map, own__u64(number), fn, arg)
#define own_map_read(map, key, buffer, size_bytes)			\
	own__map_read(map, key, OWN__FOREVER, buffer, size_bytes)
#define own_map_read_try(map, key, buffer, size_bytes)			\
	own__map_read(map, key, OWN__TRY, buffer, size_bytes)
#define own_map_read_timed(map, key, deadline_ns, buffer, size_bytes)	\
	own__map_read(map, key, OWN__DEADLINE(deadline_ns), buffer, size_bytes)
#define own_map_read_u64(map, number, buffer, size_bytes)		\
	own_map_read(map, own__u64(number), buffer, size_bytes)

/* ---- the whole map ---- */

/*
 * own_map_share_all(map, ret) - a stable, read-only view of the whole map
 * own_map_claim_all(map, ret) - the map to oneself
 *     each with _try(map, ret) and _timed(map, deadline_ns, ret)
 *
 * May block (but for _try), under both policies. The handles give no payload:
 * own_shared_get() returns the map. own_shared_upgrade_try() makes share_all's
 * what claim_all gives, if nobody else has anything of the map; while it looks,
 * others meet the map shut, as for a claim_all. own_unique_downgrade() stops
 * the process while the caller holds a unique handle of an entry. At most 65535
 * share_all at once. Verbs on entries work as ever meanwhile, as far as the
 * table above allows; the owner of the whole map may use all.
 * -EDEADLK: share_all while the caller holds a unique handle of an entry, or
 * the map; claim_all while it holds anything of it; or a cycle of threads.
 * -EOVERFLOW, -ENOMEM.
 */
OWN_MUST_CHECK OWN__INLINE int own__map_share_all_any(struct own_map *map,
		uint64_t deadline_ns, struct own_shared *ret,
		const struct own_site *site) OWN__TAKES_SHARED(ret);
OWN_MUST_CHECK OWN__INLINE int own__map_claim_all_any(struct own_map *map,
		uint64_t deadline_ns, struct own_unique *ret,
		const struct own_site *site) OWN__TAKES_UNIQUE(ret);
#define own_map_share_all(map, ret)					\
	own__map_share_all_any(map, OWN__FOREVER, ret, OWN_HERE)
#define own_map_share_all_try(map, ret)					\
	own__map_share_all_any(map, OWN__TRY, ret, OWN_HERE)
#define own_map_share_all_timed(map, deadline_ns, ret)			\
	own__map_share_all_any(map, OWN__DEADLINE(deadline_ns), ret, OWN_HERE)
#define own_map_claim_all(map, ret)					\
	own__map_claim_all_any(map, OWN__FOREVER, ret, OWN_HERE)
#define own_map_claim_all_try(map, ret)					\
	own__map_claim_all_any(map, OWN__TRY, ret, OWN_HERE)
#define own_map_claim_all_timed(map, deadline_ns, ret)			\
	own__map_claim_all_any(map, OWN__DEADLINE(deadline_ns), ret, OWN_HERE)

/*
 * own_map_clear - remove and retire all entries, in one instant
 * @whole: of own_map_claim_all(); it stands
 *
 * The caller must hold no entry of the map (-EDEADLK). Work in proportion to
 * the table. Returns 0 or -ENOMEM, and then nothing has changed.
 */
OWN_API OWN_MUST_CHECK int own_map_clear(const struct own_unique *whole)
		OWN__NEEDS_UNIQUE(whole);

/*
 * own_map_swap - exchange the contents of two maps, in one instant
 *
 * Both handles are of own_map_claim_all() and stand. Returns 0, -EINVAL if the
 * maps differ in type, policy, kind of key or hash, -EDEADLK if the caller
 * holds an entry of either.
 */
OWN_API OWN_MUST_CHECK int own_map_swap(const struct own_unique *one,
		const struct own_unique *other)
		OWN__NEEDS_UNIQUE(one) OWN__NEEDS_UNIQUE(other);

/* ---- iteration ---- */

/*
 * own_map_scan - visit the next entries, in the order of their hashes
 * @cursor:      0 to begin; 0 afterwards when all have been visited
 * @entries_max: roughly how many to visit in this call; at least 1
 * @fn:          called with each entry; the handle is lent, may be cloned, and
 *               must not be released. May use libown, this map included.
 *
 * Legal beside every other operation, growth included. A key that is present
 * from the first call to the last is visited exactly once, one that is present
 * part of the time at most once. Under own_map_share_all() a scan is a
 * snapshot. Takes each entry as own_map_share() does and may block so; the
 * _try form gives -EBUSY instead and leaves the cursor at that entry. The work
 * of a call is bounded by entries_max and the length of a probe chain.
 * Returns 0, or what @fn returned if that is not 0 (the entry counts as
 * visited), or an error of own_map_share(); the cursor says where to go on.
 * Keys whose hashes are equal, by a poor hash of the user's, are visited in one
 * call, also when @fn asks for its end; beyond 16 of them, a refusal in between
 * starts these keys over.
 */
typedef int (*own_map_visit_fn)(const struct own_shared *entry, void *arg);
OWN_API OWN_MUST_CHECK int own__map_scan(struct own_map *map,
		uint64_t *cursor, uint64_t entries_max, own_map_visit_fn fn,
		void *arg, uint64_t deadline_ns, const struct own_site *site);
#define own_map_scan(map, cursor, entries_max, fn, arg)			\
	own__map_scan(map, cursor, entries_max, fn, arg, OWN__FOREVER, OWN_HERE)
#define own_map_scan_try(map, cursor, entries_max, fn, arg)		\
	own__map_scan(map, cursor, entries_max, fn, arg, OWN__TRY, OWN_HERE)
#define own_map_scan_timed(map, cursor, entries_max, deadline_ns, fn, arg) \
	own__map_scan(map, cursor, entries_max, fn, arg,		\
			OWN__DEADLINE(deadline_ns), OWN_HERE)

/* ---- bodies ---- */

OWN__INLINE uint64_t
own__word_bits(const void *object)
{
	return (uint64_t)(uintptr_t)object - 16;
}

#define OWN__HOW_OF_OWNED(object)					\
	(OWN__HOW_OWNED | own__word_bits(object) << 16)

OWN__VERB_BODY OWN__INLINE int
own__map_share_any(struct own_map *map, struct own_bytes key,
		uint64_t deadline_ns, struct own_shared *ret,
		const struct own_site *site)
{
	uint64_t how;
	const void *object;
	int r;

	own__require_empty(ret, "own_map_share", site);
	object = own__map_share(map, key, deadline_ns, site, &how, &r);
	if (!object) {
		if (!r)
			__builtin_unreachable();
		return r;
	}
	own__tsan_shared(object);
	ret->object = object;
	ret->how = how;
	return 0;
}

OWN__VERB_BODY OWN__INLINE int
own__map_claim_any(struct own_map *map, struct own_bytes key,
		uint64_t deadline_ns, struct own_unique *ret, int *made,
		const struct own_site *site)
{
	uint64_t how;
	void *object;
	int r;

	own__require_empty(ret, "own_map_claim", site);
	object = own__map_claim(map, key, deadline_ns, site, made, &how, &r);
	if (!object) {
		if (!r)
			__builtin_unreachable();
		return r;
	}
	own__tsan_unique(object);
	ret->object = object;
	ret->how = how;
	return 0;
}

OWN__VERB_BODY OWN__INLINE int
own_map_orphan_claim_at(struct own_map *map, struct own_bytes key,
		struct own_unique *ret, const struct own_site *site)
{
	uint64_t how;
	void *object;
	int r;

	own__require_empty(ret, "own_map_orphan_claim", site);
	object = own__map_orphan_claim(map, key, site, &how, &r);
	if (!object) {
		if (!r)
			__builtin_unreachable();
		return r;
	}
	own__tsan_unique(object);
	ret->object = object;
	ret->how = how;
	return 0;
}

OWN__VERB_BODY OWN__INLINE int
own__map_put_any(struct own_map *map, struct own_bytes key,
		uint64_t deadline_ns, struct own_unique *u, uint32_t how,
		const struct own_site *site)
{
	own__tsan_unique_end(own__tsan_key(u->object, u->how));
	return own__map_put(map, key, deadline_ns, site, how, u);
}

OWN__VERB_BODY OWN__INLINE int
own_map_new_sized(struct own_map *map, struct own_bytes key,
		size_t size_bytes, struct own_unique *ret)
{
	void *object;
	int r;

	own__require_empty(ret, "own_map_new", NULL);
	object = own__map_new(map, key, size_bytes, &r);
	if (!object) {
		if (!r)
			__builtin_unreachable();
		return r;
	}
	ret->object = object;
	ret->how = OWN__HOW_OF_OWNED(object);
	return 0;
}

OWN__VERB_BODY OWN__INLINE void
own_map_remove_held_at(struct own_unique *u, const struct own_site *site)
{
	void *object = u->object;
	uint64_t how = u->how;

	if (!object)
		return;
	u->object = NULL;
	u->how = 0;
	own__tsan_unique_end(own__tsan_key(object, how));
	own__map_remove_held(object, how, site);
}

OWN__VERB_BODY OWN__INLINE int
own__map_take_any(struct own_map *map, struct own_bytes key,
		uint64_t deadline_ns, struct own_unique *ret,
		const struct own_site *site)
{
	void *object;
	int r;

	own__require_empty(ret, "own_map_take", site);
	r = own__map_remove(map, key, deadline_ns, site, &object);
	if (r)
		return r;
	own__tsan_unique(object);
	ret->object = object;
	ret->how = OWN__HOW_OF_OWNED(object);
	return 0;
}

OWN__VERB_BODY OWN__INLINE int
own__map_share_all_any(struct own_map *map, uint64_t deadline_ns,
		struct own_shared *ret, const struct own_site *site)
{
	uint64_t how;
	int r;

	own__require_empty(ret, "own_map_share_all", site);
	r = own__map_share_all(map, deadline_ns, site, &how);
	if (r)
		return r;
	own__tsan_shared(map);
	ret->object = map;
	ret->how = how;
	return 0;
}

OWN__VERB_BODY OWN__INLINE int
own__map_claim_all_any(struct own_map *map, uint64_t deadline_ns,
		struct own_unique *ret, const struct own_site *site)
{
	uint64_t how;
	int r;

	own__require_empty(ret, "own_map_claim_all", site);
	r = own__map_claim_all(map, deadline_ns, site, &how);
	if (r)
		return r;
	own__tsan_unique(map);
	ret->object = map;
	ret->how = how;
	return 0;
}

OWN_END_DECLS
#endif
