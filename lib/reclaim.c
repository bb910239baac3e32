/* SPDX-License-Identifier: MIT */
/*
 * reclaim.c - batches and scans; contract in own/reclaim.h
 *
 * Invariants (model/spin/versioned.pml)
 *   V1  An object is unlinked, then marked DEAD, then (heavy fence) looked for
 *       in the slots, then, only then, its count is looked at.
 *   V2  Protection moves from a slot to the count, never back (handle.c).
 *   V3  A clone looks at DEAD after it has stored its slot (handle.c).
 *   B1  A batch is a list that is pushed to by compare-and-swap and taken
 *       whole by exchange, so no link is read of a list that others change
 *       (Treiber 1986, without a pop). A scan takes it, with scanning raised,
 *       and puts back what is still held.
 *   B2  fini runs with no lock held.
 *
 * The link of a batch is in the header of a DEAD object, which needs neither
 * the counted reads (upper half of the word) nor the upper 16 bits of the type
 * pointer: 48 bits, the address shifted right by 4.
 *
 * Pairs
 *   V1  own_i_retire (CAS on the word), scan (heavy fence, loads of slots) <->
 *       share, clone (store of the slot, light fence, load): S1 in slots.c
 *   V2  own_i_word_uncount (release) -> scan (load of the word, acquire)
 *   S2  release of a slot -> scan (load of the slot, acquire)
 *   B1  push (CAS, release) -> list_take (exchange, acquire): the links
 */
#include <stdlib.h>

#include "handles/internal.h"

#define LINK_LOW	UINT64_C(0xffffffff00000000)
#define LINK_HIGH	UINT64_C(0xffff000000000000)
#define HELD_MAX	256u		/* slots looked at in one pass */
#define STALL_EVERY_NS	UINT64_C(1000000000)

/* weak: absent without LeakSanitizer */
extern void __lsan_ignore_object(const void *p) __attribute__((weak));

static uint64_t limit = UINT64_C(64) << 20;
static uint64_t stalled_ns;

/* ---- the link ---- */

static struct own__header *
link_get(const struct own__header *object)
{
	/* relaxed: linked objects belong to whoever has the list (B1) */
	uint64_t word = own__load(&object->word, OWN__RELAXED);
	uint64_t type = own__load(&object->type, OWN__RELAXED);

	return (struct own__header *)(uintptr_t)(((type >> 48) << 32 |
			word >> 32) << 4);
}

static void
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

/* ---- scan ---- */

static int
by_address(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return x < y ? -1 : x > y;
}

/* The slots of one pass, sorted; n is 0 for a look at the counts. */
struct held {
	uintptr_t word[HELD_MAX];
	unsigned n;
};

