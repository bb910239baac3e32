/* SPDX-License-Identifier: MIT */
/*
 * map.c - contract in own/map.h, full argument in doc/design/map.md
 *
 * An entry's word is its header's, under both policies. OWN_EXCLUSIVE: slots
 * and counts are on it as on a cell's word. OWN_VERSIONED: the entry in the
 * cell is the current version; its WRITER keeps writers apart, and its slots
 * and count keep it for readers. Each operation first enters the gate.
 *
 * Invariants
 *   E1  An entry's cell is changed by the owner of its WRITER alone (M5), who
 *       then clears WRITER and sets DEAD in one operation: whoever waited
 *       looks the key up again, and nobody takes WRITER of what has gone.
 *   E2  Whatever was in a map is retired, never freed at once: look-ups may
 *       be about to read its word. So it stays DEAD even when it is owned.
 *   E3  An entry in the making has WRITER and UNBORN in its cell. Its commit
 *       takes UNBORN away, in the cell, and then WRITER.
 *
 * Pairs
 *   G1  gate.c; M1, T1: map-table.c; W1, W2: word.c; V1, V2: reclaim.c
 */
#include <string.h>

#include "lib/map-internal.h"

#define READS_SAMPLE	64u	/* counted shares a sample stands for */
#define READS_PER_CLAIM	256u	/* above, a map is mostly read */
#define CLAIM_COST_NS	16u
/* the key: no errno, since the type's copy may return any */
#define LOOK_AGAIN	1

static int
is_versioned(const struct own_map *map)
{
	return map->policy == OWN_VERSIONED;
}

int
own_i_map_versioned(const uint64_t *gate)
{
	return is_versioned((const struct own_map *)gate);
}

static struct own_map *
map_of(struct own_i_slot s)
{
	return (struct own_map *)OWN_I_GATE(own_i_slot_container(s));
}

static struct own__header *
entry_of(struct own_i_slot s)
{
	return (struct own__header *)own_i_slot_word(s);
}

static int
is_gated(struct own_i_slot s)
{
	return (own_i_slot_container(s) & OWN_I_GATED) != 0;
}

/* 0, -ENOMEM, -EINVAL: the key is of the other kind. */
static int
begin(struct own_map *map, struct own_bytes key, const struct own_site *site,
		struct own_i_record **ret)
{
	own_require(map && map->whole.state == OWN__CELL_LIVE,
			"map is not created, or destroyed", site);
	if ((key.size == OWN__KEY_U64) != ((map->flags & OWN_MAP_U64) != 0) ||
			(key.size != OWN__KEY_U64 &&
			 key.size > OWN_MAP_KEY_MAX))
		return -EINVAL;
	*ret = own_i_self();
	return *ret ? 0 : -ENOMEM;
}

int
own_i_map_enter(struct own_map *map, struct own_i_record *self,
		uintptr_t mode, uint64_t deadline_ns,
		const struct own_site *site, struct own_i_slot *ret)
{
	if (own_i_slot_take(self, (void *)((uintptr_t)map | OWN_I_MAP | mode),
			site, ret))
		return -ENOMEM;
	own_i_slot_store(*ret, (uintptr_t)&map->whole.gate | OWN__NOTE);
	own_i_order_note(self, *ret, &map->whole.gate, mode, deadline_ns);
	return own_i_gate_enter(self, *ret, mode, deadline_ns);
}

/* ---- the map's leaning ---- */

/*
 * Sampled shares against claims, a claim by what it cost: whether the entries
 * of this map are to be biased without each having to earn it.
 */
static void
leaning(struct own_map *map)
{
	uint64_t reads = 0, claims = 0;
	uint32_t read_mostly;

	for (unsigned i = 0; i < OWN_I_STRIPES; i++) {
		/* relaxed: a hint; a lost halving is fine */
		uint64_t r = own__load(&map->stripe[i].reads, OWN__RELAXED);
		uint64_t c = own__load(&map->stripe[i].claims, OWN__RELAXED);

		reads += r;
		claims += c;
		if (r + c > UINT64_C(1) << 20) {
			own__store(&map->stripe[i].reads, r / 2, OWN__RELAXED);
			own__store(&map->stripe[i].claims, c / 2,
					OWN__RELAXED);
		}
	}
	read_mostly = reads > claims * READS_PER_CLAIM;
	/* relaxed: a hint */
	if (own__load(&map->read_mostly, OWN__RELAXED) != read_mostly)
		own__store(&map->read_mostly, read_mostly, OWN__RELAXED);
}

