/* SPDX-License-Identifier: MIT */
/* test_cell.c - the verbs of own/cell.h under both policies */
#include "tests/support.h"

static struct own_cell cell;
static uint32_t ended;

/* An exclusive cell has to be read without bias somewhere too. */
static void
unbias(void)
{
	struct own_unique u = { 0 };

	assert_int_equal(own_cell_claim(&cell, &u), 0);
	own_unique_release(&u);
	if (cell.policy == OWN_EXCLUSIVE)
		assert_int_equal(WORD(&cell) & OWN__BIASED, 0);
}

static void
begin(uint32_t policy)
{
	ended = 0;
	item_cell(&cell, policy, 1, &ended);
}

/* Whatever was ever in the cell has ended once by now. */
static void
finish(uint32_t items)
{
	own_cell_destroy(&cell);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(ended, items);
}

/* ---- creation and destruction ---- */

static void
init_refuses_a_bad_policy(void **state)
{
	struct own_unique u = { 0 };
	struct own_cell c;

	(void)state;
	item_make(&u, 1, NULL);
	assert_int_equal(own_cell_init(&c, &item_type, 2, NULL, &u), -EINVAL);
	assert_non_null(u.object);
	own_unique_release(&u);
}

static void
init_refuses_another_type(void **state)
{
	static const struct own_type other = { .name = "other", .size = 8 };
	struct own_unique u = { 0 };
	struct own_cell c;

	(void)state;
	item_make(&u, 1, NULL);
	assert_int_equal(own_cell_init(&c, &other, OWN_EXCLUSIVE, NULL, &u),
			-EINVAL);
	assert_int_equal(item_edit(&u)->n, 1);
	own_unique_release(&u);
}

static void
init_refuses_a_borrowed_handle(void **state)
{
	struct own_unique u = { 0 };
	struct own_cell c;

	begin(POLICY(state));
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	assert_int_equal(own_cell_init(&c, &item_type, OWN_EXCLUSIVE, NULL,
			&u), -EINVAL);
	own_unique_commit(&u);
	finish(POLICY(state) == OWN_VERSIONED ? 2 : 1);
}

static void
init_refuses_an_empty_handle(void **state)
{
	struct own_unique u = { 0 };
	struct own_cell c;

	(void)state;
	assert_int_equal(own_cell_init(&c, &item_type, OWN_EXCLUSIVE, NULL,
			&u), -EINVAL);
}

static void
destroy_ends_the_value_once(void **state)
{
	begin(POLICY(state));
	finish(1);
	own_cell_destroy(&cell);
	finish(1);
}

static void
destroy_ignores_null_and_zero(void **state)
{
	struct own_cell zero = { 0 };

	(void)state;
	own_cell_destroy(NULL);
	own_cell_destroy(&zero);
}

static int
never(const void *value, size_t size_bytes, void *arg)
{
	(void)value;
	(void)size_bytes;
	(void)arg;
	fail_msg("the callback of a refused peek ran");
	return 0;
}

static void
empty_cell_has_no_entry(struct own_cell *c)
{
	uint64_t deadline_ns = own_deadline_ns(LONG_NS);
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };
	struct item copy;

	assert_int_equal(own_cell_share(c, &s), -ENOENT);
	assert_int_equal(own_cell_share_try(c, &s), -ENOENT);
	assert_int_equal(own_cell_share_timed(c, deadline_ns, &s), -ENOENT);
	assert_null(s.object);
	assert_int_equal(own_cell_claim(c, &u), -ENOENT);
	assert_int_equal(own_cell_claim_try(c, &u), -ENOENT);
	assert_int_equal(own_cell_claim_timed(c, deadline_ns, &u), -ENOENT);
	assert_null(u.object);
	assert_int_equal(item_read(c, &copy), -ENOENT);
	assert_int_equal(own_cell_read_try(c, &copy, sizeof(copy)), -ENOENT);
	assert_int_equal(own_cell_peek(c, never, NULL), -ENOENT);
	item_make(&u, 9, NULL);
	assert_int_equal(own_cell_swap(c, &u), -ENOENT);
	assert_int_equal(item_edit(&u)->n, 9);
	own_unique_release(&u);
	assert_false(own_i_slot_any(own_i_this));
}

static struct own_cell global_exclusive =
	OWN_CELL_INIT(&item_type, OWN_EXCLUSIVE, "global");
static struct own_cell global_versioned =
	OWN_CELL_INIT(&item_type, OWN_VERSIONED, "global");

static void
empty_global_gets_its_value_by_replace(void **state)
{
	struct own_cell *c = POLICY(state) == OWN_EXCLUSIVE ? &global_exclusive
		: &global_versioned;
	struct own_unique u = { 0 };

	empty_cell_has_no_entry(c);
	item_make(&u, 5, NULL);
	assert_int_equal(own_cell_replace(c, &u), 0);
	assert_null(u.object);
	assert_int_equal(item_value(c), 5);
	own_cell_destroy(c);
}

static void
init_without_a_value_makes_an_empty_cell(void **state)
{
	struct own_cell c;

	assert_int_equal(own_cell_init(&c, &item_type, POLICY(state), NULL,
			NULL), 0);
	empty_cell_has_no_entry(&c);
	own_cell_destroy(&c);
}

/* ---- share ---- */

static void
share_gives_the_value_to_many(void **state)
{
	struct own_shared a = { 0 }, b = { 0 }, c = { 0 };

	begin(POLICY(state));
	assert_int_equal(own_cell_share(&cell, &a), 0);
	assert_int_equal(own_cell_share_try(&cell, &b), 0);
	assert_int_equal(own_cell_share_timed(&cell, own_deadline_ns(0), &c),
			0);
	assert_int_equal(item_get(&a)->n, 1);
	assert_ptr_equal(item_get(&b), item_get(&a));
	assert_ptr_equal(item_get(&c), item_get(&a));
	assert_int_equal(own_size(&a), sizeof(struct item));
	own_shared_release(&b);
	assert_int_equal(item_get(&a)->n, 1);
	own_shared_release(&a);
	own_shared_release(&c);
	finish(1);
}

