/* SPDX-License-Identifier: MIT */
/* test_map_scan.c - own_map_scan() beside what happens to the map meanwhile */
#include "tests/map_support.h"

enum { KEYS = 3000, STOP = 7 };

/* What a scan saw: how often each number, and what its callback does. */
static struct {
	uint32_t seen[KEYS];
	uint64_t visits;
	uint64_t stop_at;		/* the visit that returns STOP */
} scan;

static int
see(const struct own_shared *entry, void *arg)
{
	const struct item *item = item_get(entry);

	assert_ptr_equal(arg, &scan);
	assert_int_equal(item->n, item->twin);
	if (map->flags & OWN_MAP_U64)
		assert_int_equal(own_map_key_u64(entry), item->n);
	assert_true(item->n < KEYS);
	scan.seen[item->n]++;
	scan.visits++;
	return scan.visits == scan.stop_at ? STOP : 0;
}

static void
scan_begin(void)
{
	memset(&scan, 0, sizeof(scan));
}

/* To its end, in steps of so many. */
static void
scan_rest(uint64_t cursor, uint64_t step)
{
	do
		assert_int_equal(own_map_scan(map, &cursor, step, see, &scan),
				0);
	while (cursor);
}

static void
all_seen(uint64_t from, uint64_t to, uint32_t times)
{
	for (uint64_t n = from; n < to; n++)
		if (scan.seen[n] != times)
			fail_msg("%u was seen %u times, not %u", (unsigned)n,
					scan.seen[n], times);
}

static void
add_all(uint64_t from, uint64_t to)
{
	for (uint64_t n = from; n < to; n++)
		add(map, KEY(n), n);
}

static void
remove_all(uint64_t from, uint64_t to)
{
	for (uint64_t n = from; n < to; n++)
		assert_int_equal(own_map_remove(map, KEY(n)), 0);
}

static void
scan_visits_each_key_once(void **state)
{
	static const uint64_t steps[] = { 1, 2, 7, 1000, UINT64_MAX };
	uint64_t cursor = 0, deadline_ns = own_deadline_ns(LONG_NS);

	begin(KIND(state));
	for (unsigned i = 0; i < 5; i++) {
		scan_begin();
		scan_rest(0, steps[i]);
		assert_int_equal(scan.visits, 0);
	}
	add_all(0, 60);
	for (unsigned i = 0; i < 5; i++) {
		scan_begin();
		scan_rest(0, steps[i]);
		all_seen(0, 60, 1);
		assert_int_equal(scan.visits, 60);
	}
	scan_begin();
	assert_int_equal(own_map_scan_try(map, &cursor, UINT64_MAX, see,
			&scan), 0);
	assert_int_equal(cursor, 0);
	assert_int_equal(own_map_scan_timed(map, &cursor, UINT64_MAX,
			deadline_ns, see, &scan), 0);
	assert_int_equal(cursor, 0);
	all_seen(0, 60, 2);
	finish(60);
}

static void
a_step_is_about_as_long_as_asked(void **state)
{
	uint64_t cursor = 0, before, calls = 0;

	begin(KIND(state));
	add_all(0, KEYS);
	scan_begin();
	do {
		before = scan.visits;
		assert_int_equal(own_map_scan(map, &cursor, 10, see, &scan),
				0);
		assert_true(scan.visits - before <= 12);
		calls++;
	} while (cursor);
	assert_true(calls >= KEYS / 12);
	all_seen(0, KEYS, 1);
	finish(KEYS);
}

static void
scan_stops_when_its_function_says_so(void **state)
{
	uint64_t cursor = 0;

	begin(KIND(state));
	add_all(0, 40);
	scan_begin();
	for (unsigned i = 1; i <= 39; i++) {
		scan.stop_at = i;
		assert_int_equal(own_map_scan(map, &cursor, UINT64_MAX, see,
				&scan), STOP);
		assert_int_equal(scan.visits, i);
		assert_int_not_equal(cursor, 0);
	}
	scan.stop_at = 0;
	scan_rest(cursor, 5);
	/* the entry at which it stopped counts as visited */
	all_seen(0, 40, 1);
	finish(40);
}

