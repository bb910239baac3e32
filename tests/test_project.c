/* SPDX-License-Identifier: MIT */
/*
 * test_project.c - handles that name a part, where states.md says no more than
 * that they do
 */
#include <stdio.h>
#include <own/own.h>
#include "tests/support.h"

/* A payload with a part inside and one in memory of its own. */
struct tree {
	uint64_t root;
	uint64_t leaf;
	uint64_t *owned;
	uint32_t *ended;
};

static int
tree_copy(void *to, const void *from, size_t size_bytes)
{
	struct tree *tree = to;

	memcpy(to, from, size_bytes);
	tree->owned = malloc(sizeof(*tree->owned));
	if (!tree->owned)
		return -ENOMEM;
	*tree->owned = *((const struct tree *)from)->owned;
	return 0;
}

static void
tree_fini(void *payload, size_t size_bytes)
{
	struct tree *tree = payload;

	(void)size_bytes;
	free(tree->owned);
	if (tree->ended)
		++*tree->ended;
}

OWN_TYPE(tree, struct tree, .copy = tree_copy, .fini = tree_fini);

static uint32_t ended;
static struct own_map *map;

static void
tree_make(struct own_unique *ret, uint64_t n)
{
	assert_int_equal(tree_new(ret), 0);
	*tree_edit(ret) = (struct tree) {
		n, n + 1, malloc(sizeof(uint64_t)), &ended,
	};
	assert_non_null(tree_edit(ret)->owned);
	*tree_edit(ret)->owned = n + 2;
}

static void
tree_cell(struct own_cell *cell, uint32_t policy, uint64_t n)
{
	struct own_unique u = { 0 };

	ended = 0;
	tree_make(&u, n);
	/* what goes into a cell is the whole */
	own_unique_project(&u, tree_edit(&u)->owned);
	assert_int_equal(own_cell_init(cell, &tree_type, policy, "the cell",
			&u), 0);
	assert_null(u.object);
}

static void
map_open(uint32_t policy)
{
	struct own_map_options options = {
		.size = sizeof(options), .type = &tree_type, .name = "map",
		.policy = policy, .flags = OWN_MAP_U64,
	};

	ended = 0;
	assert_int_equal(own_map_create(&options, &map), 0);
}

static void
close_map(uint32_t trees)
{
	own_map_destroy(map);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(ended, trees);
	assert_false(own_i_slot_any(own_i_this));
}

/* ---- which part it is ---- */

static void
upgrade_in_place_keeps_any_part(void **state)
{
	struct own_cell cell;
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };
	const struct tree *tree;
	const void *parts[3];

	(void)state;
	tree_cell(&cell, OWN_EXCLUSIVE, 10);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	tree = tree_get(&s);
	parts[0] = &tree->leaf;
	parts[1] = tree->owned;
	parts[2] = tree;
	own_shared_release(&s);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(own_cell_share(&cell, &s), 0);
		own_shared_project(&s, parts[i]);
		assert_int_equal(own_shared_upgrade_try(&s, &u), 0);
		assert_ptr_equal(own_unique_edit(&u), parts[i]);
		assert_ptr_equal(own_unique_whole(&u), tree);
		++*(uint64_t *)own_unique_edit(&u);
		own_unique_downgrade(&u, &s);
		assert_ptr_equal(own_shared_get(&s), parts[i]);
		own_shared_release(&s);
	}
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	assert_int_equal(tree_edit(&u)->root, 11);
	assert_int_equal(tree_edit(&u)->leaf, 12);
	assert_int_equal(*tree_edit(&u)->owned, 13);
	own_unique_release(&u);
	own_cell_destroy(&cell);
	assert_int_equal(ended, 1);
}