static void
lean_share(struct own_map *map, struct own_i_record *self,
		struct own_i_slot s, struct own__header *entry)
{
	/* relaxed: a hint */
	if (own__load(&map->read_mostly, OWN__RELAXED))
		own_i_word_bias(&entry->word);
	/* one in so many: the slot's own sequence counts */
	if ((own_i_slot_how(s) >> 36) % READS_SAMPLE)
		return;
	/* relaxed: a hint */
	(void)own__add(&own_i_stripe(map, self)->reads, READS_SAMPLE,
			OWN__RELAXED);
	leaning(map);
}

static void
lean_claim(struct own_map *map, struct own_i_record *self, uint64_t seen)
{
	uint64_t cost = 1;

	if (seen & OWN__BIASED)
		cost += own_i_fence_cost_ns() / CLAIM_COST_NS;
	/* relaxed: a hint */
	(void)own__add(&own_i_stripe(map, self)->claims, cost, OWN__RELAXED);
	if (seen & OWN__BIASED)
		leaning(map);
}

/* What the word of a new entry says. */
static uint64_t
word_new(const struct own_map *map)
{
	/* relaxed: a hint */
	if (!is_versioned(map) && own__load(&map->read_mostly, OWN__RELAXED))
		return OWN__BIASED;
	return (uint64_t)OWN__BIAS_READS << 32;
}

/* ---- share ---- */

/*
 * The slot, gated or not, names an entry that was in the map: a share of it.
 * -ENOENT: it is no more; on failure the slot is free.
 */
static int
share_entry(struct own_map *map, struct own_i_record *self,
		struct own_i_slot s, struct own__header *entry, int gated,
		uint64_t deadline_ns)
{
	uint64_t *word = &entry->word;
	int r;

	own_i_order_note(self, s, word, OWN_I_S, deadline_ns);
	if (is_versioned(map)) {
		if (!gated)
			return 0;
		/* behind a gate nothing is held by slot alone */
		r = own_i_word_count(word);
		if (r)
			own_i_slot_free(s);
		else
			own_i_slot_kind(s, OWN__HOW_COUNTED);
		return r;
	}
	/* S1, W1: seq_cst, for the fallback */
	if (!gated && (own__load(word, OWN__SEQ_CST) & (OWN__BIASED |
			OWN__WRITER | OWN__DEAD | OWN__ORPHAN)) == OWN__BIASED)
		return 0;
	r = own_i_word_share(self, s, word, deadline_ns, gated);
	if (!r)
		lean_share(map, self, s, entry);
	return r;
}

const void *
own__map_share(struct own_map *map, struct own_bytes key, uint64_t deadline_ns,
		const struct own_site *site, uint64_t *ret_how, int *r)
{
	struct own_i_record *self;
	struct own__header *entry;
	struct own_i_slot s;
	uint64_t hash;
	int gated;

	*r = begin(map, key, site, &self);
	if (*r)
		return NULL;
	do {
		gated = own_i_map_enter(map, self, OWN_I_IS, deadline_ns, site,
				&s);
		if (gated < 0) {
			*r = gated;
			return NULL;
		}
		hash = own_i_map_hash(map, key);
		entry = own_i_table_find(map, self, s, hash, key,
				gated ? OWN__NOTE : 0, NULL);
		if (!entry) {
			own_i_slot_free(s);
			*r = -ENOENT;
			return NULL;
		}
		*r = share_entry(map, self, s, entry, gated, deadline_ns);
	/* it was removed, or replaced, meanwhile */
	} while (*r == -ENOENT);
	if (*r)
		return NULL;
	*ret_how = own_i_slot_how(s);
	return own_i_payload(entry);
}

/* ---- claim ---- */

/*
 * WRITER of an entry that the slot NOTEs, its readers gone under EXCLUSIVE.
 * -ENOENT: it is DEAD; on failure the slot is free.
 */
static int
own_entry(struct own_map *map, struct own_i_record *self, struct own_i_slot s,
		struct own__header *entry, uint64_t deadline_ns, int orphan_ok)
{
	/* relaxed: a hint */
	uint64_t seen = own__load(&entry->word, OWN__RELAXED);
	int r;