static void
share_counts_without_bias(void **state)
{
	struct own_shared a = { 0 }, b = { 0 };

	(void)state;
	begin(OWN_EXCLUSIVE);
	unbias();
	assert_int_equal(own_cell_share(&cell, &a), 0);
	assert_int_equal(own_cell_share(&cell, &b), 0);
	assert_int_equal(WORD(&cell) & OWN__COUNT_MASK, 2 * OWN__COUNT_ONE);
	own_shared_release(&a);
	own_shared_release(&b);
	assert_int_equal(WORD(&cell) & OWN__COUNT_MASK, 0);
	finish(1);
}

static void
share_on_two_threads_at_once(void **state)
{
	struct own_shared s = { 0 };
	struct actor a;

	begin(POLICY(state));
	actor_start(&a, &cell);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(actor_do(&a, act_share), 0);
		assert_int_equal(own_cell_share(&cell, &s), 0);
		assert_ptr_equal(a.s.object, s.object);
		own_shared_release(&s);
		actor_do(&a, act_release);
		unbias();
	}
	actor_stop(&a);
	finish(POLICY(state) == OWN_VERSIONED ? 3 : 1);
}

static void
share_try_fails_while_unique(void **state)
{
	struct own_shared s = { 0 };
	struct actor a;
	struct item copy;

	(void)state;
	begin(OWN_EXCLUSIVE);
	actor_start(&a, &cell);
	assert_int_equal(actor_do(&a, act_claim), 0);
	assert_int_equal(own_cell_share_try(&cell, &s), -EBUSY);
	assert_null(s.object);
	assert_int_equal(own_cell_peek_try(&cell, never, NULL), -EBUSY);
	assert_int_equal(own_cell_read_try(&cell, &copy, sizeof(copy)), -EBUSY);
	actor_do(&a, act_release);
	assert_int_equal(own_cell_share_try(&cell, &s), 0);
	own_shared_release(&s);
	actor_stop(&a);
	finish(1);
}

static void
share_gives_the_committed_version_while_unique(void **state)
{
	struct own_shared s = { 0 };
	struct actor a;

	(void)state;
	begin(OWN_VERSIONED);
	actor_start(&a, &cell);
	assert_int_equal(actor_do(&a, act_claim), 0);
	actor_set(&a, 2);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(item_get(&s)->n, 1);
	assert_int_equal(item_value(&cell), 1);
	actor_do(&a, act_commit);
	assert_int_equal(item_get(&s)->n, 1);
	assert_int_equal(item_value(&cell), 2);
	own_shared_release(&s);
	actor_stop(&a);
	finish(2);
}

static void
share_waits_for_the_writer(void **state)
{
	static const uint64_t forms[] = { 0, LONG_NS };
	struct own_unique u = { 0 };
	struct actor a;

	(void)state;
	begin(OWN_EXCLUSIVE);
	actor_start(&a, &cell);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(own_cell_claim(&cell, &u), 0);
		a.deadline_ns = own_deadline_ns(forms[i]);
		actor_begin(&a, i ? act_share_timed : act_share);
		actor_await(&a);
		item_set(&u, 7 + i);
		own_unique_commit(&u);
		assert_int_equal(actor_end(&a), 0);
		assert_int_equal(RAW(&a.s)->twin, 7 + i);
		actor_do(&a, act_release);
	}
	actor_stop(&a);
	finish(1);
}

static void
share_timed_gives_up_at_its_deadline(void **state)
{
	struct own_unique u = { 0 };
	struct actor a;

	(void)state;
	begin(OWN_EXCLUSIVE);
	actor_start(&a, &cell);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	a.deadline_ns = own_deadline_ns(5 * MS_NS);
	assert_int_equal(actor_do(&a, act_share_timed), -ETIMEDOUT);
	assert_true(own_now_ns() >= a.deadline_ns);
	assert_null(a.s.object);
	/* past, and 0, which is further past */
	a.deadline_ns = 0;
	assert_int_equal(actor_do(&a, act_share_timed), -ETIMEDOUT);
	own_unique_release(&u);
	assert_int_equal(actor_do(&a, act_share_timed), 0);
	actor_stop(&a);
	finish(1);
}

static void
share_try_fails_while_another_thread_asks(void **state)
{
	struct own_shared s = { 0 };
	struct actor a, b;

	(void)state;
	begin(OWN_EXCLUSIVE);
	actor_start(&a, &cell);
	actor_start(&b, &cell);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	actor_begin(&a, act_claim);
	actor_await(&a);
	assert_int_equal(actor_do(&b, act_share_try), -EBUSY);
	/* nor does a reader that waits overtake the claimer */
	actor_begin(&b, act_share);
	actor_await(&b);
	own_shared_release(&s);
	assert_int_equal(actor_end(&a), 0);
	actor_set(&a, 3);
	actor_do(&a, act_release);
	assert_int_equal(actor_end(&b), 0);
	assert_int_equal(RAW(&b.s)->n, 3);
	actor_stop(&a);
	actor_stop(&b);
	finish(1);
}

