/* SPDX-License-Identifier: MIT */
/*
 * gate.c - holding a structure whole, or an entry of it; model/spin/modes.pml
 *
 * An entry's handle has a mode: IS for a shared one, IX for a unique one and
 * for every change. Its slot names the structure and the mode, and that is all
 * it costs while nobody asks for the whole. S and X, the whole shared and the
 * whole unique, are gates in the structure's first word (Gray 1976, with the
 * slots of BRAVO standing for the counters of the intention modes).
 *
 *   low half, the futex: WRITER (gate X), WAITERS, count of S (16 bits), turn
 *   high half: counted IS (20 bits), counted IX (12 bits)
 *
 * turn (8 bits) counts what may let somebody in: without it a waiter for the
 * high half could sleep on a low half in which another one has set WAITERS
 * anew. Should it wrap in between, the slice of the wait ends.
 *
 * Invariants
 *   G1  A gate (WRITER, or a count of S) is set by read-modify-write before
 *       the scan of the slots.
 *   G2  Behind a gate no slot takes a mode that the gate bars. Who must pass
 *       it is counted in the high half instead; the gate's owner looks at the
 *       slots first and at the counts afterwards.
 *   G3  A thread passes X if it holds anything of the structure, since X cannot
 *       be complete before that is given back; it passes S, asking for IX, only
 *       if it holds IX. Holding IS, it waits for S: S may be complete.
 *   G4  Against itself a thread gets -EDEADLK: S or X while it holds IX or X, X
 *       while it holds IS or S, IX while it holds S.
 *   G5  Whatever may let somebody in clears WAITERS, and counts turn, in the
 *       same operation and wakes all.
 *
 * Pairs
 *   S1  own_i_gate_enter (slot, light fence, load of the gate) <-> gate_drain
 *       (gate, heavy fence, load of the slot)
 *   W1  own_i_gate_leave (CAS, release) -> enter, share_all, claim_all (CAS or
 *       load, acquire): all that was done under the mode
 *   S2, S3: slots.c
 */
#include "handles/internal.h"

#define X_SET		((uint64_t)OWN__WRITER)
#define S_ONE		((uint64_t)OWN__COUNT_ONE)
#define S_MASK		OWN_I_GATE_S
#define TURN_ONE	(UINT64_C(1) << 24)
#define TURN_MASK	(UINT64_C(0xff) << 24)
#define IS_ONE		(UINT64_C(1) << 32)
#define IS_MASK		(UINT64_C(0xfffff) << 32)
#define IX_ONE		(UINT64_C(1) << 52)
#define IX_MASK		(UINT64_C(0xfff) << 52)
#define COUNTS		(IS_MASK | IX_MASK | S_MASK)

static uint64_t
one_of(uintptr_t mode)
{
	return mode & OWN_I_X ? X_SET : mode & OWN_I_S ? S_ONE :
		mode & OWN_I_IX ? IX_ONE : IS_ONE;
}

static int
is_full(uint64_t w, uintptr_t mode)
{
	uint64_t mask = mode & OWN_I_S ? S_MASK : mode & OWN_I_IX ? IX_MASK
		: IS_MASK;

	return (w & mask) == mask;
}

/* The one place where a gate opens or a counted mode ends. */
static void
gate_change(uint64_t *gate, uint64_t minus, uint64_t plus)
{
	/* relaxed: only a first guess for the CAS */
	uint64_t w = own__load(gate, OWN__RELAXED), next;

	do {
		next = w - minus + plus;
		next &= ~(TURN_MASK | (uint64_t)OWN__WAITERS);
		next |= (w + TURN_ONE) & TURN_MASK;
		if (own__bug(OWN_BUG_GATE_NO_RELEASE) &&
				own__cas(gate, &w, next, OWN__RELAXED))
			break;
	/* W1: release, pairs with enter, share_all, claim_all; N1: acquire */
	} while (!own__cas(gate, &w, next, OWN__ACQ_REL));
	if (own__bug(OWN_BUG_DOWNGRADE_NO_WAKE) && minus == X_SET && plus)
		return;
	if ((w & OWN__WAITERS) && !own__bug(OWN_BUG_GATE_NO_WAKE))
		own_i_wake(own_i_low(gate), OWN_I_ALL, OWN_I_FUTEX_ANY);
}

void
own_i_gate_leave(uint64_t *gate, uintptr_t mode)
{
	gate_change(gate, one_of(mode), 0);
}

