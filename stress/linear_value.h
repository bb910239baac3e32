/* SPDX-License-Identifier: MIT */
/*
 * linear_value.h - the values in cells and maps, and what handles on them do
 */
#ifndef STRESS_LINEAR_VALUE_H
#define STRESS_LINEAR_VALUE_H

#include "stress/linear_stress.h"

#define TIMEOUT_NS	50000u

/* A value and its shadow: half of a change is no value. */
struct block {
	uint64_t value;
	uint64_t shadow;
};

OWN_TYPE(block, struct block);

uint64_t see(const struct block *b);
void write_block(struct stress_thread *t, struct block *b, uint64_t value);

/* For peeks; @arg is where to put what was seen. */
int peek_at(const void *value, size_t size_bytes, void *arg);

unsigned draw_form(struct stress_thread *t);

/*
 * What follows the first verb of an operation, which answered @r: the rest of
 * it, and what is recorded.
 */
void answered(struct stress_thread *t, struct group *g, struct linear_op *op,
		int r, uint64_t seen);
void shared(struct stress_thread *t, struct group *g, struct linear_op *op,
		int r, struct own_shared *s);
/* LOOK, EDIT, DROP, MAKE, UNMAKE; @made: it was not there before */
void claimed(struct stress_thread *t, struct group *g, struct linear_op *op,
		int r, struct own_unique *u, int made);
void upgrading(struct stress_thread *t, struct group *g, struct linear_op *op,
		int r, struct own_shared *s);

#endif
