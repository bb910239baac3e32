/* SPDX-License-Identifier: MIT */
/*
 * share.c - which memory threads contend for
 *
 * An access to memory that only one thread uses, or that nobody changes while
 * threads run, can be exchanged with whatever other threads do next to it. So
 * the exhaustive search offers no switch before it. Which memory that is, is
 * learnt: 8 bytes are contended from the first schedule on in which one thread
 * accesses them and another one changes or frees them, and the search then
 * begins anew. In the last round no schedule showed anything new. Moving a
 * switch past uncontended accesses adds no preemption, so the round covers
 * what one with all switches would have covered under the same bound.
 */
#include "model/engine.h"

#define WORDS		(1u << 15)

struct word {
	uintptr_t at;
	uint64_t search, schedule;	/* when it was last used */
	bool contended;
	uint8_t users, changers;	/* in this schedule, by thread */
};

static struct word words[WORDS];
static uint64_t search = 1, schedule;
static unsigned count;
static bool grown;

_Static_assert(THREADS <= 8, "users and changers have a bit for each");

static struct word *
find(uintptr_t at, bool make)
{
	unsigned i = (unsigned)((at >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 49);

	while (words[i].search == search && words[i].at != at)
		i = (i + 1) % WORDS;
	if (words[i].search != search) {
		if (!make)
			return NULL;
		if (++count > WORDS / 2)
			own_m_i_die("too much shared memory");
		words[i] = (struct word){ .at = at, .search = search };
	}
	return &words[i];
}

void
own_m_i_share_forget(void)
{
	search++;
	count = 0;
	grown = false;
}

void
own_m_i_share_begin(void)
{
	schedule++;
	grown = false;
}

bool
own_m_i_share_grown(void)
{
	return grown;
}

bool
own_m_i_share_access(unsigned me, uintptr_t at, bool changes)
{
	struct word *w = find(at & ~(uintptr_t)7, true);
	unsigned others;

	if (w->schedule != schedule) {
		w->schedule = schedule;
		w->users = 0;
		w->changers = 0;
	}
	others = (changes ? w->users : w->changers) & ~(1u << me);
	w->users |= (uint8_t)(1u << me);
	if (changes)
		w->changers |= (uint8_t)(1u << me);
	if (others && !w->contended) {
		w->contended = true;
		grown = true;
	}
	return w->contended;
}

void
own_m_i_share_free(unsigned me, uintptr_t start, size_t size)
{
	for (uintptr_t at = start; at < start + size; at += 8) {
		struct word *w = find(at, false);

		if (w && w->schedule == schedule)
			own_m_i_share_access(me, at, true);
	}
}
