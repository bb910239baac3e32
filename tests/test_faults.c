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

/* ---- counts of a word at their limit, by the verbs ---- */

static void
counts_stop_at_their_limit(void **state)
{
	struct own_shared s = { 0 }, t = { 0 };
	struct own_unique u = { 0 };
	struct own_cell cell;
	struct item copy;

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	/* no bias: each share is counted from here on */
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	own_unique_release(&u);
	cell.word |= OWN__COUNT_MASK;
	assert_int_equal(own_cell_share(&cell, &s), -EOVERFLOW);
	assert_int_equal(own_cell_share_try(&cell, &s), -EOVERFLOW);
	assert_int_equal(own_cell_share_timed(&cell, own_deadline_ns(LONG_NS),
			&s), -EOVERFLOW);
	assert_int_equal(item_read(&cell, &copy), -EOVERFLOW);
	assert_null(s.object);
	assert_false(own_i_slot_any(own_i_this));
	cell.word -= OWN__COUNT_ONE;
	/* one more fits, and no second one */
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(own_cell_share(&cell, &t), -EOVERFLOW);
	assert_int_equal(own_shared_clone(&s, &t), -EOVERFLOW);
	assert_null(t.object);
	own_shared_release(&s);
	assert_int_equal(own_cell_share(&cell, &t), 0);
	own_shared_release(&t);
	cell.word &= ~(uint64_t)OWN__COUNT_MASK;
	/* a downgrade cannot fail: who is alone is not counted before */
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	own_unique_downgrade(&u, &s);
	own_shared_release(&s);
	own_cell_destroy(&cell);
}

static void
entry_counts_stop_at_their_limit(void **state)
{
	struct own_shared s = { 0 }, t = { 0 };
	struct own_unique u = { 0 };
	struct item copy;
	uint64_t *word;

	begin(KIND(state));
	add(map, KEY(1), 1);
	assert_int_equal(own_map_claim(map, KEY(1), &u), 0);
	word = own_i_slot_word(own_i_slot_of(own_i_this, u.how, "test"));
	own_unique_release(&u);
	*word |= OWN__COUNT_MASK;
	assert_int_equal(own_map_share(map, KEY(1), &s), -EOVERFLOW);
	assert_int_equal(own_map_share_try(map, KEY(1), &s), -EOVERFLOW);
	assert_int_equal(own_map_read(map, KEY(1), &copy, sizeof(copy)),
			-EOVERFLOW);
	assert_null(s.object);
	assert_false(own_i_slot_any(own_i_this));
	*word -= OWN__COUNT_ONE;
	assert_int_equal(own_map_share(map, KEY(1), &s), 0);
	assert_int_equal(own_map_share(map, KEY(1), &t), -EOVERFLOW);
	own_shared_release(&s);
	*word &= ~(uint64_t)OWN__COUNT_MASK;
	assert_int_equal(value(map, KEY(1)), 1);
	finish_any();
}

static void
published_count_stops_at_its_limit(void **state)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 }, t = { 0 };
	uint64_t *word;

	(void)state;
	item_make(&u, 1, NULL);
	word = &own_i_header(u.object)->word;
	own_unique_publish(&u, &s);
	*word |= OWN__COUNT_MASK;
	assert_int_equal(own_shared_clone(&s, &t), -EOVERFLOW);
	assert_null(t.object);
	*word -= OWN__COUNT_ONE;
	assert_int_equal(own_shared_clone(&s, &t), 0);
	own_shared_release(&t);
	*word = (*word & ~(uint64_t)OWN__COUNT_MASK) | OWN__COUNT_ONE;
	own_shared_release(&s);
}

/* ---- the last slot ---- */

static struct own_cell crowd, in_place, drafts;
static struct own_map *others;
static struct own_shared held[4096], s_in, s_out;
static struct own_unique u_in, u_out;

static int
take_share(void)
{
	return own_cell_share(&in_place, &s_out);
}

static int
take_version(void)
{
	return own_cell_share(&drafts, &s_out);
}

static int
take_claim(void)
{
	return own_cell_claim(&in_place, &u_out);
}

static int
take_draft(void)
{
	return own_cell_claim_try(&drafts, &u_out);
}

static int
take_clone(void)
{
	return own_shared_clone(&held[0], &s_out);
}

static int
take_entry(void)
{
	return own_map_share(others, own__u64(1), &s_out);
}

static int
take_entry_unique(void)
{
	return own_map_claim(others, own__u64(1), &u_out);
}

static int
take_new_entry(void)
{
	int made;

	return own_map_claim_or_new(others, own__u64(2), &u_out, &made);
}

static int
take_whole(void)
{
	return own_map_share_all(others, &s_out);
}

static int
take_whole_unique(void)
{
	return own_map_claim_all(others, &u_out);
}