/* A draft is a copy: the same place in it, if there is one. */
static void
draft_of_a_part(struct own_shared *s)
{
	struct own_unique u = { 0 };
	const struct tree *tree = own_shared_whole(s), *draft;
	const char *outside[3];

	outside[0] = (const char *)tree->owned;
	outside[1] = (const char *)(tree + 1);
	outside[2] = (const char *)tree - 1;
	for (unsigned i = 0; i < 3; i++) {
		own_shared_project(s, outside[i]);
		assert_int_equal(own_shared_upgrade_try(s, &u), -EINVAL);
		assert_null(u.object);
		assert_ptr_equal(own_shared_get(s), outside[i]);
	}
	own_shared_project(s, &tree->leaf);
	assert_int_equal(own_shared_upgrade_try(s, &u), 0);
	draft = own_unique_whole(&u);
	assert_ptr_not_equal(draft, tree);
	assert_ptr_equal(own_unique_edit(&u), &draft->leaf);
	*(uint64_t *)own_unique_edit(&u) = 77;
	own_unique_project(&u, draft->owned);
	*(uint64_t *)own_unique_edit(&u) = 78;
	/* through a part that is not in the payload at all */
	assert_int_equal(own_unique_detach(&u), 0);
	assert_ptr_equal(own_unique_whole(&u), draft);
	own_unique_downgrade(&u, s);
	assert_ptr_equal(own_shared_whole(s), draft);
	assert_ptr_equal(own_shared_get(s), draft->owned);
	assert_int_equal(own_size(s), sizeof(struct tree));
	own_shared_release(s);
}

static void
upgrade_of_a_version_names_the_place_in_the_draft(void **state)
{
	struct own_cell cell;
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };

	(void)state;
	tree_cell(&cell, OWN_VERSIONED, 10);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	draft_of_a_part(&s);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(tree_get(&s)->leaf, 77);
	assert_int_equal(*tree_get(&s)->owned, 78);
	own_shared_release(&s);
	own_cell_destroy(&cell);
	map_open(OWN_VERSIONED);
	tree_make(&u, 20);
	assert_int_equal(own_map_put_u64(map, 5, &u), 0);
	assert_int_equal(own_map_share_u64(map, 5, &s), 0);
	draft_of_a_part(&s);
	assert_int_equal(own_map_share_u64(map, 5, &s), 0);
	assert_int_equal(tree_get(&s)->leaf, 77);
	assert_int_equal(*tree_get(&s)->owned, 78);
	own_shared_project(&s, tree_get(&s)->owned);
	assert_int_equal(own_map_key_u64(&s), 5);
	own_shared_release(&s);
	/* two of the entry, and the two of the cell that end at a scan */
	own_map_destroy(map);
	assert_int_equal(own_barrier(), 0);
	assert_false(own_i_slot_any(own_i_this));
}

static void
what_is_made_mine_names_the_whole(void **state)
{
	struct own_shared s = { 0 }, more = { 0 };
	struct own_unique u = { 0 };
	const struct tree *was;

	(void)state;
	ended = 0;
	tree_make(&u, 1);
	was = tree_edit(&u);
	own_unique_project(&u, tree_edit(&u)->owned);
	own_unique_publish(&u, &s);
	assert_ptr_equal(own_shared_get(&s), was->owned);
	assert_int_equal(own_shared_clone(&s, &more), 0);
	assert_ptr_equal(own_shared_get(&more), was->owned);
	/* a copy */
	assert_int_equal(own_shared_make_mine(&more, &u), 0);
	assert_ptr_not_equal(tree_edit(&u), was);
	assert_int_equal(*tree_edit(&u)->owned, 3);
	own_unique_release(&u);
	assert_int_equal(ended, 1);
	/* the object itself */
	assert_int_equal(own_shared_make_mine(&s, &u), 0);
	assert_ptr_equal(tree_edit(&u), was);
	own_unique_release(&u);
	assert_int_equal(ended, 2);
}

/* ---- what takes the object in ---- */