static void
share_fails_at_its_count_limit(void **state)
{
	struct own_shared s = { 0 };
	struct item copy;
	uint64_t word;

	(void)state;
	begin(OWN_EXCLUSIVE);
	word = cell.word;
	cell.word = OWN__COUNT_MASK | UINT64_C(1) << 32;
	assert_int_equal(OWN_SHARED_MAX, OWN__COUNT_MASK / OWN__COUNT_ONE);
	assert_int_equal(own_cell_share(&cell, &s), -EOVERFLOW);
	assert_int_equal(own_cell_share_try(&cell, &s), -EOVERFLOW);
	assert_int_equal(item_read(&cell, &copy), -EOVERFLOW);
	assert_null(s.object);
	cell.word -= OWN__COUNT_ONE;
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(WORD(&cell) & OWN__COUNT_MASK, OWN__COUNT_MASK);
	own_shared_release(&s);
	cell.word = word;
	finish(1);
}

/* ---- claim ---- */

static void
claim_try_fails_while_shared(void **state)
{
	struct own_unique u = { 0 };
	struct actor a;

	(void)state;
	begin(OWN_EXCLUSIVE);
	actor_start(&a, &cell);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(actor_do(&a, act_share), 0);
		assert_int_equal(own_cell_claim_try(&cell, &u), -EBUSY);
		assert_null(u.object);
		assert_int_equal(WORD(&cell) & OWN__WRITER, 0);
		actor_do(&a, act_release);
		assert_int_equal(own_cell_claim_try(&cell, &u), 0);
		own_unique_release(&u);
	}
	actor_stop(&a);
	finish(1);
}

static void
claim_try_fails_while_unique(void **state)
{
	struct own_unique u = { 0 };
	struct actor a;

	begin(POLICY(state));
	actor_start(&a, &cell);
	assert_int_equal(actor_do(&a, act_claim_try), 0);
	assert_int_equal(own_cell_claim_try(&cell, &u), -EBUSY);
	assert_null(u.object);
	actor_do(&a, act_release);
	assert_int_equal(own_cell_claim_try(&cell, &u), 0);
	own_unique_release(&u);
	actor_stop(&a);
	finish(POLICY(state) == OWN_VERSIONED ? 3 : 1);
}

static void
claim_makes_a_draft_beside_readers(void **state)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };

	(void)state;
	begin(OWN_VERSIONED);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	assert_ptr_not_equal(u.object, s.object);
	assert_int_equal(item_edit(&u)->n, 1);
	item_set(&u, 2);
	assert_int_equal(item_get(&s)->n, 1);
	own_unique_commit(&u);
	assert_int_equal(item_get(&s)->n, 1);
	assert_int_equal(item_value(&cell), 2);
	own_shared_release(&s);
	finish(2);
}

static void
claim_waits_for_readers(void **state)
{
	struct own_shared s = { 0 };
	struct actor a;

	(void)state;
	begin(OWN_EXCLUSIVE);
	actor_start(&a, &cell);
	a.deadline_ns = own_deadline_ns(LONG_NS);
	/* at a slot, then at the count */
	for (int round = 0; round < 2; round++) {
		assert_int_equal(own_cell_share(&cell, &s), 0);
		actor_begin(&a, round ? act_claim_timed : act_claim);
		actor_await(&a);
		assert_int_equal(item_get(&s)->n, 1);
		own_shared_release(&s);
		assert_int_equal(actor_end(&a), 0);
		actor_do(&a, act_release);
	}
	actor_stop(&a);
	finish(1);
}

static void
claim_waits_for_the_writer(void **state)
{
	struct own_unique u = { 0 };
	struct actor a;

	begin(POLICY(state));
	actor_start(&a, &cell);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	actor_begin(&a, act_claim);
	actor_await(&a);
	item_set(&u, 2);
	own_unique_commit(&u);
	assert_int_equal(actor_end(&a), 0);
	assert_int_equal(RAW(&a.u)->n, 2);
	actor_set(&a, 3);
	actor_do(&a, act_commit);
	assert_int_equal(item_value(&cell), 3);
	actor_stop(&a);
	finish(POLICY(state) == OWN_VERSIONED ? 3 : 1);
}

static void
claim_timed_gives_up_at_its_deadline(void **state)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	struct actor a;

	begin(POLICY(state));
	actor_start(&a, &cell);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	a.deadline_ns = own_deadline_ns(5 * MS_NS);
	assert_int_equal(actor_do(&a, act_claim_timed), -ETIMEDOUT);
	assert_true(own_now_ns() >= a.deadline_ns);
	assert_null(a.u.object);
	own_unique_release(&u);
	if (POLICY(state) == OWN_EXCLUSIVE)
		for (int round = 0; round < 2; round++) {
			assert_int_equal(own_cell_share(&cell, &s), 0);
			a.deadline_ns = own_deadline_ns(5 * MS_NS);
			assert_int_equal(actor_do(&a, act_claim_timed),
					-ETIMEDOUT);
			assert_true(own_now_ns() >= a.deadline_ns);
			/* who gave up is in nobody's way */
			assert_int_equal(WORD(&cell) & OWN__WRITER, 0);
			own_shared_release(&s);
			unbias();
		}
	assert_int_equal(actor_do(&a, act_claim_try), 0);
	actor_do(&a, act_release);
	actor_stop(&a);
	finish(POLICY(state) == OWN_VERSIONED ? 3 : 1);
}

static void
change_in_place_stays_on_release(void **state)
{
	struct own_unique u = { 0 };

	(void)state;
	begin(OWN_EXCLUSIVE);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	item_set(&u, 2);
	own_unique_release(&u);
	assert_int_equal(item_value(&cell), 2);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	item_set(&u, 3);
	own_unique_commit(&u);
	assert_null(u.object);
	assert_int_equal(item_value(&cell), 3);
	finish(1);
}

static void
draft_is_dropped_on_release(void **state)
{
	struct own_unique u = { 0 };

	(void)state;
	begin(OWN_VERSIONED);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	item_set(&u, 2);
	own_unique_release(&u);
	assert_int_equal(ended, 1);
	assert_int_equal(item_value(&cell), 1);
	finish(2);
}

