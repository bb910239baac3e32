/* SPDX-License-Identifier: MIT */
/*
 * test_faults_held.c - what is destroyed while another thread has, makes or
 * waits for a handle of it; doc/design/faults.md
 *
 * Each child is one case: an actor called "holder" does something, and then
 * this thread destroys. The report names the actor and the actor's place.
 */
#include <sys/prctl.h>
#include "tests/map_support.h"

static struct own_cell cell;
static struct actor holder;
static struct spot spot;

static int
act_name(struct actor *a)
{
	(void)a;
	/* libown notes the name when a thread registers */
	(void)prctl(PR_SET_NAME, "holder", 0, 0, 0);
	memcpy(own_i_this->name, "holder", sizeof("holder"));
	return 0;
}

/* ---- cells ---- */

static void
cell_begin(uint32_t policy, int biased)
{
	struct own_unique u = { 0 };

	item_cell(&cell, policy, 1, NULL);
	if (!biased) {
		assert_int_equal(own_cell_claim(&cell, &u), 0);
		own_unique_release(&u);
	}
	actor_start(&holder, &cell);
	actor_do(&holder, act_name);
}

/* The actor does it and has its handle; then the cell is destroyed. */
static void
cell_taken(int (*verb)(struct actor *a))
{
	assert_int_equal(actor_do(&holder, verb), 0);
	own_cell_destroy(&cell);
}

/* The actor sleeps in it. */
static void
cell_awaited(int (*verb)(struct actor *a))
{
	actor_begin(&holder, verb);
	actor_await(&holder);
	own_cell_destroy(&cell);
}

static void
cell_shared(void)
{
	cell_begin(OWN_EXCLUSIVE, 1);
	cell_taken(act_share);
}

static void
cell_counted(void)
{
	cell_begin(OWN_EXCLUSIVE, 0);
	cell_taken(act_share);
}

static void
cell_unique(void)
{
	cell_begin(OWN_EXCLUSIVE, 1);
	cell_taken(act_claim);
}

static void
cell_version(void)
{
	cell_begin(OWN_VERSIONED, 1);
	cell_taken(act_share);
}

static void
cell_draft(void)
{
	cell_begin(OWN_VERSIONED, 1);
	cell_taken(act_claim);
}

/* This thread's own handle is detached: so the actor alone has a slot. */
static void
cell_waits_to_share(void)
{
	struct own_unique u = { 0 };

	cell_begin(OWN_EXCLUSIVE, 1);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	assert_int_equal(own_unique_detach(&u), 0);
	cell_awaited(act_share);
}

static void
cell_waits_to_claim(void)
{
	struct own_unique u = { 0 };

	cell_begin(OWN_EXCLUSIVE, 1);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	assert_int_equal(own_unique_detach(&u), 0);
	cell_awaited(act_claim);
}

static void
cell_waits_for_readers(void)
{
	struct own_shared s = { 0 };

	cell_begin(OWN_EXCLUSIVE, 1);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(own_shared_detach(&s), 0);
	cell_awaited(act_claim);
}

static void
cell_waits_to_draft(void)
{
	struct own_unique u = { 0 };

	cell_begin(OWN_VERSIONED, 1);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	assert_int_equal(own_unique_detach(&u), 0);
	cell_awaited(act_claim);
}

static int
act_share_detached(struct actor *a)
{
	int r = act_share(a);

	return r ? r : own_shared_detach(&a->s);
}

static int
act_claim_detached(struct actor *a)
{
	int r = act_claim(a);

	return r ? r : own_unique_detach(&a->u);
}

static void
cell_detached(void)
{
	cell_begin(OWN_EXCLUSIVE, 1);
	cell_taken(act_share_detached);
}

static void
cell_unique_detached(void)
{
	cell_begin(OWN_EXCLUSIVE, 1);
	cell_taken(act_claim_detached);
}

static void
cell_draft_detached(void)
{
	cell_begin(OWN_VERSIONED, 1);
	cell_taken(act_claim_detached);
}

struct report {
	const char *child, *what, *waits;
};

