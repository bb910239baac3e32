/* SPDX-License-Identifier: MIT */
/* test_slots.c - thread records, their slots, the asymmetric fence */
#include <unistd.h>
#include "tests/support.h"

static const struct own_site here = { "slots.c", 1 };
static uint64_t word;

static unsigned
records(void)
{
	unsigned n = 0;

	OWN_I_EACH_RECORD(r)
		n++;
	return n;
}

static struct own_i_slot
take(const void *container)
{
	struct own_i_slot s;

	assert_non_null(own_i_self());
	assert_int_equal(own_i_slot_take(own_i_this, container, &here, &s), 0);
	/* the checked build: nothing is stored to it, and the next one comes */
	OWN_I_TAKEN(s.object);
	return s;
}

static void
first_use_makes_a_record(void)
{
	assert_null(own_i_this);
	assert_null(own__self);
	assert_int_equal(records(), 0);
	assert_int_equal(own_thread_register(), 0);
	assert_non_null(own_i_this);
	assert_int_equal(records(), 1);
	assert_int_equal(own_i_this->tid, gettid());
	assert_int_equal((uintptr_t)own_i_this % 64, 0);
	/* what inlines use, unless they must leave it to the library */
	if (own_i_fenced)
		assert_null(own__self);
	else
		assert_ptr_equal(own__self, &own_i_this->block.s);
	assert_int_equal(own_thread_register(), 0);
	assert_int_equal(records(), 1);
}

static void
record_is_made_on_first_use(void **state)
{
	(void)state;
	child_succeeds("first_use_makes_a_record", NULL);
}

static void
records_are_used_again(void **state)
{
	struct own_i_record *first, *second;
	struct actor a, b;
	unsigned n;

	(void)state;
	actor_start(&a, NULL);
	actor_start(&b, NULL);
	first = a.record;
	second = b.record;
	assert_ptr_not_equal(first, second);
	assert_int_not_equal(first->id, second->id);
	assert_int_equal(own__load(&first->used, OWN__ACQUIRE), 1);
	n = records();
	actor_stop(&a);
	actor_stop(&b);
	assert_int_equal(own__load(&first->used, OWN__ACQUIRE), 0);
	actor_start(&a, NULL);
	actor_start(&b, NULL);
	assert_true(a.record == first || a.record == second);
	assert_true(b.record == first || b.record == second);
	assert_ptr_not_equal(a.record, b.record);
	assert_int_equal(records(), n);
	actor_stop(&a);
	actor_stop(&b);
}

static void *
register_and_end(void *arg)
{
	(void)arg;
	assert_int_equal(own_thread_register(), 0);
	assert_false(own_i_slot_any(own_i_this));
	return NULL;
}

static void
threads_that_end_leave_no_records(void **state)
{
	unsigned n = 0;

	(void)state;
	for (int i = 0; i < 50; i++) {
		pthread_t id;

		assert_int_equal(pthread_create(&id, NULL, register_and_end,
				NULL), 0);
		assert_int_equal(pthread_join(id, NULL), 0);
		if (i == 0)
			n = records();
	}
	assert_int_equal(records(), n);
}

static void
slot_notes_its_taking(void **state)
{
	struct own_i_slot s = take(&word), again;
	uint64_t how = own_i_slot_how(s);

	(void)state;
	assert_int_equal(*s.object, 0);
	assert_int_equal(s.meta->container, (uintptr_t)&word);
	assert_ptr_equal(s.meta->site, &here);
	assert_int_equal(how & OWN__HOW_KIND, OWN__HOW_HOLD);
	assert_int_equal(how >> 16 & 0xfffff, own_i_this->id);
	/* not stored to: the next one takes it, with another sequence */
	again = take(NULL);
	assert_ptr_equal(again.meta, s.meta);
	assert_true(own_i_slot_how(again) == how + OWN__HOW_SEQ_ONE);
	assert_true(own_i_slot_how(own_i_slot_at(own_i_this, how &
			OWN__HOW_SLOT)) == how + OWN__HOW_SEQ_ONE);
}

