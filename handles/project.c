/* SPDX-License-Identifier: MIT */
/*
 * project.c - handles that name a part of what they hold
 *
 * A handle's object is what its user gets; which object that is, or is a part
 * of, follows from how alone: by its slot, or by the word in it. So every verb
 * asks here for the whole, and none of the fast paths knows of parts.
 */
#include "handles/internal.h"

static void *
whole_of_detached(uint64_t how)
{
	uint64_t *word = own_i_how_word(how);

	switch (how & OWN__HOW_SLOT) {
	case OWN__DETACHED_WHOLE:
		return word;
	case OWN__DETACHED_CELL:
		return own_i_cells_payload(word);
	default:
		return own_i_payload((struct own__header *)word);
	}
}

void *
own_i_slot_whole(struct own_i_slot s)
{
	uint64_t *word = own_i_slot_word(s);
	uintptr_t container = own_i_slot_container(s);

	switch (own_i_slot_how(s) & OWN__HOW_KIND) {
	case OWN__HOW_WHOLE:
		return word;
	case OWN__HOW_DRAFT:
		return container & OWN_I_MAP ? own_i_payload(s.meta->draft)
			: ((struct own_cell *)container)->draft;
	default:
		return own_i_is_cells(word, container) ?
			own_i_cells_payload(word)
			: own_i_payload((struct own__header *)word);
	}
}

/* Of a handle without a slot. */
static void *
whole_of_slotless(uint64_t how)
{
	struct own_i_lone_slot lone;

	switch (how & OWN__HOW_KIND) {
	case OWN__HOW_DETACHED:
		return whole_of_detached(how);
	case OWN__HOW_DETACHED_UNIQUE:
		return own_i_slot_whole(own_i_detached_slot(how, &lone));
	default:
		return own_i_owned(how);
	}
}

static int
is_slotless(uint64_t how)
{
	return (OWN_I_KIND(how & OWN__HOW_KIND) & OWN_I_SLOTLESS) != 0;
}

void *
own_i_whole_of(uint64_t how, const char *verb)
{
	if (is_slotless(how))
		return whole_of_slotless(how);
	return own_i_slot_whole(own_i_slot_of(own_i_self_or_fault(verb, how),
			how, verb));
}

void *
own__whole(const void *object, uint64_t how)
{
	return object ? own_i_whole_of(how, "own_whole") : NULL;
}

/* What a stale or foreign handle names is told by the verb that comes next. */
const void *
own__tsan_whole(const void *object, uint64_t how)
{
	if (!object || (!is_slotless(how) && !own_i_slot_is(own_i_this, how)))
		return object;
	return own_i_whole_of(how, NULL);
}

void
own__project(const void *object, uint64_t how, const void *part, int unique)
{
	const char *verb = unique ? "own_unique_project" : "own_shared_project";

	own_require(object, unique ? "own_unique_project: empty handle"
			: "own_shared_project: empty handle", NULL);
	if (OWN__UNLIKELY(!part))
		own__fault_handle(verb, ": no part", how, NULL);
	if (OWN__UNLIKELY(own_i_is_map(how)))
		own__fault_handle(verb, ": a whole map has no payload", how,
				NULL);
	if (!is_slotless(how))
		(void)own_i_slot_of(own_i_self_or_fault(verb, how), how, verb);
}