	if (!is_versioned(map)) {
		r = own_i_word_claim(self, s, &entry->word, deadline_ns,
				orphan_ok);
		if (!r)
			lean_claim(map, self, seen);
		if (!r && is_gated(s))
			own_i_slot_kind(s, OWN__HOW_GATED);
		return r;
	}
	/* a share of its own bars nothing: readers are not waited for */
	r = own_i_word_take(self, s, &entry->word, deadline_ns, 0,
			OWN_I_WRITES, &seen);
	own_i_wait_end(self);
	if (r)
		own_i_slot_free(s);
	return r;
}

/* Gives WRITER back, nothing having changed. */
static void
disown_entry(struct own_map *map, struct own_i_slot s,
		struct own__header *entry)
{
	own_i_word_unwriter(&entry->word, !is_versioned(map), 0, 0);
	own_i_slot_free(s);
}

/* E1: unlinked already; whoever waits looks the key up again. */
static void
entry_dead(struct own_map *map, struct own__header *entry)
{
	own_i_word_unwriter(&entry->word, !is_versioned(map), 0,
			own__bug(OWN_BUG_REMOVE_NO_DEAD) ? 0 : OWN__DEAD);
}

/* The owner of WRITER takes the entry out of the map. */
static void
entry_unlink(struct own_map *map, struct own_i_record *self,
		struct own__header *entry, uint64_t hash)
{
	own_i_table_change(map, self, hash, entry, 0);
	own_i_table_removed(map, self);
	entry_dead(map, entry);
}

/* A copy of the entry, under the same key; *r says why not. */
static struct own__header *
draft_of(struct own_map *map, struct own__header *entry, int *r)
{
	void *from = own_i_payload(entry);
	void *to = own_i_entry_new(own_i_object_alloc(entry), map->whole.type,
			own__size(from), own_i_entry_key(entry), r);

	if (!to)
		return NULL;
	own_i_header(to)->word = word_new(map);
	*r = own_i_object_copy(to, from);
	return *r ? NULL : own_i_header(to);
}

/* WRITER is the caller's: the payload that its handle gives. */
static void *
lend(struct own_map *map, struct own_i_slot s, struct own__header *entry,
		int *r)
{
	struct own__header *draft;

	if (!is_versioned(map))
		return own_i_payload(entry);
	draft = draft_of(map, entry, r);
	if (!draft) {
		disown_entry(map, s, entry);
		return NULL;
	}
	s.meta->draft = draft;
	own_i_slot_kind(s, OWN__HOW_DRAFT);
	return own_i_payload(draft);
}

static void *
claim_once(struct own_map *map, struct own_i_record *self, struct own_bytes key,
		uint64_t deadline_ns, const struct own_site *site,
		int orphan_ok, struct own_i_slot *s, int *r)
{
	struct own__header *entry;
	int gated = own_i_map_enter(map, self, OWN_I_IX, deadline_ns, site, s);

	*r = gated < 0 ? gated : 0;
	if (*r)
		return NULL;
	entry = own_i_table_find(map, self, *s, own_i_map_hash(map, key), key,
			OWN__NOTE, NULL);
	if (!entry) {
		own_i_slot_free(*s);
		*r = -ENOENT;
		return NULL;
	}
	*r = own_entry(map, self, *s, entry, deadline_ns, orphan_ok);
	if (*r) {
		/* DEAD: the key is looked up again */
		*r = *r == -ENOENT ? LOOK_AGAIN : *r;
		return NULL;
	}
	return lend(map, *s, entry, r);
}

/* An entry in the making, E3; or what the key has. */
static void *
claim_or_new_once(struct own_map *map, struct own_i_record *self,
		struct own_bytes key, uint64_t deadline_ns,
		const struct own_site *site, struct own__header *made,
		struct own_i_slot *s, int *ret_made, int *r)
{
	struct own__header *entry;
	uint64_t hash;
	int unborn, gated = own_i_map_enter(map, self, OWN_I_IX, deadline_ns,
			site, s);

