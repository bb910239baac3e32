/* SPDX-License-Identifier: MIT */
/* test_access.c - what own/access.h promises for each width */
#include "tests/support.h"

#define TIMES	20000u

#define WIDTH(type, high)						\
	static void							\
	operations_on_##type(void **state)				\
	{								\
		type v = 1, seen;					\
									\
		(void)state;						\
		own__store(&v, (type)(high), OWN__RELEASE);		\
		assert_true(own__load(&v, OWN__ACQUIRE) == (type)(high)); \
		assert_true(own__xchg(&v, (type)5, OWN__ACQ_REL) ==	\
				(type)(high));				\
		assert_true(own__add(&v, (type)2, OWN__RELAXED) == 5);	\
		assert_true(own__or(&v, (type)8, OWN__RELEASE) == 7);	\
		assert_true(own__and(&v, (type)12, OWN__ACQUIRE) == 15); \
		assert_true(own__load(&v, OWN__SEQ_CST) == 12);		\
		/* below nothing it goes on at the top */		\
		assert_true(own__add(&v, (type)-13, OWN__SEQ_CST) == 12); \
		assert_true(own__load(&v, OWN__RELAXED) == (type)-1);	\
		/* a failure says what was there and changes nothing */	\
		seen = 4;						\
		assert_false(own__cas(&v, &seen, (type)9, OWN__SEQ_CST)); \
		assert_true(seen == (type)-1);				\
		assert_true(own__load(&v, OWN__RELAXED) == (type)-1);	\
		assert_true(own__cas(&v, &seen, (type)9, OWN__ACQ_REL)); \
		assert_true(own__load(&v, OWN__RELAXED) == 9);		\
		assert_true(own__cas(&v, &seen, (type)1, OWN__RELAXED) == 0); \
		assert_true(own__cas(&v, &seen, (type)1, OWN__RELEASE)); \
		assert_true(own__load(&v, OWN__RELAXED) == 1);		\
	}								\
	OWN__STATIC_ASSERT(sizeof(type) <= 8, "a word")

WIDTH(uint32_t, 0xfedcba98);
WIDTH(uint64_t, 0xfedcba9876543210);

static void
operations_on_pointers(void **state)
{
	int a, b;
	int *p = NULL, *seen = &b;

	(void)state;
	own__store(&p, &a, OWN__RELEASE);
	assert_ptr_equal(own__load(&p, OWN__ACQUIRE), &a);
	assert_ptr_equal(own__xchg(&p, &b, OWN__ACQ_REL), &a);
	assert_true(own__cas(&p, &seen, NULL, OWN__RELEASE));
	assert_null(own__load(&p, OWN__RELAXED));
	assert_false(own__cas(&p, &seen, &a, OWN__ACQUIRE));
	assert_null(seen);
}

static void
failed_cas_acquires_whenever_success_would(void **state)
{
	(void)state;
	assert_int_equal(OWN__CAS_FAIL(OWN__RELAXED), OWN__RELAXED);
	assert_int_equal(OWN__CAS_FAIL(OWN__RELEASE), OWN__RELAXED);
	assert_int_equal(OWN__CAS_FAIL(OWN__ACQUIRE), OWN__ACQUIRE);
	assert_int_equal(OWN__CAS_FAIL(OWN__ACQ_REL), OWN__ACQUIRE);
	assert_int_equal(OWN__CAS_FAIL(OWN__SEQ_CST), OWN__SEQ_CST);
}

static uint64_t sum, flags;
static uint32_t turn;
static uint64_t plain;

static int
act_add(struct actor *a)
{
	for (unsigned i = 0; i < TIMES; i++) {
		uint64_t seen = own__load(&flags, OWN__RELAXED);

		(void)own__add(&sum, 1, OWN__RELAXED);
		while (!own__cas(&flags, &seen, seen + a->n, OWN__RELAXED))
			;
	}
	return 0;
}

static void
no_update_is_lost(void **state)
{
	struct actor a, b;

	(void)state;
	actor_start(&a, NULL);
	actor_start(&b, NULL);
	a.n = 1;
	b.n = UINT64_C(1) << 32;
	actor_begin(&a, act_add);
	actor_begin(&b, act_add);
	actor_end(&a);
	actor_end(&b);
	assert_true(sum == 2 * TIMES);
	assert_true(flags == (a.n + b.n) * TIMES);
	actor_stop(&a);
	actor_stop(&b);
}

/* In turns, each reading what the other wrote plainly before its release. */
static int
act_ping(struct actor *a)
{
	for (unsigned i = 0; i < 200; i++) {
		while ((own__load(&turn, OWN__ACQUIRE) & 1) != a->n)
			sched_yield();
		assert_int_equal(plain, 2 * i + a->n);
		plain++;
		(void)own__add(&turn, 1, OWN__RELEASE);
	}
	return 0;
}

static void
release_and_acquire_order_plain_accesses(void **state)
{
	struct actor a, b;

	(void)state;
	actor_start(&a, NULL);
	actor_start(&b, NULL);
	b.n = 1;
	actor_begin(&a, act_ping);
	actor_begin(&b, act_ping);
	actor_end(&a);
	actor_end(&b);
	assert_int_equal(plain, 400);
	actor_stop(&a);
	actor_stop(&b);
}

#ifdef OWN_BUGS
static void
bug_chosen(void)
{
	assert_int_equal(own_thread_register(), 0);
	assert_true(own__bug(OWN_BUG_NO_WAKE));
	assert_false(own__bug(OWN_BUG_NO_SETTLE));
}

static void
bug_unknown(void)
{
	(void)!own_thread_register();
}

static void
bugs_are_chosen_by_name(void **state)
{
	struct outcome o;

	(void)state;
	assert_int_equal(own_thread_register(), 0);
	assert_int_equal(own__bugs, 0);
	child_succeeds("bug_chosen", "OWN_BUG=NO_WAKE");
	child_run("bug_unknown", "OWN_BUG=NO_SUCH", &o);
	assert_non_null(strstr(o.text, "OWN_BUG names no seeded bug"));
}

static const struct child children[] = {
	CHILD(bug_chosen),
	CHILD(bug_unknown),
};
#else
NO_CHILDREN;

static void
no_bug_is_seeded(void **state)
{
	(void)state;
	assert_int_equal(own__bug(OWN_BUG_NO_WAKE), 0);
	/* each has a bit */
	assert_true(OWN__BUGS <= 64);
}
#endif

static const struct CMUnitTest tests[] = {
	TEST(operations_on_uint32_t),
	TEST(operations_on_uint64_t),
	TEST(operations_on_pointers),
	TEST(failed_cas_acquires_whenever_success_would),
	TEST(no_update_is_lost),
	TEST(release_and_acquire_order_plain_accesses),
#ifdef OWN_BUGS
	TEST(bugs_are_chosen_by_name),
#else
	TEST(no_bug_is_seeded),
#endif
};

TESTS_MAIN("access");
