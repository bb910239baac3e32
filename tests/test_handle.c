/* SPDX-License-Identifier: MIT */
/* test_handle.c - the verbs of own/handle.h */
#include "tests/support.h"

#define MANY	100u

static struct own_cell cell;
static uint32_t ended;

static void
begin(uint32_t policy)
{
	ended = 0;
	item_cell(&cell, policy, 1, &ended);
}

static void
finish(uint32_t items)
{
	assert_false(own_i_slot_any(own_i_this));
	own_cell_destroy(&cell);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(ended, items);
}

static void
unbias(void)
{
	struct own_unique u = { 0 };

	assert_int_equal(own_cell_claim(&cell, &u), 0);
	own_unique_release(&u);
}

static uint64_t
kind(uint64_t how)
{
	return how & OWN__HOW_KIND;
}

/* ---- move, release ---- */

static void
move_empties_its_source(void **state)
{
	struct own_shared s = { 0 }, t = { 0 };
	struct own_unique u = { 0 }, v = { 0 };

	begin(POLICY(state));
	assert_int_equal(own_cell_share(&cell, &s), 0);
	own_shared_move(&t, &s);
	assert_null(s.object);
	assert_int_equal(item_get(&t)->n, 1);
	own_shared_release(&s);
	assert_int_equal(item_get(&t)->n, 1);
	own_shared_release(&t);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	own_unique_move(&v, &u);
	assert_null(u.object);
	own_unique_release(&u);
	item_set(&v, 2);
	own_unique_commit(&v);
	assert_int_equal(item_value(&cell), 2);
	finish(POLICY(state) == OWN_VERSIONED ? 2 : 1);
}

static void
move_of_an_empty_handle_is_empty(void **state)
{
	struct own_shared s = { 0 }, t = { 0 };
	struct own_unique u = { 0 }, v = { 0 };

	(void)state;
	own_shared_move(&t, &s);
	own_unique_move(&v, &u);
	assert_null(t.object);
	assert_null(v.object);
}

static void
release_and_commit_ignore_an_empty_handle(void **state)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };

	(void)state;
	own_shared_release(&s);
	own_unique_release(&u);
	own_unique_commit(&u);
	assert_null(s.object);
	assert_null(u.object);
}

static void
use_of_an_empty_handle(void)
{
	struct own_unique u = { 0 };

	assert_null(own_unique_edit(&u));
}

static void
read_of_an_empty_handle(void)
{
	struct own_shared s = { 0 };

	assert_null(own_shared_get(&s));
	assert_null(item_get(&s));
}

static void
empty_handle_gives_null_or_stops_the_checked_build(void **state)
{
	struct own_shared s = { 0 };

	(void)state;
	assert_int_equal(own_size(&s), 0);
#ifdef OWN_CHECKED
	child_aborts("use_of_an_empty_handle", "empty handle used", NULL);
	child_aborts("read_of_an_empty_handle", "empty handle used", NULL);
#else
	child_succeeds("use_of_an_empty_handle", NULL);
	child_succeeds("read_of_an_empty_handle", NULL);
#endif
}

static void
scope_releases_its_handles(void **state)
{
	struct own_shared kept = { 0 };

	begin(POLICY(state));
	{
		own_scoped(own_shared) s = { 0 };
		own_scoped(own_shared) passed_on = { 0 };

		assert_int_equal(own_cell_share(&cell, &s), 0);
		assert_int_equal(own_cell_share(&cell, &passed_on), 0);
		own_shared_move(&kept, &passed_on);
	}
	assert_int_equal(item_get(&kept)->n, 1);
	own_shared_release(&kept);
	{
		own_scoped(own_unique) u = { 0 };

		assert_int_equal(own_cell_claim(&cell, &u), 0);
		item_set(&u, 2);
	}
	/* a draft that was not committed is dropped */
	assert_int_equal(item_value(&cell),
			POLICY(state) == OWN_VERSIONED ? 1 : 2);
	finish(POLICY(state) == OWN_VERSIONED ? 2 : 1);
}

/* ---- clone ---- */

static void
clone_outlives_what_it_was_made_from(void **state)
{
	struct own_shared s = { 0 }, t = { 0 }, x = { 0 };
	struct own_unique u = { 0 };

	begin(POLICY(state));
	for (int round = 0; round < 2; round++) {
		assert_int_equal(own_cell_share(&cell, &s), 0);
		assert_int_equal(own_shared_clone(&s, &t), 0);
		assert_ptr_equal(t.object, s.object);
		own_shared_release(&s);
		assert_int_equal(own_shared_clone(&t, &x), 0);
		own_shared_release(&t);
		assert_int_equal(item_get(&x)->n, 1);
		if (POLICY(state) == OWN_EXCLUSIVE)
			assert_int_equal(own_cell_claim_try(&cell, &u),
					-EDEADLK);
		own_shared_release(&x);
		unbias();
	}
	finish(POLICY(state) == OWN_VERSIONED ? 3 : 1);
}

