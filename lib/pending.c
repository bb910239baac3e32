/* SPDX-License-Identifier: MIT */
/*
 * pending.c - what is retired and not yet freed, how old, and who holds it
 *
 * The list of what is held is taken out of its batch, as a scan does, so that
 * nobody frees what is looked at; scanning is raised meanwhile, so a barrier
 * waits (B1 in reclaim.c). While a scan has the list, the oldest of the scan
 * before stands in for it: an address, which is not followed, and believed if
 * a slot still names it. Nothing here allocates, locks or uses stdio.
 */
#include <string.h>

#include "lib/reclaim-internal.h"

/* Into its place among the oldest; NULL: it is none of them. */
static struct own_pending *
pending_add(struct own_pending *ret, size_t max, size_t *n, uint64_t age_ns)
{
	size_t i = *n;

	if (i == max && (!max || ret[max - 1].age_ns >= age_ns))
		return NULL;
	if (i == max)
		i--;
	else
		++*n;
	for (; i && ret[i - 1].age_ns < age_ns; i--)
		ret[i] = ret[i - 1];
	memset(&ret[i], 0, sizeof(ret[i]));
	ret[i].age_ns = age_ns;
	return &ret[i];
}

static uint64_t
age_of(uint64_t now, uint64_t since_ns)
{
	return now > since_ns ? now - since_ns : 1;
}

/* In whose batch it waits; that of a thread that has ended is nobody's. */
static void
pending_unheld(struct own_pending *ret, const struct own_i_record *of,
		uintptr_t word)
{
	own_i_party(&ret->holder, of, NULL, "to be scanned", word);
	/* relaxed: a report of what other threads do */
	if (!own__load(&of->used, OWN__RELAXED)) {
		ret->holder.tid = 0;
		ret->holder.thread[0] = '\0';
	}
}

/* The first slot that names it; 0: none does. Follows no address. */
static int
pending_slot(struct own_party *ret, uintptr_t word)
{
	OWN_I_EACH_RECORD(record) {
		uint64_t how;
		struct own__slot *slot = own_i_slot_find(record,
				(const uint64_t *)word, ~0u, NULL, &how);

		if (!slot)
			continue;
		own_i_party(ret, record, slot, own_i_mode(how), word);
		return 1;
	}
	return 0;
}

/* An object that the caller has taken out of its batch. */
static void
pending_object(struct own_pending *ret, const struct own_i_record *of,
		const struct own__header *object)
{
	uintptr_t word = (uintptr_t)&object->word;

	if (pending_slot(&ret->holder, word)) {
		ret->is_held = 1;
	/* relaxed: a report of what other threads do */
	} else if (own__load(&object->word, OWN__RELAXED) & OWN__COUNT_MASK) {
		ret->is_held = 1;
		ret->holder.address = &object->word;
		ret->holder.mode = "shared (detached)";
	} else {
		pending_unheld(ret, of, word);
	}
	ret->holder.object = own_i_type(object)->name;
	ret->bytes = own_i_object_bytes(object);
}

/* What is kept in a batch; 0: nothing, or somebody has taken it out. */
static int
pending_kept(struct own_i_record *of, uint64_t now, struct own_pending *ret,
		size_t max, size_t *n)
{
	struct own_i_batch *batch = &of->batch;
	struct own__header *list;
	struct own_pending *added;
	uint64_t age_ns = 0;

	scan_begin(batch);
	list = list_take(&batch->kept);
	for (struct own__header *o = list; o; o = link_get(o)) {
		struct own_i_stamp *stamp = stamp_of(batch, o);

		if (stamp) {
			age_ns = age_of(now, stamp->since_ns);
			continue;
		}
		added = pending_add(ret, max, n, age_ns);
		/* who has it is asked for those that remain */
		if (added)
			added->holder.address = o;
	}
	for (size_t i = 0; i < *n; i++)
		if (!ret[i].holder.mode)
			pending_object(&ret[i], of, ret[i].holder.address);
	if (list)
		list_put(&batch->kept, list, list_last(list), 0);
	scan_end(batch);
	return list != NULL;
}

/* The oldest that a scan had found, while another one has it. */
static void
pending_scanned(struct own_i_batch *batch, uint64_t now,
		struct own_pending *ret, size_t max, size_t *n)
{
	/* acquire: pairs with oldest_note() */
	uintptr_t word = own__load(&batch->oldest, OWN__ACQUIRE);
	uint64_t since = own__load(&batch->oldest_ns, OWN__ACQUIRE);
	struct own_pending *added;
	struct own_party holder;

	/* relaxed: a hint; the loads before stay before */
	if (!word || own__load(&batch->oldest, OWN__RELAXED) != word ||
			!own__load(&batch->scanning, OWN__RELAXED) ||
			!pending_slot(&holder, word))
		return;
	added = pending_add(ret, max, n, age_of(now, since));
	if (!added)
		return;
	added->is_held = 1;
	added->holder = holder;
}

size_t
own_reclaim_oldest(struct own_pending *ret, size_t pending_max)
{
	uint64_t now = own_now_ns();
	size_t n = 0;

	OWN_I_EACH_RECORD(record) {
		struct own_i_batch *batch = &record->batch;
		struct own_pending *added = NULL;

		/* relaxed, all: ages are not exact */
		if (!own__load(&batch->kept, OWN__RELAXED) ||
				!pending_kept(record, now, ret, pending_max,
					&n))
			pending_scanned(batch, now, ret, pending_max, &n);
		if (own__load(&batch->head, OWN__RELAXED))
			added = pending_add(ret, pending_max, &n, age_of(now,
					own__load(&batch->since_ns,
						OWN__RELAXED)));
		if (added)
			pending_unheld(added, record, 0);
	}
	return n;
}
