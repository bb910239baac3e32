/* SPDX-License-Identifier: MIT */
/* test_order.c - orders of locks that could deadlock, told before they do */

#include <stdio.h>
#include "lib/map-internal.h"
#include "tests/support.h"

#if OWN_I_ORDER

#define MANY		50u	/* more pairs of these than edges fit */

/* What the hook is told in a case. The classes of a case are its own: their
 * names are. */
struct told {
	unsigned n;
	char text[4096];
};
static struct told told;
static uint64_t fresh_key = 100;

static void
on_stall(const char *text, void *arg)
{
	struct told *t = arg;

	t->n++;
	snprintf(t->text, sizeof(t->text), "%s", text);
}

static int
begin(void **state)
{
	(void)state;
	memset(&told, 0, sizeof(told));
	own_stall_hook(on_stall, &told);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	own_stall_hook(NULL, NULL);
	return 0;
}

static void
cell_named(struct own_cell *cell, uint32_t policy, const char *name)
{
	struct own_unique u = { 0 };

	item_make(&u, 1, NULL);
	assert_int_equal(own_cell_init(cell, &item_type, policy, name, &u), 0);
}

static struct own_map *
map_named(uint32_t policy, const char *name)
{
	struct own_map_options o = {
		.size = sizeof(o), .type = &item_type, .name = name,
		.policy = policy, .flags = OWN_MAP_U64,
	};
	struct own_map *ret = NULL;
	struct own_unique u = { 0 };

	assert_int_equal(own_map_create(&o, &ret), 0);
	for (uint64_t key = 1; key <= 2; key++) {
		item_make(&u, key, NULL);
		assert_int_equal(own_map_put_u64(ret, key, &u), 0);
	}
	return ret;
}

/* ---- verbs ---- */

enum verb {
	CLAIM, CLAIM_TRY, CLAIM_TIMED, SHARE, SHARE_TRY, ENTRY_CLAIM,
	ENTRY_SHARE, ENTRY_PUT, WHOLE_CLAIM, WHOLE_SHARE,
};
struct take {
	enum verb verb;
	void *of;		/* a cell, or a map */
	struct own_site site;
};

static void
take(const struct take *t, struct own_unique *u, struct own_shared *s)
{
	uint64_t late = own_deadline_ns(LONG_NS);
	int r = -EINVAL;

	switch (t->verb) {
	case CLAIM:
		r = own_cell_claim_at(t->of, u, &t->site);
		break;
	case CLAIM_TRY:
		r = own_cell_claim_try_at(t->of, u, &t->site);
		break;
	case CLAIM_TIMED:
		r = own_cell_claim_timed_at(t->of, late, u, &t->site);
		break;
	case SHARE:
		r = own_cell_share_at(t->of, s, &t->site);
		break;
	case SHARE_TRY:
		r = own_cell_share_try_at(t->of, s, &t->site);
		break;
	case ENTRY_CLAIM:
		r = own_map_claim_at(t->of, own__u64(1), u, &t->site);
		break;
	case ENTRY_SHARE:
		r = own_map_share_at(t->of, own__u64(1), s, &t->site);
		break;
	case ENTRY_PUT:
		item_make(u, 1, NULL);
		/* nothing to replace */
		r = own__map_put_any(t->of, own__u64(fresh_key++),
				OWN__FOREVER, u, OWN__MAP_PUT, &t->site);
		break;
	case WHOLE_CLAIM:
		r = own__map_claim_all_any(t->of, OWN__FOREVER, u, &t->site);
		break;
	case WHOLE_SHARE:
		r = own__map_share_all_any(t->of, OWN__FOREVER, s, &t->site);
		break;
	}
	assert_int_equal(r, 0);
}

/* One while the other is held. */
static void
nest(const struct take *outer, const struct take *inner)
{
	struct own_unique u[2] = { { 0 } };
	struct own_shared s[2] = { { 0 } };

	take(outer, &u[0], &s[0]);
	take(inner, &u[1], &s[1]);
	for (int i = 1; i >= 0; i--) {
		own_unique_release(&u[i]);
		own_shared_release(&s[i]);
	}
}

