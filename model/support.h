/* SPDX-License-Identifier: MIT */
/*
 * support.h - what the scenarios on the real functions share
 *
 * A payload whose every access is checked (own_m_read, own_m_write), ghost
 * counters of who is inside, and a heap cell that can be freed.
 */
#ifndef OWN_MODEL_SUPPORT_H
#define OWN_MODEL_SUPPORT_H

#include "handles/internal.h"
#include "model/sched.h"

struct pair {
	long a, b;		/* always equal outside of a write */
};

extern const struct own_type pair_type;
extern struct own_cell *cell, *cells[3];
extern int readers[3], writers[3];	/* ghosts: inside at this moment */
extern int finis;			/* payloads finalised */

/* Once per schedule: hooks, and cells[0..n) of the policy with a value 0. */
void support_begin(uint32_t policy, unsigned n);
/* Ends the cells that stand, and checks that every payload was finalised. */
void support_end(void);

/* own_new(), counted for support_end(). */
int pair_new(struct own_unique *ret);
/* n pairs more that were made elsewhere: entries of a map. */
void support_made(int n);
/* A map of 64-bit keys with one entry, of key 1. */
struct own_map *support_map(uint32_t policy);
/* Of keys below 256: a key's highest bits choose its line. */
uint64_t own_m_hash(const void *data, size_t size_bytes, uint64_t seed);
void take_away_bias(struct own_cell *of);
void read_inside(const struct own_shared *s, unsigned which);
void write_inside(struct own_unique *u, unsigned which);
long value_of(const struct own_shared *s);

/* Verbs that must succeed. */
#define must(call)							\
	do {								\
		int must_r = (call);					\
		own_m_assert(must_r == 0, #call " failed");		\
	} while (0)

#endif