int
own_i_gate_count(uint64_t *gate, uintptr_t mode)
{
	/* relaxed: only a first guess for the CAS */
	uint64_t w = own__load(gate, OWN__RELAXED);

	do
		if (is_full(w, mode))
			return -EOVERFLOW;
	/* relaxed: the caller's own mode protects and orders */
	while (!own__cas(gate, &w, w + one_of(mode), OWN__RELAXED));
	return 0;
}

/*
 * One slice of a wait for the gate's word to change; waits: whose modes for.
 * 0: look again.
 */
static int
gate_wait(struct own_i_record *self, struct own_i_slot s, uint64_t *gate,
		uint64_t w, uintptr_t waits, const char *mode,
		uint64_t deadline_ns)
{
	if (own_i_is_try(deadline_ns)) {
		if (deadline_ns == OWN__WHEN && !own_i_when_gate(self, gate, w))
			return 0;
		return own_i_refuse_gate(self, s, waits, mode, -EBUSY);
	}
	/* relaxed: the kernel compares the word again under its own lock */
	if (!(w & OWN__WAITERS) && !own__cas(gate, &w, w | OWN__WAITERS,
			OWN__RELAXED))
		return 0;
	if (own_i_expired(deadline_ns))
		return own_i_refuse_gate(self, s, waits, mode, -ETIMEDOUT);
	return own_i_wait(self, OWN_I_WAIT_GATE | (uint32_t)waits << 8, gate, s,
			own_i_low(gate), (uint32_t)w | OWN__WAITERS,
			OWN_I_FUTEX_ANY, deadline_ns);
}

/* ---- entries ---- */

static int
passes(uint64_t w, uintptr_t mode, int any, int ix)
{
	if (own__bug(OWN_BUG_NOT_ADMITTED))
		any = ix = 0;
	if (own__bug(OWN_BUG_IS_PASSES_S))
		ix = any;
	return (!(w & X_SET) || any) &&
		(mode == OWN_I_IS || !(w & S_MASK) || ix);
}

/* The gate is shut: waits, if it must, and is counted. */
static int
enter_counted(struct own_i_record *self, struct own_i_slot s, uint64_t *gate,
		uintptr_t mode, uint64_t deadline_ns)
{
	const char *text = mode == OWN_I_IS ? "shared" : "unique";
	int any = own_i_slot_find_mode(self, gate, OWN_I_IS | OWN_I_IX |
			OWN_I_S | OWN_I_X, s.meta, NULL) != NULL;
	int ix = own_i_slot_find_mode(self, gate, OWN_I_IX | OWN_I_X, s.meta,
			NULL) != NULL;
	/* G3: whom it waits for; what it passes is no edge of a cycle */
	uintptr_t waits = (any ? 0 : OWN_I_X) |
		(mode == OWN_I_IS || ix ? 0 : OWN_I_S);
	int r = 0;
	uint64_t w;

	/* G4 */
	if (mode == OWN_I_IX && own_i_slot_find_mode(self, gate, OWN_I_S,
			s.meta, NULL))
		return own_i_refuse_gate(self, s, OWN_I_S, text, -EDEADLK);
	while (!r) {
		/* W1: acquire, for a gate that opens */
		w = own__load(gate, OWN__ACQUIRE);
		if (!passes(w, mode, any, ix)) {
			r = gate_wait(self, s, gate, w, waits, text,
					deadline_ns);
			continue;
		}
		if (is_full(w, mode))
			return -EOVERFLOW;
		/* W1: acquire; D5: release, the wait record went before */
		if (own__cas(gate, &w, w + one_of(mode), OWN__ACQ_REL))
			break;
	}
	return r;
}

/* The gate was seen shut. */
int
own_i_gate_enter_shut(struct own_i_record *self, struct own_i_slot s,
		uintptr_t mode, uint64_t deadline_ns)
{
	uint64_t *gate = OWN_I_GATE(own_i_slot_container(s));
	int r;

	if (own__bug(OWN_BUG_COUPLE_BY_SLOT) && own_i_slot_find_mode(self, gate,
			OWN_I_IX, s.meta, NULL))
		return 0;
	/* G2: the mode goes, whoever waits for it is woken; a note stays */
	own__store(&s.meta->container, (uintptr_t)gate | OWN_I_MAP,
			OWN__RELEASE);
	/* D2: how as well, though the second look finds the mode gone too */
	own_i_slot_kind(s, OWN__HOW_TRYING);
	own_i_slot_set(s, (uintptr_t)gate | OWN__NOTE);
	r = enter_counted(self, s, gate, mode, deadline_ns);
	own_i_wait_end(self);
	if (r) {
		own_i_slot_free(s);
		return r;
	}
	own__store(&s.meta->container, (uintptr_t)gate | OWN_I_MAP | mode |
			OWN_I_GATED, OWN__RELEASE);
	return 1;
}