/* ---- conflicts with oneself ---- */

static void
second_handle_beside_own_unique_is_a_deadlock(void **state)
{
	uint64_t deadline_ns = own_deadline_ns(LONG_NS);
	struct own_unique u = { 0 }, v = { 0 }, n = { 0 };
	struct own_shared s = { 0 };
	struct item copy;

	begin(POLICY(state));
	item_make(&n, 4, NULL);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	assert_int_equal(own_cell_claim(&cell, &v), -EDEADLK);
	assert_int_equal(own_cell_claim_try(&cell, &v), -EDEADLK);
	assert_int_equal(own_cell_claim_timed(&cell, deadline_ns, &v),
			-EDEADLK);
	assert_null(v.object);
	assert_int_equal(own_cell_replace(&cell, &n), -EDEADLK);
	assert_int_equal(own_cell_replace_try(&cell, &n), -EDEADLK);
	assert_int_equal(own_cell_replace_timed(&cell, deadline_ns, &n),
			-EDEADLK);
	assert_int_equal(own_cell_swap(&cell, &n), -EDEADLK);
	assert_int_equal(item_edit(&n)->n, 4);
	if (POLICY(state) == OWN_EXCLUSIVE) {
		assert_int_equal(own_cell_share(&cell, &s), -EDEADLK);
		assert_int_equal(own_cell_share_try(&cell, &s), -EDEADLK);
		assert_int_equal(own_cell_share_timed(&cell, deadline_ns, &s),
				-EDEADLK);
		assert_null(s.object);
		assert_int_equal(item_read(&cell, &copy), -EDEADLK);
		assert_int_equal(own_cell_peek_try(&cell, never, NULL),
				-EDEADLK);
	} else {
		assert_int_equal(own_cell_share(&cell, &s), 0);
		assert_int_equal(item_get(&s)->n, 1);
		own_shared_release(&s);
	}
	own_unique_release(&u);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	own_unique_release(&u);
	own_unique_release(&n);
	finish(POLICY(state) == OWN_VERSIONED ? 3 : 1);
}

static void
claim_beside_own_shared_is_a_deadlock(void **state)
{
	uint64_t deadline_ns = own_deadline_ns(LONG_NS);
	struct own_unique u = { 0 }, n = { 0 };
	struct own_shared s = { 0 };

	(void)state;
	begin(OWN_EXCLUSIVE);
	item_make(&n, 4, NULL);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(own_cell_share(&cell, &s), 0);
		assert_int_equal(own_cell_claim(&cell, &u), -EDEADLK);
		assert_int_equal(own_cell_claim_try(&cell, &u), -EDEADLK);
		assert_int_equal(own_cell_claim_timed(&cell, deadline_ns, &u),
				-EDEADLK);
		assert_int_equal(own_cell_replace(&cell, &n), -EDEADLK);
		assert_int_equal(own_cell_swap_try(&cell, &n), -EDEADLK);
		assert_null(u.object);
		assert_int_equal(item_get(&s)->n, 1);
		own_shared_release(&s);
		unbias();
	}
	own_unique_release(&n);
	finish(1);
}

/* ---- replace and swap ---- */

static void
replace_ends_the_old_value(void **state)
{
	uint64_t deadline_ns = own_deadline_ns(LONG_NS);
	struct own_unique u = { 0 };

	begin(POLICY(state));
	item_make(&u, 2, &ended);
	assert_int_equal(own_cell_replace(&cell, &u), 0);
	assert_null(u.object);
	assert_int_equal(item_value(&cell), 2);
	item_make(&u, 3, &ended);
	assert_int_equal(own_cell_replace_try(&cell, &u), 0);
	item_make(&u, 4, &ended);
	assert_int_equal(own_cell_replace_timed(&cell, deadline_ns, &u), 0);
	assert_int_equal(item_value(&cell), 4);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(ended, 3);
	finish(4);
}

static void
replace_refuses_another_type(void **state)
{
	static const struct own_type other = { .name = "other", .size = 8 };
	struct own_unique u = { 0 };

	begin(POLICY(state));
	assert_int_equal(own_new(&other, &u), 0);
	assert_int_equal(own_cell_replace(&cell, &u), -EINVAL);
	assert_int_equal(own_cell_replace_try(&cell, &u), -EINVAL);
	assert_int_equal(own_cell_swap(&cell, &u), -EINVAL);
	assert_non_null(u.object);
	own_unique_release(&u);
	assert_int_equal(item_value(&cell), 1);
	finish(1);
}

static void
replace_fails_while_held(void **state)
{
	struct own_unique u = { 0 };
	struct actor a;
	uint64_t deadline_ns;

	begin(POLICY(state));
	actor_start(&a, &cell);
	item_make(&u, 2, &ended);
	assert_int_equal(actor_do(&a, act_claim), 0);
	assert_int_equal(own_cell_replace_try(&cell, &u), -EBUSY);
	deadline_ns = own_deadline_ns(5 * MS_NS);
	assert_int_equal(own_cell_replace_timed(&cell, deadline_ns, &u),
			-ETIMEDOUT);
	assert_true(own_now_ns() >= deadline_ns);
	actor_do(&a, act_release);
	if (POLICY(state) == OWN_EXCLUSIVE) {
		assert_int_equal(actor_do(&a, act_share), 0);
		assert_int_equal(own_cell_replace_try(&cell, &u), -EBUSY);
		deadline_ns = own_deadline_ns(5 * MS_NS);
		assert_int_equal(own_cell_replace_timed(&cell, deadline_ns,
				&u), -ETIMEDOUT);
		actor_do(&a, act_release);
	}
	assert_int_equal(item_edit(&u)->n, 2);
	assert_int_equal(own_cell_replace_try(&cell, &u), 0);
	actor_stop(&a);
	finish(POLICY(state) == OWN_VERSIONED ? 3 : 2);
}

