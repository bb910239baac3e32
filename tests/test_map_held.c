/* SPDX-License-Identifier: MIT */
/* test_map_held.c - handles on a map's entries, and conflicts over them */
#include <unistd.h>
#include "tests/map_support.h"

static const struct own_site taken = { "place-of-taking.c", 11 };
static const struct own_site used = { "place-of-use.c", 22 };

/* Who only waits for a while: the deadline passes, and not before. */
#define TIMES_OUT(a, verb)						\
	do {								\
		(a)->deadline_ns = own_deadline_ns(5 * MS_NS);		\
		assert_int_equal(actor_do(a, verb), -ETIMEDOUT);	\
		assert_true(own_now_ns() >= (a)->deadline_ns);		\
	} while (0)

/* What would take the unique handle is refused in all its forms. */
static void
writes_are_refused(struct actor *a)
{
	assert_int_equal(actor_do(a, at_claim_try), -EBUSY);
	TIMES_OUT(a, at_claim_timed);
	assert_int_equal(actor_do(a, at_claim_or_new_try), -EBUSY);
	TIMES_OUT(a, at_claim_or_new_timed);
	assert_null(a->u.object);
	assert_int_equal(actor_do(a, at_remove_try), -EBUSY);
	TIMES_OUT(a, at_remove_timed);
	if (map->policy == OWN_EXCLUSIVE) {
		assert_int_equal(actor_do(a, at_take_try), -EBUSY);
		TIMES_OUT(a, at_take_timed);
	}
	item_make(&a->u, 77, &ended);
	assert_int_equal(actor_do(a, at_put_try), -EBUSY);
	TIMES_OUT(a, at_put_timed);
	assert_int_equal(actor_do(a, at_replace_try), -EBUSY);
	TIMES_OUT(a, at_replace_timed);
	/* a key that is there is no reason to wait */
	assert_int_equal(actor_do(a, at_put_new), -EEXIST);
	assert_int_equal(RAW(&a->u)->n, 77);
	actor_do(a, act_release);
}

/* ---- claim, commit, release, downgrade ---- */

static void
claim_gives_the_entry_to_change(void **state)
{
	uint64_t deadline_ns = own_deadline_ns(LONG_NS);
	struct own_unique u = { 0 };
	int versioned = KIND(state)->policy == OWN_VERSIONED;

	begin(KIND(state));
	add(map, KEY(1), 1);
	for (unsigned i = 2; i < 8; i++) {
		assert_int_equal(i % 3 == 0 ? own_map_claim(map, KEY(1), &u)
			: i % 3 == 1 ? own_map_claim_try(map, KEY(1), &u)
			: own_map_claim_timed(map, KEY(1), deadline_ns, &u),
			0);
		assert_int_equal(item_edit(&u)->n, i - 1);
		if (KIND(state)->flags)
			assert_int_equal(own_map_key_u64(&u), 1);
		else
			assert_memory_equal(own_map_key(&u).data, "key 1", 5);
		item_set(&u, i);
		if (versioned)
			assert_int_equal(value(map, KEY(1)), i - 1);
		own_unique_commit(&u);
		assert_int_equal(value(map, KEY(1)), i);
	}
	assert_int_equal(own_map_count(map), 1);
	finish(versioned ? 7 : 1);
}

static void
release_keeps_a_change_in_place_and_drops_a_draft(void **state)
{
	struct own_unique u = { 0 };
	int versioned = KIND(state)->policy == OWN_VERSIONED;

	begin(KIND(state));
	add(map, KEY(1), 1);
	assert_int_equal(own_map_claim(map, KEY(1), &u), 0);
	item_set(&u, 2);
	own_unique_release(&u);
	assert_int_equal(value(map, KEY(1)), versioned ? 1 : 2);
	assert_int_equal(ended, versioned ? 1 : 0);
	finish(versioned ? 2 : 1);
}

static void
remove_held_takes_out_what_was_seen(void **state)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	struct spot spot;
	struct actor a;
	int made = 0, versioned = KIND(state)->policy == OWN_VERSIONED;

	begin(KIND(state));
	own_map_remove_held(&u);
	add(map, KEY(1), 1);
	spot_start(&a, &spot, KEY(1));
	if (versioned)
		assert_int_equal(own_map_share(map, KEY(1), &s), 0);
	assert_int_equal(own_map_claim(map, KEY(1), &u), 0);
	assert_int_equal(actor_do(&a, at_remove_try), -EBUSY);
	own_map_remove_held(&u);
	assert_null(u.object);
	assert_true(is_absent(map, KEY(1)));
	assert_int_equal(own_map_count(map), 0);
	/* who reads a version goes on with it */
	if (versioned)
		assert_int_equal(item_get(&s)->n, 1);
	own_shared_release(&s);
	assert_int_equal(own_map_claim_or_new(map, KEY(1), &u, &made), 0);
	assert_int_equal(made, 1);
	*item_edit(&u) = (struct item) { 2, 2, &ended };
	own_map_remove_held(&u);
	assert_true(is_absent(map, KEY(1)));
	assert_int_equal(actor_do(&a, at_claim_or_new), 0);
	assert_int_equal(spot.made, 1);
	actor_do(&a, act_release);
	actor_stop(&a);
	finish_any();
}

