/* SPDX-License-Identifier: MIT */
/* test_map.c - the verbs of own/map.h on entries, by one thread */
#include "tests/map_support.h"

static const struct own_site taken = { "place-of-taking.c", 11 };
static const struct own_site used = { "place-of-use.c", 22 };

static int
never(const void *payload, size_t size_bytes, void *arg)
{
	(void)payload, (void)size_bytes, (void)arg;
	fail();
	return 0;
}

/* Every verb on an entry but put and put_new, which make one, gives this. */
static void
all_refuse(struct own_map *m, struct own_bytes key, int error)
{
	uint64_t deadline_ns = own_deadline_ns(LONG_NS);
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };
	char buffer[8];

	assert_int_equal(own_map_share(m, key, &s), error);
	assert_int_equal(own_map_share_try(m, key, &s), error);
	assert_int_equal(own_map_share_timed(m, key, deadline_ns, &s), error);
	assert_int_equal(own_map_claim(m, key, &u), error);
	assert_int_equal(own_map_claim_try(m, key, &u), error);
	assert_int_equal(own_map_claim_timed(m, key, deadline_ns, &u), error);
	assert_int_equal(own_map_remove(m, key), error);
	assert_int_equal(own_map_remove_try(m, key), error);
	assert_int_equal(own_map_remove_timed(m, key, deadline_ns), error);
	assert_int_equal(own_map_take(m, key, &u), error);
	assert_int_equal(own_map_peek(m, key, never, NULL), error);
	assert_int_equal(own_map_peek_try(m, key, never, NULL), error);
	assert_int_equal(own_map_peek_timed(m, key, deadline_ns, never, NULL),
			error);
	assert_int_equal(own_map_read(m, key, buffer, 8), error);
	assert_int_equal(own_map_read_try(m, key, buffer, 8), error);
	assert_int_equal(own_map_read_timed(m, key, deadline_ns, buffer, 8),
			error);
	assert_null(s.object);
	assert_null(u.object);
	item_make(&u, 99, NULL);
	assert_int_equal(own_map_replace(m, key, &u), error);
	assert_int_equal(own_map_replace_try(m, key, &u), error);
	assert_int_equal(own_map_replace_timed(m, key, deadline_ns, &u),
			error);
	assert_int_equal(item_edit(&u)->n, 99);
	own_unique_release(&u);
}

/* put and put_new in all their forms. */
static void
puts_refuse(struct own_map *m, struct own_bytes key, struct own_unique *u,
		int error)
{
	uint64_t deadline_ns = own_deadline_ns(LONG_NS);

	assert_int_equal(own_map_put(m, key, u), error);
	assert_int_equal(own_map_put_try(m, key, u), error);
	assert_int_equal(own_map_put_timed(m, key, deadline_ns, u), error);
	assert_int_equal(own_map_put_new(m, key, u), error);
	assert_int_equal(own_map_put_new_try(m, key, u), error);
	assert_int_equal(own_map_put_new_timed(m, key, deadline_ns, u), error);
	assert_non_null(u->object);
}

/* ---- creation and destruction ---- */

static void
create_refuses_bad_options(void **state)
{
	static const struct own_alloc half = { NULL, NULL, NULL };
	struct own_map_options good = {
		.size = sizeof(good), .type = &item_type,
	}, o;
	struct own_map *m = NULL;

	(void)state;
	assert_int_equal(own_map_create(NULL, &m), -EINVAL);
	o = good;
	o.size = offsetof(struct own_map_options, name) - 1;
	assert_int_equal(own_map_create(&o, &m), -EINVAL);
	o = good;
	o.type = NULL;
	assert_int_equal(own_map_create(&o, &m), -EINVAL);
	o = good;
	o.policy = OWN_VERSIONED + 1;
	assert_int_equal(own_map_create(&o, &m), -EINVAL);
	o = good;
	o.flags = OWN_MAP_U64 << 1;
	assert_int_equal(own_map_create(&o, &m), -EINVAL);
	o = good;
	o.alloc = &half;
	assert_int_equal(own_map_create(&o, &m), -EINVAL);
	assert_null(m);
	assert_int_equal(own_map_create(&good, &m), 0);
	own_map_destroy(m);
}

