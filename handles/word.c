/* SPDX-License-Identifier: MIT */
/*
 * word.c - the borrow word: share, claim, upgrade, and the waits of each
 *
 * Invariants (as model/spin/word.pml has them)
 *   I1  WRITER is set and cleared by read-modify-write; who set it clears it.
 *   I2  BIASED clear => no slot HOLDs the word. BIASED is set only in a CAS
 *       that finds no WRITER, cleared only by the owner of WRITER once it has
 *       seen no HOLD. A claimer that gives up leaves BIASED as it was.
 *   I3  Once WRITER is set and the heavy fence has returned, no slot becomes a
 *       HOLD; a holder that shares again is counted. So one pass over the
 *       slots, waiting where needed, then the count: in this order.
 *   I4  Whoever turns a HOLD into anything else looks at the slot's wanted
 *       word afterwards, and never at the object again.
 *   I5  Clearing WRITER clears WAITERS in the same operation and wakes all
 *       sharers and one claimer; a claimer that slept takes WRITER together
 *       with WAITERS, on behalf of those who may still sleep.
 *
 * Pairs
 *   W1  own_i_word_unwriter (CAS, release) -> share, own_i_word_take (load,
 *       CAS, acquire): the next holder sees the writer's stores. All changes
 *       of a word are read-modify-writes, so the release sequence holds.
 *   W2  own_i_word_uncount (release) -> own_i_word_drain (load, acquire): a
 *       counted reader's loads come before the writer's stores.
 *   S1, S2, S3: slots.c
 */
#include "handles/internal.h"

#define LOW(w)		((uint32_t)(w))
#define READS(w)	((uint32_t)((w) >> 32))
#define READS_COST_NS	16u	/* what a counted read costs over a biased */
#define REVOKE_RATIO	9u	/* inhibition: a multiple of what it cost */
#define OVERTAKEN_NS	5000000u

/*
 * Somebody may sleep on the low half from here on; 0 if the word changed.
 * also: OWN__FAIR of one that has been overtaken for too long.
 */
static int
announce(uint64_t *word, uint64_t *w, uint32_t also)
{
	uint64_t next = *w | OWN__WAITERS | also;

	if (*w == next)
		return 1;
	/* relaxed: the kernel compares the word again under its own lock */
	if (!own__cas(word, w, next, OWN__RELAXED))
		return 0;
	*w = next;
	return 1;
}

/* A short look whether WRITER goes by itself, before the system call. */
static int
spin_for_writer(uint64_t *word)
{
	for (unsigned i = 0; i < own_i_spins; i++) {
		own_i_spin();
		/* relaxed: only a hint */
		if (!(own__load(word, OWN__RELAXED) & OWN__WRITER))
			return 1;
	}
	return 0;
}

/* ---- who has been overtaken: p. 21 ---- */

/*
 * Whoever has slept and finds WRITER again after OVERTAKEN_NS says so, in its
 * record and by FAIR. Where FAIR stands without WRITER, a claimer that has not
 * waited that long goes to sleep and lets it go first. FAIR is a hint where to
 * look: what counts is what the records say, and that is over by itself.
 */
static int
is_overtaken(struct own_i_record *self, const uint64_t *word)
{
	/* relaxed: this thread's own */
	return own__load(&self->overtaken, OWN__RELAXED) == (uintptr_t)word;
}

static void
overtaken_begin(struct own_i_record *self, uint64_t *word, int slept)
{
	if (slept && !is_overtaken(self, word) && (!own_i_slice_ns ||
			own_now_ns() - self->wait.since_ns >= OVERTAKEN_NS))
		/* relaxed: the CAS that sets FAIR follows */
		own__store(&self->overtaken, (uintptr_t)word, OWN__RELAXED);
}

