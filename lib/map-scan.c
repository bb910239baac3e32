/* SPDX-License-Identifier: MIT */
/*
 * map-scan.c - a map's life and its iteration; doc/design/map.md
 *
 * Hash order is line order in every table of a map, whatever its size: a line
 * is a stretch of hashes, and doubling the table halves it. So a cursor is a
 * hash, all below it has been visited, and growth does not matter. A step looks
 * for the hashes of one line of the current table, in it and in the one it is
 * being left for: what has left the one is in the other (M2).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <string.h>
#ifndef OWN_MODEL
#include <sys/random.h>
#endif

#include "lib/map-internal.h"

#define HASHES_MAX	64u	/* of a line, looked for at once */
#define GROUP_MAX	16u	/* entries of one hash, held at once */

/* ---- life ---- */

/* With a header like all that a handle names, so that own_size() and
 * own_map_key() of a whole-map handle find one. */
static const struct own_type map_type = {
	.name = "map", .size = sizeof(struct own_map), .align = 64,
};

static uint64_t
seed_new(const struct own_map *map)
{
	uint64_t seed = (uint64_t)(uintptr_t)map;

#ifndef OWN_MODEL
	/* the secret is drawn already; an address is better than a failure */
	(void)!getrandom(&seed, sizeof(seed), GRND_NONBLOCK);
#endif
	return seed;
}

/* Lines of a table for so many entries: no migration before they are in. */
static uint64_t
lines_for(uint64_t entries)
{
	uint64_t lines = 1;

	while (lines < OWN_I_LINES_MAX &&
			lines * OWN_I_LINE / 4 * 3 <= entries)
		lines *= 2;
	return entries ? lines : 1;
}

int
own_map_create(const struct own_map_options *options, struct own_map **ret)
{
	struct own_map_options o = { 0 };
	struct own_map *map;
	int r;

	if (!options || options->size < offsetof(struct own_map_options, name))
		return -EINVAL;
	memcpy(&o, options, options->size < sizeof(o) ? options->size
			: sizeof(o));
	if (!o.type || o.policy > OWN_VERSIONED || (o.flags & ~OWN_MAP_U64))
		return -EINVAL;
	r = o.hash ? 0 : own_i_hash_begin();
	if (r)
		return r;
	map = own__new_from(o.alloc, &map_type, sizeof(*map), &r);
	if (!map)
		return r;
	map->whole.type = o.type;
	map->whole.name = o.name;
	map->hash = o.hash;
	map->policy = o.policy;
	map->flags = o.flags;
	map->alloc = o.alloc;
	map->seed = seed_new(map);
	map->lines_min = lines_for(o.entries_expected);
	map->table = own_i_table_new(map, map->lines_min, &r);
	if (!map->table) {
		own_i_object_discard(map);
		return r;
	}
	map->whole.state = OWN__CELL_LIVE;
	*ret = map;
	return 0;
}

/* Any slot that names the map stops the process, with its place. */
static void
require_unheld(struct own_map *map)
{
	static const char text[] =
		"own_map_destroy: a handle of the map is out";

	own_i_heavy_fence();
	OWN_I_EACH_RECORD(record)
		OWN_I_EACH_BLOCK(b, record)
			for (unsigned i = 0; i < OWN__SLOTS; i++) {
				/* S1, S2: seq_cst, for the fallback */
				uintptr_t object = own__load(&b->s.object[i],
						OWN__SEQ_CST);
				/* acquire: pairs with own_i_slot_take() */
				uintptr_t c = own__load(&b->s.slot[i].container,
						OWN__ACQUIRE);

				if (object && own_i_has_mode(c,
						&map->whole.gate, OWN_I_MAP))
					own_i_fault_held(text, record,
							&b->s.slot[i],
							object & ~OWN__NOTE);
			}
	/* W1: acquire, pairs with own_i_gate_leave() */
	own_require((own__load(&map->whole.gate, OWN__ACQUIRE) &
			OWN_I_GATE_HELD) == 0, text, NULL);
}

/*
 * Ends every entry of a table that nobody else uses. By M6 no entry is frozen,
 * so each is in one cell of the two tables.
 */