static void
nests(enum verb outer, void *a, enum verb inner, void *b)
{
	/* places are kept for good */
	static struct take x = { .site = { "outer.c", 1 } };
	static struct take y = { .site = { "inner.c", 2 } };

	x.verb = outer;
	x.of = a;
	y.verb = inner;
	y.of = b;
	nest(&x, &y);
}

static int
act_nest(struct actor *a)
{
	const struct take *const *takes = a->arg;

	nest(takes[0], takes[1]);
	return 0;
}

static void
has(const char *part)
{
	if (!strstr(told.text, part))
		fail_msg("no \"%s\" in: %s", part, told.text);
}

/* ---- cells ---- */

static void
opposite_orders_are_told_once_with_all_places(void **state)
{
	static struct take there[] = {
		{ CLAIM, NULL, { "there.c", 10 } },
		{ CLAIM, NULL, { "there.c", 11 } },
	}, back[] = {
		{ CLAIM, NULL, { "back.c", 20 } },
		{ CLAIM_TIMED, NULL, { "back.c", 21 } },
	};
	const struct take *backwards[] = { &back[0], &back[1] };
	struct own_cell a, b;
	struct actor actor;
	char part[256];

	(void)state;
	cell_named(&a, OWN_EXCLUSIVE, "opposite a");
	cell_named(&b, OWN_EXCLUSIVE, "opposite b");
	there[0].of = back[1].of = &a;
	there[1].of = back[0].of = &b;
	nest(&there[0], &there[1]);
	assert_int_equal(told.n, 0);
	actor_start(&actor, NULL);
	actor.arg = backwards;
	/* the verb itself goes on, and is granted */
	assert_int_equal(actor_do(&actor, act_nest), 0);
	assert_int_equal(told.n, 1);
	snprintf(part, sizeof(part), "thread %d held item in opposite b at "
			"back.c:20 and asked for item in opposite a at "
			"back.c:21; ", actor.record->tid);
	has(part);
	snprintf(part, sizeof(part), "thread %d held item in opposite a at "
			"there.c:10 and asked for item in opposite b at "
			"there.c:11\n", own_i_this->tid);
	has(part);
	/* not again: from there, from here, by other modes and other places */
	assert_int_equal(actor_do(&actor, act_nest), 0);
	nest(&there[0], &there[1]);
	nests(CLAIM, &b, SHARE, &a);
	nests(SHARE, &a, CLAIM, &b);
	assert_int_equal(told.n, 1);
	actor_stop(&actor);
	own_cell_destroy(&a);
	own_cell_destroy(&b);
}

static void
same_order_is_not_told(void **state)
{
	struct own_cell c[3];

	(void)state;
	cell_named(&c[0], OWN_EXCLUSIVE, "same a");
	cell_named(&c[1], OWN_EXCLUSIVE, "same b");
	cell_named(&c[2], OWN_EXCLUSIVE, "same c");
	for (unsigned i = 0; i < 3; i++)
		for (unsigned j = i + 1; j < 3; j++)
			for (unsigned k = 0; k < 4; k++)
				nests(k & 1 ? CLAIM : SHARE, &c[i],
						k & 2 ? CLAIM : SHARE, &c[j]);
	/* one after the other is no order */
	nests(CLAIM_TIMED, &c[0], CLAIM_TIMED, &c[1]);
	assert_int_equal(told.n, 0);
	for (unsigned i = 0; i < 3; i++)
		own_cell_destroy(&c[i]);
}

static void
try_is_not_told(void **state)
{
	struct own_cell a, b;

	(void)state;
	cell_named(&a, OWN_EXCLUSIVE, "try a");
	cell_named(&b, OWN_EXCLUSIVE, "try b");
	nests(CLAIM, &a, CLAIM, &b);
	nests(CLAIM, &b, CLAIM_TRY, &a);
	nests(CLAIM, &b, SHARE_TRY, &a);
	assert_int_equal(told.n, 0);
	/* but what was got so is held like anything else */
	nests(CLAIM_TRY, &b, SHARE, &a);
	assert_int_equal(told.n, 1);
	own_cell_destroy(&a);
	own_cell_destroy(&b);
}

