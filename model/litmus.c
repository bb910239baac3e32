/* SPDX-License-Identifier: MIT */
/*
 * litmus.c - scenarios that test the scheduler itself
 *
 * Pairs of what must be found and what must not: a scheduler that finds
 * nothing proves nothing.
 */
#include <stdbool.h>
#include <string.h>

#include "model/sched.h"

#define R		OWN__RELAXED
#define ACQ		OWN__ACQUIRE
#define REL		OWN__RELEASE
#define SC		OWN__SEQ_CST
#define EVERY		UINT32_MAX

static uint64_t x, y, z;
static uint32_t word;
static uint64_t seen[OWN_M_THREADS_MAX];
static uint64_t local;			/* one per thread */
static uint64_t *block;

static void
reset(void)
{
	x = 0;
	y = 0;
	z = 0;
	word = 0;
	block = NULL;
	memset(seen, 0, sizeof(seen));
	own_m_name(&x, sizeof(x), "x");
	own_m_name(&y, sizeof(y), "y");
	own_m_name(&z, sizeof(z), "z");
	own_m_name(&word, sizeof(word), "word");
}

/* --- store buffering ---------------------------------------------------- */

static void
sb_relaxed(unsigned me)
{
	own__store(me ? &y : &x, 1, R);
	seen[me] = own__load(me ? &x : &y, R);
}

static void
sb_seq_cst(unsigned me)
{
	own__store(me ? &y : &x, 1, SC);
	seen[me] = own__load(me ? &x : &y, SC);
}

static void
sb_membarrier(unsigned me)
{
	own__store(me ? &y : &x, 1, R);
	if (me)
		own_m_membarrier();
	else
		own__light_fence();
	seen[me] = own__load(me ? &x : &y, R);
}

/* Somebody sees the other's store. */
static void
sb_finish(void)
{
	own_m_assert(seen[0] || seen[1], "both stores were missed");
	own_m_assert(x == 1 && y == 1, "a store got lost");
}

/* What a thread stored it sees itself, whatever the others see. */
static void
forward(unsigned me)
{
	own__store(&x, me + 1, R);
	own_m_assert(own__load(&x, R) != 0, "own store not seen");
	own__store(&seen[me], 1, R);
	own_m_assert(own__load(&seen[me], R) == 1, "own store not seen");
}

/* --- message passing ---------------------------------------------------- */

static void
mp(unsigned me, int order)
{
	if (me == 0) {
		own__store(&x, 42, R);
		own__store(&y, 1, order);
	} else if (own__load(&y, ACQ)) {
		own_m_assert(own__load(&x, R) == 42, "flag without message");
	}
}

static void
mp_release(unsigned me)
{
	mp(me, REL);
}

static void
mp_relaxed(unsigned me)
{
	mp(me, R);
}

/* A read-modify-write that only acquires does not push older stores out. */
static void
mp_rmw(unsigned me, int order)
{
	if (me == 0) {
		own__store(&x, 42, R);
		(void)own__add(&y, 1, order);
	} else if (own__load(&y, ACQ)) {
		own_m_assert(own__load(&x, R) == 42, "flag without message");
	}
}

static void
mp_rmw_acquire(unsigned me)
{
	mp_rmw(me, ACQ);
}

static void
mp_rmw_release(unsigned me)
{
	mp_rmw(me, REL);
}

/* Two writers of two places in opposite order: 2+2W needs reordered stores. */
static void
two_writes(unsigned me)
{
	own__store(me ? &y : &x, 1, R);
	own__store(me ? &x : &y, 2, R);
}

static void
two_writes_finish(void)
{
	own_m_assert(x != 1 || y != 1, "stores arrived out of order");
}

/* --- happens-before ----------------------------------------------------- */

static uint64_t payload;

static void
race_reset(void)
{
	reset();
	payload = 0;
}

static void
race(unsigned me, int store_order, int load_order)
{
	if (me == 0) {
		own_m_write(&payload, sizeof(payload));
		payload = 42;
		own__store(&y, 1, store_order);
	} else if (own__load(&y, load_order)) {
		own_m_read(&payload, sizeof(payload));
		own_m_assert(payload == 42, "flag without payload");
	}
}

