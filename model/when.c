/* SPDX-License-Identifier: MIT */
/*
 * when.c - scenarios of own/when.h: whoever was refused sleeps until its note
 * fires, so that a lost one is a deadlock that the scheduler reports
 */
#include "model/support.h"

static struct own_map *map;
static int granted;
static uint32_t rang[2], over;

static void
begin(void)
{
	support_begin(OWN_EXCLUSIVE, 1);
	granted = 0;
	rang[0] = rang[1] = over = 0;
}

static void
begin_unbiased(void)
{
	begin();
	take_away_bias(cell);
}

static void
begin_versioned(void)
{
	support_begin(OWN_VERSIONED, 1);
	granted = 0;
	rang[0] = rang[1] = over = 0;
}

static void
begin_fallback(void)
{
	own_i_model_init();
	must(own_setup(OWN_NO_MEMBARRIER));
	begin();
}

static void
begin_map(void)
{
	support_begin(OWN_EXCLUSIVE, 0);
	granted = 0;
	rang[0] = rang[1] = over = 0;
	map = support_map(OWN_EXCLUSIVE);
}

static void
end(void)
{
	struct own_shared s = { NULL, 0 };

	must(own_cell_share(cell, &s));
	own_m_assert(value_of(&s) == granted, "a lost update");
	own_shared_release(&s);
	support_end();
}

static void
end_map(void)
{
	own_map_destroy(map);
	support_end();
}

static void
ring(void *arg)
{
	uint32_t *flag = arg;

	own_m_assert(!own__load(&over, OWN__ACQUIRE), "fired after a cancel");
	/* release: with await() */
	own__store(flag, 1, OWN__RELEASE);
	own_i_futex_wake(flag, OWN_I_ALL, OWN_I_FUTEX_ANY);
}

static void
await(uint32_t *flag)
{
	while (!own__load(flag, OWN__ACQUIRE))
		(void)own_i_futex_wait(flag, 0, OWN_I_FUTEX_ANY,
				OWN__FOREVER);
	own__store(flag, 0, OWN__RELAXED);
}

/* ---- cells ---- */

static void
reader(void)
{
	struct own_shared s = { NULL, 0 };

	must(own_cell_share(cell, &s));
	read_inside(&s, 0);
	own_shared_release(&s);
}

static void
note_claimer(uint32_t *flag)
{
	struct own_when when = OWN_WHEN_CALL(ring, flag);
	struct own_unique u = { NULL, 0 };
	int r;

	while ((r = own_cell_claim_when(cell, &when, &u)) == -EBUSY)
		await(flag);
	own_m_assert(r == 0, "own_cell_claim_when failed");
	own_m_assert(own_when_cancel(&when) == -ENOENT, "armed, and granted");
	write_inside(&u, 0);
	granted++;
	own_unique_commit(&u);
}

static void
note_sharer(uint32_t *flag)
{
	struct own_when when = OWN_WHEN_CALL(ring, flag);
	struct own_shared s = { NULL, 0 };
	int r;

	while ((r = own_cell_share_when(cell, &when, &s)) == -EBUSY)
		await(flag);
	own_m_assert(r == 0, "own_cell_share_when failed");
	read_inside(&s, 0);
	own_shared_release(&s);
}

static void
claim(unsigned me)
{
	if (me == 0)
		note_claimer(&rang[0]);
	else
		reader();
}

static void
claims(unsigned me)
{
	if (me < 2)
		note_claimer(&rang[me]);
	else
		reader();
}

static void
share(unsigned me)
{
	struct own_unique u = { NULL, 0 };

	if (me == 0) {
		note_sharer(&rang[0]);
		return;
	}
	must(own_cell_claim(cell, &u));
	write_inside(&u, 0);
	granted++;
	own_unique_release(&u);
}

