/* SPDX-License-Identifier: MIT */
/*
 * map-table.c - where a map's entries are; the argument is doc/design/map.md
 *
 * Invariants (model/spin/map.pml)
 *   M1  A look-up names the entry in its slot, light fence, then reads the
 *       cell again; only if it is the very same value, FROZEN included, may it
 *       look into the entry.
 *   M2  Nobody acts on a key in the next table before the key's whole chain in
 *       this one, up to and including the first empty cell, is MOVED or FROZEN
 *       empty. So while a cell is FROZEN its entry is not removed or replaced.
 *   M3  Cells never become EMPTY again, and an entry goes to the first EMPTY
 *       cell of its chain, which is therefore the one point of decision. A
 *       copier that has walked to it looks at the old cell once more before
 *       its CAS: if that is unchanged and the CAS succeeds, no copy was made
 *       before. Tombstones can be anonymous for that reason.
 *   M4  A look-up that saw MOVED or FROZEN says "absent" only after the next
 *       table said so.
 *   M5  Only the owner of the entry's WRITER changes its cell, but for the
 *       migration. Then DEAD, then the batch.
 *   M6  What an operation has frozen it also moves before it ends.
 *   M7  A table is retired when it is no longer map->table; a walk names it in
 *       its record's path and then sees that it still is (as a hazard pointer).
 *       next is named in the same way: while map->table is this one, next
 *       cannot have been left.
 *   M8  The next table has room for all that is yet to be copied: an insert is
 *       counted in puts before its CAS (what fails is counted in removes), and
 *       then looks: into this table only while there is no next one, into the
 *       next only below seven eighths. Late inserts into this table are
 *       counted by then; halving leaves room for one of each thread.
 *
 * Pairs
 *   T1  a cell's CAS (acq_rel) -> its loads (acquire): the entry's contents;
 *       and what was done before the cell was MOVED, M2, M3
 *   M8  reserve (add, sc; load of next, sc) <-> migration_begin (loads of the
 *       counters, CAS of next, sc): a late insert is in what that counted, or
 *       is seen by every insert into the next table
 *   M1, M7  path, slot (store, light fence, load of the cell, of map->table)
 *       <-> own_i_retire, scan (heavy fence, loads): S1 in slots.c
 */
#include <stdlib.h>
#include <string.h>

#include "lib/map-internal.h"

#define FULL_NUM	3u		/* used / cells at which it migrates */
#define FULL_DEN	4u
#define SPARSE		8u		/* live * SPARSE < cells: it shrinks */
#define SAMPLE		16u		/* changes between two looks at that */
#define EXACT_CELLS	1024u		/* below, every change looks */
#define SEEN_ALL	(OWN_I_MOVED | OWN_I_FROZEN)

/* ---- tables ---- */

static void
table_fini(void *payload, size_t size_bytes)
{
	struct own_i_table *t = payload;
	const struct own_alloc *alloc = own_i_object_alloc(own_i_header(t));

	(void)size_bytes;
	if (alloc)
		alloc->free(t->memory, t->bytes, alloc->context);
	else
#ifdef OWN_MODEL
		own_m_free(t->memory);
#else
		free(t->memory);
#endif
}

static const struct own_type table_type = {
	.name = "map table", .size = sizeof(struct own_i_table), .align = 64,
	.fini = table_fini, .flags = OWN_I_OUTSIDE,
};

/* Zeroed; by calloc, which takes large blocks as zero pages from the system. */
static void *
cells_new(const struct own_map *map, size_t bytes)
{
	void *p;

	if (map->alloc)
		p = map->alloc->alloc(bytes, 64, map->alloc->context);
	else
#ifdef OWN_MODEL
		p = own_m_alloc(bytes, 64);
#else
		return calloc(1, bytes);
#endif
	if (p)
		memset(p, 0, bytes);
	return p;
}