static void
race_none(unsigned me)
{
	race(me, REL, ACQ);
}

static void
race_no_release(unsigned me)
{
	race(me, R, ACQ);
}

static void
race_no_acquire(unsigned me)
{
	race(me, REL, R);
}

/* A relaxed read-modify-write between keeps the release sequence. */
static void
race_sequence(unsigned me)
{
	if (me == 2)
		(void)own__or(&y, 2, R);
	else if (me == 1 && own__load(&y, ACQ) & 1)
		own_m_read(&payload, sizeof(payload));
	else if (me == 0) {
		own_m_write(&payload, sizeof(payload));
		(void)own__or(&y, 1, REL);
	}
}

/* The reader's half of an asymmetric fence, then the last use, then the end. */
static void
hazard(unsigned me, int release)
{
	if (me == 0) {
		own__store(&x, 1, REL);
		own__light_fence();
		if (own__load(&y, ACQ) == 0)
			own_m_read(&payload, sizeof(payload));
		own__store(&x, 0, release);
	} else {
		(void)own__or(&y, 1, SC);
		own_m_membarrier();
		while (own__load(&x, ACQ))
			own_m_pause();
		own_m_write(&payload, sizeof(payload));
	}
}

static void
hazard_release(unsigned me)
{
	hazard(me, REL);
}

static void
hazard_relaxed(unsigned me)
{
	hazard(me, R);
}

/* --- compare and swap --------------------------------------------------- */

static void
cas_count(unsigned me)
{
	uint64_t old = own__load(&x, R);

	(void)me;
	while (!own__cas(&x, &old, old + 1, OWN__ACQ_REL))
		;
	(void)own__add(&word, 1, R);
}

static void
cas_finish(void)
{
	own_m_assert(x == 3 && word == 3, "an increment got lost");
}

static void
plain_count(unsigned me)
{
	(void)me;
	own__store(&x, own__load(&x, R) + 1, R);
	(void)own__add(&word, 1, R);
}

/* --- sleeping ----------------------------------------------------------- */

/* Sleeps without telling the futex what it has seen. */
static void
wait_naive(unsigned me)
{
	if (me == 0) {
		if (own__load(&x, ACQ) == 0)
			own_m_futex_wait(&word, 0, EVERY, OWN_M_FOREVER);
	} else {
		own__store(&x, 1, SC);
		own_m_futex_wake(&word, 1, EVERY);
	}
}

static void
wait_correct(unsigned me)
{
	if (me == 0) {
		while (own__load(&word, ACQ) == 0)
			own_m_futex_wait(&word, 0, EVERY, OWN_M_FOREVER);
	} else {
		(void)own__xchg(&word, 1, REL);
		own_m_futex_wake(&word, 1, EVERY);
	}
}

/* Takes every return for the event; only right without spurious ones. */
static void
wait_once(unsigned me)
{
	if (me == 0) {
		if (own__load(&word, ACQ) == 0)
			own_m_futex_wait(&word, 0, EVERY, OWN_M_FOREVER);
		own_m_assert(own__load(&word, ACQ), "woken for nothing");
	} else {
		(void)own__xchg(&word, 1, REL);
		own_m_futex_wake(&word, 1, EVERY);
	}
}

static void
wait_bitset(unsigned me)
{
	if (me < 2) {
		while (own__load(&word, ACQ) == 0)
			own_m_futex_wait(&word, 0, 1u << me, OWN_M_FOREVER);
		(void)own__add(&x, 1, R);
	} else {
		(void)own__xchg(&word, 1, REL);
		own_m_futex_wake(&word, INT32_MAX, 1);
		own_m_futex_wake(&word, 1, 2);
	}
}

/* One of two sleepers is woken, the other one by the first. */
static void
wait_chain(unsigned me)
{
	if (me == 2)
		(void)own__xchg(&word, 1, REL);
	while (me < 2 && own__load(&word, ACQ) == 0)
		own_m_futex_wait(&word, 0, EVERY, OWN_M_FOREVER);
	own_m_futex_wake(&word, 1, EVERY);
}

