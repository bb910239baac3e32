/* SPDX-License-Identifier: MIT */
/* test_faults.c - faults that no unit's test has; doc/design/faults.md */
#include <unistd.h>
#include "tests/map_support.h"

#define IS_MASK		(UINT64_C(0xfffff) << 32)
#define IX_MASK		(UINT64_C(0xfff) << 52)

/* ---- counts of a gate at their limit ---- */

static void
gate_counts_stop_at_their_limit(void **state)
{
	struct own_shared s = { 0 }, t = { 0 };
	struct own_unique u = { 0 };
	uint64_t *gate;

	begin(KIND(state));
	add(map, KEY(1), 1);
	gate = &map->whole.gate;
	assert_int_equal(own_map_share(map, KEY(1), &s), 0);
	/* a detached entry is counted as a shared one; a version is not */
	*gate |= IS_MASK;
	assert_int_equal(own_shared_detach(&s), KIND(state)->policy ==
			OWN_EXCLUSIVE ? -EOVERFLOW : 0);
	assert_int_equal(item_get(&s)->n, 1);
	*gate &= ~IS_MASK;
	own_shared_release(&s);
	/* an upgrade in place, and a unique handle's detach, as a unique one */
	*gate |= IX_MASK;
	assert_int_equal(own_map_share(map, KEY(1), &s), 0);
	assert_int_equal(own_shared_upgrade_try(&s, &u), KIND(state)->policy ==
			OWN_EXCLUSIVE ? -EOVERFLOW : 0);
	own_unique_release(&u);
	own_shared_release(&s);
	assert_int_equal(own_map_claim(map, KEY(1), &u), 0);
	assert_int_equal(own_unique_detach(&u), -EOVERFLOW);
	assert_int_equal(item_edit(&u)->n, 1);
	*gate &= ~IX_MASK;
	own_unique_release(&u);
	/* the whole, shared */
	*gate |= OWN_I_GATE_S;
	assert_int_equal(own_map_share_all_try(map, &t), -EOVERFLOW);
	assert_null(t.object);
	*gate &= ~OWN_I_GATE_S;
	assert_int_equal(own_map_claim_all(map, &u), 0);
	own_unique_release(&u);
	finish_any();
}

/* ---- ends that are no release ---- */

static struct own_cell shared, unique, draft;
static uint32_t holds;

static void *
hold_until_cancelled(void *arg)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 }, d = { 0 };

	assert_int_equal(own_cell_share(&shared, &s), 0);
	assert_int_equal(own_cell_claim(&unique, &u), 0);
	assert_int_equal(own_cell_claim(&draft, &d), 0);
	raise_flag(&holds);
	for (;;)
		(void)pause();
	return arg;
}

static void
cancelled_thread_gives_back_what_it_holds(void **state)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	pthread_t id;

	(void)state;
	item_cell(&shared, OWN_EXCLUSIVE, 1, NULL);
	item_cell(&unique, OWN_EXCLUSIVE, 2, NULL);
	item_cell(&draft, OWN_VERSIONED, 3, NULL);
	assert_int_equal(pthread_create(&id, NULL, hold_until_cancelled,
			NULL), 0);
	await_flag(&holds);
	assert_int_equal(pthread_cancel(id), 0);
	assert_int_equal(pthread_join(id, NULL), 0);
	assert_int_equal(own_cell_claim_try(&shared, &u), 0);
	own_unique_release(&u);
	assert_int_equal(own_cell_share_try(&unique, &s), -EOWNERDEAD);
	assert_int_equal(own_cell_orphan_claim(&unique, &u), 0);
	own_unique_release(&u);
	assert_int_equal(own_cell_claim_try(&draft, &u), 0);
	own_unique_release(&u);
	own_cell_destroy(&shared);
	own_cell_destroy(&unique);
	own_cell_destroy(&draft);
}

static jmp_buf back;
static struct own_unique left;

static void
jump_out(void)
{
	assert_int_equal(own_cell_claim(&unique, &left), 0);
	longjmp(back, 1);
}

static void
handle_stays_held_after_a_longjmp(void **state)
{
	struct own_shared s = { 0 };
	char text[1024];
	int ends[2];
	ssize_t n;

	(void)state;
	item_cell(&unique, OWN_EXCLUSIVE, 1, NULL);
	if (setjmp(back) == 0)
		jump_out();
	assert_int_equal(own_cell_share_try(&unique, &s), -EDEADLK);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(own_dump(ends[1]), 0);
	n = read(ends[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	(void)close(ends[0]);
	(void)close(ends[1]);
	assert_non_null(strstr(text, "unique, item 0x"));
	assert_non_null(strstr(text, "test_faults.c:"));
	own_unique_release(&left);
	own_cell_destroy(&unique);
}

NO_CHILDREN;

static const struct CMUnitTest tests[] = {
	TEST_MAP(gate_counts_stop_at_their_limit),
	TEST(cancelled_thread_gives_back_what_it_holds),
	TEST(handle_stays_held_after_a_longjmp),
};

TESTS_MAIN("faults");