struct own_i_table *
own_i_table_new(const struct own_map *map, uint64_t lines, int *r)
{
	struct own_i_table *t;
	unsigned bits = 0;

	*r = -ENOMEM;
	if (lines > OWN_I_LINES_MAX)
		return NULL;
	t = own__new_from(map->alloc, &table_type, sizeof(*t), r);
	if (!t)
		return NULL;
	while ((UINT64_C(1) << bits) < lines)
		bits++;
	t->lines = lines;
	t->shift = 63 - bits;
	t->bytes = lines * OWN_I_LINE * sizeof(uint64_t) + 63;
	t->memory = cells_new(map, t->bytes);
	if (!t->memory) {
		own_i_object_discard(t);
		*r = -ENOMEM;
		return NULL;
	}
	t->cells = (uint64_t *)(((uintptr_t)t->memory + 63) & ~(uintptr_t)63);
	*r = 0;
	return t;
}

/* ---- migration ---- */

int64_t
own_i_map_live(const struct own_map *map)
{
	int64_t n = 0;

	for (unsigned i = 0; i < OWN_I_STRIPES; i++)
		/* relaxed: exact while nothing changes, else it need not be */
		n += own__load(&map->stripe[i].puts, OWN__RELAXED) -
			own__load(&map->stripe[i].removes, OWN__RELAXED);
	return n;
}

static int64_t
puts_of(const struct own_map *map)
{
	int64_t n = 0;

	for (unsigned i = 0; i < OWN_I_STRIPES; i++)
		/* M8: seq_cst, after the caller's own add */
		n += own__load(&map->stripe[i].puts, OWN__SEQ_CST);
	return n;
}

/* Cells that are no longer empty: entries and tombstones, about. */
static int64_t
used_of(const struct own_map *map, const struct own_i_table *t)
{
	return t->live_base + puts_of(map) - t->puts_base;
}

/*
 * A table of twice, half or the same size, by what lives. The old one goes on
 * if there is no memory.
 */
static int
migration_begin(struct own_map *map, struct own_i_record *self,
		struct own_i_table *t)
{
	/* M8: in this order, what comes in between counts twice, not never */
	int64_t puts = puts_of(map), live = own_i_map_live(map);
	uint64_t cells = own_i_table_cells(t), lines = t->lines;
	struct own_i_table *next, *none = NULL;
	int r;

	/* acquire: another thread has begun */
	if (own__load(&t->next, OWN__ACQUIRE))
		return 0;
	if (live < 0)
		live = 0;
	if ((uint64_t)live * 2 > cells)
		lines *= 2;
	else if (((uint64_t)live + own_i_records_n()) * 4 <= cells &&
			lines / 2 >= map->lines_min)
		lines /= 2;
	next = own_i_table_new(map, lines, &r);
	if (!next) {
		/* relaxed: statistics */
		(void)own__add(&map->migrations_failed, 1, OWN__RELAXED);
		return r;
	}
	next->live_base = live;
	next->puts_base = puts;
	next->by = self;
	/* T1: release, pairs with own_i_path_next(); M8: seq_cst */
	if (!own__cas(&t->next, &none, next, OWN__SEQ_CST)) {
		own_i_object_free(next);
		return 0;
	}
	/* relaxed: statistics */
	(void)own__add(&map->migrations, 1, OWN__RELAXED);
	return 0;
}

/* M3: an entry that is frozen in *from goes to the next table, once. */
static void
copy(struct own_map *map, struct own_i_record *self, struct own_i_table *next,
		uint64_t *from, uint64_t x)
{
	struct own__header *entry = own_i_cell_entry(x);
	uint64_t hash, i = 0, y, *to;
	uint64_t value = x & ~OWN_I_FROZEN;

	own_i_path_set(self, 2, (uintptr_t)&entry->word);
	/* M1: seq_cst, for the fallback */
	if (own__load(from, OWN__SEQ_CST) != x)
		return;
	hash = own_i_entry_hash(map, entry);
	while (i < own_i_table_cells(next)) {
		to = own_i_table_at(next, hash, i);
		/* T1: acquire */
		y = own__load(to, OWN__ACQUIRE);
		if (own_i_cell_entry(y) == entry)
			break;
		/* an empty cell of a table that is itself being left: then
		 * the one before it has been left for good */
		if (y == OWN_I_FROZEN)
			break;
		if (y != OWN_I_EMPTY) {
			i++;
			continue;
		}
		/* M3: acquire, after the walk */
		if (own__load(from, OWN__ACQUIRE) != x &&
				!own__bug(OWN_BUG_COPY_NO_RECHECK))
			return;
		/* T1; whoever gets here came past MOVED or map->table, which
		 * release too */
		if (own__cas(to, &y, value, OWN__ACQ_REL))
			break;
	}
	/* M8: then the old cell has MOVED; acquire: after the walk */
	own_require(i < own_i_table_cells(next) ||
			own__load(from, OWN__ACQUIRE) != x,
			"a map's next table is full", NULL);
	/* T1: release, M2: the copy stands before the cell says MOVED */
	(void)own__cas(from, &x, OWN_I_MOVED, OWN__ACQ_REL);
}