/* What a slot says of a map is in bits that a cell's address may have. */
static void
clone_names_a_cell_at_any_address(void **state)
{
	static _Alignas(64) char memory[sizeof(struct own_cell) + 64];
	struct own_shared s = { 0 }, t = { 0 };
	struct own_unique u = { 0 };

	(void)state;
	for (unsigned at = 0; at < 64; at += _Alignof(struct own_cell)) {
		struct own_cell *c = (struct own_cell *)(void *)(memory + at);

		item_cell(c, OWN_VERSIONED, at, NULL);
		assert_int_equal(own_cell_share(c, &s), 0);
		assert_int_equal(own_shared_clone(&s, &t), 0);
		own_shared_release(&s);
		assert_int_equal(own_shared_upgrade_try(&t, &u), 0);
		item_set(&u, at + 1);
		own_unique_commit(&u);
		assert_int_equal(item_value(c), at + 1);
		own_cell_destroy(c);
	}
}

static void
clone_and_share_pass_a_waiting_claimer(void **state)
{
	struct own_shared s = { 0 }, t = { 0 }, x = { 0 };
	struct actor a;

	(void)state;
	begin(OWN_EXCLUSIVE);
	actor_start(&a, &cell);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(own_cell_share(&cell, &s), 0);
		actor_begin(&a, act_claim);
		actor_await(&a);
		assert_int_equal(own_shared_clone(&s, &t), 0);
		/* past a claimer nobody gets a HOLD */
		assert_int_equal(kind(t.how), OWN__HOW_COUNTED);
		assert_int_equal(own_cell_share(&cell, &x), 0);
		assert_int_equal(kind(x.how), OWN__HOW_COUNTED);
		own_shared_release(&s);
		own_shared_release(&x);
		/* the claimer needs the last one too */
		assert_true(WORD(&cell) & OWN__COUNT_MASK);
		assert_int_equal(item_get(&t)->n, 1 + (unsigned)round);
		own_shared_release(&t);
		assert_int_equal(actor_end(&a), 0);
		actor_set(&a, 2 + (unsigned)round);
		actor_do(&a, act_release);
	}
	actor_stop(&a);
	finish(1);
}

static void
clone_of_a_replaced_version_keeps_it(void **state)
{
	struct own_shared s = { 0 }, t = { 0 };
	struct own_unique u = { 0 };

	(void)state;
	begin(OWN_VERSIONED);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	item_make(&u, 2, &ended);
	assert_int_equal(own_cell_replace(&cell, &u), 0);
	assert_int_equal(own_shared_clone(&s, &t), 0);
	assert_int_equal(kind(t.how), OWN__HOW_COUNTED);
	own_shared_release(&s);
	assert_int_equal(own_barrier(), 1);
	assert_int_equal(item_get(&t)->n, 1);
	assert_int_equal(own_shared_clone(&t, &s), 0);
	own_shared_release(&t);
	assert_int_equal(own_barrier(), 1);
	assert_int_equal(item_get(&s)->n, 1);
	own_shared_release(&s);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(ended, 1);
	finish(2);
}

static void
clone_and_detach_fail_at_the_count_limit(void **state)
{
	struct own_shared s = { 0 }, t = { 0 }, x = { 0 }, d = { 0 };
	uint64_t *word, before;

	begin(POLICY(state));
	assert_int_equal(own_cell_share(&cell, &d), 0);
	assert_int_equal(own_shared_detach(&d), 0);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	word = POLICY(state) == OWN_EXCLUSIVE ? &cell.word
		: &own_i_header(s.object)->word;
	before = *word;
	*word |= OWN__COUNT_MASK;
	assert_int_equal(own_shared_detach(&s), -EOVERFLOW);
	assert_int_equal(kind(s.how), OWN__HOW_HOLD);
	assert_int_equal(own_shared_clone(&d, &t), -EOVERFLOW);
	assert_null(t.object);
	/* neither biased nor current: then a clone is counted as well */
	*word = (*word & ~(uint64_t)OWN__BIASED) | OWN__DEAD;
	assert_int_equal(own_shared_clone(&s, &t), -EOVERFLOW);
	assert_null(t.object);
	*word -= OWN__COUNT_ONE;
	assert_int_equal(own_shared_clone(&s, &t), 0);
	assert_int_equal(kind(t.how), OWN__HOW_COUNTED);
	/* so is the clone of a counted handle */
	assert_int_equal(own_shared_clone(&t, &x), -EOVERFLOW);
	assert_null(x.object);
	own_shared_release(&t);
	*word = before;
	own_shared_release(&s);
	own_shared_release(&d);
	finish(1);
}

