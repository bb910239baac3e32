/* SPDX-License-Identifier: MIT */
/* test_map_whole.c - the whole map: its modes, clear, swap, growth, memory */
#include <stdio.h>
#include "tests/map_support.h"

/* ---- the table of modes ---- */

enum held { SHARED, UNIQUE, WHOLE_SHARED, WHOLE_UNIQUE, HELD_N };

/* What is asked for: KEY(1) is held, KEY(2) is another, KEY(3) is new. */
struct asked {
	const char *name;
	int (*verb)(struct actor *a), (*try)(struct actor *a),
		(*timed)(struct actor *a);
	unsigned key;
	int gives;		/* a put: needs an object */
	char may[HELD_N + 1];	/* y, n, or v: under OWN_VERSIONED */
};
#define VERBS(v)	at_##v, at_##v##_try, at_##v##_timed

static const struct asked asked[] = {
	{ "share", VERBS(share), 1, 0, "yvyn" },
	{ "share another", VERBS(share), 2, 0, "yyyn" },
	{ "claim", VERBS(claim), 1, 0, "vnnn" },
	{ "claim another", VERBS(claim), 2, 0, "yynn" },
	{ "claim or new", VERBS(claim_or_new), 1, 0, "vnnn" },
	{ "make one", VERBS(claim_or_new), 3, 0, "yynn" },
	{ "put", VERBS(put), 1, 1, "vnnn" },
	{ "put another", VERBS(put), 2, 1, "yynn" },
	{ "put a new one", VERBS(put_new), 3, 1, "yynn" },
	{ "replace", VERBS(replace), 1, 1, "vnnn" },
	{ "replace another", VERBS(replace), 2, 1, "yynn" },
	{ "remove", VERBS(remove), 1, 0, "vnnn" },
	{ "remove another", VERBS(remove), 2, 0, "yynn" },
	{ "share all", VERBS(share_all), 1, 0, "ynyn" },
	{ "claim all", VERBS(claim_all), 1, 0, "nnnn" },
};

static int
may(const struct asked *ask, enum held held)
{
	return ask->may[held] == 'y' || (ask->may[held] == 'v' &&
			map->policy == OWN_VERSIONED);
}

struct holding {
	struct own_shared s;
	struct own_unique u;
};

static void
hold(struct holding *h, enum held held)
{
	assert_int_equal(held == SHARED ? own_map_share(map, KEY(1), &h->s)
		: held == UNIQUE ? own_map_claim(map, KEY(1), &h->u)
		: held == WHOLE_SHARED ? own_map_share_all(map, &h->s)
		: own_map_claim_all(map, &h->u), 0);
	if (held >= WHOLE_SHARED)
		assert_ptr_equal(held == WHOLE_SHARED ?
				own_shared_get(&h->s) :
				own_unique_edit(&h->u), map);
}

static void
let_go(struct holding *h)
{
	own_shared_release(&h->s);
	own_unique_release(&h->u);
}

static void
row_begin(struct actor *a, const struct asked *ask)
{
	struct own_unique u = { 0 };

	for (unsigned i = 1; i < 3; i++) {
		item_make(&u, i, NULL);
		assert_int_equal(own_map_put(map, KEY(i), &u), 0);
	}
	(void)!own_map_remove(map, KEY(3));	/* if it is there */
	if (a && ask->gives)
		item_make(&a->u, 9, NULL);
}

/* One cell of the table, in all forms of the verb. */
static void
other_thread_asks(struct actor *a, const struct asked *ask, enum held held)
{
	int (*const forms[])(struct actor *) = {
		ask->try, ask->timed, ask->verb,
	};
	int r;

	SPOT(a)->key = KEY(ask->key);
	for (unsigned form = 0; form < 3; form++) {
		struct holding h = { { 0 }, { 0 } };

		row_begin(a, ask);
		hold(&h, held);
		a->deadline_ns = own_deadline_ns(may(ask, held) ? LONG_NS :
				2 * MS_NS);
		if (may(ask, held) || form < 2) {
			r = actor_do(a, forms[form]);
			let_go(&h);
		} else {
			actor_begin(a, forms[form]);
			actor_await(a);
			let_go(&h);
			r = actor_end(a);
		}
		if (r != (may(ask, held) || form == 2 ? 0 : form ?
				-ETIMEDOUT : -EBUSY))
			fail_msg("%s, form %u, held %d: %d", ask->name, form,
					(int)held, r);
		actor_do(a, act_release);
	}
}

