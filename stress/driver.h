/* SPDX-License-Identifier: MIT */
/*
 * driver.h - what every stress program shares: options, threads, a watchdog
 *
 * A program is a list of cases. A case has a function that each thread runs
 * until stress_running() says no, with an oracle inside that calls
 * stress_fail(), and a list of kinds of operation. A required kind that never
 * happened fails the case: it proves nothing about what it did not reach.
 *
 * The seed is printed first and decides each thread's stream of random
 * numbers; what the threads make of one another's timing it does not.
 */
#ifndef STRESS_DRIVER_H
#define STRESS_DRIVER_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <own/access.h>

#define STRESS_KINDS_MAX	64
#define STRESS_THREADS_MAX	256

struct stress_thread;

struct stress_case {
	const char *name;
	const char *what;			/* one line for --list */
	const char *const *kinds;		/* names of operations */
	unsigned kinds_n;
	uint64_t required;			/* bits: kinds that must be */
	unsigned threads_times;			/* times --threads; 0: once */
	void (*setup)(unsigned threads_n);	/* before; may be NULL */
	void (*thread)(struct stress_thread *t);
	void (*finish)(unsigned threads_n);	/* after; may be NULL */
};

/*
 * Written by its thread, or by a child that it waits for; the main thread
 * reads ops, kind, count and wait_max_ns. Lines of its own, so that one
 * thread's counters do not slow the next one down.
 */
struct stress_thread {
	_Alignas(128) uint64_t ops;		/* shared: a sign of life */
	uint64_t wait_max_ns;			/* shared */
	uint64_t count[STRESS_KINDS_MAX];	/* shared */
	uint32_t kind;				/* shared: the last operation */
	uint32_t index;
	uint32_t threads_n;
	int32_t tid;				/* as own_dump() has it */
	uint64_t random;
	uint64_t ops_total;			/* set at the end */
	uint64_t stalled_ops;			/* the watchdog's */
	uint32_t stalled_ticks;
	pthread_t id;
};

int stress_main(int argc, char **argv, const struct stress_case *cases,
		unsigned cases_n);

/* Prints who, which operation and the seed, then ends the process with 1. */
__attribute__((noreturn, format(printf, 2, 3)))
void stress_fail(struct stress_thread *t, const char *format, ...);

/* Remembers the longest one, for the report. */
void stress_waited(struct stress_thread *t, uint64_t ns);

/* A pause of about @ns that gives the processor to somebody else. */
void stress_nap(uint64_t ns);

extern uint32_t stress_stop;			/* shared */

/* relaxed: the flag orders nothing, pthread_join does */
#define stress_running(t)						\
	((void)(t), !own__load(&stress_stop, OWN__RELAXED))

/* One more of @kind: something that came of an operation. */
static inline void
stress_count(struct stress_thread *t, unsigned kind)
{
	/* relaxed: one writer; readers want a recent value only */
	own__store(&t->count[kind], t->count[kind] + 1, OWN__RELAXED);
}

/* An operation of @kind begins. */
static inline void
stress_op(struct stress_thread *t, unsigned kind)
{
	/* relaxed: as stress_count() */
	own__store(&t->kind, kind, OWN__RELAXED);
	own__store(&t->ops, t->ops + 1, OWN__RELAXED);
	stress_count(t, kind);
}

/* splitmix64 (Steele, Lea and Flood 2014) */
static inline uint64_t
stress_mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static inline uint64_t
stress_random(struct stress_thread *t)
{
	return stress_mix(t->random += 0x9e3779b97f4a7c15u);
}

/* 0 ... n - 1 */
static inline unsigned
stress_below(struct stress_thread *t, unsigned n)
{
	return (unsigned)(((stress_random(t) >> 32) * n) >> 32);
}

/* True once in @n. */
static inline int
stress_one_in(struct stress_thread *t, unsigned n)
{
	return stress_below(t, n) == 0;
}

/*
 * Leaves a row of stores to lines of other processors under way, so that the
 * stores that follow stay behind them for a while, invisible to others: what
 * only a fence cures. Once in a while, since it is slow.
 */
void stress_clog(struct stress_thread *t);

/* Keeps the processor for @n rounds, so that a race has time to show. */
static inline void
stress_spin(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		__asm__ __volatile__("" ::: "memory");
}

#endif