static void
entries_end(struct own_i_record *self, struct own_i_table *t)
{
	for (uint64_t i = 0; i < own_i_table_cells(t); i++) {
		/* T1: acquire */
		struct own__header *entry = own_i_cell_entry(own__load(
				&t->cells[i], OWN__ACQUIRE));

		if (!entry)
			continue;
		if (self)
			own_i_retire(self, own_i_payload(entry));
		else
			own_i_object_free(own_i_payload(entry));
	}
}

/* A table and the one it is being left for, with all that is in them. */
static void
tables_end(struct own_i_record *self, struct own_i_table *t)
{
	while (t) {
		/* acquire: pairs with migration_begin() */
		struct own_i_table *next = own__load(&t->next, OWN__ACQUIRE);

		entries_end(self, t);
		if (self)
			own_i_retire(self, t);
		else
			own_i_object_free(t);
		t = next;
	}
}

void
own_map_destroy(struct own_map *map)
{
	struct own_i_record *self;

	if (!map)
		return;
	own_require(map->whole.state == OWN__CELL_LIVE,
			"own_map_destroy: not a map, or destroyed", NULL);
	self = own_i_self();
	require_unheld(map);
	own_i_when_none(map, "own_map_destroy: an own_when is armed at it");
	map->whole.state = 0;
	/* a detached handle may keep a version; else there is nobody left, and
	 * without a record, by want of memory, there cannot be */
	tables_end(map->policy == OWN_VERSIONED ? self : NULL,
			/* relaxed: nobody else uses the map any more */
			own__load(&map->table, OWN__RELAXED));
	own_i_object_discard(map);
}

uint64_t
own_map_count(const struct own_map *map)
{
	int64_t n = own_i_map_live(map);

	return n > 0 ? (uint64_t)n : 0;
}

void
own_map_stats(const struct own_map *map, struct own_map_stats *ret)
{
	struct own_i_record *self = own_i_self();
	struct own_map *m = (struct own_map *)(uintptr_t)map;
	struct own_i_table *t;

	memset(ret, 0, sizeof(*ret));
	ret->entries = own_map_count(map);
	/* relaxed: statistics */
	ret->migrations = own__load(&map->migrations, OWN__RELAXED);
	ret->migrations_failed = own__load(&map->migrations_failed,
			OWN__RELAXED);
	if (!self)
		return;
	t = own_i_path_enter(m, self);
	ret->cells = own_i_table_cells(t);
	ret->table_bytes = t->bytes;
	for (uint64_t i = 0; i < ret->cells; i++)
		/* relaxed: statistics */
		if (own__load(&t->cells[i], OWN__RELAXED) & ~OWN_I_FROZEN)
			ret->cells_used++;
	ret->migrating = own__load(&t->next, OWN__RELAXED) != NULL;
	own_i_path_exit(self);
}

/* ---- the whole map ---- */

static int
whole(struct own_map *map, uintptr_t mode, uint64_t deadline_ns,
		const struct own_site *site, uint64_t *ret_how)
{
	struct own_i_record *self = own_i_self();
	struct own_i_slot s;
	int r;

	own_require(map && map->whole.state == OWN__CELL_LIVE,
			"map is not created, or destroyed", site);
	/* the mode comes when the gate is set: who only asks bars nobody */
	if (!self || own_i_slot_take(self, (void *)((uintptr_t)map |
			OWN_I_MAP), site, &s))
		return -ENOMEM;
	own_i_slot_kind(s, OWN__HOW_TRYING);
	own_i_slot_store(s, (uintptr_t)&map->whole.gate | OWN__NOTE);
	r = mode == OWN_I_S ? own_i_gate_share_all(self, s, deadline_ns)
		: own_i_gate_claim_all(self, s, deadline_ns);
	if (!r)
		*ret_how = own_i_slot_how(s);
	return r;
}

int
own__map_share_all(struct own_map *map, uint64_t deadline_ns,
		const struct own_site *site, uint64_t *ret_how)
{
	return whole(map, OWN_I_S, deadline_ns, site, ret_how);
}

int
own__map_claim_all(struct own_map *map, uint64_t deadline_ns,
		const struct own_site *site, uint64_t *ret_how)
{
	return whole(map, OWN_I_X, deadline_ns, site, ret_how);
}

/* The map that a unique handle has whole; -EDEADLK: an entry is out too. */
static int
map_of_whole(const struct own_unique *u, const char *verb,
		struct own_map **ret)
{
	struct own_i_record *self = own_i_self();
	struct own_i_slot s;

