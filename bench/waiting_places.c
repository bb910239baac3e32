/* SPDX-License-Identifier: MIT */
/*
 * waiting_places.c - what it costs that each verb notes where it is called
 *
 *   noted    as it is: the place's address is loaded and stored in the slot
 *   null     OWN_HERE is NULL: nothing is loaded, NULL is stored
 *   unnoted  and nothing is stored either (waiting_unnoted.c)
 *
 * One thread, on one core, by its processor time; the loops take turns, and
 * each is compared with the noted one right before it.
 */
#include <sched.h>
#include "bench/waiting_places.h"

#define ROUNDS		15u

PLACES_LOOPS(places)
#undef OWN_HERE
#define OWN_HERE	NULL
PLACES_LOOPS(null)

static const struct {
	const char *subject, *how;
	void (*loop)(struct own_cell *cell, unsigned n);
} loops[] = {
	{ "share and release", "noted", places_share },
	{ "share and release", "null", null_share },
	{ "share and release", "unnoted", unnoted_share },
	{ "claim and release", "noted", places_claim },
	{ "claim and release", "null", null_claim },
	{ "claim and release", "unnoted", unnoted_claim },
};

#define LOOPS_N		(sizeof loops / sizeof *loops)

void
part_places(void)
{
	unsigned n = smoke ? 1000 : 2000000;
	struct own_cell read, written;
	cpu_set_t before, one;
	double ns, noted_ns = 1;
	uint64_t from_ns;
	int pinned;

	pinned = !sched_getaffinity(0, sizeof before, &before);
	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	/* a sandbox may refuse; then it runs unpinned */
	(void)sched_setaffinity(0, sizeof one, &one);
	cell_make(&read, "places");
	cell_make(&written, "places");
	/* until it is biased: then each share is the inlined one */
	places_share(&read, 100000);
	for (unsigned round = 0; round <= ROUNDS; round++)
		for (unsigned i = 0; i < LOOPS_N; i++) {
			from_ns = cpu_now_ns();
			loops[i].loop(i < LOOPS_N / 2 ? &read : &written, n);
			ns = (double)(cpu_now_ns() - from_ns) / n;
			if (i % (LOOPS_N / 2) == 0)
				noted_ns = ns;
			/* the first one warms up */
			if (!round)
				continue;
			line("places", loops[i].subject, loops[i].how, "ns",
					ns);
			line("places", loops[i].subject, loops[i].how,
					"of_noted", ns / noted_ns);
		}
	own_cell_destroy(&written);
	own_cell_destroy(&read);
	if (pinned)
		(void)sched_setaffinity(0, sizeof before, &before);
}
