/* SPDX-License-Identifier: MIT */
/* test_rcu.c - read sections and grace periods of lib/rcu.h */
#include "lib/rcu.h"
#include "tests/support.h"

#define ROUNDS	30

struct node {
	uint64_t n, twin;
};

static struct node *published;		/* shared */
static uint32_t inside, leaving, synchronizing;
static uint64_t looks;

static int
act_section(struct actor *a)
{
	(void)a;
	own_i_rcu_lock();
	raise_flag(&inside);
	await_flag(&synchronizing);
	pass_time(MS_NS / 2);
	raise_flag(&leaving);
	own_i_rcu_unlock();
	return 0;
}

static void
synchronize_waits_for_a_section(void **state)
{
	struct actor a;

	(void)state;
	assert_int_equal(own_thread_register(), 0);
	actor_start(&a, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		inside = leaving = synchronizing = 0;
		actor_begin(&a, act_section);
		await_flag(&inside);
		raise_flag(&synchronizing);
		own_i_rcu_synchronize();
		assert_int_equal(own__load(&leaving, OWN__ACQUIRE), 1);
		actor_end(&a);
	}
	actor_stop(&a);
}

static void
synchronize_waits_for_the_outermost_section(void **state)
{
	struct actor a;

	(void)state;
	/* this thread nests, another one waits for it */
	assert_int_equal(own_thread_register(), 0);
	own_i_rcu_lock();
	own_i_rcu_lock();
	own_i_rcu_unlock();
	own_i_rcu_unlock();
	own_i_rcu_synchronize();
	actor_start(&a, NULL);
	inside = leaving = synchronizing = 0;
	actor_begin(&a, act_section);
	await_flag(&inside);
	/* a section of one's own that is over does not count */
	own_i_rcu_lock();
	own_i_rcu_unlock();
	raise_flag(&synchronizing);
	own_i_rcu_synchronize();
	assert_int_equal(own__load(&leaving, OWN__ACQUIRE), 1);
	actor_end(&a);
	actor_stop(&a);
}

static void
thread_that_ended_is_not_waited_for(void **state)
{
	struct actor a;

	(void)state;
	for (int i = 0; i < 3; i++) {
		actor_start(&a, NULL);
		inside = leaving = 0;
		synchronizing = 1;
		actor_do(&a, act_section);
		actor_stop(&a);
		own_i_rcu_synchronize();
	}
}

static int
act_look(struct actor *a)
{
	uint32_t *stop = a->arg;
	uint64_t n = 0;

	while (!own__load(stop, OWN__ACQUIRE)) {
		struct node *node;

		own_i_rcu_lock();
		/* acquire: pairs with the exchange below */
		node = own__load(&published, OWN__ACQUIRE);
		assert_int_equal(node->n, node->twin);
		own_i_rcu_unlock();
		/* relaxed: for the other one to see that it goes on */
		own__store(&looks, ++n, OWN__RELAXED);
		sched_yield();
	}
	return 0;
}

static struct node *
node_new(uint64_t n)
{
	struct node *node = malloc(sizeof(*node));

	assert_non_null(node);
	*node = (struct node) { n, n };
	return node;
}

/*
 * Under ThreadSanitizer this is silent because of the annotations alone: the
 * reader's plain loads and the plain stores and free() after the grace period.
 */
static void
node_is_freed_after_a_grace_period(void **state)
{
	static uint32_t stop;
	struct actor a;

	(void)state;
	assert_int_equal(own_thread_register(), 0);
	published = node_new(0);
	actor_start(&a, NULL);
	a.arg = &stop;
	actor_begin(&a, act_look);
	for (uint64_t i = 1; i < ROUNDS; i++) {
		struct node *old;

		/* relaxed: only that something goes on meanwhile */
		while (own__load(&looks, OWN__RELAXED) < i)
			sched_yield();
		old = own__xchg(&published, node_new(i), OWN__ACQ_REL);
		own_i_rcu_synchronize();
		old->n = 1;
		old->twin = 2;
		free(old);
	}
	raise_flag(&stop);
	actor_end(&a);
	actor_stop(&a);
	free(published);
}

#ifdef OWN__TSAN
static int
act_look_once(struct actor *a)
{
	(void)a;
	own_i_rcu_lock();
	assert_int_equal(own__load(&published, OWN__ACQUIRE)->n, 3);
	own_i_rcu_unlock();
	/* relaxed: orders nothing, or the race would be none */
	own__store(&leaving, 1, OWN__RELAXED);
	return 0;
}

static void
change_without_a_grace_period(void)
{
	struct node *node = node_new(3);
	struct actor a;

	assert_int_equal(own_thread_register(), 0);
	own__store(&published, node, OWN__RELEASE);
	actor_start(&a, NULL);
	actor_begin(&a, act_look_once);
	while (!own__load(&leaving, OWN__RELAXED))
		sched_yield();
	node->n = 4;
	actor_end(&a);
	actor_stop(&a);
	free(node);
}

/* The annotations do not hide what they must not. */
static void
change_without_a_grace_period_is_a_race(void **state)
{
	struct outcome o;

	(void)state;
	child_run("change_without_a_grace_period", NULL, &o);
	assert_int_not_equal(o.status, 0);
	assert_non_null(strstr(o.text, "data race"));
}

static const struct child children[] = {
	CHILD(change_without_a_grace_period),
};
#else
NO_CHILDREN;
#endif

static const struct CMUnitTest tests[] = {
	TEST(synchronize_waits_for_a_section),
	TEST(synchronize_waits_for_the_outermost_section),
	TEST(thread_that_ended_is_not_waited_for),
	TEST(node_is_freed_after_a_grace_period),
#ifdef OWN__TSAN
	TEST(change_without_a_grace_period_is_a_race),
#endif
};

TESTS_MAIN("rcu");