static void
cursor_holds_across_growth(void **state)
{
	struct own_map_stats before, after;
	uint64_t cursor = 0;

	begin(KIND(state));
	add_all(0, 100);
	scan_begin();
	assert_int_equal(own_map_scan(map, &cursor, 40, see, &scan), 0);
	assert_int_not_equal(cursor, 0);
	own_map_stats(map, &before);
	for (uint64_t n = 100; cursor && n < KEYS; n += 100) {
		add_all(n, n + 100);
		assert_int_equal(own_map_scan(map, &cursor, 1, see, &scan),
				0);
	}
	own_map_stats(map, &after);
	assert_true(after.migrations > before.migrations);
	if (cursor)
		scan_rest(cursor, 50);
	all_seen(0, 100, 1);
	for (uint64_t n = 100; n < KEYS; n++)
		assert_true(scan.seen[n] <= 1);
	own_map_destroy(map);
	assert_int_equal(own_barrier(), 0);
}

static void
cursor_holds_across_shrinking(void **state)
{
	struct own_map_stats before, after;
	uint64_t cursor = 0;

	begin(KIND(state));
	add_all(0, KEYS);
	own_map_stats(map, &before);
	scan_begin();
	assert_int_equal(own_map_scan(map, &cursor, KEYS / 3, see, &scan), 0);
	for (uint64_t n = 50; n < KEYS; n += 50) {
		remove_all(n, n + 50);
		if (cursor)
			assert_int_equal(own_map_scan(map, &cursor, 1, see,
					&scan), 0);
	}
	own_map_stats(map, &after);
	assert_true(after.cells < before.cells);
	if (cursor)
		scan_rest(cursor, 50);
	all_seen(0, 50, 1);
	for (uint64_t n = 50; n < KEYS; n++)
		assert_true(scan.seen[n] <= 1);
	finish(KEYS);
}

static void
replaced_and_reinserted_keys_are_seen_once(void **state)
{
	struct own_unique u = { 0 };
	uint64_t cursor = 0;

	begin(KIND(state));
	add_all(0, 60);
	scan_begin();
	do {
		assert_int_equal(own_map_scan(map, &cursor, 4, see, &scan), 0);
		/* each even key replaced, every third put again */
		for (uint64_t n = 0; n < 60; n++) {
			item_make(&u, n, &ended);
			if (n % 3 == 0) {
				assert_int_equal(own_map_remove(map, KEY(n)),
						0);
				assert_int_equal(own_map_put_new(map, KEY(n),
						&u), 0);
			} else if (n % 2 == 0) {
				assert_int_equal(own_map_put(map, KEY(n), &u),
						0);
			}
			own_unique_release(&u);
		}
	} while (cursor);
	for (uint64_t n = 0; n < 60; n++)
		if (scan.seen[n] != 1 && n % 3)
			fail_msg("%u: %u", (unsigned)n, scan.seen[n]);
		else
			assert_true(scan.seen[n] <= 1);
	own_map_destroy(map);
	assert_int_equal(own_barrier(), 0);
}

static void
removed_keys_are_not_seen(void **state)
{
	begin(KIND(state));
	add_all(0, 60);
	remove_all(20, 40);
	scan_begin();
	scan_rest(0, 3);
	all_seen(0, 20, 1);
	all_seen(20, 40, 0);
	all_seen(40, 60, 1);
	finish(60);
}

