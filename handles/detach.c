/* SPDX-License-Identifier: MIT */
/*
 * detach.c - unique handles without a slot, and whole structures' handles
 *
 * A detached unique handle is known by WRITER in its word alone, or by the
 * gate: IX counted for an entry, X for the whole. Its handle says what it is;
 * to end it, a slot is made of that, which no other thread sees.
 */
#include "handles/internal.h"

/* In the handle's SLOT bits: the kind it had, and whether it is of a map. */
#define IS_ENTRY	UINT64_C(0x10)
#define KIND_HAD	UINT64_C(0xf)

static uint64_t
slotless(uint64_t kind, const uint64_t *word, int entry)
{
	return OWN__HOW_DETACHED_UNIQUE | (uint64_t)(uintptr_t)word << 16 |
		kind >> 12 | (entry ? IS_ENTRY : 0);
}

int
own__unique_detach(void *object, uint64_t how, uint64_t *ret_how)
{
	static const char verb[] = "own_unique_detach";
	uint64_t kind = how & OWN__HOW_KIND, *word, *gate;
	struct own__header *header;
	struct own_i_slot s;
	uintptr_t container;
	int entry, r;

	own_require(object, "own_unique_detach: empty handle", NULL);
	*ret_how = how;
	if (kind == OWN__HOW_OWNED || kind == OWN__HOW_DETACHED_UNIQUE)
		return 0;
	s = own_i_slot_of(own_i_self_or_fault(verb, how), how, verb);
	if (!(OWN_I_KIND(kind) & OWN_I_WRITES) && kind != OWN__HOW_WHOLE)
		own__fault_handle(verb, ": not a unique handle", how, NULL);
	word = own_i_slot_word(s);
	container = own_i_slot_container(s);
	entry = (container & OWN_I_MAP) && kind != OWN__HOW_WHOLE;
	*ret_how = slotless(kind == OWN__HOW_GATED ? OWN__HOW_UNIQUE : kind,
			word, entry);
	if (entry) {
		gate = OWN_I_GATE(container);
		if (own__bug(OWN_BUG_UNIQUE_DETACH_EARLY))
			own__store(&s.meta->container, (uintptr_t)gate |
					OWN_I_MAP, OWN__RELEASE);
		/* G2: counted, and then the slot's mode may go */
		if (!(container & OWN_I_GATED)) {
			r = own_i_gate_count(gate, OWN_I_IX);
			if (r) {
				*ret_how = how;
				return r;
			}
		}
		header = (struct own__header *)word;
		if (kind == OWN__HOW_DRAFT) {
			/* relaxed: of WRITER's owner; no handle of a version
			 * is counted at the gate and looks here */
			own__store(&own_i_prefix(header)->gate,
					(uint64_t *)s.meta->draft,
					OWN__RELAXED);
			header = s.meta->draft;
		}
		/* relaxed: as detach_gate() in handle.c */
		own__store(&own_i_prefix(header)->gate, gate, OWN__RELAXED);
		/* release: after the count, as own_i_gate_upgraded() */
		own__store(&s.meta->container, (uintptr_t)gate | OWN_I_MAP,
				OWN__RELEASE);
	}
	own_i_slot_free(s);
	return 0;
}

int
own_i_is_map(uint64_t how)
{
	uint64_t kind = how & OWN__HOW_KIND;

	return kind == OWN__HOW_DETACHED ?
		(how & OWN__HOW_SLOT) == OWN__DETACHED_WHOLE
		: kind == OWN__HOW_DETACHED_UNIQUE ?
		(how & KIND_HAD) << 12 == OWN__HOW_WHOLE
		: kind == OWN__HOW_WHOLE;
}