/* ---- downgrade ---- */

static void
downgrade_goes_on_reading_what_was_written(void **state)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	struct actor a;

	begin(POLICY(state));
	actor_start(&a, &cell);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	item_set(&u, 2);
	own_unique_downgrade(&u, &s);
	assert_null(u.object);
	assert_int_equal(item_get(&s)->n, 2);
	assert_int_equal(actor_do(&a, act_share_try), 0);
	assert_ptr_equal(a.s.object, s.object);
	actor_do(&a, act_release);
	if (POLICY(state) == OWN_EXCLUSIVE) {
		assert_int_equal(actor_do(&a, act_claim_try), -EBUSY);
	} else {
		assert_int_equal(actor_do(&a, act_claim_try), 0);
		actor_set(&a, 3);
		actor_do(&a, act_commit);
		assert_int_equal(item_value(&cell), 3);
	}
	assert_int_equal(item_get(&s)->n, 2);
	own_shared_release(&s);
	assert_int_equal(actor_do(&a, act_claim_try), 0);
	actor_do(&a, act_release);
	actor_stop(&a);
	finish(POLICY(state) == OWN_VERSIONED ? 4 : 1);
}

static void
downgrade_lets_no_writer_between(void **state)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	struct actor a;

	(void)state;
	begin(OWN_EXCLUSIVE);
	actor_start(&a, &cell);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	actor_begin(&a, act_claim);
	actor_await(&a);
	item_set(&u, 2);
	own_unique_downgrade(&u, &s);
	assert_int_equal(item_get(&s)->twin, 2);
	assert_int_equal(WORD(&cell) & OWN__COUNT_MASK, OWN__COUNT_ONE);
	own_shared_release(&s);
	assert_int_equal(actor_end(&a), 0);
	assert_int_equal(RAW(&a.u)->n, 2);
	actor_do(&a, act_release);
	actor_stop(&a);
	finish(1);
}

static void
downgrade_lets_waiting_readers_in(void **state)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	struct actor a, b;

	(void)state;
	begin(OWN_EXCLUSIVE);
	actor_start(&a, &cell);
	actor_start(&b, &cell);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	actor_begin(&a, act_share);
	actor_begin(&b, act_share);
	actor_await(&a);
	actor_await(&b);
	item_set(&u, 2);
	own_unique_downgrade(&u, &s);
	assert_int_equal(actor_end(&a), 0);
	assert_int_equal(actor_end(&b), 0);
	assert_ptr_equal(a.s.object, s.object);
	assert_ptr_equal(b.s.object, s.object);
	own_shared_release(&s);
	actor_do(&a, act_release);
	actor_do(&b, act_release);
	actor_stop(&a);
	actor_stop(&b);
	finish(1);
}

/* ---- upgrade ---- */

static void
upgrade_succeeds_alone(void **state)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };
	struct actor a;

	begin(POLICY(state));
	actor_start(&a, &cell);
	/* from a slot, then from the count */
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(own_cell_share(&cell, &s), 0);
		assert_int_equal(own_shared_upgrade_try(&s, &u), 0);
		assert_null(s.object);
		assert_int_equal(item_edit(&u)->n, 1 + round);
		item_set(&u, 2 + round);
		assert_int_equal(actor_do(&a, act_claim_try), -EBUSY);
		own_unique_commit(&u);
		assert_int_equal(item_value(&cell), 2 + round);
		assert_int_equal(WORD(&cell) & (OWN__WRITER | OWN__COUNT_MASK),
				0);
	}
	actor_stop(&a);
	finish(POLICY(state) == OWN_VERSIONED ? 3 : 1);
}

static void
upgrade_fails_beside_another_handle(void **state)
{
	struct own_shared s = { 0 }, mine = { 0 };
	struct own_unique u = { 0 };
	struct actor a;

	(void)state;
	begin(OWN_EXCLUSIVE);
	actor_start(&a, &cell);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(own_cell_share(&cell, &s), 0);
		assert_int_equal(actor_do(&a, act_share), 0);
		assert_int_equal(own_shared_upgrade_try(&s, &u), -EBUSY);
		assert_null(u.object);
		assert_int_equal(item_get(&s)->n, 1);
		/* two that upgrade do not wait for each other */
		assert_int_equal(actor_do(&a, act_upgrade_try), -EBUSY);
		actor_do(&a, act_release);
		/* another one of its own would never go */
		assert_int_equal(own_cell_share(&cell, &mine), 0);
		assert_int_equal(own_shared_upgrade_try(&s, &u), -EDEADLK);
		own_shared_release(&mine);
		/* a detached one may be anybody's */
		assert_int_equal(own_cell_share(&cell, &mine), 0);
		assert_int_equal(own_shared_detach(&mine), 0);
		assert_int_equal(own_shared_upgrade_try(&s, &u), -EBUSY);
		own_shared_release(&mine);
		assert_int_equal(own_shared_upgrade_try(&s, &u), 0);
		own_unique_release(&u);
	}
	actor_stop(&a);
	finish(1);
}