	*r = gated < 0 ? gated : 0;
	if (*r)
		return NULL;
	hash = own_i_map_hash(map, key);
	*r = own_i_table_insert(map, self, *s, hash, key, own_i_cell_of(made,
			hash) | OWN_I_UNBORN, &entry, &unborn);
	if (*r == 0) {
		own_i_order_note(self, *s, &made->word, OWN_I_X, deadline_ns);
		own_i_slot_kind(*s, OWN__HOW_MADE);
		own_i_slot_set(*s, (uintptr_t)&made->word | OWN__NOTE);
		*ret_made = 1;
		return own_i_payload(made);
	}
	if (*r < 0) {
		own_i_slot_free(*s);
		return NULL;
	}
	/* what another thread is making is waited for like any other */
	*r = own_entry(map, self, *s, entry, deadline_ns, 0);
	if (*r) {
		*r = *r == -ENOENT ? LOOK_AGAIN : *r;
		return NULL;
	}
	*ret_made = 0;
	return lend(map, *s, entry, r);
}

void *
own__map_claim(struct own_map *map, struct own_bytes key, uint64_t deadline_ns,
		const struct own_site *site, int *made, uint64_t *ret_how,
		int *r)
{
	struct own_i_record *self;
	struct own__header *fresh = NULL;
	struct own_i_slot s;
	void *payload;
	int is_made = 0;

	*r = begin(map, key, site, &self);
	if (*r)
		return NULL;
	if (made) {
		payload = own_i_entry_new(map->alloc, map->whole.type,
				map->whole.type->size, key, r);
		if (!payload)
			return NULL;
		fresh = own_i_header(payload);
		fresh->word = word_new(map) | OWN__WRITER;
	}
	do {
		payload = made ? claim_or_new_once(map, self, key, deadline_ns,
				site, fresh, &s, &is_made, r)
			: claim_once(map, self, key, deadline_ns, site, 0, &s,
				r);
	} while (*r == LOOK_AGAIN);
	if (fresh && !is_made)
		own_i_object_discard(own_i_payload(fresh));
	if (!payload)
		return NULL;
	if (made)
		*made = is_made;
	*ret_how = own_i_slot_how(s);
	return payload;
}

void *
own__map_orphan_claim(struct own_map *map, struct own_bytes key,
		const struct own_site *site, uint64_t *ret_how, int *r)
{
	struct own_i_record *self;
	struct own_i_slot s;
	void *payload;

	*r = begin(map, key, site, &self);
	if (!*r && is_versioned(map))
		*r = -EINVAL;
	if (*r)
		return NULL;
	do
		payload = claim_once(map, self, key, OWN__TRY, site, 1, &s, r);
	while (*r == LOOK_AGAIN);
	if (payload)
		*ret_how = own_i_slot_how(s);
	return payload;
}

/* ---- what happens to a unique handle: called by handle.c ---- */

/* A draft becomes the entry. keep: the slot goes on holding it, shared. */
static void
draft_commit(struct own_i_record *self, struct own_i_slot s, int keep)
{
	struct own_map *map = map_of(s);
	struct own__header *entry = entry_of(s), *draft = s.meta->draft;
	uint64_t hash = own_i_entry_hash(map, draft);

	s.meta->draft = NULL;
	if (keep && is_gated(s)) {
		draft->word += OWN__COUNT_ONE;
		own_i_slot_kind(s, OWN__HOW_COUNTED);
		own_i_slot_set(s, (uintptr_t)&draft->word | OWN__NOTE);
	} else if (keep) {
		/* before anybody can replace it in turn */
		own_i_slot_kind(s, OWN__HOW_HOLD);
		own_i_slot_set(s, (uintptr_t)&draft->word);
	}
	own_i_table_change(map, self, hash, entry, own_i_cell_of(draft, hash));
	entry_dead(map, entry);
	own_i_retire(self, own_i_payload(entry));
	if (keep)
		own_i_gate_weaken(s);
}

/* An entry in the making becomes one, E3. */
static void
made_commit(struct own_i_record *self, struct own_i_slot s, int keep)
{
	struct own_map *map = map_of(s);
	struct own__header *entry = entry_of(s);
	uint64_t hash = own_i_entry_hash(map, entry);

	own_i_table_change(map, self, hash, entry, own_i_cell_of(entry, hash));
	if (keep)
		own_i_slot_kind(s, OWN__HOW_COUNTED);
	own_i_word_unwriter(&entry->word, !is_versioned(map),
			keep ? OWN__COUNT_ONE : 0, 0);
	if (keep)
		own_i_gate_weaken(s);
}

void
own_i_map_commit(struct own_i_record *self, struct own_i_slot s, int keep)
{
	if ((own_i_slot_how(s) & OWN__HOW_KIND) == OWN__HOW_MADE)
		made_commit(self, s, keep);
	else
		draft_commit(self, s, keep);
}

