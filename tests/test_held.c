/* SPDX-License-Identifier: MIT */
/* test_held.c - what a thread holds, and being told before it waits */
#include <stdio.h>
#include "tests/map_support.h"

static struct own_cell cell;
static const struct own_site mine = { "mine.c", 11 };
static const struct own_site theirs = { "theirs.c", 22 };
static const struct own_site idle = { "idle.c", 33 };

static void
party_is(const struct own_party *p, const char *mode, const char *object,
		const char *container, const char *key,
		const struct own_site *site)
{
	assert_int_equal(p->tid, own_i_this->tid);
	assert_string_equal(p->mode, mode);
	assert_string_equal(p->object, object);
	assert_string_equal(p->container, container);
	assert_string_equal(p->key, key);
	assert_ptr_equal(p->site, site);
	assert_null(p->waits_at);
}

/* ---- own_held ---- */

static void
nothing_used_yet(void)
{
	struct own_party p;

	assert_int_equal(own_held(&p, 1), 0);
	assert_int_equal(own_idle_check(OWN_IDLE_STOP), 0);
	/* looking does not register the thread */
	assert_null(own_i_this);
}

static void
nothing_is_held_before_the_first_use(void **state)
{
	(void)state;
	child_succeeds("nothing_used_yet", NULL);
}

static void
shared_is_held_until_released(void **state)
{
	struct own_shared s = { 0 };
	struct own_party p[2];

	item_cell(&cell, POLICY(state), 1, NULL);
	assert_int_equal(own_held(p, 2), 0);
	assert_int_equal(own_cell_share_at(&cell, &s, &mine), 0);
	assert_int_equal(own_held(p, 2), 1);
	party_is(&p[0], "shared", "item", "the cell", "", &mine);
	own_shared_release(&s);
	assert_int_equal(own_held(p, 2), 0);
	own_cell_destroy(&cell);
	(void)own_barrier();
}

static void
counted_is_held(void **state)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };
	struct own_party p;

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	own_unique_downgrade_at(&u, &s, &theirs);
	assert_int_equal(own_held(&p, 1), 1);
	party_is(&p, "shared (counted)", "item", "the cell", "", &theirs);
	own_shared_release(&s);
	assert_int_equal(own_held(&p, 1), 0);
	own_cell_destroy(&cell);
}

static void
unique_is_held_until_released(void **state)
{
	struct own_unique u = { 0 };
	struct own_party p;

	item_cell(&cell, POLICY(state), 1, NULL);
	assert_int_equal(own_cell_claim_at(&cell, &u, &mine), 0);
	assert_int_equal(own_held(&p, 1), 1);
	party_is(&p, POLICY(state) == OWN_VERSIONED ? "unique (draft)" :
			"unique", "item", "the cell", "", &mine);
	own_unique_commit(&u);
	assert_int_equal(own_held(&p, 1), 0);
	own_cell_destroy(&cell);
	(void)own_barrier();
}

static void
refused_is_not_held(void **state)
{
	struct own_unique u = { 0 };
	struct actor a;

	item_cell(&cell, POLICY(state), 1, NULL);
	actor_start(&a, &cell);
	assert_int_equal(actor_do(&a, act_claim), 0);
	assert_int_equal(own_cell_claim_try(&cell, &u), -EBUSY);
	assert_int_equal(own_held(NULL, 0), 0);
	actor_stop(&a);
	own_cell_destroy(&cell);
	(void)own_barrier();
}

/* Detached: no thread's. Owned: nobody waits for it. */
static void
detached_and_owned_are_not_held(void **state)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };

	item_cell(&cell, POLICY(state), 1, NULL);
	item_make(&u, 1, NULL);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(own_held(NULL, 0), 1);
	assert_int_equal(own_shared_detach(&s), 0);
	assert_int_equal(own_held(NULL, 0), 0);
	assert_int_equal(own_idle_check(OWN_IDLE_STOP), 0);
	own_shared_release(&s);
	own_unique_release(&u);
	own_cell_destroy(&cell);
	(void)own_barrier();
}

static void
entry_is_held_with_its_key(void **state)
{
	const struct kind *kind = KIND(state);
	int number = kind->flags & OWN_MAP_U64;
	struct own_bytes key = number ? own__u64(77) : TEXT("a key\n");
	const char *text = number ? "77" : "a key.";
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	struct own_party p[2];

	map = map_new(&item_type, kind->policy, kind->flags);
	item_make(&u, 1, NULL);
	assert_int_equal(own_map_put(map, key, &u), 0);
	assert_int_equal(own_held(NULL, 0), 0);
	assert_int_equal(own__map_share_any(map, key, OWN__FOREVER, &s, &mine),
			0);
	assert_int_equal(own_held(p, 2), 1);
	/* an entry in place is counted until it has been read often */
	party_is(&p[0], kind->policy == OWN_VERSIONED ? "shared" :
			"shared (counted)", "item", "the map", text, &mine);
	own_shared_release(&s);
	assert_int_equal(own__map_claim_any(map, key, OWN__FOREVER, &u, NULL,
			&theirs), 0);
	assert_int_equal(own_held(p, 2), 1);
	party_is(&p[0], kind->policy == OWN_VERSIONED ? "unique (draft)" :
			"unique", "item", "the map", text, &theirs);
	own_unique_release(&u);
	assert_int_equal(own_held(p, 2), 0);
	own_map_destroy(map);
	(void)own_barrier();
}