static void
remove_held_behind_a_gate(void **state)
{
	struct own_unique u = { 0 }, whole = { 0 };

	begin(KIND(state));
	add(map, KEY(1), 1);
	assert_int_equal(own_map_claim_all(map, &whole), 0);
	assert_int_equal(own_map_claim(map, KEY(1), &u), 0);
	own_map_remove_held(&u);
	own_unique_release(&whole);
	assert_true(is_absent(map, KEY(1)));
	assert_int_equal(own_map_claim_all_try(map, &whole), 0);
	own_unique_release(&whole);
	finish_any();
}

static void
downgrade_goes_on_reading_what_was_written(void **state)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	struct spot spot;
	struct actor a;
	int versioned = KIND(state)->policy == OWN_VERSIONED;

	begin(KIND(state));
	add(map, KEY(1), 1);
	spot_start(&a, &spot, KEY(1));
	assert_int_equal(own_map_claim(map, KEY(1), &u), 0);
	item_set(&u, 2);
	own_unique_downgrade(&u, &s);
	assert_null(u.object);
	assert_int_equal(item_get(&s)->n, 2);
	assert_int_equal(actor_do(&a, at_share_try), 0);
	assert_int_equal(RAW(&a.s)->n, 2);
	actor_do(&a, act_release);
	assert_int_equal(actor_do(&a, at_claim_try), versioned ? 0 : -EBUSY);
	actor_do(&a, act_release);
	own_shared_release(&s);
	assert_int_equal(actor_do(&a, at_claim_try), 0);
	actor_do(&a, act_release);
	actor_stop(&a);
	finish(versioned ? 4 : 1);
}

/* ---- type->copy ---- */

static int copy_result;

static int
copy_fails(void *to, const void *from, size_t size_bytes)
{
	if (copy_result)
		return copy_result;
	memcpy(to, from, size_bytes);
	return 0;
}

static void
claim_returns_what_copy_does(void **state)
{
	static const struct own_type type = {
		.name = "item", .size = sizeof(struct item),
		.copy = copy_fails, .fini = item_fini,
	};
	static const int errors[] = { -ENOMEM, -EIO, -EAGAIN, -ENOENT };
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	int made = 5;

	begin(KIND(state));
	own_map_destroy(map);
	map = map_new(&type, KIND(state)->policy, KIND(state)->flags);
	assert_int_equal(own_map_new(map, KEY(1), &u), 0);
	*(struct item *)own_unique_edit(&u) = (struct item) { 1, 1, &ended };
	assert_int_equal(own_map_put(map, KEY(1), &u), 0);
	for (unsigned i = 0; i < 4; i++) {
		copy_result = errors[i];
		assert_int_equal(own_map_claim(map, KEY(1), &u), errors[i]);
		assert_int_equal(own_map_claim_try(map, KEY(1), &u),
				errors[i]);
		assert_int_equal(own_map_claim_or_new(map, KEY(1), &u, &made),
				errors[i]);
		assert_int_equal(made, 5);
		assert_int_equal(own_map_share(map, KEY(1), &s), 0);
		assert_int_equal(own_shared_upgrade_try(&s, &u), errors[i]);
		assert_non_null(s.object);
		own_shared_release(&s);
		assert_null(u.object);
	}
	assert_int_equal(ended, 0);
	copy_result = 0;
	assert_int_equal(own_map_claim(map, KEY(1), &u), 0);
	own_unique_commit(&u);
	finish(2);
}

/* ---- claim_or_new ---- */

static void
claim_or_new_makes_an_entry_on_commit(void **state)
{
	uint64_t deadline_ns = own_deadline_ns(LONG_NS);
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	int made = 5;

	begin(KIND(state));
	for (unsigned i = 1; i < 5; i++) {
		assert_int_equal(i == 1 ? own_map_claim_or_new(map, KEY(i),
				&u, &made)
			: i == 2 ? own_map_claim_or_new_try(map, KEY(i), &u,
				&made)
			: own_map_claim_or_new_timed(map, KEY(i), deadline_ns,
				&u, &made), 0);
		assert_int_equal(made, 1);
		assert_int_equal(item_edit(&u)->n | item_edit(&u)->twin, 0);
		*item_edit(&u) = (struct item) { i, i, &ended };
		if (i < 4) {
			own_unique_commit(&u);
			continue;
		}
		own_unique_downgrade(&u, &s);
		assert_int_equal(item_get(&s)->n, i);
		if (KIND(state)->flags)
			assert_int_equal(own_map_key_u64(&s), i);
		else
			assert_memory_equal(own_map_key(&s).data, "key 4", 5);
		assert_int_equal(value(map, KEY(i)), i);
		own_shared_release(&s);
	}
	assert_int_equal(own_map_count(map), 4);
	for (unsigned i = 1; i < 5; i++)
		assert_int_equal(value(map, KEY(i)), i);
	assert_int_equal(own_map_claim_or_new(map, KEY(2), &u, &made), 0);
	assert_int_equal(made, 0);
	assert_int_equal(item_edit(&u)->n, 2);
	item_set(&u, 9);
	own_unique_commit(&u);
	assert_int_equal(value(map, KEY(2)), 9);
	assert_int_equal(own_map_count(map), 4);
	finish(KIND(state)->policy == OWN_VERSIONED ? 5 : 4);
}

