/* SPDX-License-Identifier: MIT */
/*
 * deadlock.c - who gets -EDEADLK; model/spin/deadlock.pml
 *
 * Invariants
 *   D1  Checks run one at a time, under one mutex.
 *   D2  The path is collected twice. A cycle counts only if every wait record
 *       on it has the sequence it had the first time, and every slot the same
 *       how and still the object: then all its edges stood together between
 *       the two collections. A slot that was freed keeps its how until it is
 *       taken again, and its thread may wait by another one meanwhile.
 *   D3  The victim is always the checking thread; it erases its own wait
 *       record before it gives the mutex back, so the next finds no cycle.
 *   D4  A slot notes the word before the CAS that sets WRITER, and its kind
 *       says so only after it.
 *   D5  A wait record stands while its thread sleeps and checks, and never
 *       while it takes what it waited for: the next to take WRITER would be
 *       waited for, by that record, by one who holds already.
 *
 * Edges: a waiter for WRITER to go waits for WRITER's owner; an owner that
 * drains waits for every slot that HOLDs or counts. Waiters wait for all of
 * them (AND), so a cycle is a deadlock. Who waits at a gate waits for each slot
 * whose mode bars it, counted ones included. Handles without a slot have no
 * known thread: there the stall report speaks.
 *
 * Breadth first over the records, linked through themselves: no allocation.
 */
#include "handles/internal.h"

static uint32_t mutex;
static uint64_t run;		/* under the mutex */

/* The kinds of slots that a waiter of this kind waits for. */
static unsigned
conflicting(uint32_t kind)
{
	return kind == OWN_I_WAIT_DRAIN ? OWN_I_READS : OWN_I_WRITES;
}

/* The first slot of the holder's that the waiter waits for, or NULL. */
static struct own__slot *
edge(struct own_i_record *holder, const uint64_t *word, uint32_t kind,
		uint64_t *ret_how)
{
	if ((kind & 0xff) == OWN_I_WAIT_GATE)
		return own_i_slot_find_mode(holder, word, kind >> 8, NULL,
				ret_how);
	return own_i_slot_find(holder, word, conflicting(kind), NULL, ret_how);
}

/*
 * The waiter's edges: each record that holds what it waits for joins the
 * queue once. Returns 1 when one of them is self: the path from self to the
 * waiter, through check_from, and this edge are a cycle.
 */
static int
expand(struct own_i_record *self, struct own_i_record *waiter,
		struct own_i_record **tail)
{
	/* D2: acquire, pairs with wait_begin() and own_i_wait_erase() */
	uint64_t sequence = own__load(&waiter->wait.sequence, OWN__ACQUIRE);
	/* D2: acquire, before the sequence is looked at again */
	uint64_t *word = (uint64_t *)own__load(&waiter->wait.word,
			OWN__ACQUIRE);
	uint32_t kind = own__load(&waiter->wait.kind, OWN__ACQUIRE);

	if (!(sequence & 1))
		return 0;
	waiter->check_wait = sequence;
	OWN_I_EACH_RECORD(holder) {
		struct own__slot *slot;
		uint64_t how;

		if (holder == waiter || (holder != self &&
				holder->check_run == run))
			continue;
		slot = edge(holder, word, kind, &how);
		if (!slot)
			continue;
		holder->check_slot = slot;
		holder->check_how = how;
		holder->check_from = waiter;
		if (holder == self)
			return 1;
		holder->check_run = run;
		holder->check_next = NULL;
		(*tail)->check_next = holder;
		*tail = holder;
	}
	return 0;
}

/* D2: every edge of the cycle is found again, as it was. */
static int
stands(struct own_i_record *self)
{
	struct own_i_record *holder = self;
	uint64_t how;

	if (own__bug(OWN_BUG_ONE_COLLECT))
		return 1;
	do {
		struct own_i_record *waiter = holder->check_from;
		/* acquire: not before the first collection, and before the
		 * sequence, as in expand() */
		const uint64_t *word = (const uint64_t *)own__load(
				&waiter->wait.word, OWN__ACQUIRE);
		uint32_t kind = own__load(&waiter->wait.kind, OWN__ACQUIRE);

		if (own__bug(OWN_BUG_FREED_SLOT)) {
			if (own__load(&holder->check_slot->how,
					OWN__ACQUIRE) != holder->check_how)
				return 0;
		} else if (edge(holder, word, kind, &how) !=
				holder->check_slot ||
				how != holder->check_how) {
			return 0;
		}
		/* acquire: not before the first collection */
		if (own__load(&waiter->wait.sequence, OWN__ACQUIRE) !=
				waiter->check_wait)
			return 0;
		holder = waiter;
	} while (holder != self);
	return 1;
}

/*
 * The report: self waits for what the first holder has, and so on. check_from
 * leads backwards, so the parties are filled from the end.
 */
static void
report(struct own_i_record *self)
{
	struct own_conflict *conflict = &self->conflict;
	struct own_i_record *holder = self;
	uint32_t n = 0, at;

	do {
		holder = holder->check_from;
		n++;
	} while (holder != self);
	self->refusal.error = conflict->error = -EDEADLK;
	self->refusal.open = 0;
	conflict->parties_n = n < OWN_PARTIES_MAX ? n : OWN_PARTIES_MAX;
	conflict->more_n = n - conflict->parties_n;
	/* self, then backwards from who waits for it; each with the slot that
	 * the one before it waits for */
	at = n;
	do {
		struct own_i_record *waiter = holder->check_from;
		uint32_t i = holder == self ? 0 : --at;

		if (i < OWN_PARTIES_MAX)
			/* relaxed: the cycle stood */
			own_i_party(&conflict->parties[i], holder,
					holder->check_slot,
					own_i_mode(holder->check_how),
					own__load(&waiter->wait.word,
						OWN__RELAXED));
		holder = waiter;
	} while (holder != self);
}

/*
 * own_i_deadlock_check - 1 if this thread's wait could never end
 *
 * Then its wait record is erased and own_conflict_last() has the cycle. Called
 * after a slice that timed out, never after a wake-up.
 */
int
own_i_deadlock_check(struct own_i_record *self)
{
	struct own_i_record *head = self, *tail = self;
	int found = 0;

	if (!own__bug(OWN_BUG_NO_MUTEX))
		own_i_lock(&mutex);
	run++;
	self->check_run = run;
	self->check_next = NULL;
	for (; head && !found; head = head->check_next)
		found = expand(self, head, &tail);
	if (found)
		found = stands(self);
	if (found) {
		report(self);
		if (!own__bug(OWN_BUG_VICTIM_STAYS))
			own_i_wait_erase(self);
	}
	if (!own__bug(OWN_BUG_NO_MUTEX))
		own_i_unlock(&mutex);
	return found;
}
