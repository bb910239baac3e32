/* SPDX-License-Identifier: MIT */
/*
 * test_faults_stale.c - every verb, on a handle that is over and on another
 * thread's; doc/design/faults.md
 *
 * Each case is a forked child of its own: this process uses no libown. A
 * handle of each kind is made, and then the verb is called on a bitwise copy
 * after its release, or by a thread that did not take it.
 */
#include <stdio.h>
#include "tests/map_support.h"

static const struct own_site taken = { "place-of-taking.c", 11 };
static const struct own_site used = { "place-of-use.c", 22 };

static struct own_cell cell;
static struct own_shared s, other_s;
static struct own_unique u, other_u;

/* ---- how a handle is made ---- */

static void
share(uint32_t policy, int biased)
{
	item_cell(&cell, policy, 1, NULL);
	if (!biased) {
		assert_int_equal(own_cell_claim(&cell, &u), 0);
		own_unique_release(&u);
	}
	assert_int_equal(own_cell_share_at(&cell, &s, &taken), 0);
}

static void
make_hold(void)
{
	share(OWN_EXCLUSIVE, 1);
}

static void
make_counted(void)
{
	share(OWN_EXCLUSIVE, 0);
}

static void
make_version(void)
{
	share(OWN_VERSIONED, 1);
}

static void
make_entry(void)
{
	begin(&bytes_exclusive);
	add(map, KEY(1), 1);
	assert_int_equal(own_map_share_at(map, KEY(1), &s, &taken), 0);
}

static void
make_entry_version(void)
{
	begin(&u64_versioned);
	add(map, KEY(1), 1);
	assert_int_equal(own_map_share_at(map, KEY(1), &s, &taken), 0);
}

static void
make_whole(void)
{
	begin(&bytes_exclusive);
	assert_int_equal(own_map_share_all(map, &s), 0);
}

static void
make_unique(void)
{
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	assert_int_equal(own_cell_claim_at(&cell, &u, &taken), 0);
}

static void
make_draft(void)
{
	item_cell(&cell, OWN_VERSIONED, 1, NULL);
	assert_int_equal(own_cell_claim_at(&cell, &u, &taken), 0);
}

static void
make_entry_unique(void)
{
	begin(&u64_exclusive);
	add(map, KEY(1), 1);
	assert_int_equal(own_map_claim_at(map, KEY(1), &u, &taken), 0);
}

static void
make_entry_draft(void)
{
	begin(&bytes_versioned);
	add(map, KEY(1), 1);
	assert_int_equal(own_map_claim_at(map, KEY(1), &u, &taken), 0);
}

static void
make_made(void)
{
	int made;

	begin(&bytes_exclusive);
	assert_int_equal(own_map_claim_or_new_at(map, KEY(1), &u, &made,
			&taken), 0);
	assert_true(made);
}

static void
make_whole_unique(void)
{
	begin(&bytes_exclusive);
	assert_int_equal(own_map_claim_all(map, &u), 0);
}

struct made {
	const char *name;
	void (*make)(void);
	int whole;
};

static const struct made shared[] = {
	{ "hold", make_hold, 0 },
	{ "counted", make_counted, 0 },
	{ "version", make_version, 0 },
	{ "entry", make_entry, 0 },
	{ "entry's version", make_entry_version, 0 },
	{ "whole", make_whole, 1 },
};

static const struct made unique[] = {
	{ "unique", make_unique, 0 },
	{ "draft", make_draft, 0 },
	{ "entry", make_entry_unique, 0 },
	{ "entry's draft", make_entry_draft, 0 },
	{ "entry in the making", make_made, 0 },
	{ "whole", make_whole_unique, 1 },
};

/* ---- the verbs ---- */

struct verb {
	const char *name;
	void (*shared)(struct own_shared *h);
	void (*unique)(struct own_unique *h);
	int not_whole;		/* refused by an error before the handle is */
};

static void
do_clone(struct own_shared *h)
{
	(void)!own_shared_clone_at(h, &other_s, &used);
}

static void
do_upgrade(struct own_shared *h)
{
	(void)!own_shared_upgrade_try_at(h, &other_u, &used);
}

static void
do_detach(struct own_shared *h)
{
	(void)!own_shared_detach(h);
}

static void
do_make_mine(struct own_shared *h)
{
	(void)!own_shared_make_mine(h, &other_u);
}

static void
do_downgrade(struct own_unique *h)
{
	own_unique_downgrade_at(h, &other_s, &used);
}

static void
do_detach_unique(struct own_unique *h)
{
	(void)!own_unique_detach(h);
}

static void
do_release(struct own_shared *h)
{
	own_shared_release(h);
}

static void
do_release_unique(struct own_unique *h)
{
	own_unique_release(h);
}

static void
do_commit(struct own_unique *h)
{
	own_unique_commit(h);
}