/* One cell to its end, M6; returns whether it was, or is now, an empty one. */
static int
cell_migrate(struct own_map *map, struct own_i_record *self,
		struct own_i_table *next, uint64_t *cell)
{
	/* T1: acquire, in the CAS as well */
	uint64_t x = own__load(cell, OWN__ACQUIRE);

	for (;;) {
		if (x == OWN_I_FROZEN)
			return 1;
		if (x == OWN_I_MOVED)
			return 0;
		if (x == OWN_I_EMPTY) {
			if (own__cas(cell, &x, OWN_I_FROZEN, OWN__ACQ_REL))
				return 1;
		} else if (x == OWN_I_TOMB) {
			if (own__cas(cell, &x, OWN_I_MOVED, OWN__ACQ_REL))
				return 0;
		} else if (!(x & OWN_I_FROZEN) &&
				!own__bug(OWN_BUG_NO_FREEZE)) {
			if (own__cas(cell, &x, x | OWN_I_FROZEN, OWN__ACQ_REL))
				x |= OWN_I_FROZEN;
		} else {
			copy(map, self, next, cell, x);
			x = own__load(cell, OWN__ACQUIRE);
		}
	}
}

/* M2 */
static void
chain_migrate(struct own_map *map, struct own_i_record *self,
		struct own_i_table *t, struct own_i_table *next, uint64_t hash)
{
	for (uint64_t i = 0; i < own_i_table_cells(t); i++)
		if (cell_migrate(map, self, next, own_i_table_at(t, hash, i)))
			break;
}

/*
 * The whole table has moved: whoever does this retires it. A look-up must not
 * run a fini, and its thread may never retire again: it goes to the batch of
 * who began.
 */
static void
swing(struct own_map *map, struct own_i_record *self, struct own_i_table *t,
		struct own_i_table *next, int late)
{
	struct own_i_table *seen = t;

	/* seq_cst: with the loads of the scan, the fallback (M7) */
	if (!own__cas(&map->table, &seen, next, OWN__SEQ_CST))
		return;
	if (late)
		own_i_retire_to(self, next->by, t);
	else
		own_i_retire(self, t);
}

/* A bounded share of the migration: each change, and some late look-ups. */
static void
help(struct own_map *map, struct own_i_record *self, struct own_i_table *t,
		struct own_i_table *next, int late)
{
	uint64_t cells = own_i_table_cells(t), at, end, n;

	/* relaxed: a hint */
	if (own__load(&t->cursor, OWN__RELAXED) >= cells)
		return;
	/* relaxed: a ticket */
	at = own__add(&t->cursor, OWN_I_STEP, OWN__RELAXED);
	if (at >= cells)
		return;
	end = at + OWN_I_STEP < cells ? at + OWN_I_STEP : cells;
	for (uint64_t i = at; i < end; i++)
		(void)cell_migrate(map, self, next, &t->cells[i]);
	n = end - at;
	/* T1: the last one sees what all the others moved */
	if (own__add(&t->done, n, OWN__ACQ_REL) + n == cells ||
			own__bug(OWN_BUG_SWING_EARLY))
		swing(map, self, t, next, late);
}