static void
entry_in_the_making_is_absent_for_others(void **state)
{
	struct own_unique u = { 0 };
	struct spot spot;
	struct actor a;
	int made;

	begin(KIND(state));
	spot_start(&a, &spot, KEY(1));
	assert_int_equal(own_map_claim_or_new(map, KEY(1), &u, &made), 0);
	*item_edit(&u) = (struct item) { 1, 1, &ended };
	assert_int_equal(actor_do(&a, at_share), -ENOENT);
	assert_int_equal(actor_do(&a, at_claim), -ENOENT);
	assert_int_equal(actor_do(&a, at_remove), -ENOENT);
	assert_int_equal(actor_do(&a, at_take), -ENOENT);
	assert_int_equal(actor_do(&a, at_read), -ENOENT);
	/* who would make it as well waits for what becomes of it */
	assert_int_equal(actor_do(&a, at_claim_or_new_try), -EBUSY);
	TIMES_OUT(&a, at_claim_or_new_timed);
	item_make(&a.u, 2, &ended);
	assert_int_equal(actor_do(&a, at_replace), -ENOENT);
	assert_int_equal(actor_do(&a, at_put_try), -EBUSY);
	TIMES_OUT(&a, at_put_timed);
	assert_int_equal(actor_do(&a, at_put_new_try), -EBUSY);
	TIMES_OUT(&a, at_put_new_timed);
	actor_begin(&a, at_put_new);
	actor_await(&a);
	own_unique_commit(&u);
	assert_int_equal(actor_end(&a), -EEXIST);
	assert_int_equal(value(map, KEY(1)), 1);
	actor_do(&a, act_release);
	actor_stop(&a);
	finish(2);
}

static void
entry_in_the_making_is_undone_by_release(void **state)
{
	struct own_unique u = { 0 };
	struct spot spot;
	struct actor a;
	int made;

	begin(KIND(state));
	spot_start(&a, &spot, KEY(1));
	assert_int_equal(own_map_claim_or_new(map, KEY(1), &u, &made), 0);
	*item_edit(&u) = (struct item) { 1, 1, &ended };
	actor_begin(&a, at_claim_or_new);
	actor_await(&a);
	own_unique_release(&u);
	assert_int_equal(actor_end(&a), 0);
	assert_int_equal(spot.made, 1);
	assert_int_equal(RAW(&a.u)->n, 0);
	actor_do(&a, act_release);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(ended, 1);
	assert_int_equal(own_map_count(map), 0);
	assert_true(is_absent(map, KEY(1)));
	/* a put that waited goes in */
	assert_int_equal(own_map_claim_or_new(map, KEY(1), &u, &made), 0);
	item_make(&a.u, 3, &ended);
	actor_begin(&a, at_put);
	actor_await(&a);
	own_unique_release(&u);
	assert_int_equal(actor_end(&a), 0);
	assert_int_equal(value(map, KEY(1)), 3);
	actor_stop(&a);
	finish(2);
}

static void
entry_in_the_making_is_undone_by_thread_end(void **state)
{
	struct own_unique u = { 0 };
	struct spot spot;
	struct actor a;
	int made;

	begin(KIND(state));
	spot_start(&a, &spot, KEY(1));
	assert_int_equal(actor_do(&a, at_claim_or_new), 0);
	assert_int_equal(own_map_claim_or_new_try(map, KEY(1), &u, &made),
			-EBUSY);
	actor_stop(&a);
	assert_true(is_absent(map, KEY(1)));
	assert_int_equal(own_map_count(map), 0);
	assert_int_equal(own_map_claim_or_new_try(map, KEY(1), &u, &made), 0);
	assert_int_equal(made, 1);
	own_unique_release(&u);
	finish(0);
}

/* ---- conflicts with another thread ---- */

static void
unique_entry_bars_others(void **state)
{
	struct own_unique u = { 0 };
	struct spot spot, far;
	struct actor a, b;
	int versioned = KIND(state)->policy == OWN_VERSIONED;

	begin(KIND(state));
	add(map, KEY(1), 1);
	add(map, KEY(2), 2);
	spot_start(&a, &spot, KEY(1));
	spot_start(&b, &far, KEY(2));
	assert_int_equal(own_map_claim(map, KEY(1), &u), 0);
	writes_are_refused(&a);
	if (versioned) {
		assert_int_equal(actor_do(&a, at_share), 0);
		assert_int_equal(RAW(&a.s)->n, 1);
		actor_do(&a, act_release);
	} else {
		assert_int_equal(actor_do(&a, at_share_try), -EBUSY);
		TIMES_OUT(&a, at_share_timed);
		actor_begin(&a, at_share);
		actor_await(&a);
	}
	/* another entry is free */
	assert_int_equal(actor_do(&b, at_claim), 0);
	actor_do(&b, act_release);
	assert_int_equal(actor_do(&b, at_remove_try), 0);
	item_set(&u, 5);
	own_unique_commit(&u);
	if (!versioned) {
		assert_int_equal(actor_end(&a), 0);
		assert_int_equal(RAW(&a.s)->n, 5);
		actor_do(&a, act_release);
	}
	actor_stop(&a);
	actor_stop(&b);
	/* two entries, one put refused; drafts: ours, b's */
	finish(versioned ? 5 : 3);
}

