/* SPDX-License-Identifier: MIT */
/*
 * handle.c - the verbs on handles; contracts in own/handle.h
 *
 * Pairs
 *   V2  own__shared_detach (count, then slot) -> own_i_reclaim_scan (slots,
 *       then count): protection moves from a slot to the count, never back.
 *   V3  own__shared_clone (slot, light fence, DEAD) <-> own_i_retire, scan
 *       (DEAD, heavy fence, slots): a clone that missed DEAD is seen.
 */
#include "handles/internal.h"

struct own_i_record *
own_i_self_or_fault(const char *verb, uint64_t how)
{
	/* a thread without a record has no handle of its own */
	if (OWN__UNLIKELY(!own_i_this)) {
		own_i_fork_check();
		own__fault_handle(verb, ": handle of another thread", how,
				NULL);
	}
	return own_i_this;
}

static uint64_t **
gate_of(uint64_t *word)
{
	return &own_i_prefix((struct own__header *)word)->gate;
}

/* What was borrowed from a map by its own word is counted at the gate too. */
static void
detached_end(uint64_t how)
{
	uint64_t *word = own_i_how_word(how);
	uint64_t *gate = NULL;

	if ((how & OWN__HOW_SLOT) == OWN__DETACHED_WHOLE) {
		own_i_gate_leave(word, OWN_I_S);
		return;
	}
	if ((how & OWN__HOW_SLOT) == OWN__DETACHED_GATED)
		/* relaxed: set before this handle left its thread; every
		 * detach stores the same (own__shared_detach) */
		gate = own__load(gate_of(word), OWN__RELAXED);
	own_i_word_uncount(word);
	if (gate)
		own_i_gate_leave(gate, OWN_I_IS);
}

void
own__shared_end(const void *object, uint64_t how)
{
	static const char verb[] = "own_shared_release";
	struct own_i_record *self;
	struct own_i_slot s;
	uint64_t *word;

	(void)object;
	own_i_fork_check();
	if ((how & OWN__HOW_KIND) == OWN__HOW_DETACHED) {
		detached_end(how);
		return;
	}
	if ((how & OWN__HOW_KIND) == OWN__HOW_PUBLISHED) {
		own_i_published_end(how);
		return;
	}
	self = own_i_self_or_fault(verb, how);
	s = own_i_slot_of(self, how, verb);
	word = own_i_slot_word(s);
	switch (how & OWN__HOW_KIND) {
	case OWN__HOW_HOLD:
		own_i_slot_set(s, 0);
		if (own__bug(OWN_BUG_WORD_AFTER_CLEAR) &&
				(own__load(word, OWN__ACQUIRE) & OWN__WAITERS))
			own_i_futex_wake(own_i_low(word), OWN_I_ALL,
					OWN_I_FUTEX_DRAIN);
		break;
	case OWN__HOW_COUNTED:
		own_i_word_uncount(word);
		own_i_slot_free(s);
		break;
	case OWN__HOW_WHOLE:
		own_i_gate_leave(word, own_i_slot_container(s));
		own_i_slot_free(s);
		break;
	default:
		own__fault_handle(verb, ": not a shared handle", how, NULL);
	}
}

/* The slot of a unique handle; of a detached one, one made for it. */
static struct own_i_slot
unique_slot(uint64_t how, const char *verb, struct own_i_lone_slot *lone,
		struct own_i_record **ret_self)
{
	if ((how & OWN__HOW_KIND) != OWN__HOW_DETACHED_UNIQUE) {
		*ret_self = own_i_self_or_fault(verb, how);
		return own_i_slot_of(*ret_self, how, verb);
	}
	*ret_self = own_i_self();
	own_require(*ret_self, "a detached unique handle is ended by a thread "
			"for whose record there is no memory: "
			"own_thread_register() ahead", NULL);
	return own_i_detached_slot(how, lone);
}

void
own__unique_end(void *object, uint64_t how)
{
	static const char verb[] = "own_unique_release";
	struct own_i_lone_slot lone;
	struct own_i_record *self;
	struct own_i_slot s;

	(void)object;
	own_i_fork_check();
	if ((how & OWN__HOW_KIND) == OWN__HOW_OWNED) {
		own_i_object_end(own_i_owned(how));
		return;
	}
	s = unique_slot(how, verb, &lone, &self);
	switch (own_i_slot_how(s) & OWN__HOW_KIND) {
	case OWN__HOW_UNIQUE:
		/* the word first: a slot that no longer says UNIQUE while
		 * WRITER stands would hide a holder from deadlock checks */
		own_i_word_unwriter(own_i_slot_word(s), 1, 0, 0);
		break;
	case OWN__HOW_GATED:
		own_i_word_unwriter(own_i_slot_word(s), 1, 0, 0);
		break;
	case OWN__HOW_MADE:
		own_i_map_drop(self, s);
		break;
	case OWN__HOW_DRAFT:
		if (own_i_slot_container(s) & OWN_I_MAP)
			own_i_map_drop(self, s);
		else
			own_i_cell_drop(s);
		break;
	case OWN__HOW_WHOLE:
		own_i_gate_leave(own_i_slot_word(s), own_i_slot_container(s));
		break;
	default:
		own__fault_handle(verb, ": not a unique handle", how, NULL);
	}
	own_i_slot_free(s);
}