/* FAIR of w, if anybody else still says so. */
static uint64_t
fair_of(const struct own_i_record *self, const uint64_t *word, uint64_t w)
{
	if (w & OWN__FAIR)
		OWN_I_EACH_RECORD(r)
			/* relaxed: what comes late costs a wait that ends */
			if (r != self && own__load(&r->overtaken,
					OWN__RELAXED) == (uintptr_t)word)
				return OWN__FAIR;
	return 0;
}

/* One of those who have been overtaken, if FAIR says that there are some. */
static void
wake_claimers(uint64_t *word, uint64_t w, int n)
{
	if ((w & OWN__FAIR) && own_i_wake(own_i_low(word), n,
			OWN_I_FUTEX_OVERTAKEN) > 0)
		return;
	own_i_wake(own_i_low(word), n, OWN_I_FUTEX_CLAIM |
			OWN_I_FUTEX_OVERTAKEN);
}

static void
overtaken_end(struct own_i_record *self)
{
	/* relaxed: this thread's own; a change of the word follows */
	own__store(&self->overtaken, (uintptr_t)0, OWN__RELAXED);
}

/* It goes without WRITER: whoever lets it go first must not wait for that. */
static void
overtaken_leave(struct own_i_record *self, uint64_t *word)
{
	uint64_t w;

	if (!is_overtaken(self, word))
		return;
	overtaken_end(self);
	/* relaxed: FAIR is set again only by others who say so */
	w = own__load(word, OWN__RELAXED);
	/* release: who still finds this FAIR finds the record's change, and
	 * one that is about to sleep finds another word */
	if ((w & OWN__FAIR) && !fair_of(self, word, w))
		w = own__and(word, ~(uint64_t)OWN__FAIR, OWN__RELEASE) &
			~(uint64_t)OWN__FAIR;
	if (!own__bug(OWN_BUG_FAIR_NO_WAKE))
		wake_claimers(word, w, 1);
}

/* ---- share ---- */

/* One more counted read: the count, and bias when reads have earned it. */
static uint64_t
counted(uint64_t w)
{
	uint64_t next = w + OWN__COUNT_ONE;

	if (w & OWN__WRITER)
		return next;
	if (READS(w) == 0)
		return next | OWN__BIASED;
	return next - (UINT64_C(1) << 32);
}

static int
share_counted(struct own_i_record *self, struct own_i_slot s, uint64_t *word,
		uint64_t deadline_ns)
{
	int r, admitted = 0, looked = 0, spun = 0, slept = 0;
	uint64_t w;

	for (;;) {
		/* W1: acquire, for the flags; the CAS below for the data */
		w = own__load(word, OWN__ACQUIRE);
again:
		if (w & OWN__DEAD)
			return -ENOENT;
		if (w & OWN__ORPHAN)
			return own_i_refuse(self, s, word, "shared",
					-EOWNERDEAD);
		if (!(w & OWN__WRITER) || admitted) {
			if ((w & OWN__COUNT_MASK) == OWN__COUNT_MASK)
				return -EOVERFLOW;
			/* W1: acquire, pairs with own_i_word_unwriter(); D5:
			 * release, the wait record went before */
			if (!own__cas(word, &w, (counted(w) &
					~(uint64_t)OWN__FAIR) | fair_of(self,
					word, w), OWN__ACQ_REL))
				goto again;
			own_i_slot_kind(s, OWN__HOW_COUNTED);
			return 0;
		}
		if (!looked) {
			/* a holder may always share again: WRITER cannot be
			 * complete while its handle stands */
			looked = 1;
			if (own_i_slot_find(self, word, OWN_I_WRITES, s.meta,
					NULL))
				return own_i_refuse(self, s, word, "shared",
						-EDEADLK);
			admitted = own_i_slot_find(self, word, OWN_I_READS,
					s.meta, NULL) != NULL;
			if (admitted)
				goto again;
		}
		if (own_i_is_try(deadline_ns)) {
			if (deadline_ns == OWN__WHEN && !own_i_when_word(self,
					word, OWN__WRITER, OWN_I_FUTEX_SHARE))
				continue;
			return own_i_refuse(self, s, word, "shared", -EBUSY);
		}
		if (!spun) {
			spun = 1;
			if (spin_for_writer(word))
				continue;
		}
		overtaken_begin(self, word, slept);
		if (!announce(word, &w, is_overtaken(self, word) ? OWN__FAIR
				: 0))
			goto again;
		if (own_i_expired(deadline_ns))
			return own_i_refuse(self, s, word, "shared",
					-ETIMEDOUT);
		r = own_i_wait(self, OWN_I_WAIT_SHARE, word, s,
				own_i_low(word), LOW(w), OWN_I_FUTEX_SHARE,
				deadline_ns);
		if (r)
			return r;
		slept = 1;
	}
}