/* IX becomes IS: a downgrade. Whoever waits for the IX is woken. */
void
own_i_gate_weaken(struct own_i_slot s)
{
	uintptr_t container = own_i_slot_container(s);
	uintptr_t next = (container & ~OWN_I_IX) | OWN_I_IS;

	own__store(&s.meta->container, next, OWN__RELEASE);
	if (container & OWN_I_GATED)
		gate_change(OWN_I_GATE(container), IX_ONE, IS_ONE);
	else
		/* the same object, for the fence and the look at wanted */
		own_i_slot_set(s, own__load(s.object, OWN__RELAXED));
}

/* X becomes S. */
void
own_i_gate_weaken_whole(uint64_t *gate)
{
	gate_change(gate, X_SET, S_ONE);
}

int
own_i_gate_upgrade_try(struct own_i_record *self, struct own_i_slot s)
{
	uint64_t *gate = OWN_I_GATE(own_i_slot_container(s)), w;

	if (own_i_slot_find_mode(self, gate, OWN_I_S, NULL, NULL))
		return own_i_refuse_gate(self, s, OWN_I_S, "unique", -EDEADLK);
	/* W1: acquire, in the CAS as well */
	w = own__load(gate, OWN__ACQUIRE);
	do {
		if ((w & S_MASK) && !own_i_slot_find_mode(self, gate,
				OWN_I_IX | OWN_I_X, NULL, NULL))
			return own_i_refuse_gate(self, s, OWN_I_S, "unique",
					-EBUSY);
		if (is_full(w, OWN_I_IX))
			return -EOVERFLOW;
	} while (!own__cas(gate, &w, w + IX_ONE, OWN__ACQUIRE));
	return 0;
}

void
own_i_gate_upgraded(struct own_i_slot s)
{
	uintptr_t container = own_i_slot_container(s);
	uint64_t *gate = OWN_I_GATE(container);

	/* counted already: then the slot's own mode may go (G2) */
	own__store(&s.meta->container, (uintptr_t)gate | OWN_I_MAP | OWN_I_IX |
			OWN_I_GATED, OWN__RELEASE);
	if (container & OWN_I_GATED)
		gate_change(gate, IS_ONE, 0);
	else
		/* the same object, for the fence and the look at wanted */
		own_i_slot_set(s, own__load(s.object, OWN__RELAXED));
}

/* ---- the whole ---- */

/* Sleeps until a slot no longer has the mode, or a slice has passed. */
static int
slot_await(struct own_i_record *self, struct own_i_slot s, uint64_t *gate,
		uintptr_t modes, const uintptr_t *object,
		struct own__slot *slot, uint64_t deadline_ns)
{
	/* S3: seq_cst, for the fallback; pairs with own_i_slot_set() */
	(void)own__xchg(&slot->wanted, 1, OWN__SEQ_CST);
	own_i_heavy_fence();
	if (!own_i_slot_bars(object, slot, gate, modes)) {
		own__slot_wake(slot);
		return 0;
	}
	return own_i_wait(self, OWN_I_WAIT_GATE | (uint32_t)modes << 8, gate, s,
			&slot->wanted, 1, OWN_I_FUTEX_ANY, deadline_ns);
}

/* Until no slot has one of the modes, but for those that are counted. */
static int
drain_slots(struct own_i_record *self, struct own_i_slot s, uint64_t *gate,
		uintptr_t modes, const char *mode, uint64_t deadline_ns)
{
	int r;

	OWN_I_EACH_RECORD(record)
		OWN_I_EACH_BLOCK(b, record)
			for (unsigned i = 0; i < OWN__SLOTS; i++) {
				struct own__slot *slot = &b->s.slot[i];
again:
				if (!own_i_slot_bars(&b->s.object[i], slot,
						gate, modes))
					continue;
				if (own_i_is_try(deadline_ns))
					return own_i_refuse_gate(self, s,
							modes, mode, -EBUSY);
				if (own_i_expired(deadline_ns))
					return own_i_refuse_gate(self, s,
							modes, mode,
							-ETIMEDOUT);
				r = slot_await(self, s, gate, modes,
						&b->s.object[i], slot,
						deadline_ns);
				if (r)
					return r;
				goto again;
			}
	return 0;
}

