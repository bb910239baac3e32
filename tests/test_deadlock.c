/* SPDX-License-Identifier: MIT */
/* test_deadlock.c - cycles of waiting threads, and waits that are none */
#include <stdio.h>
#include "tests/support.h"

#define RING_MAX	(OWN_PARTIES_MAX + 2)

/* How a thread of a ring holds its cell, and asks for the next one's. */
enum how { CLAIM, TIMED, SHARE, COUNTED, BEYOND };

static struct own_cell cells[RING_MAX];
static struct actor actors[RING_MAX];
static struct own_site holds_at[RING_MAX], asks_at[RING_MAX];

struct ask {
	enum how how;
	struct own_conflict conflict;
	char text[2048];
};
static struct ask asks[RING_MAX];

static int
act_ask(struct actor *a)
{
	struct ask *ask = a->arg;
	int r;

	if (ask->how == SHARE)
		r = own_cell_share_at(a->cell, &a->more, a->site);
	else if (ask->how == TIMED)
		r = own_cell_claim_timed_at(a->cell, own_deadline_ns(LONG_NS),
				&a->u, a->site);
	else
		r = own_cell_claim_at(a->cell, &a->u, a->site);

	if (r == -EDEADLK) {
		assert_non_null(own_conflict_last());
		ask->conflict = *own_conflict_last();
		(void)own_conflict_text(&ask->conflict, ask->text,
				sizeof(ask->text));
	}
	return r;
}

/* By a slot of the second block. */
static int
act_share_beyond(struct actor *a)
{
	struct own_shared s[OWN__SLOTS] = { { 0 } };
	int r = 0;

	for (unsigned i = 0; i < OWN__SLOTS; i++)
		assert_int_equal(own_cell_share(a->cell, &s[i]), 0);
	r = own_cell_share_at(a->cell, &a->s, a->site);
	for (unsigned i = 0; i < OWN__SLOTS; i++)
		own_shared_release(&s[i]);
	return r;
}

static int
act_hold_unique(struct actor *a)
{
	struct own_unique u = { 0 };
	int r = own_cell_claim_at(a->cell, &u, a->site);

	/* that of the actor is for what it asks for */
	own_unique_move(a->arg, &u);
	return r;
}

static int
act_let_go(struct actor *a)
{
	own_unique_release(a->arg);
	return act_release(a);
}

/*
 * Thread i holds cell i and asks for cell i + 1. Exactly one is told; when it
 * has let go of what it holds, all others get what they wait for.
 */
static void
ring(unsigned n, uint32_t policy, enum how holds, enum how wants)
{
	struct own_unique held[RING_MAX] = { { 0 } };
	unsigned victim = n, ended = 0;
	int result[RING_MAX];

	for (unsigned i = 0; i < n; i++) {
		struct own_unique u = { 0 };

		item_cell(&cells[i], policy, i, NULL);
		if (holds == COUNTED) {
			assert_int_equal(own_cell_claim(&cells[i], &u), 0);
			own_unique_release(&u);
		}
		actor_start(&actors[i], &cells[i]);
		holds_at[i] = (struct own_site) { "holds.c", 100 + i };
		asks_at[i] = (struct own_site) { "asks.c", 200 + i };
		actors[i].site = &holds_at[i];
		actors[i].arg = &held[i];
		assert_int_equal(actor_do(&actors[i], holds == CLAIM ?
				act_hold_unique : holds == BEYOND ?
				act_share_beyond : act_share), 0);
		asks[i].how = wants;
		memset(&asks[i].conflict, 0, sizeof(asks[i].conflict));
	}
	for (unsigned i = 0; i < n; i++) {
		actors[i].cell = &cells[(i + 1) % n];
		actors[i].site = &asks_at[i];
		actors[i].arg = &asks[i];
		actor_begin(&actors[i], act_ask);
	}
	/* the one that ends first is the victim; then who waited for it */
	while (victim == n)
		for (unsigned i = 0; i < n; i++)
			if (sem_trywait(&actors[i].done) == 0)
				victim = i;
	/* as long as it holds on, nobody else is told */
	pass_time(8 * MS_NS);
	for (unsigned i = 0; i < n; i++)
		assert_true(i == victim || sem_trywait(&actors[i].done) != 0);
	while (ended < n) {
		unsigned i = (victim + n - ended) % n;

		result[i] = i == victim ? actors[i].r : actor_end(&actors[i]);
		actors[i].arg = &held[i];
		actor_do(&actors[i], act_let_go);
		ended++;
	}
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(result[i], i == victim ? -EDEADLK : 0);
	for (unsigned i = 0; i < n; i++) {
		const struct own_conflict *c = &asks[victim].conflict;
		const struct own_party *party = &c->parties[i];
		unsigned who = (victim + i) % n;
		char place[64];

		assert_int_equal(c->error, -EDEADLK);
		assert_int_equal(c->parties_n, n < OWN_PARTIES_MAX ? n :
				OWN_PARTIES_MAX);
		assert_int_equal(c->more_n, n - c->parties_n);
		if (i == c->parties_n)
			break;
		/* each holds what the one before it waits for */
		assert_int_equal(party->tid, own__load(
				&actors[who].record->tid, OWN__RELAXED));
		assert_ptr_equal(party->address, &cells[who].word);
		assert_ptr_equal(party->site, &holds_at[who]);
		assert_ptr_equal(party->waits_at, &asks_at[who]);
		assert_string_equal(party->object, "item");
		assert_string_equal(party->container, "the cell");
		snprintf(place, sizeof(place), " at holds.c:%u, waits at "
				"asks.c:%u", 100 + who, 200 + who);
		assert_non_null(strstr(asks[victim].text, place));
	}
	assert_int_equal(strncmp(asks[victim].text, "-EDEADLK: thread ", 17),
			0);
	for (unsigned i = 0; i < n; i++) {
		actor_stop(&actors[i]);
		own_cell_destroy(&cells[i]);
	}
	assert_int_equal(own_barrier(), 0);
}