/*
 * own_i_word_share - a shared handle on the word: by slot, else counted
 *
 * The slot is empty, or HOLDs the word already because an inline fast path
 * stored that and was refused. On failure it is empty again.
 */
int
own_i_word_share(struct own_i_record *self, struct own_i_slot s,
		uint64_t *word, uint64_t deadline_ns, int counted)
{
	/* relaxed: this thread's own word */
	int held = own__load(s.object, OWN__RELAXED) == (uintptr_t)word;
	uint64_t w;
	int r;

	own_i_order_note(self, s, word, OWN_I_S, deadline_ns);
	/* relaxed: only a hint that a slot may do */
	if (!held && !counted &&
			(own__load(word, OWN__RELAXED) & OWN__BIASED)) {
		own_i_slot_store(s, (uintptr_t)word);
		held = 1;
		/* S1, W1: seq_cst, for the fallback */
		w = own__load(word, OWN__SEQ_CST);
		if ((w & (OWN__BIASED | OWN__WRITER | OWN__DEAD |
				OWN__ORPHAN)) == OWN__BIASED ||
		    (own__bug(OWN_BUG_BIASED_ONLY) && (w & OWN__BIASED)))
			return 0;
	}
	if (own__bug(OWN_BUG_NESTED_SLOT) && held &&
			own_i_slot_find(self, word, OWN_I_READS, s.meta, NULL))
		return 0;
	/* p. 5: keeps the object, and is not waited for any more */
	own_i_slot_kind(s, OWN__HOW_TRYING);
	if (own__bug(OWN_BUG_NO_RETRACT_WAKE))
		own_i_slot_store(s, (uintptr_t)word | OWN__NOTE);
	else
		own_i_slot_set(s, (uintptr_t)word | OWN__NOTE);
	r = share_counted(self, s, word, deadline_ns);
	overtaken_leave(self, word);
	own_i_wait_end(self);
	if (r)
		own_i_slot_free(s);
	return r;
}

/*
 * A map that is mostly read gives its entries the bias that each would have to
 * earn. As every read that sets BIASED: in a CAS that finds no WRITER (I2).
 */
void
own_i_word_bias(uint64_t *word)
{
	/* relaxed: only a first guess for the CAS, and nothing hangs on it */
	uint64_t w = own__load(word, OWN__RELAXED);

	if (!(w & (OWN__WRITER | OWN__BIASED | OWN__DEAD | OWN__ORPHAN)))
		(void)own__cas(word, &w, w | OWN__BIASED, OWN__RELAXED);
}

/* One more counted handle, whatever the flags; -EOVERFLOW. */
int
own_i_word_count(uint64_t *word)
{
	/* relaxed: only a first guess for the CAS */
	uint64_t w = own__load(word, OWN__RELAXED);

	do
		if ((w & OWN__COUNT_MASK) == OWN__COUNT_MASK)
			return -EOVERFLOW;
	/* relaxed: the caller's own handle protects and orders; V2 in cell.c */
	while (!own__cas(word, &w, w + OWN__COUNT_ONE, OWN__RELAXED));
	return 0;
}

