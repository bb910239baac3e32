/* SPDX-License-Identifier: MIT */
/*
 * linear_stress.c - short histories of the library, each checked as a whole:
 * the list of cases, and the rounds that record
 */
#include <sched.h>
#include <stdlib.h>
#include "stress/linear_stress.h"

/* Far above what a round needs: a check of it takes some hundred steps. */
#define PAIRS_MAX	(1u << 15)
#define STEPS_MAX	((uint64_t)1 << 20)

#define OPS_MAX		24u

const char *const linear_kinds[KINDS_N] = {
#define LINEAR_KIND(name, text)	text,
	LINEAR_KINDS(LINEAR_KIND)
#undef LINEAR_KIND
};

unsigned groups_n;
struct group groups[STRESS_THREADS_MAX / GROUP_THREADS];

void
groups_begin(unsigned threads_n, const struct linear_spec *spec)
{
	unsigned n = threads_n / GROUP_THREADS;

	groups_n = n ? n : 1;
	for (unsigned i = 0; i < groups_n; i++) {
		struct group *g = &groups[i];

		*g = (struct group){ .index = i, .spec = spec };
		g->size = i + 1 < groups_n ? GROUP_THREADS :
			threads_n - i * GROUP_THREADS;
		/* with those that look afterwards, one key may get them all */
		g->ops_n = (LINEAR_PART_MAX - GROUP_KEYS) / g->size;
		if (g->ops_n > OPS_MAX)
			g->ops_n = OPS_MAX;
		g->history = aligned_alloc(_Alignof(struct linear_history),
				sizeof *g->history);
		g->checker = linear_checker_create(PAIRS_MAX, STEPS_MAX);
		if (!g->history || !g->checker)
			stress_fail(NULL, "no memory");
		g->history->clock = 0;
		pthread_barrier_init(&g->barrier, NULL, g->size);
	}
}

void
groups_end(void)
{
	for (unsigned i = 0; i < groups_n; i++) {
		pthread_barrier_destroy(&groups[i].barrier);
		linear_checker_destroy(groups[i].checker);
		free(groups[i].history);
	}
}

void
linger(struct stress_thread *t)
{
	unsigned n = stress_below(t, 16);

	if (n < 3)
		sched_yield();
	else if (n < 8)
		stress_spin(stress_below(t, 1000));
}

void
must_be_linear(struct stress_thread *t, struct group *g,
		enum linear_verdict verdict)
{
	if (verdict == LINEAR_OK)
		return;
	fflush(stdout);
	linear_explain(g->checker, stderr);
	stress_fail(t, "round %llu: %s", (unsigned long long)g->rounds,
			verdict == LINEAR_UNDECIDED ? "undecided" :
			"not linearizable");
}

static void
check_round(struct stress_thread *t, struct group *g,
		const struct subject *subject)
{
	struct linear_op *op;
	enum linear_verdict verdict;
	uint64_t value[GROUP_KEYS];

	for (unsigned key = 0; key < GROUP_KEYS; key++) {
		op = linear_call(g->history, g->size, K_READ, BARE, key, 0);
		value[key] = subject->look(t, g, key);
		linear_return(g->history, op, value[key] == ABSENT ? -ENOENT :
				0, value[key]);
	}
	verdict = linear_check(g->checker, g->spec, g->history, g->initial,
			GROUP_KEYS);
	stress_count(t, K_ROUND);
	for (unsigned n = linear_overlapping(g->checker); n; n--)
		stress_count(t, K_OVERLAP);
	(subject->judge ? subject->judge : must_be_linear)(t, g, verdict);
	for (unsigned key = 0; key < GROUP_KEYS; key++)
		g->initial[key] = value[key];
}