static void
replace_waits_for_holders(void **state)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };
	struct actor a;

	begin(POLICY(state));
	actor_start(&a, &cell);
	item_make(&a.u, 2, &ended);
	if (POLICY(state) == OWN_EXCLUSIVE)
		assert_int_equal(own_cell_share(&cell, &s), 0);
	else
		assert_int_equal(own_cell_claim(&cell, &u), 0);
	actor_begin(&a, act_replace);
	actor_await(&a);
	assert_int_equal(ended, 0);
	own_shared_release(&s);
	own_unique_commit(&u);
	assert_int_equal(actor_end(&a), 0);
	assert_null(a.u.object);
	assert_int_equal(item_value(&cell), 2);
	actor_stop(&a);
	finish(POLICY(state) == OWN_VERSIONED ? 3 : 2);
}

static void
replace_leaves_readers_their_version(void **state)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };

	(void)state;
	begin(OWN_VERSIONED);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	item_make(&u, 2, &ended);
	assert_int_equal(own_cell_replace_try(&cell, &u), 0);
	assert_int_equal(own_barrier(), 1);
	assert_int_equal(ended, 0);
	assert_int_equal(item_get(&s)->n, 1);
	assert_int_equal(item_value(&cell), 2);
	own_shared_release(&s);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(ended, 1);
	finish(2);
}

static void
swap_hands_the_old_value_out(void **state)
{
	uint64_t deadline_ns = own_deadline_ns(LONG_NS);
	struct own_unique u = { 0 };

	begin(POLICY(state));
	item_make(&u, 2, &ended);
	assert_int_equal(own_cell_swap(&cell, &u), 0);
	assert_int_equal(item_edit(&u)->n, 1);
	assert_int_equal(item_value(&cell), 2);
	item_set(&u, 3);
	/* what was swapped out goes in again */
	assert_int_equal(own_cell_swap(&cell, &u), 0);
	assert_int_equal(item_edit(&u)->n, 2);
	assert_int_equal(item_value(&cell), 3);
	if (POLICY(state) == OWN_EXCLUSIVE) {
		assert_int_equal(own_cell_swap_try(&cell, &u), 0);
		assert_int_equal(own_cell_swap_timed(&cell, deadline_ns, &u),
				0);
	} else {
		assert_int_equal(own_cell_swap_try(&cell, &u), -EINVAL);
		assert_int_equal(own_cell_swap_timed(&cell, deadline_ns, &u),
				-EINVAL);
	}
	assert_int_equal(item_edit(&u)->n, 2);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(ended, 0);
	own_unique_release(&u);
	assert_int_equal(ended, 1);
	finish(2);
}

static void
swap_fails_while_held(void **state)
{
	struct own_unique u = { 0 };
	struct actor a;

	(void)state;
	begin(OWN_EXCLUSIVE);
	actor_start(&a, &cell);
	item_make(&u, 2, &ended);
	assert_int_equal(actor_do(&a, act_share), 0);
	assert_int_equal(own_cell_swap_try(&cell, &u), -EBUSY);
	assert_int_equal(own_cell_swap_timed(&cell, own_deadline_ns(MS_NS),
			&u), -ETIMEDOUT);
	assert_int_equal(item_edit(&u)->n, 2);
	assert_int_equal(item_value(&cell), 1);
	own_unique_release(&u);
	actor_stop(&a);
	finish(2);
}

static void
swap_waits_for_the_last_reader(void **state)
{
	struct own_shared s = { 0 };
	struct actor a;

	begin(POLICY(state));
	actor_start(&a, &cell);
	/* by slot, by slot with a clone past the swap, by count */
	for (unsigned round = 0; round < 3; round++) {
		struct own_shared more = { 0 };

		item_make(&a.u, 2, &ended);
		assert_int_equal(own_cell_share(&cell, &s), 0);
		if (round == 2)
			assert_int_equal(own_shared_detach(&s), 0);
		actor_begin(&a, act_swap);
		actor_await(&a);
		assert_int_equal(own_shared_clone(&s, &more), 0);
		if (round == 1)
			own_shared_release(&s);
		assert_int_equal(item_get(&more)->n, round ? 2 : 1);
		if (POLICY(state) == OWN_VERSIONED)
			assert_int_equal(item_value(&cell), 2);
		own_shared_release(&s);
		own_shared_release(&more);
		assert_int_equal(actor_end(&a), 0);
		assert_int_equal(RAW(&a.u)->n, round ? 2 : 1);
		assert_int_equal(ended, round);
		actor_do(&a, act_release);
	}
	actor_stop(&a);
	finish(4);
}

static void
swap_refuses_who_holds_anything(void **state)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };
	struct own_cell other;

	(void)state;
	begin(OWN_VERSIONED);
	item_cell(&other, OWN_EXCLUSIVE, 8, NULL);
	item_make(&u, 2, &ended);
	assert_int_equal(own_cell_share(&other, &s), 0);
	assert_int_equal(own_cell_swap(&cell, &u), -EDEADLK);
	assert_int_equal(item_edit(&u)->n, 2);
	own_shared_release(&s);
	assert_int_equal(own_cell_swap(&cell, &u), 0);
	own_unique_release(&u);
	own_cell_destroy(&other);
	finish(2);
}

/* ---- peek and read ---- */

static int
look(const void *value, size_t size_bytes, void *arg)
{
	struct own_unique u = { 0 };
	const struct item *item = value;

	assert_int_equal(size_bytes, sizeof(*item));
	/* the value is held meanwhile, as by a share */
	if (cell.policy == OWN_EXCLUSIVE)
		assert_int_equal(own_cell_claim_try(&cell, &u), -EDEADLK);
	return (int)item->n + *(const int *)arg;
}