static void
options_of_an_older_program_take_the_defaults(void **state)
{
	struct own_map_options o;

	(void)state;
	memset(&o, 0xff, sizeof(o));
	o.size = offsetof(struct own_map_options, name);
	o.type = &item_type;
	ended = 0;
	assert_int_equal(own_map_create(&o, &map), 0);
	add(map, TEXT("key"), 1);
	assert_int_equal(value(map, TEXT("key")), 1);
	finish(1);
}

static void
empty_map_can_be_destroyed(void **state)
{
	begin(KIND(state));
	assert_int_equal(own_map_count(map), 0);
	finish(0);
	own_map_destroy(NULL);
}

static void
destroy_ends_the_entries(void **state)
{
	begin(KIND(state));
	for (uint64_t n = 0; n < 50; n++)
		add(map, KEY(n), n);
	assert_int_equal(own_map_count(map), 50);
	assert_int_equal(ended, 0);
	finish(50);
}

static void
destroyed_with_shared(void)
{
	struct own_shared s = { 0 };

	begin(&bytes_versioned);
	add(map, TEXT("alpha"), 1);
	assert_int_equal(own_map_share_at(map, TEXT("alpha"), &s, &taken), 0);
	own_map_destroy(map);
}

static void
destroyed_with_unique(void)
{
	struct own_unique u = { 0 };

	begin(&u64_exclusive);
	add(map, own__u64(4711), 1);
	assert_int_equal(own_map_claim_at(map, own__u64(4711), &u, &taken), 0);
	own_map_destroy(map);
}

static void
destroyed_with_new(void)
{
	struct own_unique u = { 0 };
	int made;

	begin(&bytes_exclusive);
	assert_int_equal(own_map_claim_or_new_at(map, TEXT("alpha"), &u, &made,
			&taken), 0);
	own_map_destroy(map);
}

static void
destroyed_with_whole(void)
{
	struct own_shared s = { 0 };

	begin(&bytes_exclusive);
	assert_int_equal(own_map_share_all(map, &s), 0);
	own_map_destroy(map);
}

static void
destroyed_with_detached(void)
{
	struct own_shared s = { 0 };

	begin(&bytes_exclusive);
	add(map, TEXT("alpha"), 1);
	assert_int_equal(own_map_share(map, TEXT("alpha"), &s), 0);
	assert_int_equal(own_shared_detach(&s), 0);
	own_map_destroy(map);
}

static void
destroy_with_a_handle_out_stops_the_process(void **state)
{
	static const char what[] =
		"libown: own_map_destroy: a handle of the map is out";

	(void)state;
	child_aborts("destroyed_with_shared", what, "item", "of key alpha",
			"in the map", "at place-of-taking.c:11", NULL);
	child_aborts("destroyed_with_unique", what, "of key 4711",
			"in the map", "at place-of-taking.c:11", NULL);
	child_aborts("destroyed_with_new", what, "of key alpha",
			"at place-of-taking.c:11", NULL);
	child_aborts("destroyed_with_whole", what, "test_map.c:", NULL);
	child_aborts("destroyed_with_detached", what, NULL);
}

static void
destroy_leaves_detached_handles_their_version(void **state)
{
	struct own_shared s = { 0 };

	(void)state;
	begin(&bytes_versioned);
	add(map, KEY(1), 1);
	assert_int_equal(own_map_share(map, KEY(1), &s), 0);
	assert_int_equal(own_shared_detach(&s), 0);
	own_map_destroy(map);
	assert_int_equal(own_barrier(), 1);
	assert_int_equal(ended, 0);
	assert_int_equal(item_get(&s)->n, 1);
	assert_memory_equal(own_map_key(&s).data, "key 1", 5);
	own_shared_release(&s);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(ended, 1);
}

static void
no_map_used(void)
{
	struct own_shared s = { 0 };

	(void)!own_map_share_at(NULL, TEXT("key"), &s, &used);
}

static void
no_map_stops_the_process(void **state)
{
	(void)state;
	child_aborts("no_map_used", "map is not created, or destroyed at "
			"place-of-use.c:22\n", NULL);
}

/* ---- keys ---- */

