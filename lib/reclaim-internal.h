/* SPDX-License-Identifier: MIT */
/*
 * reclaim-internal.h - the lists of a batch, for reclaim.c and pending.c
 *
 * B1, B3 and the link: reclaim.c
 */
#ifndef OWN_RECLAIM_INTERNAL_H
#define OWN_RECLAIM_INTERNAL_H

#include "handles/internal.h"

#define LINK_LOW	UINT64_C(0xffffffff00000000)
#define LINK_HIGH	UINT64_C(0xffff000000000000)

static inline struct own__header *
link_get(const struct own__header *object)
{
	/* relaxed: linked objects belong to whoever has the list (B1) */
	uint64_t word = own__load(&object->word, OWN__RELAXED);
	uint64_t type = own__load(&object->type, OWN__RELAXED);

	return (struct own__header *)(uintptr_t)(((type >> 48) << 32 |
			word >> 32) << 4);
}

static inline void
link_set(struct own__header *object, const struct own__header *next,
		uint32_t flags)
{
	uint64_t link = (uint64_t)(uintptr_t)next >> 4;
	/* relaxed: only a first guess for the CAS */
	uint64_t w = own__load(&object->word, OWN__RELAXED), linked;

	/* relaxed: holders read the lower 48 bits, which stay */
	own__store(&object->type, (own__load(&object->type, OWN__RELAXED) &
			~LINK_HIGH) | (link >> 32) << 48, OWN__RELAXED);
	/* V1: DEAD comes with the first link. The heavy fence of the scan
	 * follows; seq_cst: for the fallback, with the loads of the scan */
	do
		linked = (w & ~LINK_LOW) | link << 32 | flags;
	while (w != linked && !own__cas(&object->word, &w, linked,
			OWN__SEQ_CST));
}

/* B1: from first to last, which are linked already, onto the list. */
static inline void
list_put(struct own__header **list, struct own__header *first,
		struct own__header *last, uint32_t flags)
{
	/* relaxed: only a first guess for the CAS */
	struct own__header *head = own__load(list, OWN__RELAXED);

	do
		link_set(last, head, flags);
	/* B1: release, pairs with list_take() */
	while (!own__cas(list, &head, first, OWN__RELEASE));
}

static inline struct own__header *
list_take(struct own__header **list)
{
	/* B1: acquire, pairs with list_put() */
	return own__xchg(list, NULL, OWN__ACQUIRE);
}

/* relaxed: a hint, empty lists need no scan */
static inline int
batch_any(struct own_i_batch *batch)
{
	return own__load(&batch->head, OWN__RELAXED) ||
		own__load(&batch->kept, OWN__RELAXED);
}

/* The last of a list that is not empty. */
static inline struct own__header *
list_last(struct own__header *list)
{
	for (struct own__header *next; (next = link_get(list)); list = next)
		;
	return list;
}

static inline struct own_i_stamp *
stamp_of(struct own_i_batch *batch, struct own__header *object)
{
	uintptr_t at = (uintptr_t)object - (uintptr_t)batch->stamp;

	return at < sizeof(batch->stamp) ? (struct own_i_stamp *)object : NULL;
}

/* B1: raised before the list is taken, for own_barrier(). */
static inline void
scan_begin(struct own_i_batch *batch)
{
	(void)own__add(&batch->scanning, 1, OWN__SEQ_CST);
}

static inline void
scan_end(struct own_i_batch *batch)
{
	/* B1: release, pairs with own_barrier() */
	if (own__add(&batch->scanning, -1, OWN__ACQ_REL) == 1)
		own_i_futex_wake(&batch->scanning, OWN_I_ALL,
				OWN_I_FUTEX_ANY);
}

#endif