static void
entry_in_the_making_is_not_seen(void **state)
{
	struct own_unique u = { 0 };
	int made;

	begin(KIND(state));
	add_all(0, 5);
	assert_int_equal(own_map_claim_or_new(map, KEY(5), &u, &made), 0);
	*item_edit(&u) = (struct item) { 5, 5, &ended };
	scan_begin();
	scan_rest(0, 3);
	all_seen(0, 5, 1);
	all_seen(5, 6, 0);
	own_unique_commit(&u);
	scan_rest(0, 3);
	all_seen(5, 6, 1);
	finish(6);
}

/* ---- keys of one hash ---- */

static uint64_t
hash_constant(const void *data, size_t size_bytes, uint64_t seed)
{
	(void)data, (void)size_bytes, (void)seed;
	return UINT64_C(0x123456789abcdef0);
}

static uint64_t
hash_least_and_most(const void *data, size_t size_bytes, uint64_t seed)
{
	(void)seed;
	return size_bytes && *(const unsigned char *)data & 1 ? UINT64_MAX : 0;
}

static void
hashed_begin(const struct kind *kind, own_map_hash_fn hash)
{
	struct own_map_options o = {
		.size = sizeof(o), .type = &item_type, .name = "the map",
		.policy = kind->policy, .flags = kind->flags, .hash = hash,
	};

	ended = 0;
	assert_int_equal(own_map_create(&o, &map), 0);
}

static void
keys_of_one_hash_are_all_kept_and_seen(void **state)
{
	static const uint64_t steps[] = { 1, 10, UINT64_MAX };
	own_map_hash_fn hashes[] = { hash_constant, hash_least_and_most };

	for (unsigned h = 0; h < 2; h++) {
		hashed_begin(KIND(state), hashes[h]);
		add_all(0, 50);
		for (uint64_t n = 0; n < 50; n++)
			assert_int_equal(value(map, KEY(n)), n);
		assert_true(is_absent(map, KEY(50)));
		for (unsigned i = 0; i < 3; i++) {
			scan_begin();
			scan_rest(0, steps[i]);
			all_seen(0, 50, 1);
			assert_int_equal(scan.visits, 50);
		}
		remove_all(10, 40);
		scan_begin();
		scan_rest(0, 1);
		all_seen(0, 10, 1);
		all_seen(10, 40, 0);
		all_seen(40, 50, 1);
		assert_int_equal(own_map_count(map), 20);
		finish(50);
	}
}

static void
keys_of_one_hash_are_visited_in_one_call(void **state)
{
	uint64_t cursor = 0;

	hashed_begin(KIND(state), hash_constant);
	add_all(0, 50);
	for (unsigned at = 1; at <= 50; at++) {
		scan_begin();
		scan.stop_at = at;
		cursor = 0;
		while (!scan.visits) {
			int r = own_map_scan(map, &cursor, 1, see, &scan);

			assert_int_equal(r, scan.visits ? STOP : 0);
		}
		assert_int_equal(scan.visits, 50);
		scan_rest(cursor, 1);
		all_seen(0, 50, 1);
	}
	finish(50);
}

/* ---- conflicts ---- */

static void
refused_scan_goes_on_at_that_entry(void **state)
{
	struct spot spot;
	struct actor a;
	uint64_t cursor = 0, at;

	begin(KIND(state));
	add_all(0, 40);
	spot_start(&a, &spot, KEY(7));
	assert_int_equal(actor_do(&a, at_claim), 0);
	scan_begin();
	assert_int_equal(own_map_scan_try(map, &cursor, UINT64_MAX, see,
			&scan), -EBUSY);
	assert_non_null(own_conflict_last());
	at = cursor;
	assert_int_equal(scan.seen[7], 0);
	assert_int_equal(own_map_scan_timed(map, &cursor, UINT64_MAX,
			own_deadline_ns(5 * MS_NS), see, &scan), -ETIMEDOUT);
	assert_int_equal(cursor, at);
	assert_int_equal(scan.seen[7], 0);
	actor_do(&a, act_release);
	assert_int_equal(own_map_scan_try(map, &cursor, UINT64_MAX, see,
			&scan), 0);
	assert_int_equal(cursor, 0);
	all_seen(0, 40, 1);
	actor_stop(&a);
	finish(40);
}