/* Nobody wakes it: the clock has to. */
static void
timeout(unsigned me)
{
	uint64_t deadline = own_m_now() + 1000000;

	(void)me;
	own_m_assert(own_m_futex_wait(&word, 0, EVERY, deadline) ==
			-ETIMEDOUT, "woken by nobody");
	own_m_assert(own_m_now() >= deadline, "timed out too early");
	own_m_assert(own_m_futex_wait(&word, 1, EVERY, deadline) == -EAGAIN,
			"slept on another value");
}

/* Assumes that somebody quick enough is always in time. */
static void
timeout_early(unsigned me)
{
	if (me == 0) {
		while (own__load(&word, ACQ) == 0)
			own_m_assert(own_m_futex_wait(&word, 0, EVERY,
					own_m_now() + 1000000000) !=
					-ETIMEDOUT, "timed out");
	} else {
		(void)own__xchg(&word, 1, REL);
		own_m_futex_wake(&word, 1, EVERY);
	}
}

static uint32_t mutex[2];

static void
mutex_reset(void)
{
	reset();
	mutex[0] = 0;
	mutex[1] = 0;
}

static void
deadlock(unsigned me)
{
	own_m_lock(&mutex[me]);
	own_m_lock(&mutex[!me]);
	own_m_unlock(&mutex[!me]);
	own_m_unlock(&mutex[me]);
}

static void
lock_order(unsigned me)
{
	(void)me;
	own_m_lock(&mutex[0]);
	own_m_lock(&mutex[1]);
	own_m_read(&payload, sizeof(payload));
	own_m_write(&payload, sizeof(payload));
	own__store(&x, own__load(&x, R) + 1, R);
	own_m_unlock(&mutex[1]);
	own_m_unlock(&mutex[0]);
}

static void
lock_finish(void)
{
	own_m_assert(x == 2, "an increment got lost under the mutex");
}

/* --- spinning ----------------------------------------------------------- */

static void
spin(unsigned me)
{
	if (me < 2)
		while (own__load(&x, ACQ) == 0)
			own_m_pause();
	else
		own__store(&x, 1, REL);
}

/* Two that keep each other awake must not keep the third from running. */
static void
spin_busy(unsigned me)
{
	if (me < 2) {
		while (own__load(&x, ACQ) == 0) {
			(void)own__add(&y, 1, R);
			own_m_pause();
		}
	} else {
		own__store(&x, 1, REL);
	}
}

static void
spin_for_ever(unsigned me)
{
	if (me == 0)
		while (own__load(&x, ACQ) == 0)
			own_m_pause();
	else if (own__load(&y, R) == 0)
		own__store(&x, 0, REL);
}

static void
spin_until(unsigned me)
{
	uint64_t deadline = own_m_now() + 1000000;

	(void)me;
	while (own__load(&x, ACQ) == 0 && own_m_now() < deadline)
		own_m_pause();
}

/* --- memory ------------------------------------------------------------- */

static void
block_setup(void)
{
	reset();
	block = own_m_alloc(64, 64);
	if (block)
		*block = 7;
}

static void
use(unsigned me, bool check)
{
	uint64_t *p;

	if (me == 0) {
		own__store(&y, 1, SC);
		p = own__load(&block, ACQ);
		if (p && (!check || own__load(&x, SC) == 0))
			own_m_assert(own__load(p, R) == 7, "garbage");
		own__store(&y, 0, REL);
	} else {
		p = own__xchg(&block, NULL, OWN__ACQ_REL);
		own__store(&x, 1, SC);
		while (check && own__load(&y, SC))
			own_m_pause();
		own_m_free(p);
	}
}

static void
use_after_free(unsigned me)
{
	use(me, false);
}

static void
use_protected(unsigned me)
{
	use(me, true);
}

static void
double_free(unsigned me)
{
	uint64_t *p = own__load(&block, ACQ);

	(void)me;
	own__store(&block, NULL, REL);
	own_m_free(p);
}