static void
versioned_shares_are_not_told(void **state)
{
	struct own_cell a, b;

	(void)state;
	cell_named(&a, OWN_VERSIONED, "versioned a");
	cell_named(&b, OWN_VERSIONED, "versioned b");
	nests(CLAIM, &a, CLAIM, &b);
	nests(CLAIM, &b, SHARE, &a);
	nests(SHARE, &b, CLAIM, &a);
	assert_int_equal(told.n, 0);
	/* writers wait for one another */
	nests(CLAIM, &b, CLAIM, &a);
	assert_int_equal(told.n, 1);
	own_cell_destroy(&a);
	own_cell_destroy(&b);
}

static void
shares_are_told_when_a_claimer_can_come_between(void **state)
{
	struct own_unique u = { 0 };
	struct own_cell a, b;

	(void)state;
	cell_named(&a, OWN_EXCLUSIVE, "shares a");
	cell_named(&b, OWN_EXCLUSIVE, "shares b");
	nests(SHARE, &a, SHARE, &b);
	nests(SHARE, &b, SHARE, &a);
	assert_int_equal(own_cell_claim_try(&a, &u), 0);
	own_unique_release(&u);
	assert_int_equal(own_cell_claim(&a, &u), 0);
	own_unique_release(&u);
	/* at b nobody waits yet */
	assert_int_equal(told.n, 0);
	assert_int_equal(own_cell_claim(&b, &u), 0);
	own_unique_release(&u);
	assert_int_equal(told.n, 1);
	has("item in shares a at outer.c:1 and asked for item in shares b at "
			"inner.c:2");
	has("item in shares b at outer.c:1 and asked for item in shares a at "
			"inner.c:2");
	own_cell_destroy(&a);
	own_cell_destroy(&b);
}

static void
cycle_of_three_is_told(void **state)
{
	static const char *const names[] = { "ring a", "ring b", "ring c" };
	struct own_cell c[3];
	char part[128];

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		cell_named(&c[i], OWN_EXCLUSIVE, names[i]);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(told.n, 0);
		nests(CLAIM, &c[i], CLAIM, &c[(i + 1) % 3]);
	}
	assert_int_equal(told.n, 1);
	for (unsigned i = 0; i < 3; i++) {
		snprintf(part, sizeof(part), "held item in %s at outer.c:1 and "
				"asked for item in %s at inner.c:2", names[i],
				names[(i + 1) % 3]);
		has(part);
	}
	nests(SHARE, &c[0], CLAIM, &c[1]);
	assert_int_equal(told.n, 1);
	for (unsigned i = 0; i < 3; i++)
		own_cell_destroy(&c[i]);
}

static void
what_is_held_may_be_shared_again(void **state)
{
	struct own_shared s = { 0 }, again = { 0 };
	struct own_unique u = { 0 };
	struct own_cell a, b;

	(void)state;
	cell_named(&a, OWN_EXCLUSIVE, "again a");
	cell_named(&b, OWN_EXCLUSIVE, "again b");
	/* somebody claims it now and then */
	assert_int_equal(own_cell_claim(&a, &u), 0);
	own_unique_release(&u);
	assert_int_equal(own_cell_share(&a, &s), 0);
	assert_int_equal(own_cell_claim(&b, &u), 0);
	assert_int_equal(own_cell_share(&a, &again), 0);
	assert_int_equal(told.n, 0);
	own_shared_release(&again);
	own_shared_release(&s);
	own_unique_release(&u);
	own_cell_destroy(&a);
	own_cell_destroy(&b);
}

static void
orders_under_one_more_lock_are_not_told(void **state)
{
	struct own_unique u = { 0 };
	struct own_cell a, b, guard;

	(void)state;
	cell_named(&a, OWN_EXCLUSIVE, "guarded a");
	cell_named(&b, OWN_EXCLUSIVE, "guarded b");
	cell_named(&guard, OWN_EXCLUSIVE, "guard");
	assert_int_equal(own_cell_claim(&guard, &u), 0);
	nests(CLAIM, &a, CLAIM, &b);
	nests(CLAIM, &b, CLAIM, &a);
	assert_int_equal(told.n, 0);
	own_unique_release(&u);
	/* one of them without it is enough: the other one with it */
	nests(CLAIM, &a, CLAIM, &b);
	assert_int_equal(told.n, 1);
	own_cell_destroy(&a);
	own_cell_destroy(&b);
	own_cell_destroy(&guard);
}

