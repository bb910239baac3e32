/* SPDX-License-Identifier: MIT */
/*
 * rcu_cell.h - a pointer under liburcu, as a subject; RCU names it
 *
 * Included by rcu_call.c and rcu_inline.c, which differ in how liburcu's read
 * sections are compiled. A reader's pointer is good until it leaves the
 * section. Writers copy, change, exchange and hand the old value to call_rcu;
 * nothing excludes one writer from another, so updates are lost.
 */
#include <stdlib.h>

#include <urcu/urcu-memb.h>
#include <urcu/pointer.h>
#include <urcu/call-rcu.h>

#include "bench/cell_cases.h"
#include "bench/peers/peers.h"

#define CAT_(a, b)	a##b
#define CAT(a, b)	CAT_(a, b)
#define F(verb)		CAT(RCU, verb)

struct rcu_value {
	struct value v;
	struct rcu_head head;
};

static struct {
	struct rcu_value *current;
} __attribute__((aligned(64))) cell;

static void
rcu_value_free(struct rcu_head *head)
{
	free((char *)head - offsetof(struct rcu_value, head));
}

/* liburcu aborts if a thread registers twice; libown's threads have. */
static __thread int registered;

static inline void
F(_enter)(void)
{
	registered = !rcu_registered();
	if (registered)
		urcu_memb_register_thread();
}

static inline void
F(_leave)(void)
{
	if (registered)
		urcu_memb_unregister_thread();
}

static inline void
F(_begin)(void)
{
}

static inline void
F(_end)(void)
{
}

static inline __attribute__((always_inline)) const struct value *
F(_take_read)(int *held)
{
	(void)held;
	urcu_memb_read_lock();
	return &rcu_dereference(cell.current)->v;
}

static inline __attribute__((always_inline)) void
F(_give_read)(int *held)
{
	(void)held;
	urcu_memb_read_unlock();
}

static inline __attribute__((always_inline)) struct value *
F(_take_write)(struct rcu_value **held)
{
	struct rcu_value *draft = malloc(sizeof(*draft));

	if (!draft)
		return &cell_refused;
	urcu_memb_read_lock();
	draft->v = rcu_dereference(cell.current)->v;
	urcu_memb_read_unlock();
	*held = draft;
	return &draft->v;
}

static inline __attribute__((always_inline)) void
F(_give_write)(struct rcu_value **held)
{
	struct rcu_value *old;

	if (!*held)
		return;
	old = rcu_xchg_pointer(&cell.current, *held);
	urcu_memb_call_rcu(&old->head, rcu_value_free);
}

static void
F(_open)(struct bench *b)
{
	struct rcu_value *first = malloc(sizeof(*first));

	if (!first) {
		bench_fail(b, "out of memory");
		return;
	}
	value_set(&first->v, VALUE_FIRST);
	rcu_set_pointer(&cell.current, first);
}

/* The queue is emptied between runs, so that none inherits another's work. */
static uint64_t
F(_close)(struct bench *b)
{
	uint64_t word = cell.current->v.word[0];

	(void)b;
	urcu_memb_barrier();
	free(cell.current);
	cell.current = NULL;
	return word;
}

#define RCU_RUNS(x)	CELL_RUNS(x, int, struct rcu_value *, 1)
