/* SPDX-License-Identifier: MIT */
/* test_reclaim.c - retiring, scans, statistics, limits, set-up, threads */
#include <stdio.h>
#include "tests/support.h"

#define BATCH	OWN_I_BATCH_OBJECTS

static uint32_t ended;

struct large {
	char bytes[OWN_I_BATCH_BYTES / 4];
};

OWN_TYPE(large, struct large, .copy = NULL);

/* A fini that lets the test look while its scan is under way. */
struct slow {
	sem_t *began, *go_on;
};

static void
slow_fini(void *payload, size_t size_bytes)
{
	struct slow *slow = payload;

	(void)size_bytes;
	if (!slow->began)
		return;
	sem_post(slow->began);
	while (sem_wait(slow->go_on) != 0)
		assert_int_equal(errno, EINTR);
	(void)own__add(&ended, 1, OWN__RELAXED);
}

OWN_TYPE(slow, struct slow, .fini = slow_fini);

/* One that asks for more, and that owns a cell. */
struct parent {
	struct own_cell child;
	int64_t barrier, reclaim;
	int64_t *ret_barrier, *ret_reclaim;
};

static void
parent_fini(void *payload, size_t size_bytes)
{
	struct parent *parent = payload;

	(void)size_bytes;
	if (parent->ret_barrier) {
		*parent->ret_barrier = own_barrier();
		*parent->ret_reclaim = own_reclaim(0);
	}
	/* retires the child's value */
	own_cell_destroy(&parent->child);
	(void)own__add(&ended, 1, OWN__RELAXED);
}

OWN_TYPE(parent, struct parent, .fini = parent_fini);

static struct own_cell cell;

static struct own_reclaim_stats
stats(void)
{
	struct own_reclaim_stats s;

	own_reclaim_stats(&s);
	assert_int_equal(s.retired_objects - s.freed_objects,
			s.pending_objects);
	return s;
}

/* Puts an item in and so retires the one before. */
static void
replace(struct own_cell *c, uint64_t n)
{
	struct own_unique u = { 0 };

	item_make(&u, n, &ended);
	assert_int_equal(own_cell_replace(c, &u), 0);
}

/* This thread's next scan comes after a whole batch. */
static void
count_afresh(void)
{
	own_i_this->batch.fresh_objects = 0;
	own_i_this->batch.fresh_bytes = 0;
}

static void
begin(void)
{
	assert_int_equal(own_barrier(), 0);
	count_afresh();
	ended = 0;
	item_cell(&cell, OWN_VERSIONED, 0, &ended);
}

static void
finish(uint32_t items)
{
	own_cell_destroy(&cell);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(ended, items);
	assert_int_equal(stats().pending_objects, 0);
	assert_int_equal(stats().pending_bytes, 0);
}

/* ---- scans ---- */

static void
full_batch_is_scanned(void **state)
{
	struct own_reclaim_stats before, after;

	(void)state;
	begin();
	before = stats();
	for (unsigned i = 1; i < BATCH; i++)
		replace(&cell, i);
	after = stats();
	assert_int_equal(after.scans, before.scans);
	assert_int_equal(after.pending_objects, BATCH - 1);
	assert_int_equal(after.pending_bytes, (BATCH - 1) *
			(sizeof(struct item) + sizeof(struct own__header)));
	assert_int_equal(ended, 0);
	replace(&cell, BATCH);
	after = stats();
	assert_int_equal(after.scans, before.scans + 1);
	assert_int_equal(after.membarriers, before.membarriers +
			(own_i_fenced ? 0 : 1));
	assert_int_equal(after.retired_objects, before.retired_objects + BATCH);
	assert_int_equal(after.pending_objects, 0);
	assert_int_equal(ended, BATCH);
	finish(BATCH + 1);
}