void
own__unique_commit(void *object, uint64_t how)
{
	static const char verb[] = "own_unique_commit";
	struct own_i_lone_slot lone;
	struct own_i_record *self;
	struct own_i_slot s;
	uint64_t kind;

	own_require((how & OWN__HOW_KIND) != OWN__HOW_OWNED,
			"own_unique_commit: an owned object has nowhere to "
			"commit to", NULL);
	s = unique_slot(how, verb, &lone, &self);
	kind = own_i_slot_how(s) & OWN__HOW_KIND;
	if (kind != OWN__HOW_DRAFT && kind != OWN__HOW_MADE) {
		own__unique_end(object, how);
		return;
	}
	if (own_i_slot_container(s) & OWN_I_MAP)
		own_i_map_commit(self, s, 0);
	else
		own_i_cell_commit(self, s, NULL);
	own_i_slot_free(s);
}

/*
 * A clone is a fresh share of the same word, refused by nothing but its count.
 * On a version the flag that turns a HOLD into a count is DEAD (p. 7, 28).
 */
static int
clone_slot(struct own_i_record *self, struct own_i_slot s, uint64_t *word,
		int version)
{
	uint64_t w;

	own_i_slot_store(s, (uintptr_t)word);
	/* V3, S1: seq_cst, for the fallback */
	w = own__load(word, OWN__SEQ_CST);
	if (version ? !(w & OWN__DEAD) || own__bug(OWN_BUG_CLONE_UNCHECKED)
			: (w & (OWN__BIASED | OWN__WRITER | OWN__DEAD |
				OWN__ORPHAN)) == OWN__BIASED)
		return 0;
	if (!version && own__bug(OWN_BUG_NESTED_SLOT))
		return 0;
	if (own_i_word_count(word)) {
		own_i_slot_set(s, 0);
		return -EOVERFLOW;
	}
	own_i_slot_kind(s, OWN__HOW_COUNTED);
	own_i_slot_set(s, (uintptr_t)word | OWN__NOTE);
	(void)self;
	return 0;
}

/* Whether the word that a slot holds is a version's, which DEAD guards. */
static int
is_version(const uint64_t *word, uintptr_t container)
{
	if (container & OWN_I_MAP)
		return own_i_map_versioned(OWN_I_GATE(container));
	return !own_i_is_cells(word, container);
}

static int
clone_detached(uint64_t how)
{
	uint64_t *word = own_i_how_word(how), *gate;
	int r;

	if ((how & OWN__HOW_SLOT) == OWN__DETACHED_WHOLE)
		return own_i_gate_count(word, OWN_I_S);
	r = own_i_word_count(word);
	if (r || (how & OWN__HOW_SLOT) != OWN__DETACHED_GATED)
		return r;
	/* relaxed: as in detached_end() */
	gate = own__load(gate_of(word), OWN__RELAXED);
	r = own_i_gate_count(gate, OWN_I_IS);
	if (r)
		own_i_word_uncount(word);
	return r;
}

