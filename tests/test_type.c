/* SPDX-License-Identifier: MIT */
/* test_type.c - own/type.h and objects: sizes, alignment, copy, fini */
#include "tests/support.h"

struct pair {
	char *text;
	uint32_t *copies, *finis;
	int fail;
};

static int
pair_copy(void *to, const void *from, size_t size_bytes)
{
	const struct pair *old = from;
	struct pair *new = to;

	assert_int_equal(size_bytes, sizeof(*new));
	/* comes zeroed */
	assert_null(new->text);
	assert_null(new->copies);
	if (old->fail)
		return old->fail;
	*new = *old;
	new->text = strdup(old->text);
	(*new->copies)++;
	return 0;
}

static void
pair_fini(void *payload, size_t size_bytes)
{
	struct pair *pair = payload;

	assert_int_equal(size_bytes, sizeof(*pair));
	free(pair->text);
	if (pair->finis)
		(*pair->finis)++;
}

OWN_TYPE(pair, struct pair, .copy = pair_copy, .fini = pair_fini);

struct wide {
	_Alignas(256) char bytes[3];
};

OWN_TYPE(wide, struct wide, .copy = NULL);

static const struct own_type bytes_type = {
	.name = "bytes", .flags = OWN_SIZED,
};

static uint32_t copies, finis;

static void
type_described_in_two_files_is_one(void **state)
{
	struct own_type again = pair_type;
	struct own_unique u = { 0 };
	struct own_cell cell;
	char name[] = "pair";

	(void)state;
	again.name = name;
	assert_int_equal(own_cell_init(&cell, &again, OWN_VERSIONED, "cell",
			NULL), 0);
	assert_int_equal(pair_new(&u), 0);
	assert_int_equal(own_cell_replace(&cell, &u), 0);
	again.fini = NULL;
	assert_int_equal(pair_new(&u), 0);
	assert_int_equal(own_cell_replace(&cell, &u), -EINVAL);
	own_unique_release(&u);
	again.fini = pair_fini;
	name[0] = 'P';
	assert_int_equal(pair_new(&u), 0);
	assert_int_equal(own_cell_replace(&cell, &u), -EINVAL);
	own_unique_release(&u);
	own_cell_destroy(&cell);
	(void)own_barrier();
}

static void
description_says_what_the_type_is(void **state)
{
	(void)state;
	assert_string_equal(pair_type.name, "pair");
	assert_int_equal(pair_type.size, sizeof(struct pair));
	assert_int_equal(pair_type.align, 16);
	assert_ptr_equal(pair_type.fini, pair_fini);
	assert_int_equal(wide_type.align, 256);
	assert_int_equal(wide_type.flags, 0);
	assert_null(wide_type.fini);
}

static void
new_object_is_owned_and_zeroed(void **state)
{
	static const struct pair zero;
	struct own_unique u = { 0 };

	(void)state;
	copies = finis = 0;
	assert_int_equal(pair_new(&u), 0);
	assert_memory_equal(pair_edit(&u), &zero, sizeof(zero));
	assert_int_equal(u.how & OWN__HOW_KIND, OWN__HOW_OWNED);
	assert_int_equal(own_size(&u), sizeof(struct pair));
	pair_edit(&u)->finis = &finis;
	own_unique_release(&u);
	assert_null(u.object);
	assert_int_equal(finis, 1);
}

static int
act_use_and_release(struct actor *a)
{
	wide_edit(&a->u)->bytes[0] = 1;
	own_unique_release(&a->u);
	return 0;
}

static void
owned_object_may_go_to_another_thread(void **state)
{
	struct actor a;

	(void)state;
	actor_start(&a, NULL);
	assert_int_equal(wide_new(&a.u), 0);
	actor_do(&a, act_use_and_release);
	assert_null(a.u.object);
	actor_stop(&a);
}