static void
entry_has_the_key_it_was_put_under(void **state)
{
	uint64_t deadline_ns = own_deadline_ns(LONG_NS);
	struct own_shared s = { 0 };
	struct own_bytes key;

	begin(KIND(state));
	for (uint64_t n = 0; n < 20; n++)
		add(map, KEY(n), 100 + n);
	for (uint64_t n = 0; n < 20; n++) {
		if (n % 3 == 0)
			assert_int_equal(own_map_share(map, KEY(n), &s), 0);
		else if (n % 3 == 1)
			assert_int_equal(own_map_share_try(map, KEY(n), &s),
					0);
		else
			assert_int_equal(own_map_share_timed(map, KEY(n),
					deadline_ns, &s), 0);
		assert_int_equal(item_get(&s)->n, 100 + n);
		assert_int_equal(own_size(&s), sizeof(struct item));
		key = own_map_key(&s);
		if (KIND(state)->flags) {
			assert_int_equal(own_map_key_u64(&s), n);
			assert_int_equal(key.size, 8);
			assert_memory_equal(key.data, &n, 8);
		} else {
			assert_int_equal(key.size, KEY(n).size);
			assert_memory_equal(key.data, KEY(n).data, key.size);
			/* a copy of its own */
			assert_ptr_not_equal(key.data, KEY(n).data);
		}
		own_shared_release(&s);
	}
	finish(20);
}

static void
absent_key_is_no_entry(void **state)
{
	begin(KIND(state));
	all_refuse(map, KEY(1), -ENOENT);
	add(map, KEY(2), 2);
	all_refuse(map, KEY(1), -ENOENT);
	assert_int_equal(own_map_count(map), 1);
	assert_int_equal(own_map_remove(map, KEY(2)), 0);
	all_refuse(map, KEY(2), -ENOENT);
	assert_int_equal(own_map_count(map), 0);
	finish(1);
}

static void
key_of_the_other_kind_is_refused(void **state)
{
	struct own_bytes key = KIND(state)->flags ? TEXT("key") : own__u64(7);
	struct own_unique u = { 0 }, v = { 0 };
	int made = 5;

	begin(KIND(state));
	all_refuse(map, key, -EINVAL);
	assert_int_equal(own_map_claim_or_new(map, key, &u, &made), -EINVAL);
	assert_int_equal(own_map_claim_or_new_try(map, key, &u, &made),
			-EINVAL);
	assert_int_equal(made, 5);
	assert_int_equal(own_map_orphan_claim(map, key, &u), -EINVAL);
	assert_int_equal(own_map_new(map, key, &u), -EINVAL);
	assert_null(u.object);
	item_make(&v, 1, &ended);
	puts_refuse(map, key, &v, -EINVAL);
	own_unique_release(&v);
	finish(1);
}

static void
key_that_is_too_long_is_refused(void **state)
{
	/* refused before it is read */
	struct own_bytes key = own_bytes("", OWN_MAP_KEY_MAX + 1);

	(void)state;
	begin(&bytes_exclusive);
	all_refuse(map, key, -EINVAL);
	finish(0);
}

static void
keys_may_be_empty_prefixes_and_hold_zeroes(void **state)
{
	static const struct own_bytes keys[] = {
		{ NULL, 0 }, { "\0", 1 }, { "\0\0", 2 }, { "a", 1 },
		{ "a\0", 2 }, { "ab", 2 }, { "a\0b", 3 },
	};
	enum { N = sizeof(keys) / sizeof(keys[0]) };
	struct own_shared s = { 0 };

	(void)state;
	begin(&bytes_versioned);
	for (unsigned i = 0; i < N; i++)
		assert_true(is_absent(map, keys[i]));
	for (unsigned i = 0; i < N; i++)
		add(map, keys[i], i);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(own_map_share(map, keys[i], &s), 0);
		assert_int_equal(item_get(&s)->n, i);
		assert_int_equal(own_map_key(&s).size, keys[i].size);
		own_shared_release(&s);
	}
	assert_int_equal(own_map_remove(map, own_bytes("", 0)), 0);
	assert_true(is_absent(map, keys[0]));
	assert_int_equal(own_map_count(map), N - 1);
	finish(N);
}