static void
upgrade_fails_beside_a_writer(void **state)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };
	struct actor a;

	begin(POLICY(state));
	actor_start(&a, &cell);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	actor_begin(&a, act_claim);
	if (POLICY(state) == OWN_EXCLUSIVE)
		actor_await(&a);
	else
		assert_int_equal(actor_end(&a), 0);
	assert_int_equal(own_shared_upgrade_try(&s, &u), -EBUSY);
	assert_int_equal(item_get(&s)->n, 1);
	own_shared_release(&s);
	if (POLICY(state) == OWN_EXCLUSIVE)
		assert_int_equal(actor_end(&a), 0);
	actor_do(&a, act_release);
	actor_stop(&a);
	finish(POLICY(state) == OWN_VERSIONED ? 2 : 1);
}

static void
upgrade_of_an_old_version_fails(void **state)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };

	(void)state;
	begin(OWN_VERSIONED);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	/* one's own draft is in the way for ever */
	{
		struct own_unique v = { 0 };

		assert_int_equal(own_shared_upgrade_try(&s, &v), -EDEADLK);
	}
	item_set(&u, 2);
	own_unique_commit(&u);
	assert_int_equal(own_shared_upgrade_try(&s, &u), -EAGAIN);
	assert_null(u.object);
	assert_int_equal(item_get(&s)->n, 1);
	own_shared_release(&s);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(own_shared_upgrade_try(&s, &u), 0);
	assert_int_equal(item_edit(&u)->n, 2);
	own_unique_release(&u);
	finish(3);
}

static void
upgrade_leaves_other_readers_their_version(void **state)
{
	struct own_shared s = { 0 }, t = { 0 };
	struct own_unique u = { 0 };

	(void)state;
	begin(OWN_VERSIONED);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(own_shared_clone(&s, &t), 0);
	assert_int_equal(own_shared_upgrade_try(&s, &u), 0);
	item_set(&u, 2);
	own_unique_commit(&u);
	assert_int_equal(item_get(&t)->n, 1);
	own_shared_release(&t);
	finish(2);
}

/* ---- detach ---- */

static int
act_take_over(struct actor *a)
{
	own_shared_move(&a->s, a->arg);
	return own_shared_clone(&a->s, &a->more);
}

static void
detached_handle_is_used_and_released_anywhere(void **state)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };
	struct actor a;

	begin(POLICY(state));
	actor_start(&a, &cell);
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(own_cell_share(&cell, &s), 0);
		assert_int_equal(own_shared_detach(&s), 0);
		assert_int_equal(kind(s.how), OWN__HOW_DETACHED);
		assert_false(own_i_slot_any(own_i_this));
		/* once more is nothing more */
		assert_int_equal(own_shared_detach(&s), 0);
		assert_int_equal(own_shared_upgrade_try(&s, &u), -EINVAL);
		assert_int_equal(item_get(&s)->n, 1);
		if (POLICY(state) == OWN_EXCLUSIVE)
			assert_int_equal(own_cell_claim_try(&cell, &u),
					-EBUSY);
		a.arg = &s;
		assert_int_equal(actor_do(&a, act_take_over), 0);
		assert_null(s.object);
		assert_int_equal(kind(a.more.how), OWN__HOW_DETACHED);
		own_shared_release(&a.s);
		assert_int_equal(RAW(&a.more)->n, 1);
		actor_do(&a, act_release);
		unbias();
	}
	actor_stop(&a);
	finish(POLICY(state) == OWN_VERSIONED ? 3 : 1);
}

static void
detach_of_a_counted_handle(void **state)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };

	(void)state;
	begin(OWN_EXCLUSIVE);
	unbias();
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(kind(s.how), OWN__HOW_COUNTED);
	assert_int_equal(own_shared_detach(&s), 0);
	assert_int_equal(WORD(&cell) & OWN__COUNT_MASK, OWN__COUNT_ONE);
	own_shared_release(&s);
	assert_int_equal(own_cell_claim_try(&cell, &u), 0);
	own_unique_release(&u);
	finish(1);
}

static void
claim_waits_for_a_detached_handle(void **state)
{
	struct own_shared s = { 0 };
	struct actor a;

	(void)state;
	begin(OWN_EXCLUSIVE);
	actor_start(&a, &cell);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(own_shared_detach(&s), 0);
	actor_begin(&a, act_claim);
	actor_await(&a);
	own_shared_release(&s);
	assert_int_equal(actor_end(&a), 0);
	actor_do(&a, act_release);
	actor_stop(&a);
	finish(1);
}

