/* SPDX-License-Identifier: MIT */
/*
 * waiting.h - what the parts of bench/waiting share
 *
 * Each part measures for a while and prints its figures, a line each: part,
 * subject, circumstances, figure, value, by tabs. Whatever the rules of
 * waiting forbid ends the program with 1.
 */
#ifndef BENCH_WAITING_H
#define BENCH_WAITING_H

#include <stdint.h>
#include <own/own.h>
#include "bench/hist.h"

/* Handles stand in arrays here, which is beyond what clang follows. */
#ifdef __clang__
#pragma clang diagnostic ignored "-Wthread-safety"
#endif

struct number {
	uint64_t n;
};
OWN_TYPE(number, struct number);

extern int smoke;		/* as little of everything as shows it runs */
extern unsigned cores_n;

/* Where a thread's first sleep of a wait is noted, or NULL: see waiting.c. */
struct sleep_note {
	uint64_t wall_ns, cpu_ns;	/* 0: has not slept */
	void (*also)(struct sleep_note *note);
	int announced;			/* only sleeps with WRITER of its own */
	/* the same when it goes to sleep overtaken (handles/word.c) */
	uint64_t overtaken_ns;
	void (*overtaken)(struct sleep_note *note);
	uint64_t claims, shares;	/* of waiting_past.c, these too */
	uint64_t overtaken_claims;
};
extern __thread struct sleep_note *sleep_note;

__attribute__((noreturn, format(printf, 1, 2)))
void wrong(const char *format, ...);
void must(int r, const char *what);

uint64_t cpu_now_ns(void);		/* of the calling thread */
void spin(unsigned n);
void nap(uint64_t ns);
/* splitmix64 */
uint64_t draw(uint64_t *state);

/* Threads that do nothing but keep the processors busy. */
void busy_start(unsigned n);
void busy_stop(void);

void cell_make(struct own_cell *cell, const char *name);
/* With one entry, of key 1. */
struct own_map *map_make(const char *name);

void line(const char *part, const char *subject, const char *where,
		const char *figure, double value);
/* p50, p99, p999, max and n of @h, the figures' names after @prefix. */
void lines(const char *part, const char *subject, const char *where,
		const char *prefix, const struct hist *h, uint64_t max);

void part_past(void);			/* waiting_past.c */
void part_found(void);			/* waiting_found.c */
void part_late(void);			/* waiting_late.c */
void part_places(void);			/* waiting_places.c */

/* @n times, on a cell; waiting_places.h */
void places_share(struct own_cell *cell, unsigned n);
void places_claim(struct own_cell *cell, unsigned n);
void null_share(struct own_cell *cell, unsigned n);
void null_claim(struct own_cell *cell, unsigned n);
void unnoted_share(struct own_cell *cell, unsigned n);
void unnoted_claim(struct own_cell *cell, unsigned n);

#endif