static void
batch_is_full_by_bytes_too(void **state)
{
	struct own_reclaim_stats before;
	struct own_unique u = { 0 };
	struct own_cell c = OWN_CELL_INIT(&large_type, OWN_VERSIONED, NULL);

	(void)state;
	assert_int_equal(own_barrier(), 0);
	count_afresh();
	before = stats();
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(stats().scans, before.scans);
		assert_int_equal(large_new(&u), 0);
		assert_int_equal(own_cell_replace(&c, &u), 0);
	}
	assert_int_equal(stats().scans, before.scans + 1);
	assert_int_equal(stats().pending_objects, 0);
	own_cell_destroy(&c);
	assert_int_equal(own_barrier(), 0);
}

static void
held_object_is_kept_and_all_else_freed(void **state)
{
	struct own_shared slot = { 0 }, count = { 0 }, beyond = { 0 };
	struct own_shared many[OWN__SLOTS] = { { 0 } };

	(void)state;
	begin();
	for (unsigned i = 1; i <= BATCH; i++) {
		if (i == 2)
			assert_int_equal(own_cell_share(&cell, &slot), 0);
		if (i == 4) {
			assert_int_equal(own_cell_share(&cell, &count), 0);
			assert_int_equal(own_shared_detach(&count), 0);
		}
		if (i == 5) {
			for (unsigned k = 0; k < OWN__SLOTS; k++)
				assert_int_equal(own_cell_share(&cell,
						&many[k]), 0);
			own_shared_move(&beyond, &many[OWN__SLOTS - 1]);
			for (unsigned k = 0; k < OWN__SLOTS; k++)
				own_shared_release(&many[k]);
		}
		replace(&cell, i);
	}
	assert_int_equal(ended, BATCH - 3);
	assert_int_equal(item_get(&slot)->n, 1);
	assert_int_equal(item_get(&count)->n, 3);
	assert_int_equal(item_get(&beyond)->n, 4);
	assert_int_equal(stats().pending_objects, 3);
	assert_int_equal(own_barrier(), 3);
	own_shared_release(&count);
	assert_int_equal(own_barrier(), 2);
	assert_int_equal(ended, BATCH - 2);
	assert_int_equal(item_get(&slot)->n, 1);
	own_shared_release(&slot);
	assert_int_equal(own_reclaim(0), 1);
	assert_int_equal(item_get(&beyond)->twin, 4);
	own_shared_release(&beyond);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(ended, BATCH);
	finish(BATCH + 1);
}

/* More held slots than one pass of a scan looks at. */
static void
many_held_objects_are_kept(void **state)
{
	static struct own_shared s[600];

	(void)state;
	begin();
	for (unsigned i = 0; i < 600; i++) {
		assert_int_equal(own_cell_share(&cell, &s[i]), 0);
		replace(&cell, i + 1);
	}
	assert_int_equal(own_barrier(), 600);
	assert_int_equal(ended, 0);
	for (unsigned i = 0; i < 600; i++) {
		assert_int_equal(item_get(&s[i])->n, i);
		if (i & 1)
			own_shared_release(&s[i]);
	}
	assert_int_equal(own_barrier(), 300);
	assert_int_equal(ended, 300);
	for (unsigned i = 0; i < 600; i += 2) {
		assert_int_equal(item_get(&s[i])->twin, i);
		own_shared_release(&s[i]);
	}
	finish(601);
}

static void
held_by_another_thread_is_kept(void **state)
{
	struct actor a;

	(void)state;
	begin();
	actor_start(&a, &cell);
	assert_int_equal(actor_do(&a, act_share), 0);
	for (unsigned i = 1; i <= 3 * BATCH; i++)
		replace(&cell, i);
	assert_int_equal(ended, 3 * BATCH - 1);
	assert_int_equal(RAW(&a.s)->n, 0);
	actor_do(&a, act_release);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(ended, 3 * BATCH);
	actor_stop(&a);
	finish(3 * BATCH + 1);
}

/* ---- own_reclaim, own_barrier ---- */