static const struct report cells[] = {
	{ "cell_shared", ", shared, item 0x", "\n" },
	{ "cell_counted", ", shared (counted), item 0x", "\n" },
	{ "cell_unique", ", unique, item 0x", "\n" },
	{ "cell_version", ", shared, item 0x", "\n" },
	{ "cell_draft", ", unique (draft), item 0x", "\n" },
	{ "cell_waits_to_share", ", asking, item 0x", ", waits at actor.c:1" },
	{ "cell_waits_to_claim", ", asking, item 0x", ", waits at actor.c:1" },
	{ "cell_waits_for_readers", ", unique, waiting for readers, item 0x",
		", waits at actor.c:1" },
	{ "cell_waits_to_draft", ", asking, item 0x", ", waits at actor.c:1" },
};

static void
cell_of_another_thread_is_destroyed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
		child_aborts(cells[i].child, "libown: own_cell_destroy: a "
				"handle of the cell is out; held by thread ",
				" (holder)", cells[i].what,
				" in the cell at actor.c:1", cells[i].waits,
				NULL);
}

static void
cell_with_a_detached_handle_is_destroyed(void **state)
{
	static const char text[] =
		"libown: own_cell_destroy: a handle of the cell is out\n";

	(void)state;
	child_aborts("cell_detached", text, NULL);
	child_aborts("cell_unique_detached", text, NULL);
	child_aborts("cell_draft_detached", text, NULL);
}

/* ---- maps ---- */

static void
map_begin(const struct kind *kind)
{
	begin(kind);
	add(map, KEY(1), 1);
	spot_start(&holder, &spot, KEY(1));
	actor_do(&holder, act_name);
}

static void
map_taken(const struct kind *kind, int (*verb)(struct actor *a))
{
	map_begin(kind);
	assert_int_equal(actor_do(&holder, verb), 0);
	own_map_destroy(map);
}

static void
map_awaited(int (*verb)(struct actor *a))
{
	actor_begin(&holder, verb);
	actor_await(&holder);
	own_map_destroy(map);
}

static int
at_make(struct actor *a)
{
	SPOT(a)->key = KEY(2);
	return at_claim_or_new(a);
}

static int
at_share_detached(struct actor *a)
{
	int r = at_share(a);

	return r ? r : own_shared_detach(&a->s);
}

static int
at_claim_detached(struct actor *a)
{
	int r = at_claim(a);

	return r ? r : own_unique_detach(&a->u);
}

static int
at_make_detached(struct actor *a)
{
	int r = at_make(a);

	return r ? r : own_unique_detach(&a->u);
}

static int
at_share_all_detached(struct actor *a)
{
	int r = at_share_all(a);

	return r ? r : own_shared_detach(&a->s);
}

static int
at_claim_all_detached(struct actor *a)
{
	int r = at_claim_all(a);

	return r ? r : own_unique_detach(&a->u);
}

static void
entry_shared(void)
{
	map_taken(&bytes_exclusive, at_share);
}

static void
entry_unique(void)
{
	map_taken(&u64_exclusive, at_claim);
}

static void
entry_version(void)
{
	map_taken(&u64_versioned, at_share);
}

static void
entry_draft(void)
{
	map_taken(&bytes_versioned, at_claim);
}

static void
entry_made(void)
{
	map_taken(&bytes_exclusive, at_make);
}

static void
entry_made_versioned(void)
{
	map_taken(&bytes_versioned, at_make);
}

static void
entry_waits(void)
{
	struct own_unique u = { 0 };

	map_begin(&bytes_exclusive);
	assert_int_equal(own_map_claim(map, KEY(1), &u), 0);
	assert_int_equal(own_unique_detach(&u), 0);
	map_awaited(at_share);
}

static void
entry_waits_for_readers(void)
{
	struct own_shared s = { 0 };

	map_begin(&bytes_exclusive);
	assert_int_equal(own_map_share(map, KEY(1), &s), 0);
	assert_int_equal(own_shared_detach(&s), 0);
	map_awaited(at_claim);
}

static void
whole_shared(void)
{
	map_taken(&bytes_exclusive, at_share_all);
}

static void
whole_unique(void)
{
	map_taken(&bytes_versioned, at_claim_all);
}

static void
whole_waits(void)
{
	struct own_shared s = { 0 };

	map_begin(&bytes_exclusive);
	assert_int_equal(own_map_share_all(map, &s), 0);
	assert_int_equal(own_shared_detach(&s), 0);
	map_awaited(at_claim_all);
}