static void
u64_twins_name_the_same_entries(void **state)
{
	static const uint64_t numbers[] = { 0, 1, UINT32_MAX, UINT64_MAX };
	uint64_t deadline_ns = own_deadline_ns(LONG_NS);
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	struct item copy;
	int made;

	begin(KIND(state));
	for (unsigned i = 0; i < 4; i++) {
		item_make(&u, i, &ended);
		assert_int_equal(own_map_put_new_u64(map, numbers[i], &u), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(own_map_share_u64(map, numbers[i], &s), 0);
		assert_int_equal(own_map_key_u64(&s), numbers[i]);
		own_shared_release(&s);
		assert_int_equal(own_map_share_timed_u64(map, numbers[i],
				deadline_ns, &s), 0);
		own_shared_release(&s);
		assert_int_equal(own_map_claim_u64(map, numbers[i], &u), 0);
		own_unique_release(&u);
		assert_int_equal(own_map_claim_or_new_u64(map, numbers[i], &u,
				&made), 0);
		assert_int_equal(made, 0);
		own_unique_release(&u);
		assert_int_equal(own_map_read_u64(map, numbers[i], &copy,
				sizeof(copy)), 0);
		assert_int_equal(copy.n, i);
	}
	assert_int_equal(own_map_new_u64(map, 7, &u), 0);
	*item_edit(&u) = (struct item) { 7, 7, &ended };
	assert_int_equal(own_map_put_u64(map, 7, &u), 0);
	item_make(&u, 8, &ended);
	assert_int_equal(own_map_replace_u64(map, 7, &u), 0);
	assert_int_equal(value(map, own__u64(7)), 8);
	assert_int_equal(own_map_remove_u64(map, 7), 0);
	assert_int_equal(own_map_take_u64(map, UINT64_MAX, &u), 0);
	assert_int_equal(item_edit(&u)->n, 3);
	own_unique_release(&u);
	assert_int_equal(own_map_count(map), 3);
	finish(KIND(state)->policy == OWN_VERSIONED ? 14 : 6);
}

static void
object_outside_a_map_has_no_key(void **state)
{
	struct own_unique u = { 0 };

	(void)state;
	item_make(&u, 1, NULL);
	assert_null(own_map_key(&u).data);
	own_unique_release(&u);
	assert_null(own_map_key(&u).data);
}

static void
number_of_a_byte_key(void)
{
	struct own_shared s = { 0 };

	begin(&bytes_versioned);
	add(map, TEXT("key"), 1);
	assert_int_equal(own_map_share(map, TEXT("key"), &s), 0);
	(void)own_map_key_u64(&s);
}

static void
number_of_a_byte_key_stops_the_process(void **state)
{
	(void)state;
	child_aborts("number_of_a_byte_key", "own_map_key_u64: not an entry "
			"of a map with 64-bit keys", NULL);
}

/* ---- put, replace, remove ---- */

static void
put_new_refuses_a_key_that_is_taken(void **state)
{
	uint64_t deadline_ns = own_deadline_ns(LONG_NS);
	struct own_unique u = { 0 };

	begin(KIND(state));
	add(map, KEY(1), 1);
	item_make(&u, 2, &ended);
	assert_int_equal(own_map_put_new(map, KEY(1), &u), -EEXIST);
	assert_int_equal(own_map_put_new_try(map, KEY(1), &u), -EEXIST);
	assert_int_equal(own_map_put_new_timed(map, KEY(1), deadline_ns, &u),
			-EEXIST);
	assert_int_equal(item_edit(&u)->n, 2);
	assert_int_equal(value(map, KEY(1)), 1);
	assert_int_equal(own_map_put_new_try(map, KEY(2), &u), 0);
	assert_null(u.object);
	item_make(&u, 3, &ended);
	assert_int_equal(own_map_put_new_timed(map, KEY(3), deadline_ns, &u),
			0);
	assert_int_equal(own_map_count(map), 3);
	finish(3);
}

static void
put_and_replace_end_the_old_value(void **state)
{
	uint64_t deadline_ns = own_deadline_ns(LONG_NS);
	struct own_unique u = { 0 };

	begin(KIND(state));
	for (unsigned i = 0; i < 6; i++) {
		item_make(&u, i, &ended);
		switch (i) {
		case 0:
			assert_int_equal(own_map_put(map, KEY(1), &u), 0);
			break;
		case 1:
			assert_int_equal(own_map_put_try(map, KEY(1), &u), 0);
			break;
		case 2:
			assert_int_equal(own_map_put_timed(map, KEY(1),
					deadline_ns, &u), 0);
			break;
		case 3:
			assert_int_equal(own_map_replace(map, KEY(1), &u), 0);
			break;
		case 4:
			assert_int_equal(own_map_replace_try(map, KEY(1), &u),
					0);
			break;
		default:
			assert_int_equal(own_map_replace_timed(map, KEY(1),
					deadline_ns, &u), 0);
		}
		assert_null(u.object);
		assert_int_equal(value(map, KEY(1)), i);
		assert_int_equal(own_barrier(), 0);
		assert_int_equal(ended, i);
		assert_int_equal(own_map_count(map), 1);
	}
	finish(6);
}

static void
readers_keep_the_version_they_have(void **state)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };

	begin(KIND(state));
	add(map, KEY(1), 1);
	assert_int_equal(own_map_share(map, KEY(1), &s), 0);
	item_make(&u, 2, &ended);
	assert_int_equal(own_map_put_try(map, KEY(1), &u), 0);
	assert_int_equal(own_map_remove_try(map, KEY(1)), 0);
	assert_true(is_absent(map, KEY(1)));
	assert_int_equal(own_barrier(), 1);
	assert_int_equal(ended, 1);
	assert_int_equal(item_get(&s)->n, 1);
	own_shared_release(&s);
	finish(2);
}