/* The note's memory is gone after the cancel: it may not ring then. */
static void
cancel(unsigned me)
{
	struct own_when when = OWN_WHEN_CALL(ring, &rang[0]);
	struct own_unique u = { NULL, 0 };
	int r;

	if (me == 1) {
		reader();
		return;
	}
	r = own_cell_claim_when(cell, &when, &u);
	if (r == 0) {
		write_inside(&u, 0);
		granted++;
		own_unique_release(&u);
		return;
	}
	own_m_assert(r == -EBUSY, "own_cell_claim_when failed");
	own_m_yield();
	if (own_when_cancel(&when))
		own_m_assert(own__load(&rang[0], OWN__ACQUIRE), "neither "
				"fired nor cancelled");
	/* release: with ring() */
	own__store(&over, 1, OWN__RELEASE);
}

/* ---- entries and whole maps ---- */

static void
entry(unsigned me)
{
	struct own_when when = OWN_WHEN_CALL(ring, &rang[0]);
	struct own_unique u = { NULL, 0 };
	struct own_shared s = { NULL, 0 };
	int r;

	if (me == 0) {
		while ((r = own_map_claim_when_u64(map, 1, &when, &u)) ==
				-EBUSY)
			await(&rang[0]);
		own_m_assert(r == 0 || r == -ENOENT, "own_map_claim_when");
		own_unique_release(&u);
	} else if (me == 1) {
		r = own_map_share_u64(map, 1, &s);
		own_m_assert(r == 0 || r == -ENOENT, "own_map_share");
		own_m_yield();
		own_shared_release(&s);
	} else {
		must(own_map_remove_u64(map, 1));
	}
}

/* The whole waits for an entry's slot, or its count; then entries for it. */
static void
whole(unsigned me)
{
	struct own_when when = OWN_WHEN_CALL(ring, &rang[me & 1]);
	struct own_unique u = { NULL, 0 };
	struct own_shared s = { NULL, 0 };
	int r;

	if (me == 0) {
		while ((r = own_map_claim_all_when(map, &when, &u)) == -EBUSY)
			await(&rang[0]);
		own_m_assert(r == 0, "own_map_claim_all_when failed");
		own_m_yield();
		own_unique_release(&u);
	} else if (me == 1) {
		while ((r = own_map_share_when_u64(map, 1, &when, &s)) ==
				-EBUSY)
			await(&rang[1]);
		own_m_assert(r == 0, "own_map_share_when failed");
		own_m_yield();
		own_shared_release(&s);
	} else {
		must(own_map_share_all(map, &s));
		own_m_yield();
		own_shared_release(&s);
	}
}

const struct own_m_scenario own_m_when_scenarios[] = {
	{ .name = "when/claim", .threads = 2, .setup = begin,
	  .thread = claim, .finish = end, .preemptions = 3 },
	{ .name = "when/claim_counted", .threads = 2, .setup = begin_unbiased,
	  .thread = claim, .finish = end, .preemptions = 3 },
	{ .name = "when/claim_fallback", .threads = 2,
	  .setup = begin_fallback, .thread = claim, .finish = end,
	  .preemptions = 3 },
	{ .name = "when/claims", .threads = 3, .setup = begin,
	  .thread = claims, .finish = end, .preemptions = 2 },
	{ .name = "when/claims_versioned", .threads = 2,
	  .setup = begin_versioned, .thread = claims, .finish = end,
	  .preemptions = 3 },
	{ .name = "when/share", .threads = 2, .setup = begin,
	  .thread = share, .finish = end, .preemptions = 3 },
	{ .name = "when/cancel", .threads = 2, .setup = begin,
	  .thread = cancel, .finish = end, .preemptions = 3 },
	{ .name = "when/entry", .threads = 3, .setup = begin_map,
	  .thread = entry, .finish = end_map, .preemptions = 2 },
	{ .name = "when/whole", .threads = 3, .setup = begin_map,
	  .thread = whole, .finish = end_map, .preemptions = 2 },
	{ .name = NULL },
};