static int
act_replace_thrice(struct actor *a)
{
	count_afresh();
	for (unsigned i = 0; i < 3; i++)
		replace(a->cell, i);
	return 0;
}

static void
reclaim_takes_up_batches_of_all_threads(void **state)
{
	struct actor a, b;

	(void)state;
	begin();
	actor_start(&a, &cell);
	actor_start(&b, &cell);
	assert_int_equal(own_reclaim(LONG_NS), 0);
	actor_do(&a, act_replace_thrice);
	actor_do(&b, act_replace_thrice);
	assert_int_equal(stats().pending_objects, 6);
	/* no budget: one batch */
	assert_int_equal(own_reclaim(0), 3);
	assert_int_equal(ended, 3);
	actor_do(&a, act_replace_thrice);
	actor_do(&b, act_replace_thrice);
	assert_int_equal(own_reclaim(LONG_NS), 9);
	assert_int_equal(ended, 12);
	assert_int_equal(own_reclaim(LONG_NS), 0);
	actor_do(&a, act_replace_thrice);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(ended, 15);
	actor_stop(&a);
	actor_stop(&b);
	finish(16);
}

static void
thread_end_scans_and_hands_its_batch_on(void **state)
{
	struct own_shared s = { 0 };
	struct actor a;

	(void)state;
	begin();
	actor_start(&a, &cell);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	actor_do(&a, act_replace_thrice);
	assert_int_equal(ended, 0);
	actor_stop(&a);
	assert_int_equal(ended, 2);
	assert_int_equal(stats().pending_objects, 1);
	assert_int_equal(item_get(&s)->n, 0);
	own_shared_release(&s);
	assert_int_equal(own_reclaim(0), 1);
	assert_int_equal(ended, 3);
	finish(4);
}

static int
act_reclaim(struct actor *a)
{
	(void)a;
	return (int)own_reclaim(0);
}

static int
act_barrier(struct actor *a)
{
	uint32_t *going = a->arg;
	int r;

	raise_flag(going);
	r = (int)own_barrier();
	/* whatever was retired before has been finalised */
	assert_int_equal(own__load(&ended, OWN__RELAXED), 1);
	return r;
}

static void
barrier_waits_for_a_scan_under_way(void **state)
{
	struct own_unique u = { 0 };
	struct own_cell c;
	struct actor a, b;
	uint32_t going = 0;
	sem_t began, go_on;

	(void)state;
	assert_int_equal(own_barrier(), 0);
	ended = 0;
	assert_int_equal(sem_init(&began, 0, 0), 0);
	assert_int_equal(sem_init(&go_on, 0, 0), 0);
	assert_int_equal(slow_new(&u), 0);
	*slow_edit(&u) = (struct slow) { &began, &go_on };
	assert_int_equal(own_cell_init(&c, &slow_type, OWN_VERSIONED, NULL,
			&u), 0);
	own_cell_destroy(&c);
	actor_start(&a, NULL);
	actor_start(&b, NULL);
	actor_begin(&a, act_reclaim);
	while (sem_wait(&began) != 0)
		assert_int_equal(errno, EINTR);
	b.arg = &going;
	actor_begin(&b, act_barrier);
	await_flag(&going);
	pass_time(2 * MS_NS);
	sem_post(&go_on);
	assert_int_equal(actor_end(&a), 1);
	assert_int_equal(actor_end(&b), 0);
	actor_stop(&a);
	actor_stop(&b);
	sem_destroy(&began);
	sem_destroy(&go_on);
}

/* ---- what a fini may do ---- */