int
own__shared_clone(const void *object, uint64_t how,
		const struct own_site *site, uint64_t *ret_how)
{
	static const char verb[] = "own_shared_clone";
	uint64_t kind = how & OWN__HOW_KIND;
	struct own_i_record *self = own_i_self();
	struct own_i_slot from, s;
	uintptr_t container;
	uint64_t *word;
	int r, gated = 0;

	own_require(object, "own_shared_clone: empty handle", site);
	/* counted, and slotless as what it was made from */
	*ret_how = how;
	if (kind == OWN__HOW_DETACHED)
		return clone_detached(how);
	if (kind == OWN__HOW_PUBLISHED)
		return own_i_word_count(own_i_how_word(how));
	if (!self)
		return -ENOMEM;
	from = own_i_slot_of(self, how, verb);
	if (kind == OWN__HOW_WHOLE)
		return own_i_whole_clone(self, from, site, ret_how);
	own_require(kind == OWN__HOW_HOLD || kind == OWN__HOW_COUNTED,
			"own_shared_clone: not a shared handle", site);
	word = own_i_slot_word(from);
	container = own_i_slot_container(from);
	/* a cell's address has no tag, and may have that bit */
	if (container & OWN_I_MAP)
		container &= ~OWN_I_GATED;
	r = own_i_slot_take(self, (void *)container, site, &s);
	if (r)
		return r;
	if (container & OWN_I_MAP) {
		/* admitted: it holds something already */
		own_i_slot_store(s, (uintptr_t)OWN_I_GATE(container) |
				OWN__NOTE);
		gated = own_i_gate_enter(self, s, OWN_I_IS, OWN__FOREVER);
		if (gated < 0)
			return gated;
	}
	if (kind == OWN__HOW_HOLD && !gated) {
		r = clone_slot(self, s, word, is_version(word, container));
	} else {
		r = own_i_word_count(word);
		if (!r) {
			own_i_slot_kind(s, OWN__HOW_COUNTED);
			own_i_slot_store(s, (uintptr_t)word | OWN__NOTE);
		} else {
			own_i_slot_free(s);
		}
	}
	if (!r)
		*ret_how = own_i_slot_how(s);
	return r;
}

/*
 * An entry under OWN_EXCLUSIVE goes on barring claim_all by the gate's count;
 * a version does not bar it. *ret: OWN__DETACHED_*.
 */
static int
detach_gate(struct own_i_slot s, uint64_t *word, unsigned *ret)
{
	uintptr_t container = own_i_slot_container(s);
	uint64_t *gate = OWN_I_GATE(container);
	int r;

	*ret = own_i_is_cells(word, container) ? OWN__DETACHED_CELL : 0;
	if (!(container & OWN_I_MAP) || (own_i_slot_how(s) & OWN__HOW_KIND) ==
			OWN__HOW_WHOLE || own_i_map_versioned(gate))
		return 0;
	/* relaxed: the same for all that detach the entry from this map, and
	 * none is left when it can be in another one */
	own__store(gate_of(word), gate, OWN__RELAXED);
	r = own_i_gate_count(gate, OWN_I_IS);
	*ret = r ? 0 : OWN__DETACHED_GATED;
	return r;
}

int
own__shared_detach(const void *object, uint64_t how, uint64_t *ret_how)
{
	static const char verb[] = "own_shared_detach";
	struct own_i_record *self;
	struct own_i_slot s;
	unsigned flags;
	uint64_t *word;
	int r;

	own_require(object, "own_shared_detach: empty handle", NULL);
	*ret_how = how;
	if ((how & OWN__HOW_KIND) == OWN__HOW_DETACHED ||
			(how & OWN__HOW_KIND) == OWN__HOW_PUBLISHED)
		return 0;
	self = own_i_self_or_fault(verb, how);
	s = own_i_slot_of(self, how, verb);
	word = own_i_slot_word(s);
	r = detach_gate(s, word, &flags);
	if (r)
		return r;
	switch (how & OWN__HOW_KIND) {
	case OWN__HOW_HOLD:
		if (own__bug(OWN_BUG_DETACH_ORDER)) {
			own_i_slot_set(s, 0);
			(void)own_i_word_count(word);
			break;
		}
		/* V2: the count, then the slot */
		r = own_i_word_count(word);
		if (r) {
			if (flags == OWN__DETACHED_GATED)
				own_i_gate_leave(OWN_I_GATE(
						own_i_slot_container(s)),
						OWN_I_IS);
			return r;
		}
		own_i_slot_set(s, 0);
		break;
	case OWN__HOW_COUNTED:
		own_i_slot_free(s);
		break;
	case OWN__HOW_WHOLE:
		own_require(own_i_slot_container(s) & OWN_I_S,
				"own_shared_detach: not a shared handle", NULL);
		/* what is counted at the gate stays there */
		flags = OWN__DETACHED_WHOLE;
		own_i_slot_free(s);
		break;
	default:
		own__fault_handle(verb, ": not a shared handle", how, NULL);
	}
	*ret_how = OWN__HOW_DETACHED | (uint64_t)(uintptr_t)word << 16 | flags;
	return 0;
}