static void
put_refuses_another_type(void **state)
{
	static const struct own_type other = { .name = "other", .size = 8 };
	struct own_unique u = { 0 };

	begin(KIND(state));
	add(map, KEY(1), 1);
	assert_int_equal(own_new(&other, &u), 0);
	puts_refuse(map, KEY(1), &u, -EINVAL);
	puts_refuse(map, KEY(2), &u, -EINVAL);
	assert_int_equal(own_map_replace(map, KEY(1), &u), -EINVAL);
	own_unique_release(&u);
	assert_int_equal(value(map, KEY(1)), 1);
	finish(1);
}

static void
put_a_borrowed_handle(void)
{
	struct own_unique u = { 0 };

	begin(&bytes_exclusive);
	add(map, TEXT("key"), 1);
	assert_int_equal(own_map_claim_at(map, TEXT("key"), &u, &taken), 0);
	(void)!own_map_put_at(map, TEXT("other"), &u, &used);
}

static void
put_a_draft(void)
{
	struct own_unique u = { 0 };

	begin(&bytes_versioned);
	add(map, TEXT("key"), 1);
	assert_int_equal(own_map_claim_at(map, TEXT("key"), &u, &taken), 0);
	(void)!own_map_put_at(map, TEXT("key"), &u, &used);
}

static void
put_nothing(void)
{
	struct own_unique u = { 0 };

	begin(&bytes_versioned);
	(void)!own_map_put_at(map, TEXT("key"), &u, &used);
}

static void
putting_what_is_not_owned_stops_the_process(void **state)
{
	(void)state;
	child_aborts("put_a_borrowed_handle", "own_map_put: a borrowed handle",
			"at place-of-use.c:22", "at place-of-taking.c:11",
			NULL);
	child_aborts("put_a_draft", "own_map_put: a borrowed handle",
			"at place-of-taking.c:11", NULL);
	child_aborts("put_nothing", "empty handle given to a map at "
			"place-of-use.c:22", NULL);
}

static void
removed_key_may_be_put_again(void **state)
{
	uint64_t deadline_ns = own_deadline_ns(LONG_NS);

	begin(KIND(state));
	for (unsigned i = 0; i < 300; i++) {
		add(map, KEY(1), i);
		assert_int_equal(value(map, KEY(1)), i);
		assert_int_equal(i % 3 == 0 ? own_map_remove(map, KEY(1))
			: i % 3 == 1 ? own_map_remove_try(map, KEY(1))
			: own_map_remove_timed(map, KEY(1), deadline_ns), 0);
		assert_true(is_absent(map, KEY(1)));
		assert_int_equal(own_map_count(map), 0);
	}
	finish(300);
}

/* ---- objects made for a key, and taken out ---- */

static void
new_object_goes_in_as_it_is(void **state)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	const void *object;

	begin(KIND(state));
	assert_int_equal(own_map_new(map, KEY(1), &u), 0);
	object = u.object;
	assert_int_equal(item_edit(&u)->n | item_edit(&u)->twin, 0);
	assert_int_equal(own_size(&u), sizeof(struct item));
	if (KIND(state)->flags)
		assert_int_equal(own_map_key_u64(&u), 1);
	else
		assert_memory_equal(own_map_key(&u).data, "key 1", 5);
	assert_true(is_absent(map, KEY(1)));
	assert_int_equal(own_map_count(map), 0);
	*item_edit(&u) = (struct item) { 1, 1, &ended };
	assert_int_equal(own_map_put(map, KEY(1), &u), 0);
	assert_int_equal(own_map_share(map, KEY(1), &s), 0);
	assert_ptr_equal(s.object, object);
	own_shared_release(&s);
	finish(1);
}