/* All of it, for who cannot go on otherwise. */
static void
help_all(struct own_map *map, struct own_i_record *self, struct own_i_table *t,
		struct own_i_table *next)
{
	for (uint64_t i = 0; i < own_i_table_cells(t); i++)
		(void)cell_migrate(map, self, next, &t->cells[i]);
	swing(map, self, t, next, 0);
}

/*
 * Before a change: the table to act in, after the key's chain has moved. Never
 * NULL; *ret_old is the one being left, or NULL.
 */
static struct own_i_table *
table_to_change(struct own_map *map, struct own_i_record *self, uint64_t hash,
		int bug, struct own_i_table **ret_old)
{
	struct own_i_table *t, *next;
	int again;

	do {
		t = own_i_path_enter(map, self);
		next = own_i_path_next(map, self, t, &again);
	} while (again);
	*ret_old = NULL;
	if (!next)
		return t;
	if (!bug)
		chain_migrate(map, self, t, next, hash);
	*ret_old = t;
	return next;
}

/* ---- look-up ---- */

static inline int
key_equal(const struct own__header *entry, struct own_bytes key)
{
	uint64_t flags = own_i_object_flags(entry);
	const struct own_i_prefix *prefix = own_i_prefix(entry);

	if (flags & OWN_I_NUMBER)
		return prefix->key == (uint64_t)(uintptr_t)key.data;
	return prefix->key == key.size && (key.size == 0 ||
			memcmp(own_i_entry_key(entry).data, key.data,
				key.size) == 0);
}

/* What a walk along a chain came to. */
enum walk {
	WALK_ABSENT,		/* an EMPTY cell */
	WALK_FOUND,
	WALK_NEXT,		/* nothing here; the table is being left */
};

struct want {
	uint64_t hash;
	struct own_bytes key;
	uintptr_t note;		/* OWN__NOTE, or 0 to HOLD */
	int unborn;		/* entries in the making as well */
	uint64_t *cell;		/* found, or EMPTY */
	uint64_t value;
};

static inline __attribute__((always_inline)) enum walk
walk(const struct own_i_table *t, struct own_i_slot s, struct want *w)
{
	uint64_t x, i, cells = own_i_table_cells(t);
	int left = 0;

	for (i = 0; i < cells; i++) {
		w->cell = own_i_table_at(t, w->hash, i);
again:
		/* T1: acquire */
		x = own__load(w->cell, OWN__ACQUIRE);
		if (x == OWN_I_EMPTY)
			return left && !own__bug(OWN_BUG_ABSENT_EARLY)
				? WALK_NEXT : WALK_ABSENT;
		if (x == OWN_I_FROZEN)
			return WALK_NEXT;
		left |= (x & SEEN_ALL) != 0;
		if ((x ^ w->hash << 48) >> 48 || !(x & OWN_I_ADDRESS))
			continue;
		if ((x & OWN_I_UNBORN) && !w->unborn &&
				!own__bug(OWN_BUG_UNBORN_SEEN))
			continue;
		/* M1; set, since it may have HELD another entry */
		own_i_slot_set(s, (uintptr_t)own_i_cell_entry(x) | w->note);
		/* M1: acquire; seq_cst: for the fallback */
		if (own__load(w->cell, OWN__SEQ_CST) != x &&
				!own__bug(OWN_BUG_MAP_NO_RECHECK))
			goto again;
		if (!key_equal(own_i_cell_entry(x), w->key))
			continue;
		w->value = x;
		return WALK_FOUND;
	}
	return left ? WALK_NEXT : WALK_ABSENT;
}

/* The table is being left: M4, in both tables until one answers. */
static OWN__COLD enum walk
walk_both(struct own_map *map, struct own_i_record *self,
		struct own_i_table *t, struct own_i_slot s, struct want *w)
{
	enum walk r = WALK_NEXT;
	struct own_i_table *next;
	int again;

	for (;;) {
		next = own_i_path_next(map, self, t, &again);
		if (!again && next)
			r = walk(next, s, w);
		if (r != WALK_NEXT) {
			/* changes may have ended half way, and then each
			 * look-up would go on paying for two */
			if (self->late++ % OWN_I_LATE == 0)
				help(map, self, t, next, 1);
			return r;
		}
		/* what the next table is left for in turn: anew */
		t = own_i_path_enter(map, self);
		r = walk(t, s, w);
		if (r != WALK_NEXT)
			return r;
	}
}