static void
whole_map_is_held(void **state)
{
	const struct kind *kind = KIND(state);
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	struct own_party p[2];

	map = map_new(&item_type, kind->policy, kind->flags);
	assert_int_equal(own__map_share_all_any(map, OWN__FOREVER, &s, &mine),
			0);
	assert_int_equal(own_held(p, 2), 1);
	party_is(&p[0], "the whole", "map, shared", "the map", "", &mine);
	own_shared_release(&s);
	assert_int_equal(own__map_claim_all_any(map, OWN__FOREVER, &u,
			&theirs), 0);
	assert_int_equal(own_held(p, 2), 1);
	party_is(&p[0], "the whole", "map, unique", "the map", "", &theirs);
	own_unique_release(&u);
	assert_int_equal(own_held(p, 2), 0);
	own_map_destroy(map);
	(void)own_barrier();
}

/* Beyond the first block of slots; in the order of taking. */
static void
many_are_held_and_some_listed(void **state)
{
	enum { MANY = 2 * OWN__SLOTS + 6 };
	static struct own_shared s[MANY];
	static struct own_site site[MANY];
	static struct own_party p[MANY];

	item_cell(&cell, POLICY(state), 1, NULL);
	for (uint32_t i = 0; i < MANY; i++) {
		site[i] = (struct own_site) { "many.c", i };
		assert_int_equal(own_cell_share_at(&cell, &s[i], &site[i]), 0);
		assert_int_equal(own_held(NULL, 0), i + 1);
	}
	memset(p, 0, sizeof(p));
	assert_int_equal(own_held(p, 5), MANY);
	assert_ptr_equal(p[4].site, &site[4]);
	assert_null(p[5].site);
	assert_int_equal(own_held(p, MANY), MANY);
	for (uint32_t i = 0; i < MANY; i++)
		assert_ptr_equal(p[i].site, &site[i]);
	for (uint32_t i = 0; i < MANY; i++) {
		own_shared_release(&s[i]);
		assert_int_equal(own_held(NULL, 0), MANY - 1 - i);
	}
	own_cell_destroy(&cell);
	(void)own_barrier();
}

static int
act_held(struct actor *a)
{
	(void)a;
	return (int)own_held(NULL, 0);
}

static void
another_thread_holds_its_own_only(void **state)
{
	struct own_shared s = { 0 };
	struct actor a;

	item_cell(&cell, POLICY(state), 1, NULL);
	actor_start(&a, &cell);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(actor_do(&a, act_held), 0);
	assert_int_equal(actor_do(&a, act_share), 0);
	assert_int_equal(actor_do(&a, act_clone), 0);
	assert_int_equal(actor_do(&a, act_held), 2);
	assert_int_equal(own_held(NULL, 0), 1);
	own_shared_release(&s);
	actor_stop(&a);
	/* nor does its successor in the same record hold what it had */
	actor_start(&a, &cell);
	assert_int_equal(actor_do(&a, act_held), 0);
	actor_stop(&a);
	own_cell_destroy(&cell);
	(void)own_barrier();
}

static int
count_held(const void *value, size_t size_bytes, void *arg)
{
	(void)value;
	(void)size_bytes;
	(void)arg;
	return (int)own_held(NULL, 0);
}

static void
peek_counts_while_it_lasts(void **state)
{
	item_cell(&cell, POLICY(state), 1, NULL);
	assert_int_equal(own_cell_peek(&cell, count_held, NULL), 1);
	assert_int_equal(own_held(NULL, 0), 0);
	own_cell_destroy(&cell);
	(void)own_barrier();
}

static int held_in_copy = -1;

static int
copy_counts(void *to, const void *from, size_t size_bytes)
{
	memcpy(to, from, size_bytes);
	held_in_copy = (int)own_held(NULL, 0);
	return 0;
}

static const struct own_type copied_type = {
	.name = "copied", .size = 8, .copy = copy_counts,
};