/* The last access to the object; the wake is by address only (p. 19). */
void
own_i_word_uncount(uint64_t *word)
{
	/* W2: release, pairs with own_i_word_drain() and the reclaimer; N1:
	 * acquire */
	uint64_t w = own__add(word, -(uint64_t)OWN__COUNT_ONE, OWN__ACQ_REL);

	own_require(w & OWN__COUNT_MASK, "counted handle released twice", NULL);
	if ((w & OWN__COUNT_MASK) == OWN__COUNT_ONE && (w & OWN__WAITERS))
		own_i_wake(own_i_low(word), OWN_I_ALL, OWN_I_FUTEX_DRAIN);
}

/* ---- claim ---- */

static int
take(struct own_i_record *self, struct own_i_slot s, uint64_t *word,
		uint64_t deadline_ns, int orphan_ok, unsigned bars,
		uint64_t *ret_seen)
{
	int r, slept = 0, looked = 0, spun = 0, late = 0;
	uint64_t w, next, fair;

	own_i_order_note(self, s, word, OWN_I_X, deadline_ns);
	for (;;) {
		if (own__bug(OWN_BUG_LATE_GIVES_UP) && slept &&
				own_i_expired(deadline_ns))
			return -ETIMEDOUT;
		/* acquire: for what records say of FAIR; the CAS for the
		 * data */
		w = own__load(word, OWN__ACQUIRE);
again:
		if (w & OWN__DEAD)
			return -ENOENT;
		if (!(w & OWN__ORPHAN) != !orphan_ok)
			return orphan_ok ? -EINVAL : own_i_refuse(self, s,
					word, "unique", -EOWNERDEAD);
		fair = fair_of(self, word, w);
		if (!(w & OWN__WRITER) && (!fair || late ||
				is_overtaken(self, word) ||
				own_i_is_try(deadline_ns))) {
			next = own__word_claimed(w, OWN__BIAS_READS) |
				OWN__WRITER;
			next = (next & ~(uint64_t)OWN__FAIR) | fair;
			/* I5: for those who may still sleep */
			if (slept && !own__bug(OWN_BUG_FORGET_WAITERS))
				next |= OWN__WAITERS;
			if (own__bug(OWN_BUG_CLEAR_BIAS_EARLY))
				next &= ~(uint64_t)OWN__BIASED;
			/* W1: acquires; seq_cst: with the loads of the scan,
			 * the fallback (p. 16) */
			if (!own__cas(word, &w, next, OWN__SEQ_CST))
				goto again;
			own_i_slot_kind(s, OWN__HOW_DRAINING);
			*ret_seen = w;
			return 0;
		}
		if (!looked) {
			/* a share of its own as well: WRITER's owner waits
			 * for that, and must not be the one who is told */
			looked = 1;
			if (own_i_slot_find(self, word, bars, s.meta, NULL))
				return own_i_refuse(self, s, word, "unique",
						-EDEADLK);
		}
		if (own_i_is_try(deadline_ns)) {
			if (deadline_ns == OWN__WHEN && !own_i_when_word(self,
					word, OWN__WRITER, OWN_I_FUTEX_CLAIM |
					OWN_I_FUTEX_OVERTAKEN))
				continue;
			return own_i_refuse(self, s, word, "unique", -EBUSY);
		}
		if (!spun && (w & OWN__WRITER)) {
			spun = 1;
			if (spin_for_writer(word))
				continue;
		}
		overtaken_begin(self, word, slept);
		late = own_i_expired(deadline_ns);
		if (!(w & OWN__WRITER) && (late || is_overtaken(self, word)))
			continue;
		if (!announce(word, &w, is_overtaken(self, word) ? OWN__FAIR
				: 0))
			goto again;
		/* p. 10: only here, with WRITER seen and WAITERS set */
		if (late)
			return own_i_refuse(self, s, word, "unique",
					-ETIMEDOUT);
		r = own_i_wait(self, OWN_I_WAIT_CLAIM, word, s,
				own_i_low(word), LOW(w), is_overtaken(self,
				word) ? OWN_I_FUTEX_OVERTAKEN
				: OWN_I_FUTEX_CLAIM, deadline_ns);
		if (r)
			return r;
		slept = 1;
	}
}