static void
modes_of_two_threads_exclude_as_the_table_says(void **state)
{
	struct spot spot;
	struct actor a;

	begin(KIND(state));
	spot_start(&a, &spot, KEY(1));
	for (enum held held = SHARED; held < HELD_N; held++)
		for (unsigned i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
			other_thread_asks(&a, &asked[i], held);
	actor_stop(&a);
	finish_any();
}

/* Against oneself: G4 of gate.c; the owner of the whole may use all entries. */
static int
may_itself(const struct asked *ask, enum held held)
{
	if (ask->verb == at_share_all)
		return held == SHARED || held == WHOLE_SHARED;
	if (ask->verb == at_claim_all)
		return 0;
	return held == WHOLE_UNIQUE || may(ask, held);
}

/* The main thread, by the verbs of an actor. */
static void
same_thread_asks(struct actor *self, const struct asked *ask, enum held held)
{
	int (*const forms[])(struct actor *) = {
		ask->try, ask->timed, ask->verb,
	};
	int r;

	SPOT(self)->key = KEY(ask->key);
	for (unsigned form = 0; form < 3; form++) {
		struct holding h = { { 0 }, { 0 } };

		row_begin(self, ask);
		hold(&h, held);
		self->deadline_ns = own_deadline_ns(LONG_NS);
		r = forms[form](self);
		if (r != (may_itself(ask, held) ? 0 : -EDEADLK))
			fail_msg("%s, form %u, held %d: %d", ask->name, form,
					(int)held, r);
		act_release(self);
		let_go(&h);
	}
}

static void
modes_of_one_thread_exclude_as_deadlocks(void **state)
{
	static const struct own_site site = { "self.c", 1 };
	struct spot spot = { .made = 0 };
	struct actor self;

	begin(KIND(state));
	memset(&self, 0, sizeof(self));
	self.site = &site;
	self.arg = &spot;
	spot.map = map;
	for (enum held held = SHARED; held < HELD_N; held++)
		for (unsigned i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
			same_thread_asks(&self, &asked[i], held);
	finish_any();
}

/* ---- entries and the whole, one after the other ---- */

static void
entry_taken_under_the_whole_outlives_it(void **state)
{
	struct own_unique whole = { 0 }, u = { 0 };
	struct spot spot;
	struct actor a;

	begin(KIND(state));
	add(map, KEY(1), 1);
	spot_start(&a, &spot, KEY(1));
	assert_int_equal(own_map_claim_all(map, &whole), 0);
	assert_int_equal(own_map_claim(map, KEY(1), &u), 0);
	own_unique_release(&whole);
	assert_int_equal(actor_do(&a, at_claim_all_try), -EBUSY);
	assert_int_equal(actor_do(&a, at_share_all_try), -EBUSY);
	assert_int_equal(actor_do(&a, at_claim_try), -EBUSY);
	item_set(&u, 2);
	own_unique_commit(&u);
	assert_int_equal(actor_do(&a, at_claim_all_try), 0);
	actor_do(&a, act_release);
	assert_int_equal(value(map, KEY(1)), 2);
	actor_stop(&a);
	finish_any();
}

/* From entry to entry past somebody who asks for all: he waits for both. */
static void
holder_goes_on_past_who_waits_for_the_whole(void **state)
{
	struct own_unique u = { 0 }, v = { 0 };
	struct spot spot;
	struct actor a;

	begin(KIND(state));
	add(map, KEY(1), 1);
	add(map, KEY(2), 2);
	spot_start(&a, &spot, KEY(1));
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(own_map_claim(map, KEY(1), &u), 0);
		actor_begin(&a, round ? at_claim_all : at_share_all);
		actor_await(&a);
		assert_int_equal(own_map_claim(map, KEY(2), &v), 0);
		own_unique_release(&u);
		assert_int_equal(own_map_claim(map, KEY(1), &u), 0);
		own_unique_commit(&v);
		pass_time(2 * MS_NS);
		assert_int_not_equal(sem_trywait(&a.done), 0);
		own_unique_commit(&u);
		assert_int_equal(actor_end(&a), 0);
		actor_do(&a, act_release);
	}
	actor_stop(&a);
	finish_any();
}

static int
act_claim_all_in_vain(struct actor *a)
{
	return own_map_claim_all_timed(SPOT(a)->map, a->deadline_ns, &a->u);
}

static void
who_gave_up_leaves_the_gate_open(void **state)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	struct spot spots[2];
	struct actor a[2];

	begin(KIND(state));
	add(map, KEY(1), 1);
	spot_start(&a[0], &spots[0], KEY(1));
	spot_start(&a[1], &spots[1], KEY(1));
	assert_int_equal(own_map_claim(map, KEY(1), &u), 0);
	a[0].deadline_ns = own_deadline_ns(20 * MS_NS);
	actor_begin(&a[0], act_claim_all_in_vain);
	actor_await(&a[0]);
	spots[1].key = KEY(2);
	actor_begin(&a[1], at_share);
	assert_int_equal(actor_end(&a[0]), -ETIMEDOUT);
	assert_int_equal(actor_end(&a[1]), -ENOENT);
	own_unique_release(&u);
	assert_int_equal(own_map_share_all_try(map, &s), 0);
	own_shared_release(&s);
	actor_stop(&a[0]);
	actor_stop(&a[1]);
	finish_any();
}

/* What was taken behind a gate is counted there: thread end gives it back. */
static void
thread_end_behind_a_gate_opens_it(void **state)
{
	struct own_unique u = { 0 };
	struct spot spot, other;
	struct actor a, b;

	begin(KIND(state));
	add(map, KEY(1), 1);
	add(map, KEY(2), 2);
	spot_start(&a, &spot, KEY(1));
	spot_start(&b, &other, KEY(1));
	assert_int_equal(actor_do(&a, at_claim), 0);
	actor_begin(&b, at_claim_all);
	actor_await(&b);
	spot.key = KEY(2);
	assert_int_equal(actor_do(&a, at_share), 0);
	actor_stop(&a);
	assert_int_equal(actor_end(&b), 0);
	if (KIND(state)->policy == OWN_EXCLUSIVE) {
		/* the whole is not the orphan, one entry is */
		assert_int_equal(actor_do(&b, act_release), 0);
		assert_int_equal(own_map_claim(map, KEY(1), &u), -EOWNERDEAD);
		assert_int_equal(own_map_orphan_claim(map, KEY(1), &u), 0);
		own_unique_release(&u);
	}
	actor_stop(&b);
	assert_int_equal(own_map_claim_all_try(map, &u), 0);
	own_unique_release(&u);
	finish_any();
}

