/* SPDX-License-Identifier: MIT */
/*
 * map-internal.h - shared by map.c, map-table.c, map-scan.c
 *
 * map-table.c is the engine: where entries are. It knows cells and chains, and
 * nothing of handles but that its caller has one slot for what is found. map.c
 * is the rule: who may have what. Both: doc/design/map.md
 */
#ifndef OWN_MAP_INTERNAL_H
#define OWN_MAP_INTERNAL_H

#include "handles/internal.h"

#if defined(OWN_MODEL)
#define OWN_I_LINE	2u		/* cells of a probe line */
#define OWN_I_STRIPES	1u
#define OWN_I_STEP	2u		/* cells that one change migrates */
#define OWN_I_LATE	1u		/* late look-ups to one that helps */
#else
#define OWN_I_LINE	8u
#define OWN_I_STRIPES	4u
#define OWN_I_STEP	64u
#define OWN_I_LATE	16u
#endif
#define OWN_I_LINES_MAX	(UINT64_C(1) << 36)

/* Counters of the threads whose record has this number, modulo. */
struct own_i_stripe {
	int64_t puts;			/* shared: add */
	int64_t removes;		/* shared: add */
	uint64_t reads;			/* shared: sampled shares */
	uint64_t claims;		/* shared: claims, by what they cost */
	uint64_t padding[4];		/* a cache line of its own */
};

/* The payload of an object of table_type; cells are outside. */
struct own_i_table {
	size_t bytes;			/* first: OWN_I_OUTSIDE */
	uint64_t *cells;		/* shared: map-table.c */
	uint64_t lines;			/* a power of two */
	unsigned shift;			/* line = hash >> 1 >> shift */
	struct own_i_table *next;	/* shared: set once, a migration */
	struct own_i_record *by;	/* who began the one to here */
	void *memory;
	int64_t puts_base, live_base;	/* when it was made */
	uint64_t cursor __attribute__((aligned(64)));	/* shared: add */
	uint64_t done;			/* shared: add; cells that have moved */
};

struct own_map {
	struct own_i_whole whole;	/* first: the gate */
	struct own_i_table *table;	/* shared: CAS */
	own_map_hash_fn hash;
	uint64_t seed;
	uint32_t policy;
	uint32_t flags;
	uint64_t lines_min __attribute__((aligned(64)));
	const struct own_alloc *alloc;	/* NULL: the process's */
	uint32_t read_mostly;		/* shared: a hint, the map's leaning */
	uint64_t migrations;		/* shared: statistics */
	uint64_t migrations_failed;	/* shared: statistics */
	struct own_i_stripe stripe[OWN_I_STRIPES] __attribute__((aligned(64)));
};

uint64_t own_i_hash(const void *data, size_t size_bytes, uint64_t seed);
int own_i_hash_begin(void);

static inline uint64_t
own_i_map_hash(const struct own_map *map, struct own_bytes key)
{
	uint64_t number = (uint64_t)(uintptr_t)key.data;
	int is_number = key.size == OWN__KEY_U64;
	const void *data = is_number ? &number : key.data;
	size_t size = is_number ? sizeof(number) : key.size;

	if (OWN__LIKELY(!map->hash))
		return own_i_hash(data, size, map->seed);
	return map->hash(data, size, map->seed);
}

static inline uint64_t
own_i_entry_hash(const struct own_map *map, const struct own__header *entry)
{
	return own_i_map_hash(map, own_i_entry_key(entry));
}

static inline struct own_i_stripe *
own_i_stripe(struct own_map *map, const struct own_i_record *self)
{
	return &map->stripe[self->id % OWN_I_STRIPES];
}

/* ---- cells ---- */

/*
 * EMPTY -> entry -> TOMB, never back; an entry may be replaced in its cell. In
 * a table being left, FROZEN is added to EMPTY and to entries, and then what
 * was an entry, or TOMB, becomes MOVED. UNBORN: an entry in the making.
 * Bits 48-63 of an entry's cell: its fingerprint, the hash's lowest 16 bits.
 */
#define OWN_I_EMPTY	UINT64_C(0)
#define OWN_I_FROZEN	UINT64_C(1)
#define OWN_I_TOMB	UINT64_C(2)
#define OWN_I_UNBORN	UINT64_C(4)
#define OWN_I_MOVED	UINT64_C(8)
#define OWN_I_ADDRESS	UINT64_C(0x0000fffffffffff0)

static inline struct own__header *
own_i_cell_entry(uint64_t cell)
{
	return (struct own__header *)(uintptr_t)(cell & OWN_I_ADDRESS);
}

