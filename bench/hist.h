/* SPDX-License-Identifier: MIT */
/*
 * hist.h - a histogram of times, of one thread until hist_join()
 */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

/* Log-linear: 16 steps an octave, so a figure is at most 6 % too high. */
#define HIST_STEPS	16u
#define HIST_SIZE	(64u * HIST_STEPS)
struct hist {
	uint64_t count[HIST_SIZE];
};

static inline void
hist_add(struct hist *h, uint64_t ns)
{
	unsigned octave;

	if (ns < HIST_STEPS) {
		h->count[ns]++;
		return;
	}
	octave = 63u - (unsigned)__builtin_clzll(ns);
	h->count[(octave - 3) * HIST_STEPS +
		 (unsigned)(ns >> (octave - 4)) % HIST_STEPS]++;
}

static inline void
hist_join(struct hist *to, const struct hist *h)
{
	for (unsigned i = 0; i < HIST_SIZE; i++)
		to->count[i] += h->count[i];
}

/* The upper end of the step that holds the @rank-th part of all. */
static inline double
hist_at(const struct hist *h, double rank)
{
	uint64_t all = 0, seen = 0;
	unsigned i, octave;

	for (i = 0; i < HIST_SIZE; i++)
		all += h->count[i];
	for (i = 0; i < HIST_SIZE - 1; i++) {
		seen += h->count[i];
		if ((double)seen >= rank * (double)all && seen)
			break;
	}
	if (i < HIST_STEPS)
		return i;
	octave = i / HIST_STEPS + 3;
	return (double)((uint64_t)(HIST_STEPS + i % HIST_STEPS + 1)
			<< (octave - 4)) - 1;
}

#endif