static int
glance(struct actor *a, int (*verb)(struct actor *a))
{
	int r = actor_do(a, verb);

	(void)actor_do(a, act_release);
	return r;
}

/* What another thread gets of key 1 by a share, a claim, and of the whole. */
static void
assert_others_get(struct actor *a, int share, int claim, int share_all,
		int claim_all)
{
	SPOT(a)->key = KEY(1);
	assert_int_equal(glance(a, at_share_try), share);
	assert_int_equal(glance(a, at_claim_try), claim);
	assert_int_equal(glance(a, at_share_all_try), share_all);
	assert_int_equal(glance(a, at_claim_all_try), claim_all);
}

static void
whole_view_is_cloned_and_detached(void **state)
{
	struct own_shared s = { 0 }, more = { 0 };
	struct own_unique u = { 0 };
	struct spot spot;
	struct actor a;

	begin(KIND(state));
	add(map, KEY(1), 1);
	spot_start(&a, &spot, KEY(1));
	assert_int_equal(own_map_share_all(map, &s), 0);
	assert_int_equal(own_shared_clone(&s, &more), 0);
	own_shared_release(&s);
	assert_others_get(&a, 0, -EBUSY, 0, -EBUSY);
	assert_int_equal(own_shared_detach(&more), 0);
	assert_int_equal(own_shared_upgrade_try(&more, &u), -EINVAL);
	assert_int_equal(own_shared_clone(&more, &s), 0);
	own_shared_release(&more);
	assert_others_get(&a, 0, -EBUSY, 0, -EBUSY);
	own_shared_release(&s);
	assert_others_get(&a, 0, 0, 0, 0);
	actor_stop(&a);
	finish_any();
}

static void
whole_map_is_downgraded_and_detached(void **state)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	struct spot spot;
	struct actor a;

	begin(KIND(state));
	add(map, KEY(1), 1);
	spot_start(&a, &spot, KEY(1));
	for (int detached = 0; detached < 2; detached++) {
		assert_int_equal(own_map_claim_all(map, &u), 0);
		if (detached)
			assert_int_equal(own_unique_detach(&u), 0);
		assert_others_get(&a, -EBUSY, -EBUSY, -EBUSY, -EBUSY);
		own_unique_downgrade(&u, &s);
		assert_null(u.object);
		assert_ptr_equal(s.object, map);
		assert_others_get(&a, 0, -EBUSY, 0, -EBUSY);
		own_shared_release(&s);
		assert_others_get(&a, 0, 0, 0, 0);
		assert_int_equal(own_map_claim_all(map, &u), 0);
		if (detached)
			assert_int_equal(own_unique_detach(&u), 0);
		own_unique_release(&u);
		assert_others_get(&a, 0, 0, 0, 0);
	}
	actor_stop(&a);
	finish_any();
}

/* ---- the reader of all becomes its writer ---- */

static void
whole_view_is_upgraded_alone(void **state)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };
	struct spot spot;
	struct actor a;

	begin(KIND(state));
	add(map, KEY(1), 1);
	spot_start(&a, &spot, KEY(1));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(own_map_share_all(map, &s), 0);
		assert_int_equal(own_shared_upgrade_try(&s, &u), 0);
		assert_null(s.object);
		assert_ptr_equal(own_unique_edit(&u), map);
		assert_others_get(&a, -EBUSY, -EBUSY, -EBUSY, -EBUSY);
		/* it is what a claim gives: all entries are the owner's */
		assert_int_equal(own_map_clear(&u), 0);
		add(map, KEY(1), 1);
		/* and back, and up again */
		own_unique_downgrade(&u, &s);
		assert_others_get(&a, 0, -EBUSY, 0, -EBUSY);
		assert_int_equal(own_shared_upgrade_try(&s, &u), 0);
		own_unique_release(&u);
		assert_others_get(&a, 0, 0, 0, 0);
	}
	actor_stop(&a);
	finish_any();
}

/* Refused, and afterwards the handle and the gate are what they were. */
static void
assert_refused(struct own_shared *s, int error, const char *by)
{
	struct own_unique u = { 0 };
	const struct own_conflict *conflict;
	char text[2048];

	assert_int_equal(own_shared_upgrade_try(s, &u), error);
	assert_ptr_equal(own_shared_get(s), map);
	assert_null(u.object);
	conflict = own_conflict_last();
	assert_non_null(conflict);
	assert_int_equal(conflict->error, error);
	(void)own_conflict_text(conflict, text, sizeof(text));
	assert_non_null(strstr(text, "the whole, unique"));
	if (!strstr(text, by))
		fail_msg("\"%s\" is not in: %s", by, text);
}