static void
peek_returns_what_its_function_does(void **state)
{
	uint64_t deadline_ns = own_deadline_ns(LONG_NS);
	int ten = 10;

	begin(POLICY(state));
	for (int round = 0; round < 2; round++) {
		assert_int_equal(own_cell_peek(&cell, look, &ten), 11);
		assert_int_equal(own_cell_peek_try(&cell, look, &ten), 11);
		assert_int_equal(own_cell_peek_timed(&cell, deadline_ns, look,
				&ten), 11);
		assert_false(own_i_slot_any(own_i_this));
		unbias();
	}
	finish(POLICY(state) == OWN_VERSIONED ? 3 : 1);
}

static void
read_copies_the_value_or_nothing(void **state)
{
	uint64_t deadline_ns = own_deadline_ns(LONG_NS);
	struct item copy = { 0, 77, NULL };
	char large[sizeof(struct item) + 8];

	begin(POLICY(state));
	assert_int_equal(own_cell_read(&cell, &copy, sizeof(copy) - 1),
			-EOVERFLOW);
	assert_int_equal(copy.twin, 77);
	assert_int_equal(own_cell_read(&cell, large, sizeof(large)), 0);
	assert_int_equal(own_cell_read_try(&cell, &copy, sizeof(copy)), 0);
	assert_int_equal(copy.n, 1);
	assert_int_equal(own_cell_read_timed(&cell, deadline_ns, &copy,
			sizeof(copy)), 0);
	finish(1);
}

static int
act_peek_timed(struct actor *a)
{
	return own_cell_peek_timed(a->cell, a->deadline_ns, never, NULL);
}

static int
act_read(struct actor *a)
{
	return item_read(a->cell, a->arg);
}

static void
peek_and_read_wait_for_the_writer(void **state)
{
	struct own_unique u = { 0 };
	struct item copy;
	struct actor a;

	(void)state;
	begin(OWN_EXCLUSIVE);
	actor_start(&a, &cell);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	a.deadline_ns = own_deadline_ns(5 * MS_NS);
	assert_int_equal(actor_do(&a, act_peek_timed), -ETIMEDOUT);
	assert_true(own_now_ns() >= a.deadline_ns);
	a.arg = &copy;
	actor_begin(&a, act_read);
	actor_await(&a);
	item_set(&u, 6);
	own_unique_release(&u);
	assert_int_equal(actor_end(&a), 0);
	assert_int_equal(copy.n, 6);
	assert_int_equal(copy.twin, 6);
	actor_stop(&a);
	finish(1);
}

/* ---- a writer that ends ---- */

static void
thread_end_with_unique_leaves_an_orphan(void **state)
{
	uint64_t deadline_ns = own_deadline_ns(LONG_NS);
	struct own_shared s = { 0 };
	struct own_unique u = { 0 }, n = { 0 };
	struct item copy;
	struct actor a;

	(void)state;
	begin(OWN_EXCLUSIVE);
	assert_int_equal(own_cell_orphan_claim(&cell, &u), -EINVAL);
	actor_start(&a, &cell);
	assert_int_equal(actor_do(&a, act_claim), 0);
	RAW(&a.u)->n = 5;
	assert_int_equal(own_cell_orphan_claim(&cell, &u), -EINVAL);
	actor_stop(&a);
	item_make(&n, 9, NULL);
	assert_int_equal(own_cell_share(&cell, &s), -EOWNERDEAD);
	assert_int_equal(own_cell_share_try(&cell, &s), -EOWNERDEAD);
	assert_int_equal(own_cell_share_timed(&cell, deadline_ns, &s),
			-EOWNERDEAD);
	assert_int_equal(own_cell_claim(&cell, &u), -EOWNERDEAD);
	assert_int_equal(own_cell_claim_try(&cell, &u), -EOWNERDEAD);
	assert_int_equal(own_cell_claim_timed(&cell, deadline_ns, &u),
			-EOWNERDEAD);
	assert_int_equal(own_cell_replace(&cell, &n), -EOWNERDEAD);
	assert_int_equal(own_cell_swap(&cell, &n), -EOWNERDEAD);
	assert_int_equal(item_read(&cell, &copy), -EOWNERDEAD);
	assert_int_equal(own_cell_peek(&cell, never, NULL), -EOWNERDEAD);
	own_unique_release(&n);

	actor_start(&a, &cell);
	assert_int_equal(own_cell_orphan_claim(&cell, &u), 0);
	assert_int_equal(item_edit(&u)->n, 5);
	assert_int_equal(item_edit(&u)->twin, 1);
	assert_int_equal(actor_do(&a, act_share), -EOWNERDEAD);
	item_set(&u, 6);
	own_unique_release(&u);
	assert_int_equal(item_value(&cell), 6);
	assert_int_equal(actor_do(&a, act_claim), 0);
	actor_do(&a, act_release);
	actor_stop(&a);
	finish(1);
}

static int
act_orphan_claim(struct actor *a)
{
	return own_cell_orphan_claim_at(a->cell, &a->u, a->site);
}

static void
orphan_is_claimed_by_one_at_a_time(void **state)
{
	struct own_unique u = { 0 };
	struct actor a;

	(void)state;
	begin(OWN_EXCLUSIVE);
	actor_start(&a, &cell);
	assert_int_equal(actor_do(&a, act_claim), 0);
	actor_stop(&a);
	actor_start(&a, &cell);
	assert_int_equal(own_cell_orphan_claim(&cell, &u), 0);
	assert_int_equal(actor_do(&a, act_orphan_claim), -EBUSY);
	own_unique_release(&u);
	assert_int_equal(actor_do(&a, act_orphan_claim), -EINVAL);
	actor_stop(&a);
	finish(1);
}