static void
shared_entry_bars_writers_in_place(void **state)
{
	struct own_shared s = { 0 }, more = { 0 };
	struct spot spot;
	struct actor a;

	begin(KIND(state));
	add(map, KEY(1), 1);
	spot_start(&a, &spot, KEY(1));
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(own_map_share(map, KEY(1), &s), 0);
		writes_are_refused(&a);
		assert_int_equal(actor_do(&a, at_share_try), 0);
		actor_do(&a, act_release);
		actor_begin(&a, at_claim);
		actor_await(&a);
		/* a holder may share again past who waits */
		assert_int_equal(own_shared_clone(&s, &more), 0);
		own_shared_release(&s);
		assert_int_equal(item_get(&more)->n, 1);
		own_shared_release(&more);
		assert_int_equal(actor_end(&a), 0);
		actor_do(&a, act_release);
	}
	actor_stop(&a);
	finish(3);
}

static void
waiter_for_a_removed_entry_looks_again(void **state)
{
	struct own_unique u = { 0 };
	struct spot spot;
	struct actor a;

	begin(KIND(state));
	add(map, KEY(1), 1);
	spot_start(&a, &spot, KEY(1));
	assert_int_equal(own_map_claim(map, KEY(1), &u), 0);
	actor_begin(&a, at_claim);
	actor_await(&a);
	own_unique_release(&u);
	assert_int_equal(actor_end(&a), 0);
	/* now the main thread waits for the actor's, and it is removed */
	actor_do(&a, act_release);
	assert_int_equal(own_map_claim(map, KEY(1), &u), 0);
	actor_begin(&a, at_remove);
	actor_await(&a);
	own_unique_commit(&u);
	assert_int_equal(actor_end(&a), 0);
	assert_int_equal(own_map_claim(map, KEY(1), &u), -ENOENT);
	actor_stop(&a);
	own_map_destroy(map);
	assert_int_equal(own_barrier(), 0);
}

/* Both wait for one entry: one removes it, the other finds no key. */
static void
two_waiters_remove_once(void **state)
{
	struct own_unique u = { 0 };
	struct spot spots[2];
	struct actor a[2];

	begin(KIND(state));
	add(map, KEY(1), 1);
	assert_int_equal(own_map_claim(map, KEY(1), &u), 0);
	for (unsigned i = 0; i < 2; i++) {
		spot_start(&a[i], &spots[i], KEY(1));
		actor_begin(&a[i], i ? at_remove : at_claim_or_new);
		actor_await(&a[i]);
	}
	own_unique_release(&u);
	assert_int_equal(actor_end(&a[0]), 0);
	actor_do(&a[0], act_release);
	assert_int_equal(actor_end(&a[1]), 0);
	/* whichever came first */
	assert_true(is_absent(map, KEY(1)));
	assert_int_equal(own_map_count(map), 0);
	actor_stop(&a[0]);
	actor_stop(&a[1]);
	own_map_destroy(map);
	assert_int_equal(own_barrier(), 0);
}

/* ---- conflicts with oneself ---- */

static void
writes_deadlock(struct own_bytes key)
{
	uint64_t deadline_ns = own_deadline_ns(LONG_NS);
	struct own_unique u = { 0 }, v = { 0 };
	int made = 5;

	assert_int_equal(own_map_claim(map, key, &v), -EDEADLK);
	assert_int_equal(own_map_claim_try(map, key, &v), -EDEADLK);
	assert_int_equal(own_map_claim_timed(map, key, deadline_ns, &v),
			-EDEADLK);
	assert_int_equal(own_map_claim_or_new(map, key, &v, &made), -EDEADLK);
	assert_int_equal(own_map_claim_or_new_try(map, key, &v, &made),
			-EDEADLK);
	assert_int_equal(own_map_claim_or_new_timed(map, key, deadline_ns, &v,
			&made), -EDEADLK);
	assert_int_equal(made, 5);
	assert_int_equal(own_map_remove(map, key), -EDEADLK);
	assert_int_equal(own_map_remove_try(map, key), -EDEADLK);
	assert_int_equal(own_map_remove_timed(map, key, deadline_ns),
			-EDEADLK);
	assert_int_equal(own_map_take(map, key, &v), -EDEADLK);
	if (map->policy == OWN_EXCLUSIVE) {
		assert_int_equal(own_map_take_try(map, key, &v), -EDEADLK);
		assert_int_equal(own_map_take_timed(map, key, deadline_ns,
				&v), -EDEADLK);
	}
	assert_null(v.object);
	item_make(&u, 77, NULL);
	assert_int_equal(own_map_put(map, key, &u), -EDEADLK);
	assert_int_equal(own_map_put_try(map, key, &u), -EDEADLK);
	assert_int_equal(own_map_put_timed(map, key, deadline_ns, &u),
			-EDEADLK);
	assert_int_equal(own_map_replace(map, key, &u), -EDEADLK);
	assert_int_equal(own_map_replace_try(map, key, &u), -EDEADLK);
	assert_int_equal(own_map_replace_timed(map, key, deadline_ns, &u),
			-EDEADLK);
	assert_int_equal(item_edit(&u)->n, 77);
	own_unique_release(&u);
}