static void
upgrade_of_the_whole_is_refused_beside_others(void **state)
{
	struct own_shared s = { 0 }, more = { 0 };
	struct own_unique u = { 0 };
	int exclusive = KIND(state)->policy == OWN_EXCLUSIVE;
	struct spot spots[2];
	struct actor a, b;

	begin(KIND(state));
	add(map, KEY(1), 1);
	spot_start(&a, &spots[0], KEY(1));
	spot_start(&b, &spots[1], KEY(1));
	assert_int_equal(own_map_share_all(map, &s), 0);
	/* an entry's reader */
	assert_int_equal(actor_do(&a, at_share), 0);
	assert_refused(&s, -EBUSY, "item");
	assert_others_get(&b, 0, -EBUSY, 0, -EBUSY);
	/* one that they detach; under OWN_VERSIONED that bars nobody */
	assert_int_equal(actor_do(&a, act_detach), 0);
	if (exclusive)
		assert_refused(&s, -EBUSY, "");
	actor_do(&a, act_release);
	/* another reader of all */
	assert_int_equal(actor_do(&a, at_share_all), 0);
	assert_refused(&s, -EBUSY, "map, shared");
	actor_do(&a, act_release);
	/* one that waits to own all: it would wait for this one's S */
	actor_begin(&a, at_claim_all);
	actor_await(&a);
	assert_refused(&s, -EBUSY, "");
	own_shared_release(&s);
	assert_int_equal(actor_end(&a), 0);
	actor_do(&a, act_release);
	/* my own are told apart, also beside theirs (G4) */
	assert_int_equal(own_map_share_all(map, &s), 0);
	assert_int_equal(actor_do(&a, at_share), 0);
	assert_int_equal(own_map_share(map, KEY(1), &more), 0);
	assert_refused(&s, -EDEADLK, "");
	actor_do(&a, act_release);
	assert_refused(&s, -EDEADLK, "");
	own_shared_release(&more);
	assert_int_equal(own_shared_clone(&s, &more), 0);
	assert_refused(&s, -EDEADLK, "map, shared");
	/* detached it is nobody's */
	assert_int_equal(own_shared_detach(&more), 0);
	assert_refused(&s, -EBUSY, "");
	own_shared_release(&more);
	assert_int_equal(own_shared_upgrade_try(&s, &u), 0);
	own_unique_release(&u);
	actor_stop(&a);
	actor_stop(&b);
	finish_any();
}

/* What its owner took behind X is counted, and outlives it. */
static void
upgrade_of_the_whole_is_refused_beside_what_is_counted(void **state)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };
	struct spot spot;
	struct actor a;

	begin(KIND(state));
	add(map, KEY(1), 1);
	spot_start(&a, &spot, KEY(1));
	assert_int_equal(actor_do(&a, at_claim_all), 0);
	assert_int_equal(actor_do(&a, at_share), 0);
	assert_int_equal(actor_do(&a, act_commit), 0);
	assert_int_equal(own_map_share_all(map, &s), 0);
	assert_refused(&s, -EBUSY, "item");
	actor_do(&a, act_release);
	assert_int_equal(own_shared_upgrade_try(&s, &u), 0);
	own_unique_release(&u);
	actor_stop(&a);
	finish_any();
}

/* Who met the gate shut by an upgrade that was refused goes on. */
static void
upgrades_of_the_whole_leave_nobody_asleep(void **state)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };
	struct spot spots[2];
	struct actor a[2];
	unsigned upgraded = 0;

	begin(KIND(state));
	add(map, KEY(1), 1);
	add(map, KEY(2), 2);
	for (unsigned i = 0; i < 2; i++)
		spot_start(&a[i], &spots[i], KEY(1 + i));
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(own_map_share_all(map, &s), 0);
		actor_begin(&a[0], at_share);
		actor_begin(&a[1], i % 2 ? at_share_all : at_share);
		if (!own_shared_upgrade_try(&s, &u))
			upgraded++;
		own_shared_release(&s);
		own_unique_release(&u);
		for (unsigned k = 0; k < 2; k++) {
			assert_int_equal(actor_end(&a[k]), 0);
			actor_do(&a[k], act_release);
		}
	}
	print_message("%u of 200 upgrades\n", upgraded);
	for (unsigned i = 0; i < 2; i++)
		actor_stop(&a[i]);
	finish_any();
}

static void
count_is_exact_under_the_whole(void **state)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };
	struct spot spots[2];
	struct actor a[2];

	begin(KIND(state));
	for (unsigned i = 0; i < 2; i++)
		spot_start(&a[i], &spots[i], KEY(1));
	for (unsigned i = 0; i < 40; i++) {
		struct actor *by = &a[i & 1];

		SPOT(by)->key = KEY(i);
		item_make(&by->u, i, &ended);
		assert_int_equal(actor_do(by, at_put), 0);
		if (i % 4 == 3)
			assert_int_equal(actor_do(by, at_remove), 0);
		if (i % 2) {
			assert_int_equal(own_map_share_all(map, &s), 0);
			assert_int_equal(own_map_count(map), i + 1 -
					(i + 1) / 4);
			own_shared_release(&s);
		} else {
			assert_int_equal(own_map_claim_all(map, &u), 0);
			assert_int_equal(own_map_count(map), i + 1 -
					(i + 1) / 4);
			own_unique_release(&u);
		}
	}
	actor_stop(&a[0]);
	actor_stop(&a[1]);
	finish(40);
}

/* ---- clear and swap ---- */