void
own__unique_downgrade(void *object, uint64_t how, const struct own_site *site,
		uint64_t *ret_how)
{
	static const char verb[] = "own_unique_downgrade";
	int detached = (how & OWN__HOW_KIND) == OWN__HOW_DETACHED_UNIQUE;
	struct own_i_lone_slot lone;
	struct own_i_record *self;
	struct own_i_slot s;
	uint64_t *word, kind;

	own_require(object, "own_unique_downgrade: empty handle", site);
	own_require((how & OWN__HOW_KIND) != OWN__HOW_OWNED,
			"own_unique_downgrade: an owned object has no readers",
			site);
	s = unique_slot(how, verb, &lone, &self);
	object = own_i_slot_whole(s);
	kind = own_i_slot_how(s) & OWN__HOW_KIND;
	/* relaxed: for reports */
	own__store(&s.meta->site, site, OWN__RELAXED);
	if (kind == OWN__HOW_WHOLE) {
		own_i_whole_downgrade(detached ? own_i_this : self, s, site);
	} else if (kind != OWN__HOW_DRAFT && kind != OWN__HOW_MADE) {
		own_require(kind == OWN__HOW_UNIQUE || kind == OWN__HOW_GATED,
				"own_unique_downgrade: not a unique handle",
				site);
		word = own_i_slot_word(s);
		own_i_slot_kind(s, OWN__HOW_COUNTED);
		own_i_word_unwriter(word, 1, OWN__COUNT_ONE, 0);
		if (own_i_slot_container(s) & OWN_I_MAP)
			own_i_gate_weaken(s);
	} else if (own_i_slot_container(s) & OWN_I_MAP) {
		own_i_map_commit(self, s, 1);
	} else if (detached) {
		/* by count, before anybody can see it */
		own_i_header(object)->word += OWN__COUNT_ONE;
		own_i_cell_commit(self, s, NULL);
		own_i_slot_store(s, (uintptr_t)&own_i_header(object)->word |
				OWN__NOTE);
	} else {
		own_i_cell_commit(self, s, object);
	}
	*ret_how = detached ? own_i_detached_shared(s) : own_i_slot_how(s);
}

/* From the whole object to the whole object; in place by the same slot. */
static int
upgrade_try(struct own_i_record *self, struct own_i_slot s, void *whole,
		const struct own_site *site, void **ret, uint64_t *ret_how)
{
	uint64_t *word = own_i_slot_word(s);
	uintptr_t container = own_i_slot_container(s);
	int r;

	if ((own_i_slot_how(s) & OWN__HOW_KIND) == OWN__HOW_WHOLE)
		r = own_i_gate_upgrade_all_try(self, s);
	else if (container & OWN_I_MAP)
		return own_i_map_upgrade_try(self, s, whole, site, ret,
				ret_how);
	else if (is_version(word, container))
		return own_i_cell_upgrade_try(self, s, whole, site, ret,
				ret_how);
	else
		r = own_i_word_upgrade_try(self, s, word);
	if (r)
		return r;
	/* relaxed: for reports */
	own__store(&s.meta->site, site, OWN__RELAXED);
	*ret = whole;
	*ret_how = own_i_slot_how(s);
	return 0;
}

int
own__shared_upgrade_try(const void *object, uint64_t how,
		const struct own_site *site, void **ret, uint64_t *ret_how)
{
	static const char verb[] = "own_shared_upgrade_try";
	uint64_t kind = how & OWN__HOW_KIND;
	struct own_i_record *self;
	struct own_i_slot s;
	uintptr_t at;
	void *whole;
	int r;

	own_require(object, "own_shared_upgrade_try: empty handle", site);
	if (kind == OWN__HOW_DETACHED || kind == OWN__HOW_PUBLISHED)
		return -EINVAL;
	self = own_i_self_or_fault(verb, how);
	s = own_i_slot_of(self, how, verb);
	own_require((OWN_I_KIND(kind) & OWN_I_READS) ||
			(kind == OWN__HOW_WHOLE &&
			 (own_i_slot_container(s) & OWN_I_S)),
			"own_shared_upgrade_try: not a shared handle", site);
	whole = own_i_slot_whole(s);
	/* where the part is; there is another one in a draft, but not of what
	 * lies outside */
	at = (uintptr_t)object - (uintptr_t)whole;
	if (at && kind != OWN__HOW_WHOLE && at >= own__size(whole) &&
			is_version(own_i_slot_word(s),
				own_i_slot_container(s)))
		return -EINVAL;
	r = upgrade_try(self, s, whole, site, ret, ret_how);
	if (!r)
		*ret = (void *)((uintptr_t)*ret + at);
	return r;
}

void
own__expect(const void *object, uint64_t how, const struct own_type *type)
{
	const void *whole;

	own_require(object, "empty handle used", NULL);
	whole = own_i_whole_of(how, "get or edit");
	if (!type)
		return;
	own_require(!own_i_type_differs(own_i_type(own_i_header(whole)), type),
			"handle used as another type", NULL);
	own_require(object == whole, "handle of a part used as the whole",
			NULL);
}