/* The draft is none yet while its copy is made. */
static void
claim_under_way_is_not_held(void **state)
{
	struct own_unique u = { 0 };

	(void)state;
	assert_int_equal(own_new(&copied_type, &u), 0);
	assert_int_equal(own_cell_init(&cell, &copied_type, OWN_VERSIONED,
			NULL, &u), 0);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	assert_int_equal(held_in_copy, 0);
	assert_int_equal(own_held(NULL, 0), 1);
	own_unique_release(&u);
	own_cell_destroy(&cell);
	(void)own_barrier();
}

/* ---- own_idle_check: each actor is a thread that was told nothing yet ---- */

struct heard {
	int n;
	char text[4096];
};
static struct heard heard;

static void
on_stall(const char *text, void *arg)
{
	struct heard *to = arg;

	to->n++;
	snprintf(to->text, sizeof(to->text), "%s", text);
}

static int
act_idle_off(struct actor *a)
{
	(void)a;
	return own_idle_check_at(OWN_IDLE_OFF, &idle);
}

static int
act_idle_report(struct actor *a)
{
	(void)a;
	return own_idle_check_at(OWN_IDLE_REPORT, &idle);
}

static void
idle_start(struct actor *a, uint32_t policy)
{
	item_cell(&cell, policy, 1, NULL);
	memset(&heard, 0, sizeof(heard));
	own_stall_hook(on_stall, &heard);
	actor_start(a, &cell);
	a->site = &theirs;
}

static void
idle_stop(struct actor *a)
{
	actor_stop(a);
	own_stall_hook(NULL, NULL);
	own_cell_destroy(&cell);
	(void)own_barrier();
}

static void
idle_with_nothing_held_says_nothing(void **state)
{
	struct actor a;

	idle_start(&a, POLICY(state));
	assert_int_equal(actor_do(&a, act_share), 0);
	assert_int_equal(actor_do(&a, act_release), 0);
	assert_int_equal(actor_do(&a, act_idle_report), 0);
	assert_int_equal(heard.n, 0);
	idle_stop(&a);
}

static void
idle_off_counts_and_says_nothing(void **state)
{
	struct actor a;

	idle_start(&a, POLICY(state));
	assert_int_equal(actor_do(&a, act_share), 0);
	assert_int_equal(actor_do(&a, act_idle_off), 1);
	assert_int_equal(heard.n, 0);
	/* and spends no report */
	assert_int_equal(actor_do(&a, act_idle_report), 1);
	assert_int_equal(heard.n, 1);
	idle_stop(&a);
}

static void
idle_report_names_all(void **state)
{
	struct actor a;
	char text[512];

	(void)state;
	idle_start(&a, OWN_EXCLUSIVE);
	assert_int_equal(actor_do(&a, act_share), 0);
	a.site = &mine;
	assert_int_equal(actor_do(&a, act_clone), 0);
	assert_int_equal(actor_do(&a, act_idle_report), 2);
	assert_int_equal(heard.n, 1);
	snprintf(text, sizeof(text), "libown: thread %d (%s) is about to "
			"wait at idle.c:33; it still holds 2 handles: "
			"shared, item %p in the cell at theirs.c:22; shared, "
			"item %p in the cell at mine.c:11\n",
			own__load(&a.record->tid, OWN__RELAXED),
			a.record->name, (void *)&cell.word, (void *)&cell.word);
	assert_string_equal(heard.text, text);
	idle_stop(&a);
}

static int
act_share_many(struct actor *a)
{
	static struct own_shared s[OWN_PARTIES_MAX + 3];
	static char name[300];
	static struct own_site site = { name, 5 };
	int r;

	memset(name, 'n', sizeof(name) - 1);
	for (unsigned i = 0; i < OWN_PARTIES_MAX + 3; i++)
		assert_int_equal(own_cell_share_at(a->cell, &s[i], a->arg ?
				&site : a->site), 0);
	r = own_idle_check_at(OWN_IDLE_REPORT, &idle);
	for (unsigned i = 0; i < OWN_PARTIES_MAX + 3; i++)
		own_shared_release(&s[i]);
	return r;
}

static void
idle_report_of_many_is_cut(void **state)
{
	static int long_names;
	struct actor a;
	size_t length;
	unsigned n = 0;

	(void)state;
	idle_start(&a, OWN_EXCLUSIVE);
	assert_int_equal(actor_do(&a, act_share_many), OWN_PARTIES_MAX + 3);
	assert_int_equal(heard.n, 1);
	assert_non_null(strstr(heard.text, "it still holds 19 handles: "));
	for (const char *p = heard.text; (p = strstr(p, " at theirs.c:22"));
			p++)
		n++;
	assert_int_equal(n, OWN_PARTIES_MAX);
	assert_non_null(strstr(heard.text, "; and 3 more\n"));
	idle_stop(&a);
	/* too long for its buffer, it still is a line */
	idle_start(&a, OWN_EXCLUSIVE);
	a.arg = &long_names;
	assert_int_equal(actor_do(&a, act_share_many), OWN_PARTIES_MAX + 3);
	assert_int_equal(heard.n, 1);
	length = strlen(heard.text);
	assert_int_equal(length, 2047);
	assert_int_equal(heard.text[length - 1], '\n');
	idle_stop(&a);
}