struct own_i_slot
own_i_detached_slot(uint64_t how, struct own_i_lone_slot *lone)
{
	uint64_t *gate, *word = own_i_how_word(how);
	uint64_t kind = (how & KIND_HAD) << 12;
	struct own__header *entry;
	struct own_i_slot s = { .object = &lone->object, .meta = &lone->slot };

	*lone = (struct own_i_lone_slot) {
		.object = (uintptr_t)word | OWN__NOTE,
		.slot.how = kind,
	};
	if (kind == OWN__HOW_WHOLE) {
		lone->slot.container = (uintptr_t)word | OWN_I_MAP | OWN_I_X;
	} else if (how & IS_ENTRY) {
		/* relaxed, both: set before this handle left its thread */
		entry = (struct own__header *)word;
		gate = own__load(&own_i_prefix(entry)->gate, OWN__RELAXED);
		if (kind == OWN__HOW_DRAFT) {
			entry = (struct own__header *)gate;
			lone->slot.draft = entry;
			gate = own__load(&own_i_prefix(entry)->gate,
					OWN__RELAXED);
		}
		lone->slot.container = (uintptr_t)gate | OWN_I_MAP |
			OWN_I_IX | OWN_I_GATED;
		if (kind == OWN__HOW_UNIQUE)
			lone->slot.how = OWN__HOW_GATED;
	} else {
		lone->slot.container = (uintptr_t)word -
			offsetof(struct own_cell, word);
	}
	return s;
}

/*
 * The shared handle that a downgrade left in such a slot, without one. It has
 * been counted; as an entry, at the gate too (IS).
 */
uint64_t
own_i_detached_shared(struct own_i_slot s)
{
	uint64_t *word = own_i_slot_word(s);
	uintptr_t container = own_i_slot_container(s);
	uint64_t flags = 0;

	if ((own_i_slot_how(s) & OWN__HOW_KIND) == OWN__HOW_WHOLE) {
		flags = OWN__DETACHED_WHOLE;
	} else if (container & OWN_I_MAP) {
		/* a version does not bar who asks for the whole */
		if (own_i_map_versioned(OWN_I_GATE(container)))
			own_i_gate_leave(OWN_I_GATE(container), OWN_I_IS);
		else
			flags = OWN__DETACHED_GATED;
	} else if (own_i_is_cells(word, container)) {
		flags = OWN__DETACHED_CELL;
	}
	return OWN__HOW_DETACHED | (uint64_t)(uintptr_t)word << 16 | flags;
}

/* ---- the whole ---- */

/* X becomes S: nobody else can come between. */
void
own_i_whole_downgrade(struct own_i_record *self, struct own_i_slot s,
		const struct own_site *site)
{
	uintptr_t container = own_i_slot_container(s);

	own_require(container & OWN_I_X, "own_unique_downgrade: not a unique "
			"handle", site);
	/* G4: S beside one's own IX could never have been had */
	own_require(!self || !own_i_slot_find_mode(self, OWN_I_GATE(container),
			OWN_I_IX, s.meta, NULL), "own_unique_downgrade of a "
			"whole map, while this thread has a unique handle of "
			"an entry", site);
	own__store(&s.meta->container, (container & ~OWN_I_X) | OWN_I_S,
			OWN__RELEASE);
	own_i_gate_weaken_whole(OWN_I_GATE(container));
}

int
own_i_whole_clone(struct own_i_record *self, struct own_i_slot from,
		const struct own_site *site, uint64_t *ret_how)
{
	uintptr_t container = own_i_slot_container(from);
	uint64_t *gate = OWN_I_GATE(container);
	struct own_i_slot s;
	int r;

	own_require(container & OWN_I_S, "own_shared_clone: not a shared "
			"handle", site);
	r = own_i_slot_take(self, (void *)container, site, &s);
	if (r)
		return r;
	r = own_i_gate_count(gate, OWN_I_S);
	if (r) {
		own_i_slot_free(s);
		return r;
	}
	own_i_slot_kind(s, OWN__HOW_WHOLE);
	own_i_slot_store(s, (uintptr_t)gate | OWN__NOTE);
	*ret_how = own_i_slot_how(s);
	return 0;
}