static void
fini_may_retire(void **state)
{
	int64_t barrier = 0, reclaim = 0;
	struct own_unique u = { 0 };
	struct own_cell c;

	(void)state;
	assert_int_equal(own_barrier(), 0);
	ended = 0;
	assert_int_equal(parent_new(&u), 0);
	item_cell(&parent_edit(&u)->child, OWN_VERSIONED, 1, &ended);
	parent_edit(&u)->ret_barrier = &barrier;
	parent_edit(&u)->ret_reclaim = &reclaim;
	assert_int_equal(own_cell_init(&c, &parent_type, OWN_VERSIONED, NULL,
			&u), 0);
	own_cell_destroy(&c);
	assert_int_equal(ended, 0);
	/* the child is queued, not ended within its parent's end */
	assert_int_equal(own_reclaim(0), 1);
	assert_int_equal(ended, 1);
	assert_int_equal(barrier, -EDEADLK);
	assert_int_equal(reclaim, -EDEADLK);
	assert_int_equal(stats().pending_objects, 1);
	assert_int_equal(own_reclaim(0), 1);
	assert_int_equal(ended, 2);
}

/* A list of parents, each in the one before, ends without recursion. */
static void
fini_of_a_chain_does_not_recurse(void **state)
{
	struct own_unique u = { 0 };
	struct own_cell c;
	unsigned n = 1000, rounds = 0;

	(void)state;
	assert_int_equal(own_barrier(), 0);
	ended = 0;
	memset(&c, 0, sizeof(c));
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(parent_new(&u), 0);
		parent_edit(&u)->child = c;
		assert_int_equal(own_cell_init(&c, &parent_type,
				OWN_VERSIONED, NULL, &u), 0);
	}
	own_cell_destroy(&c);
	while (ended < n) {
		uint32_t before = ended;

		/* one generation at a time */
		assert_int_equal(own_reclaim(0), 1);
		assert_int_equal(ended, before + 1);
		rounds++;
	}
	assert_int_equal(rounds, n);
	assert_int_equal(stats().pending_objects, 0);
}

/* ---- the limit ---- */

struct told {
	uint32_t n;			/* shared */
	char text[512];
};

static void
on_stall(const char *text, void *arg)
{
	struct told *told = arg;

	snprintf(told->text, sizeof(told->text), "%s", text);
	(void)own__add(&told->n, 1, OWN__RELAXED);
}

static void
limit_makes_each_retirement_scan_and_names_the_holder(void **state)
{
	static const struct own_site site = { "holder.c", 33 };
	static struct told told;
	struct own_reclaim_stats before;
	struct own_shared s = { 0 };
	struct actor a;
	char part[64];

	(void)state;
	begin();
	actor_start(&a, &cell);
	a.site = &site;
	own_stall_hook(on_stall, &told);
	own_reclaim_limit(0);
	assert_int_equal(actor_do(&a, act_share), 0);
	for (unsigned i = 1; i <= BATCH; i++)
		replace(&cell, i);
	assert_int_equal(ended, BATCH - 1);
	assert_int_equal(told.n, 1);
	snprintf(part, sizeof(part), "libown: %u bytes are retired and not "
			"freed; ", (unsigned)stats().pending_bytes);
	assert_int_equal(strncmp(told.text, part, strlen(part)), 0);
	snprintf(part, sizeof(part), ", is held by thread %d (",
			own__load(&a.record->tid, OWN__RELAXED));
	assert_non_null(strstr(told.text, part));
	assert_non_null(strstr(told.text, "the oldest, a item"));
	assert_non_null(strstr(told.text, ", shared, "));
	assert_non_null(strstr(told.text, " at holder.c:33\n"));
	/* from now on each one scans; told once a second at most */
	before = stats();
	for (unsigned i = 0; i < 3; i++)
		replace(&cell, i);
	assert_int_equal(stats().scans, before.scans + 3);
	assert_int_equal(ended, BATCH + 2);
	assert_int_equal(told.n, 1);
	/* until nothing holds it up any more */
	actor_do(&a, act_release);
	replace(&cell, 1);
	assert_int_equal(stats().pending_objects, 0);
	before = stats();
	replace(&cell, 2);
	assert_int_equal(stats().scans, before.scans);
	assert_int_equal(stats().pending_objects, 1);
	own_reclaim_limit(UINT64_C(64) << 20);
	own_stall_hook(NULL, NULL);
	actor_stop(&a);
	own_shared_release(&s);
	finish(BATCH + 6);
}

