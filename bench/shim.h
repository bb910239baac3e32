/* SPDX-License-Identifier: MIT */
/*
 * shim.h - Google Benchmark for cases written in C
 *
 * A case is a function that every thread of a run calls once:
 *
 *	static void
 *	run(struct bench *b)
 *	{
 *		bench_loop(b)
 *			work();
 *	}
 *
 * The iterations of a run lie in one pool. A thread takes a batch, runs it
 * without a call per iteration and takes the next, so that all threads stop
 * at the same time: with a fixed share each, a lock that starves a thread
 * would be timed without contention at the end. Threads start together, and
 * are pinned one to a core while there are cores enough.
 *
 * Before the loop a thread may prepare itself; its end is not timed either.
 * setup and teardown run on thread 0 alone, before the first thread enters
 * and after the last one has left the function.
 */
#ifndef BENCH_SHIM_H
#define BENCH_SHIM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One thread's part in one run. */
struct bench;

typedef void (*bench_fn)(struct bench *b);

struct bench_case {
	const char *name;	/* copied */
	bench_fn run;
	bench_fn setup;		/* or NULL */
	bench_fn teardown;	/* or NULL */
	const void *user;	/* bench_user() */
	int64_t arg;		/* bench_arg() */
	const int *threads;	/* ends with 0; NULL: one thread */
};

/* Copies *c. All cases are added before bench_main(). */
void bench_add(const struct bench_case *c);

/*
 * bench_main - parse Google Benchmark's options and run
 *
 * Returns the exit status: not 0 if a case failed or an option is unknown.
 */
int bench_main(int argc, char **argv);

/* A line in the context of the report. */
void bench_context(const char *key, const char *value);

const void *bench_user(const struct bench *b);
int64_t bench_arg(const struct bench *b);
int bench_thread(const struct bench *b);	/* from 0 */
int bench_threads(const struct bench *b);

/* Iterations to run now; 0: the run is over. The first call starts it. */
uint64_t bench_take(struct bench *b);

#define bench_loop(b)							\
	for (uint64_t bench_n; (bench_n = bench_take(b)) != 0; )	\
		while (bench_n--)

/* Iterations that this thread has run, after the loop. */
uint64_t bench_done(const struct bench *b);

/*
 * The result is wrong: the run counts as failed, and so does the program. All
 * threads' loops end soon. @why is static.
 */
void bench_fail(struct bench *b, const char *why);

/* Adds to a figure of the run; what threads report is summed. */
void bench_counter(struct bench *b, const char *name, double value);

#ifdef __cplusplus
}
#endif
#endif
