/* SPDX-License-Identifier: MIT */
/*
 * deadlock.c - scenarios of the deadlock check, as model/spin/deadlock.pml
 *
 * Slices are on: a timed-out slice runs the check. Who runs out of time is the
 * scheduler's choice, or comes when nobody else can run.
 */
#include <own/map.h>

#include "model/support.h"

static int victims;
static struct own_map *map;	/* with one entry, of key 1 */

static void
begin(uint32_t policy)
{
	support_begin(policy, 3);
	own_i_slice_ns = 1000;
	victims = 0;
}

static void
begin_exclusive(void)
{
	begin(OWN_EXCLUSIVE);
}

static void
begin_versioned(void)
{
	begin(OWN_VERSIONED);
}

/* Takes first, then second; 1 if it was told that it never could. */
static int
two(unsigned first, unsigned second)
{
	struct own_unique u = { NULL, 0 }, v = { NULL, 0 };
	int r;

	must(own_cell_claim(cells[first], &u));
	r = own_cell_claim(cells[second], &v);
	own_m_assert(r == 0 || r == -EDEADLK, "granted, or -EDEADLK");
	if (r) {
		const struct own_conflict *why = own_conflict_last();

		own_m_assert(why && why->error == -EDEADLK &&
				why->parties_n >= 2, "the cycle is reported");
		victims++;
	}
	own_unique_release(&v);
	own_unique_release(&u);
	return r != 0;
}

static void
opposite(unsigned me)
{
	(void)two(me, 1 - me);
}

static void
end_opposite(void)
{
	own_m_assert(victims <= 1, "one victim a cycle");
	support_end();
}

static void
ring_of_three(unsigned me)
{
	(void)two(me, (me + 1) % 3);
}

/* A reader in the cycle: a claimer that drains waits for it. */
static void
shared_cycle(unsigned me)
{
	struct own_shared s = { NULL, 0 };
	struct own_unique u = { NULL, 0 };
	int r;

	must(own_cell_share(cells[me], &s));
	r = own_cell_claim(cells[1 - me], &u);
	own_m_assert(r == 0 || r == -EDEADLK, "granted, or -EDEADLK");
	victims += r != 0;
	own_unique_release(&u);
	own_shared_release(&s);
}

/* Who claims what it shares itself is told so, never the other claimer. */
static void
own_share(unsigned me)
{
	struct own_shared s = { NULL, 0 };
	struct own_unique u = { NULL, 0 };

	if (me == 0) {
		must(own_cell_share(cell, &s));
		own_m_yield();
		own_m_assert(own_cell_claim(cell, &u) == -EDEADLK,
				"a conflict with oneself");
		own_shared_release(&s);
		return;
	}
	must(own_cell_claim(cell, &u));
	own_unique_release(&u);
}

/*
 * Everyone takes A before B before C, so no cycle ever stands; but a check
 * that believes what it read at different times finds one.
 */
static void
ordered(unsigned me)
{
	struct own_unique u = { NULL, 0 };

	switch (me) {
	case 0:
		(void)two(0, 1);
		break;
	case 1:
		(void)two(1, 2);
		break;
	default:
		must(own_cell_claim(cells[2], &u));
		own_unique_release(&u);
		must(own_cell_claim(cells[0], &u));
		own_unique_release(&u);
	}
}

static void
end_ordered(void)
{
	own_m_assert(victims == 0, "a false alarm");
	support_end();
}

/*
 * Thread 1 waits for thread 0 after it has given back what that waits for, by
 * another slot: the one that it gave back is free and says what it said.
 */
static void
freed(unsigned me)
{
	struct own_shared other = { NULL, 0 }, s = { NULL, 0 };
	struct own_unique u = { NULL, 0 };

	if (me == 0) {
		(void)two(1, 0);
		return;
	}
	must(own_cell_share(cells[2], &other));
	must(own_cell_share(cells[0], &s));
	own_shared_release(&other);
	own_shared_release(&s);
	must(own_cell_claim(cells[1], &u));
	own_unique_release(&u);
}

/* A reader that waited and has been let in, and the claimer that comes next. */
static void
granted(unsigned me)
{
	struct own_shared s = { NULL, 0 };
	struct own_unique u = { NULL, 0 };

	if (me == 0) {
		victims += own_cell_share(cell, &s) != 0;
		own_shared_release(&s);
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		victims += own_cell_claim(cell, &u) != 0;
		own_unique_release(&u);
	}
}

/* ---- cells, an entry, and the whole of its map ---- */

static void
begin_map(void)
{
	begin(OWN_EXCLUSIVE);
	map = support_map(OWN_EXCLUSIVE);
}

static void
end_map(void)
{
	own_map_destroy(map);
	end_opposite();
}

