/* SPDX-License-Identifier: MIT */
/*
 * published.c - scenarios of objects that are shared for good, by count, and
 * of unique handles that change threads
 */
#include <own/map.h>

#include "model/support.h"

static struct own_shared shared[3];
static struct own_unique lent;
static uint32_t is_lent;	/* shared, and a futex */

/* An object with a handle for each thread. */
static void
begin(void)
{
	struct own_unique u = { NULL, 0 };

	support_begin(OWN_EXCLUSIVE, 0);
	must(pair_new(&u));
	own_m_write(own_unique_edit(&u), sizeof(struct pair));
	own_unique_publish(&u, &shared[0]);
	shared[1] = shared[2] = (struct own_shared){ NULL, 0 };
	must(own_shared_clone(&shared[0], &shared[1]));
	must(own_shared_clone(&shared[0], &shared[2]));
}

/* Whoever is the last ends it: what the others read is over. */
static void
reader(unsigned me)
{
	own_m_assert(value_of(&shared[me]) == 0, "a published value changed");
	own_shared_release(&shared[me]);
}

/* The last one may write. */
static void
reclaimer(unsigned me)
{
	struct own_unique u = { NULL, 0 };
	int r = own_shared_reclaim_try(&shared[me], &u);

	if (r) {
		own_m_assert(r == -EBUSY, "not refused as busy");
		reader(me);
		return;
	}
	own_m_write(own_unique_edit(&u), sizeof(struct pair));
	own_unique_release(&u);
}

static void
reclaim(unsigned me)
{
	if (me == 0)
		reader(me);
	else
		reclaimer(me);
}

/* ---- a unique handle on another thread ---- */

static void
begin_lent(void)
{
	support_begin(OWN_EXCLUSIVE, 1);
	lent = (struct own_unique){ NULL, 0 };
	is_lent = 0;
}

static void
begin_lent_draft(void)
{
	support_begin(OWN_VERSIONED, 1);
	lent = (struct own_unique){ NULL, 0 };
	is_lent = 0;
}

/* Thread 0 claims and hands over, 1 writes and gives back, 2 reads. */
static void
lend(unsigned me)
{
	struct own_shared s = { NULL, 0 };

	if (me == 0) {
		must(own_cell_claim(cell, &lent));
		must(own_unique_detach(&lent));
		/* release: as the ring that it would go through */
		own__store(&is_lent, 1, OWN__RELEASE);
		own_i_futex_wake(&is_lent, OWN_I_ALL, OWN_I_FUTEX_ANY);
	} else if (me == 1) {
		/* acquire: with the store above */
		while (!own__load(&is_lent, OWN__ACQUIRE))
			(void)own_i_futex_wait(&is_lent, 0, OWN_I_FUTEX_ANY,
					OWN__FOREVER);
		write_inside(&lent, 0);
		own_unique_downgrade(&lent, &s);
		own_m_assert(value_of(&s) == 1, "not what was written");
		own_shared_release(&s);
	} else {
		must(own_cell_share(cell, &s));
		(void)value_of(&s);
		own_shared_release(&s);
	}
}

/* ---- of a map ---- */

static struct own_map *map;
static long *data;		/* written under IX and X, read under S */
static uint32_t is_shared;	/* shared, and a futex */

static void
begin_map_of(uint32_t policy)
{
	support_begin(policy, 0);
	lent = (struct own_unique){ NULL, 0 };
	is_lent = is_shared = 0;
	data = own_m_alloc(sizeof(*data), 16);
	own_m_write(data, sizeof(*data));
	map = support_map(policy);
}

static void
begin_map(void)
{
	begin_map_of(OWN_EXCLUSIVE);
}

static void
begin_map_draft(void)
{
	begin_map_of(OWN_VERSIONED);
}

static void
end_map(void)
{
	own_map_destroy(map);
	own_m_free(data);
	support_end();
}

/* An entry lent out bars who asks for the whole, until it comes back. */
static void
entry_lent(unsigned me)
{
	struct own_unique u = { NULL, 0 };
	struct own_shared s = { NULL, 0 };

	if (me == 0) {
		must(own_map_claim_u64(map, 1, &u));
		must(own_unique_detach(&u));
		own_m_write(data, sizeof(*data));
		own_m_yield();
		own_m_write(data, sizeof(*data));
		own_unique_downgrade(&u, &s);
		own_shared_release(&s);
	} else if (me == 1) {
		must(own_map_claim_all(map, &u));
		own_m_write(data, sizeof(*data));
		own_unique_release(&u);
	} else {
		must(own_map_share_all(map, &s));
		own_m_read(data, sizeof(*data));
		own_shared_release(&s);
	}
}