int
own_i_word_take(struct own_i_record *self, struct own_i_slot s, uint64_t *word,
		uint64_t deadline_ns, int orphan_ok, unsigned bars,
		uint64_t *ret_seen)
{
	int r = take(self, s, word, deadline_ns, orphan_ok, bars, ret_seen);

	if (r)
		overtaken_leave(self, word);
	else if (is_overtaken(self, word))
		overtaken_end(self);
	return r;
}

/* Sleeps until *object no longer HOLDs the word, or a slice has passed. */
static int
own_i_slot_await(struct own_i_record *self, struct own_i_slot s,
		uint64_t *word, uintptr_t *object, struct own__slot *slot,
		uint64_t deadline_ns)
{
	for (unsigned i = 0; i < own_i_spins; i++) {
		own_i_spin();
		/* S2: acquire, pairs with the release of the slot */
		if (own__load(object, OWN__ACQUIRE) != (uintptr_t)word)
			return 0;
	}
	/* S3: seq_cst, for the fallback; pairs with own_i_slot_set() */
	(void)own__xchg(&slot->wanted, 1, OWN__SEQ_CST);
	if (!own__bug(OWN_BUG_NO_SECOND_MEMBARRIER))
		own_i_heavy_fence();
	if (own__load(object, OWN__SEQ_CST) != (uintptr_t)word) {
		/* it may have gone before wanted was set: whoever was about
		 * to sleep on that for another word, or a gate, must look */
		own__slot_wake(slot);
		return 0;
	}
	return own_i_wait(self, OWN_I_WAIT_DRAIN, word, s, &slot->wanted, 1,
			OWN_I_FUTEX_ANY, deadline_ns);
}

/* The first half of a drain: no slot HOLDs the word any more. */
static int
drain_slots(struct own_i_record *self, struct own_i_slot s, uint64_t *word,
		uint64_t deadline_ns, const struct own__slot *except)
{
	int r;

	/* first of all: nobody is waited for in vain, or told in its place */
	if (own_i_slot_find(self, word, OWN_I_READS, except, NULL))
		return own_i_refuse(self, s, word, "unique", -EDEADLK);
	if (!own__bug(OWN_BUG_NO_MEMBARRIER))
		own_i_heavy_fence();
	OWN_I_EACH_RECORD(record)
		OWN_I_EACH_BLOCK(b, record)
			for (unsigned i = 0; i < OWN__SLOTS; i++) {
				struct own__slot *slot = &b->s.slot[i];

				if (slot == except)
					continue;
				/* S1, S2: seq_cst, for the fallback */
				while (own__load(&b->s.object[i],
						OWN__SEQ_CST) ==
						(uintptr_t)word) {
					if (own_i_is_try(deadline_ns))
						return own_i_refuse(self, s,
							word, "unique",
							-EBUSY);
					if (own_i_expired(deadline_ns))
						return own_i_refuse(self, s,
							word, "unique",
							-ETIMEDOUT);
					r = own_i_slot_await(self, s, word,
							&b->s.object[i], slot,
							deadline_ns);
					if (r)
						return r;
				}
			}
	return 0;
}