static void
new_object_under_another_key_is_moved(void **state)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };

	begin(KIND(state));
	assert_int_equal(own_map_new(map, KEY(1), &u), 0);
	*item_edit(&u) = (struct item) { 1, 1, &ended };
	assert_int_equal(own_map_put(map, KEY(2), &u), 0);
	assert_null(u.object);
	assert_int_equal(ended, 0);
	assert_true(is_absent(map, KEY(1)));
	assert_int_equal(own_map_share(map, KEY(2), &s), 0);
	assert_int_equal(item_get(&s)->n, 1);
	if (KIND(state)->flags)
		assert_int_equal(own_map_key_u64(&s), 2);
	else
		assert_memory_equal(own_map_key(&s).data, "key 2", 5);
	own_shared_release(&s);
	finish(1);
}

static void
new_object_may_be_refused_and_released(void **state)
{
	struct own_unique u = { 0 };

	begin(KIND(state));
	add(map, KEY(1), 1);
	assert_int_equal(own_map_new(map, KEY(1), &u), 0);
	*item_edit(&u) = (struct item) { 2, 2, &ended };
	assert_int_equal(own_map_put_new(map, KEY(1), &u), -EEXIST);
	assert_int_equal(item_edit(&u)->n, 2);
	/* moved into a new entry, and given back when that is refused */
	add(map, KEY(2), 3);
	assert_int_equal(own_map_put_new(map, KEY(2), &u), -EEXIST);
	assert_int_equal(item_edit(&u)->n, 2);
	assert_int_equal(ended, 0);
	own_unique_release(&u);
	assert_int_equal(ended, 1);
	finish(3);
}

static void
taken_object_goes_into_no_cell(void **state)
{
	struct own_unique u = { 0 };
	struct own_cell cell;

	begin(KIND(state));
	item_cell(&cell, KIND(state)->policy, 5, NULL);
	add(map, KEY(1), 2);
	assert_int_equal(own_map_take(map, KEY(1), &u), 0);
	assert_int_equal(own_cell_replace(&cell, &u), -EINVAL);
	assert_int_equal(own_cell_swap(&cell, &u), -EINVAL);
	assert_int_equal(item_edit(&u)->n, 2);
	own_unique_release(&u);
	assert_int_equal(item_value(&cell), 5);
	own_cell_destroy(&cell);
	finish(1);
}

static void
new_object_may_go_into_a_cell_instead(void **state)
{
	struct own_unique u = { 0 };
	struct own_cell cell;

	begin(KIND(state));
	item_cell(&cell, KIND(state)->policy, 5, &ended);
	assert_int_equal(own_map_new(map, KEY(1), &u), 0);
	*item_edit(&u) = (struct item) { 1, 1, &ended };
	assert_int_equal(own_cell_replace(&cell, &u), 0);
	assert_int_equal(item_value(&cell), 1);
	assert_true(is_absent(map, KEY(1)));
	own_cell_destroy(&cell);
	finish(2);
}

static void
taken_object_is_owned_with_its_key(void **state)
{
	uint64_t deadline_ns = own_deadline_ns(LONG_NS);
	struct own_unique u = { 0 };

	begin(KIND(state));
	add(map, KEY(1), 1);
	if (KIND(state)->policy == OWN_VERSIONED) {
		/* what has been unlinked cannot be put back */
		assert_int_equal(own_map_take_try(map, KEY(1), &u), -EINVAL);
		assert_int_equal(own_map_take_timed(map, KEY(1), deadline_ns,
				&u), -EINVAL);
		assert_int_equal(own_map_take(map, KEY(1), &u), 0);
	} else {
		assert_int_equal(own_map_take_try(map, KEY(1), &u), 0);
	}
	assert_true(is_absent(map, KEY(1)));
	assert_int_equal(own_map_count(map), 0);
	assert_int_equal(item_edit(&u)->n, 1);
	if (KIND(state)->flags)
		assert_int_equal(own_map_key_u64(&u), 1);
	else
		assert_memory_equal(own_map_key(&u).data, "key 1", 5);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(ended, 0);
	/* the key is free meanwhile */
	add(map, KEY(1), 2);
	own_unique_release(&u);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(ended, 1);
	if (KIND(state)->policy == OWN_EXCLUSIVE) {
		assert_int_equal(own_map_take_timed(map, KEY(1), deadline_ns,
				&u), 0);
		assert_int_equal(item_edit(&u)->n, 2);
		own_unique_release(&u);
	}
	finish(2);
}