static void
second_handle_beside_own_unique_is_a_deadlock(void **state)
{
	uint64_t deadline_ns = own_deadline_ns(LONG_NS);
	struct own_unique u = { 0 }, v = { 0 };
	struct own_shared s = { 0 };
	struct item copy;
	int versioned = KIND(state)->policy == OWN_VERSIONED;

	begin(KIND(state));
	add(map, KEY(1), 1);
	add(map, KEY(2), 2);
	assert_int_equal(own_map_claim(map, KEY(1), &u), 0);
	writes_deadlock(KEY(1));
	if (versioned) {
		assert_int_equal(own_map_share(map, KEY(1), &s), 0);
		assert_int_equal(item_get(&s)->n, 1);
		own_shared_release(&s);
	} else {
		assert_int_equal(own_map_share(map, KEY(1), &s), -EDEADLK);
		assert_int_equal(own_map_share_try(map, KEY(1), &s),
				-EDEADLK);
		assert_int_equal(own_map_share_timed(map, KEY(1), deadline_ns,
				&s), -EDEADLK);
		assert_int_equal(own_map_read(map, KEY(1), &copy,
				sizeof(copy)), -EDEADLK);
		assert_null(s.object);
	}
	/* other entries are no conflict */
	assert_int_equal(own_map_claim(map, KEY(2), &v), 0);
	own_unique_release(&v);
	assert_int_equal(own_map_share(map, KEY(2), &s), 0);
	own_shared_release(&s);
	own_unique_release(&u);
	finish(versioned ? 4 : 2);
}

static void
write_beside_own_shared_is_a_deadlock(void **state)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };

	begin(KIND(state));
	add(map, KEY(1), 1);
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(own_map_share(map, KEY(1), &s), 0);
		writes_deadlock(KEY(1));
		assert_int_equal(item_get(&s)->n, 1);
		own_shared_release(&s);
		/* the second share is counted, since the claim unbiased it */
		assert_int_equal(own_map_claim(map, KEY(1), &u), 0);
		own_unique_release(&u);
	}
	finish(1);
}

static void
own_entry_in_the_making_is_a_deadlock(void **state)
{
	struct own_unique u = { 0 }, v = { 0 }, w = { 0 };
	int made;

	begin(KIND(state));
	assert_int_equal(own_map_claim_or_new(map, KEY(1), &u, &made), 0);
	assert_int_equal(own_map_claim_or_new(map, KEY(1), &v, &made),
			-EDEADLK);
	assert_int_equal(own_map_claim_or_new_try(map, KEY(1), &v, &made),
			-EDEADLK);
	item_make(&w, 1, NULL);
	assert_int_equal(own_map_put(map, KEY(1), &w), -EDEADLK);
	assert_int_equal(own_map_put_new_try(map, KEY(1), &w), -EDEADLK);
	own_unique_release(&w);
	own_unique_release(&u);
	finish(0);
}

/* ---- clone, upgrade, detach ---- */

static void
upgrade_succeeds_for_the_only_reader(void **state)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };

	begin(KIND(state));
	add(map, KEY(1), 1);
	for (unsigned i = 2; i < 4; i++) {
		assert_int_equal(own_map_share(map, KEY(1), &s), 0);
		assert_int_equal(own_shared_upgrade_try(&s, &u), 0);
		assert_null(s.object);
		assert_int_equal(item_edit(&u)->n, i - 1);
		item_set(&u, i);
		own_unique_commit(&u);
		assert_int_equal(value(map, KEY(1)), i);
	}
	finish(KIND(state)->policy == OWN_VERSIONED ? 3 : 1);
}

static void
upgrade_is_refused_beside_others(void **state)
{
	struct own_shared s = { 0 }, more = { 0 };
	struct own_unique u = { 0 };
	struct spot spot;
	struct actor a;
	int versioned = KIND(state)->policy == OWN_VERSIONED;

	begin(KIND(state));
	add(map, KEY(1), 1);
	spot_start(&a, &spot, KEY(1));
	assert_int_equal(own_map_share(map, KEY(1), &s), 0);
	if (versioned) {
		/* a writer; then a version that is no longer current */
		assert_int_equal(actor_do(&a, at_claim), 0);
		assert_int_equal(own_shared_upgrade_try(&s, &u), -EBUSY);
		actor_do(&a, act_commit);
		assert_int_equal(own_shared_upgrade_try(&s, &u), -EAGAIN);
		own_shared_release(&s);
		assert_int_equal(own_map_share(map, KEY(1), &s), 0);
		assert_int_equal(actor_do(&a, at_remove), 0);
		assert_int_equal(own_shared_upgrade_try(&s, &u), -EAGAIN);
	} else {
		assert_int_equal(actor_do(&a, at_share), 0);
		assert_int_equal(own_shared_upgrade_try(&s, &u), -EBUSY);
		actor_do(&a, act_release);
		assert_int_equal(own_shared_clone(&s, &more), 0);
		assert_int_equal(own_shared_upgrade_try(&s, &u), -EDEADLK);
		own_shared_release(&more);
		assert_int_equal(own_shared_upgrade_try(&s, &u), 0);
		own_unique_release(&u);
	}
	assert_null(u.object);
	own_shared_release(&s);
	actor_stop(&a);
	finish(versioned ? 2 : 1);
}