/* The second half: nobody is counted but, at most, the excepted slot. */
static int
drain_count(struct own_i_record *self, struct own_i_slot s, uint64_t *word,
		uint64_t deadline_ns, const struct own__slot *except)
{
	uint32_t own = 0;
	uint64_t w;
	int r, looked = 0;

	/* relaxed: this thread's own slot */
	if (except && (own__load(&except->how, OWN__RELAXED) & OWN__HOW_KIND)
			== OWN__HOW_COUNTED)
		own = OWN__COUNT_ONE;
	for (;;) {
		/* W2: acquire, pairs with own_i_word_uncount() */
		w = own__load(word, OWN__ACQUIRE);
		if ((w & OWN__COUNT_MASK) <= own)
			return 0;
		if (!looked) {
			looked = 1;
			if (own_i_slot_find(self, word, OWN_I_READS, except,
						NULL))
				return own_i_refuse(self, s, word, "unique",
						-EDEADLK);
		}
		if (own_i_is_try(deadline_ns))
			return own_i_refuse(self, s, word, "unique", -EBUSY);
		/* what a failed CAS saw was not acquired: load it again */
		if (!announce(word, &w, 0))
			continue;
		if (own_i_expired(deadline_ns))
			return own_i_refuse(self, s, word, "unique",
					-ETIMEDOUT);
		r = own_i_wait(self, OWN_I_WAIT_DRAIN, word, s,
				own_i_low(word), LOW(w), OWN_I_FUTEX_DRAIN,
				deadline_ns);
		if (r)
			return r;
	}
}

int
own_i_word_drain(struct own_i_record *self, struct own_i_slot s,
		uint64_t *word, uint64_t seen, uint64_t deadline_ns,
		const struct own__slot *except)
{
	int r = 0;

	/* I2: without BIASED there is nothing to find in the slots */
	if (seen & OWN__BIASED)
		r = drain_slots(self, s, word, deadline_ns, except);
	if (!r && !own__bug(OWN_BUG_COUNT_NOT_DRAINED))
		r = drain_count(self, s, word, deadline_ns, except);
	return r;
}

/*
 * A claim_try that will be refused should not disturb readers first: what is
 * plainly visible refuses without WRITER (p. 20).
 */
static int
refused_early(struct own_i_record *self, struct own_i_slot s, uint64_t *word)
{
	/* relaxed: a hint; an error only ever says what was seen */
	uint64_t w = own__load(word, OWN__RELAXED);
	int seen = (w & OWN__COUNT_MASK) != 0;

	if (w & (OWN__WRITER | OWN__DEAD | OWN__ORPHAN))
		return 0;
	if (w & OWN__BIASED)
		OWN_I_EACH_RECORD(record)
			seen |= own_i_slot_find(record, word, OWN_I_KIND(
					OWN__HOW_HOLD), s.meta, NULL) != NULL;
	if (!seen)
		return 0;
	if (own_i_slot_find(self, word, OWN_I_READS, s.meta, NULL))
		return own_i_refuse(self, s, word, "unique", -EDEADLK);
	return own_i_refuse(self, s, word, "unique", -EBUSY);
}

static int
claim_once(struct own_i_record *self, struct own_i_slot s, uint64_t *word,
		uint64_t deadline_ns, int orphan_ok)
{
	uint64_t seen;
	int r = 0;

	if (own_i_is_try(deadline_ns) && !orphan_ok)
		r = refused_early(self, s, word);
	if (!r)
		r = own_i_word_take(self, s, word, deadline_ns, orphan_ok,
				OWN_I_WRITES | OWN_I_READS, &seen);
	if (!r) {
		r = own_i_word_drain(self, s, word, seen, deadline_ns, NULL);
		if (r)
			own_i_word_unwriter(word, 0, 0,
					orphan_ok ? OWN__ORPHAN : 0);
	}
	return r;
}

/* A refused claim has given WRITER back: the note goes to what it met (N2). */
static int
claim_when(struct own_i_record *self, struct own_i_slot s, uint64_t *word)
{
	if (self->when_set)
		return 1;
	own_i_slot_kind(s, OWN__HOW_TRYING);
	return own_i_when_word(self, word, OWN__WRITER | OWN__COUNT_MASK,
			OWN_I_FUTEX_CLAIM | OWN_I_FUTEX_OVERTAKEN |
			OWN_I_FUTEX_DRAIN) ||
		own_i_when_slots(self, word, 0);
}

/*
 * own_i_word_claim - WRITER, and every reader gone
 *
 * The slot NOTEs the word; on failure it is empty again, WRITER is clear and
 * BIASED is as it was.
 */