/* ---- the oldest ---- */

static int
act_sleep(struct actor *a)
{
	sem_t *wake = a->arg;

	while (sem_wait(wake) != 0)
		assert_int_equal(errno, EINTR);
	return 0;
}

/* What own_dump() writes. */
static void
dump(char *text, size_t size)
{
	FILE *file = tmpfile();
	size_t n;

	assert_non_null(file);
	assert_int_equal(own_dump(fileno(file)), 0);
	rewind(file);
	n = fread(text, 1, size - 1, file);
	assert_true(n > 0 && n < size - 1);
	text[n] = '\0';
	fclose(file);
}

static void
sleeper_holds_up_its_object_alone(void **state)
{
	static const struct own_site site = { "sleeper.c", 44 };
	struct own_pending p[4];
	struct actor a;
	uint64_t began, retired, now, asked;
	char text[16384], part[64];
	sem_t wake;

	(void)state;
	begin();
	assert_int_equal(sem_init(&wake, 0, 0), 0);
	actor_start(&a, &cell);
	a.site = &site;
	assert_int_equal(actor_do(&a, act_share), 0);
	a.arg = &wake;
	actor_begin(&a, act_sleep);
	began = own_now_ns();
	replace(&cell, 1);
	retired = own_now_ns();
	for (unsigned i = 2; i <= 200 * BATCH; i++) {
		replace(&cell, i);
		if (i % BATCH == 0) {
			assert_int_equal(ended, i - 1);
			assert_int_equal(stats().pending_objects, 1);
		}
	}
	asked = own_now_ns();
	assert_int_equal(own_reclaim_oldest(p, 4), 1);
	now = own_now_ns();
	assert_true(p[0].is_held);
	assert_true(p[0].age_ns >= asked - retired);
	assert_true(p[0].age_ns <= now - began);
	assert_true(stats().oldest_age_ns >= p[0].age_ns);
	assert_int_equal(p[0].bytes, sizeof(struct item) + 16);
	assert_int_equal(p[0].bytes, stats().pending_bytes);
	assert_int_equal(p[0].holder.tid,
			own__load(&a.record->tid, OWN__RELAXED));
	assert_string_equal(p[0].holder.mode, "shared");
	assert_string_equal(p[0].holder.object, "item");
	assert_string_equal(p[0].holder.container, "the cell");
	assert_ptr_equal(p[0].holder.site, &site);
	assert_ptr_equal(p[0].holder.address, own_i_header(a.s.object));
	dump(text, sizeof(text));
	assert_non_null(strstr(text, "libown: retired, the oldest, a item of "
			"40 bytes, retired "));
	snprintf(part, sizeof(part), " s ago, is held by thread %d (",
			p[0].holder.tid);
	assert_non_null(strstr(text, part));
	assert_non_null(strstr(text, " in the cell at sleeper.c:44\n"));
	sem_post(&wake);
	actor_end(&a);
	actor_stop(&a);
	sem_destroy(&wake);
	finish(200 * BATCH + 1);
	assert_int_equal(own_reclaim_oldest(p, 4), 0);
	assert_int_equal(stats().oldest_age_ns, 0);
}

#define HOLDERS		12u