static void
detached_handle_outlives_its_thread(void **state)
{
	struct own_shared s = { 0 };
	struct actor a;

	begin(POLICY(state));
	actor_start(&a, &cell);
	assert_int_equal(actor_do(&a, act_share), 0);
	assert_int_equal(actor_do(&a, act_detach), 0);
	own_shared_move(&s, &a.s);
	actor_stop(&a);
	assert_int_equal(item_get(&s)->n, 1);
	own_shared_release(&s);
	finish(1);
}

/* ---- many at once ---- */

static void
handles_beyond_the_first_block(void **state)
{
	struct own_shared s[MANY] = { { 0 } };
	struct own_unique u = { 0 };
	struct actor a;

	begin(POLICY(state));
	actor_start(&a, &cell);
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(own_cell_share(&cell, &s[i]), 0);
		assert_int_equal(s[i].how & OWN__HOW_SLOT, i);
	}
	for (unsigned i = 0; i < MANY; i += 2)
		own_shared_release(&s[i]);
	/* what was left free is taken first */
	for (unsigned i = 0; i < MANY; i += 2) {
		assert_int_equal(own_cell_share(&cell, &s[i]), 0);
		assert_int_equal(s[i].how & OWN__HOW_SLOT, i);
	}
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(item_get(&s[i])->n, 1);
		if (i != 77)
			own_shared_release(&s[i]);
	}
	if (POLICY(state) == OWN_EXCLUSIVE) {
		assert_int_equal(own_cell_claim_try(&cell, &u), -EDEADLK);
		/* a HOLD beyond the first block is waited for */
		actor_begin(&a, act_claim);
		actor_await(&a);
		own_shared_release(&s[77]);
		assert_int_equal(actor_end(&a), 0);
	} else {
		/* and keeps its version */
		item_make(&u, 2, &ended);
		assert_int_equal(own_cell_replace(&cell, &u), 0);
		assert_int_equal(own_barrier(), 1);
		assert_int_equal(item_get(&s[77])->n, 1);
		own_shared_release(&s[77]);
		assert_int_equal(own_barrier(), 0);
		assert_int_equal(ended, 1);
	}
	actor_do(&a, act_release);
	actor_stop(&a);
	finish(POLICY(state) == OWN_VERSIONED ? 2 : 1);
}

static void
unique_handles_beyond_the_first_block(void **state)
{
	static struct own_cell cells[MANY];
	struct own_unique u[MANY] = { { 0 } };

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		item_cell(&cells[i], i & 1, i, NULL);
		assert_int_equal(own_cell_claim(&cells[i], &u[i]), 0);
	}
	for (unsigned i = 0; i < MANY; i++) {
		item_set(&u[i], i + 1);
		own_unique_commit(&u[i]);
		assert_int_equal(item_value(&cells[i]), i + 1);
	}
	for (unsigned i = 0; i < MANY; i++)
		own_cell_destroy(&cells[i]);
	assert_int_equal(own_barrier(), 0);
}

static int
act_share_many(struct actor *a)
{
	struct own_shared *s = a->arg;

	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(own_cell_share(a->cell, &s[i]), 0);
	return 0;
}

static void
thread_end_gives_shared_handles_back(void **state)
{
	static struct own_shared s[MANY];
	struct own_unique u = { 0 };
	struct actor a;

	begin(POLICY(state));
	for (unsigned round = 0; round < 2; round++) {
		memset(s, 0, sizeof(s));
		actor_start(&a, &cell);
		a.arg = s;
		assert_int_equal(actor_do(&a, act_share_many), 0);
		actor_stop(&a);
		assert_int_equal(own_cell_claim_try(&cell, &u), 0);
		own_unique_commit(&u);
		assert_int_equal(WORD(&cell) & OWN__COUNT_MASK, 0);
	}
	finish(POLICY(state) == OWN_VERSIONED ? 3 : 1);
}

/* ---- misuse that stops the process ---- */

static const struct own_site first = { "first-place.c", 11 };
static const struct own_site second = { "second-place.c", 22 };

static void
shared_make(struct own_shared *ret, int counted)
{
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	if (counted)
		unbias();
	assert_int_equal(own_cell_share_at(&cell, ret, &first), 0);
}

static void
unique_make(struct own_unique *ret, uint32_t policy)
{
	item_cell(&cell, policy, 1, NULL);
	assert_int_equal(own_cell_claim_at(&cell, ret, &first), 0);
}

static void
hold_copy_released_later(void)
{
	struct own_shared s = { 0 }, copy, again = { 0 };

	shared_make(&s, 0);
	copy = s;
	own_shared_release(&s);
	/* its slot is another handle's now */
	assert_int_equal(own_cell_share_at(&cell, &again, &second), 0);
	own_shared_release(&copy);
}