int
own_i_word_claim(struct own_i_record *self, struct own_i_slot s,
		uint64_t *word, uint64_t deadline_ns, int orphan_ok)
{
	int r;

	do
		r = claim_once(self, s, word, deadline_ns, orphan_ok);
	while (r == -EBUSY && deadline_ns == OWN__WHEN &&
			!claim_when(self, s, word));
	own_i_wait_end(self);
	if (r)
		own_i_slot_free(s);
	else
		own_i_slot_kind(s, OWN__HOW_UNIQUE);
	return r;
}

/*
 * own_i_word_unwriter - the one place where WRITER goes (p. 11)
 *
 * drained: the caller has seen no HOLD, so it may take the bias away; what
 * that cost is what readers have to earn again. plus: OWN__COUNT_ONE on a
 * downgrade. orphan: OWN__ORPHAN when the writer's thread ends.
 */
void
own_i_word_unwriter(uint64_t *word, int drained, uint64_t plus,
		uint32_t orphan)
{
	/* relaxed: only a first guess for the CAS */
	uint64_t w = own__load(word, OWN__RELAXED), next;

	do {
		next = w & ~(uint64_t)(OWN__WRITER | OWN__WAITERS |
				OWN__ORPHAN);
		if (drained && (w & OWN__BIASED))
			next = own__word_claimed(next &
					~(uint64_t)OWN__BIASED,
					OWN__BIAS_READS +
					own_i_fence_cost_ns() * REVOKE_RATIO /
					READS_COST_NS);
		next = (next + plus) | orphan;
	/* W1: release, pairs with share and own_i_word_take(); N1: acquire */
	} while (!own__cas(word, &w, next, OWN__ACQ_REL));
	if (!(w & OWN__WAITERS) || own__bug(OWN_BUG_NO_WAKE))
		return;
	own_i_wake(own_i_low(word), OWN_I_ALL, OWN_I_FUTEX_SHARE);
	wake_claimers(word, w, orphan ? OWN_I_ALL : 1);
}

/*
 * own_i_word_upgrade_try - from shared, in slot s, to unique; never waits
 *
 * Two upgraders would wait for each other: WRITER set is -EBUSY at once.
 */
int
own_i_word_upgrade_try(struct own_i_record *self, struct own_i_slot s,
		uint64_t *word)
{
	/* relaxed: the CAS acquires */
	uint64_t w = own__load(word, OWN__RELAXED);
	int counted_handle = (own_i_slot_how(s) & OWN__HOW_KIND) ==
		OWN__HOW_COUNTED;
	int r;

	do
		if (w & OWN__WRITER)
			return own_i_refuse(self, s, word, "unique", -EBUSY);
	/* W1: acquires; seq_cst: with the loads of the scan, the fallback */
	while (!own__cas(word, &w, own__word_claimed(w, OWN__BIAS_READS) |
			OWN__WRITER, OWN__SEQ_CST));
	r = own_i_word_drain(self, s, word, w, OWN__TRY, s.meta);
	if (r) {
		own_i_word_unwriter(word, 0, 0, 0);
		return r;
	}
	own_i_slot_kind(s, OWN__HOW_UNIQUE);
	if (counted_handle)
		own_i_word_uncount(word);
	else
		own_i_slot_set(s, (uintptr_t)word | OWN__NOTE);
	return 0;
}

/*
 * own_i_word_outlast - until nobody holds an object that is unlinked already
 *
 * Without a deadlock check of its own: the caller holds nothing, so no cycle
 * can lead through it.
 */
void
own_i_word_outlast(struct own_i_record *self, struct own_i_slot s,
		uint64_t *word)
{
	int r;

	/* V3: a clone from now on is counted; seq_cst: for the fallback, with
	 * the loads of the drain */
	(void)own__or(word, OWN__DEAD, OWN__SEQ_CST);
	do
		r = own_i_word_drain(self, s, word, OWN__BIASED,
				OWN__FOREVER, NULL);
	while (r == -EDEADLK);
	own_i_wait_end(self);
}