static void
taken_object_may_be_put_back(void **state)
{
	struct own_unique u = { 0 };

	begin(KIND(state));
	add(map, KEY(1), 1);
	for (unsigned i = 1; i < 9; i++) {
		/* under the same key, then under the next */
		assert_int_equal(own_map_take(map, KEY(i), &u), 0);
		item_set(&u, i);
		assert_int_equal(own_map_put_new(map, KEY(i), &u), 0);
		assert_int_equal(value(map, KEY(i)), i);
		assert_int_equal(own_map_take(map, KEY(i), &u), 0);
		assert_int_equal(own_map_put(map, KEY(i + 1), &u), 0);
		assert_true(is_absent(map, KEY(i)));
		assert_int_equal(value(map, KEY(i + 1)), i);
	}
	assert_int_equal(own_map_count(map), 1);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(ended, 0);
	finish(1);
}

static void
versioned_take_refuses_who_holds_anything(void **state)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	struct own_cell cell;

	begin(KIND(state));
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	add(map, KEY(1), 1);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(own_map_take(map, KEY(1), &u), -EDEADLK);
	assert_null(u.object);
	own_shared_release(&s);
	assert_int_equal(own_map_take(map, KEY(1), &u), 0);
	own_unique_release(&u);
	own_cell_destroy(&cell);
	finish(1);
}

static void
pinned_objects_are_never_moved(void **state)
{
	static const struct own_type pinned = {
		.name = "pinned", .size = 8, .flags = OWN_PINNED,
	};
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	const void *object;

	begin(KIND(state));
	own_map_destroy(map);
	map = map_new(&pinned, KIND(state)->policy, KIND(state)->flags);
	assert_int_equal(own_new(&pinned, &u), 0);
	puts_refuse(map, KEY(1), &u, -EINVAL);
	own_unique_release(&u);
	assert_int_equal(own_map_new(map, KEY(1), &u), 0);
	puts_refuse(map, KEY(2), &u, -EINVAL);
	object = u.object;
	assert_int_equal(own_map_put(map, KEY(1), &u), 0);
	assert_int_equal(own_map_share(map, KEY(1), &s), 0);
	assert_ptr_equal(s.object, object);
	own_shared_release(&s);
	/* what was in a map is never the same entry again */
	assert_int_equal(own_map_take(map, KEY(1), &u), 0);
	puts_refuse(map, KEY(1), &u, -EINVAL);
	own_unique_release(&u);
	finish(0);
}

static void
sized_objects_keep_their_size_and_key(void **state)
{
	static const struct own_type bytes = {
		.name = "bytes", .size = 16, .align = 64, .flags = OWN_SIZED,
	};
	static const size_t sizes[] = { 0, 1, 17, 1000 };
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	int made;

	begin(KIND(state));
	assert_int_equal(own_map_new_sized(map, KEY(1), 8, &u), -EINVAL);
	own_map_destroy(map);
	map = map_new(&bytes, KIND(state)->policy, KIND(state)->flags);
	for (unsigned i = 0; i < 4; i++) {
		/* in place, and moved */
		assert_int_equal(i & 1 ? own_new_sized(&bytes, sizes[i], &u)
			: own_map_new_sized(map, KEY(i), sizes[i], &u), 0);
		assert_int_equal(own_size(&u), sizes[i]);
		memset(own_unique_edit(&u), 'x', sizes[i]);
		assert_int_equal(own_map_put(map, KEY(i), &u), 0);
		assert_int_equal(own_map_claim(map, KEY(i), &u), 0);
		assert_int_equal(own_size(&u), sizes[i]);
		memset(own_unique_edit(&u), 'y', sizes[i]);
		own_unique_commit(&u);
		assert_int_equal(own_map_share(map, KEY(i), &s), 0);
		assert_int_equal(own_size(&s), sizes[i]);
		assert_int_equal((uintptr_t)s.object % 64, 0);
		for (size_t k = 0; k < sizes[i]; k++)
			assert_int_equal(((const char *)s.object)[k], 'y');
		if (KIND(state)->flags)
			assert_int_equal(own_map_key_u64(&s), i);
		else
			assert_memory_equal(own_map_key(&s).data, KEY(i).data,
					KEY(i).size);
		own_shared_release(&s);
	}
	assert_int_equal(own_map_new(map, KEY(9), &u), 0);
	assert_int_equal(own_size(&u), 16);
	own_unique_release(&u);
	assert_int_equal(own_map_claim_or_new(map, KEY(9), &u, &made), 0);
	assert_int_equal(own_size(&u), 16);
	own_unique_release(&u);
	assert_int_equal(own_map_new_sized(map, KEY(9), SIZE_MAX - 1, &u),
			-ENOMEM);
	finish(0);
}

