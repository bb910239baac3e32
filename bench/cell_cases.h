/* SPDX-License-Identifier: MIT */
/*
 * cell_cases.h - the loops that time a cell, the same for every subject
 *
 * A subject says how it lends one struct value out; CELL_RUNS(x, ...) makes
 * the loops from that, inlined, so that all subjects run the same code around
 * their own. It defines, for a prefix x:
 *
 *	x_enter(), x_leave()		what a thread does before and after
 *	x_begin(), x_end()		around a whole request
 *	x_take_read(&held)		const struct value *
 *	x_give_read(&held)
 *	x_take_write(&held)		struct value *, a draft or in place
 *	x_give_write(&held)		makes the change visible
 *	x_open(b), x_close(b)		on one thread; x_close gives the
 *					value's first word
 *
 * A take that is refused gives cell_refused, which no check accepts.
 */
#ifndef BENCH_CELL_CASES_H
#define BENCH_CELL_CASES_H

#include <string.h>
#include <time.h>

#include "bench/hist.h"
#include "bench/shim.h"

/* All words equal; a writer adds one to each. */
struct value {
	uint64_t word[8];
};

#define VALUE_FIRST	1u

static inline __attribute__((always_inline)) uint64_t
value_bad(const struct value *v)
{
	uint64_t bad = 0;

	for (int i = 1; i < 8; i++)
		bad |= v->word[i] ^ v->word[0];
	return bad | (v->word[0] == 0);
}

static inline __attribute__((always_inline)) void
value_set(struct value *v, uint64_t word)
{
	for (int i = 0; i < 8; i++)
		v->word[i] = word;
}

/* Words differ, the first is no sum's friend. */
extern struct value cell_refused;

/*
 * Which of a thread's operations are writes: bits drawn beforehand, so that
 * the draw costs every subject the same, at 0 % and 100 % too.
 */
#define PATTERN_BITS	32768u
struct pattern {
	uint64_t bits[PATTERN_BITS / 64];
};

const struct pattern *cell_pattern(const struct bench *b);
uint64_t cell_phase(const struct bench *b);

static inline int
pattern_bit(const struct pattern *p, uint64_t i)
{
	i %= PATTERN_BITS;
	return (int)(p->bits[i / 64] >> i % 64 & 1);
}

/* A request's own work: about a quarter of a microsecond of arithmetic. */
static inline uint64_t
cell_work(uint64_t seed)
{
	for (int i = 0; i < 128; i++)
		seed = (seed ^ seed >> 29) * 0xbf58476d1ce4e5b9u;
	return seed;
}

static inline uint64_t
cell_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

enum { LATENCY_SHARE, LATENCY_CLAIM, LATENCY_COMMIT, LATENCIES };

/* Each thread's part of a run, after its loop. */
void cell_sum(struct bench *b, uint64_t sum);
void cell_wrote(struct bench *b, uint64_t writes, uint64_t bad);
void cell_latencies(struct bench *b, const struct hist h[LATENCIES]);

struct cell_subject {
	const char *name;
	void (*open)(struct bench *b);
	uint64_t (*close)(struct bench *b);
	bench_fn one, write, mix, request, copy, latency;
	int loses_updates;	/* writers do not exclude one another */
};

#define CELL_RUNS(x, shared_t, unique_t, loses)				\
/* share, read one word, release */					\
static void								\
x##_run_one(struct bench *b)						\
{									\
	uint64_t sum = 0;						\
									\
	x##_enter();							\
	bench_loop(b) {							\
		shared_t held = { 0 };					\
									\
		sum += x##_take_read(&held)->word[0];			\
		x##_give_read(&held);					\
	}								\
	x##_leave();							\
	cell_sum(b, sum);						\
}									\
									\