	own_require(u->object && self, "empty handle used", NULL);
	s = own_i_slot_of(self, u->how, verb);
	own_require((u->how & OWN__HOW_KIND) == OWN__HOW_WHOLE &&
			(own_i_slot_container(s) & OWN_I_X),
			"not the unique handle of a whole map", NULL);
	*ret = u->object;
	return own_i_slot_find_mode(self, &(*ret)->whole.gate, OWN_I_IS |
			OWN_I_IX, s.meta, NULL) ? -EDEADLK : 0;
}

int
own_map_clear(const struct own_unique *u)
{
	struct own_map *map;
	struct own_i_table *t, *fresh;
	int r = map_of_whole(u, "own_map_clear", &map);

	if (r)
		return r;
	fresh = own_i_table_new(map, map->lines_min, &r);
	if (!fresh)
		return r;
	for (unsigned i = 0; i < OWN_I_STRIPES; i++) {
		/* relaxed: X is the caller's */
		own__store(&map->stripe[i].puts, 0, OWN__RELAXED);
		own__store(&map->stripe[i].removes, 0, OWN__RELAXED);
	}
	/* seq_cst: with the loads of the scan, the fallback (M7) */
	t = own__xchg(&map->table, fresh, OWN__SEQ_CST);
	tables_end(own_i_this, t);
	return 0;
}

#define SWAP(a, b)							\
	do {								\
		__typeof__(a) swap_t = own__load(&(a), OWN__RELAXED);	\
		own__store(&(a), own__load(&(b), OWN__RELAXED),		\
				OWN__RELAXED);				\
		own__store(&(b), swap_t, OWN__RELAXED);			\
	} while (0)

int
own_map_swap(const struct own_unique *one, const struct own_unique *other)
{
	struct own_map *a, *b;
	struct own_i_table *t;
	int r = map_of_whole(one, "own_map_swap", &a);

	if (!r)
		r = map_of_whole(other, "own_map_swap", &b);
	if (r)
		return r;
	if (own_i_type_differs(a->whole.type, b->whole.type) ||
			a->policy != b->policy ||
			a->flags != b->flags || a->hash != b->hash)
		return -EINVAL;
	if (a == b)
		return 0;
	/* relaxed: both are the caller's; seq_cst: with the scan */
	t = own__load(&a->table, OWN__RELAXED);
	(void)own__xchg(&a->table, own__load(&b->table, OWN__RELAXED),
			OWN__SEQ_CST);
	(void)own__xchg(&b->table, t, OWN__SEQ_CST);
	/* relaxed: both are the caller's */
	SWAP(a->seed, b->seed);
	SWAP(a->read_mostly, b->read_mostly);
	for (unsigned i = 0; i < OWN_I_STRIPES; i++) {
		SWAP(a->stripe[i].puts, b->stripe[i].puts);
		SWAP(a->stripe[i].removes, b->stripe[i].removes);
	}
	return 0;
}

/* ---- iteration ---- */

/* Hashes of a stretch, ascending and each once; the least of them if there are
 * too many. */
struct hashes {
	uint64_t from, to;
	unsigned n;
	uint64_t hash[HASHES_MAX];
};

static void
hashes_add(struct hashes *h, uint64_t hash)
{
	unsigned i = h->n;

	if (hash < h->from || hash > h->to)
		return;
	while (i > 0 && h->hash[i - 1] > hash)
		i--;
	if (i > 0 && h->hash[i - 1] == hash)
		return;
	if (h->n == HASHES_MAX) {
		/* what lies beyond is for the next step */
		h->to = h->hash[HASHES_MAX - 1];
		if (i == HASHES_MAX)
			return;
		h->n--;
	}
	memmove(&h->hash[i + 1], &h->hash[i], (h->n - i) * sizeof(hash));
	h->hash[i] = hash;
	h->n++;
	if (h->n == HASHES_MAX)
		h->to = h->hash[HASHES_MAX - 1];
}

/*
 * The entries whose home is a line: in it, and behind it as long as no line
 * has an empty cell. visit gets each, named in the path, and may be called for
 * entries of other lines. Returns 1 if the table is being left.
 */