static void
clear_removes_all_entries(void **state)
{
	struct own_unique whole = { 0 }, u = { 0 };

	begin(KIND(state));
	for (unsigned i = 0; i < 60; i++)
		add(map, KEY(i), i);
	assert_int_equal(own_map_claim_all(map, &whole), 0);
	assert_int_equal(own_map_claim(map, KEY(1), &u), 0);
	assert_int_equal(own_map_clear(&whole), -EDEADLK);
	own_unique_release(&u);
	assert_int_equal(own_map_count(map), 60);
	assert_int_equal(own_map_clear(&whole), 0);
	assert_non_null(whole.object);
	assert_int_equal(own_map_count(map), 0);
	for (unsigned i = 0; i < 60; i++)
		assert_true(is_absent(map, KEY(i)));
	add(map, KEY(1), 1);
	assert_int_equal(own_map_count(map), 1);
	own_unique_release(&whole);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(ended, KIND(state)->policy == OWN_VERSIONED ? 61
			: 60);
	assert_int_equal(value(map, KEY(1)), 1);
	finish(KIND(state)->policy == OWN_VERSIONED ? 62 : 61);
}

static void
clear_leaves_detached_handles_their_version(void **state)
{
	struct own_unique whole = { 0 };
	struct own_shared s = { 0 };

	begin(KIND(state));
	add(map, KEY(1), 1);
	assert_int_equal(own_map_share(map, KEY(1), &s), 0);
	assert_int_equal(own_shared_detach(&s), 0);
	assert_int_equal(own_map_claim_all(map, &whole), 0);
	assert_int_equal(own_map_clear(&whole), 0);
	own_unique_release(&whole);
	assert_int_equal(own_barrier(), 1);
	assert_int_equal(item_get(&s)->n, 1);
	own_shared_release(&s);
	finish(1);
}

static void
swap_exchanges_the_contents(void **state)
{
	struct own_unique one = { 0 }, two = { 0 }, u = { 0 };
	struct own_map *other;

	begin(KIND(state));
	other = map_new(&item_type, KIND(state)->policy, KIND(state)->flags);
	for (unsigned i = 0; i < 60; i++)
		add(map, KEY(i), i);
	add(other, KEY(1), 100);
	assert_int_equal(own_map_claim_all(map, &one), 0);
	assert_int_equal(own_map_claim_all(other, &two), 0);
	assert_int_equal(own_map_claim(other, KEY(1), &u), 0);
	assert_int_equal(own_map_swap(&one, &two), -EDEADLK);
	assert_int_equal(own_map_swap(&two, &one), -EDEADLK);
	own_unique_release(&u);
	assert_int_equal(own_map_swap(&one, &two), 0);
	assert_int_equal(own_map_count(map), 1);
	assert_int_equal(own_map_count(other), 60);
	own_unique_release(&one);
	own_unique_release(&two);
	assert_int_equal(value(map, KEY(1)), 100);
	for (unsigned i = 0; i < 60; i++) {
		assert_int_equal(value(other, KEY(i)), i);
		assert_true(i == 1 || is_absent(map, KEY(i)));
		assert_int_equal(own_map_remove(other, KEY(i)), 0);
	}
	assert_int_equal(own_map_count(other), 0);
	own_map_destroy(other);
	finish(KIND(state)->policy == OWN_VERSIONED ? 62 : 61);
}

static uint64_t
hash_other(const void *data, size_t size_bytes, uint64_t seed)
{
	(void)data;
	return size_bytes * UINT64_C(0x9e3779b97f4a7c15) ^ seed;
}

static void
swap_refuses_maps_that_differ(void **state)
{
	static const struct own_type type = { .name = "other", .size = 8 };
	const struct kind *kind = KIND(state);
	struct own_map_options o[4];
	struct own_unique one = { 0 }, two = { 0 };
	struct own_map *other;

	begin(kind);
	add(map, KEY(1), 1);
	assert_int_equal(own_map_claim_all(map, &one), 0);
	for (unsigned i = 0; i < 4; i++) {
		o[i] = (struct own_map_options) {
			.size = sizeof(o[i]), .type = &item_type,
			.policy = kind->policy, .flags = kind->flags,
		};
		if (i == 0)
			o[i].type = &type;
		else if (i == 1)
			o[i].policy = !kind->policy;
		else if (i == 2)
			o[i].flags ^= OWN_MAP_U64;
		else
			o[i].hash = hash_other;
		assert_int_equal(own_map_create(&o[i], &other), 0);
		assert_int_equal(own_map_claim_all(other, &two), 0);
		assert_int_equal(own_map_swap(&one, &two), -EINVAL);
		assert_int_equal(own_map_swap(&two, &one), -EINVAL);
		own_unique_release(&two);
		own_map_destroy(other);
	}
	own_unique_release(&one);
	assert_int_equal(value(map, KEY(1)), 1);
	finish(1);
}

static void
clear_by_an_entry(void)
{
	struct own_unique u = { 0 };

	begin(&bytes_exclusive);
	add(map, TEXT("key"), 1);
	assert_int_equal(own_map_claim(map, TEXT("key"), &u), 0);
	(void)!own_map_clear(&u);
}

static void
swap_by_an_empty_handle(void)
{
	struct own_unique one = { 0 }, none = { 0 };

	begin(&bytes_exclusive);
	assert_int_equal(own_map_claim_all(map, &one), 0);
	(void)!own_map_swap(&one, &none);
}

static void
clear_without_the_whole_stops_the_process(void **state)
{
	(void)state;
	child_aborts("clear_by_an_entry", "not the unique handle of a whole "
			"map", NULL);
	child_aborts("swap_by_an_empty_handle", "empty handle used", NULL);
}

/* ---- deadlocks between entries, cells and the whole ---- */

/*
 * Each actor holds what its handle says and asks for what the other one
 * holds. Exactly one is told; the other one then gets what it asked for.
 */