static int
act_scan(struct actor *a)
{
	uint64_t cursor = 0;

	return own_map_scan(SPOT(a)->map, &cursor, UINT64_MAX, see, &scan);
}

static void
scan_waits_for_an_entry(void **state)
{
	struct own_unique u = { 0 };
	struct spot spot;
	struct actor a;

	begin(KIND(state));
	add_all(0, 40);
	spot_start(&a, &spot, KEY(1));
	assert_int_equal(own_map_claim(map, KEY(7), &u), 0);
	scan_begin();
	actor_begin(&a, act_scan);
	actor_await(&a);
	own_unique_release(&u);
	assert_int_equal(actor_end(&a), 0);
	all_seen(0, 40, 1);
	actor_stop(&a);
	finish(40);
}

static void
scan_waits_for_no_version(void **state)
{
	struct own_unique u = { 0 };
	uint64_t cursor = 0;

	begin(KIND(state));
	add_all(0, 40);
	assert_int_equal(own_map_claim(map, KEY(7), &u), 0);
	scan_begin();
	assert_int_equal(own_map_scan_try(map, &cursor, UINT64_MAX, see,
			&scan), 0);
	all_seen(0, 40, 1);
	own_unique_release(&u);
	finish(41);
}

static void
scan_over_own_unique_entry_is_a_deadlock(void **state)
{
	struct own_unique u = { 0 };
	uint64_t cursor = 0;

	begin(KIND(state));
	add_all(0, 40);
	assert_int_equal(own_map_claim(map, KEY(7), &u), 0);
	scan_begin();
	assert_int_equal(own_map_scan(map, &cursor, UINT64_MAX, see, &scan),
			-EDEADLK);
	assert_int_equal(own_map_scan_try(map, &cursor, UINT64_MAX, see,
			&scan), -EDEADLK);
	own_unique_release(&u);
	scan_rest(cursor, 10);
	all_seen(0, 40, 1);
	finish(40);
}

static void
scan_and_the_whole(void **state)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	struct spot spot;
	struct actor a;
	uint64_t cursor = 0;

	begin(KIND(state));
	add_all(0, 40);
	spot_start(&a, &spot, KEY(1));
	assert_int_equal(actor_do(&a, at_claim_all), 0);
	scan_begin();
	assert_int_equal(own_map_scan_try(map, &cursor, 10, see, &scan),
			-EBUSY);
	assert_int_equal(cursor, 0);
	assert_int_equal(scan.visits, 0);
	actor_do(&a, act_release);
	/* its own whole handles, and another's view, are no obstacle */
	assert_int_equal(actor_do(&a, at_share_all), 0);
	scan_rest(0, 10);
	assert_int_equal(own_map_share_all(map, &s), 0);
	scan_rest(0, 10);
	own_shared_release(&s);
	actor_do(&a, act_release);
	assert_int_equal(own_map_claim_all(map, &u), 0);
	scan_rest(0, 10);
	own_unique_release(&u);
	all_seen(0, 40, 3);
	actor_stop(&a);
	finish(40);
}

static int
act_try_to_change(struct actor *a)
{
	for (uint64_t n = 0; n < 50; n++) {
		SPOT(a)->key = key_of(SPOT(a)->map, n);
		assert_int_equal(at_remove_try(a), -EBUSY);
		assert_int_equal(at_claim_or_new_try(a), -EBUSY);
	}
	return 0;
}