static void
leak(unsigned me)
{
	if (own__xchg(&x, me + 1, OWN__ACQ_REL) == 1)
		block = NULL;
}

static void
leak_finish(void)
{
	own_m_free(block);
}

static void
overrun(unsigned me)
{
	own__store(block + (me ? 8 : 7), 1, R);
}

/* A store still in the buffer when another thread frees what it is for. */
static void
late_store(unsigned me)
{
	if (me == 0) {
		own__store(block, 1, R);
		own__load(&x, R);
	} else {
		own_m_free(block);
	}
}

static void
crash(unsigned me)
{
	if (me == 0)
		own__store(&block, NULL, REL);
	else
		own_m_assert(*own__load(&block, ACQ) == 7, "garbage");
}

static void
crash_finish(void)
{
	own_m_free(block);
}

static void
alloc_fails(void)
{
	void *p = own_m_alloc(8, 8), *q;

	own_m_fail_alloc(2);
	q = own_m_alloc(8, 8);
	own_m_assert(p && q, "failed too early");
	own_m_assert(own_m_alloc(8, 8) == NULL, "did not fail as asked for");
	own_m_free(p);
	own_m_free(q);
}

static void
nothing(unsigned me)
{
	(void)me;
}

static void
alloc_may_fail(void)
{
	void *p = own_m_alloc(8, 8);

	own_m_assert(p, "allocation failed");
	own_m_free(p);
}

/* Treiber's pop, with a stack of two, and a freed node that comes back. */
struct node {
	struct node *next;
};

static struct node *top;

static void
aba_setup(void)
{
	reset();
	top = NULL;
	for (int i = 0; i < 2; i++) {
		struct node *n = own_m_alloc(sizeof(*n), 16);

		n->next = top;
		top = n;
	}
}

static struct node *
aba_pop(void)
{
	struct node *n = own__load(&top, ACQ);

	while (n && !own__cas(&top, &n, own__load(&n->next, R),
			OWN__ACQ_REL))
		;
	return n;
}

static void
aba_push(struct node *n)
{
	struct node *old = own__load(&top, R);

	do
		own__store(&n->next, old, R);
	while (!own__cas(&top, &old, n, REL));
}

static void
aba(unsigned me)
{
	struct node *a, *b;

	if (me == 0) {
		own_m_free(aba_pop());
		return;
	}
	a = aba_pop();
	b = aba_pop();
	own_m_free(b);
	own_m_free(a);
	a = own_m_alloc(sizeof(*a), 16);
	aba_push(a);
}

static void
aba_finish(void)
{
	for (struct node *n = top; n;) {
		struct node *next = n->next;

		own_m_free(n);
		n = next;
	}
}

/* --- read sections ------------------------------------------------------ */

static void
rcu(unsigned me, bool wait)
{
	uint64_t *p;

	if (me == 0) {
		own_m_rcu_lock();
		p = own__load(&block, ACQ);
		if (p) {
			own_m_read(p, sizeof(*p));
			own_m_assert(own__load(p, R) == 7, "garbage");
		}
		own_m_rcu_unlock();
	} else {
		p = own__xchg(&block, NULL, OWN__ACQ_REL);
		if (wait)
			own_m_rcu_synchronize();
		own_m_free(p);
	}
}

static void
rcu_wait(unsigned me)
{
	rcu(me, true);
}

static void
rcu_no_wait(unsigned me)
{
	rcu(me, false);
}

/* --- thread-local variables and hooks ----------------------------------- */

static void
at_exit_of_thread(void)
{
	if (local)
		(void)own__add(&z, local, R);
}

static void
local_setup(void)
{
	own_m_tls(&local, sizeof(local));
	own_m_at_thread_exit(at_exit_of_thread);
	own_m_assert(local == 0, "not zero in a new thread");
	reset();
	local = 100;
}

static void
local_thread(unsigned me)
{
	own_m_assert(local == 0, "not zero in a new thread");
	local = me + 1;
	(void)own__add(&x, 1, R);
	(void)own__add(&y, 1, R);
	own_m_assert(local == me + 1, "another thread's variable");
	own_m_assert(own_m_self() == me, "another thread's number");
}