static void
clone_is_one_more_handle(void **state)
{
	struct own_shared s[40] = { { 0 } };
	struct own_unique u = { 0 };
	struct spot spot;
	struct actor a;
	int versioned = KIND(state)->policy == OWN_VERSIONED;

	begin(KIND(state));
	add(map, KEY(1), 1);
	spot_start(&a, &spot, KEY(1));
	assert_int_equal(own_map_share(map, KEY(1), &s[0]), 0);
	for (unsigned i = 1; i < 40; i++)
		assert_int_equal(own_shared_clone(&s[i - 1], &s[i]), 0);
	if (versioned) {
		/* also of a version that is no longer current */
		item_make(&u, 2, &ended);
		assert_int_equal(own_map_put(map, KEY(1), &u), 0);
		own_shared_release(&s[1]);
		assert_int_equal(own_shared_clone(&s[0], &s[1]), 0);
	}
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(actor_do(&a, at_claim_try),
				versioned ? 0 : -EBUSY);
		actor_do(&a, act_release);
		assert_int_equal(item_get(&s[i])->n, 1);
		if (KIND(state)->flags)
			assert_int_equal(own_map_key_u64(&s[i]), 1);
		own_shared_release(&s[i]);
	}
	assert_int_equal(actor_do(&a, at_claim_try), 0);
	actor_do(&a, act_release);
	actor_stop(&a);
	finish(versioned ? 43 : 1);
}

/* Takes over the handle that a->arg's owner detached. */
static int
act_release_more(struct actor *a)
{
	own_shared_release(&a->more);
	return 0;
}

static void
detached_handle_is_released_by_another_thread(void **state)
{
	struct own_shared s = { 0 }, more = { 0 };
	struct own_unique u = { 0 };
	struct spot spot;
	struct actor a;
	int versioned = KIND(state)->policy == OWN_VERSIONED;

	begin(KIND(state));
	add(map, KEY(1), 1);
	spot_start(&a, &spot, KEY(1));
	assert_int_equal(own_map_share(map, KEY(1), &s), 0);
	assert_int_equal(own_shared_detach(&s), 0);
	/* once more is no error */
	assert_int_equal(own_shared_detach(&s), 0);
	assert_int_equal(own_shared_upgrade_try(&s, &u), -EINVAL);
	assert_int_equal(own_shared_clone(&s, &more), 0);
	own_shared_move(&a.more, &s);
	assert_int_equal(RAW(&a.more)->n, 1);
	/* an entry in place bars writers and the whole; a version neither */
	assert_int_equal(own_map_claim_try(map, KEY(1), &u),
			versioned ? 0 : -EBUSY);
	own_unique_release(&u);
	assert_int_equal(own_map_claim_all_try(map, &u),
			versioned ? 0 : -EBUSY);
	own_unique_release(&u);
	assert_int_equal(actor_do(&a, act_release_more), 0);
	assert_int_equal(own_map_claim_all_try(map, &u),
			versioned ? 0 : -EBUSY);
	own_unique_release(&u);
	assert_int_equal(item_get(&more)->n, 1);
	own_shared_release(&more);
	assert_int_equal(own_map_claim_all_try(map, &u), 0);
	own_unique_release(&u);
	assert_int_equal(own_map_claim_try(map, KEY(1), &u), 0);
	own_unique_release(&u);
	actor_stop(&a);
	finish(versioned ? 3 : 1);
}

static void
claim_all_waits_for_a_detached_entry(void **state)
{
	struct own_shared s = { 0 };
	struct spot spot;
	struct actor a;

	begin(KIND(state));
	add(map, KEY(1), 1);
	spot_start(&a, &spot, KEY(1));
	assert_int_equal(own_map_share(map, KEY(1), &s), 0);
	assert_int_equal(own_shared_detach(&s), 0);
	TIMES_OUT(&a, at_claim_all_timed);
	actor_begin(&a, at_claim_all);
	actor_await(&a);
	own_shared_release(&s);
	assert_int_equal(actor_end(&a), 0);
	actor_do(&a, act_release);
	actor_stop(&a);
	finish(1);
}

static void
detached_version_outlives_its_entry(void **state)
{
	struct own_shared s = { 0 };

	begin(KIND(state));
	add(map, KEY(1), 1);
	assert_int_equal(own_map_share(map, KEY(1), &s), 0);
	assert_int_equal(own_shared_detach(&s), 0);
	assert_int_equal(own_map_remove(map, KEY(1)), 0);
	add(map, KEY(1), 2);
	assert_int_equal(own_barrier(), 1);
	assert_int_equal(item_get(&s)->n, 1);
	assert_int_equal(value(map, KEY(1)), 2);
	own_shared_release(&s);
	finish(2);
}

/* ---- orphans ---- */

static void
all_verbs_tell_of_the_orphan(void)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	struct item copy;
	int made = 5;

	assert_int_equal(own_map_share(map, KEY(1), &s), -EOWNERDEAD);
	assert_int_equal(own_map_share_try(map, KEY(1), &s), -EOWNERDEAD);
	assert_int_equal(own_map_claim(map, KEY(1), &u), -EOWNERDEAD);
	assert_int_equal(own_map_claim_try(map, KEY(1), &u), -EOWNERDEAD);
	assert_int_equal(own_map_claim_or_new(map, KEY(1), &u, &made),
			-EOWNERDEAD);
	assert_int_equal(own_map_remove(map, KEY(1)), -EOWNERDEAD);
	assert_int_equal(own_map_take(map, KEY(1), &u), -EOWNERDEAD);
	assert_int_equal(own_map_read(map, KEY(1), &copy, sizeof(copy)),
			-EOWNERDEAD);
	item_make(&u, 9, NULL);
	assert_int_equal(own_map_put(map, KEY(1), &u), -EOWNERDEAD);
	assert_int_equal(own_map_replace(map, KEY(1), &u), -EOWNERDEAD);
	assert_int_equal(own_map_put_new(map, KEY(1), &u), -EEXIST);
	own_unique_release(&u);
}