/* Who waits for X is let in by its downgrade, not only by its end. */
static void
downgrade(unsigned me)
{
	struct own_unique u = { NULL, 0 };
	struct own_shared s = { NULL, 0 };

	if (me == 0) {
		must(own_map_claim_all(map, &u));
		own_m_write(data, sizeof(*data));
		own_m_yield();
		own_unique_downgrade(&u, &s);
		own_m_read(data, sizeof(*data));
		/* acquire: with the store below */
		while (!own__load(&is_shared, OWN__ACQUIRE))
			(void)own_i_futex_wait(&is_shared, 0, OWN_I_FUTEX_ANY,
					OWN__FOREVER);
	} else {
		must(own_map_share_all(map, &s));
		own_m_read(data, sizeof(*data));
		own__store(&is_shared, 1, OWN__RELEASE);
		own_i_futex_wake(&is_shared, OWN_I_ALL, OWN_I_FUTEX_ANY);
	}
	own_shared_release(&s);
}

/* A reader names a part, and detaches, beside a draft that does so too. */
static void
read_part(void)
{
	struct own_shared s = { NULL, 0 };
	const struct pair *pair;

	must(own_map_share_u64(map, 1, &s));
	pair = own_shared_get(&s);
	own_shared_project(&s, &pair->b);
	must(own_shared_detach(&s));
	own_m_assert(own_shared_whole(&s) == pair, "another whole");
	own_m_read(pair, sizeof(*pair));
	own_shared_release(&s);
}

/* A draft is known by its entry, whoever has it and whatever it names. */
static void
entry_draft(unsigned me)
{
	struct own_shared s = { NULL, 0 };
	struct pair *pair;

	if (me == 0) {
		must(own_map_claim_u64(map, 1, &lent));
		pair = own_unique_edit(&lent);
		own_unique_project(&lent, &pair->b);
		must(own_unique_detach(&lent));
		/* release: as the ring that it would go through */
		own__store(&is_lent, 1, OWN__RELEASE);
		own_i_futex_wake(&is_lent, OWN_I_ALL, OWN_I_FUTEX_ANY);
		read_part();
	} else if (me == 1) {
		/* acquire: with the store above */
		while (!own__load(&is_lent, OWN__ACQUIRE))
			(void)own_i_futex_wait(&is_lent, 0, OWN_I_FUTEX_ANY,
					OWN__FOREVER);
		pair = own_unique_whole(&lent);
		own_m_assert(own_unique_edit(&lent) == &pair->b,
				"another part");
		own_m_write(pair, sizeof(*pair));
		own_unique_downgrade(&lent, &s);
		own_m_assert(own_shared_whole(&s) == pair, "another version");
		own_m_read(pair, sizeof(*pair));
		own_shared_release(&s);
	} else {
		read_part();
	}
}

const struct own_m_scenario own_m_published_scenarios[] = {
	{ .name = "published/readers", .threads = 3, .setup = begin,
	  .thread = reader, .finish = support_end, .preemptions = 3 },
	{ .name = "published/reclaim", .threads = 3, .setup = begin,
	  .thread = reclaim, .finish = support_end, .preemptions = 3 },
	{ .name = "published/lent", .threads = 3, .setup = begin_lent,
	  .thread = lend, .finish = support_end, .preemptions = 2 },
	{ .name = "published/lent_draft", .threads = 3,
	  .setup = begin_lent_draft, .thread = lend, .finish = support_end,
	  .preemptions = 2 },
	{ .name = "published/entry_lent", .threads = 3, .setup = begin_map,
	  .thread = entry_lent, .finish = end_map, .preemptions = 2 },
	{ .name = "published/entry_draft", .threads = 3,
	  .setup = begin_map_draft, .thread = entry_draft, .finish = end_map,
	  .preemptions = 2 },
	{ .name = "published/downgrade", .threads = 2, .setup = begin_map,
	  .thread = downgrade, .finish = end_map, .preemptions = 3 },
	{ .name = NULL },
};