void
own_i_map_drop(struct own_i_record *self, struct own_i_slot s)
{
	struct own_map *map = map_of(s);
	struct own__header *entry = entry_of(s), *draft = s.meta->draft;

	if ((own_i_slot_how(s) & OWN__HOW_KIND) == OWN__HOW_DRAFT) {
		s.meta->draft = NULL;
		own_i_word_unwriter(&entry->word, 0, 0, 0);
		own_i_object_free(own_i_payload(draft));
		return;
	}
	entry_unlink(map, self, entry, own_i_entry_hash(map, entry));
	own_i_retire(self, own_i_payload(entry));
}

int
own_i_map_upgrade_try(struct own_i_record *self, struct own_i_slot from,
		const void *object, const struct own_site *site, void **ret,
		uint64_t *ret_how)
{
	struct own_map *map = map_of(from);
	struct own__header *entry = own_i_header(object);
	struct own_i_slot s;
	void *payload;
	int r;

	if (!is_versioned(map)) {
		r = own_i_gate_upgrade_try(self, from);
		if (r)
			return r;
		r = own_i_word_upgrade_try(self, from, &entry->word);
		if (r) {
			own_i_gate_leave(&map->whole.gate, OWN_I_IX);
			return r;
		}
		own_i_gate_upgraded(from);
		own_i_slot_kind(from, OWN__HOW_GATED);
		own__store(&from.meta->site, site, OWN__RELAXED);
		*ret = (void *)(uintptr_t)object;
		*ret_how = own_i_slot_how(from);
		return 0;
	}
	r = own_i_map_enter(map, self, OWN_I_IX, OWN__TRY, site, &s);
	if (r < 0)
		return r;
	own_i_slot_set(s, (uintptr_t)&entry->word | OWN__NOTE);
	/* DEAD: it has been replaced, or removed */
	r = own_entry(map, self, s, entry, OWN__TRY, 0);
	if (r)
		return r == -ENOENT ? -EAGAIN : r;
	payload = lend(map, s, entry, &r);
	if (!payload)
		return r;
	if ((own_i_slot_how(from) & OWN__HOW_KIND) == OWN__HOW_COUNTED)
		own_i_word_uncount(&entry->word);
	own_i_slot_free(from);
	*ret = payload;
	*ret_how = own_i_slot_how(s);
	return 0;
}

/* ---- put ---- */

/*
 * The entry that an owned object becomes: itself, if it was made for this key,
 * in this map's memory, and never was in a map (E2), else a new one that its
 * payload is moved into.
 */
static struct own__header *
entry_for(struct own_map *map, struct own_bytes key, void *object, int *r)
{
	struct own__header *from = own_i_header(object);
	struct own_bytes has = own_i_entry_key(from);
	size_t size = own__size(object);
	void *to;

	/* relaxed: the caller's own object */
	if ((own_i_object_flags(from) & OWN_I_ENTRY) &&
			own_i_object_alloc(from) == map->alloc &&
			!(own__load(&from->word, OWN__RELAXED) & OWN__DEAD) &&
			has.size == key.size && (has.data == key.data ||
				(has.size != OWN__KEY_U64 && memcmp(has.data,
					key.data, key.size) == 0))) {
		from->word = word_new(map);
		return from;
	}
	*r = -EINVAL;
	if (map->whole.type->flags & OWN_PINNED)
		return NULL;
	to = own_i_entry_new(map->alloc, map->whole.type, size, key, r);
	if (!to)
		return NULL;
	own_i_header(to)->word = word_new(map);
	memcpy(to, object, size);
	return own_i_header(to);
}

/* What is left of an object whose payload has been moved out. */
static void
husk_end(struct own_i_record *self, void *object)
{
	struct own__header *header = own_i_header(object);

	/* relaxed: the caller's own object; E2 if it is DEAD */
	if (!(own__load(&header->word, OWN__RELAXED) & OWN__DEAD)) {
		own_i_object_discard(object);
		return;
	}
	(void)own__or(&header->type, OWN_I_HUSK, OWN__RELAXED);
	own_i_retire(self, object);
}