static int
take_read(void)
{
	struct item copy;

	return item_read(&in_place, &copy);
}

static int
take_entry_read(void)
{
	struct item copy;

	return own_map_read(others, own__u64(1), &copy, sizeof(copy));
}

static int
take_replace(void)
{
	int r;

	item_make(&u_in, 3, NULL);
	r = own_cell_replace(&in_place, &u_in);
	own_unique_release(&u_in);
	return r;
}

static int
take_put(void)
{
	int r;

	item_make(&u_in, 3, NULL);
	r = own_map_put(others, own__u64(3), &u_in);
	own_unique_release(&u_in);
	return r;
}

static int
take_remove(void)
{
	int r = own_map_remove(others, own__u64(4));

	return r == -ENOENT ? 0 : r;
}

static int (*const takes[])(void) = {
	take_share, take_version, take_claim, take_draft, take_clone,
	take_entry, take_entry_unique, take_new_entry, take_whole,
	take_whole_unique, take_read, take_entry_read, take_replace, take_put,
	take_remove,
};

static void
each_kind_needs_a_slot(void)
{
	unsigned n;

	item_cell(&crowd, OWN_EXCLUSIVE, 1, NULL);
	item_cell(&in_place, OWN_EXCLUSIVE, 1, NULL);
	item_cell(&drafts, OWN_VERSIONED, 1, NULL);
	others = map_new(&item_type, OWN_EXCLUSIVE, OWN_MAP_U64);
	add(others, own__u64(1), 1);
	for (n = 0; n < 4096; n++)
		assert_int_equal(own_cell_share(&crowd, &held[n]), 0);
	for (unsigned i = 0; i < sizeof(takes) / sizeof(takes[0]); i++) {
		if (takes[i]() != -ENOMEM || s_out.object || u_out.object)
			fail_msg("verb %u is not refused", i);
		assert_int_equal(own_held(NULL, 0), 4096);
		/* with one that is free it works, and leaves it free */
		own_shared_release(&held[4095]);
		if (takes[i]() != 0)
			fail_msg("verb %u is refused", i);
		own_shared_release(&s_out);
		own_unique_release(&u_out);
		assert_int_equal(own_cell_share(&crowd, &held[4095]), 0);
	}
	for (n = 0; n < 4096; n++)
		own_shared_release(&held[n]);
	own_cell_destroy(&crowd);
	own_cell_destroy(&in_place);
	own_cell_destroy(&drafts);
	own_map_destroy(others);
}

/* The whole, many times over by clones; an upgrade's second slot. */
static void
clone_of_a_whole_needs_a_slot(void)
{
	unsigned n;

	item_cell(&drafts, OWN_VERSIONED, 1, NULL);
	others = map_new(&item_type, OWN_EXCLUSIVE, OWN_MAP_U64);
	assert_int_equal(own_map_share_all(others, &held[0]), 0);
	assert_int_equal(own_cell_share(&drafts, &s_in), 0);
	for (n = 1; own_shared_clone(&held[0], &held[n]) == 0; n++)
		assert_true(n < 4095);
	assert_int_equal(n, 4095);
	assert_int_equal(own_shared_clone(&held[0], &held[n]), -ENOMEM);
	assert_null(held[n].object);
	assert_int_equal(own_shared_upgrade_try(&s_in, &u_out), -ENOMEM);
	assert_null(u_out.object);
	assert_int_equal(item_get(&s_in)->n, 1);
	own_shared_release(&held[1]);
	assert_int_equal(own_shared_upgrade_try(&s_in, &u_out), 0);
	own_unique_commit(&u_out);
	for (n = 0; n < 4095; n++)
		own_shared_release(&held[n]);
	assert_int_equal(own_map_claim_all_try(others, &u_out), 0);
	own_unique_release(&u_out);
	own_cell_destroy(&drafts);
	own_map_destroy(others);
}

static void
verb_past_the_last_slot_is_refused(void **state)
{
	(void)state;
	child_succeeds("each_kind_needs_a_slot", NULL);
	child_succeeds("clone_of_a_whole_needs_a_slot", NULL);
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

static const struct child children[] = {
	CHILD(clone_of_a_whole_needs_a_slot),
	CHILD(each_kind_needs_a_slot),
};

static const struct CMUnitTest tests[] = {
	TEST(counts_stop_at_their_limit),
	TEST_EXCLUSIVE(entry_counts_stop_at_their_limit),
	TEST(published_count_stops_at_its_limit),
	TEST_MAP(gate_counts_stop_at_their_limit),
	TEST(verb_past_the_last_slot_is_refused),
	TEST(cancelled_thread_gives_back_what_it_holds),
	TEST(handle_stays_held_after_a_longjmp),
};

TESTS_MAIN("faults");