/* An entry's claimer, which the whole keeps out. */
static void
gate_waits(void)
{
	struct own_shared s = { 0 };

	map_begin(&bytes_exclusive);
	assert_int_equal(own_map_share_all(map, &s), 0);
	assert_int_equal(own_shared_detach(&s), 0);
	map_awaited(at_claim);
}

static void
entry_detached(void)
{
	map_taken(&bytes_exclusive, at_share_detached);
}

static void
entry_unique_detached(void)
{
	map_taken(&bytes_exclusive, at_claim_detached);
}

static void
entry_draft_detached(void)
{
	map_taken(&bytes_versioned, at_claim_detached);
}

static void
entry_made_detached(void)
{
	map_taken(&bytes_exclusive, at_make_detached);
}

static void
whole_detached(void)
{
	map_taken(&bytes_versioned, at_share_all_detached);
}

static void
whole_unique_detached(void)
{
	map_taken(&bytes_exclusive, at_claim_all_detached);
}

/* The verbs for the whole have no form that takes a place. */
static const struct report maps[] = {
	{ "entry_shared", ", shared", " of key key 1 in the map at actor.c:1" },
	{ "entry_unique", ", unique, item 0x",
		" of key 1 in the map at actor.c:1" },
	{ "entry_version", ", shared", " of key 1 in the map at actor.c:1" },
	{ "entry_draft", ", unique (draft), item 0x", " in the map at "
		"actor.c:1" },
	{ "entry_made", ", unique (new), item 0x", " of key key 2 in the map "
		"at actor.c:1" },
	{ "entry_made_versioned", ", unique (new), item 0x", " of key key 2 in "
		"the map at actor.c:1" },
	{ "entry_waits", ", asking, item 0x", " of key key 1 in the map at "
		"actor.c:1, waits at actor.c:1" },
	{ "entry_waits_for_readers", ", unique, waiting for readers, item 0x",
		" of key key 1 in the map at actor.c:1, waits at actor.c:1" },
	{ "whole_shared", ", the whole, map, shared 0x", " in the map at " },
	{ "whole_unique", ", the whole, map, unique 0x", " in the map at " },
	{ "whole_waits", ", asking, map", ", waits at " },
	{ "gate_waits", ", asking, map", ", waits at actor.c:1" },
};

static void
map_of_another_thread_is_destroyed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
		child_aborts(maps[i].child, "libown: own_map_destroy: a handle "
				"of the map is out; held by thread ",
				" (holder)", maps[i].what, maps[i].waits, NULL);
}

static void
map_with_a_detached_handle_is_destroyed(void **state)
{
	static const char *const names[] = {
		"entry_detached", "entry_unique_detached",
		"entry_draft_detached", "entry_made_detached",
		"whole_detached", "whole_unique_detached",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		child_aborts(names[i], "libown: own_map_destroy: a handle of "
				"the map is out\n", NULL);
}

static const struct child children[] = {
	CHILD(cell_counted),
	CHILD(cell_detached),
	CHILD(cell_draft),
	CHILD(cell_draft_detached),
	CHILD(cell_shared),
	CHILD(cell_unique),
	CHILD(cell_unique_detached),
	CHILD(cell_version),
	CHILD(cell_waits_for_readers),
	CHILD(cell_waits_to_claim),
	CHILD(cell_waits_to_draft),
	CHILD(cell_waits_to_share),
	CHILD(entry_detached),
	CHILD(entry_draft),
	CHILD(entry_draft_detached),
	CHILD(entry_made),
	CHILD(entry_made_detached),
	CHILD(entry_made_versioned),
	CHILD(entry_shared),
	CHILD(entry_unique),
	CHILD(entry_unique_detached),
	CHILD(entry_version),
	CHILD(entry_waits),
	CHILD(entry_waits_for_readers),
	CHILD(gate_waits),
	CHILD(whole_detached),
	CHILD(whole_shared),
	CHILD(whole_unique),
	CHILD(whole_unique_detached),
	CHILD(whole_waits),
};

static const struct CMUnitTest tests[] = {
	TEST(cell_of_another_thread_is_destroyed),
	TEST(cell_with_a_detached_handle_is_destroyed),
	TEST(map_of_another_thread_is_destroyed),
	TEST(map_with_a_detached_handle_is_destroyed),
};

TESTS_MAIN("faults_held");