static void
cycle_of_two_has_one_victim(void **state)
{
	(void)state;
	ring(2, OWN_EXCLUSIVE, CLAIM, CLAIM);
	ring(2, OWN_VERSIONED, CLAIM, CLAIM);
	ring(2, OWN_EXCLUSIVE, CLAIM, SHARE);
}

static void
cycle_through_readers_has_one_victim(void **state)
{
	(void)state;
	ring(2, OWN_EXCLUSIVE, SHARE, CLAIM);
	ring(2, OWN_EXCLUSIVE, COUNTED, CLAIM);
	ring(2, OWN_EXCLUSIVE, BEYOND, CLAIM);
}

static void
cycle_of_three_has_one_victim(void **state)
{
	(void)state;
	ring(3, OWN_EXCLUSIVE, CLAIM, CLAIM);
	ring(3, OWN_EXCLUSIVE, SHARE, CLAIM);
	ring(3, OWN_EXCLUSIVE, CLAIM, SHARE);
	ring(3, OWN_VERSIONED, CLAIM, CLAIM);
}

static void
cycle_longer_than_a_report_has_one_victim(void **state)
{
	(void)state;
	ring(RING_MAX, OWN_EXCLUSIVE, CLAIM, CLAIM);
}

static void
repeated_cycles_have_one_victim_each(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++)
		ring(3, OWN_EXCLUSIVE, i & 1 ? SHARE : CLAIM, CLAIM);
}

static void
timed_waiters_are_part_of_a_cycle(void **state)
{
	(void)state;
	ring(2, OWN_EXCLUSIVE, CLAIM, TIMED);
	ring(3, OWN_VERSIONED, CLAIM, TIMED);
}

static void
long_wait_without_a_cycle_is_no_deadlock(void **state)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };
	struct actor a, b;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		item_cell(&cells[i], OWN_EXCLUSIVE, i, NULL);
	actor_start(&a, &cells[0]);
	actor_start(&b, &cells[1]);
	/* b waits for a, a waits for this thread, which waits for nobody */
	assert_int_equal(actor_do(&a, act_share), 0);
	assert_int_equal(actor_do(&b, act_share), 0);
	assert_int_equal(own_cell_claim(&cells[2], &u), 0);
	assert_int_equal(own_cell_share(&cells[0], &s), 0);
	b.cell = &cells[0];
	actor_begin(&b, act_claim);
	actor_await(&b);
	a.cell = &cells[2];
	actor_begin(&a, act_claim);
	actor_await(&a);
	/* enough for some checks */
	pass_time(30 * MS_NS);
	own_unique_release(&u);
	assert_int_equal(actor_end(&a), 0);
	actor_do(&a, act_release);
	own_shared_release(&s);
	assert_int_equal(actor_end(&b), 0);
	actor_do(&b, act_release);
	actor_stop(&a);
	actor_stop(&b);
	for (unsigned i = 0; i < 3; i++)
		own_cell_destroy(&cells[i]);
}

/* Nobody knows whose a detached handle is: the wait ends by its deadline. */
static void
cycle_through_a_detached_handle_times_out(void **state)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 }, v = { 0 };
	struct actor a;

	(void)state;
	item_cell(&cells[0], OWN_EXCLUSIVE, 0, NULL);
	item_cell(&cells[1], OWN_EXCLUSIVE, 1, NULL);
	actor_start(&a, &cells[0]);
	assert_int_equal(actor_do(&a, act_claim), 0);
	assert_int_equal(own_cell_share(&cells[1], &s), 0);
	assert_int_equal(own_shared_detach(&s), 0);
	own_unique_move(&u, &a.u);
	a.cell = &cells[1];
	actor_begin(&a, act_claim);
	actor_await(&a);
	assert_int_equal(own_cell_claim_timed(&cells[0], own_deadline_ns(
			20 * MS_NS), &v), -ETIMEDOUT);
	own_shared_release(&s);
	assert_int_equal(actor_end(&a), 0);
	actor_do(&a, act_release);
	own_unique_move(&a.u, &u);
	actor_do(&a, act_release);
	actor_stop(&a);
	own_cell_destroy(&cells[0]);
	own_cell_destroy(&cells[1]);
}

NO_CHILDREN;

static const struct CMUnitTest tests[] = {
	TEST(cycle_of_two_has_one_victim),
	TEST(cycle_through_readers_has_one_victim),
	TEST(cycle_of_three_has_one_victim),
	TEST(cycle_longer_than_a_report_has_one_victim),
	TEST(repeated_cycles_have_one_victim_each),
	TEST(timed_waiters_are_part_of_a_cycle),
	TEST(long_wait_without_a_cycle_is_no_deadlock),
	TEST(cycle_through_a_detached_handle_times_out),
};

TESTS_MAIN("deadlock");