static const struct verb verbs[] = {
	{ "own_shared_release", do_release, NULL, 0 },
	{ "own_shared_clone", do_clone, NULL, 0 },
	{ "own_shared_upgrade_try", do_upgrade, NULL, 0 },
	{ "own_shared_detach", do_detach, NULL, 0 },
	{ "own_shared_make_mine", do_make_mine, NULL, 1 },
	{ "own_unique_release", NULL, do_release_unique, 0 },
	{ "own_unique_commit", NULL, do_commit, 0 },
	{ "own_unique_downgrade", NULL, do_downgrade, 0 },
	{ "own_unique_detach", NULL, do_detach_unique, 0 },
};

#ifdef OWN_CHECKED
static void
do_get(struct own_shared *h)
{
	(void)own_shared_get(h);
}

static void
do_edit(struct own_unique *h)
{
	(void)own_unique_edit(h);
}

static const struct verb looks[] = {
	{ "get or edit", do_get, NULL, 0 },
	{ "get or edit", NULL, do_edit, 0 },
};
#endif

/* ---- the two faults ---- */

static const struct verb *doing;

static void
do_stale(const struct made *made)
{
	struct own_shared s_copy;
	struct own_unique u_copy;

	made->make();
	s_copy = s;
	u_copy = u;
	own_shared_release(&s);
	own_unique_release(&u);
	if (doing->shared)
		doing->shared(&s_copy);
	else
		doing->unique(&u_copy);
}

static void *
do_elsewhere(void *arg)
{
	(void)arg;
	if (doing->shared)
		doing->shared(&s);
	else
		doing->unique(&u);
	return NULL;
}

static int
act_elsewhere(struct actor *a)
{
	(void)do_elsewhere(a);
	return 0;
}

static void
do_foreign(const struct made *made)
{
	struct actor a;

	made->make();
	actor_start(&a, NULL);
	actor_do(&a, act_elsewhere);
}

/* By a thread that has never used the library. */
static void
do_strange(const struct made *made)
{
	pthread_t id;

	made->make();
	assert_int_equal(pthread_create(&id, NULL, do_elsewhere, NULL), 0);
	assert_int_equal(pthread_join(id, NULL), 0);
}

struct attempt {
	const struct verb *verb;
	const struct made *made;
	void (*run)(const struct made *made);
};

static void
attempt(const void *arg)
{
	const struct attempt *a = arg;

	doing = a->verb;
	a->run(a->made);
}

static void
stops(const struct verb *verb, const struct made *made,
		void (*run)(const struct made *made), const char *text)
{
	const struct attempt a = { verb, made, run };
	struct outcome o;
	char expected[256];

	child_fork(attempt, &a, &o);
	(void)snprintf(expected, sizeof(expected), "libown: %s%s", verb->name,
			text);
	if (!child_aborted(&o) || !strstr(o.text, expected) ||
			!strstr(o.text, made->whole ? "test_faults_stale.c:"
			: " at place-of-taking.c:11"))
		fail_msg("%s of a %s: status %#x, no \"%s\" in: %s",
				verb->name, made->name, (unsigned)o.status,
				expected, o.text);
}

#define N(array)	(sizeof(array) / sizeof(array[0]))

static void
each_stops(const struct verb *of, size_t n,
		void (*run)(const struct made *made), const char *text)
{
	for (size_t i = 0; i < n; i++) {
		const struct made *made = of[i].shared ? shared : unique;
		size_t kinds = of[i].shared ? N(shared) : N(unique);

		/* a stranger's comes down to the same check for all kinds */
		if (run == do_strange)
			kinds = 1;
		for (size_t k = 0; k < kinds; k++)
			if (!of[i].not_whole || !made[k].whole)
				stops(&of[i], &made[k], run, text);
	}
}

static void
verb_on_a_stale_copy_stops_the_process(void **state)
{
	(void)state;
	each_stops(verbs, N(verbs), do_stale, ": handle is stale; it is over, "
			"its slot was last used by thread ");
}

static void
verb_on_another_threads_handle_stops_the_process(void **state)
{
	(void)state;
	each_stops(verbs, N(verbs), do_foreign, ": handle of another thread; "
			"it was taken by thread ");
}

static void
verb_of_a_thread_without_handles_stops_the_process(void **state)
{
	(void)state;
	each_stops(verbs, N(verbs), do_strange, ": handle of another thread; "
			"it was taken by thread ");
}

static void
use_of_a_wrong_handle_stops_the_checked_build(void **state)
{
	(void)state;
#ifdef OWN_CHECKED
	each_stops(looks, N(looks), do_stale, ": handle is stale; it is over, "
			"its slot was last used by thread ");
	each_stops(looks, N(looks), do_foreign, ": handle of another thread; "
			"it was taken by thread ");
	each_stops(looks, N(looks), do_strange, ": handle of another thread; "
			"it was taken by thread ");
#else
	print_message("only the checked build looks at a handle when it is "
			"used\n");
	skip();
#endif
}

NO_CHILDREN;

static const struct CMUnitTest tests[] = {
	TEST(verb_on_a_stale_copy_stops_the_process),
	TEST(verb_on_another_threads_handle_stops_the_process),
	TEST(verb_of_a_thread_without_handles_stops_the_process),
	TEST(use_of_a_wrong_handle_stops_the_checked_build),
};

TESTS_MAIN("faults_stale");
