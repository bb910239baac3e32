/* SPDX-License-Identifier: MIT */
/*
 * reclaim_flood.c - retirements as fast as they go, while one reader sleeps
 *
 * Each thread replaces the value of a versioned cell of its own, without a
 * pause. One reader, asleep from the beginning to the end, holds the first
 * value of the first cell. Once a second: how many were retired, the most
 * bytes that were pending, and the resident set.
 *
 * Oracles
 *   alone     The sleeper's value is the only one held up: every other one is
 *             ended when its thread has retired a batch after it.
 *   bounded   What is retired and not freed stays within two batches a thread
 *             (own/reclaim.h), and the sleeper's value.
 *   named     own_reclaim_oldest() says that this value is the oldest, which
 *             thread holds it and where; nothing else waits for YOUNG_MAX_NS.
 *   flat      After the first quarter of the run, at most 5 s, the resident
 *             set grows by no more than RSS_GROWTH_MAX.
 *   ended     In the end, once each, the sleeper's not before its release.
 *
 * --tsv prints the same figures to stdout and all else to stderr.
 */
#include <getopt.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <own/own.h>
#include "stress/driver.h"

#ifdef __clang__
/* a cell's object is made by one function and given by another */
#pragma clang diagnostic ignored "-Wthread-safety"
#endif

#define SECOND_NS	UINT64_C(1000000000)
#define SAMPLE_NS	(SECOND_NS / 20)
#define WARM_MAX_NS	(5 * SECOND_NS)
/* a thread that is put aside keeps its batch so long */
#define YOUNG_MAX_NS	(5 * SECOND_NS)
#define RSS_GROWTH_MAX	(UINT64_C(8) << 20)
#define BATCH		UINT64_C(1024)		/* own/reclaim.h */
#define ALIVE		0x0a11ce0a11ce0a11u
#define ENDED		0xdeadbeefdeadbeefu
/* the figures are not taken at one instant: a reader that was put aside in
 * between asks again */
#define LOOKS_MAX	1000u

/* Sanitizers keep freed memory for a while. */
#if defined(__SANITIZE_ADDRESS__) || defined(OWN__TSAN)
#define IS_FLAT		0
#else
#define IS_FLAT		1
#endif

enum { RETIRE, KINDS_N };

static const char *const kinds[] = { "retired" };

#define BIT(kind)	((uint64_t)1 << (kind))

struct drop {
	uint64_t alive;
	uint64_t number;		/* of its thread's, from 0 */
	uint32_t owner;
	uint32_t held;			/* by the sleeper */
	uint64_t padding[4];
};

/* What a thread floods; written by it alone. */
static struct {
	_Alignas(128) struct own_cell cell;
	uint64_t number;		/* of the current value */
	_Alignas(128) uint64_t retired_n;	/* shared */
} flood[STRESS_THREADS_MAX];

static uint64_t made_n, ended_n;	/* shared */
static uint32_t awake;			/* shared: the sleeper has released */
static uint32_t over;			/* shared: the sampler ends */
static int32_t sleeper_tid;
static struct own_site bed = { __FILE__, 0 };
static uint64_t asleep_ns;		/* since when, at least */
static sem_t asleep, wake;
static pthread_t sleeper, sampler;
static double seconds = 1;
static FILE *tsv;

static void
drop_fini(void *payload, size_t size_bytes)
{
	struct drop *d = payload;
	uint64_t later;

	if (d->alive != ALIVE || size_bytes != sizeof *d)
		stress_fail(NULL, "fini of what has ended");
	d->alive = ENDED;
	/* relaxed, here and below: a sum, and the thread's own figure but for
	 * the end, when all have been joined */
	own__add(&ended_n, (uint64_t)1, OWN__RELAXED);
	if (d->held) {
		if (!own__load(&awake, OWN__ACQUIRE))
			stress_fail(NULL, "what the sleeper holds has ended");
		return;
	}
	later = own__load(&flood[d->owner].retired_n, OWN__RELAXED) -
		d->number;
	if (later > BATCH)
		stress_fail(NULL, "value %" PRIu64 " of thread %u was ended "
				"%" PRIu64 " retirements late", d->number,
				d->owner, later);
}

OWN_TYPE(drop, struct drop, .fini = drop_fini);

static void
drop_make(unsigned owner, uint64_t number, struct own_unique *ret)
{
	struct drop *d;

	if (drop_new(ret))
		stress_fail(NULL, "no memory");
	d = drop_edit(ret);
	d->alive = ALIVE;
	d->owner = owner;
	d->number = number;
	d->held = owner == 0 && number == 0;
	/* relaxed: a sum */
	own__add(&made_n, (uint64_t)1, OWN__RELAXED);
}