static void
one_victim(struct actor a[2], struct holding held[2],
		int (*const verbs[2])(struct actor *))
{
	int victim = 2;

	for (unsigned i = 0; i < 2; i++)
		actor_begin(&a[i], verbs[i]);
	while (victim == 2)
		for (int i = 0; i < 2; i++)
			if (sem_trywait(&a[i].done) == 0)
				victim = i;
	assert_int_equal(a[victim].r, -EDEADLK);
	pass_time(5 * MS_NS);
	assert_int_not_equal(sem_trywait(&a[!victim].done), 0);
	own_shared_move(&a[victim].s, &held[victim].s);
	own_unique_move(&a[victim].u, &held[victim].u);
	actor_do(&a[victim], act_release);
	assert_int_equal(actor_end(&a[!victim]), 0);
	actor_do(&a[!victim], act_release);
	own_shared_move(&a[!victim].s, &held[!victim].s);
	own_unique_move(&a[!victim].u, &held[!victim].u);
	actor_do(&a[!victim], act_release);
}

static void
keep(struct actor *a, struct holding *held, int (*verb)(struct actor *))
{
	assert_int_equal(actor_do(a, verb), 0);
	own_shared_move(&held->s, &a->s);
	own_unique_move(&held->u, &a->u);
}

/* a[0] holds something of the map and asks for the cell; a[1] has that. */
static void
cycle_of_map_and_cell(int (*holds)(struct actor *),
		int (*asks)(struct actor *))
{
	int (*const verbs[2])(struct actor *) = { act_claim, asks };
	struct holding held[2] = { { { 0 }, { 0 } }, { { 0 }, { 0 } } };
	struct own_cell cell;
	struct spot spots[2];
	struct actor a[2];

	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	for (unsigned i = 0; i < 2; i++) {
		spot_start(&a[i], &spots[i], KEY(1));
		a[i].cell = &cell;
	}
	keep(&a[0], &held[0], holds);
	keep(&a[1], &held[1], act_claim);
	one_victim(a, held, verbs);
	actor_stop(&a[0]);
	actor_stop(&a[1]);
	own_cell_destroy(&cell);
}

static void
cycle_through_the_whole_has_one_victim(void **state)
{
	begin(KIND(state));
	add(map, KEY(1), 1);
	cycle_of_map_and_cell(at_claim, at_claim_all);
	cycle_of_map_and_cell(at_claim, at_share_all);
	cycle_of_map_and_cell(at_share, at_claim_all);
	cycle_of_map_and_cell(at_share_all, at_claim_all);
	cycle_of_map_and_cell(at_share_all, at_claim);
	cycle_of_map_and_cell(at_claim_all, at_claim);
	cycle_of_map_and_cell(at_claim_all, at_share);
	cycle_of_map_and_cell(at_claim_all, at_share_all);
	cycle_of_map_and_cell(at_claim_all, at_claim_all);
	finish_any();
}

static void
cycle_of_two_whole_maps_has_one_victim(void **state)
{
	int (*const verbs[2])(struct actor *) = { at_claim_all, at_claim };
	struct holding held[2] = { { { 0 }, { 0 } }, { { 0 }, { 0 } } };
	struct own_map *other;
	struct spot spots[2];
	struct actor a[2];

	begin(KIND(state));
	other = map_new(&item_type, KIND(state)->policy, KIND(state)->flags);
	add(map, KEY(1), 1);
	for (unsigned i = 0; i < 2; i++) {
		spot_start(&a[i], &spots[i], KEY(1));
		spots[i].map = i ? other : map;
		keep(&a[i], &held[i], at_claim_all);
		spots[i].map = i ? map : other;
	}
	one_victim(a, held, verbs);
	actor_stop(&a[0]);
	actor_stop(&a[1]);
	own_map_destroy(other);
	finish_any();
}

static int
act_claim_all_once(struct actor *a)
{
	int r = own_map_claim_all(SPOT(a)->map, &a->u);

	own_unique_release(&a->u);
	return r;
}

static void
two_who_ask_for_the_whole_are_no_cycle(void **state)
{
	struct own_unique u = { 0 };
	struct spot spots[2];
	struct actor a[2];

	begin(KIND(state));
	add(map, KEY(1), 1);
	assert_int_equal(own_map_claim(map, KEY(1), &u), 0);
	for (unsigned i = 0; i < 2; i++) {
		spot_start(&a[i], &spots[i], KEY(1));
		actor_begin(&a[i], act_claim_all_once);
		actor_await(&a[i]);
	}
	/* enough for some checks */
	pass_time(30 * MS_NS);
	own_unique_release(&u);
	assert_int_equal(actor_end(&a[0]), 0);
	assert_int_equal(actor_end(&a[1]), 0);
	actor_stop(&a[0]);
	actor_stop(&a[1]);
	finish_any();
}

static void
upgrade_is_refused_beside_a_whole_view(void **state)
{
	struct own_shared s = { 0 }, all = { 0 };
	struct own_unique u = { 0 };
	struct spot spot;
	struct actor a;

	begin(KIND(state));
	add(map, KEY(1), 1);
	spot_start(&a, &spot, KEY(1));
	assert_int_equal(own_map_share(map, KEY(1), &s), 0);
	assert_int_equal(actor_do(&a, at_share_all), 0);
	assert_int_equal(own_shared_upgrade_try(&s, &u), -EBUSY);
	actor_do(&a, act_release);
	assert_int_equal(own_map_share_all(map, &all), 0);
	assert_int_equal(own_shared_upgrade_try(&s, &u), -EDEADLK);
	own_shared_release(&all);
	assert_int_equal(own_shared_upgrade_try(&s, &u), 0);
	assert_int_equal(actor_do(&a, at_share_all_try), -EBUSY);
	own_unique_downgrade(&u, &s);
	assert_int_equal(actor_do(&a, at_share_all_try), 0);
	actor_do(&a, act_release);
	own_shared_release(&s);
	actor_stop(&a);
	finish_any();
}