/* What the second step of a thread was told; lets go of all that it has. */
static void
step_end(int r, struct own_unique *first, struct own_unique *second,
		struct own_shared *share)
{
	own_m_assert(r == 0 || r == -EDEADLK, "granted, or -EDEADLK");
	if (r) {
		const struct own_conflict *why = own_conflict_last();

		own_m_assert(why && why->error == -EDEADLK &&
				why->parties_n >= 2, "the cycle is reported");
		victims++;
	}
	own_shared_release(share);
	own_unique_release(second);
	own_unique_release(first);
}

static void
entry_and_cell(unsigned me)
{
	struct own_unique u = { NULL, 0 }, v = { NULL, 0 };
	struct own_shared s = { NULL, 0 };
	int r;

	if (me == 0) {
		must(own_cell_claim(cell, &u));
		r = own_map_share_u64(map, 1, &s);
	} else {
		must(own_map_claim_u64(map, 1, &u));
		r = own_cell_claim(cell, &v);
	}
	step_end(r, &u, &v, &s);
}

/* An entry, a cell, another cell, and the whole that the entry bars. */
static void
whole_and_entry(unsigned me)
{
	struct own_unique u = { NULL, 0 }, v = { NULL, 0 };
	struct own_shared s = { NULL, 0 };
	int r;

	switch (me) {
	case 0:
		must(own_map_claim_u64(map, 1, &u));
		r = own_cell_claim(cells[0], &v);
		break;
	case 1:
		must(own_cell_claim(cells[0], &u));
		r = own_cell_share(cells[1], &s);
		break;
	default:
		must(own_cell_claim(cells[1], &u));
		r = own_map_claim_all(map, &v);
	}
	step_end(r, &u, &v, &s);
}

/* The whole, a cell; a cell, an entry; and who shares the whole between. */
static void
whole_between(unsigned me)
{
	struct own_unique u = { NULL, 0 }, v = { NULL, 0 };
	struct own_shared s = { NULL, 0 };
	int r;

	switch (me) {
	case 0:
		must(own_map_claim_all(map, &u));
		r = own_cell_claim(cell, &v);
		break;
	case 1:
		must(own_cell_claim(cell, &u));
		r = own_map_share_u64(map, 1, &s);
		break;
	default:
		r = own_map_share_all(map, &s);
		own_m_assert(r == 0, "who holds nothing is no victim");
	}
	step_end(r, &u, &v, &s);
}

const struct own_m_scenario own_m_deadlock_scenarios[] = {
	{ .name = "deadlock/opposite", .threads = 2,
	  .setup = begin_exclusive, .thread = opposite,
	  .finish = end_opposite, .preemptions = 2, .timeouts = 2 },
	{ .name = "deadlock/opposite_versioned", .threads = 2,
	  .setup = begin_versioned, .thread = opposite,
	  .finish = end_opposite, .preemptions = 2, .timeouts = 2 },
	{ .name = "deadlock/ring", .threads = 3, .setup = begin_exclusive,
	  .thread = ring_of_three, .finish = end_opposite, .preemptions = 2,
	  .timeouts = 1 },
	{ .name = "deadlock/shared", .threads = 2, .setup = begin_exclusive,
	  .thread = shared_cycle, .finish = end_opposite, .preemptions = 2,
	  .timeouts = 2 },
	{ .name = "deadlock/own_share", .threads = 2,
	  .setup = begin_exclusive, .thread = own_share,
	  .finish = support_end, .preemptions = 3, .timeouts = 2 },
	{ .name = "deadlock/ordered", .threads = 3, .setup = begin_exclusive,
	  .thread = ordered, .finish = end_ordered, .preemptions = 3,
	  .timeouts = 1 },
	{ .name = "deadlock/freed", .threads = 2, .setup = begin_exclusive,
	  .thread = freed, .finish = end_ordered, .preemptions = 3,
	  .timeouts = 1 },
	{ .name = "deadlock/granted", .threads = 2, .setup = begin_exclusive,
	  .thread = granted, .finish = end_ordered, .preemptions = 3,
	  .timeouts = 1 },
	{ .name = "deadlock/entry_and_cell", .threads = 2,
	  .setup = begin_map, .thread = entry_and_cell,
	  .finish = end_map, .preemptions = 2, .timeouts = 2 },
	{ .name = "deadlock/whole_and_entry", .threads = 3,
	  .setup = begin_map, .thread = whole_and_entry,
	  .finish = end_map, .preemptions = 2, .timeouts = 1 },
	{ .name = "deadlock/whole_between", .threads = 3,
	  .setup = begin_map, .thread = whole_between,
	  .finish = end_map, .preemptions = 2, .timeouts = 1 },
	{ .name = NULL },
};