static void
hold_copy_released(void)
{
	struct own_shared s = { 0 }, copy;

	shared_make(&s, 0);
	copy = s;
	own_shared_release(&s);
	/* its slot is free */
	own_shared_release(&copy);
}

static void
counted_copy_released(void)
{
	struct own_shared s = { 0 }, copy;

	shared_make(&s, 1);
	copy = s;
	own_shared_release(&s);
	own_shared_release(&copy);
}

static void
detached_copy_released(void)
{
	struct own_shared s = { 0 }, copy;

	shared_make(&s, 1);
	assert_int_equal(own_shared_detach(&s), 0);
	copy = s;
	own_shared_release(&s);
	own_shared_release(&copy);
}

static void
unique_copy_released(void)
{
	struct own_unique u = { 0 }, copy;

	unique_make(&u, OWN_EXCLUSIVE);
	copy = u;
	own_unique_release(&u);
	own_unique_release(&copy);
}

static void
draft_copy_released(void)
{
	struct own_unique u = { 0 }, copy;

	unique_make(&u, OWN_VERSIONED);
	copy = u;
	own_unique_commit(&u);
	own_unique_release(&copy);
}

static void
draft_copy_committed(void)
{
	struct own_unique u = { 0 }, copy;

	unique_make(&u, OWN_VERSIONED);
	copy = u;
	own_unique_release(&u);
	own_unique_commit(&copy);
}

static void
stale_cloned(void)
{
	struct own_shared s = { 0 }, copy, t = { 0 };

	shared_make(&s, 1);
	copy = s;
	own_shared_release(&s);
	(void)!own_shared_clone(&copy, &t);
}

static void
stale_detached(void)
{
	struct own_shared s = { 0 }, copy;

	shared_make(&s, 0);
	copy = s;
	own_shared_release(&s);
	(void)!own_shared_detach(&copy);
}

static void
stale_upgraded(void)
{
	struct own_shared s = { 0 }, copy;
	struct own_unique u = { 0 };

	shared_make(&s, 0);
	copy = s;
	own_shared_release(&s);
	(void)!own_shared_upgrade_try(&copy, &u);
}

static void
stale_downgraded(void)
{
	struct own_unique u = { 0 }, copy;
	struct own_shared s = { 0 };

	unique_make(&u, OWN_EXCLUSIVE);
	copy = u;
	own_unique_release(&u);
	own_unique_downgrade(&copy, &s);
}