/* ---- growth and memory ---- */

/* An allocator that may say no where the map asks for a table. */
static struct {
	uint64_t blocks, bytes;		/* entries among them */
	uint64_t large, large_asked;	/* the map, tables, their heads */
	int refuses;
} heap;
#define IS_LARGE(size_bytes)	((size_bytes) >= 256)

static void *
heap_alloc(size_t size_bytes, size_t align, void *context)
{
	void *p = NULL;

	assert_ptr_equal(context, &heap);
	heap.large_asked += IS_LARGE(size_bytes);
	if (heap.refuses && IS_LARGE(size_bytes))
		return NULL;
	assert_int_equal(posix_memalign(&p, align < 16 ? 16 : align,
			size_bytes), 0);
	/* whoever relies on zeroes has to make them */
	memset(p, 0xa5, size_bytes);
	heap.blocks++;
	heap.bytes += size_bytes;
	heap.large += IS_LARGE(size_bytes);
	return p;
}

static void
heap_free(void *p, size_t size_bytes, void *context)
{
	assert_ptr_equal(context, &heap);
	heap.blocks--;
	heap.bytes -= size_bytes;
	heap.large -= IS_LARGE(size_bytes);
	free(p);
}

static const struct own_alloc heap_own = { heap_alloc, heap_free, &heap };

static struct own_map *
heap_map(uint32_t policy, uint64_t entries_expected, int *r)
{
	struct own_map_options o = {
		.size = sizeof(o), .type = &item_type, .name = "the map",
		.policy = policy, .flags = OWN_MAP_U64, .alloc = &heap_own,
		.entries_expected = entries_expected,
	};
	struct own_map *ret = NULL;

	*r = own_map_create(&o, &ret);
	return ret;
}

enum { MANY = 100000 };

static void
map_grows_and_shrinks(void **state)
{
	struct own_map_stats small, full, after;
	int r;

	memset(&heap, 0, sizeof(heap));
	ended = 0;
	map = heap_map(KIND(state)->policy, 0, &r);
	assert_int_equal(r, 0);
	own_map_stats(map, &small);
	assert_int_equal(small.entries, 0);
	assert_int_equal(small.cells_used, 0);
	assert_int_equal(small.migrations, 0);
	for (uint64_t n = 0; n < MANY; n++) {
		add(map, own__u64(n), n);
		if (n % 1000 == 999)
			for (uint64_t k = 0; k <= n; k += 37)
				assert_int_equal(value(map, own__u64(k)), k);
	}
	own_map_stats(map, &full);
	assert_int_equal(full.entries, MANY);
	assert_int_equal(own_map_count(map), MANY);
	assert_true(full.cells >= MANY);
	assert_true(full.cells_used >= MANY || full.migrating);
	assert_true(full.cells <= 4 * MANY);
	assert_true(full.table_bytes >= full.cells * 8);
	assert_true(full.migrations >= 8);
	assert_int_equal(full.migrations_failed, 0);
	assert_true(heap.bytes >= full.table_bytes);
	for (uint64_t n = 0; n < MANY; n++) {
		assert_int_equal(value(map, own__u64(n)), n);
		assert_int_equal(own_map_remove(map, own__u64(n)), 0);
	}
	own_map_stats(map, &after);
	assert_int_equal(after.entries, 0);
	assert_true(after.cells <= 1024);
	assert_true(after.migrations > full.migrations);
	for (uint64_t n = 0; n < MANY; n += 101)
		assert_true(is_absent(map, own__u64(n)));
	finish(MANY);
	/* each table and entry went back to where it came from */
	assert_int_equal(heap.blocks, 0);
	assert_int_equal(heap.bytes, 0);
	assert_true(heap.large_asked > full.migrations);
}

/* Changes end in the middle of a migration; look-ups bring it to its end. */
static void
look_ups_finish_what_changes_began(void **state)
{
	struct own_map_stats stats = { 0 };
	uint64_t n = 0, blocks;
	int r;

	memset(&heap, 0, sizeof(heap));
	ended = 0;
	map = heap_map(KIND(state)->policy, 0, &r);
	assert_int_equal(r, 0);
	while (n < MANY && !(stats.migrating && stats.cells >= 8192)) {
		add(map, own__u64(n), n);
		n++;
		own_map_stats(map, &stats);
	}
	/* half of it: what has not moved is found at once */
	for (uint64_t more = stats.cells / 128; more > 0; more--, n++)
		add(map, own__u64(n), n);
	own_map_stats(map, &stats);
	assert_true(stats.migrating);
	blocks = heap.large;
	for (uint64_t k = 0; k < 4 * MANY && stats.migrating; k++) {
		assert_int_equal(value(map, own__u64(k % n)), k % n);
		if (k % 256 == 0)
			own_map_stats(map, &stats);
	}
	assert_false(stats.migrating);
	/* they ran no fini and freed nothing: the table waits in the batch */
	assert_int_equal(heap.large, blocks);
	(void)own_reclaim(UINT64_MAX);
	assert_int_equal(heap.large, 3);
	finish(n);
	assert_int_equal(heap.blocks, 0);
}