static int
drain_counts(struct own_i_record *self, struct own_i_slot s, uint64_t *gate,
		uint64_t mask, uintptr_t modes, const char *mode,
		uint64_t deadline_ns)
{
	int r = 0;
	uint64_t w;

	while (!r) {
		/* W1: acquire, pairs with own_i_gate_leave() */
		w = own__load(gate, OWN__ACQUIRE);
		if (!(w & mask))
			break;
		r = gate_wait(self, s, gate, w, modes, mode, deadline_ns);
	}
	return r;
}

static int
gate_drain(struct own_i_record *self, struct own_i_slot s, uint64_t *gate,
		uint64_t mask, uintptr_t modes, const char *mode,
		uint64_t deadline_ns)
{
	int r = 0;

	if (!own__bug(OWN_BUG_GATE_NO_MEMBARRIER))
		own_i_heavy_fence();
	if (own__bug(OWN_BUG_GATE_COUNT_FIRST))
		r = drain_counts(self, s, gate, mask, modes, mode,
				deadline_ns);
	/* G2: the slots, then the counts; S handles are counted alone */
	if (!r)
		r = drain_slots(self, s, gate, modes & (OWN_I_IS | OWN_I_IX),
				mode, deadline_ns);
	if (!r && !own__bug(OWN_BUG_GATE_COUNT_FIRST))
		r = drain_counts(self, s, gate, mask, modes, mode,
				deadline_ns);
	return r;
}

/*
 * Sets the gate and drains. own: what this thread must not hold itself;
 * waits: the modes that must have gone when it returns, counted in mask.
 */
static int
whole_once(struct own_i_record *self, struct own_i_slot s, uintptr_t mode,
		uintptr_t own, uintptr_t waits, uint64_t mask,
		uint64_t deadline_ns)
{
	uint64_t *gate = OWN_I_GATE(own_i_slot_container(s)), w;
	const char *text = mode == OWN_I_S ? "the whole, shared"
		: "the whole, unique";
	int any = mode == OWN_I_S && own_i_slot_find_mode(self, gate,
			OWN_I_IS | OWN_I_S, s.meta, NULL);
	int r = 0, set = 0, gave_way = 0;

	own_i_order_note(self, s, gate, mode, deadline_ns);
	/* G4 */
	if (own_i_slot_find_mode(self, gate, own, s.meta, NULL))
		r = own_i_refuse_gate(self, s, own, text, -EDEADLK);
	while (!r && !set) {
		/* W1: acquire, in the CAS as well */
		w = own__load(gate, OWN__ACQUIRE);
		if ((w & X_SET) && !any) {
			r = gate_wait(self, s, gate, w, OWN_I_X, text,
					deadline_ns);
			continue;
		}
		if (mode == OWN_I_S && !any && !gave_way &&
				(w & S_MASK) && (w & OWN__WAITERS) &&
				!own_i_is_try(deadline_ns)) {
			/* p. 45: a hint, as FAIR: somebody waits for the S
			 * that stands. Once, then on */
			gave_way = 1;
			own_i_yield();
			continue;
		}
		if (mode == OWN_I_S && is_full(w, mode))
			r = -EOVERFLOW;
		else
			/* G1, W1; seq_cst: with the scan, the fallback */
			set = own__cas(gate, &w, w + one_of(mode),
					OWN__SEQ_CST);
	}
	if (!r) {
		/* the wait for X is over before others wait for this: the next
		 * owner of X would be a cycle with it */
		own_i_wait_end(self);
		/* D4: an edge of deadlock checks, after the CAS */
		own__store(&s.meta->container, (uintptr_t)gate | OWN_I_MAP |
				mode, OWN__RELEASE);
		/* N2: what it would be armed at here goes with the gate */
		r = gate_drain(self, s, gate, mask, waits, text,
				deadline_ns == OWN__WHEN ? OWN__TRY
				: deadline_ns);
		if (r)
			own_i_gate_leave(gate, mode);
	}
	return r;
}