static void
cells_take_the_whole(void **state)
{
	struct own_cell cell;
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };
	struct item *item;

	tree_cell(&cell, POLICY(state), 1);
	tree_make(&u, 2);
	own_unique_project(&u, &tree_edit(&u)->leaf);
	assert_int_equal(own_cell_replace(&cell, &u), 0);
	assert_null(u.object);
	tree_make(&u, 3);
	own_unique_project(&u, tree_edit(&u)->owned);
	assert_int_equal(own_cell_swap(&cell, &u), 0);
	/* what was taken out is named as a whole */
	assert_int_equal(tree_edit(&u)->root, 2);
	own_unique_release(&u);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(tree_get(&s)->root, 3);
	own_shared_release(&s);
	/* another type, told by the whole; and it stands as it was */
	item_make(&u, 4, NULL);
	item = item_edit(&u);
	own_unique_project(&u, &item->twin);
	assert_int_equal(own_cell_replace(&cell, &u), -EINVAL);
	assert_ptr_equal(own_unique_edit(&u), &item->twin);
	own_unique_release(&u);
	own_cell_destroy(&cell);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(ended, 3);
}

static void
maps_take_the_whole(void **state)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	struct tree *tree;

	map_open(POLICY(state));
	/* moved into an entry */
	tree_make(&u, 1);
	own_unique_project(&u, tree_edit(&u)->owned);
	assert_int_equal(own_map_put_u64(map, 1, &u), 0);
	assert_null(u.object);
	/* goes in as it is */
	assert_int_equal(own_map_new_u64(map, 2, &u), 0);
	tree = tree_edit(&u);
	*tree = (struct tree){ 2, 3, malloc(sizeof(uint64_t)), &ended };
	assert_non_null(tree->owned);
	*tree->owned = 4;
	own_unique_project(&u, &tree->leaf);
	assert_int_equal(own_map_key_u64(&u), 2);
	assert_int_equal(own_map_put_u64(map, 2, &u), 0);
	assert_int_equal(own_map_share_u64(map, 2, &s), 0);
	assert_ptr_equal(tree_get(&s), tree);
	own_shared_release(&s);
	/* refused, it stands as it was */
	tree_make(&u, 9);
	tree = tree_edit(&u);
	own_unique_project(&u, tree->owned);
	assert_int_equal(own_map_put_new_u64(map, 1, &u), -EEXIST);
	assert_ptr_equal(own_unique_edit(&u), tree->owned);
	own_unique_release(&u);
	assert_int_equal(own_map_share_u64(map, 1, &s), 0);
	assert_int_equal(tree_get(&s)->root, 1);
	assert_int_equal(*tree_get(&s)->owned, 3);
	own_shared_release(&s);
	close_map(3);
}

static void
entry_is_removed_by_its_part(void **state)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	uint32_t made = 1;

	map_open(POLICY(state));
	tree_make(&u, 1);
	assert_int_equal(own_map_put_u64(map, 1, &u), 0);
	assert_int_equal(own_map_claim_u64(map, 1, &u), 0);
	made += POLICY(state) == OWN_VERSIONED;
	own_unique_project(&u, tree_edit(&u)->owned);
	own_map_remove_held(&u);
	assert_null(u.object);
	assert_int_equal(own_map_share_u64(map, 1, &s), -ENOENT);
	close_map(made);
}

/* Past slot 0, and by count: not by the ways that the inlines know. */
static void
every_handle_of_many_finds_its_whole(void **state)
{
	enum { N = 70 };
	struct own_cell cells[N];
	struct own_shared s[N] = { { 0 } };
	const struct tree *trees[N];

	for (unsigned i = 0; i < N; i++) {
		tree_cell(&cells[i], POLICY(state), i);
		assert_int_equal(own_cell_share(&cells[i], &s[i]), 0);
		trees[i] = tree_get(&s[i]);
		own_shared_project(&s[i], trees[i]->owned);
	}
	ended = 0;
	for (unsigned i = 0; i < N; i++) {
		assert_ptr_equal(own_shared_whole(&s[i]), trees[i]);
		assert_int_equal(*(const uint64_t *)own_shared_get(&s[i]),
				i + 2);
	}
	for (unsigned i = 0; i < N; i++) {
		if (i % 2)
			assert_int_equal(own_shared_detach(&s[i]), 0);
		assert_ptr_equal(own_shared_whole(&s[i]), trees[i]);
		own_shared_release(&s[i]);
		assert_null(s[i].object);
		own_cell_destroy(&cells[i]);
	}
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(ended, N);
}