static void
scan_under_a_whole_view_is_a_snapshot(void **state)
{
	struct own_shared s = { 0 };
	struct spot spot;
	struct actor a;
	uint64_t cursor = 0;

	begin(KIND(state));
	add_all(0, 40);
	spot_start(&a, &spot, KEY(1));
	assert_int_equal(own_map_share_all(map, &s), 0);
	scan_begin();
	do {
		assert_int_equal(own_map_scan(map, &cursor, 5, see, &scan), 0);
		assert_int_equal(actor_do(&a, act_try_to_change), 0);
	} while (cursor);
	all_seen(0, 40, 1);
	assert_int_equal(scan.visits, own_map_count(map));
	own_shared_release(&s);
	actor_stop(&a);
	finish(40);
}

/* ---- what a scan's function may do ---- */

static struct own_shared clones[64];
static unsigned clones_n;

static int
clone_it(const struct own_shared *entry, void *arg)
{
	(void)arg;
	return own_shared_clone(entry, &clones[clones_n++]);
}

static void
entries_may_be_cloned_by_a_scan(void **state)
{
	uint64_t cursor = 0, sum = 0;

	begin(KIND(state));
	add_all(0, 60);
	memset(clones, 0, sizeof(clones));
	clones_n = 0;
	assert_int_equal(own_map_scan(map, &cursor, UINT64_MAX, clone_it,
			NULL), 0);
	assert_int_equal(clones_n, 60);
	for (unsigned i = 0; i < clones_n; i++) {
		sum += item_get(&clones[i])->n;
		own_shared_release(&clones[i]);
	}
	assert_int_equal(sum, 59 * 60 / 2);
	finish(60);
}

/* Puts another key, looks this one up, and removes the one before. */
static int
use_the_map(const struct own_shared *entry, void *arg)
{
	static uint64_t last;
	uint64_t n = own_map_key_u64(entry);
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };

	if (n >= 1000)
		return 0;
	scan.seen[n]++;
	assert_int_equal(own_map_share_u64(map, n, &s), 0);
	own_shared_release(&s);
	item_make(&u, n, &ended);
	assert_int_equal(own_map_put_u64(map, 1000 + n, &u), 0);
	if (*(uint64_t *)arg)
		assert_int_equal(own_map_remove_u64(map, last), 0);
	last = n;
	++*(uint64_t *)arg;
	return 0;
}

static void
map_may_be_used_by_a_scan(void **state)
{
	uint64_t cursor = 0, visits = 0;

	begin(KIND(state));
	add_all(0, 200);
	scan_begin();
	do
		assert_int_equal(own_map_scan(map, &cursor, 10, use_the_map,
				&visits), 0);
	while (cursor);
	all_seen(0, 200, 1);
	assert_int_equal(visits, 200);
	assert_int_equal(own_map_count(map), 201);
	finish(400);
}

NO_CHILDREN;

static const struct CMUnitTest tests[] = {
	TEST_MAP(scan_visits_each_key_once),
	TEST_U64(a_step_is_about_as_long_as_asked),
	TEST_MAP(scan_stops_when_its_function_says_so),
	TEST_U64(cursor_holds_across_growth),
	TEST_U64(cursor_holds_across_shrinking),
	TEST_MAP(replaced_and_reinserted_keys_are_seen_once),
	TEST_MAP(removed_keys_are_not_seen),
	TEST_MAP(entry_in_the_making_is_not_seen),
	TEST_MAP(keys_of_one_hash_are_all_kept_and_seen),
	TEST_MAP(keys_of_one_hash_are_visited_in_one_call),
	TEST_EXCLUSIVE(refused_scan_goes_on_at_that_entry),
	TEST_EXCLUSIVE(scan_waits_for_an_entry),
	TEST_VERSIONED(scan_waits_for_no_version),
	TEST_EXCLUSIVE(scan_over_own_unique_entry_is_a_deadlock),
	TEST_MAP(scan_and_the_whole),
	TEST_MAP(scan_under_a_whole_view_is_a_snapshot),
	TEST_MAP(entries_may_be_cloned_by_a_scan),
	TEST_U64(map_may_be_used_by_a_scan),
};

TESTS_MAIN("map scan");