static void
thread_end_with_unique_leaves_an_orphan(void **state)
{
	struct own_unique u = { 0 };
	struct spot spot;
	struct actor a;

	begin(KIND(state));
	add(map, KEY(1), 1);
	add(map, KEY(2), 2);
	assert_int_equal(own_map_orphan_claim(map, KEY(1), &u), -EINVAL);
	assert_int_equal(own_map_orphan_claim(map, KEY(3), &u), -ENOENT);
	spot_start(&a, &spot, KEY(1));
	assert_int_equal(actor_do(&a, at_claim), 0);
	assert_int_equal(own_map_orphan_claim(map, KEY(1), &u), -EINVAL);
	actor_set(&a, 5);
	actor_stop(&a);
	all_verbs_tell_of_the_orphan();
	assert_int_equal(value(map, KEY(2)), 2);
	spot_start(&a, &spot, KEY(1));
	assert_int_equal(actor_do(&a, at_orphan_claim), 0);
	assert_int_equal(RAW(&a.u)->n, 5);
	assert_int_equal(own_map_orphan_claim(map, KEY(1), &u), -EBUSY);
	assert_null(u.object);
	actor_set(&a, 6);
	actor_do(&a, act_release);
	actor_stop(&a);
	assert_int_equal(value(map, KEY(1)), 6);
	assert_int_equal(own_map_orphan_claim(map, KEY(1), &u), -EINVAL);
	finish(2);
}

static void
waiters_hear_of_an_orphan(void **state)
{
	struct spot spots[3];
	struct actor a[3];

	begin(KIND(state));
	add(map, KEY(1), 1);
	for (unsigned i = 0; i < 3; i++)
		spot_start(&a[i], &spots[i], KEY(1));
	assert_int_equal(actor_do(&a[0], at_claim), 0);
	actor_begin(&a[1], at_claim);
	actor_begin(&a[2], at_share);
	actor_await(&a[1]);
	actor_await(&a[2]);
	actor_stop(&a[0]);
	assert_int_equal(actor_end(&a[1]), -EOWNERDEAD);
	assert_int_equal(actor_end(&a[2]), -EOWNERDEAD);
	actor_stop(&a[1]);
	actor_stop(&a[2]);
	finish(1);
}

static void
versioned_map_has_no_orphans(void **state)
{
	struct own_unique u = { 0 };
	struct spot spot;
	struct actor a;

	begin(KIND(state));
	add(map, KEY(1), 1);
	assert_int_equal(own_map_orphan_claim(map, KEY(1), &u), -EINVAL);
	spot_start(&a, &spot, KEY(1));
	assert_int_equal(actor_do(&a, at_claim), 0);
	actor_set(&a, 5);
	actor_stop(&a);
	assert_int_equal(value(map, KEY(1)), 1);
	assert_int_equal(own_map_claim_try(map, KEY(1), &u), 0);
	own_unique_release(&u);
	finish(3);
}

static void
thread_end_gives_shared_handles_back(void **state)
{
	struct own_unique u = { 0 };
	struct spot spot;
	struct actor a;

	begin(KIND(state));
	add(map, KEY(1), 1);
	for (unsigned i = 0; i < 2; i++) {
		spot_start(&a, &spot, KEY(1));
		assert_int_equal(actor_do(&a, i ? at_share_all : at_share), 0);
		assert_int_equal(own_map_claim_all_try(map, &u), -EBUSY);
		actor_stop(&a);
		assert_int_equal(own_map_claim_all_try(map, &u), 0);
		own_unique_release(&u);
	}
	finish(1);
}

/* ---- reports ---- */

static void
says(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no \"%s\" in: %s", part, text);
}

static void
refusal_names_map_type_key_and_both_places(void **state)
{
	static const int errors[] = { -EBUSY, -ETIMEDOUT };
	struct own_unique u = { 0 }, v = { 0 };
	struct spot spot;
	struct actor a;
	int (*verbs[])(struct actor *) = { at_claim_try, at_claim_timed };

	begin(KIND(state));
	add(map, KEY(1), 1);
	assert_int_equal(own_map_claim_at(map, KEY(1), &u, &taken), 0);
	spot_start(&a, &spot, KEY(1));
	a.site = &used;
	for (unsigned i = 0; i < 2; i++) {
		a.deadline_ns = own_deadline_ns(5 * MS_NS);
		assert_int_equal(actor_do(&a, verbs[i]), errors[i]);
		says(spot.text, i ? "-ETIMEDOUT: " : "-EBUSY: ");
		says(spot.text, "held by ");
		says(spot.text, ", unique, item ");
		says(spot.text, KIND(state)->flags ? " of key 1 in the map"
				: " of key key 1 in the map");
		says(spot.text, "at place-of-use.c:22");
		says(spot.text, "at place-of-taking.c:11");
	}
	actor_stop(&a);
	assert_int_equal(own_map_claim_at(map, KEY(1), &v, &used), -EDEADLK);
	assert_non_null(own_conflict_last());
	assert_int_equal(own_conflict_last()->error, -EDEADLK);
	assert_string_equal(own_conflict_last()->parties[0].container,
			"the map");
	own_unique_release(&u);
	own_map_destroy(map);
	assert_int_equal(own_barrier(), 0);
}