/* Each is told to be at least as old as it is; who asks takes nothing away. */
static void
ages_are_told_apart(void **state)
{
	struct own_shared s[HOLDERS] = { { 0 } };
	uint64_t retired[HOLDERS], began[HOLDERS], asked;
	struct own_pending p[HOLDERS + 1], one;
	uint32_t seen;
	int held_up = 0;

	(void)state;
	begin();
	for (unsigned i = 0; i < HOLDERS; i++) {
		assert_int_equal(own_cell_share(&cell, &s[i]), 0);
		began[i] = own_now_ns();
		replace(&cell, i + 1);
		retired[i] = own_now_ns();
		assert_int_equal(own_reclaim(0), 0);
		/* more of them than ages that are told apart */
		pass_time(i ? MS_NS / 10 : 100 * MS_NS);
		if (i > 1 && retired[i] - retired[i - 1] > MS_NS)
			held_up = 1;
	}
	for (unsigned gone = 0; gone < HOLDERS; gone++) {
		asked = own_now_ns();
		assert_int_equal(own_reclaim_oldest(p, HOLDERS + 1),
				HOLDERS - gone);
		assert_int_equal(own_reclaim_oldest(&one, 1), 1);
		seen = 0;
		for (unsigned i = 0; i < HOLDERS - gone; i++) {
			unsigned k = 0;

			while (p[i].holder.address != own_i_header(s[k].object))
				assert_true(++k < HOLDERS);
			assert_false(seen & 1u << k);
			seen |= 1u << k;
			assert_true(p[i].is_held);
			assert_true(p[i].age_ns >= asked - retired[k]);
			/* and not older than the oldest one ever was */
			assert_true(p[i].age_ns <= own_now_ns() - began[0]);
			assert_true(!i || p[i].age_ns <= p[i - 1].age_ns);
		}
		assert_ptr_equal(one.holder.address, p[0].holder.address);
		/* the first is far older, and stands by itself, unless the
		 * machine set the others apart as well */
		if (!gone && !held_up) {
			assert_ptr_equal(p[0].holder.address,
					own_i_header(s[0].object));
			assert_true(p[1].age_ns < p[0].age_ns - 90 * MS_NS);
		}
		own_shared_release(&s[gone]);
		assert_int_equal(own_barrier(), HOLDERS - gone - 1);
	}
	finish(HOLDERS + 1);
}

static void
batch_that_waits_for_a_scan_is_told(void **state)
{
	struct own_pending p[3];
	uint64_t began, asked;
	char text[16384];
	struct actor a;

	(void)state;
	begin();
	actor_start(&a, &cell);
	began = own_now_ns();
	actor_do(&a, act_replace_thrice);
	asked = own_now_ns();
	pass_time(MS_NS);
	assert_int_equal(own_reclaim_oldest(p, 3), 1);
	assert_false(p[0].is_held);
	assert_int_equal(p[0].bytes, 0);
	assert_true(p[0].age_ns >= MS_NS);
	assert_true(p[0].age_ns <= own_now_ns() - began);
	assert_true(own_now_ns() - asked >= MS_NS);
	assert_int_equal(p[0].holder.tid,
			own__load(&a.record->tid, OWN__RELAXED));
	assert_string_equal(p[0].holder.mode, "to be scanned");
	dump(text, sizeof(text));
	assert_non_null(strstr(text, "libown: retired, the oldest, retired "));
	assert_non_null(strstr(text, "held by nobody and waits for thread "));
	assert_int_equal(own_reclaim(0), 3);
	assert_int_equal(own_reclaim_oldest(NULL, 0), 0);
	assert_int_equal(own_reclaim_oldest(p, 3), 0);
	actor_stop(&a);
	finish(4);
}

static void
detached_holder_is_told_without_a_name(void **state)
{
	struct own_shared s = { 0 };
	struct own_pending p[2];
	char text[16384];

	(void)state;
	begin();
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(own_shared_detach(&s), 0);
	replace(&cell, 1);
	assert_int_equal(own_barrier(), 1);
	assert_int_equal(own_reclaim_oldest(p, 2), 1);
	assert_true(p[0].is_held);
	assert_int_equal(p[0].holder.tid, 0);
	assert_string_equal(p[0].holder.mode, "shared (detached)");
	assert_string_equal(p[0].holder.object, "item");
	dump(text, sizeof(text));
	assert_non_null(strstr(text, " is held by a detached handle\n"));
	own_shared_release(&s);
	/* no scan has seen that so far */
	assert_int_equal(own_reclaim_oldest(p, 2), 1);
	assert_false(p[0].is_held);
	assert_true(p[0].bytes > 0);
	finish(2);
}

