/* SPDX-License-Identifier: MIT */
/* test_wait.c - clock, futex, the library's own lock, slices of waiting */
#include "tests/support.h"

#define TIMES	20000u

static struct own_cell cell;

static void
clock_goes_on(void **state)
{
	uint64_t before = own_now_ns(), now;

	(void)state;
	assert_true(before > 0);
	while ((now = own_now_ns()) == before)
		;
	assert_true(now > before);
}

static void
deadline_saturates_below_forever(void **state)
{
	uint64_t now = own_now_ns(), then = own_deadline_ns(1000);

	(void)state;
	assert_true(then >= now + 1000);
	assert_true(then <= own_now_ns() + 1000);
	assert_true(own_deadline_ns(0) >= now);
	assert_true(own_deadline_ns(UINT64_MAX) == UINT64_MAX - 1);
	assert_true(own_deadline_ns(UINT64_MAX - 1) == UINT64_MAX - 1);
	assert_true(own_deadline_ns(UINT64_MAX - now) == UINT64_MAX - 1);
}

static void
deadline_has_passed_or_not(void **state)
{
	(void)state;
	assert_false(own_i_expired(OWN__FOREVER));
	assert_false(own_i_expired(own_deadline_ns(LONG_NS)));
	assert_true(own_i_expired(own_now_ns()));
	assert_true(own_i_expired(OWN__DEADLINE(0)));
	/* 0 is no try, but a deadline long past */
	assert_int_not_equal(OWN__DEADLINE(0), OWN__TRY);
	assert_int_not_equal(OWN__DEADLINE(0), OWN__WHEN);
	assert_int_not_equal(OWN__DEADLINE(1), OWN__WHEN);
}

/* ---- futex ---- */

static uint32_t futex, awake;

static int
act_sleep(struct actor *a)
{
	int r;

	do
		r = own_i_futex_wait(&futex, 0, (uint32_t)a->n, OWN__FOREVER);
	while (r == 0 && !own__load(&futex, OWN__ACQUIRE));
	(void)own__add(&awake, 1, OWN__RELEASE);
	return r;
}

static void
futex_does_not_sleep_on_another_value(void **state)
{
	uint32_t value = 5;

	(void)state;
	assert_int_equal(own_i_futex_wait(&value, 4, OWN_I_FUTEX_ANY,
			OWN__FOREVER), -EAGAIN);
}

static void
futex_wakes_not_before_its_deadline(void **state)
{
	uint32_t value = 5;
	uint64_t deadline_ns = own_deadline_ns(3 * MS_NS);
	int r;

	(void)state;
	do
		r = own_i_futex_wait(&value, 5, OWN_I_FUTEX_ANY, deadline_ns);
	while (r == 0 || r == -EINTR);
	assert_int_equal(r, -ETIMEDOUT);
	assert_true(own_now_ns() >= deadline_ns);
}

static void
futex_wakes_each_kind(void **state)
{
	struct actor a, b;

	(void)state;
	futex = awake = 0;
	actor_start(&a, NULL);
	actor_start(&b, NULL);
	a.n = OWN_I_FUTEX_SHARE;
	b.n = OWN_I_FUTEX_CLAIM;
	actor_begin(&a, act_sleep);
	actor_begin(&b, act_sleep);
	raise_flag(&futex);
	while (own__load(&awake, OWN__ACQUIRE) != 2) {
		own_i_futex_wake(&futex, OWN_I_ALL, OWN_I_FUTEX_SHARE);
		own_i_futex_wake(&futex, 1, OWN_I_FUTEX_CLAIM);
		sched_yield();
	}
	/* -EAGAIN: the value had changed before it slept */
	assert_true(actor_end(&a) == 0 || a.r == -EAGAIN);
	assert_true(actor_end(&b) == 0 || b.r == -EAGAIN);
	actor_stop(&a);
	actor_stop(&b);
	/* nobody there, nothing mapped there */
	own_i_futex_wake((uint32_t *)16, 1, OWN_I_FUTEX_ANY);
}

/* ---- the small lock ---- */

static uint32_t lock;
static uint64_t guarded;

static int
act_add_locked(struct actor *a)
{
	(void)a;
	for (unsigned i = 0; i < TIMES; i++) {
		own_i_lock(&lock);
		guarded++;
		own_i_unlock(&lock);
	}
	return 0;
}

static void
lock_excludes(void **state)
{
	struct actor a[3];

	(void)state;
	guarded = 0;
	for (int i = 0; i < 3; i++) {
		actor_start(&a[i], NULL);
		actor_begin(&a[i], act_add_locked);
	}
	for (int i = 0; i < 3; i++) {
		actor_end(&a[i]);
		actor_stop(&a[i]);
	}
	assert_int_equal(guarded, 3 * TIMES);
	assert_int_equal(lock, 0);
}

static uint32_t locked;

static int
act_lock(struct actor *a)
{
	(void)a;
	own_i_lock(&lock);
	raise_flag(&locked);
	own_i_unlock(&lock);
	return 0;
}