static int
line_walk(struct own_map *map, struct own_i_record *self,
		struct own_i_table *t, uint64_t line,
		void (*visit)(struct own_map *map, struct own__header *entry,
			void *arg), void *arg)
{
	int left = 0, empty = 0;

	for (uint64_t n = 0; n < t->lines && !empty; n++, line++)
		for (unsigned i = 0; i < OWN_I_LINE; i++) {
			uint64_t *cell = &t->cells[(line & (t->lines - 1)) *
				OWN_I_LINE + i];
			/* T1: acquire */
			uint64_t x = own__load(cell, OWN__ACQUIRE);

			empty |= !(x & ~OWN_I_FROZEN);
			left |= (x & (OWN_I_MOVED | OWN_I_FROZEN)) != 0;
			while (own_i_cell_entry(x) && !(x & OWN_I_UNBORN)) {
				uint64_t seen = x;

				own_i_path_set(self, 2, (uintptr_t)
						&own_i_cell_entry(x)->word);
				/* M1: seq_cst, for the fallback */
				x = own__load(cell, OWN__SEQ_CST);
				if (x == seen) {
					visit(map, own_i_cell_entry(x), arg);
					break;
				}
			}
			/* changed after it was looked at above */
			left |= (x & (OWN_I_MOVED | OWN_I_FROZEN)) != 0;
		}
	return left;
}

static void
visit_hash(struct own_map *map, struct own__header *entry, void *arg)
{
	hashes_add(arg, own_i_entry_hash(map, entry));
}

/*
 * visit for all entries with hashes from..to, which lie in one line of the
 * current table. Returns 0 if it must be done anew: the table was left.
 */
static int
stretch_walk(struct own_map *map, struct own_i_record *self,
		struct own_i_table *t, uint64_t from, uint64_t to,
		void (*visit)(struct own_map *map, struct own__header *entry,
			void *arg), void *arg)
{
	struct own_i_table *next;
	uint64_t line, last;
	int again;

	if (!line_walk(map, self, t, from >> 1 >> t->shift, visit, arg))
		return 1;
	next = own_i_path_next(map, self, t, &again);
	if (again || !next)
		return 0;
	last = to >> 1 >> next->shift;
	for (line = from >> 1 >> next->shift; line <= last; line++)
		(void)line_walk(map, self, next, line, visit, arg);
	/* M7: had next been left meanwhile, map->table would be another */
	return own__load(&map->table, OWN__SEQ_CST) == t;
}

/* The hashes of the stretch from the cursor to the end of a line. */
static void
hashes_next(struct own_map *map, struct own_i_record *self, uint64_t from,
		struct hashes *h)
{
	struct own_i_table *t;
	int done;

	do {
		t = own_i_path_enter(map, self);
		h->n = 0;
		h->from = from;
		h->to = t->shift == 63 ? UINT64_MAX
			: from | ((UINT64_C(2) << t->shift) - 1);
		done = stretch_walk(map, self, t, from, h->to, visit_hash, h);
	} while (!done);
	own_i_path_exit(self);
}

/* The entry of a hash with the least key above the one visited before. */
struct least {
	struct own_i_slot s;
	uint64_t hash;
	const struct own__header *above;
	struct own__header *found;
	unsigned n;		/* looked at: 1, and there is no other */
};

static int
key_compare(const struct own__header *a, const struct own__header *b)
{
	struct own_bytes x = own_i_entry_key(a), y = own_i_entry_key(b);
	size_t n = x.size < y.size ? x.size : y.size;
	int r;

	if (x.size == OWN__KEY_U64)
		return x.data < y.data ? -1 : x.data > y.data;
	r = n ? memcmp(x.data, y.data, n) : 0;
	return r ? r : x.size < y.size ? -1 : x.size > y.size;
}

static void
visit_least(struct own_map *map, struct own__header *entry, void *arg)
{
	struct least *l = arg;

	if (own_i_entry_hash(map, entry) != l->hash)
		return;
	l->n++;
	if ((l->above && key_compare(entry, l->above) <= 0) ||
			(l->found && key_compare(entry, l->found) >= 0))
		return;
	l->found = entry;
	/* the path names it until this store has */
	own_i_slot_set(l->s, (uintptr_t)&entry->word | OWN__NOTE);
}

/*
 * A share of that entry; *ret empty if there is none. above: NULL, or the one
 * before, which is still held.
 */