static void
oldest_is_told_while_a_scan_has_it(void **state)
{
	struct own_i_batch *batch;
	struct own__header *kept;
	struct own_shared s = { 0 };
	struct own_pending p[2];

	(void)state;
	begin();
	batch = &own_i_this->batch;
	assert_int_equal(own_cell_share(&cell, &s), 0);
	replace(&cell, 1);
	assert_int_equal(own_barrier(), 1);
	/* as a scan of another thread does */
	(void)own__add(&batch->scanning, 1, OWN__SEQ_CST);
	kept = own__xchg(&batch->kept, NULL, OWN__ACQUIRE);
	assert_non_null(kept);
	assert_int_equal(own_reclaim_oldest(p, 2), 1);
	assert_true(p[0].is_held);
	assert_true(p[0].age_ns > 0);
	assert_int_equal(p[0].bytes, 0);
	assert_int_equal(p[0].holder.tid, own_i_this->tid);
	assert_ptr_equal(p[0].holder.address, own_i_header(s.object));
	assert_string_equal(p[0].holder.object, "item");
	/* it is only an address: nobody holds that, so it is not told */
	own_shared_release(&s);
	assert_int_equal(own_reclaim_oldest(p, 2), 0);
	own__store(&batch->kept, kept, OWN__RELEASE);
	(void)own__add(&batch->scanning, -1, OWN__ACQ_REL);
	assert_int_equal(own_reclaim_oldest(p, 2), 1);
	assert_false(p[0].is_held);
	finish(2);
}

/* Somebody asks all the time, while two threads scan the batches of both. */
static int
act_flood(struct actor *a)
{
	uint32_t *running = a->arg;

	count_afresh();
	/* relaxed: the flag orders nothing */
	while (own__load(running, OWN__RELAXED)) {
		for (unsigned i = 0; i < 3 * BATCH / 2; i++)
			replace(a->cell, i);
		(void)own_reclaim(0);
	}
	return 0;
}

static void
asking_disturbs_no_scan(void **state)
{
	uint64_t until = own_now_ns() + 200 * MS_NS, named = 0;
	struct own_cell other;
	struct own_shared s = { 0 };
	struct own_pending p[4];
	struct actor a, b;
	uint32_t running = 1;

	(void)state;
	begin();
	item_cell(&other, OWN_VERSIONED, 0, &ended);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	actor_start(&a, &cell);
	actor_start(&b, &other);
	a.arg = b.arg = &running;
	actor_begin(&a, act_flood);
	actor_begin(&b, act_flood);
	while (own_now_ns() < until) {
		size_t n = own_reclaim_oldest(p, 4);

		for (size_t i = 0; i < n; i++)
			if (p[i].is_held && p[i].holder.tid == own_i_this->tid)
				named++;
		(void)own_barrier();
		assert_int_equal(item_get(&s)->twin, 0);
	}
	own__store(&running, 0, OWN__RELAXED);
	actor_end(&a);
	actor_end(&b);
	assert_true(named > 0);
	own_shared_release(&s);
	actor_stop(&a);
	actor_stop(&b);
	own_cell_destroy(&other);
	own_cell_destroy(&cell);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(stats().pending_objects, 0);
	assert_int_equal(stats().retired_objects, stats().freed_objects);
}

/* ---- set-up ---- */

static void
setup_flags(void)
{
	assert_int_equal(own_setup(2), -EINVAL);
	assert_int_equal(own_setup(OWN_NO_MEMBARRIER | 8), -EINVAL);
	assert_int_equal(own_setup(OWN_NO_MEMBARRIER), 0);
	/* the last word counts */
	assert_int_equal(own_setup(0), 0);
	assert_null(own__self);
	assert_int_equal(own_thread_register(), 0);
	assert_int_equal(own_setup(0), -EBUSY);
	assert_int_equal(own_setup(OWN_NO_MEMBARRIER), -EBUSY);
	assert_int_equal(own_setup(2), -EINVAL);
	if (!own_i_fenced)
		assert_non_null(own__self);
}