/* Replaces an entry that the slot NOTEs. LOOK_AGAIN: it has gone. */
static int
replace(struct own_map *map, struct own_i_record *self, struct own_i_slot s,
		struct own__header *entry, uint64_t hash, uint64_t deadline_ns,
		struct own__header *by)
{
	int bug = own__bug(OWN_BUG_REPLACE_NO_WRITER) && is_versioned(map);
	int r = bug ? 0 : own_entry(map, self, s, entry, deadline_ns, 0);

	if (r)
		return r == -ENOENT ? LOOK_AGAIN : r;
	own_i_table_change(map, self, hash, entry, own_i_cell_of(by, hash));
	if (!bug)
		entry_dead(map, entry);
	own_i_slot_free(s);
	own_i_retire(self, own_i_payload(entry));
	return 0;
}

/* 0, an error, or LOOK_AGAIN. */
static int
put_once(struct own_map *map, struct own_i_record *self, struct own_bytes key,
		uint64_t deadline_ns, const struct own_site *site,
		uint32_t how, struct own__header *by)
{
	struct own__header *entry;
	struct own_i_slot s;
	uint64_t hash;
	int unborn = 0, r = own_i_map_enter(map, self, OWN_I_IX, deadline_ns,
			site, &s);

	if (r < 0)
		return r;
	hash = own_i_map_hash(map, key);
	if (how == OWN__MAP_REPLACE) {
		entry = own_i_table_find(map, self, s, hash, key, OWN__NOTE,
				NULL);
		r = entry ? 1 : -ENOENT;
	} else {
		r = own_i_table_insert(map, self, s, hash, key,
				own_i_cell_of(by, hash), &entry, &unborn);
	}
	/* as if there had been something to replace */
	if (r == 0 && how == OWN__MAP_PUT)
		own_i_order_note(self, s, &by->word, OWN_I_X, deadline_ns);
	if (r == 1 && how == OWN__MAP_PUT_NEW && !unborn)
		r = -EEXIST;
	if (r < 1) {
		own_i_slot_free(s);
		return r;
	}
	if (how != OWN__MAP_PUT_NEW)
		return replace(map, self, s, entry, hash, deadline_ns, by);
	/* in the making: waits for what becomes of it */
	r = own_entry(map, self, s, entry, deadline_ns, 0);
	if (!r)
		disown_entry(map, s, entry);
	return r == 0 || r == -ENOENT ? LOOK_AGAIN : r;
}

int
own__map_put(struct own_map *map, struct own_bytes key, uint64_t deadline_ns,
		const struct own_site *site, uint32_t how,
		struct own_unique *u)
{
	struct own_i_record *self;
	struct own__header *by;
	void *object;
	int r = begin(map, key, site, &self);

	own_require(u->object, "empty handle given to a map", site);
	if (OWN__UNLIKELY((u->how & OWN__HOW_KIND) != OWN__HOW_OWNED))
		own__fault_handle("own_map_put",
				": a borrowed handle, not an owned one",
				u->how, site);
	if (r)
		return r;
	object = own_i_owned(u->how);
	if (own_i_type_differs(own_i_type(own_i_header(object)),
			map->whole.type))
		return -EINVAL;
	by = entry_for(map, key, object, &r);
	if (!by)
		return r;
	do
		r = put_once(map, self, key, deadline_ns, site, how, by);
	while (r == LOOK_AGAIN);
	if (own_i_payload(by) != object) {
		if (r)
			own_i_object_discard(own_i_payload(by));
		else
			husk_end(self, object);
	}
	if (r)
		return r;
	u->object = NULL;
	u->how = 0;
	return 0;
}

void *
own__map_new(struct own_map *map, struct own_bytes key, size_t size_bytes,
		int *r)
{
	struct own_i_record *self;
	void *payload;

	*r = begin(map, key, NULL, &self);
	if (*r)
		return NULL;
	*r = -EINVAL;
	if (size_bytes == OWN__SIZE_OF_TYPE)
		size_bytes = map->whole.type->size;
	else if (!(map->whole.type->flags & OWN_SIZED))
		return NULL;
	payload = own_i_entry_new(map->alloc, map->whole.type, size_bytes, key,
			r);
	if (payload)
		own_i_header(payload)->word = 0;
	return payload;
}

/* ---- remove, take ---- */

