/* SPDX-License-Identifier: MIT */
/*
 * gate.c - scenarios of a whole map and its entries, as model/spin/modes.pml
 * has them and what that leaves out: wake-ups, give-ups, two keys
 */
#include "lib/map-internal.h"
#include "model/support.h"

static struct own_map *map;
static int held[4];		/* ghosts: IS, IX, S, X granted */
enum { IS, IX, S, X };

/*
 * What the modes stand for, so that the race check sees who is ordered with
 * whom: IS reads all, IX key's too, which it writes; S reads, X writes both.
 */
struct data {
	long all, key[3];
};
static struct data *data;

static void
begin(void)
{
	struct own_map_options options = {
		.size = sizeof(options), .type = &pair_type, .name = "map",
		.policy = OWN_VERSIONED, .flags = OWN_MAP_U64,
		.entries_expected = 4,
	};
	struct own_unique u = { NULL, 0 };

	support_begin(OWN_VERSIONED, 0);
	for (unsigned i = 0; i < 4; i++)
		held[i] = 0;
	data = own_m_alloc(sizeof(*data), 16);
	own_m_write(data, sizeof(*data));
	options.hash = own_m_hash;
	must(own_map_create(&options, &map));
	own_m_name(map, sizeof(*map), "map");
	for (uint64_t key = 1; key <= 2; key++) {
		must(own_map_new_u64(map, key, &u));
		support_made(1);
		must(own_map_put_u64(map, key, &u));
	}
}

static void
begin_fallback(void)
{
	own_i_model_init();
	must(own_setup(OWN_NO_MEMBARRIER));
	begin();
}

static void
end(void)
{
	own_map_destroy(map);
	own_m_free(data);
	support_end();
}

static void
touch(int mode, uint64_t key)
{
	switch (mode) {
	case IX:
		own_m_write(&data->key[key], sizeof(data->key[key]));
		/* fall through */
	case IS:
		own_m_read(&data->all, sizeof(data->all));
		break;
	case S:
		own_m_read(data, sizeof(*data));
		break;
	default:
		own_m_write(data, sizeof(*data));
	}
}

/* key: of IX */
static void
enter(int mode, uint64_t key)
{
	held[mode]++;
	own_m_assert(held[X] <= 1 && (!held[X] || held[IS] + held[IX] +
			held[S] == 0), "somebody beside the owner of all");
	own_m_assert(!held[S] || !held[IX], "a change beside a whole share");
	touch(mode, key);
	own_m_yield();
}

static void
leave(int mode, uint64_t key)
{
	touch(mode, key);
	own_m_assert(held[X] <= 1 && (!held[X] || held[IS] + held[IX] +
			held[S] == 0), "somebody beside the owner of all");
	held[mode]--;
}

static void
share(uint64_t key)
{
	struct own_shared s = { NULL, 0 };

	must(own_map_share_u64(map, key, &s));
	enter(IS, 0);
	leave(IS, 0);
	own_shared_release(&s);
}

static void
share_all(void)
{
	struct own_shared s = { NULL, 0 };

	must(own_map_share_all(map, &s));
	enter(S, 0);
	leave(S, 0);
	own_shared_release(&s);
}

static void
claim_all(void)
{
	struct own_unique u = { NULL, 0 };

	must(own_map_claim_all(map, &u));
	enter(X, 0);
	leave(X, 0);
	own_unique_release(&u);
}

/* From one entry to the next, as hand over hand does. */
static void
couple(int first_unique)
{
	struct own_shared s = { NULL, 0 };
	struct own_unique a = { NULL, 0 }, b = { NULL, 0 };
	int first = first_unique ? IX : IS;

	if (first_unique)
		must(own_map_claim_u64(map, 1, &a));
	else
		must(own_map_share_u64(map, 1, &s));
	enter(first, 1);
	must(own_map_claim_u64(map, 2, &b));
	enter(IX, 2);
	leave(first, 1);
	own_unique_release(&a);
	own_shared_release(&s);
	own_m_yield();
	leave(IX, 2);
	own_unique_release(&b);
}

static void
entry_whole(unsigned me)
{
	if (me == 0)
		share(1);
	else
		claim_all();
}

static void
entry_share_all(unsigned me)
{
	struct own_unique u = { NULL, 0 };

	if (me == 1) {
		share_all();
		return;
	}
	must(own_map_claim_u64(map, 1, &u));
	enter(IX, 1);
	leave(IX, 1);
	own_unique_release(&u);
}

static void
couple_x(unsigned me)
{
	if (me == 0)
		couple(1);
	else
		claim_all();
}

/* The same, so that the slot that comes is before the one that goes. */
static void
couple_down(unsigned me)
{
	struct own_unique a = { NULL, 0 }, b = { NULL, 0 };

	if (me == 1) {
		claim_all();
		return;
	}
	must(own_map_claim_u64(map, 1, &a));
	must(own_map_claim_u64(map, 2, &b));
	own_unique_release(&a);
	own_m_yield();
	must(own_map_claim_u64(map, 1, &a));
	own_unique_release(&b);
	enter(IX, 1);
	own_m_yield();
	leave(IX, 1);
	own_unique_release(&a);
}

static void
couple_s(unsigned me)
{
	if (me == 0)
		couple(0);
	else
		share_all();
}

static void
couple_sx(unsigned me)
{
	switch (me) {
	case 0:
		couple(1);
		break;
	case 1:
		share_all();
		break;
	default:
		claim_all();
	}
}