static void
works_without_membarrier(void)
{
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };
	struct own_reclaim_stats figures;
	struct actor a;

	for (uint32_t policy = 0; policy < 2; policy++) {
		item_cell(&cell, policy, 1, &ended);
		assert_null(own__self);
		actor_start(&a, &cell);
		assert_int_equal(own_cell_share(&cell, &s), 0);
		assert_int_equal(s.how & OWN__HOW_KIND, OWN__HOW_HOLD);
		if (policy == OWN_EXCLUSIVE) {
			assert_int_equal(actor_do(&a, act_claim_try), -EBUSY);
			actor_begin(&a, act_claim);
			actor_await(&a);
			own_shared_release(&s);
			assert_int_equal(actor_end(&a), 0);
		} else {
			item_make(&u, 2, &ended);
			assert_int_equal(own_cell_replace(&cell, &u), 0);
			assert_int_equal(own_barrier(), 1);
			assert_int_equal(item_get(&s)->n, 1);
			own_shared_release(&s);
		}
		actor_stop(&a);
		assert_null(own__self);
		own_cell_destroy(&cell);
		assert_int_equal(own_barrier(), 0);
	}
	assert_int_equal(ended, 3);
	own_reclaim_stats(&figures);
	assert_int_equal(figures.membarriers, 0);
	assert_true(own_i_fenced);
}

static void
setup_without_membarrier(void)
{
	assert_int_equal(own_setup(OWN_NO_MEMBARRIER), 0);
	works_without_membarrier();
}

static void
setup_is_for_before_the_first_use(void **state)
{
	(void)state;
	child_succeeds("setup_flags", NULL);
}

static void
membarrier_is_done_without(void **state)
{
	(void)state;
	child_succeeds("setup_without_membarrier", "OWN_MEMBARRIER=on");
	child_succeeds("works_without_membarrier", "OWN_MEMBARRIER=off");
}

static void
setup_from_environment(void)
{
	/* any other value chooses nothing */
	assert_int_equal(own_thread_register(), 0);
	assert_int_equal(own__self == NULL, own_i_fenced);
}

static void
register_is_needed_once(void **state)
{
	(void)state;
	assert_int_equal(own_thread_register(), 0);
	assert_int_equal(own_thread_register(), 0);
	child_succeeds("setup_from_environment", "OWN_MEMBARRIER=on");
	child_succeeds("setup_from_environment", "OWN_MEMBARRIER=off");
}

static const struct child children[] = {
	CHILD(setup_flags),
	CHILD(setup_from_environment),
	CHILD(setup_without_membarrier),
	CHILD(works_without_membarrier),
};

static const struct CMUnitTest tests[] = {
	TEST(full_batch_is_scanned),
	TEST(batch_is_full_by_bytes_too),
	TEST(held_object_is_kept_and_all_else_freed),
	TEST(many_held_objects_are_kept),
	TEST(held_by_another_thread_is_kept),
	TEST(reclaim_takes_up_batches_of_all_threads),
	TEST(thread_end_scans_and_hands_its_batch_on),
	TEST(barrier_waits_for_a_scan_under_way),
	TEST(fini_may_retire),
	TEST(fini_of_a_chain_does_not_recurse),
	TEST(limit_makes_each_retirement_scan_and_names_the_holder),
	TEST(sleeper_holds_up_its_object_alone),
	TEST(ages_are_told_apart),
	TEST(batch_that_waits_for_a_scan_is_told),
	TEST(detached_holder_is_told_without_a_name),
	TEST(oldest_is_told_while_a_scan_has_it),
	TEST(asking_disturbs_no_scan),
	TEST(setup_is_for_before_the_first_use),
	TEST(membarrier_is_done_without),
	TEST(register_is_needed_once),
};

TESTS_MAIN("reclaim");
