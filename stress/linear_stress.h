/* SPDX-License-Identifier: MIT */
/*
 * linear_stress.h - what the cases of linear_stress share
 *
 * One specification serves cells and the entries of maps: a place that holds a
 * value or is ABSENT. A cell is one that is never absent. Every value that is
 * written is unlike all others, so that whoever reads it names its writer.
 *
 * The threads of a case work in groups, each with objects of its own, in short
 * rounds: all start together, each does a few operations, all meet, and one of
 * them checks the round while the others stand.
 */
#ifndef STRESS_LINEAR_STRESS_H
#define STRESS_LINEAR_STRESS_H

#include <own/own.h>
#include "stress/driver.h"
#include "stress/linear.h"

/* Handles are taken and ended in different functions; the oracle looks. */
#ifdef __clang__
#pragma clang diagnostic ignored "-Wthread-safety"
#endif

/* States of a place that are no value. TORN is none at all: never right. */
#define ABSENT		((uint64_t)0)
#define TORN		UINT64_MAX

/* The kinds of operation on a place; linear_spec.c says what each may do. */
#define LINEAR_KINDS(X)							\
	X(READ, "share or peek") X(LOOK, "claim, release")		\
	X(EDIT, "claim, edit, commit") X(DROP, "claim, edit, release")	\
	X(UPGRADE, "share, upgrade, commit") X(SWAP, "swap")		\
	X(REPLACE, "replace") X(PUT, "put") X(PUT_NEW, "put_new")	\
	X(MAKE, "claim_or_new, commit")					\
	X(UNMAKE, "claim_or_new, release")				\
	X(REMOVE, "remove") X(TAKE, "take")				\
	/* what came of one */						\
	X(BUSY, "-EBUSY") X(TIMEDOUT, "-ETIMEDOUT") X(STALE, "-EAGAIN")	\
	X(NONE, "-ENOENT") X(TAKEN, "-EEXIST") X(MADE, "made")		\
	X(OVERLAP, "overlapping")					\
	/* of the checker */						\
	X(ROUND, "round") X(ACCEPTED, "accepted") X(REFUSED, "refused")	\
	X(UNDECIDED, "undecided") X(BY_HAND, "by hand")			\
	/* faults that were refused */					\
	X(F_STALE, "stale read") X(F_LOST, "lost update")		\
	X(F_CHECK, "check, then act") X(F_EARLY, "seen before commit")	\
	X(F_KEPT, "release that keeps") X(F_TWICE, "taken twice")	\
	X(F_BUSY, "busy without cause") X(F_TORN, "torn read")

enum {
#define LINEAR_KIND(name, text)	K_##name,
	LINEAR_KINDS(LINEAR_KIND)
#undef LINEAR_KIND
	KINDS_N
};

extern const char *const linear_kinds[KINDS_N];

#define BIT(kind)		((uint64_t)1 << K_##kind)

/* The forms of a verb: only the last two may be refused by another thread. */
enum { BARE, TRY, TIMED };

extern const struct linear_spec linear_exclusive;
extern const struct linear_spec linear_versioned;

/* ---- rounds ---- */

#define GROUP_KEYS		3u
#define GROUP_THREADS		4u	/* the last group has up to 7 */

struct group {
	pthread_barrier_t barrier;
	unsigned size;
	unsigned index;
	unsigned ops_n;			/* of each thread in a round */
	uint32_t arrived;		/* shared: threads that may begin */
	int go;				/* set between barriers */
	uint64_t rounds;
	uint64_t initial[GROUP_KEYS];
	struct linear_history *history;
	struct linear_checker *checker;
	const struct linear_spec *spec;
};

/* What the groups of a case work on. Keys are below GROUP_KEYS. */
struct subject {
	/* before each round, by one thread; may be NULL */
	void (*begin)(struct stress_thread *t, struct group *g);
	/* one operation, recorded; a value that it writes is @value */
	void (*operate)(struct stress_thread *t, struct group *g, unsigned me,
			unsigned key, uint64_t value);
	/* what is there, after each round */
	uint64_t (*look)(struct stress_thread *t, struct group *g,
			unsigned key);
	/* after each round; NULL fails the case unless all is well */
	void (*judge)(struct stress_thread *t, struct group *g,
			enum linear_verdict verdict);
};

/* Makes the groups; g->initial is ABSENT. */
void groups_begin(unsigned threads_n, const struct linear_spec *spec);
void groups_end(void);
extern unsigned groups_n;
extern struct group groups[STRESS_THREADS_MAX / GROUP_THREADS];

/* A thread's part in the rounds of its group, until the time is up. */
void rounds(struct stress_thread *t, const struct subject *subject);

/* Fails the case unless @verdict is LINEAR_OK. */
void must_be_linear(struct stress_thread *t, struct group *g,
		enum linear_verdict verdict);

/* Nothing, a moment, or another thread's turn: holds meet one another. */
void linger(struct stress_thread *t);

/* ---- the cases ---- */

void known_thread(struct stress_thread *t);
void wrong_setup(unsigned threads_n);
void wrong_thread(struct stress_thread *t);
void right_thread(struct stress_thread *t);
void wrong_finish(unsigned threads_n);
void cells_exclusive_setup(unsigned threads_n);
void cells_versioned_setup(unsigned threads_n);
void cells_thread(struct stress_thread *t);
void cells_finish(unsigned threads_n);
void maps_exclusive_setup(unsigned threads_n);
void maps_versioned_setup(unsigned threads_n);
void maps_thread(struct stress_thread *t);
void maps_finish(unsigned threads_n);

#endif