static void
waiters_hear_of_an_orphan(void **state)
{
	struct actor writer, reader, a, b;

	(void)state;
	begin(OWN_EXCLUSIVE);
	actor_start(&writer, &cell);
	actor_start(&reader, &cell);
	actor_start(&a, &cell);
	actor_start(&b, &cell);
	assert_int_equal(actor_do(&writer, act_claim), 0);
	actor_begin(&reader, act_share);
	actor_begin(&a, act_claim);
	actor_begin(&b, act_claim);
	actor_await(&reader);
	actor_await(&a);
	actor_await(&b);
	actor_stop(&writer);
	assert_int_equal(actor_end(&reader), -EOWNERDEAD);
	assert_int_equal(actor_end(&a), -EOWNERDEAD);
	assert_int_equal(actor_end(&b), -EOWNERDEAD);
	actor_stop(&reader);
	actor_stop(&a);
	actor_stop(&b);
	/* an orphan can be destroyed */
	finish(1);
}

static void
versioned_cell_has_no_orphans(void **state)
{
	struct own_unique u = { 0 };
	struct actor a;

	(void)state;
	begin(OWN_VERSIONED);
	actor_start(&a, &cell);
	assert_int_equal(actor_do(&a, act_claim), 0);
	actor_set(&a, 2);
	actor_stop(&a);
	assert_int_equal(ended, 1);
	assert_int_equal(own_cell_orphan_claim(&cell, &u), -EINVAL);
	assert_int_equal(item_value(&cell), 1);
	assert_int_equal(own_cell_claim_try(&cell, &u), 0);
	own_unique_release(&u);
	finish(3);
}

/* ---- misuse that stops the process ---- */

static const struct own_site taken = { "place-of-taking.c", 11 };
static const struct own_site used = { "place-of-use.c", 22 };

static void
destroy_while_shared(void)
{
	struct own_shared s = { 0 };

	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	assert_int_equal(own_cell_share_at(&cell, &s, &taken), 0);
	own_cell_destroy(&cell);
}

static void
destroy_while_counted(void)
{
	struct own_shared s = { 0 };

	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	unbias();
	assert_int_equal(own_cell_share_at(&cell, &s, &taken), 0);
	own_cell_destroy(&cell);
}

static void
destroy_while_version_is_shared(void)
{
	struct own_shared s = { 0 };

	item_cell(&cell, OWN_VERSIONED, 1, NULL);
	assert_int_equal(own_cell_share_at(&cell, &s, &taken), 0);
	own_cell_destroy(&cell);
}

static void
destroy_while_unique(void)
{
	struct own_unique u = { 0 };

	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	assert_int_equal(own_cell_claim_at(&cell, &u, &taken), 0);
	own_cell_destroy(&cell);
}

static void
destroy_while_draft(void)
{
	struct own_unique u = { 0 };

	item_cell(&cell, OWN_VERSIONED, 1, NULL);
	assert_int_equal(own_cell_claim_at(&cell, &u, &taken), 0);
	own_cell_destroy(&cell);
}

static void
destroy_while_detached(void)
{
	struct own_shared s = { 0 };

	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(own_shared_detach(&s), 0);
	own_cell_destroy(&cell);
}

static void
destroy_with_handles_out_stops_the_process(void **state)
{
	static const char what[] = "own_cell_destroy: a handle of the cell is "
		"out; held by thread ";

	(void)state;
	child_aborts("destroy_while_shared", what, ", shared, item 0x",
			" in the cell at place-of-taking.c:11\n", NULL);
	child_aborts("destroy_while_counted", what, ", shared (counted), item",
			" in the cell at place-of-taking.c:11\n", NULL);
	child_aborts("destroy_while_version_is_shared", what, ", shared, item",
			" in the cell at place-of-taking.c:11\n", NULL);
	child_aborts("destroy_while_unique", what, ", unique, item",
			" in the cell at place-of-taking.c:11\n", NULL);
	child_aborts("destroy_while_draft", what, ", unique (draft), item",
			" in the cell at place-of-taking.c:11\n", NULL);
	child_aborts("destroy_while_detached",
			"own_cell_destroy: a handle of the cell is out", NULL);
}

static void
destroy_leaves_detached_handles_their_version(void **state)
{
	struct own_shared s = { 0 };

	(void)state;
	begin(OWN_VERSIONED);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(own_shared_detach(&s), 0);
	own_cell_destroy(&cell);
	assert_int_equal(own_barrier(), 1);
	assert_int_equal(item_get(&s)->n, 1);
	assert_int_equal(ended, 0);
	own_shared_release(&s);
	finish(1);
}

static void
destroyed_exclusive_shared(void)
{
	struct own_shared s = { 0 };

	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	own_cell_destroy(&cell);
	(void)!own_cell_share_at(&cell, &s, &used);
}

static void
destroyed_versioned_shared(void)
{
	struct own_shared s = { 0 };

	item_cell(&cell, OWN_VERSIONED, 1, NULL);
	own_cell_destroy(&cell);
	(void)!own_cell_share_try_at(&cell, &s, &used);
}

static void
destroyed_claimed(void)
{
	struct own_unique u = { 0 };

	item_cell(&cell, OWN_VERSIONED, 1, NULL);
	own_cell_destroy(&cell);
	(void)!own_cell_claim_at(&cell, &u, &used);
}

static void
destroyed_replaced(void)
{
	struct own_unique u = { 0 };

	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	own_cell_destroy(&cell);
	item_make(&u, 1, NULL);
	(void)!own_cell_replace_at(&cell, &u, &used);
}