static void
payload_is_aligned_as_asked(void **state)
{
	(void)state;
	for (uint32_t flags = 0; flags <= OWN_SIZED; flags += OWN_SIZED)
		for (size_t align = 1; align <= 4096; align *= 2) {
			struct own_type type = {
				.name = "aligned", .size = 5, .align = align,
				.flags = flags,
			};
			struct own_unique u = { 0 };
			size_t at_least = align < 16 ? 16 : align;

			assert_int_equal(flags ? own_new_sized(&type, 9, &u)
					: own_new(&type, &u), 0);
			assert_int_equal((uintptr_t)u.object % at_least, 0);
			assert_int_equal(own_size(&u), flags ? 9 : 5);
			memset(own_unique_edit(&u), 0xff, own_size(&u));
			assert_ptr_equal(own_i_type(own_i_header(u.object)),
					&type);
			own_unique_release(&u);
		}
}

static void
bad_alignment_is_refused(void **state)
{
	static const size_t bad[] = { 3, 24, 8192, SIZE_MAX };

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct own_type type = {
			.name = "bad", .size = 8, .align = bad[i],
			.flags = OWN_SIZED,
		};
		struct own_unique u = { 0 };

		assert_int_equal(own_new(&type, &u), -EINVAL);
		assert_int_equal(own_new_sized(&type, 8, &u), -EINVAL);
		assert_null(u.object);
	}
}

static void
sized_objects_know_their_size(void **state)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 1000, 70000 };
	struct own_unique u = { 0 };

	(void)state;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(own_new_sized(&bytes_type, sizes[i], &u), 0);
		assert_int_equal(own_size(&u), sizes[i]);
		for (size_t k = 0; k < sizes[i]; k++)
			assert_int_equal(((char *)own_unique_edit(&u))[k], 0);
		own_unique_release(&u);
	}
}

static void
size_of_its_own_needs_the_flag(void **state)
{
	struct own_unique u = { 0 };

	(void)state;
	assert_int_equal(own_new_sized(&pair_type, 64, &u), -EINVAL);
	assert_null(u.object);
}

static void
size_that_overflows_is_no_memory(void **state)
{
	struct own_unique u = { 0 };

	(void)state;
	assert_int_equal(own_new_sized(&bytes_type, SIZE_MAX, &u), -ENOMEM);
	assert_int_equal(own_new_sized(&bytes_type, SIZE_MAX - 31, &u),
			-ENOMEM);
	assert_null(u.object);
}

static void
draft_of_a_sized_object_has_its_size(void **state)
{
	struct own_unique u = { 0 };
	struct own_cell cell;
	char copy[100];

	(void)state;
	assert_int_equal(own_new_sized(&bytes_type, 100, &u), 0);
	memset(own_unique_edit(&u), 'x', 100);
	assert_int_equal(own_cell_init(&cell, &bytes_type, OWN_VERSIONED, NULL,
			&u), 0);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	assert_int_equal(own_size(&u), 100);
	assert_int_equal(((char *)own_unique_edit(&u))[99], 'x');
	((char *)own_unique_edit(&u))[99] = 'y';
	own_unique_commit(&u);
	assert_int_equal(own_cell_read(&cell, copy, 99), -EOVERFLOW);
	assert_int_equal(own_cell_read(&cell, copy, 100), 0);
	assert_int_equal(copy[98], 'x');
	assert_int_equal(copy[99], 'y');
	/* what replaces it may have another size */
	assert_int_equal(own_new_sized(&bytes_type, 1, &u), 0);
	assert_int_equal(own_cell_replace(&cell, &u), 0);
	assert_int_equal(own_cell_read(&cell, copy, 1), 0);
	assert_int_equal(copy[0], 0);
	own_cell_destroy(&cell);
	assert_int_equal(own_barrier(), 0);
}

static void
copy_makes_the_draft_and_fini_ends_each(void **state)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	struct own_cell cell;

	(void)state;
	copies = finis = 0;
	assert_int_equal(pair_new(&u), 0);
	*pair_edit(&u) = (struct pair) { strdup("one"), &copies, &finis, 0 };
	assert_int_equal(own_cell_init(&cell, &pair_type, OWN_VERSIONED, NULL,
			&u), 0);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	assert_int_equal(copies, 1);
	assert_string_equal(pair_edit(&u)->text, "one");
	pair_edit(&u)->text[0] = 'O';
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_string_equal(pair_get(&s)->text, "one");
	own_unique_release(&u);
	assert_int_equal(finis, 1);
	assert_int_equal(own_shared_upgrade_try(&s, &u), 0);
	assert_int_equal(copies, 2);
	assert_string_equal(pair_edit(&u)->text, "one");
	own_unique_commit(&u);
	own_cell_destroy(&cell);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(finis, 3);
}

