/* SPDX-License-Identifier: MIT */
/*
 * refcount_stress.c - the fault that libown begins with, and its cure
 *
 * naive     Threads raise and drop a count that is loaded, changed and stored,
 *           as ++ and -- do. Lost updates free an object that is still in use,
 *           or never free it. Nothing is really freed: a mark says so, and
 *           every use looks at the mark. The case fails unless both faults are
 *           found; a checker that misses them could not vouch for the handles.
 * handles   The same load on a versioned cell. The case fails on one value that
 *           ended while somebody used it, or that never ended.
 *
 * The naive accesses are relaxed atomics: they lose updates just as plain ones
 * do, and are no data race, so that ThreadSanitizer builds run them too.
 */
#include <sched.h>
#include <stdio.h>
#include <own/own.h>
#include "stress/driver.h"

#ifdef __clang__
/* The handles of a burst stand in an array, beyond what clang follows. */
#pragma clang diagnostic ignored "-Wthread-safety"
#endif

#define BURST		8u		/* references of one thread at once */
#define ROUND		64u		/* bursts of a thread, at most */
#define ALIVE		0x0a11ce0a11ce0a11u
#define ENDED		0xdeadbeefdeadbeefu

enum { RAISE, DROP, REPLACE, EARLY, AFTER, LEAK, RIGHT, KINDS_N };

static const char *const kinds[] = {
	"raise", "drop", "replace", "freed early", "used after that", "leaked",
	"freed once, in time",
};

#define BIT(kind)	((uint64_t)1 << (kind))

/* ---- naive ---- */

static struct {
	_Alignas(128) uint32_t count;	/* shared: the naive count */
	uint32_t freed;			/* shared: the mark */
	int go;				/* set between barriers */
} object;

static pthread_barrier_t round_barrier;

/* count += by, with another thread now and then let in between. */
static uint32_t
naive_add(struct stress_thread *t, uint32_t by)
{
	/* relaxed: as little as a plain ++ promises */
	uint32_t n = own__load(&object.count, OWN__RELAXED) + by;

	if (stress_one_in(t, 64))
		sched_yield();
	own__store(&object.count, n, OWN__RELAXED);
	return n;
}

static void
naive_burst(struct stress_thread *t)
{
	unsigned n = 1 + stress_below(t, BURST);

	for (unsigned i = 0; i < n; i++) {
		stress_op(t, RAISE);
		(void)naive_add(t, 1);
		/* relaxed: the mark is set once */
		if (own__load(&object.freed, OWN__RELAXED))
			stress_count(t, AFTER);
	}
	/* What another thread lost meanwhile is missing below. */
	if (stress_one_in(t, 8))
		sched_yield();
	for (unsigned i = 0; i < n; i++) {
		stress_op(t, DROP);
		/* The owner's own reference stands: 0 is always too early. */
		if (naive_add(t, (uint32_t)-1) == 0 &&
				!own__xchg(&object.freed, (uint32_t)1,
				OWN__RELAXED))
			stress_count(t, EARLY);
	}
}

static void
naive_thread(struct stress_thread *t)
{
	for (;;) {
		if (t->index == 0) {
			object.go = stress_running(t);
			/* relaxed: between barriers */
			own__store(&object.count, (uint32_t)1, OWN__RELAXED);
			own__store(&object.freed, (uint32_t)0, OWN__RELAXED);
		}
		pthread_barrier_wait(&round_barrier);
		if (!object.go)
			return;
		for (unsigned i = 0; i < ROUND; i++)
			naive_burst(t);
		pthread_barrier_wait(&round_barrier);
		if (t->index)
			continue;
		/* The owner drops the last one, so it believes. */
		if (own__load(&object.freed, OWN__RELAXED))
			continue;
		stress_count(t, naive_add(t, (uint32_t)-1) ? LEAK : RIGHT);
	}
}

static void
naive_setup(unsigned threads_n)
{
	pthread_barrier_init(&round_barrier, NULL, threads_n);
}

static void
naive_finish(unsigned threads_n)
{
	(void)threads_n;
	pthread_barrier_destroy(&round_barrier);
}

/* ---- handles ---- */

struct value {
	uint64_t alive;
	uint32_t users;		/* shared: what a right count would be */
};

