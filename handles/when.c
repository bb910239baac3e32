/* SPDX-License-Identifier: MIT */
/*
 * when.c - notes for who must not wait; contract in own/when.h
 *
 * A note stands where a sleeper would: at the address of the futex word that
 * changes when what is in the way has gone, in a bucket of that address, as
 * futexes do it themselves (Franke, Russell and Kirkwood 2002). Whoever would
 * wake sleepers there fires the notes as well, since arming sets the same
 * flag: WAITERS of a word or gate, wanted of a slot.
 *
 * Invariants
 *   N1  A note is in its bucket before the flag is set, and the flag is set by
 *       a read-modify-write whose result shows that something is in the way.
 *       So whoever takes that away finds the flag, and then the note.
 *   N2  A refused verb arms after it has undone what it had begun: what its
 *       own WRITER or gate flagged would go with that.
 *   N3  A note fires under its bucket's lock and is left alone afterwards:
 *       address becomes NULL last.
 *
 * Pairs
 *   N1  own_i_when_word (or), own_i_when_gate (CAS), arm_at_slot (exchange)
 *       -> own_i_word_unwriter, own_i_word_uncount, gate_change,
 *       own__slot_wake (acquire), then own_i_wake: the count of notes
 *   N3  fire_all (address, release) -> own_when_cancel (acquire)
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "handles/internal.h"

#define BUCKETS		64u
/* then it fires as it is armed: the next try is left to the caller */
#define ROUNDS_MAX	8u

static struct {
	uint32_t lock;
	struct own_when *head;
} __attribute__((aligned(64))) buckets[BUCKETS];
static uint32_t armed;			/* shared: all notes */
static __thread int is_firing;

static unsigned
bucket_of(const uint32_t *address)
{
	return (unsigned)(((uintptr_t)address >> 2) * UINT64_C(
			0x9e3779b97f4a7c15) >> 58);
}

static void
put(struct own_when *when, const uint32_t *address, uint32_t bits)
{
	unsigned b = bucket_of(address);

	/* relaxed: N1, the flag orders it */
	(void)own__add(&armed, 1, OWN__RELAXED);
	own_assert(!own__load(&when->address, OWN__RELAXED));
	own_i_lock(&buckets[b].lock);
	when->bits = bits;
	when->next = buckets[b].head;
	when->link = &buckets[b].head;
	if (when->next)
		when->next->link = &when->next;
	buckets[b].head = when;
	/* relaxed: read by this thread, or under the lock */
	own__store(&when->address, address, OWN__RELAXED);
	own_i_unlock(&buckets[b].lock);
}

/* Under the bucket's lock. */
static void
unlink_note(struct own_when *when)
{
	*when->link = when->next;
	if (when->next)
		when->next->link = when->link;
	(void)own__add(&armed, -1u, OWN__RELAXED);
}

/* 1: it was armed; 0: it has fired. */
static int
take(struct own_when *when)
{
	/* N3: acquire, pairs with fire_all() */
	const uint32_t *address = own__load(&when->address, OWN__ACQUIRE);
	int is_armed;
	unsigned b;

	if (!address)
		return 0;
	b = bucket_of(address);
	own_i_lock(&buckets[b].lock);
	/* relaxed: under the lock */
	is_armed = own__load(&when->address, OWN__RELAXED) != NULL;
	if (is_armed) {
		unlink_note(when);
		own__store(&when->address, NULL, OWN__RELAXED);
	}
	own_i_unlock(&buckets[b].lock);
	return is_armed;
}

static void
notify(struct own_when *when)
{
	static const uint64_t one = 1;
	long r;

	if (when->fn) {
		is_firing = 1;
		when->fn(when->arg);
		is_firing = 0;
		return;
	}
	/* not write(), where a thread can be cancelled */
	do
		r = syscall(SYS_write, when->fd, &one, sizeof(one));
	while (r < 0 && errno == EINTR);
	/* a full counter is as readable as any */
	if (r < 0 && errno != EAGAIN)
		own_i_stall("own_when: write to the eventfd failed; whoever "
				"polls it waits for nothing");
}

static void
require_idle(const struct own_site *site)
{
#ifdef OWN_MODEL
	/* its threads are fibers */
	(void)site;
#else
	own_require(!is_firing, "a verb of libown in the function of an "
			"own_when", site);
#endif
}

static void
fire_all(const uint32_t *address, uint32_t bits)
{
	unsigned b = bucket_of(address);
	struct own_when *when, *next;

	require_idle(NULL);
	own_i_lock(&buckets[b].lock);
	for (when = buckets[b].head; when; when = next) {
		next = when->next;
		/* relaxed: under the lock */
		if (own__load(&when->address, OWN__RELAXED) != address ||
				!(when->bits & bits))
			continue;
		unlink_note(when);
		if (own__bug(OWN_BUG_FIRED_EARLY))
			own__store(&when->address, NULL, OWN__RELEASE);
		notify(when);
		/* N3: release, pairs with take() */
		own__store(&when->address, NULL, OWN__RELEASE);
	}
	own_i_unlock(&buckets[b].lock);
}

int
own_i_wake(const uint32_t *address, int n, uint32_t bitset)
{
	int woken = own_i_futex_wake(address, n, bitset);

	/* relaxed: N1, whoever found the flag acquired the count with it */
	if (OWN__UNLIKELY(own__load(&armed, OWN__RELAXED)) &&
			!own__bug(OWN_BUG_WAKE_NO_NOTES))
		fire_all(address, bitset);
	return woken;
}