static void
expected_entries_need_no_migration(void **state)
{
	struct own_map_stats stats;
	int r;

	memset(&heap, 0, sizeof(heap));
	ended = 0;
	map = heap_map(KIND(state)->policy, 5000, &r);
	assert_int_equal(r, 0);
	for (uint64_t n = 0; n < 5000; n++)
		add(map, own__u64(n), n);
	own_map_stats(map, &stats);
	assert_int_equal(stats.migrations, 0);
	assert_int_equal(heap.large_asked, 3);
	finish(5000);
}

static void
without_memory_the_map_goes_on_until_it_is_full(void **state)
{
	struct own_map_stats stats;
	struct own_unique u = { 0 };
	uint64_t n = 0;
	int r, made = 5;

	memset(&heap, 0, sizeof(heap));
	ended = 0;
	map = heap_map(KIND(state)->policy, 100, &r);
	assert_int_equal(r, 0);
	heap.refuses = 1;
	own_map_stats(map, &stats);
	for (;;) {
		item_make(&u, n, &ended);
		r = own_map_put(map, own__u64(n), &u);
		if (r)
			break;
		n++;
	}
	assert_int_equal(r, -ENOMEM);
	/* every cell was used, and the handle is still the caller's */
	assert_int_equal(n, stats.cells);
	assert_int_equal(own_map_count(map), n);
	assert_int_equal(item_edit(&u)->n, n);
	own_map_stats(map, &stats);
	assert_int_equal(stats.cells_used, stats.cells);
	assert_int_equal(stats.migrations, 0);
	assert_true(stats.migrations_failed > 0);
	assert_int_equal(own_map_put_new_try(map, own__u64(n), &u), -ENOMEM);
	own_unique_release(&u);
	assert_int_equal(own_map_claim_or_new(map, own__u64(n), &u, &made),
			-ENOMEM);
	assert_null(u.object);
	assert_int_equal(made, 5);
	/* what is there can be used, replaced and removed */
	for (uint64_t k = 0; k < n; k++)
		assert_int_equal(value(map, own__u64(k)), k);
	assert_true(is_absent(map, own__u64(n)));
	item_make(&u, 0, &ended);
	assert_int_equal(own_map_put(map, own__u64(0), &u), 0);
	assert_int_equal(own_map_remove(map, own__u64(1)), 0);
	assert_int_equal(own_map_claim_all(map, &u), 0);
	assert_int_equal(own_map_clear(&u), -ENOMEM);
	assert_int_equal(own_map_count(map), n - 1);
	own_unique_release(&u);
	heap.refuses = 0;
	add(map, own__u64(n), n);
	for (uint64_t k = 2; k <= n; k++)
		assert_int_equal(value(map, own__u64(k)), k);
	assert_int_equal(own_map_count(map), n);
	finish((uint32_t)n + 3);
	assert_int_equal(heap.blocks, 0);
}

static void
map_without_memory_is_not_made(void **state)
{
	int r;

	(void)state;
	memset(&heap, 0, sizeof(heap));
	heap.refuses = 1;
	assert_null(heap_map(OWN_EXCLUSIVE, 0, &r));
	assert_int_equal(r, -ENOMEM);
	assert_int_equal(heap.blocks, 0);
}

static const struct child children[] = {
	CHILD(clear_by_an_entry),
	CHILD(swap_by_an_empty_handle),
};

static const struct CMUnitTest tests[] = {
	TEST_MAP(modes_of_two_threads_exclude_as_the_table_says),
	TEST_MAP(modes_of_one_thread_exclude_as_deadlocks),
	TEST_MAP(entry_taken_under_the_whole_outlives_it),
	TEST_MAP(holder_goes_on_past_who_waits_for_the_whole),
	TEST_MAP(who_gave_up_leaves_the_gate_open),
	TEST_MAP(thread_end_behind_a_gate_opens_it),
	TEST_MAP(whole_view_is_cloned_and_detached),
	TEST_MAP(whole_map_is_downgraded_and_detached),
	TEST_MAP(upgrade_is_refused_beside_a_whole_view),
	TEST_MAP(whole_view_is_upgraded_alone),
	TEST_MAP(upgrade_of_the_whole_is_refused_beside_others),
	TEST_MAP(upgrade_of_the_whole_is_refused_beside_what_is_counted),
	TEST_MAP(upgrades_of_the_whole_leave_nobody_asleep),
	TEST_MAP(count_is_exact_under_the_whole),
	TEST_MAP(clear_removes_all_entries),
	TEST_VERSIONED(clear_leaves_detached_handles_their_version),
	TEST_MAP(swap_exchanges_the_contents),
	TEST_MAP(swap_refuses_maps_that_differ),
	TEST(clear_without_the_whole_stops_the_process),
	TEST_MAP(cycle_through_the_whole_has_one_victim),
	TEST_MAP(cycle_of_two_whole_maps_has_one_victim),
	TEST_MAP(two_who_ask_for_the_whole_are_no_cycle),
	TEST_U64(map_grows_and_shrinks),
	TEST_U64(look_ups_finish_what_changes_began),
	TEST_U64(expected_entries_need_no_migration),
	TEST_U64(without_memory_the_map_goes_on_until_it_is_full),
	TEST(map_without_memory_is_not_made),
};

TESTS_MAIN("map whole");