static struct own_cell cell;
static uint64_t made_n, ended_n;	/* shared */

static void
value_fini(void *payload, size_t size_bytes)
{
	struct value *v = payload;

	(void)size_bytes;
	/* relaxed: who dropped the last one ordered it by its handle */
	if (own__load(&v->users, OWN__RELAXED))
		stress_fail(NULL, "freed early, with %u users",
				own__load(&v->users, OWN__RELAXED));
	if (v->alive != ALIVE)
		stress_fail(NULL, "freed twice");
	v->alive = ENDED;
	own__add(&ended_n, (uint64_t)1, OWN__RELAXED);
}

static const struct own_type value_type = {
	.name = "value", .size = sizeof(struct value), .fini = value_fini,
};

static void
new_value(struct stress_thread *t, struct own_unique *ret)
{
	struct value *v;

	if (own_new(&value_type, ret))
		stress_fail(t, "no memory");
	v = own_unique_edit(ret);
	v->alive = ALIVE;
	/* relaxed: a sum */
	own__add(&made_n, (uint64_t)1, OWN__RELAXED);
}

static void
use(struct stress_thread *t, const struct own_shared *h, uint32_t by)
{
	/* users is the checker's own, not part of the value */
	struct value *v = (struct value *)(uintptr_t)own_shared_get(h);

	if (v->alive != ALIVE)
		stress_fail(t, "freed early: used after that");
	/* relaxed: see value_fini() */
	own__add(&v->users, by, OWN__RELAXED);
}

static void
handle_burst(struct stress_thread *t)
{
	struct own_shared h[BURST] = { { 0 } };
	unsigned n = 1 + stress_below(t, BURST);

	for (unsigned i = 0; i < n; i++) {
		stress_op(t, RAISE);
		if (i && stress_one_in(t, 2)
				? own_shared_clone(&h[i - 1], &h[i])
				: own_cell_share(&cell, &h[i]))
			stress_fail(t, "refused a reference");
		if (stress_one_in(t, 64))
			sched_yield();
		use(t, &h[i], 1);
	}
	for (unsigned i = 0; i < n; i++) {
		stress_op(t, DROP);
		use(t, &h[i], (uint32_t)-1);
		own_shared_release(&h[i]);
	}
}

static void
handle_thread(struct stress_thread *t)
{
	struct own_unique u = { 0 };

	while (stress_running(t)) {
		for (unsigned i = 0; i < ROUND; i++)
			handle_burst(t);
		stress_op(t, REPLACE);
		new_value(t, &u);
		if (own_cell_replace(&cell, &u))
			stress_fail(t, "replace was refused");
	}
}

static void
handle_setup(unsigned threads_n)
{
	struct own_unique u = { 0 };

	(void)threads_n;
	made_n = ended_n = 0;
	new_value(NULL, &u);
	if (own_cell_init(&cell, &value_type, OWN_VERSIONED, "counted", &u))
		stress_fail(NULL, "own_cell_init");
}

static void
handle_finish(unsigned threads_n)
{
	(void)threads_n;
	own_cell_destroy(&cell);
	if (own_barrier() != 0 || made_n != ended_n)
		stress_fail(NULL, "leaked %llu of %llu values",
				(unsigned long long)(made_n - ended_n),
				(unsigned long long)made_n);
	printf("refcount_stress: handles: %llu values, "
			"freed early 0, leaked 0\n",
			(unsigned long long)made_n);
}

static const struct stress_case cases[] = {
	{
		.name = "naive",
		.what = "a plain count must be seen to leak and to free early",
		.kinds = kinds, .kinds_n = KINDS_N,
		.required = BIT(RAISE) | BIT(DROP) | BIT(EARLY) | BIT(AFTER) |
			BIT(LEAK),
		.setup = naive_setup,
		.thread = naive_thread,
		.finish = naive_finish,
	}, {
		.name = "handles",
		.what = "the same load through handles does neither",
		.kinds = kinds, .kinds_n = KINDS_N,
		.required = BIT(RAISE) | BIT(DROP) | BIT(REPLACE),
		.setup = handle_setup,
		.thread = handle_thread,
		.finish = handle_finish,
	},
};

int
main(int argc, char **argv)
{
	return stress_main(argc, argv, cases, sizeof cases / sizeof *cases);
}