static void
local_finish(void)
{
	own_m_assert(local == 0, "not zero in a new thread");
	own_m_assert(z == 100 + 1 + 2, "exit functions were not called once");
}

/* --- counting ----------------------------------------------------------- */

/*
 * Two threads of n operations each have (2n)! / (n! n!) interleavings: 252 for
 * 5. Without preemptions there are 2. One preemption gives 8 more: either
 * thread stops after 1 to 4 operations, the other runs to its end.
 */
static void
count_two(unsigned me)
{
	(void)me;
	for (int i = 0; i < 5; i++)
		(void)own__add(&x, 1, R);
}

/* The same, and 5 each that nobody else can notice. */
static void
count_private(unsigned me)
{
	count_two(me);
	for (int i = 0; i < 5; i++)
		(void)own__add(&seen[me], own__load(&z, R), R);
}

/* 2, 1 and 1 operations have 4! / 2! interleavings, each with three values. */
static void
count_three(unsigned me)
{
	(void)own__add(&x, 1, R);
	if (me == 0)
		(void)own__add(&x, own_m_choose(3), R);
}

/* -------------------------------------------------------------------------*/

#define SCENARIO(text, n, before, body, after, ...)			\
	{ .name = "litmus/" text, .threads = (n), .setup = (before),	\
		.thread = (body), .finish = (after), __VA_ARGS__ }