static void
flood_thread(struct stress_thread *t)
{
	struct own_unique u = { 0 };
	uint64_t *retired_n = &flood[t->index].retired_n;

	while (stress_running(t)) {
		stress_op(t, RETIRE);
		drop_make(t->index, ++flood[t->index].number, &u);
		/* relaxed: read by its own finis */
		own__store(retired_n, flood[t->index].number, OWN__RELAXED);
		if (own_cell_replace(&flood[t->index].cell, &u))
			stress_fail(t, "replace was refused");
	}
}

/* ---- the sleeper ---- */

static void *
sleep_main(void *arg)
{
	struct own_shared seen = { 0 };

	(void)arg;
	pthread_setname_np(pthread_self(), "sleeper");
	sleeper_tid = (int32_t)gettid();
	bed.line = __LINE__ + 1;
	if (own_cell_share_at(&flood[0].cell, &seen, &bed))
		stress_fail(NULL, "refused the sleeper");
	sem_post(&asleep);
	while (sem_wait(&wake))
		;
	if (drop_get(&seen)->alive != ALIVE || drop_get(&seen)->number)
		stress_fail(NULL, "what the sleeper holds has changed");
	/* release: pairs with drop_fini() */
	own__store(&awake, (uint32_t)1, OWN__RELEASE);
	own_shared_release(&seen);
	return NULL;
}

/* ---- the sampler ---- */