static int
remove_once(struct own_map *map, struct own_i_record *self,
		struct own_bytes key, uint64_t deadline_ns,
		const struct own_site *site, void **ret)
{
	struct own__header *entry;
	struct own_i_slot s;
	uint64_t hash;
	int r = own_i_map_enter(map, self, OWN_I_IX, deadline_ns, site, &s);

	if (r < 0)
		return r;
	hash = own_i_map_hash(map, key);
	entry = own_i_table_find(map, self, s, hash, key, OWN__NOTE, NULL);
	if (!entry) {
		own_i_slot_free(s);
		return -ENOENT;
	}
	r = own_entry(map, self, s, entry, deadline_ns, 0);
	if (r)
		return r == -ENOENT ? LOOK_AGAIN : r;
	entry_unlink(map, self, entry, hash);
	if (!ret) {
		own_i_slot_free(s);
		own_i_retire(self, own_i_payload(entry));
		return 0;
	}
	if (is_versioned(map)) {
		own_i_slot_kind(s, OWN__HOW_TRYING);
		own_i_word_outlast(self, s, &entry->word);
	}
	own_i_slot_free(s);
	*ret = own_i_payload(entry);
	return 0;
}

int
own__map_remove(struct own_map *map, struct own_bytes key, uint64_t deadline_ns,
		const struct own_site *site, void **ret)
{
	struct own_i_record *self;
	int r = begin(map, key, site, &self);

	if (r)
		return r;
	if (ret && is_versioned(map)) {
		if (deadline_ns != OWN__FOREVER)
			return -EINVAL;
		if (own_i_slot_any(self))
			return -EDEADLK;
	}
	do
		r = remove_once(map, self, key, deadline_ns, site, ret);
	while (r == LOOK_AGAIN);
	return r;
}

void
own__map_remove_held(void *object, uint64_t how, const struct own_site *site)
{
	static const char verb[] = "own_map_remove_held";
	uint64_t kind = how & OWN__HOW_KIND;
	struct own_i_record *self = own_i_self();
	struct own__header *entry;
	struct own_i_slot s;
	struct own_map *map;

	(void)object;
	if (!self || kind == OWN__HOW_OWNED)
		own__fault_handle(verb, ": not this thread's entry", how, site);
	s = own_i_slot_of(self, how, verb);
	own_require((own_i_slot_container(s) & OWN_I_MAP) &&
			(OWN_I_KIND(kind) & OWN_I_WRITES), "own_map_remove_"
			"held: not the unique handle of an entry", site);
	map = map_of(s);
	entry = entry_of(s);
	if (kind == OWN__HOW_DRAFT) {
		own_i_object_free(own_i_payload(s.meta->draft));
		s.meta->draft = NULL;
	}
	entry_unlink(map, self, entry, own_i_entry_hash(map, entry));
	own_i_slot_free(s);
	own_i_retire(self, own_i_payload(entry));
}

/* ---- peek ---- */

int
own__map_peek(struct own_map *map, struct own_bytes key, uint64_t deadline_ns,
		own_peek_fn fn, void *arg)
{
	struct own_shared seen = { NULL, 0 };
	int r = own__map_share_any(map, key, deadline_ns, &seen, NULL);

	if (r)
		return r;
	r = fn(seen.object, own__size(seen.object), arg);
	own_shared_release(&seen);
	return r;
}

int
own__map_read(struct own_map *map, struct own_bytes key, uint64_t deadline_ns,
		void *buffer, size_t size_bytes)
{
	struct own_shared seen = { NULL, 0 };
	int r = own__map_share_any(map, key, deadline_ns, &seen, NULL);

	if (r)
		return r;
	if (own__size(seen.object) <= size_bytes)
		memcpy(buffer, seen.object, own__size(seen.object));
	else
		r = -EOVERFLOW;
	own_shared_release(&seen);
	return r;
}

/* ---- the key ---- */

struct own_bytes
own__map_key(const void *object)
{
	const struct own__header *header;

	if (!object)
		return own_bytes(NULL, 0);
	header = own_i_header(object);
	if (own_i_object_flags(header) & OWN_I_NUMBER)
		return own_bytes(&own_i_prefix(header)->key, sizeof(uint64_t));
	return own_i_entry_key(header);
}

uint64_t
own__map_key_u64(const void *object)
{
	own_require(object && (own_i_object_flags(own_i_header(object)) &
			OWN_I_NUMBER), "own_map_key_u64: not an entry of a map "
			"with 64-bit keys", NULL);
	return own_i_prefix(own_i_header(object))->key;
}