static void
idle_report_of_the_same_comes_once(void **state)
{
	struct actor a;

	idle_start(&a, POLICY(state));
	assert_int_equal(actor_do(&a, act_share), 0);
	for (int i = 0; i < 50; i++)
		assert_int_equal(actor_do(&a, act_idle_report), 1);
	assert_int_equal(heard.n, 1);
	idle_stop(&a);
}

/* One forgotten at each turn: told of at most once a second, and again then. */
static void
idle_report_of_others_comes_once_a_second(void **state)
{
	struct actor a;
	uint64_t began_ns;

	(void)state;
	idle_start(&a, OWN_EXCLUSIVE);
	began_ns = own_now_ns();
	while (heard.n < 2) {
		assert_int_equal(actor_do(&a, act_share), 0);
		assert_int_equal(actor_do(&a, act_idle_report), 1);
		assert_int_equal(actor_do(&a, act_release), 0);
	}
	assert_true(own_now_ns() - began_ns >= 1000 * MS_NS);
	assert_true(own_now_ns() - began_ns < LONG_NS);
	idle_stop(&a);
}

static void
idle_refuses_an_unknown_what(void **state)
{
	(void)state;
	assert_int_equal(own_idle_check((enum own_idle)7), -EINVAL);
}

static void
stop_with_a_handle(void)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };
	int made;

	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	map = map_new(&item_type, OWN_EXCLUSIVE, OWN_MAP_U64);
	assert_int_equal(own_map_claim_or_new_u64(map, 77, &u,
			&made), 0);
	own_unique_commit(&u);
	assert_int_equal(own_idle_check(OWN_IDLE_STOP), 0);
	assert_int_equal(own_cell_share_at(&cell, &s, &mine), 0);
	assert_int_equal(own__map_claim_any(map, own__u64(77), OWN__FOREVER,
			&u, NULL, &theirs), 0);
	(void)own_idle_check_at(OWN_IDLE_STOP, &idle);
	own_unique_release(&u);
	own_shared_release(&s);
}

static void
idle_stop_ends_the_process(void **state)
{
	(void)state;
	child_aborts("stop_with_a_handle", "libown: thread ", " is about to "
			"wait at idle.c:33; it still holds 2 handles: shared, "
			"item 0x", " in the cell at mine.c:11; unique, item 0x",
			" of key 77 in the map at theirs.c:22\n", NULL);
}

static void
report_by_default(void)
{
	struct own_shared s = { 0 };

	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	assert_int_equal(own_cell_share_at(&cell, &s, &mine), 0);
	assert_int_equal(own_idle_check(OWN_IDLE_REPORT), 1);
	own_shared_release(&s);
	own_cell_destroy(&cell);
}

static void
idle_report_goes_to_stderr_by_default(void **state)
{
	struct outcome o;

	(void)state;
	child_run("report_by_default", NULL, &o);
	assert_int_equal(o.status, 0);
	assert_non_null(strstr(o.text, "is about to wait at "));
	assert_non_null(strstr(o.text, "test_held.c:"));
	assert_non_null(strstr(o.text, " in the cell at mine.c:11\n"));
}

static const struct child children[] = {
	CHILD(nothing_used_yet),
	CHILD(report_by_default),
	CHILD(stop_with_a_handle),
};

static const struct CMUnitTest tests[] = {
	TEST(nothing_is_held_before_the_first_use),
	TEST_BOTH(shared_is_held_until_released),
	TEST(counted_is_held),
	TEST_BOTH(unique_is_held_until_released),
	TEST_BOTH(refused_is_not_held),
	TEST_BOTH(detached_and_owned_are_not_held),
	TEST_MAP(entry_is_held_with_its_key),
	TEST_MAP(whole_map_is_held),
	TEST_BOTH(many_are_held_and_some_listed),
	TEST_BOTH(another_thread_holds_its_own_only),
	TEST_BOTH(peek_counts_while_it_lasts),
	TEST(claim_under_way_is_not_held),
	TEST_BOTH(idle_with_nothing_held_says_nothing),
	TEST_BOTH(idle_off_counts_and_says_nothing),
	TEST(idle_report_names_all),
	TEST(idle_report_of_many_is_cut),
	TEST_BOTH(idle_report_of_the_same_comes_once),
	TEST(idle_report_of_others_comes_once_a_second),
	TEST(idle_refuses_an_unknown_what),
	TEST(idle_stop_ends_the_process),
	TEST(idle_report_goes_to_stderr_by_default),
};

TESTS_MAIN("held");