static uint64_t
resident_bytes(void)
{
	unsigned long long total, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%llu %llu", &total, &resident) != 2)
		stress_fail(NULL, "cannot read /proc/self/statm");
	fclose(f);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

struct samples {
	unsigned threads_n;
	uint64_t from_ns, line_ns;	/* begun; the last line */
	uint64_t retired;		/* by the last line */
	uint64_t pending_max;		/* since then */
	uint64_t warm_max;		/* resident, while warming up */
};

static uint64_t
pending_check(const struct samples *s, struct own_reclaim_stats *now)
{
	/* two batches a thread, the sleeper's, and one under way each */
	uint64_t objects_max = s->threads_n * (2 * BATCH + 1) + 1;
	uint64_t bytes_max = objects_max * (sizeof(struct drop) + 16);

	for (unsigned i = 0; i < LOOKS_MAX; i++) {
		own_reclaim_stats(now);
		if (now->pending_objects <= objects_max &&
				now->pending_bytes <= bytes_max)
			return now->pending_bytes;
		sched_yield();
	}
	stress_fail(NULL, "%" PRIu64 " objects of %" PRIu64 " bytes are "
			"pending, above %" PRIu64 " and %" PRIu64,
			now->pending_objects, now->pending_bytes, objects_max,
			bytes_max);
}

/* The sleeper holds up its value, nothing else waits for long. */
static uint64_t
oldest_check(void)
{
	struct own_pending p[2];
	const struct own_party *holder = &p[0].holder;
	uint64_t slept_ns;
	size_t n;

	for (unsigned i = 0;; i++) {
		n = own_reclaim_oldest(p, 2);
		slept_ns = own_now_ns() - asleep_ns;
		if (n && p[0].is_held)
			break;
		/* before the first scan it is in a batch like any other */
		if (slept_ns < YOUNG_MAX_NS)
			return 0;
		/* a scan notes it anew at this moment */
		if (i == LOOKS_MAX)
			stress_fail(NULL, "the sleeper is not seen");
		sched_yield();
	}
	if (holder->tid != sleeper_tid || holder->site != &bed ||
			p[0].age_ns > slept_ns)
		stress_fail(NULL, "the oldest value, of %" PRIu64 " ns, is "
				"not the sleeper's", p[0].age_ns);
	if (n == 2 && p[1].age_ns > YOUNG_MAX_NS)
		stress_fail(NULL, "beside the sleeper's a value has waited "
				"for %" PRIu64 " ns, by %s", p[1].age_ns,
				p[1].holder.mode);
	return p[0].age_ns;
}

static void
line(struct samples *s, const struct own_reclaim_stats *now, uint64_t at_ns,
		uint64_t resident, uint64_t age_ns)
{
	double rate = (double)(now->retired_objects - s->retired) /
		((double)(at_ns - s->line_ns) / (double)SECOND_NS);
	double at = (double)(at_ns - s->from_ns) / (double)SECOND_NS;

	if (tsv)
		fprintf(tsv, "%.3f\t%.0f\t%" PRIu64 "\t%" PRIu64 "\n", at,
				rate, s->pending_max, resident);
	printf("%7.2f s %10.0f retired/s %9" PRIu64 " bytes pending "
			"%6.1f MiB resident, oldest %.2f s\n", at, rate,
			s->pending_max, (double)resident / (1024 * 1024),
			(double)age_ns / (double)SECOND_NS);
	fflush(tsv ? tsv : stdout);
	s->line_ns = at_ns;
	s->retired = now->retired_objects;
	s->pending_max = 0;
}

static void *
sample_main(void *arg)
{
	struct samples s = { .threads_n = (unsigned)(uintptr_t)arg };
	struct own_reclaim_stats now;
	uint64_t warm_ns = (uint64_t)(seconds / 4 * (double)SECOND_NS);

	if (warm_ns > WARM_MAX_NS)
		warm_ns = WARM_MAX_NS;
	own_reclaim_stats(&now);
	s.retired = now.retired_objects;
	s.from_ns = s.line_ns = own_now_ns();
	/* relaxed: the flag orders nothing */
	while (!own__load(&over, OWN__RELAXED)) {
		uint64_t pending, resident, at_ns, age_ns;

		stress_nap(SAMPLE_NS);
		pending = pending_check(&s, &now);
		if (pending > s.pending_max)
			s.pending_max = pending;
		age_ns = oldest_check();
		resident = resident_bytes();
		at_ns = own_now_ns();
		if (at_ns - s.line_ns >= SECOND_NS)
			line(&s, &now, at_ns, resident, age_ns);
		if (at_ns - s.from_ns < warm_ns) {
			if (resident > s.warm_max)
				s.warm_max = resident;
		} else if (IS_FLAT && s.warm_max && resident > s.warm_max +
				RSS_GROWTH_MAX) {
			stress_fail(NULL, "the resident set has grown from "
					"%" PRIu64 " to %" PRIu64 " bytes",
					s.warm_max, resident);
		}
	}
	return NULL;
}

/* ---- the case ---- */

static void
flood_setup(unsigned threads_n)
{
	struct own_unique u = { 0 };

	for (unsigned i = 0; i < threads_n; i++) {
		drop_make(i, 0, &u);
		if (own_cell_init(&flood[i].cell, &drop_type, OWN_VERSIONED,
				"flooded", &u))
			stress_fail(NULL, "own_cell_init");
	}
	if (sem_init(&asleep, 0, 0) || sem_init(&wake, 0, 0) ||
			pthread_create(&sleeper, NULL, sleep_main, NULL))
		stress_fail(NULL, "cannot start the sleeper");
	asleep_ns = own_now_ns();
	while (sem_wait(&asleep))
		;
	if (tsv)
		fprintf(tsv, "seconds\tretired_per_s\tpending_bytes\t"
				"resident_bytes\n");
	if (pthread_create(&sampler, NULL, sample_main,
			(void *)(uintptr_t)threads_n))
		stress_fail(NULL, "cannot start the sampler");
}

static void
flood_finish(unsigned threads_n)
{
	struct own_reclaim_stats now;

	/* relaxed: the join orders the rest */
	own__store(&over, (uint32_t)1, OWN__RELAXED);
	pthread_join(sampler, NULL);
	/* the sleeper's, the current ones, and nothing else */
	if (own_barrier() != 1 || made_n != ended_n + 1 + threads_n)
		stress_fail(NULL, "%" PRIu64 " values are left",
				made_n - ended_n);
	own_reclaim_stats(&now);
	if (now.pending_objects != 1)
		stress_fail(NULL, "%" PRIu64 " objects are pending",
				now.pending_objects);
	sem_post(&wake);
	pthread_join(sleeper, NULL);
	for (unsigned i = 0; i < threads_n; i++)
		own_cell_destroy(&flood[i].cell);
	if (own_barrier() != 0 || made_n != ended_n)
		stress_fail(NULL, "the sleeper's value is left");
	sem_destroy(&asleep);
	sem_destroy(&wake);
}

static const struct stress_case cases[] = {
	{
		.name = "flood",
		.what = "a reader asleep holds up its own object alone",
		.kinds = kinds, .kinds_n = KINDS_N,
		.required = BIT(RETIRE),
		.setup = flood_setup,
		.thread = flood_thread,
		.finish = flood_finish,
	},
};

int
main(int argc, char **argv)
{
	int n = 1;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--tsv")) {
			tsv = fdopen(dup(STDOUT_FILENO), "w");
			if (!tsv || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
				return 2;
			continue;
		}
		/* the driver's own, which it does not tell */
		if (!strcmp(argv[i], "--seconds") && i + 1 < argc)
			seconds = strtod(argv[i + 1], NULL);
		argv[n++] = argv[i];
	}
	argv[n] = NULL;
	return stress_main(n, argv, cases, sizeof cases / sizeof *cases);
}