struct own__header *
own_i_table_find(struct own_map *map, struct own_i_record *self,
		struct own_i_slot s, uint64_t hash, struct own_bytes key,
		uintptr_t note, int *ret_unborn)
{
	struct want w = {
		.hash = hash, .key = key, .note = note,
		.unborn = ret_unborn != NULL,
	};
	struct own_i_table *t = own_i_path_enter(map, self);
	enum walk r = walk(t, s, &w);

	if (OWN__UNLIKELY(r == WALK_NEXT))
		r = walk_both(map, self, t, s, &w);
	own_i_path_exit(self);
	if (r != WALK_FOUND) {
		own_i_slot_set(s, (uintptr_t)&map->whole.gate | OWN__NOTE);
		return NULL;
	}
	if (ret_unborn)
		*ret_unborn = (w.value & OWN_I_UNBORN) != 0;
	return own_i_cell_entry(w.value);
}

/* ---- changes ---- */

static void
looked_full(struct own_map *map, struct own_i_record *self,
		struct own_i_table *t, struct own_i_table *old, int64_t nth)
{
	uint64_t cells = own_i_table_cells(t);
	int64_t used;

	if (nth % SAMPLE && cells > EXACT_CELLS)
		return;
	used = used_of(map, t);
	if (used < 0)
		return;
	if (old) {
		/* the ones who took a share of it are late: not too late */
		if ((uint64_t)used * 8 > cells * 7)
			help_all(map, self, old, t);
	} else if ((uint64_t)used * FULL_DEN >= cells * FULL_NUM) {
		(void)migration_begin(map, self, t);
	}
}

/*
 * No EMPTY cell is left in the chain: the migration under way is finished, or
 * one is begun, and if that cannot be, for want of memory, -ENOMEM.
 */
static int
chain_full(struct own_map *map, struct own_i_record *self,
		struct own_i_table *t, struct own_i_table *old, uint64_t hash)
{
	for (uint64_t i = 0; i < own_i_table_cells(t); i++) {
		/* acquire: as the walk */
		uint64_t x = own__load(own_i_table_at(t, hash, i),
				OWN__ACQUIRE);

		if (x == OWN_I_EMPTY || (x & SEEN_ALL))
			return 0;
	}
	if (old) {
		help_all(map, self, old, t);
		return 0;
	}
	return migration_begin(map, self, t);
}

static void
unreserve(struct own_map *map, struct own_i_record *self)
{
	/* relaxed: counts */
	(void)own__add(&own_i_stripe(map, self)->removes, 1, OWN__RELAXED);
}

/*
 * M8: counts an insert into t before its CAS, and looks whether it may be.
 * If not, it is counted as removed, and the caller looks at the tables again.
 */
static int
reserve(struct own_map *map, struct own_i_record *self, struct own_i_table *t,
		struct own_i_table *old, int64_t *ret_nth)
{
	struct own_i_stripe *stripe = own_i_stripe(map, self);
	int64_t used;

	/* M8: seq_cst, before the loads */
	*ret_nth = own__add(&stripe->puts, 1, OWN__SEQ_CST);
	if (own__bug(OWN_BUG_NO_ROOM))
		return 1;
	if (!old && !own__load(&t->next, OWN__SEQ_CST))
		return 1;
	used = old ? used_of(map, t) : 0;
	if (old && used * 8 <= (int64_t)own_i_table_cells(t) * 7)
		return 1;
	unreserve(map, self);
	if (old)
		help_all(map, self, old, t);
	return 0;
}