static void
uninitialised_shared(void)
{
	struct own_shared s = { 0 };

	memset(&cell, 0, sizeof(cell));
	(void)!own_cell_share_at(&cell, &s, &used);
}

static void
cell_that_is_not_live_stops_the_process(void **state)
{
	static const char *const names[] = {
		"destroyed_exclusive_shared", "destroyed_versioned_shared",
		"destroyed_claimed", "destroyed_replaced",
		"uninitialised_shared",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		child_aborts(names[i], "cell is not initialised, or destroyed "
				"at place-of-use.c:22\n", NULL);
}

static void
give_a_borrowed_handle(void)
{
	struct own_unique u = { 0 };
	struct own_cell other;

	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	item_cell(&other, OWN_EXCLUSIVE, 1, NULL);
	assert_int_equal(own_cell_claim_at(&cell, &u, &taken), 0);
	(void)!own_cell_replace_at(&other, &u, &used);
}

static void
give_a_draft(void)
{
	struct own_unique u = { 0 };

	item_cell(&cell, OWN_VERSIONED, 1, NULL);
	assert_int_equal(own_cell_claim_at(&cell, &u, &taken), 0);
	(void)!own_cell_swap_at(&cell, &u, &used);
}

static void
give_a_shared_handle(void)
{
	struct own_shared s = { 0 };

	item_cell(&cell, OWN_VERSIONED, 1, NULL);
	assert_int_equal(own_cell_share_at(&cell, &s, &taken), 0);
	(void)!own_cell_replace_at(&cell, (struct own_unique *)&s, &used);
}

static void
give_an_empty_handle(void)
{
	struct own_unique u = { 0 };

	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	(void)!own_cell_replace_at(&cell, &u, &used);
}

static void
giving_what_is_not_owned_stops_the_process(void **state)
{
	static const char text[] = ": a borrowed handle, not an owned one at "
		"place-of-use.c:22; it was taken by thread ";

	(void)state;
	child_aborts("give_a_borrowed_handle", "own_cell_replace", text,
			taken.file, NULL);
	child_aborts("give_a_draft", "own_cell_swap", text, taken.file, NULL);
	child_aborts("give_a_shared_handle", "own_cell_replace", text,
			taken.file, NULL);
	child_aborts("give_an_empty_handle", "empty handle given to a cell at "
			"place-of-use.c:22\n", NULL);
}

static const struct child children[] = {
	CHILD(destroy_while_counted),
	CHILD(destroy_while_detached),
	CHILD(destroy_while_draft),
	CHILD(destroy_while_shared),
	CHILD(destroy_while_unique),
	CHILD(destroy_while_version_is_shared),
	CHILD(destroyed_claimed),
	CHILD(destroyed_exclusive_shared),
	CHILD(destroyed_replaced),
	CHILD(destroyed_versioned_shared),
	CHILD(give_a_borrowed_handle),
	CHILD(give_a_draft),
	CHILD(give_a_shared_handle),
	CHILD(give_an_empty_handle),
	CHILD(uninitialised_shared),
};

static const struct CMUnitTest tests[] = {
	TEST(init_refuses_a_bad_policy),
	TEST(init_refuses_another_type),
	TEST_BOTH(init_refuses_a_borrowed_handle),
	TEST(init_refuses_an_empty_handle),
	TEST_BOTH(init_without_a_value_makes_an_empty_cell),
	TEST_BOTH(empty_global_gets_its_value_by_replace),
	TEST_BOTH(destroy_ends_the_value_once),
	TEST(destroy_ignores_null_and_zero),
	TEST_BOTH(share_gives_the_value_to_many),
	TEST(share_counts_without_bias),
	TEST_BOTH(share_on_two_threads_at_once),
	TEST(share_try_fails_while_unique),
	TEST(share_gives_the_committed_version_while_unique),
	TEST(share_waits_for_the_writer),
	TEST(share_timed_gives_up_at_its_deadline),
	TEST(share_try_fails_while_another_thread_asks),
	TEST(share_fails_at_its_count_limit),
	TEST(claim_try_fails_while_shared),
	TEST_BOTH(claim_try_fails_while_unique),
	TEST(claim_makes_a_draft_beside_readers),
	TEST(claim_waits_for_readers),
	TEST_BOTH(claim_waits_for_the_writer),
	TEST_BOTH(claim_timed_gives_up_at_its_deadline),
	TEST(change_in_place_stays_on_release),
	TEST(draft_is_dropped_on_release),
	TEST_BOTH(second_handle_beside_own_unique_is_a_deadlock),
	TEST(claim_beside_own_shared_is_a_deadlock),
	TEST_BOTH(replace_ends_the_old_value),
	TEST_BOTH(replace_refuses_another_type),
	TEST_BOTH(replace_fails_while_held),
	TEST_BOTH(replace_waits_for_holders),
	TEST(replace_leaves_readers_their_version),
	TEST_BOTH(swap_hands_the_old_value_out),
	TEST(swap_fails_while_held),
	TEST_BOTH(swap_waits_for_the_last_reader),
	TEST(swap_refuses_who_holds_anything),
	TEST_BOTH(peek_returns_what_its_function_does),
	TEST_BOTH(read_copies_the_value_or_nothing),
	TEST(peek_and_read_wait_for_the_writer),
	TEST(thread_end_with_unique_leaves_an_orphan),
	TEST(orphan_is_claimed_by_one_at_a_time),
	TEST(waiters_hear_of_an_orphan),
	TEST(versioned_cell_has_no_orphans),
	TEST(destroy_with_handles_out_stops_the_process),
	TEST(destroy_leaves_detached_handles_their_version),
	TEST(cell_that_is_not_live_stops_the_process),
	TEST(giving_what_is_not_owned_stops_the_process),
};

TESTS_MAIN("cell");