/* Of one name and type: left to the detection of deadlocks. */
static void
one_class_has_no_order(void **state)
{
	struct own_cell c[2];

	(void)state;
	cell_named(&c[0], OWN_EXCLUSIVE, "one class");
	cell_named(&c[1], OWN_EXCLUSIVE, "one class");
	nests(CLAIM, &c[0], CLAIM, &c[1]);
	nests(CLAIM, &c[1], CLAIM, &c[0]);
	assert_int_equal(told.n, 0);
	own_cell_destroy(&c[0]);
	own_cell_destroy(&c[1]);
}

/* ---- maps ---- */

/* Reads that give an entry its bias: then a share asks nobody. */
static void
read_often(struct own_map *map)
{
	struct own_shared s = { 0 };

	for (unsigned i = 0; i < 2 * OWN__BIAS_READS; i++) {
		assert_int_equal(own_map_share_u64(map, 1, &s), 0);
		own_shared_release(&s);
	}
}

/* A cell and a map of which it is held in one order, then in the other. */
static void
map_and_cell(uint32_t policy, const char *cell_name, const char *map_name,
		enum verb of_map, enum verb back, const char *what)
{
	struct own_map *map = map_named(policy, map_name);
	struct own_cell c;

	memset(&told, 0, sizeof(told));
	cell_named(&c, OWN_EXCLUSIVE, cell_name);
	read_often(map);
	nests(CLAIM, &c, of_map, map);
	nests(CLAIM, &c, of_map, map);
	assert_int_equal(told.n, 0);
	nests(back, map, CLAIM, &c);
	assert_int_equal(told.n, what != NULL);
	if (what) {
		has(what);
		has(cell_name);
	}
	nests(back, map, CLAIM, &c);
	assert_int_equal(told.n, what != NULL);
	own_cell_destroy(&c);
	own_map_destroy(map);
}

static void
entry_and_cell_are_told(void **state)
{
	(void)state;
	map_and_cell(OWN_EXCLUSIVE, "cell 1", "map 1", ENTRY_CLAIM,
			ENTRY_SHARE, "held item (an entry) in map 1 at outer.c:"
			"1 and asked for item in cell 1 at inner.c:2");
	map_and_cell(OWN_EXCLUSIVE, "cell 2", "map 2", ENTRY_SHARE,
			ENTRY_CLAIM, "asked for item (an entry) in map 2 at "
			"inner.c:2");
	map_and_cell(OWN_VERSIONED, "cell 3", "map 3", ENTRY_CLAIM,
			ENTRY_CLAIM, "item (an entry) in map 3");
	map_and_cell(OWN_EXCLUSIVE, "cell 4", "map 4", ENTRY_PUT,
			ENTRY_CLAIM, "item (an entry) in map 4");
	/* nobody waits for the readers of a version */
	map_and_cell(OWN_VERSIONED, "cell 5", "map 5", ENTRY_CLAIM,
			ENTRY_SHARE, NULL);
	map_and_cell(OWN_VERSIONED, "cell 6", "map 6", ENTRY_SHARE,
			ENTRY_CLAIM, NULL);
}

static void
whole_map_and_cell_are_told(void **state)
{
	(void)state;
	map_and_cell(OWN_EXCLUSIVE, "cell 11", "map 11", WHOLE_CLAIM,
			WHOLE_CLAIM, "held the whole map map 11 at outer.c:1 "
			"and asked for item in cell 11 at inner.c:2");
	map_and_cell(OWN_EXCLUSIVE, "cell 12", "map 12", WHOLE_CLAIM,
			ENTRY_SHARE, "asked for the whole map map 12 at "
			"inner.c:2");
	map_and_cell(OWN_VERSIONED, "cell 13", "map 13", ENTRY_PUT,
			WHOLE_SHARE, "held the whole map map 13 at outer.c:1");
	map_and_cell(OWN_VERSIONED, "cell 14", "map 14", WHOLE_CLAIM,
			ENTRY_SHARE, "the whole map map 14");
	/* these go together */
	map_and_cell(OWN_EXCLUSIVE, "cell 15", "map 15", WHOLE_SHARE,
			ENTRY_SHARE, NULL);
	map_and_cell(OWN_EXCLUSIVE, "cell 16", "map 16", ENTRY_SHARE,
			WHOLE_SHARE, NULL);
}