static void
dump_shows_entries(void **state)
{
	struct own_unique u = { 0 }, v = { 0 };
	struct own_shared s = { 0 };
	char text[8192];
	ssize_t n;
	int ends[2], made;

	begin(KIND(state));
	add(map, KEY(1), 1);
	add(map, KEY(2), 2);
	assert_int_equal(own_map_share_at(map, KEY(1), &s, &taken), 0);
	assert_int_equal(own_map_claim_at(map, KEY(2), &u, &used), 0);
	assert_int_equal(own_map_claim_or_new(map, KEY(3), &v, &made), 0);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(own_dump(ends[1]), 0);
	close(ends[1]);
	n = read(ends[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	close(ends[0]);
	if (KIND(state)->flags) {
		says(text, "of key 1 in the map at place-of-taking.c:11");
		says(text, "of key 2 in the map at place-of-use.c:22");
		says(text, "of key 3 in the map");
	} else {
		says(text, "of key key 1 in the map at place-of-taking.c:11");
		says(text, "of key key 2 in the map at place-of-use.c:22");
		says(text, "of key key 3 in the map");
	}
	says(text, "unique (new), item ");
	own_unique_release(&v);
	own_unique_release(&u);
	own_shared_release(&s);
	own_map_destroy(map);
	assert_int_equal(own_barrier(), 0);
}

/* ---- deadlocks ---- */

/* Each holds the entry that the other asks for: one of them is told. */
static void
cycle_over_two_entries_has_one_victim(void **state)
{
	struct own_unique held[2] = { { 0 } };
	struct spot spots[2];
	struct actor a[2];
	int r[2], victim;

	begin(KIND(state));
	for (unsigned i = 0; i < 2; i++) {
		add(map, KEY(i), i);
		spot_start(&a[i], &spots[i], KEY(i));
		assert_int_equal(actor_do(&a[i], at_claim), 0);
		own_unique_move(&held[i], &a[i].u);
	}
	for (unsigned i = 0; i < 2; i++) {
		spots[i].key = KEY(1 - i);
		actor_begin(&a[i], at_claim);
	}
	for (victim = 2; victim == 2; )
		for (int i = 0; i < 2; i++)
			if (sem_trywait(&a[i].done) == 0)
				victim = i;
	r[victim] = a[victim].r;
	assert_int_equal(r[victim], -EDEADLK);
	says(spots[victim].text, "-EDEADLK: ");
	says(spots[victim].text, "in the map");
	says(spots[victim].text, victim ? "key 0" : "key 1");
	/* the other one waits until the victim lets go */
	pass_time(5 * MS_NS);
	assert_int_not_equal(sem_trywait(&a[1 - victim].done), 0);
	own_unique_move(&a[victim].u, &held[victim]);
	actor_do(&a[victim], act_release);
	r[1 - victim] = actor_end(&a[1 - victim]);
	assert_int_equal(r[1 - victim], 0);
	actor_do(&a[1 - victim], act_release);
	own_unique_move(&a[1 - victim].u, &held[1 - victim]);
	actor_do(&a[1 - victim], act_release);
	actor_stop(&a[0]);
	actor_stop(&a[1]);
	finish(KIND(state)->policy == OWN_VERSIONED ? 5 : 2);
}

NO_CHILDREN;

static const struct CMUnitTest tests[] = {
	TEST_MAP(claim_gives_the_entry_to_change),
	TEST_MAP(release_keeps_a_change_in_place_and_drops_a_draft),
	TEST_MAP(remove_held_takes_out_what_was_seen),
	TEST_MAP(remove_held_behind_a_gate),
	TEST_MAP(downgrade_goes_on_reading_what_was_written),
	TEST_VERSIONED(claim_returns_what_copy_does),
	TEST_MAP(claim_or_new_makes_an_entry_on_commit),
	TEST_MAP(entry_in_the_making_is_absent_for_others),
	TEST_MAP(entry_in_the_making_is_undone_by_release),
	TEST_MAP(entry_in_the_making_is_undone_by_thread_end),
	TEST_MAP(unique_entry_bars_others),
	TEST_EXCLUSIVE(shared_entry_bars_writers_in_place),
	TEST_MAP(waiter_for_a_removed_entry_looks_again),
	TEST_MAP(two_waiters_remove_once),
	TEST_MAP(second_handle_beside_own_unique_is_a_deadlock),
	TEST_EXCLUSIVE(write_beside_own_shared_is_a_deadlock),
	TEST_MAP(own_entry_in_the_making_is_a_deadlock),
	TEST_MAP(upgrade_succeeds_for_the_only_reader),
	TEST_MAP(upgrade_is_refused_beside_others),
	TEST_MAP(clone_is_one_more_handle),
	TEST_MAP(detached_handle_is_released_by_another_thread),
	TEST_EXCLUSIVE(claim_all_waits_for_a_detached_entry),
	TEST_VERSIONED(detached_version_outlives_its_entry),
	TEST_EXCLUSIVE(thread_end_with_unique_leaves_an_orphan),
	TEST_EXCLUSIVE(waiters_hear_of_an_orphan),
	TEST_VERSIONED(versioned_map_has_no_orphans),
	TEST_MAP(thread_end_gives_shared_handles_back),
	TEST_MAP(refusal_names_map_type_key_and_both_places),
	TEST_MAP(dump_shows_entries),
	TEST_U64(cycle_over_two_entries_has_one_victim),
};

TESTS_MAIN("map held");