/* Refused, and the gate as it was: the note goes to what it met. */
static int
whole_when(struct own_i_record *self, struct own_i_slot s, uintptr_t waits,
		uint64_t mask)
{
	uint64_t *gate = OWN_I_GATE(own_i_slot_container(s));

	if (self->when_set)
		return 1;
	own__store(&s.meta->container, (uintptr_t)gate | OWN_I_MAP,
			OWN__RELEASE);
	return own_i_when_word(self, gate, X_SET | mask, OWN_I_FUTEX_ANY) ||
		own_i_when_slots(self, gate, waits & (OWN_I_IS | OWN_I_IX));
}

static int
whole(struct own_i_record *self, struct own_i_slot s, uintptr_t mode,
		uintptr_t own, uintptr_t waits, uint64_t mask,
		uint64_t deadline_ns)
{
	int r;

	do
		r = whole_once(self, s, mode, own, waits, mask, deadline_ns);
	while (r == -EBUSY && deadline_ns == OWN__WHEN &&
			!whole_when(self, s, waits, mask));
	own_i_wait_end(self);
	if (r)
		own_i_slot_free(s);
	else
		own_i_slot_kind(s, OWN__HOW_WHOLE);
	return r;
}

int
own_i_gate_share_all(struct own_i_record *self, struct own_i_slot s,
		uint64_t deadline_ns)
{
	return whole(self, s, OWN_I_S, OWN_I_IX | OWN_I_X, OWN_I_IX, IX_MASK,
			deadline_ns);
}

int
own_i_gate_claim_all(struct own_i_record *self, struct own_i_slot s,
		uint64_t deadline_ns)
{
	return whole(self, s, OWN_I_X, OWN_I_IS | OWN_I_IX | OWN_I_S | OWN_I_X,
			OWN_I_IS | OWN_I_IX | OWN_I_S, COUNTS, deadline_ns);
}

/*
 * own_i_gate_upgrade_all_try - from S to X, if nobody else holds anything
 *
 * Never waits: two that upgrade would wait for each other. X stands beside the
 * S until all is seen: who passes X (G3) must not change what this thread goes
 * on reading if it is refused.
 */
int
own_i_gate_upgrade_all_try(struct own_i_record *self, struct own_i_slot s)
{
	static const char text[] = "the whole, unique";
	static const uintptr_t others = OWN_I_IS | OWN_I_IX | OWN_I_S;
	uint64_t *gate = OWN_I_GATE(own_i_slot_container(s)), w;
	/* what the gate counts of this thread meanwhile */
	uint64_t mine = own__bug(OWN_BUG_UPGRADE_S_EARLY) ? 0 : S_ONE;
	int r = 0;

	/* G4 */
	if (own_i_slot_find_mode(self, gate, others | OWN_I_X, s.meta, NULL))
		return own_i_refuse_gate(self, s, others, text, -EDEADLK);
	/* relaxed: only a first guess for the CAS */
	w = own__load(gate, OWN__RELAXED);
	do
		if ((w & X_SET) || (w & COUNTS) != S_ONE)
			return own_i_refuse_gate(self, s, w & X_SET ? OWN_I_X
					: others, text, -EBUSY);
	/* G1; seq_cst: with the scan, the fallback */
	while (!own__cas(gate, &w, w - S_ONE + mine + X_SET, OWN__SEQ_CST));
	own_i_heavy_fence();
	/* G2: the slots, then the counts */
	if (!own__bug(OWN_BUG_UPGRADE_NO_SCAN))
		r = drain_slots(self, s, gate, OWN_I_IS | OWN_I_IX, text,
				OWN__TRY);
	/* relaxed: a guess */
	w = own__load(gate, OWN__RELAXED);
	do
		if (!r && (w & COUNTS) != mine)
			r = own_i_refuse_gate(self, s, others, text, -EBUSY);
	/* W1: acquire, pairs with own_i_gate_leave(). Nobody is let in by the
	 * end of the S: no turn, no wake (G5) */
	while (!r && !own__cas(gate, &w, w - mine, OWN__ACQUIRE));
	if (r) {
		gate_change(gate, X_SET, S_ONE - mine);
		return r;
	}
	own__store(&s.meta->container, (uintptr_t)gate | OWN_I_MAP | OWN_I_X,
			OWN__RELEASE);
	return 0;
}