/* Of one map, as of one class: left to the detection of deadlocks. */
static void
orders_within_a_map_are_not_told(void **state)
{
	struct own_map *map = map_named(OWN_EXCLUSIVE, "inside");
	struct own_unique u = { 0 }, v = { 0 };
	struct own_shared s = { 0 };

	(void)state;
	for (uint64_t first = 1; first <= 2; first++) {
		assert_int_equal(own_map_claim_u64(map, first, &u), 0);
		assert_int_equal(own_map_claim_u64(map, 3 - first, &v), 0);
		own_unique_release(&u);
		own_unique_release(&v);
	}
	assert_int_equal(own_map_share_all(map, &s), 0);
	nests(ENTRY_SHARE, map, ENTRY_SHARE, map);
	own_shared_release(&s);
	nests(WHOLE_CLAIM, map, ENTRY_CLAIM, map);
	nests(ENTRY_SHARE, map, WHOLE_SHARE, map);
	assert_int_equal(told.n, 0);
	own_map_destroy(map);
}

/* Under a whole map of one's own nobody else is at its entries. */
static void
entries_under_the_whole_are_not_told(void **state)
{
	struct own_map *map = map_named(OWN_EXCLUSIVE, "under");
	struct own_shared whole = { 0 };
	struct own_cell c;

	(void)state;
	cell_named(&c, OWN_EXCLUSIVE, "under cell");
	assert_int_equal(own_map_share_all(map, &whole), 0);
	nests(CLAIM, &c, ENTRY_SHARE, map);
	own_shared_release(&whole);
	nests(ENTRY_CLAIM, map, CLAIM, &c);
	assert_int_equal(told.n, 0);
	own_cell_destroy(&c);
	own_map_destroy(map);
}

/* ---- more than fit ---- */

static unsigned
count(const char *text, const char *part)
{
	unsigned n = 0;

	for (; (text = strstr(text, part)) != NULL; text++)
		n++;
	return n;
}

static void
fill(void)
{
	static char names[MANY][16];
	static struct own_cell c[MANY];
	static struct own_unique u[MANY];

	for (unsigned i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof(names[i]), "many %u.", i);
		cell_named(&c[i], OWN_EXCLUSIVE, names[i]);
		if (own_cell_claim(&c[i], &u[i]))
			exit(1);
	}
	for (unsigned i = 0; i < MANY; i++)
		own_unique_release(&u[i]);
	/* the first edges are known, and so is what closes no new one */
	nests(CLAIM, &c[0], CLAIM, &c[1]);
	nests(CLAIM, &c[MANY - 1], CLAIM, &c[0]);
	exit(0);
}

static void
full_table_is_told_once(void **state)
{
	struct outcome o;

	(void)state;
	child_run("fill", NULL, &o);
	assert_int_equal(o.status, 0);
	assert_int_equal(count(o.text, "table of lock orders is full"), 1);
	assert_int_equal(count(o.text, "can deadlock"), 0);
}

#define CASE(f)	cmocka_unit_test_setup_teardown(f, begin, end)
static const struct CMUnitTest tests[] = {
	CASE(opposite_orders_are_told_once_with_all_places),
	CASE(same_order_is_not_told),
	CASE(try_is_not_told),
	CASE(versioned_shares_are_not_told),
	CASE(shares_are_told_when_a_claimer_can_come_between),
	CASE(cycle_of_three_is_told),
	CASE(what_is_held_may_be_shared_again),
	CASE(orders_under_one_more_lock_are_not_told),
	CASE(one_class_has_no_order),
	CASE(entry_and_cell_are_told),
	CASE(whole_map_and_cell_are_told),
	CASE(orders_within_a_map_are_not_told),
	CASE(entries_under_the_whole_are_not_told),
	CASE(full_table_is_told_once),
};

static const struct child children[] = { CHILD(fill) };
TESTS_MAIN("order");

#else

/* In other builds nothing looks at orders: there is nothing to test. */
int
main(void)
{
	fputs("not run: not the checked build\n", stderr);
	return 77;
}
#endif
