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
 *   B3  What a scan found held waits in a list of its own, kept, by the same
 *       rule. Each part of it begins with a stamp that says since when, so
 *       an age needs no room in the header of an object. A stamp belongs to
 *       who has the list; one that is not used is taken by CAS.
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
#include <string.h>

#include "lib/reclaim-internal.h"

#define HELD_MAX	256u		/* slots looked at in one pass */
#define STALL_EVERY_NS	UINT64_C(1000000000)

/* weak: absent without LeakSanitizer */
extern void __lsan_ignore_object(const void *p) __attribute__((weak));

static uint64_t limit = UINT64_C(64) << 20;
static uint64_t stalled_ns;

/* Onto the batch, to be scanned; the first one says since when. */
static void
batch_put(struct own_i_batch *batch, struct own__header *first,
		struct own__header *last, uint32_t flags, uint64_t since_ns)
{
	/* relaxed, all: ages are not exact */
	if (!own__load(&batch->head, OWN__RELAXED))
		own__store(&batch->since_ns, since_ns ? since_ns :
				own_now_ns(), OWN__RELAXED);
	else if (since_ns && since_ns < own__load(&batch->since_ns,
			OWN__RELAXED))
		own__store(&batch->since_ns, since_ns, OWN__RELAXED);
	list_put(&batch->head, first, last, flags);
}

/* ---- ages: B3 ---- */

/* Objects of about one age, while a scan has them. */
struct aged {
	struct own__header *list;	/* nobody is known to hold */
	struct own__header *kept;
	struct own_i_stamp *stamp;	/* NULL: fresh, not in kept so far */
	uint64_t since_ns;
};

/* What a scan has taken out. */
struct ages {
	struct aged of[OWN_I_STAMPS + 1];
	unsigned n;
};

static struct own_i_stamp *
stamp_take(struct own_i_batch *batch)
{
	for (unsigned i = 0; i < OWN_I_STAMPS; i++) {
		uint32_t unused = 0;

		/* B3: acquire, pairs with stamp_free() */
		if (own__cas(&batch->stamp[i].used, &unused, 1, OWN__ACQUIRE))
			return &batch->stamp[i];
	}
	return NULL;
}

static void
stamp_free(struct own_i_stamp *stamp)
{
	/* B3: release, pairs with stamp_take() */
	if (stamp)
		own__store(&stamp->used, 0, OWN__RELEASE);
}

/* Takes all out of a batch, each age by itself. */
static void
ages_take(struct own_i_batch *batch, struct ages *a)
{
	struct own__header *object, *next;
	struct aged *age = &a->of[0];

	/* relaxed: read before, so that it is no younger than what is taken */
	age->since_ns = own__load(&batch->since_ns, OWN__RELAXED);
	age->list = list_take(&batch->head);
	age->kept = NULL;
	age->stamp = NULL;
	a->n = 1;
	/* relaxed: a hint; what another scan is about to put back is its own */
	if (!own__load(&batch->kept, OWN__RELAXED))
		return;
	for (object = list_take(&batch->kept); object; object = next) {
		struct own_i_stamp *stamp = stamp_of(batch, object);

		next = link_get(object);
		if (stamp) {
			age = &a->of[a->n++];
			age->since_ns = stamp->since_ns;
			age->list = age->kept = NULL;
			age->stamp = stamp;
		} else {
			link_set(object, age->list, 0);
			age->list = object;
		}
	}
}

/* Those with something kept, the oldest first. */
static void
ages_sort(const struct ages *a, struct ages *ret)
{
	ret->n = 0;
	for (unsigned i = 0; i < a->n; i++) {
		const struct aged *age = &a->of[i];
		unsigned k = ret->n;

		if (!age->kept) {
			stamp_free(age->stamp);
			continue;
		}
		for (; k && ret->of[k - 1].since_ns > age->since_ns; k--)
			ret->of[k] = ret->of[k - 1];
		ret->of[k] = *age;
		ret->n++;
	}
}