static void
blocks_are_added_and_kept(void **state)
{
	struct own_i_slot s[5 * OWN__SLOTS];
	unsigned blocks = 0;

	(void)state;
	for (unsigned i = 0; i < 5 * OWN__SLOTS; i++) {
		s[i] = take(NULL);
		own_i_slot_store(s[i], (uintptr_t)&word | OWN__NOTE);
		assert_int_equal(own_i_slot_how(s[i]) & OWN__HOW_SLOT, i);
		assert_ptr_equal(own_i_slot_at(own_i_this, i).meta, s[i].meta);
	}
	OWN_I_EACH_BLOCK(b, own_i_this) {
		assert_int_equal(b->first, blocks * OWN__SLOTS);
		blocks++;
	}
	assert_int_equal(blocks, 5);
	for (unsigned i = 0; i < 5 * OWN__SLOTS; i++)
		own_i_slot_free(s[i]);
	assert_false(own_i_slot_any(own_i_this));
	s[0] = take(NULL);
	assert_ptr_equal(s[0].meta, &own_i_this->block.s.slot[0]);
}

static void
find_knows_kinds(void **state)
{
	static const uint64_t kinds[] = {
		OWN__HOW_HOLD, OWN__HOW_COUNTED, OWN__HOW_TRYING,
		OWN__HOW_DRAINING, OWN__HOW_UNIQUE, OWN__HOW_DRAFT,
	};
	struct own_i_slot s = take(NULL);
	uint64_t other, how;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		own_i_slot_kind(s, kinds[i]);
		own_i_slot_store(s, (uintptr_t)&word | (i ? OWN__NOTE : 0));
		for (unsigned k = 0; k < 6; k++)
			assert_ptr_equal(own_i_slot_find(own_i_this, &word,
					OWN_I_KIND(kinds[k]), NULL, &how),
					i == k ? s.meta : NULL);
		assert_non_null(own_i_slot_find(own_i_this, &word, ~0u, NULL,
				&how));
		assert_true(how == own_i_slot_how(s));
		assert_null(own_i_slot_find(own_i_this, &word, ~0u, s.meta,
				NULL));
		assert_null(own_i_slot_find(own_i_this, &other, ~0u, NULL,
				NULL));
		assert_true(own_i_slot_any(own_i_this));
	}
	own_i_slot_free(s);
	assert_int_equal(own_i_slot_how(s) & OWN__HOW_KIND, OWN__HOW_HOLD);
	assert_null(own_i_slot_find(own_i_this, &word, ~0u, NULL, NULL));
	assert_false(own_i_slot_any(own_i_this));
}

static void
end_of_a_hold_clears_wanted(void **state)
{
	struct own_i_slot s = take(NULL);

	(void)state;
	own_i_slot_store(s, (uintptr_t)&word);
	s.meta->wanted = 1;
	own_i_slot_set(s, 0);
	/* else who is about to sleep on it would never wake */
	assert_int_equal(s.meta->wanted, 0);
	own_i_slot_set(s, 0);
	assert_int_equal(s.meta->wanted, 0);
}

static void
fence_is_counted_and_timed(void **state)
{
	uint64_t before = own_i_fences();

	(void)state;
	assert_int_equal(own_thread_register(), 0);
	for (int i = 0; i < 20; i++)
		own_i_heavy_fence();
	if (own_i_fenced) {
		assert_int_equal(own_i_fences(), before);
	} else {
		assert_int_equal(own_i_fences(), before + 20);
		assert_true(own_i_fence_cost_ns() > 0);
	}
}

static void
damaged_handle_used(void)
{
	struct own_shared s = { 0 };
	struct own_cell cell;

	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	s.how |= OWN__HOW_SLOT;
	(void)!own_shared_detach(&s);
}

static void
damaged_handle_stops_the_process(void **state)
{
	(void)state;
	child_aborts("damaged_handle_used", "handle is stale or damaged",
			NULL);
}

static const struct child children[] = {
	CHILD(damaged_handle_used),
	CHILD(first_use_makes_a_record),
};

static const struct CMUnitTest tests[] = {
	TEST(record_is_made_on_first_use),
	TEST(records_are_used_again),
	TEST(threads_that_end_leave_no_records),
	TEST(slot_notes_its_taking),
	TEST(blocks_are_added_and_kept),
	TEST(find_knows_kinds),
	TEST(end_of_a_hold_clears_wanted),
	TEST(fence_is_counted_and_timed),
	TEST(damaged_handle_stops_the_process),
};

TESTS_MAIN("slots");