/* ---- arming: 1: armed, or fired; 0: nothing is in the way, try again ---- */

static int
set(struct own_i_record *self)
{
	self->when_set = 1;
	return 1;
}

/* But not without end. */
static int
again(struct own_i_record *self)
{
	if (++self->when_rounds < ROUNDS_MAX)
		return 0;
	notify(self->when);
	return set(self);
}

int
own_i_when_word(struct own_i_record *self, uint64_t *word, uint64_t mask,
		uint32_t bits)
{
	uint64_t w;

	if (own__bug(OWN_BUG_ARM_LATE))
		(void)own__or(word, OWN__WAITERS, OWN__ACQ_REL);
	put(self->when, own_i_low(word), bits);
	/* N1: release, for the note; acquire, for what is seen gone */
	w = own__bug(OWN_BUG_ARM_LATE) ? own__load(word, OWN__ACQUIRE)
		: own__or(word, OWN__WAITERS, OWN__ACQ_REL);
	if (((w & mask) && !(w & (OWN__DEAD | OWN__ORPHAN))) ||
			!take(self->when))
		return set(self);
	return again(self);
}

/* As it would stand in own_i_wait(): the gate's word is w. */
int
own_i_when_gate(struct own_i_record *self, uint64_t *gate, uint64_t w)
{
	put(self->when, own_i_low(gate), OWN_I_FUTEX_ANY);
	/* N1: a change even where WAITERS is set: whoever comes after it reads
	 * this one; acq_rel: as own_i_when_word() */
	if ((own__bug(OWN_BUG_ARM_GATE_SEEN) && (w & OWN__WAITERS)) ||
			own__cas(gate, &w, w | OWN__WAITERS, OWN__ACQ_REL) ||
			!take(self->when))
		return set(self);
	return again(self);
}

/* At a slot that stood in the way, if it still does. */
static int
arm_at_slot(struct own_i_record *self, const uintptr_t *object,
		struct own__slot *slot, const uint64_t *key, uintptr_t modes)
{
	put(self->when, &slot->wanted, OWN_I_FUTEX_ANY);
	/* S3, N1: as the waits at slots of word.c and gate.c */
	(void)own__xchg(&slot->wanted, 1, OWN__SEQ_CST);
	own_i_heavy_fence();
	if (own__bug(OWN_BUG_ARM_NO_LOOK) ||
			own_i_slot_bars(object, slot, key, modes) ||
			!take(self->when))
		return set(self);
	own__slot_wake(slot);
	return 0;
}

/* modes: 0, the key is a word that slots HOLD; else a gate and its modes */
int
own_i_when_slots(struct own_i_record *self, const uint64_t *key,
		uintptr_t modes)
{
	OWN_I_EACH_RECORD(record)
		OWN_I_EACH_BLOCK(b, record)
			for (unsigned i = 0; i < OWN__SLOTS; i++)
				if (own_i_slot_bars(&b->s.object[i],
						&b->s.slot[i], key, modes) &&
						arm_at_slot(self,
						&b->s.object[i], &b->s.slot[i],
						key, modes))
					return 1;
	return again(self);
}

void
own_i_when_none(const void *container, const char *text)
{
	const struct own_site *site = NULL;

	/* relaxed: no other thread may use the container any more */
	if (!own__load(&armed, OWN__RELAXED))
		return;
	for (unsigned b = 0; b < BUCKETS; b++) {
		own_i_lock(&buckets[b].lock);
		for (struct own_when *w = buckets[b].head; w; w = w->next)
			if (w->container == container)
				site = w->site;
		own_i_unlock(&buckets[b].lock);
	}
	own_require(!site, text, site);
}

/* Of a bucket that is locked, by this very thread perhaps, nothing is told. */
int
own_i_when_each(int (*fn)(const struct own_when *when, void *arg), void *arg)
{
	int r = 0;

	for (unsigned b = 0; !r && b < BUCKETS; b++) {
		uint32_t seen = 0;

		/* relaxed: a hint; the lock acquires */
		if (!own__load(&armed, OWN__RELAXED))
			break;
		/* acquire: as own_i_lock(), but never waits */
		if (!own__cas(&buckets[b].lock, &seen, 1, OWN__ACQUIRE))
			continue;
		for (struct own_when *w = buckets[b].head; !r && w; w = w->next)
			r = fn(w, arg);
		own_i_unlock(&buckets[b].lock);
	}
	return r;
}

/* ---- the verbs ---- */

int
own_when_cancel(struct own_when *when)
{
	own_i_fork_check();
	require_idle(NULL);
	return take(when) ? 0 : -ENOENT;
}

int
own__when_begin(struct own_when *when, const void *container,
		const struct own_site *site)
{
	struct own_i_record *self = own_i_self();

	if (!self)
		return -ENOMEM;
	require_idle(site);
	(void)take(when);
	when->site = site;
	when->container = container;
	self->when = when;
	self->when_rounds = 0;
	self->when_set = 0;
	return 0;
}

int
own__when_end(struct own_when *when, int r)
{
	own_i_this->when = NULL;
	own_assert(r == -EBUSY || !own__load(&when->address, OWN__RELAXED));
	(void)when;
	return r;
}

#ifdef OWN_MODEL
void
own_i_when_reset(void)
{
	armed = 0;
	memset(buckets, 0, sizeof(buckets));
}
#endif