/* Of two neighbours, those that differ least for their age become one. */
static void
ages_merge(struct ages *a)
{
	uint64_t now = own_now_ns();
	double least = 0;
	unsigned at = 0;
	struct aged *to;

	for (unsigned i = 0; i + 1 < a->n; i++) {
		uint64_t young = a->of[i + 1].since_ns;
		double differ = (double)(young - a->of[i].since_ns) /
			(double)(now > young ? now - young : 1);

		if (i == 0 || differ < least) {
			least = differ;
			at = i;
		}
	}
	to = &a->of[at];
	link_set(list_last(to[1].kept), to->kept, 0);
	to->kept = to[1].kept;
	if (to->stamp)
		stamp_free(to[1].stamp);
	else
		to->stamp = to[1].stamp;
	for (unsigned i = at + 1; i + 1 < a->n; i++)
		a->of[i] = a->of[i + 1];
	a->n--;
}

/* For reports, while the next scan has taken out what is kept. */
static void
oldest_note(struct own_i_batch *batch, const struct ages *kept)
{
	uintptr_t word = kept->n ? (uintptr_t)&kept->of[0].kept->word : 0;
	uint64_t since = kept->n ? kept->of[0].since_ns : 0;

	/* relaxed: scans of one batch at once may mix theirs up, for a while */
	if (own__load(&batch->oldest, OWN__RELAXED) == word &&
			own__load(&batch->oldest_ns, OWN__RELAXED) == since)
		return;
	own__store(&batch->oldest, (uintptr_t)0, OWN__RELAXED);
	/* release, both: pairs with pending_scanned() */
	own__store(&batch->oldest_ns, since, OWN__RELEASE);
	own__store(&batch->oldest, word, OWN__RELEASE);
}