const struct own_m_scenario own_m_litmus_scenarios[] = {
	SCENARIO("sb_relaxed", 2, reset, sb_relaxed, sb_finish,
			.flags = OWN_M_FAILS),
	SCENARIO("sb_seq_cst", 2, reset, sb_seq_cst, sb_finish,
			.preemptions = 6, .delays = 4),
	SCENARIO("sb_membarrier", 2, reset, sb_membarrier, sb_finish,
			.preemptions = 6, .delays = 4),
	SCENARIO("forward", 2, reset, forward, NULL, .delays = 3),
	SCENARIO("mp_release", 2, reset, mp_release, NULL,
			.preemptions = 6, .delays = 4),
	SCENARIO("mp_relaxed_tso", 2, reset, mp_relaxed, NULL,
			.flags = OWN_M_TSO, .preemptions = 6, .delays = 4),
	SCENARIO("mp_relaxed_pso", 2, reset, mp_relaxed, NULL,
			.flags = OWN_M_PSO | OWN_M_FAILS),
	SCENARIO("mp_rmw_acquire_tso", 2, reset, mp_rmw_acquire, NULL,
			.flags = OWN_M_TSO, .preemptions = 6, .delays = 4),
	SCENARIO("mp_rmw_acquire_pso", 2, reset, mp_rmw_acquire, NULL,
			.flags = OWN_M_PSO | OWN_M_FAILS),
	SCENARIO("mp_rmw_release", 2, reset, mp_rmw_release, NULL,
			.preemptions = 6, .delays = 4),
	SCENARIO("two_writes_tso", 2, reset, two_writes, two_writes_finish,
			.flags = OWN_M_TSO, .preemptions = 6, .delays = 4),
	SCENARIO("two_writes_pso", 2, reset, two_writes, two_writes_finish,
			.flags = OWN_M_PSO | OWN_M_FAILS),
	SCENARIO("race_none", 2, race_reset, race_none, NULL, .delays = 3),
	SCENARIO("race_no_release", 2, race_reset, race_no_release, NULL,
			.flags = OWN_M_FAILS),
	SCENARIO("race_no_acquire", 2, race_reset, race_no_acquire, NULL,
			.flags = OWN_M_FAILS),
	SCENARIO("race_sequence", 3, race_reset, race_sequence, NULL,
			.preemptions = 6),
	SCENARIO("hazard_release", 2, race_reset, hazard_release, NULL,
			.preemptions = 4, .delays = 3),
	SCENARIO("hazard_relaxed", 2, race_reset, hazard_relaxed, NULL,
			.flags = OWN_M_FAILS),
	SCENARIO("cas_count", 3, reset, cas_count, cas_finish,
			.preemptions = 4),
	SCENARIO("plain_count", 3, reset, plain_count, cas_finish,
			.flags = OWN_M_FAILS),
	SCENARIO("wait_naive", 2, reset, wait_naive, NULL,
			.flags = OWN_M_FAILS),
	SCENARIO("wait_correct", 2, reset, wait_correct, NULL,
			.preemptions = 6, .spurious = 1),
	SCENARIO("wait_once", 2, reset, wait_once, NULL, .preemptions = 6),
	SCENARIO("wait_once_spurious", 2, reset, wait_once, NULL,
			.flags = OWN_M_FAILS, .spurious = 1),
	SCENARIO("wait_bitset", 3, reset, wait_bitset, NULL,
			.preemptions = 3),
	SCENARIO("wait_chain", 3, reset, wait_chain, NULL, .preemptions = 3),
	SCENARIO("timeout", 1, reset, timeout, NULL, .preemptions = 2),
	SCENARIO("timeout_early", 2, reset, timeout_early, NULL,
			.flags = OWN_M_FAILS, .timeouts = 1),
	SCENARIO("timeout_never", 2, reset, timeout_early, NULL,
			.preemptions = 4),
	SCENARIO("deadlock", 2, mutex_reset, deadlock, NULL,
			.flags = OWN_M_FAILS),
	SCENARIO("lock_order", 2, mutex_reset, lock_order, lock_finish,
			.preemptions = 6),
	SCENARIO("spin", 3, reset, spin, NULL, .preemptions = 2),
	SCENARIO("spin_busy", 3, reset, spin_busy, NULL, .preemptions = 2),
	SCENARIO("spin_for_ever", 2, reset, spin_for_ever, NULL,
			.flags = OWN_M_FAILS),
	SCENARIO("spin_until", 2, reset, spin_until, NULL, .preemptions = 1),
	SCENARIO("use_after_free", 2, block_setup, use_after_free, NULL,
			.flags = OWN_M_FAILS),
	SCENARIO("use_protected", 2, block_setup, use_protected, NULL,
			.preemptions = 4),
	SCENARIO("double_free", 2, block_setup, double_free, NULL,
			.flags = OWN_M_FAILS),
	SCENARIO("leak", 2, block_setup, leak, leak_finish,
			.flags = OWN_M_FAILS),
	SCENARIO("overrun", 2, block_setup, overrun, leak_finish,
			.flags = OWN_M_FAILS),
	SCENARIO("late_store", 2, block_setup, late_store, NULL,
			.flags = OWN_M_FAILS),
	SCENARIO("crash", 2, block_setup, crash, crash_finish,
			.flags = OWN_M_FAILS),
	SCENARIO("alloc_fails", 1, reset, nothing, alloc_fails),
	SCENARIO("alloc_may_fail", 1, alloc_may_fail, nothing, NULL,
			.flags = OWN_M_FAILS, .alloc_failures = 1),
	SCENARIO("aba", 2, aba_setup, aba, aba_finish,
			.flags = OWN_M_FAILS | OWN_M_REUSE),
	SCENARIO("rcu_wait", 2, block_setup, rcu_wait, NULL,
			.preemptions = 6),
	SCENARIO("rcu_no_wait", 2, block_setup, rcu_no_wait, NULL,
			.flags = OWN_M_FAILS),
	SCENARIO("local", 2, local_setup, local_thread, local_finish,
			.preemptions = 4),
	SCENARIO("count_two", 2, reset, count_two, NULL, .preemptions = 10,
			.schedules = 252),
	SCENARIO("count_two_none", 2, reset, count_two, NULL,
			.preemptions = OWN_M_NONE, .schedules = 2),
	SCENARIO("count_two_one", 2, reset, count_two, NULL, .preemptions = 1,
			.schedules = 10),
	SCENARIO("count_private", 2, reset, count_private, NULL,
			.preemptions = 10, .schedules = 252),
	SCENARIO("count_three", 3, reset, count_three, NULL,
			.preemptions = 4, .schedules = 36),
	{ .name = NULL },
};