static void
stale_handle_stops_the_process(void **state)
{
	static const char *const names[][2] = {
		{ "counted_copy_released", "own_shared_release" },
		{ "hold_copy_released", "own_shared_release" },
		{ "unique_copy_released", "own_unique_release" },
		{ "draft_copy_released", "own_unique_release" },
		{ "draft_copy_committed", "own_unique_commit" },
		{ "stale_cloned", "own_shared_clone" },
		{ "stale_detached", "own_shared_detach" },
		{ "stale_upgraded", "own_shared_upgrade_try" },
		{ "stale_downgraded", "own_unique_downgrade" },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		child_aborts(names[i][0], names[i][1], ": handle is stale; it "
				"is over, its slot was last used by thread ",
				"first-place.c:11", NULL);
	child_aborts("hold_copy_released_later", "own_shared_release: handle "
			"is stale; it is over, its slot was last used by "
			"thread ", "second-place.c:22", NULL);
	child_aborts("detached_copy_released",
			"counted handle released twice", NULL);
}

static int
act_release_foreign_shared(struct actor *a)
{
	own_shared_release(a->arg);
	return 0;
}

static int
act_release_foreign_unique(struct actor *a)
{
	own_unique_release(a->arg);
	return 0;
}

static int
act_detach_foreign(struct actor *a)
{
	return own_shared_detach(a->arg);
}

static void
shared_released_elsewhere(void)
{
	struct own_shared s = { 0 };
	struct actor a;

	shared_make(&s, 0);
	actor_start(&a, &cell);
	a.arg = &s;
	actor_do(&a, act_release_foreign_shared);
}

static void
unique_released_elsewhere(void)
{
	struct own_unique u = { 0 };
	struct actor a;

	unique_make(&u, OWN_EXCLUSIVE);
	actor_start(&a, &cell);
	a.arg = &u;
	actor_do(&a, act_release_foreign_unique);
}

static void
shared_detached_elsewhere(void)
{
	struct own_shared s = { 0 };
	struct actor a;

	shared_make(&s, 1);
	actor_start(&a, &cell);
	a.arg = &s;
	actor_do(&a, act_detach_foreign);
}

static void *
release_without_record(void *arg)
{
	own_shared_release(arg);
	return NULL;
}

static void
shared_released_by_a_stranger(void)
{
	struct own_shared s = { 0 };
	pthread_t id;

	shared_make(&s, 0);
	assert_int_equal(pthread_create(&id, NULL, release_without_record, &s),
			0);
	assert_int_equal(pthread_join(id, NULL), 0);
}

static void
handle_of_another_thread_stops_the_process(void **state)
{
	static const char text[] = ": handle of another thread; it was taken "
		"by thread ";

	(void)state;
	child_aborts("shared_released_elsewhere", "own_shared_release", text,
			"first-place.c:11", NULL);
	child_aborts("unique_released_elsewhere", "own_unique_release", text,
			"first-place.c:11", NULL);
	child_aborts("shared_detached_elsewhere", "own_shared_detach", text,
			"first-place.c:11", NULL);
	child_aborts("shared_released_by_a_stranger", "own_shared_release",
			text, "first-place.c:11", NULL);
}

static void
share_into_use(void)
{
	struct own_shared s = { 0 };

	shared_make(&s, 0);
	(void)!own_cell_share_at(&cell, &s, &second);
}

static void
claim_into_use(void)
{
	struct own_unique u = { 0 };

	unique_make(&u, OWN_EXCLUSIVE);
	(void)!own_cell_claim_at(&cell, &u, &second);
}

static void
orphan_claim_into_use(void)
{
	struct own_unique u = { 0 };

	unique_make(&u, OWN_EXCLUSIVE);
	(void)!own_cell_orphan_claim_at(&cell, &u, &second);
}

static void
new_into_use(void)
{
	struct own_unique u = { 0 };

	item_make(&u, 1, NULL);
	(void)!item_new(&u);
}

static void
new_sized_into_use(void)
{
	struct own_unique u = { 0 };

	item_make(&u, 1, NULL);
	(void)!own_new_sized(&item_type, 1, &u);
}

static void
move_shared_into_use(void)
{
	struct own_shared s = { 0 }, t = { 0 };

	shared_make(&s, 0);
	assert_int_equal(own_cell_share(&cell, &t), 0);
	own_shared_move(&s, &t);
}

static void
move_unique_into_use(void)
{
	struct own_unique u = { 0 }, v = { 0 };

	item_make(&u, 1, NULL);
	item_make(&v, 1, NULL);
	own_unique_move(&u, &v);
}

static void
clone_into_use(void)
{
	struct own_shared s = { 0 };

	shared_make(&s, 0);
	(void)!own_shared_clone_at(&s, &s, &second);
}

static void
downgrade_into_use(void)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };

	shared_make(&s, 0);
	item_make(&u, 1, NULL);
	own_unique_downgrade_at(&u, &s, &second);
}

static void
upgrade_into_use(void)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };

	shared_make(&s, 0);
	item_make(&u, 1, NULL);
	(void)!own_shared_upgrade_try_at(&s, &u, &second);
}

static void
handle_in_use_stops_the_process(void **state)
{
	static const char *const placed[] = {
		"share_into_use", "claim_into_use", "orphan_claim_into_use",
		"clone_into_use", "downgrade_into_use", "upgrade_into_use",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(placed) / sizeof(placed[0]); i++)
		child_aborts(placed[i], ": handle in use at "
				"second-place.c:22; it ", NULL);
	child_aborts("clone_into_use", "it was taken by thread ",
			"first-place.c:11", NULL);
	child_aborts("new_into_use", "own_new: handle in use", NULL);
	child_aborts("new_sized_into_use", "own_new_sized: handle in use",
			NULL);
	child_aborts("move_shared_into_use", "own_shared_move: handle in use",
			NULL);
	child_aborts("move_unique_into_use", "own_unique_move: handle in use",
			NULL);
}

static void
owned_committed(void)
{
	struct own_unique u = { 0 };

	item_make(&u, 1, NULL);
	own_unique_commit(&u);
}

static void
owned_downgraded(void)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };

	item_make(&u, 1, NULL);
	own_unique_downgrade_at(&u, &s, &second);
}

static void
empty_cloned(void)
{
	struct own_shared s = { 0 }, t = { 0 };

	(void)!own_shared_clone_at(&s, &t, &second);
}

static void
empty_downgraded(void)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };

	own_unique_downgrade_at(&u, &s, &second);
}

static void
empty_upgraded(void)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };

	(void)!own_shared_upgrade_try_at(&s, &u, &second);
}

static void
empty_detached(void)
{
	struct own_shared s = { 0 };

	(void)!own_shared_detach(&s);
}

static void
unique_released_as_shared(void)
{
	struct own_unique u = { 0 };

	unique_make(&u, OWN_EXCLUSIVE);
	own_shared_release((struct own_shared *)&u);
}

static void
shared_released_as_unique(void)
{
	struct own_shared s = { 0 };

	shared_make(&s, 1);
	own_unique_release((struct own_unique *)&s);
}