static void
lock_wakes_who_sleeps(void **state)
{
	struct actor a, b;

	(void)state;
	locked = 0;
	actor_start(&a, NULL);
	actor_start(&b, NULL);
	own_i_lock(&lock);
	assert_int_equal(lock, 1);
	actor_begin(&a, act_lock);
	actor_begin(&b, act_lock);
	/* 2: somebody sleeps, or is about to */
	while (own__load(&lock, OWN__RELAXED) != 2)
		sched_yield();
	assert_int_equal(own__load(&locked, OWN__RELAXED), 0);
	own_i_unlock(&lock);
	actor_end(&a);
	actor_end(&b);
	actor_stop(&a);
	actor_stop(&b);
	own_i_lock(&lock);
	own_i_unlock(&lock);
	assert_int_equal(lock, 0);
}

/* ---- slices ---- */

static void
wait_record_stands_while_a_thread_waits(void **state)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	struct own_i_wait *wait;
	struct actor a;

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	actor_start(&a, &cell);
	wait = &a.record->wait;
	assert_int_equal(own__load(&wait->sequence, OWN__ACQUIRE) & 1, 0);
	for (unsigned kind = OWN_I_WAIT_SHARE; kind <= OWN_I_WAIT_DRAIN;
			kind++) {
		uint64_t sequence = own__load(&wait->sequence, OWN__ACQUIRE);

		if (kind == OWN_I_WAIT_DRAIN)
			assert_int_equal(own_cell_share(&cell, &s), 0);
		else
			assert_int_equal(own_cell_claim(&cell, &u), 0);
		actor_begin(&a, kind == OWN_I_WAIT_SHARE ? act_share
				: act_claim);
		actor_await(&a);
		assert_int_equal(own__load(&wait->kind, OWN__RELAXED), kind);
		assert_int_equal(own__load(&wait->word, OWN__RELAXED),
				(uintptr_t)&cell.word);
		assert_ptr_equal(own__load(&wait->site, OWN__RELAXED), a.site);
		own_shared_release(&s);
		own_unique_release(&u);
		assert_int_equal(actor_end(&a), 0);
		actor_do(&a, act_release);
		assert_int_equal(own__load(&wait->sequence, OWN__ACQUIRE) & 1,
				0);
		assert_true(own__load(&wait->sequence, OWN__ACQUIRE) >
				sequence);
	}
	actor_stop(&a);
	own_cell_destroy(&cell);
}

static void
wait_record_goes_with_a_timeout(void **state)
{
	struct own_unique u = { 0 };
	struct actor a;

	item_cell(&cell, POLICY(state), 1, NULL);
	actor_start(&a, &cell);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	/* shorter and longer than a slice */
	for (unsigned ms = 0; ms <= 8; ms += 4) {
		a.deadline_ns = own_deadline_ns(ms * MS_NS);
		assert_int_equal(actor_do(&a, act_claim_timed), -ETIMEDOUT);
		assert_true(own_now_ns() >= a.deadline_ns);
		assert_int_equal(own__load(&a.record->wait.sequence,
				OWN__ACQUIRE) & 1, 0);
	}
	own_unique_release(&u);
	actor_stop(&a);
	own_cell_destroy(&cell);
	assert_int_equal(own_barrier(), 0);
}

/* A sleeper that is woken takes what is free, late or not. */
static void
free_cell_is_taken_past_the_deadline(void **state)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };

	item_cell(&cell, POLICY(state), 1, NULL);
	assert_int_equal(own_cell_claim_timed(&cell, 0, &u), 0);
	own_unique_release(&u);
	assert_int_equal(own_cell_share_timed(&cell, 1, &s), 0);
	own_shared_release(&s);
	own_cell_destroy(&cell);
	assert_int_equal(own_barrier(), 0);
}

/* With slices off only the wake-ups themselves let anybody go on. */
static void
handover_needs_no_slices(void **state)
{
	uint64_t slice_ns = own_i_slice_ns;
	struct own_unique u = { 0 };
	struct actor a[4];

	item_cell(&cell, POLICY(state), 0, NULL);
	own_i_slice_ns = 0;
	for (int i = 0; i < 4; i++)
		actor_start(&a[i], &cell);
	for (int round = 0; round < 20; round++) {
		assert_int_equal(own_cell_claim(&cell, &u), 0);
		for (int i = 0; i < 4; i++) {
			actor_begin(&a[i], i == 3 ? act_share : act_claim);
			if (i != 3 || POLICY(state) == OWN_EXCLUSIVE)
				actor_await(&a[i]);
		}
		own_unique_commit(&u);
		for (int got = 0; got < 4; )
			for (int i = 0; i < 4; i++)
				if (sem_trywait(&a[i].done) == 0) {
					assert_int_equal(a[i].r, 0);
					actor_do(&a[i], act_release);
					got++;
				}
	}
	for (int i = 0; i < 4; i++)
		actor_stop(&a[i]);
	own_i_slice_ns = slice_ns;
	own_cell_destroy(&cell);
	assert_int_equal(own_barrier(), 0);
}

NO_CHILDREN;

static const struct CMUnitTest tests[] = {
	TEST(clock_goes_on),
	TEST(deadline_saturates_below_forever),
	TEST(deadline_has_passed_or_not),
	TEST(futex_does_not_sleep_on_another_value),
	TEST(futex_wakes_not_before_its_deadline),
	TEST(futex_wakes_each_kind),
	TEST(lock_excludes),
	TEST(lock_wakes_who_sleeps),
	TEST(wait_record_stands_while_a_thread_waits),
	TEST_BOTH(wait_record_goes_with_a_timeout),
	TEST_BOTH(free_cell_is_taken_past_the_deadline),
	TEST_BOTH(handover_needs_no_slices),
};

TESTS_MAIN("wait");