static inline uint64_t
own_i_cell_of(const struct own__header *entry, uint64_t hash)
{
	return (uint64_t)(uintptr_t)entry | hash << 48;
}

static inline uint64_t
own_i_table_cells(const struct own_i_table *t)
{
	return t->lines * OWN_I_LINE;
}

/* The i-th cell of the chain of a hash: its line, beginning anywhere in it,
 * then the lines that follow. */
static inline uint64_t *
own_i_table_at(const struct own_i_table *t, uint64_t hash, uint64_t i)
{
	uint64_t line = ((hash >> 1 >> t->shift) + i / OWN_I_LINE) &
		(t->lines - 1);

	return &t->cells[line * OWN_I_LINE +
		(((hash >> 16) + i) & (OWN_I_LINE - 1))];
}

/* ---- map-table.c ---- */

struct own_i_table *own_i_table_new(const struct own_map *map, uint64_t lines,
		int *r);

/*
 * The entry of a key, or NULL: then the slot is as it was. The slot names the
 * entry, and it was in its cell then: as a HOLD, or with @note as a NOTE.
 * ret_unborn: NULL passes over entries in the making.
 */
struct own__header *own_i_table_find(struct own_map *map,
		struct own_i_record *self, struct own_i_slot s, uint64_t hash,
		struct own_bytes key, uintptr_t note, int *ret_unborn);
/*
 * Puts a cell's value in, unless the key has an entry: 0, or 1 and the slot
 * NOTEs that entry, or -ENOMEM: the table is full.
 */
int own_i_table_insert(struct own_map *map, struct own_i_record *self,
		struct own_i_slot s, uint64_t hash, struct own_bytes key,
		uint64_t cell, struct own__header **ret, int *ret_unborn);
/* Changes the cell of an entry that is in the map and whose WRITER is the
 * caller's; to: 0 for a tombstone. The linearization point. */
void own_i_table_change(struct own_map *map, struct own_i_record *self,
		uint64_t hash, const struct own__header *entry, uint64_t to);
int64_t own_i_map_live(const struct own_map *map);
void own_i_table_removed(struct own_map *map, struct own_i_record *self);
/* ---- the path: M7 in map-table.c ---- */

static inline void
own_i_path_set(struct own_i_record *self, unsigned i, uintptr_t word)
{
	if (OWN__UNLIKELY(own_i_fenced)) {
		/* seq_cst: with the seq_cst loads after it, the fallback */
		(void)own__xchg(&self->path[i], word, OWN__SEQ_CST);
	} else {
		/* S2: release, what was read under the one before is over */
		own__store(&self->path[i], word, OWN__RELEASE);
		own__light_fence();
	}
}

/* The current table, which stays while this thread's path names it. */
static inline struct own_i_table *
own_i_path_enter(struct own_map *map, struct own_i_record *self)
{
	/* relaxed: looked at again below */
	struct own_i_table *seen = own__load(&map->table, OWN__RELAXED), *t;

	do {
		t = seen;
		own_i_path_set(self, 0, (uintptr_t)&own_i_header(t)->word);
		/* M7: acquire; seq_cst: for the fallback */
		seen = own__load(&map->table, OWN__SEQ_CST);
	} while (seen != t);
	return t;
}

/* The one it is being left for, or NULL; *ret_again: begin anew. */
static inline struct own_i_table *
own_i_path_next(struct own_map *map, struct own_i_record *self,
		struct own_i_table *t, int *ret_again)
{
	/* acquire: pairs with migration_begin() */
	struct own_i_table *next = own__load(&t->next, OWN__ACQUIRE);

	*ret_again = 0;
	if (!next)
		return NULL;
	own_i_path_set(self, 1, (uintptr_t)&own_i_header(next)->word);
	/* M7: acquire; seq_cst: for the fallback */
	*ret_again = own__load(&map->table, OWN__SEQ_CST) != t;
	return next;
}

static inline void
own_i_path_exit(struct own_i_record *self)
{
	/* S2: release, pairs with the scan; all of it is over */
	for (unsigned i = 0; i < OWN_I_PATHS; i++)
		own__store(&self->path[i], (uintptr_t)0, OWN__RELEASE);
}

/* ---- map.c, for map-scan.c ---- */

int own_i_map_enter(struct own_map *map, struct own_i_record *self,
		uintptr_t mode, uint64_t deadline_ns,
		const struct own_site *site, struct own_i_slot *ret);

#endif