/* S, then an entry; an entry, then S: both beside X. */
static void
whole_and_entry(unsigned me)
{
	struct own_shared s = { NULL, 0 }, all = { NULL, 0 };

	switch (me) {
	case 0:
		must(own_map_share_all(map, &all));
		enter(S, 0);
		share(1);
		leave(S, 0);
		own_shared_release(&all);
		break;
	case 1:
		must(own_map_share_u64(map, 2, &s));
		enter(IS, 0);
		share_all();
		leave(IS, 0);
		own_shared_release(&s);
		break;
	default:
		claim_all();
	}
}

static void
gives_up(unsigned me)
{
	struct own_unique u = { NULL, 0 };
	int r;

	switch (me) {
	case 0:
		couple(1);
		break;
	case 1:
		r = own_map_claim_all_timed(map, own_deadline_ns(1000), &u);
		own_m_assert(r == 0 || r == -ETIMEDOUT, "a claim failed");
		if (!r) {
			enter(X, 0);
			leave(X, 0);
			own_unique_release(&u);
		}
		break;
	default:
		share(2);
		share_all();
	}
}

/* A clone behind a gate, a downgrade in front of one. */
static void
transitions(unsigned me)
{
	struct own_shared s = { NULL, 0 }, t = { NULL, 0 };
	struct own_unique u = { NULL, 0 };

	switch (me) {
	case 0:
		must(own_map_share_u64(map, 1, &s));
		enter(IS, 0);
		must(own_shared_clone(&s, &t));
		own_shared_release(&s);
		own_m_yield();
		leave(IS, 0);
		own_shared_release(&t);
		break;
	case 1:
		must(own_map_claim_u64(map, 2, &u));
		enter(IX, 2);
		leave(IX, 2);
		enter(IS, 0);
		own_unique_downgrade(&u, &s);
		own_m_yield();
		leave(IS, 0);
		own_shared_release(&s);
		share_all();
		break;
	default:
		claim_all();
	}
}

/* A reader of all becomes its only writer, or goes on reading. */
static void
upgrade_all(void)
{
	struct own_shared s = { NULL, 0 };
	struct own_unique u = { NULL, 0 };
	int r;

	must(own_map_share_all(map, &s));
	enter(S, 0);
	r = own_shared_upgrade_try(&s, &u);
	own_m_assert(r == 0 || r == -EBUSY, "an upgrade failed");
	if (r)
		own_m_yield();
	leave(S, 0);
	if (!r) {
		enter(X, 0);
		leave(X, 0);
	}
	own_shared_release(&s);
	own_unique_release(&u);
}

static void
upgrade_two(unsigned me)
{
	(void)me;
	upgrade_all();
}

static void
upgrade_entry(unsigned me)
{
	if (me == 0)
		upgrade_all();
	else
		couple(0);
}

static void
upgrade_claim(unsigned me)
{
	if (me == 0)
		upgrade_all();
	else
		claim_all();
}

static void
upgrade_mixed(unsigned me)
{
	switch (me) {
	case 0:
		couple(0);
		break;
	case 1:
		claim_all();
		break;
	default:
		upgrade_all();
	}
}

static void
exits(unsigned me)
{
	struct own_unique u = { NULL, 0 };

	if (me == 0) {
		/* the thread ends with it */
		must(own_map_claim_all(map, &u));
		return;
	}
	share(1);
	share_all();
}

const struct own_m_scenario own_m_gate_scenarios[] = {
	{ .name = "gate/entry_whole", .threads = 2, .setup = begin,
	  .thread = entry_whole, .finish = end, .preemptions = 3 },
	{ .name = "gate/entry_share_all", .threads = 2, .setup = begin,
	  .thread = entry_share_all, .finish = end, .preemptions = 3 },
	{ .name = "gate/couple_x", .threads = 2, .setup = begin,
	  .thread = couple_x, .finish = end, .preemptions = 3 },
	{ .name = "gate/couple_down", .threads = 2, .setup = begin,
	  .thread = couple_down, .finish = end, .preemptions = 3 },
	{ .name = "gate/couple_s", .threads = 2, .setup = begin,
	  .thread = couple_s, .finish = end, .preemptions = 3 },
	{ .name = "gate/couple_sx", .threads = 3, .setup = begin,
	  .thread = couple_sx, .finish = end },
	{ .name = "gate/fallback", .threads = 3, .setup = begin_fallback,
	  .thread = couple_sx, .finish = end },
	{ .name = "gate/whole_and_entry", .threads = 3, .setup = begin,
	  .thread = whole_and_entry, .finish = end },
	{ .name = "gate/gives_up", .threads = 3, .setup = begin,
	  .thread = gives_up, .finish = end, .timeouts = 1 },
	{ .name = "gate/transitions", .threads = 3, .setup = begin,
	  .thread = transitions, .finish = end },
	{ .name = "gate/upgrade_two", .threads = 2, .setup = begin,
	  .thread = upgrade_two, .finish = end, .preemptions = 3 },
	{ .name = "gate/upgrade_entry", .threads = 2, .setup = begin,
	  .thread = upgrade_entry, .finish = end, .preemptions = 3 },
	{ .name = "gate/upgrade_claim", .threads = 2, .setup = begin,
	  .thread = upgrade_claim, .finish = end, .preemptions = 3 },
	{ .name = "gate/upgrade_mixed", .threads = 4, .setup = begin,
	  .thread = upgrade_mixed, .finish = end },
	{ .name = "gate/upgrade_fallback", .threads = 3,
	  .setup = begin_fallback, .thread = upgrade_mixed, .finish = end },
	{ .name = "gate/exits", .threads = 2, .setup = begin,
	  .thread = exits, .finish = end, .preemptions = 3 },
	{ .name = NULL },
};