/* Puts back what is held. */
static void
ages_put(struct own_i_batch *batch, struct ages *a)
{
	while (a->n > OWN_I_GENERATIONS)
		ages_merge(a);
	for (unsigned i = 0; i < a->n; i++) {
		struct aged *age = &a->of[i];
		struct own__header *last = list_last(age->kept);

		if (!age->stamp)
			age->stamp = stamp_take(batch);
		if (!age->stamp) {
			/* with others scanning the same batch: as it came */
			batch_put(batch, age->kept, last, 0, age->since_ns);
			continue;
		}
		age->stamp->since_ns = age->since_ns;
		link_set(&age->stamp->header, age->kept, 0);
		list_put(&batch->kept, &age->stamp->header, last, 0);
	}
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

/* Moves what is held, in those slots or by its count, over to kept. */
static void
keep_age(struct aged *age, const struct held *held)
{
	struct own__header *object, *next, *before = NULL;

	for (object = age->list; object; object = next) {
		next = link_get(object);
		if (!is_held(object, held)) {
			before = object;
			continue;
		}
		if (before)
			link_set(before, next, 0);
		else
			age->list = next;
		link_set(object, age->kept, 0);
		age->kept = object;
	}
}

static void
keep(struct ages *a, struct held *held)
{
	if (held)
		qsort(held->word, held->n, sizeof(held->word[0]), by_address);
	for (unsigned i = 0; i < a->n; i++)
		keep_age(&a->of[i], held);
	if (held)
		held->n = 0;
}

/*
 * Splits each list into what somebody holds (kept) and what nobody does. Slots
 * are read once each, HELD_MAX at a time, so a scan needs no memory.
 */
static void
scan(struct ages *a)
{
	struct held held = { .n = 0 };

	if (own__bug(OWN_BUG_RETIRE_NO_SCAN))
		return;
	if (!own__bug(OWN_BUG_SCAN_NO_MEMBARRIER))
		own_i_heavy_fence();
	if (own__bug(OWN_BUG_DEAD_LATE))
		for (struct own__header *o = a->of[0].list; o; o = link_get(o))
			(void)own__or(&o->word, OWN__DEAD, OWN__RELAXED);
	if (own__bug(OWN_BUG_COUNT_FIRST))
		keep(a, NULL);
	if (!own__bug(OWN_BUG_NO_GRACE))
		OWN_I_EACH_RECORD(record)
			for (unsigned i = 0; i < OWN_I_PATHS; i++) {
				/* S1, S2: seq_cst, for the fallback */
				uintptr_t object = own__load(&record->path[i],
						OWN__SEQ_CST);

				if (object)
					held.word[held.n++] = object;
				if (held.n == HELD_MAX)
					keep(a, &held);
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
					keep(a, &held);
			}
	if (held.n)
		keep(a, &held);
	if (!own__bug(OWN_BUG_COUNT_FIRST))
		keep(a, NULL);
}

/* ---- batches ---- */

/* This thread's own figures; release, pairs with own_reclaim_stats(). */
static void
tally(uint64_t *figure, uint64_t n)
{
	/* relaxed: written by this thread alone */
	own__store(figure, own__load(figure, OWN__RELAXED) + n, OWN__RELEASE);
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

/*
 * Scans the batch of one record, this thread's or another's. Returns how many
 * objects were freed; *ret_kept, how many are still held.
 */
static uint64_t
batch_scan(struct own_i_record *self, struct own_i_record *of,
		uint64_t *ret_kept)
{
	struct own_i_batch *batch = &of->batch;
	uint64_t freed = 0, bytes = 0, n = 0;
	struct ages a, kept;

	scan_begin(batch);
	ages_take(batch, &a);
	if (a.n > 1 || a.of[0].list) {
		tally(&self->scans, 1);
		scan(&a);
	}
	for (unsigned i = 0; i < a.n; i++)
		for (struct own__header *o = a.of[i].kept; o;
				o = link_get(o), n++)
			bytes += own_i_object_bytes(o);
	/* relaxed: for statistics and the limit */
	own__store(&batch->kept_bytes, bytes, OWN__RELAXED);
	ages_sort(&a, &kept);
	oldest_note(batch, &kept);
	ages_put(batch, &kept);
	for (unsigned i = 0; i < a.n; i++)
		freed += free_list(self, a.of[i].list);
	scan_end(batch);
	*ret_kept = n;
	return freed;
}

/* Above the limit: who holds up one of them, at most once a second. */
static void
tell_stall(uint64_t bytes)
{
	uint64_t now = own_now_ns();
	/* relaxed: losing a report to another thread is fine */
	uint64_t last = own__load(&stalled_ns, OWN__RELAXED);
	struct own_pending oldest;

	if (now - last >= STALL_EVERY_NS &&
			own__cas(&stalled_ns, &last, now, OWN__RELAXED) &&
			own_reclaim_oldest(&oldest, 1))
		own_i_stall_retired(bytes, &oldest);
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
	batch_put(&of->batch, object, object, own__bug(OWN_BUG_DEAD_LATE) ? 0
			: OWN__DEAD, 0);
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
		tell_stall(bytes);
}

void
own_i_reclaim_exit(struct own_i_record *self)
{
	uint64_t kept;

	/* what is still held stays with the record, for its next thread or
	 * for own_reclaim() */
	if (batch_any(&self->batch))
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
		if (!batch_any(&record->batch))
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
		/* acquire: pairs with scan_end(), whose scan may have put
		 * something back after the look at kept */
		if (own__load(&batch->scanning, OWN__ACQUIRE) ||
				(!kept && batch_any(batch))) {
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
	struct own_pending oldest;
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
	if (own_reclaim_oldest(&oldest, 1))
		sum.oldest_age_ns = oldest.age_ns;
	*ret = sum;
}

void
own_reclaim_limit(uint64_t pending_bytes_max)
{
	/* relaxed: a limit that need not be exact */
	own__store(&limit, pending_bytes_max, OWN__RELAXED);
}
