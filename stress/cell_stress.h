/* SPDX-License-Identifier: MIT */
/*
 * cell_stress.h - what the cases of cell_stress share
 */
#ifndef STRESS_CELL_STRESS_H
#define STRESS_CELL_STRESS_H

#include <own/own.h>
#include "stress/driver.h"
#include "stress/forms.h"

/*
 * Handles stand in arrays and change threads here, which is beyond what clang
 * follows; the oracles look at run time.
 */
#ifdef __clang__
#pragma clang diagnostic ignored "-Wthread-safety"
#endif

#define CELL_KINDS(X)							\
	X(SHARE, "share") X(SHARE_TRY, "share_try")			\
	X(SHARE_TIMED, "share_timed") X(CLAIM, "claim")			\
	X(CLAIM_TRY, "claim_try") X(CLAIM_TIMED, "claim_timed")		\
	X(REPLACE, "replace") X(REPLACE_TRY, "replace_try")		\
	X(REPLACE_TIMED, "replace_timed") X(SWAP, "swap")		\
	X(SWAP_TRY, "swap_try") X(SWAP_TIMED, "swap_timed")		\
	X(PEEK, "peek") X(PEEK_TRY, "peek_try")				\
	X(PEEK_TIMED, "peek_timed") X(READ, "read")			\
	X(RELEASE, "release") X(COMMIT, "commit") X(DROP, "drop")	\
	X(CLONE, "clone") X(DOWNGRADE, "downgrade")			\
	X(UPGRADE, "upgrade") X(UPGRADED, "upgraded")			\
	X(DETACH, "detach") X(RECEIVE, "receive")			\
	X(RECLAIM, "reclaim") X(WAIT_ROUND, "wait for the others")	\
	X(BUSY, "-EBUSY") X(TIMEDOUT, "-ETIMEDOUT")			\
	X(OWN_CONFLICT, "own conflict") X(DEADLOCK, "cycle")		\
	X(STALE, "-EAGAIN") X(OWNERDEAD, "-EOWNERDEAD")			\
	X(REPAIR, "orphan_claim")					\
	X(COPY_REFUSED, "copy refused") X(BIASED, "claim of a biased cell") \
	X(ADOPT, "take over a detached handle")				\
	X(THREAD, "thread") X(LEFT_SHARED, "left a shared handle")	\
	X(LEFT_DRAFT, "left a draft") X(LEFT_UNIQUE, "left a unique handle") \
	X(SECOND_BLOCK, "past 32 slots")

enum {
#define CELL_KIND(name, text)	K_##name,
	CELL_KINDS(CELL_KIND)
#undef CELL_KIND
	KINDS_N
};

#define BIT(kind)		((uint64_t)1 << K_##kind)

/*
 * The verb in a form drawn from @forms. Checks what every form promises: no
 * other errors than those of its form, -ETIMEDOUT not before the deadline and
 * not absurdly late. Returns 0, -EBUSY, -ETIMEDOUT, or what @others allows by
 * a list that ends with 0.
 */
int somehow_share(struct stress_thread *t, struct own_cell *cell,
		unsigned forms, struct own_shared *ret, const int *others);
int somehow_claim(struct stress_thread *t, struct own_cell *cell,
		unsigned forms, struct own_unique *ret, const int *others);
int somehow_replace(struct stress_thread *t, struct own_cell *cell,
		unsigned forms, struct own_unique *u, const int *others);
int somehow_swap(struct stress_thread *t, struct own_cell *cell,
		unsigned forms, struct own_unique *u, const int *others);
int somehow_peek(struct stress_thread *t, struct own_cell *cell,
		unsigned forms, own_peek_fn fn, void *arg, const int *others);

/* What each case's functions are; see stress/README.md. */
void exclusive_setup(unsigned threads_n);
void exclusive_thread(struct stress_thread *t);
void exclusive_finish(unsigned threads_n);
void versioned_setup(unsigned threads_n);
void versioned_thread(struct stress_thread *t);
void versioned_finish(unsigned threads_n);
void handover_setup(unsigned threads_n);
void handover_thread(struct stress_thread *t);
void handover_finish(unsigned threads_n);
void waiting_setup(unsigned threads_n);
void waiting_thread(struct stress_thread *t);
void waiting_finish(unsigned threads_n);
void lives_setup(unsigned threads_n);
void lives_thread(struct stress_thread *t);
void lives_finish(unsigned threads_n);

#endif
