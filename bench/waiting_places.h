/* SPDX-License-Identifier: MIT */
/*
 * waiting_places.h - the loops of waiting_places.c, however a place is noted
 */
#ifndef BENCH_WAITING_PLACES_H
#define BENCH_WAITING_PLACES_H

#include "bench/waiting.h"

#define PLACES_LOOPS(name)						\
void									\
name##_share(struct own_cell *cell, unsigned n)				\
{									\
	struct own_shared s = { 0 };					\
									\
	while (n--) {							\
		must(own_cell_share(cell, &s), "share");		\
		own_shared_release(&s);					\
	}								\
}									\
									\
void									\
name##_claim(struct own_cell *cell, unsigned n)				\
{									\
	struct own_unique u = { 0 };					\
									\
	while (n--) {							\
		must(own_cell_claim(cell, &u), "claim");		\
		own_unique_release(&u);					\
	}								\
}

#endif