int
own_i_table_insert(struct own_map *map, struct own_i_record *self,
		struct own_i_slot s, uint64_t hash, struct own_bytes key,
		uint64_t cell, struct own__header **ret, int *ret_unborn)
{
	struct want w = {
		.hash = hash, .key = key, .note = OWN__NOTE, .unborn = 1,
	};
	struct own_i_table *t, *old;
	uint64_t x;
	int64_t nth;
	int r = 0;

	for (;;) {
		t = table_to_change(map, self, hash,
				own__bug(OWN_BUG_PUT_NO_MIGRATE), &old);
		switch (walk(t, s, &w)) {
		case WALK_FOUND:
			*ret = own_i_cell_entry(w.value);
			*ret_unborn = (w.value & OWN_I_UNBORN) != 0;
			own_i_path_exit(self);
			return 1;
		case WALK_ABSENT:
			break;
		default:
			continue;
		}
		x = OWN_I_EMPTY;
		if (own__bug(OWN_BUG_TOMB_REUSE))
			for (uint64_t i = 0; i < own_i_table_cells(t); i++)
				if (own__load(own_i_table_at(t, hash, i),
						OWN__ACQUIRE) == OWN_I_TOMB) {
					w.cell = own_i_table_at(t, hash, i);
					x = OWN_I_TOMB;
					break;
				}
		/* the cell is EMPTY, or the chain is as long as the table; T1:
		 * the linearization point */
		if (own__load(w.cell, OWN__ACQUIRE) == x) {
			if (!reserve(map, self, t, old, &nth))
				continue;
			if (own__bug(OWN_BUG_CELL_NO_RELEASE) &&
					own__cas(w.cell, &x, cell,
						OWN__RELAXED))
				break;
			if (own__cas(w.cell, &x, cell, OWN__ACQ_REL))
				break;
			unreserve(map, self);
		}
		if (own__load(w.cell, OWN__ACQUIRE) == OWN_I_EMPTY)
			continue;
		r = chain_full(map, self, t, old, hash);
		if (r) {
			own_i_path_exit(self);
			return r;
		}
	}
	if (old)
		help(map, self, old, t, 0);
	looked_full(map, self, t, old, nth);
	own_i_path_exit(self);
	return 0;
}

void
own_i_table_change(struct own_map *map, struct own_i_record *self,
		uint64_t hash, const struct own__header *entry, uint64_t to)
{
	struct own_i_table *t, *old;
	uint64_t x, *cell;

again:
	t = table_to_change(map, self, hash,
			own__bug(OWN_BUG_REMOVE_NO_MIGRATE), &old);
	for (uint64_t i = 0; i < own_i_table_cells(t); i++) {
		cell = own_i_table_at(t, hash, i);
		/* T1: acquire */
		x = own__load(cell, OWN__ACQUIRE);
		if (x == OWN_I_EMPTY)
			break;
		if (own_i_cell_entry(x) != entry) {
			if (x & SEEN_ALL)
				goto again;
			continue;
		}
		/* T1: by M5 only a migration can be in the way */
		if ((x & OWN_I_FROZEN) || !own__cas(cell, &x,
				to ? to : OWN_I_TOMB, OWN__ACQ_REL))
			goto again;
		if (old)
			help(map, self, old, t, 0);
		own_i_path_exit(self);
		return;
	}
	/* acquire: the walk was along a table that has been left since */
	if (own__load(&map->table, OWN__ACQUIRE) != (old ? old : t) ||
			own__load(&t->next, OWN__ACQUIRE) ||
			own__bug(OWN_BUG_REMOVE_NO_MIGRATE)) {
		own_i_spin();
		goto again;
	}
	own__fault("an entry is not in its map", NULL);
}

void
own_i_table_removed(struct own_map *map, struct own_i_record *self)
{
	/* relaxed: counts */
	int64_t nth = own__add(&own_i_stripe(map, self)->removes, 1,
			OWN__RELAXED);
	struct own_i_table *t = own_i_path_enter(map, self);
	uint64_t cells = own_i_table_cells(t);
	int64_t live;

	if ((nth % SAMPLE == 0 || cells <= EXACT_CELLS) &&
			t->lines > map->lines_min) {
		live = own_i_map_live(map);
		if (live >= 0 && (uint64_t)live * SPARSE < cells)
			(void)migration_begin(map, self, t);
	}
	own_i_path_exit(self);
}
