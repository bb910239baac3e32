/* SPDX-License-Identifier: MIT */
/*
 * linear.h - records what threads did, and looks for an order that explains it
 *
 * A history is linearizable if its operations can be put in one order that the
 * specification allows and in which whatever returned before another one was
 * called comes first (Herlihy and Wing 1990). The search is Wing and Gong's
 * (1993); a pair of operations placed and state reached is entered only once
 * (Lowe 2017). Operations on one key are judged by themselves, which is right
 * for objects that are made of independent ones (Horn and Kroening 2015).
 *
 * The problem is NP-complete, so the search has a budget. LINEAR_UNDECIDED is
 * neither a pass nor a refusal, and callers must not take it for one.
 *
 * Threads    linear_call(), linear_return() and linear_end() by the thread of
 *            that log; the rest while all of them stand at a barrier.
 * Memory     Fixed: a history holds LINEAR_LOG_MAX operations a thread, a
 *            checker as many pairs as it was made with.
 */
#ifndef STRESS_LINEAR_H
#define STRESS_LINEAR_H

#include <stdint.h>
#include <stdio.h>
#include <own/access.h>

#define LINEAR_THREADS_MAX	8u
#define LINEAR_LOG_MAX		32u
#define LINEAR_KEYS_MAX		4u
/* operations on one key that a check can take */
#define LINEAR_PART_MAX		128u

/* Stamps come from one counter, so no two of a history are equal. */
struct linear_op {
	uint64_t call;
	uint64_t ret;		/* it has taken effect, out and result stand */
	uint64_t end;		/* it stands in nobody's way any more */
	uint64_t in;		/* what it writes */
	uint64_t out;		/* what it saw */
	uint64_t others;	/* bits: kinds that overlap it; by the check */
	uint32_t key;
	int32_t result;		/* 0 or a negative errno */
	uint8_t kind;		/* up to 63; the specification knows it */
	uint8_t form;		/* the same */
	uint8_t thread;
};

struct linear_log {
	_Alignas(128) unsigned n;
	struct linear_op op[LINEAR_LOG_MAX];
};

struct linear_history {
	_Alignas(128) uint64_t clock;		/* shared */
	struct linear_log log[LINEAR_THREADS_MAX];
};

struct linear_spec {
	const char *name;
	/* 1 if @op may happen in @state, which it turns into *@ret, else 0 */
	int (*step)(const struct linear_op *op, uint64_t state, uint64_t *ret);
	void (*print)(FILE *out, const struct linear_op *op);
};

enum linear_verdict {
	LINEAR_OK, LINEAR_REFUSED, LINEAR_UNDECIDED,
};

struct linear_checker;

/*
 * @pairs_max: of operations placed and state, a power of two
 * @steps_max: calls of the specification, in each check of a key
 *
 * Gives NULL without memory.
 */
struct linear_checker *linear_checker_create(unsigned pairs_max,
		uint64_t steps_max);
void linear_checker_destroy(struct linear_checker *checker);

/* Forgets what was recorded. */
void linear_reset(struct linear_history *history);

/*
 * linear_check - judge each key of a history
 * @initial: the state of each key before
 *
 * LINEAR_REFUSED if one key is, else LINEAR_UNDECIDED if one key is.
 */
enum linear_verdict linear_check(struct linear_checker *checker,
		const struct linear_spec *spec, struct linear_history *history,
		const uint64_t *initial, unsigned keys_n);

/*
 * Says what the last check found: of the refused keys the one with the least
 * to read, its operations up to where every order had failed, and which of
 * them the longest order left out.
 */
void linear_explain(const struct linear_checker *checker, FILE *out);

/* How many operations of the last check met another one on their key. */
unsigned linear_overlapping(const struct linear_checker *checker);

void linear_full(void) __attribute__((noreturn, cold));

/*
 * The interval must not be shorter than the operation: acquire, so that
 * nothing of it comes before the first stamp, and release, so that nothing
 * comes after the last ones. It follows that whatever returned before another
 * one was called also happens before it.
 */
static inline struct linear_op *
linear_call(struct linear_history *h, unsigned thread, unsigned kind,
		unsigned form, unsigned key, uint64_t in)
{
	struct linear_log *log = &h->log[thread];
	struct linear_op *op = &log->op[log->n];

	if (log->n == LINEAR_LOG_MAX)
		linear_full();
	log->n++;
	op->key = key;
	op->kind = (uint8_t)kind;
	op->form = (uint8_t)form;
	op->thread = (uint8_t)thread;
	op->in = in;
	/* acquire: pairs with linear_return() and linear_end() */
	op->call = own__add(&h->clock, (uint64_t)1, OWN__ACQUIRE);
	return op;
}

static inline void
linear_return(struct linear_history *h, struct linear_op *op, int result,
		uint64_t out)
{
	op->result = result;
	op->out = out;
	/* release: pairs with linear_call() */
	op->ret = op->end = own__add(&h->clock, (uint64_t)1, OWN__RELEASE);
}

/* For an operation that had a handle left when it had returned. */
static inline void
linear_end(struct linear_history *h, struct linear_op *op)
{
	/* release: pairs with linear_call() */
	op->end = own__add(&h->clock, (uint64_t)1, OWN__RELEASE);
}

#endif