/* ---- peek and read ---- */

static int
sum(const void *payload, size_t size_bytes, void *arg)
{
	const struct item *item = payload;

	assert_int_equal(size_bytes, sizeof(*item));
	*(uint64_t *)arg += item->n;
	return 7;
}

static void
peek_and_read_give_the_value(void **state)
{
	uint64_t deadline_ns = own_deadline_ns(LONG_NS), n = 0;
	struct item copy = { 0, 0, NULL };

	begin(KIND(state));
	add(map, KEY(1), 5);
	assert_int_equal(own_map_peek(map, KEY(1), sum, &n), 7);
	assert_int_equal(own_map_peek_try(map, KEY(1), sum, &n), 7);
	assert_int_equal(own_map_peek_timed(map, KEY(1), deadline_ns, sum,
			&n), 7);
	assert_int_equal(n, 15);
	assert_int_equal(own_map_read(map, KEY(1), &copy, sizeof(copy) - 1),
			-EOVERFLOW);
	assert_int_equal(copy.n, 0);
	assert_int_equal(own_map_read_try(map, KEY(1), &copy, sizeof(copy)),
			0);
	assert_int_equal(copy.n, 5);
	copy.n = 0;
	assert_int_equal(own_map_read_timed(map, KEY(1), deadline_ns, &copy,
			sizeof(copy)), 0);
	assert_int_equal(copy.n, 5);
	finish(1);
}

static const struct child children[] = {
	CHILD(destroyed_with_detached),
	CHILD(destroyed_with_new),
	CHILD(destroyed_with_shared),
	CHILD(destroyed_with_unique),
	CHILD(destroyed_with_whole),
	CHILD(no_map_used),
	CHILD(number_of_a_byte_key),
	CHILD(put_a_borrowed_handle),
	CHILD(put_a_draft),
	CHILD(put_nothing),
};

static const struct CMUnitTest tests[] = {
	TEST(create_refuses_bad_options),
	TEST(options_of_an_older_program_take_the_defaults),
	TEST_MAP(empty_map_can_be_destroyed),
	TEST_MAP(destroy_ends_the_entries),
	TEST(destroy_with_a_handle_out_stops_the_process),
	TEST(destroy_leaves_detached_handles_their_version),
	TEST(no_map_stops_the_process),
	TEST_MAP(entry_has_the_key_it_was_put_under),
	TEST_MAP(absent_key_is_no_entry),
	TEST_MAP(key_of_the_other_kind_is_refused),
	TEST(key_that_is_too_long_is_refused),
	TEST(keys_may_be_empty_prefixes_and_hold_zeroes),
	TEST_U64(u64_twins_name_the_same_entries),
	TEST(object_outside_a_map_has_no_key),
	TEST(number_of_a_byte_key_stops_the_process),
	TEST_MAP(put_new_refuses_a_key_that_is_taken),
	TEST_MAP(put_and_replace_end_the_old_value),
	TEST_VERSIONED(readers_keep_the_version_they_have),
	TEST_MAP(put_refuses_another_type),
	TEST(putting_what_is_not_owned_stops_the_process),
	TEST_MAP(removed_key_may_be_put_again),
	TEST_MAP(new_object_goes_in_as_it_is),
	TEST_MAP(new_object_under_another_key_is_moved),
	TEST_MAP(new_object_may_be_refused_and_released),
	TEST_MAP(taken_object_goes_into_no_cell),
	TEST_MAP(new_object_may_go_into_a_cell_instead),
	TEST_MAP(taken_object_is_owned_with_its_key),
	TEST_MAP(taken_object_may_be_put_back),
	TEST_VERSIONED(versioned_take_refuses_who_holds_anything),
	TEST_MAP(pinned_objects_are_never_moved),
	TEST_MAP(sized_objects_keep_their_size_and_key),
	TEST_MAP(peek_and_read_give_the_value),
};

TESTS_MAIN("map");