static inline __attribute__((always_inline)) uint64_t			\
x##_read_all(void)							\
{									\
	shared_t held = { 0 };						\
	uint64_t bad = value_bad(x##_take_read(&held));			\
									\
	x##_give_read(&held);						\
	return bad;							\
}									\
									\
static inline __attribute__((always_inline)) uint64_t			\
x##_write_all(void)							\
{									\
	unique_t held = { 0 };						\
	struct value *v = x##_take_write(&held);			\
	uint64_t bad = value_bad(v);					\
									\
	value_set(v, v->word[0] + 1);					\
	x##_give_write(&held);						\
	return bad;							\
}									\
									\
/* claim, change all words, release or commit */			\
static void								\
x##_run_write(struct bench *b)						\
{									\
	uint64_t bad = 0;						\
									\
	x##_enter();							\
	bench_loop(b)							\
		bad |= x##_write_all();					\
	x##_leave();							\
	cell_wrote(b, bench_done(b), bad);				\
}									\
									\
/* reads of all words, and bench_arg() % writes */			\
static void								\
x##_run_mix(struct bench *b)						\
{									\
	const struct pattern *p = cell_pattern(b);			\
	uint64_t i = cell_phase(b), bad = 0, writes = 0;		\
									\
	x##_enter();							\
	bench_loop(b) {							\
		x##_begin();						\
		if (pattern_bit(p, i++)) {				\
			bad |= x##_write_all();				\
			writes++;					\
		} else {						\
			bad |= x##_read_all();				\
		}							\
		x##_end();						\
	}								\
	x##_leave();							\
	cell_wrote(b, writes, bad);					\
}									\
									\
/* the same with a request's own work before each */			\
static void								\
x##_run_request(struct bench *b)					\
{									\
	const struct pattern *p = cell_pattern(b);			\
	uint64_t i = cell_phase(b), bad = 0, writes = 0, work = i + 1;	\
									\
	x##_enter();							\
	bench_loop(b) {							\
		x##_begin();						\
		work = cell_work(work);					\
		if (pattern_bit(p, i++)) {				\
			bad |= x##_write_all();				\
			writes++;					\
		} else {						\
			bad |= x##_read_all();				\
		}							\
		x##_end();						\
	}								\
	x##_leave();							\
	cell_wrote(b, writes, bad | (work == 0));			\
}									\
									\
/* copies the value out and checks the copy */				\
static void								\
x##_run_copy(struct bench *b)						\
{									\
	uint64_t bad = 0;						\
									\
	x##_enter();							\
	bench_loop(b) {							\
		struct value out;					\
		shared_t held = { 0 };					\
									\
		out = *x##_take_read(&held);				\
		x##_give_read(&held);					\
		bad |= value_bad(&out);					\
	}								\
	x##_leave();							\
	cell_wrote(b, 0, bad);						\
}									\
									\
/* as mix, each verb timed */						\
static void								\
x##_run_latency(struct bench *b)					\
{									\
	const struct pattern *p = cell_pattern(b);			\
	uint64_t i = cell_phase(b), bad = 0, writes = 0, t0, t1;	\
	struct hist h[LATENCIES];					\
									\
	memset(h, 0, sizeof(h));					\
	x##_enter();							\
	bench_loop(b) {							\
		if (pattern_bit(p, i++)) {				\
			unique_t held = { 0 };				\
			struct value *v;				\
									\
			t0 = cell_ns();					\
			v = x##_take_write(&held);			\
			t1 = cell_ns();					\
			hist_add(&h[LATENCY_CLAIM], t1 - t0);		\
			bad |= value_bad(v);				\
			value_set(v, v->word[0] + 1);			\
			t0 = cell_ns();					\
			x##_give_write(&held);				\
			t1 = cell_ns();					\
			hist_add(&h[LATENCY_COMMIT], t1 - t0);		\
			writes++;					\
		} else {						\
			t0 = cell_ns();					\
			bad |= x##_read_all();				\
			t1 = cell_ns();					\
			hist_add(&h[LATENCY_SHARE], t1 - t0);		\
		}							\
	}								\
	x##_leave();							\
	cell_wrote(b, writes, bad);					\
	cell_latencies(b, h);						\
}									\
									\
const struct cell_subject x##_subject = {				\
	.name = #x,							\
	.open = x##_open,						\
	.close = x##_close,						\
	.one = x##_run_one,						\
	.write = x##_run_write,						\
	.mix = x##_run_mix,						\
	.request = x##_run_request,					\
	.copy = x##_run_copy,						\
	.latency = x##_run_latency,					\
	.loses_updates = (loses),					\
}

#endif