static void
error_of_copy_is_the_claims(void **state)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	struct own_cell cell;

	(void)state;
	copies = finis = 0;
	assert_int_equal(pair_new(&u), 0);
	*pair_edit(&u) = (struct pair) { strdup("one"), &copies, &finis,
		-EPROTO };
	assert_int_equal(own_cell_init(&cell, &pair_type, OWN_VERSIONED, NULL,
			&u), 0);
	assert_int_equal(own_cell_claim(&cell, &u), -EPROTO);
	assert_int_equal(own_cell_claim_try(&cell, &u), -EPROTO);
	assert_null(u.object);
	/* what copy made it has undone itself */
	assert_int_equal(finis, 0);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(own_shared_upgrade_try(&s, &u), -EPROTO);
	assert_null(u.object);
	assert_string_equal(pair_get(&s)->text, "one");
	own_shared_release(&s);
	assert_false(own_i_slot_any(own_i_this));
	/* nothing stays locked */
	assert_int_equal(pair_new(&u), 0);
	assert_int_equal(own_cell_replace_try(&cell, &u), 0);
	own_cell_destroy(&cell);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(finis, 1);
	assert_int_equal(copies, 0);
}

static void
typed_read_copies_the_value(void **state)
{
	struct own_unique u = { 0 };
	struct own_cell cell;
	struct wide wide;

	(void)state;
	assert_int_equal(wide_new(&u), 0);
	wide_edit(&u)->bytes[2] = 9;
	assert_int_equal(own_cell_init(&cell, &wide_type, OWN_EXCLUSIVE, NULL,
			&u), 0);
	assert_int_equal(wide_read(&cell, &wide), 0);
	assert_int_equal(wide.bytes[2], 9);
	own_cell_destroy(&cell);
}

static void
used_as_another_type(void)
{
	struct own_unique u = { 0 };

	assert_int_equal(wide_new(&u), 0);
	(void)pair_edit(&u);
}

static void
other_type_stops_the_checked_build(void **state)
{
	(void)state;
#ifdef OWN_CHECKED
	child_aborts("used_as_another_type", "handle used as another type",
			NULL);
#else
	child_succeeds("used_as_another_type", "ASAN_OPTIONS=detect_leaks=0");
#endif
}

static void
header_takes_16_bytes(void **state)
{
	struct own_unique u = { 0 };

	(void)state;
	assert_int_equal(pair_new(&u), 0);
	assert_int_equal(own_i_object_bytes(own_i_header(u.object)),
			sizeof(struct pair) + 16);
	own_unique_release(&u);
	assert_int_equal(own_new_sized(&bytes_type, 100, &u), 0);
	assert_int_equal(own_i_object_bytes(own_i_header(u.object)),
			100 + 32);
	own_unique_release(&u);
}

static const struct child children[] = {
	CHILD(used_as_another_type),
};

static const struct CMUnitTest tests[] = {
	TEST(description_says_what_the_type_is),
	TEST(type_described_in_two_files_is_one),
	TEST(new_object_is_owned_and_zeroed),
	TEST(owned_object_may_go_to_another_thread),
	TEST(payload_is_aligned_as_asked),
	TEST(bad_alignment_is_refused),
	TEST(sized_objects_know_their_size),
	TEST(size_of_its_own_needs_the_flag),
	TEST(size_that_overflows_is_no_memory),
	TEST(draft_of_a_sized_object_has_its_size),
	TEST(copy_makes_the_draft_and_fini_ends_each),
	TEST(error_of_copy_is_the_claims),
	TEST(typed_read_copies_the_value),
	TEST(other_type_stops_the_checked_build),
	TEST(header_takes_16_bytes),
};

TESTS_MAIN("type");