void
rounds(struct stress_thread *t, const struct subject *subject)
{
	unsigned i = t->index / GROUP_THREADS, me, keys_n;
	struct group *g;

	i = i < groups_n ? i : groups_n - 1;
	me = t->index - i * GROUP_THREADS;
	g = &groups[i];
	for (;;) {
		if (me == 0) {
			g->go = stress_running(t);
			g->rounds++;
			linear_reset(g->history);
			/* relaxed: between barriers */
			own__store(&g->arrived, (uint32_t)0, OWN__RELAXED);
			if (subject->begin)
				subject->begin(t, g);
		}
		pthread_barrier_wait(&g->barrier);
		if (!g->go)
			return;
		/* A barrier wakes one after the other: begin together.
		 * relaxed: orders nothing */
		own__add(&g->arrived, (uint32_t)1, OWN__RELAXED);
		while (own__load(&g->arrived, OWN__RELAXED) < g->size)
			sched_yield();
		/* the fewer keys, the more meet on one */
		keys_n = 1 + (unsigned)(g->rounds % GROUP_KEYS);
		for (i = 0; i < g->ops_n; i++)
			subject->operate(t, g, me, stress_below(t, keys_n),
					(g->rounds * OPS_MAX + i) *
					LINEAR_THREADS_MAX + me + 1);
		pthread_barrier_wait(&g->barrier);
		if (me == 0)
			check_round(t, g, subject);
	}
}

#define OF_A_CELL	(BIT(READ) | BIT(LOOK) | BIT(EDIT) | BIT(DROP) |\
			 BIT(UPGRADE) | BIT(SWAP) | BIT(REPLACE) |	\
			 BIT(ROUND) | BIT(OVERLAP) | BIT(BUSY))

#define OF_A_MAP	(BIT(READ) | BIT(EDIT) | BIT(DROP) | BIT(PUT) |	\
			 BIT(PUT_NEW) | BIT(MAKE) | BIT(UNMAKE) |	\
			 BIT(REMOVE) | BIT(TAKE) | BIT(ROUND) | BIT(OVERLAP))
#define OF_AN_ENTRY	(BIT(LOOK) | BIT(REPLACE) | BIT(BUSY) |	\
			 BIT(NONE) | BIT(TAKEN) | BIT(MADE))

static const struct stress_case cases[] = {
	{
		.name = "known",
		.what = "the checker on histories whose verdict is known",
		.kinds = linear_kinds, .kinds_n = KINDS_N,
		.required = BIT(BY_HAND) | BIT(ACCEPTED) | BIT(REFUSED) |
			BIT(UNDECIDED),
		.thread = known_thread,
	}, {
		.name = "wrong",
		.what = "a map with faults, each of which must be refused",
		.kinds = linear_kinds, .kinds_n = KINDS_N,
		.required = OF_A_MAP | BIT(F_STALE) | BIT(F_LOST) |
			BIT(F_CHECK) | BIT(F_EARLY) | BIT(F_KEPT) |
			BIT(F_TWICE) | BIT(F_BUSY) | BIT(F_TORN),
		.setup = wrong_setup,
		.thread = wrong_thread,
		.finish = wrong_finish,
	}, {
		.name = "right",
		.what = "the same map without a fault",
		.kinds = linear_kinds, .kinds_n = KINDS_N,
		.required = OF_A_MAP,
		.setup = wrong_setup,
		.thread = right_thread,
		.finish = wrong_finish,
	}, {
		.name = "exclusive",
		.what = "histories of OWN_EXCLUSIVE cells",
		.kinds = linear_kinds, .kinds_n = KINDS_N,
		.required = OF_A_CELL,
		.setup = cells_exclusive_setup,
		.thread = cells_thread,
		.finish = cells_finish,
	}, {
		.name = "versioned",
		.what = "histories of OWN_VERSIONED cells",
		.kinds = linear_kinds, .kinds_n = KINDS_N,
		.required = OF_A_CELL | BIT(STALE),
		.setup = cells_versioned_setup,
		.thread = cells_thread,
		.finish = cells_finish,
	}, {
		.name = "map_exclusive",
		.what = "histories of the entries of OWN_EXCLUSIVE maps",
		.kinds = linear_kinds, .kinds_n = KINDS_N,
		.required = OF_A_MAP | OF_AN_ENTRY | BIT(UPGRADE),
		.setup = maps_exclusive_setup,
		.thread = maps_thread,
		.finish = maps_finish,
	}, {
		.name = "map_versioned",
		.what = "histories of the entries of OWN_VERSIONED maps",
		.kinds = linear_kinds, .kinds_n = KINDS_N,
		.required = OF_A_MAP | OF_AN_ENTRY,
		.setup = maps_versioned_setup,
		.thread = maps_thread,
		.finish = maps_finish,
	},
};

int
main(int argc, char **argv)
{
	return stress_main(argc, argv, cases, sizeof cases / sizeof *cases);
}