/* By bisection: what is looked for is nearly always absent. */
static int
is_listed(const struct held *held, uintptr_t key)
{
	unsigned low = 0, high = held->n;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (held->word[middle] < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low < held->n && held->word[low] == key;
}

static int
is_held(struct own__header *object, const struct held *held)
{
	if (held)
		return is_listed(held, (uintptr_t)&object->word);
	/* V2: acquire, pairs with own_i_word_uncount() */
	return (own__load(&object->word, OWN__ACQUIRE) & OWN__COUNT_MASK) != 0;
}

/* Moves what is held, in those slots or by its count, over to *kept. */
static void
keep(struct own__header **list, struct own__header **kept,
		struct held *held)
{
	struct own__header *object, *next, *before = NULL;

	if (held)
		qsort(held->word, held->n, sizeof(held->word[0]), by_address);
	for (object = *list; object; object = next) {
		next = link_get(object);
		if (!is_held(object, held)) {
			before = object;
			continue;
		}
		if (before)
			link_set(before, next, 0);
		else
			*list = next;
		link_set(object, *kept, 0);
		*kept = object;
	}
	if (held)
		held->n = 0;
}

/*
 * Splits *list into what somebody holds (*kept) and what nobody does. Slots
 * are read once each, HELD_MAX at a time, so a scan needs no memory.
 */
static void
scan(struct own__header **list, struct own__header **kept)
{
	struct held held = { .n = 0 };

	if (own__bug(OWN_BUG_RETIRE_NO_SCAN))
		return;
	if (!own__bug(OWN_BUG_SCAN_NO_MEMBARRIER))
		own_i_heavy_fence();
	if (own__bug(OWN_BUG_DEAD_LATE))
		for (struct own__header *o = *list; o; o = link_get(o))
			(void)own__or(&o->word, OWN__DEAD, OWN__RELAXED);
	if (own__bug(OWN_BUG_COUNT_FIRST))
		keep(list, kept, NULL);
	if (!own__bug(OWN_BUG_NO_GRACE))
		OWN_I_EACH_RECORD(record)
			for (unsigned i = 0; i < OWN_I_PATHS; i++) {
				/* S1, S2: seq_cst, for the fallback */
				uintptr_t object = own__load(&record->path[i],
						OWN__SEQ_CST);

				if (object)
					held.word[held.n++] = object;
				if (held.n == HELD_MAX)
					keep(list, kept, &held);
			}
	OWN_I_EACH_RECORD(record)
		OWN_I_EACH_BLOCK(b, record)
			/* backwards, as in the model; V3 holds either way */
			for (unsigned i = OWN__SLOTS; i-- > 0; ) {
				/* S1, S2: seq_cst, for the fallback */
				uintptr_t object = own__load(&b->s.object[i],
						OWN__SEQ_CST);

				if (!object)
					continue;
				held.word[held.n++] = object & ~OWN__NOTE;
				if (held.n == HELD_MAX)
					keep(list, kept, &held);
			}
	if (held.n)
		keep(list, kept, &held);
	if (!own__bug(OWN_BUG_COUNT_FIRST))
		keep(list, kept, NULL);
}

/* ---- batches ---- */

/* This thread's own figures; release, pairs with own_reclaim_stats(). */
static void
tally(uint64_t *figure, uint64_t n)
{
	/* relaxed: written by this thread alone */
	own__store(figure, own__load(figure, OWN__RELAXED) + n, OWN__RELEASE);
}

/* B1: from first to last, which are linked already, onto the batch. */
static void
list_put(struct own_i_batch *batch, struct own__header *first,
		struct own__header *last, uint32_t flags)
{
	/* relaxed: only a first guess for the CAS */
	struct own__header *head = own__load(&batch->head, OWN__RELAXED);

	do
		link_set(last, head, flags);
	/* B1: release, pairs with list_take() */
	while (!own__cas(&batch->head, &head, first, OWN__RELEASE));
}

static struct own__header *
list_take(struct own_i_batch *batch)
{
	/* B1: acquire, pairs with list_put() */
	return own__xchg(&batch->head, NULL, OWN__ACQUIRE);
}

static uint64_t
free_list(struct own_i_record *self, struct own__header *list)
{
	uint64_t n = 0, bytes = 0;
	struct own__header *next;

	self->in_fini++;
	for (; list; list = next, n++) {
		next = link_get(list);
		bytes += own_i_object_bytes(list);
		own_i_object_free(own_i_payload(list));
	}
	self->in_fini--;
	tally(&self->freed, n);
	tally(&self->freed_bytes, bytes);
	return n;
}

/* B1: raised before the list is taken, for own_barrier(). */
static void
scan_begin(struct own_i_batch *batch)
{
	(void)own__add(&batch->scanning, 1, OWN__SEQ_CST);
}

static void
scan_end(struct own_i_batch *batch)
{
	/* B1: release, pairs with own_barrier() */
	if (own__add(&batch->scanning, -1, OWN__ACQ_REL) == 1)
		own_i_futex_wake(&batch->scanning, OWN_I_ALL,
				OWN_I_FUTEX_ANY);
}

/*
 * Scans the batch of one record, this thread's or another's. Returns how many
 * objects were freed; *ret_kept, how many are still held.
 */
static uint64_t
batch_scan(struct own_i_record *self, struct own_i_record *of,
		uint64_t *ret_kept)
{
	struct own_i_batch *batch = &of->batch;
	struct own__header *list, *kept = NULL, *last = NULL;
	uint64_t freed, bytes = 0, n = 0;

	scan_begin(batch);
	list = list_take(batch);
	if (list) {
		tally(&self->scans, 1);
		scan(&list, &kept);
	}
	for (struct own__header *o = kept; o; o = link_get(o), n++) {
		bytes += own_i_object_bytes(o);
		last = o;
	}
	/* relaxed: for statistics and the limit */
	own__store(&of->batch.kept_bytes, bytes, OWN__RELAXED);
	if (kept)
		list_put(batch, kept, last, 0);
	freed = free_list(self, list);
	scan_end(batch);
	*ret_kept = n;
	return freed;
}

/* Above the limit: who holds up one of them, at most once a second. */
static void
tell_stall(struct own_i_record *self, uint64_t bytes)
{
	uint64_t now = own_now_ns();
	/* relaxed: losing a report to another thread is fine */
	uint64_t last = own__load(&stalled_ns, OWN__RELAXED);
	struct own_i_record *holder = NULL;
	struct own__slot *slot = NULL;
	struct own__header *list, *oldest;

	if (now - last < STALL_EVERY_NS ||
			!own__cas(&stalled_ns, &last, now, OWN__RELAXED))
		return;
	/* taken out, so that nobody frees them meanwhile: as a scan does */
	scan_begin(&self->batch);
	list = list_take(&self->batch);
	for (oldest = list; oldest && link_get(oldest); )
		oldest = link_get(oldest);
	if (!oldest)
		goto end;
	OWN_I_EACH_RECORD(record)
		if (!slot) {
			slot = own_i_slot_find(record, &oldest->word,
					OWN_I_READS, NULL, NULL);
			holder = slot ? record : NULL;
		}
	own_i_stall_retired(bytes, holder, slot, oldest);
	list_put(&self->batch, list, oldest, 0);
end:
	scan_end(&self->batch);
}

/*
 * LeakSanitizer does not see a link that is shifted: what waits in a batch when
 * the program ends is no leak.
 */
static void
not_leaked(struct own__header *object)
{
#ifndef OWN_MODEL
	if (__lsan_ignore_object)
		__lsan_ignore_object(object);
#else
	(void)object;
#endif
}

static uint64_t
bytes_kept(void)
{
	uint64_t bytes = 0;

	OWN_I_EACH_RECORD(record)
		/* relaxed: a limit that need not be exact */
		bytes += own__load(&record->batch.kept_bytes, OWN__RELAXED);
	return bytes;
}

void
own_i_retire_to(struct own_i_record *self, struct own_i_record *of,
		void *payload)
{
	struct own__header *object = own_i_header(payload);

	tally(&self->retired, 1);
	tally(&self->retired_bytes, own_i_object_bytes(object));
	not_leaked(object);
	/* V1: unlinked already; DEAD before the fence of the scan */
	list_put(&of->batch, object, object, own__bug(OWN_BUG_DEAD_LATE) ? 0
			: OWN__DEAD);
}

void
own_i_retire(struct own_i_record *self, void *payload)
{
	struct own_i_batch *batch = &self->batch;
	uint64_t bytes = own_i_object_bytes(own_i_header(payload)), kept;

	batch->fresh_objects++;
	batch->fresh_bytes += bytes;
	own_i_retire_to(self, self, payload);
	/* from within a fini it queues, and does not recurse (p. 32) */
	if (self->in_fini || (batch->fresh_objects < OWN_I_BATCH_OBJECTS &&
			batch->fresh_bytes < OWN_I_BATCH_BYTES &&
			!self->above_limit))
		return;
	batch->fresh_objects = 0;
	batch->fresh_bytes = 0;
	(void)batch_scan(self, self, &kept);
	bytes = bytes_kept();
	/* relaxed: it need not be exact */
	self->above_limit = bytes > own__load(&limit, OWN__RELAXED);
	if (self->above_limit)
		tell_stall(self, bytes);
}

void
own_i_reclaim_exit(struct own_i_record *self)
{
	uint64_t kept;

	/* what is still held stays with the record, for its next thread or
	 * for own_reclaim() */
	if (own__load(&self->batch.head, OWN__RELAXED))
		(void)batch_scan(self, self, &kept);
}

/* ---- public ---- */

int64_t
own_reclaim(uint64_t budget_ns)
{
	struct own_i_record *self = own_i_self();
	uint64_t end, kept, freed = 0;

	if (!self)
		return -ENOMEM;
	if (self->in_fini)
		return -EDEADLK;
	end = own_deadline_ns(budget_ns);
	OWN_I_EACH_RECORD(record) {
		/* relaxed: a hint */
		if (!own__load(&record->batch.head, OWN__RELAXED))
			continue;
		freed += batch_scan(self, record, &kept);
		if (own_now_ns() >= end)
			break;
	}
	return (int64_t)freed;
}

static void
scans_await(struct own_i_batch *batch)
{
	uint32_t seen;

	/* B1: acquire, pairs with scan_end() */
	while ((seen = own__load(&batch->scanning, OWN__ACQUIRE)) != 0)
		(void)own_i_futex_wait(&batch->scanning, seen,
				OWN_I_FUTEX_ANY, OWN__FOREVER);
}

int64_t
own_barrier(void)
{
	struct own_i_record *self = own_i_self();
	uint64_t held = 0;

	if (!self)
		return -ENOMEM;
	if (self->in_fini)
		return -EDEADLK;
	OWN_I_EACH_RECORD(record) {
		struct own_i_batch *batch = &record->batch;
		uint64_t kept;

		/* what another thread's scan had taken out before the call
		 * is freed or put back, and then scanned here */
		scans_await(batch);
		(void)batch_scan(self, record, &kept);
		/* acquire: pairs with scan_end() */
		if (own__load(&batch->scanning, OWN__ACQUIRE)) {
			scans_await(batch);
			(void)batch_scan(self, record, &kept);
			scans_await(batch);
		}
		held += kept;
	}
	return (int64_t)held;
}

void
own_reclaim_stats(struct own_reclaim_stats *ret)
{
	struct own_reclaim_stats sum = { 0 };
	uint64_t freed_bytes = 0;

	/* acquire, pairs with tally(): what was freed by now is among what was
	 * retired below, so that the differences are not negative */
	OWN_I_EACH_RECORD(record) {
		sum.freed_objects += own__load(&record->freed, OWN__ACQUIRE);
		freed_bytes += own__load(&record->freed_bytes, OWN__ACQUIRE);
		sum.scans += own__load(&record->scans, OWN__ACQUIRE);
	}
	/* relaxed: see above */
	OWN_I_EACH_RECORD(record) {
		sum.retired_objects += own__load(&record->retired,
				OWN__RELAXED);
		sum.pending_bytes += own__load(&record->retired_bytes,
				OWN__RELAXED);
	}
	sum.pending_objects = sum.retired_objects - sum.freed_objects;
	sum.pending_bytes -= freed_bytes;
	sum.membarriers = own_i_fences();
	*ret = sum;
}

void
own_reclaim_limit(uint64_t pending_bytes_max)
{
	/* relaxed: a limit that need not be exact */
	own__store(&limit, pending_bytes_max, OWN__RELAXED);
}