static int
share_least(struct own_map *map, struct own_i_record *self, uint64_t hash,
		const struct own_shared *above, uint64_t deadline_ns,
		const struct own_site *site, struct own_shared *ret,
		unsigned *ret_n)
{
	struct least l;
	struct own_i_table *t;
	int r, gated;

	do {
		gated = own_i_map_enter(map, self, OWN_I_IS, deadline_ns, site,
				&l.s);
		if (gated < 0)
			return gated;
		do {
			l.hash = hash;
			l.above = above->object ? own_i_header(above->object)
				: NULL;
			l.found = NULL;
			l.n = 0;
			t = own_i_path_enter(map, self);
		} while (!stretch_walk(map, self, t, hash, hash, visit_least,
				&l));
		own_i_path_exit(self);
		if (!l.found) {
			own_i_slot_free(l.s);
			*ret_n = 0;
			return 0;
		}
		/* a NOTE becomes a HOLD only if the entry is in its cell yet,
		 * and it may have been replaced: so look it up as a share
		 * does, with the key that the NOTE keeps */
		r = own__map_share_any(map, own_i_entry_key(l.found),
				deadline_ns, ret, site);
		own_i_slot_free(l.s);
	} while (r == -ENOENT);
	*ret_n = l.n;
	return r;
}

/* Shares of the next entries of one hash, GROUP_MAX at most, or none. */
OWN_UNTRACKED("an array of handles")
static int
group_take(struct own_map *map, struct own_i_record *self, uint64_t hash,
		const struct own_shared *above, uint64_t deadline_ns,
		const struct own_site *site,
		struct own_shared group[GROUP_MAX], unsigned *ret_n)
{
	unsigned n = 0, there = 2;
	int r = 0;

	while (!r && n < GROUP_MAX && there > 1) {
		r = share_least(map, self, hash, n ? &group[n - 1] : above,
				deadline_ns, site, &group[n], &there);
		if (r || !group[n].object)
			break;
		n++;
	}
	while (r && n > 0)
		own_shared_release(&group[--n]);
	*ret_n = n;
	return r;
}

/*
 * All entries of one hash, nearly always one: keys that share it are visited
 * together, since a cursor cannot stand between them, in their order. *ret_n:
 * how many; if it is refused, none, unless there are more than GROUP_MAX.
 */
OWN_UNTRACKED("an array of handles")
static int
group_visit(struct own_map *map, struct own_i_record *self, uint64_t hash,
		own_map_visit_fn fn, void *arg, uint64_t deadline_ns,
		const struct own_site *site, int *ret_refused)
{
	struct own_shared group[GROUP_MAX] = { { NULL, 0 } };
	struct own_shared above = { NULL, 0 };
	unsigned n = GROUP_MAX;
	int r, result = 0;

	*ret_refused = 0;
	while (n == GROUP_MAX) {
		r = group_take(map, self, hash, &above, deadline_ns, site,
				group, &n);
		own_shared_release(&above);
		if (r) {
			*ret_refused = 1;
			return r;
		}
		for (unsigned i = 0; i < n; i++) {
			r = fn(&group[i], arg);
			if (!result)
				result = r;
			if (i + 1 == GROUP_MAX)
				own_shared_move(&above, &group[i]);
			own_shared_release(&group[i]);
		}
	}
	own_shared_release(&above);
	return result;
}

int
own__map_scan(struct own_map *map, uint64_t *cursor, uint64_t entries_max,
		own_map_visit_fn fn, void *arg, uint64_t deadline_ns,
		const struct own_site *site)
{
	struct own_i_record *self = own_i_self();
	struct own_i_slot s;
	struct hashes h;
	uint64_t work = 0;
	int r, refused = 0;

	own_require(map && map->whole.state == OWN__CELL_LIVE,
			"map is not created, or destroyed", site);
	if (!self)
		return -ENOMEM;
	do {
		r = own_i_map_enter(map, self, OWN_I_IS, deadline_ns, site, &s);
		if (r < 0)
			return r;
		hashes_next(map, self, *cursor, &h);
		own_i_slot_free(s);
		for (unsigned i = 0; i < h.n; i++) {
			*cursor = h.hash[i];
			if (work > entries_max)
				return 0;
			r = group_visit(map, self, h.hash[i], fn, arg,
					deadline_ns, site, &refused);
			work++;
			if (r && refused)
				return r;
			*cursor = h.hash[i] + 1;
			if (r)
				return r;
		}
		*cursor = h.to + 1;
		work++;
	} while (*cursor && work < entries_max);
	return 0;
}