static void
unique_detached_as_shared(void)
{
	struct own_unique u = { 0 };

	unique_make(&u, OWN_EXCLUSIVE);
	(void)!own_shared_detach((struct own_shared *)&u);
}

static void
verb_on_the_wrong_handle_stops_the_process(void **state)
{
	(void)state;
	child_aborts("owned_committed", "own_unique_commit: an owned object "
			"has nowhere to commit to", NULL);
	child_aborts("owned_downgraded", "own_unique_downgrade: an owned "
			"object has no readers at second-place.c:22\n", NULL);
	child_aborts("empty_cloned", "own_shared_clone: empty handle at "
			"second-place.c:22\n", NULL);
	child_aborts("empty_downgraded", "own_unique_downgrade: empty handle "
			"at second-place.c:22\n", NULL);
	child_aborts("empty_upgraded", "own_shared_upgrade_try: empty handle "
			"at second-place.c:22\n", NULL);
	child_aborts("empty_detached", "own_shared_detach: empty handle",
			NULL);
	child_aborts("unique_released_as_shared", "own_shared_release: not a "
			"shared handle; it was taken by thread ",
			"first-place.c:11", NULL);
	child_aborts("unique_detached_as_shared", "own_shared_detach: not a "
			"shared handle; it was taken by thread ",
			"first-place.c:11", NULL);
	child_aborts("shared_released_as_unique", "own_unique_release: not a "
			"unique handle; it was taken by thread ",
			"first-place.c:11", NULL);
}

static const struct child children[] = {
	CHILD(claim_into_use),
	CHILD(clone_into_use),
	CHILD(counted_copy_released),
	CHILD(detached_copy_released),
	CHILD(downgrade_into_use),
	CHILD(draft_copy_committed),
	CHILD(draft_copy_released),
	CHILD(empty_cloned),
	CHILD(empty_detached),
	CHILD(empty_downgraded),
	CHILD(empty_upgraded),
	CHILD(hold_copy_released),
	CHILD(hold_copy_released_later),
	CHILD(move_shared_into_use),
	CHILD(move_unique_into_use),
	CHILD(new_into_use),
	CHILD(new_sized_into_use),
	CHILD(orphan_claim_into_use),
	CHILD(owned_committed),
	CHILD(owned_downgraded),
	CHILD(read_of_an_empty_handle),
	CHILD(share_into_use),
	CHILD(shared_detached_elsewhere),
	CHILD(shared_released_as_unique),
	CHILD(shared_released_by_a_stranger),
	CHILD(shared_released_elsewhere),
	CHILD(stale_cloned),
	CHILD(stale_detached),
	CHILD(stale_downgraded),
	CHILD(stale_upgraded),
	CHILD(unique_copy_released),
	CHILD(unique_detached_as_shared),
	CHILD(unique_released_as_shared),
	CHILD(unique_released_elsewhere),
	CHILD(upgrade_into_use),
	CHILD(use_of_an_empty_handle),
};

static const struct CMUnitTest tests[] = {
	TEST_BOTH(move_empties_its_source),
	TEST(move_of_an_empty_handle_is_empty),
	TEST(release_and_commit_ignore_an_empty_handle),
	TEST(empty_handle_gives_null_or_stops_the_checked_build),
	TEST_BOTH(scope_releases_its_handles),
	TEST_BOTH(clone_outlives_what_it_was_made_from),
	TEST(clone_names_a_cell_at_any_address),
	TEST(clone_and_share_pass_a_waiting_claimer),
	TEST(clone_of_a_replaced_version_keeps_it),
	TEST_BOTH(clone_and_detach_fail_at_the_count_limit),
	TEST_BOTH(downgrade_goes_on_reading_what_was_written),
	TEST(downgrade_lets_no_writer_between),
	TEST(downgrade_lets_waiting_readers_in),
	TEST_BOTH(upgrade_succeeds_alone),
	TEST(upgrade_fails_beside_another_handle),
	TEST_BOTH(upgrade_fails_beside_a_writer),
	TEST(upgrade_of_an_old_version_fails),
	TEST(upgrade_leaves_other_readers_their_version),
	TEST_BOTH(detached_handle_is_used_and_released_anywhere),
	TEST(detach_of_a_counted_handle),
	TEST(claim_waits_for_a_detached_handle),
	TEST_BOTH(detached_handle_outlives_its_thread),
	TEST_BOTH(handles_beyond_the_first_block),
	TEST(unique_handles_beyond_the_first_block),
	TEST_BOTH(thread_end_gives_shared_handles_back),
	TEST(stale_handle_stops_the_process),
	TEST(handle_of_another_thread_stops_the_process),
	TEST(handle_in_use_stops_the_process),
	TEST(verb_on_the_wrong_handle_stops_the_process),
};

TESTS_MAIN("handle");