static void
size_is_that_of_the_whole(void **state)
{
	static const struct own_type text = {
		.name = "text", .align = 1, .flags = OWN_SIZED,
	};
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };

	(void)state;
	assert_int_equal(own_new_sized(&text, 100, &u), 0);
	own_unique_project(&u, (char *)own_unique_edit(&u) + 40);
	assert_int_equal(own_size(&u), 100);
	own_unique_publish(&u, &s);
	assert_int_equal(own_size(&s), 100);
	own_shared_release(&s);
	assert_int_equal(own_size(&s), 0);
	assert_null(own_shared_whole(&s));
	assert_null(own_unique_whole(&u));
}

/* ---- misuse ---- */

static struct own_cell one;
static struct own_shared held;
static struct own_unique got;

static void
shared_one(void)
{
	tree_cell(&one, OWN_EXCLUSIVE, 1);
	assert_int_equal(own_cell_share(&one, &held), 0);
}

static void
empty_shared(void)
{
	own_shared_project(&held, &ended);
}

static void
empty_unique(void)
{
	own_unique_project(&got, &ended);
}

static void
no_part(void)
{
	shared_one();
	own_shared_project(&held, NULL);
}

static void
whole_map(void)
{
	map_open(OWN_EXCLUSIVE);
	assert_int_equal(own_map_claim_all(map, &got), 0);
	own_unique_project(&got, &ended);
}

static void
stale(void)
{
	struct own_shared copy;

	shared_one();
	memcpy(&copy, &held, sizeof(copy));
	own_shared_release(&held);
	own_shared_project(&copy, &ended);
}

static void *
project_held(void *arg)
{
	(void)arg;
	own_shared_project(&held, &ended);
	return NULL;
}

static void
foreign(void)
{
	pthread_t id;

	shared_one();
	assert_int_equal(pthread_create(&id, NULL, project_held, NULL), 0);
	assert_int_equal(pthread_join(id, NULL), 0);
}

/* Stops in the checked build alone: it knows the type that was asked for. */
static void
part_as_whole(void)
{
	shared_one();
	own_shared_project(&held, &tree_get(&held)->leaf);
	(void)tree_get(&held);
}

static void
misuse_stops_the_process(void **state)
{
	(void)state;
	child_aborts("empty_shared", "own_shared_project: empty handle", NULL);
	child_aborts("empty_unique", "own_unique_project: empty handle", NULL);
	child_aborts("no_part", "own_shared_project: no part",
			"test_project.c", NULL);
	child_aborts("whole_map", "own_unique_project: a whole map has no "
			"payload", NULL);
	child_aborts("stale", "own_shared_project: handle is stale", NULL);
	child_aborts("foreign", "own_shared_project: handle of another thread",
			"test_project.c", NULL);
#ifdef OWN_CHECKED
	child_aborts("part_as_whole", "handle of a part used as the whole",
			NULL);
#else
	child_succeeds("part_as_whole", NULL);
#endif
}

static const struct child children[] = {
	CHILD(empty_shared),
	CHILD(empty_unique),
	CHILD(no_part),
	CHILD(whole_map),
	CHILD(stale),
	CHILD(foreign),
	CHILD(part_as_whole),
};

static const struct CMUnitTest tests[] = {
	TEST(upgrade_in_place_keeps_any_part),
	TEST(upgrade_of_a_version_names_the_place_in_the_draft),
	TEST(what_is_made_mine_names_the_whole),
	TEST_BOTH(cells_take_the_whole),
	TEST_BOTH(maps_take_the_whole),
	TEST_BOTH(entry_is_removed_by_its_part),
	TEST_BOTH(every_handle_of_many_finds_its_whole),
	TEST(size_is_that_of_the_whole),
	TEST(misuse_stops_the_process),
};

TESTS_MAIN("project");
