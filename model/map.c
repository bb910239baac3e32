/* SPDX-License-Identifier: MIT */
/*
 * map.c - scenarios of a map's entries and its table, as model/spin/map.pml
 * has them and what that leaves out: several keys, two migrations, iteration,
 * entries in the making, want of memory
 *
 * A probe line has two cells here, and a change migrates two. A key's highest
 * bit chooses its line, so all keys below 128 are in one chain.
 */
#include "lib/map-internal.h"
#include "model/support.h"

static struct own_map *map;
static int commits;
static int seen_n[256];

static int
entry_new(uint64_t key, long value, struct own_unique *ret)
{
	int r = own_map_new_u64(map, key, ret);
	struct pair *p;

	if (r)
		return r;
	support_made(1);
	p = own_unique_edit(ret);
	own_m_write(p, sizeof(*p));
	p->a = p->b = value;
	return 0;
}

/* An entry that no map has taken. */
static void
entry_drop(struct own_unique *u)
{
	own_unique_release(u);
}

static void
put(uint64_t key, long value)
{
	struct own_unique u = { NULL, 0 };

	must(entry_new(key, value, &u));
	must(own_map_put_u64(map, key, &u));
}

static int
put_new(uint64_t key, long value)
{
	struct own_unique u = { NULL, 0 };
	int r;

	must(entry_new(key, value, &u));
	r = own_map_put_new_u64(map, key, &u);
	if (r)
		entry_drop(&u);
	return r;
}

/* The value of a key, or -1; looked at twice. */
static long
get(uint64_t key)
{
	struct own_shared s = { NULL, 0 };
	int r = own_map_share_u64(map, key, &s);
	long value;

	if (r == -ENOENT)
		return -1;
	own_m_assert(r == 0, "a share failed");
	own_m_assert(own_map_key_u64(&s) == key, "another key's entry");
	value = value_of(&s);
	own_m_yield();
	own_m_assert(value_of(&s) == value, "a borrowed value changed");
	own_shared_release(&s);
	return value;
}

static void
begin(uint32_t policy, uint64_t entries_expected)
{
	struct own_map_options options = {
		.size = sizeof(options), .type = &pair_type, .name = "map",
		.hash = own_m_hash, .policy = policy, .flags = OWN_MAP_U64,
		.entries_expected = entries_expected,
	};

	support_begin(policy, 0);
	commits = 0;
	for (unsigned i = 0; i < 256; i++)
		seen_n[i] = 0;
	must(own_map_create(&options, &map));
	own_m_name(map, sizeof(*map), "map");
}

static void
one(void)
{
	begin(OWN_EXCLUSIVE, 0);
	put(1, 10);
}

static void
one_versioned(void)
{
	begin(OWN_VERSIONED, 0);
	put(1, 10);
}

static void
one_roomy(void)
{
	begin(OWN_EXCLUSIVE, 4);
	put(1, 10);
}

static void
none_versioned(void)
{
	begin(OWN_VERSIONED, 4);
}

static void
none(void)
{
	begin(OWN_EXCLUSIVE, 4);
}

/* Two entries in two cells: the migration has begun, nothing has moved. */
static void
growing(void)
{
	one();
	put(2, 20);
}

static void
growing_versioned(void)
{
	one_versioned();
	put(2, 20);
}

static void
growing_fallback(void)
{
	own_i_model_init();
	must(own_setup(OWN_NO_MEMBARRIER));
	growing();
}

/* The next put begins the second migration: of four cells, to eight. */
static void
growing_twice(void)
{
	growing();
	put(0x83, 30);
}

/* Eight cells are being left: more than one change moves. */
static void
growing_large(void)
{
	static const uint64_t keys[] = { 1, 2, 0x41, 0x81, 0x82, 0xc1 };

	none();
	for (unsigned i = 0; i < 6; i++)
		put(keys[i], (long)keys[i]);
}

/* The next put of a key that is not there fills it: then it is left. */
static void
filling(void)
{
	static const uint64_t keys[] = { 1, 2, 0x41, 0x81, 0xc1 };

	none();
	for (unsigned i = 0; i < 5; i++)
		put(keys[i], (long)keys[i]);
}

/*
 * Four cells are being left for four: key 1, a tombstone; key 0x81, empty. Who
 * puts above 0x80 need not move key 1, which must find a cell all the same.
 */
static void
rebuilding(void)
{
	begin(OWN_EXCLUSIVE, 2);
	put(1, 10);
	put(5, 50);
	must(own_map_remove_u64(map, 5));
	put(0x81, 20);
}

/* Every key is in the map once, and counted. */
static int
visit(const struct own_shared *entry, void *arg)
{
	uint64_t key = own_map_key_u64(entry);

	(void)arg;
	(void)value_of(entry);
	seen_n[key]++;
	own_m_assert(seen_n[key] == 1, "a key was visited twice");
	return 0;
}

static void
end(void)
{
	uint64_t cursor = 0, n = 0;

	for (unsigned i = 0; i < 256; i++)
		seen_n[i] = 0;
	do
		must(own_map_scan(map, &cursor, 2, visit, NULL));
	while (cursor);
	for (unsigned i = 0; i < 256; i++)
		n += (uint64_t)seen_n[i];
	own_m_assert(n == own_map_count(map), "the count is wrong");
	own_map_destroy(map);
	support_end();
}

/* ---- one key ---- */

static void
remover(void)
{
	must(own_map_remove_u64(map, 1));
	(void)own_reclaim(0);
	own_m_assert(get(1) == -1, "a removed entry is back");
}

static void
share_remove(unsigned me)
{
	long value;

	if (me == 1) {
		remover();
		return;
	}
	value = get(1);
	own_m_assert(value == 10 || value == -1, "a wrong value");
}

/* Two who take, and one who claims: one unique handle an object. */
static void
claim_take(unsigned me)
{
	struct own_unique u = { NULL, 0 };
	int r;

	if (me == 1) {
		must(own_map_take_u64(map, 1, &u));
		write_inside(&u, 0);
		own_unique_release(&u);
		(void)own_reclaim(0);
		return;
	}
	r = own_map_claim_u64(map, 1, &u);
	own_m_assert(r == 0 || r == -ENOENT, "a claim failed");
	if (r)
		return;
	write_inside(&u, 0);
	own_unique_commit(&u);
}

static void
reinsert(unsigned me)
{
	struct own_unique u = { NULL, 0 };
	long value;
	int r;

	switch (me) {
	case 0:
		value = get(1);
		own_m_assert(value == 10 || value == 11 || value == 12 ||
				value == -1, "a wrong value");
		break;
	case 1:
		must(own_map_remove_u64(map, 1));
		own_m_assert(put_new(1, 11) == 0, "the key is taken");
		break;
	default:
		r = own_map_claim_u64(map, 1, &u);
		own_m_assert(r == 0 || r == -ENOENT, "a claim failed");
		if (!r) {
			write_inside(&u, 0);
			own_unique_commit(&u);
		}
	}
}

static void
replace_claim(unsigned me)
{
	struct own_unique u = { NULL, 0 };
	struct pair *p;
	long value;

	if (me == 0) {
		put(1, 100);
		return;
	}
	must(own_map_claim_u64(map, 1, &u));
	p = own_unique_edit(&u);
	own_m_write(p, sizeof(*p));
	p->a++;
	p->b++;
	own_unique_commit(&u);
	/* one of the two came last, and neither is lost before the other */
	value = get(1);
	own_m_assert(value == 100 || value == 101 || value == 11,
			"a lost update");
}

static void
writer(void)
{
	struct own_unique u = { NULL, 0 };
	struct pair *p;

	must(own_map_claim_u64(map, 1, &u));
	p = own_unique_edit(&u);
	own_m_write(p, sizeof(*p));
	p->a++;
	p->b++;
	commits++;
	own_unique_commit(&u);
	(void)own_reclaim(0);
}

static void
updaters(unsigned me)
{
	struct own_unique u = { NULL, 0 };
	struct own_shared s = { NULL, 0 };

	if (me < 2) {
		writer();
		return;
	}
	must(own_map_claim_u64(map, 1, &u));
	own_unique_downgrade(&u, &s);
	(void)value_of(&s);
	own_shared_release(&s);
}

static void
end_writers(void)
{
	own_m_assert(get(1) == 10 + commits, "a lost update");
	end();
}

/* ---- entries in the making ---- */

static void
upsert(int keep)
{
	struct own_unique u = { NULL, 0 };
	struct pair *p;
	int made = -1;

	must(own_map_claim_or_new_u64(map, 1, &u, &made));
	if (made)
		support_made(1);
	p = own_unique_edit(&u);
	own_m_write(p, sizeof(*p));
	p->a++;
	own_m_yield();
	own_m_write(p, sizeof(*p));
	p->b++;
	if (keep) {
		commits++;
		own_unique_commit(&u);
	} else {
		own_unique_release(&u);
	}
}

static void
made(unsigned me)
{
	long value;

	if (me < 2) {
		upsert(me == 0);
		return;
	}
	value = get(1);
	own_m_assert(value == -1 || value == 1, "an entry in the making");
}

static void
upserts(unsigned me)
{
	if (me == 2)
		(void)put_new(0x82, 5);
	upsert(1);
}

static void
made_exit(unsigned me)
{
	struct own_unique u = { NULL, 0 };
	int is_made;

	if (me == 0) {
		/* the thread ends with it */
		must(own_map_claim_or_new_u64(map, 1, &u, &is_made));
		if (is_made)
			support_made(1);
		else
			own_unique_release(&u);
		return;
	}
	upsert(1);
}

static void
end_upserts(void)
{
	own_m_assert(get(1) == (commits ? commits : -1), "a lost update");
	end();
}

/* ---- migrations ---- */

static void
grow_reader(unsigned me)
{
	if (me == 0) {
		own_m_assert(get(1) == 10, "a key that stays is absent");
		return;
	}
	put(3, 30);
	(void)own_reclaim(0);
}

static void
grow_put(unsigned me)
{
	if (me == 0)
		own_m_assert(put_new(1, 11) == -EEXIST, "a key is there twice");
	else
		put(3, 30);
}

/* The migration begins while the removal is under way. */
static void
grow_remove(unsigned me)
{
	if (me == 0) {
		remover();
		return;
	}
	put(2, 20);
	put(3, 30);
}

static void
growing_remove(unsigned me)
{
	if (me == 0)
		remover();
	else
		put(me + 2, 30);
}

static void
grow_replace(unsigned me)
{
	if (me == 0) {
		put(1, 11);
		(void)own_reclaim(0);
		own_m_assert(get(1) == 11, "what was replaced is back");
	} else {
		put(3, 30);
	}
}

static void
grow_reinsert(unsigned me)
{
	if (me == 0) {
		must(own_map_remove_u64(map, 1));
		(void)own_reclaim(0);
		own_m_assert(put_new(1, 11) == 0, "the key is taken");
		own_m_assert(get(1) == 11, "a wrong value");
	} else {
		put(3, 30);
	}
}

static void
two_migrations(unsigned me)
{
	switch (me) {
	case 0:
		own_m_assert(get(0x83) == 30, "a key that stays is absent");
		break;
	case 1:
		put(4, 40);
		break;
	default:
		own_m_assert(put_new(2, 21) == -EEXIST, "a key is there twice");
	}
}

static void
grow_large(unsigned me)
{
	if (me == 0)
		own_m_assert(get(0xc1) == 0xc1 && get(0x41) == 0x41,
				"a key that stays is absent");
	else
		put(me == 1 ? 0xc2 : 0x83, 1);
}

/* One puts, one copies, one reads. */
static void
copied(unsigned me)
{
	long value;

	switch (me) {
	case 0:
		put(0x42, 42);
		break;
	case 1:
		put(0x43, 43);
		break;
	default:
		value = get(0x42);
		own_m_assert(value == 42 || value == -1, "a wrong value");
	}
}

static void
room(unsigned me)
{
	own_m_assert(put_new(0x82 + me, 30) == 0, "the key is taken");
}

static void
end_room(void)
{
	own_m_assert(get(1) == 10 && get(0x81) == 20,
			"a key that stays is absent");
	end();
}

/* Looks, and removes what it saw: nobody comes between. */
static void
remove_held(unsigned me)
{
	struct own_unique u = { NULL, 0 };
	struct pair *p;
	int r;

	if (me < 2) {
		r = own_map_claim_u64(map, 1, &u);
		own_m_assert(r == 0 || r == -ENOENT, "a claim failed");
		if (r)
			return;
		write_inside(&u, 0);
		p = own_unique_edit(&u);
		own_m_read(p, sizeof(*p));
		commits++;
		own_m_assert(commits == 1, "removed twice");
		own_map_remove_held(&u);
		(void)own_reclaim(0);
		return;
	}
	(void)get(1);
}

static void
end_remove_held(void)
{
	own_m_assert(get(1) == -1, "a removed entry is back");
	end();
}

static void
tombs(unsigned me)
{
	int r;

	if (me == 1)
		must(own_map_remove_u64(map, 1));
	r = put_new(2, 20 + (long)me);
	own_m_assert(r == 0 || r == -EEXIST, "a put failed");
	if (!r)
		commits++;
}

static void
end_tombs(void)
{
	own_m_assert(commits == 1, "a key was put anew twice");
	end();
}

static void
shrink(unsigned me)
{
	if (me == 0) {
		own_m_assert(get(1) == 10, "a key that stays is absent");
		return;
	}
	must(own_map_remove_u64(map, 2));
	must(own_map_remove_u64(map, 0x83));
	put(4, 40);
}

static void
scan(unsigned me)
{
	uint64_t cursor = 0;

	if (me == 1) {
		put(4, 40);
		must(own_map_remove_u64(map, 2));
		put(0x83, 31);
		return;
	}
	do
		must(own_map_scan(map, &cursor, 1, visit, NULL));
	while (cursor);
	own_m_assert(seen_n[1] == 1 && seen_n[0x83] == 1,
			"a key that stays was not visited");
}

static void
no_memory(unsigned me)
{
	struct own_unique u = { NULL, 0 };
	int r, is_made;

	if (me == 0)
		own_m_fail_alloc(1 + own_m_choose(8));
	r = entry_new(3 + me, 30, &u);
	if (!r) {
		r = own_map_put_u64(map, 3 + me, &u);
		own_m_assert(r == 0 || r == -ENOMEM, "a put failed");
		own_m_assert(!r == !u.object, "the handle");
		own_unique_release(&u);
	}
	r = own_map_claim_or_new_u64(map, 5, &u, &is_made);
	own_m_assert(r == 0 || r == -ENOMEM, "a claim failed");
	if (r)
		return;
	if (is_made)
		support_made(1);
	own_unique_commit(&u);
}

static void
end_no_memory(void)
{
	own_m_fail_alloc(0);
	end();
}

const struct own_m_scenario own_m_map_scenarios[] = {
	{ .name = "map/share_remove", .threads = 2, .setup = one,
	  .thread = share_remove, .finish = end, .preemptions = 3 },
	{ .name = "map/version_remove", .threads = 2, .setup = one_versioned,
	  .thread = share_remove, .finish = end, .preemptions = 3 },
	{ .name = "map/claim_take", .threads = 2, .setup = one,
	  .thread = claim_take, .finish = end, .preemptions = 3 },
	{ .name = "map/reinsert", .threads = 3, .setup = one_roomy,
	  .thread = reinsert, .finish = end, .flags = OWN_M_REUSE },
	{ .name = "map/replace_claim", .threads = 2, .setup = one_versioned,
	  .thread = replace_claim, .finish = end, .preemptions = 3 },
	{ .name = "map/writers", .threads = 3, .setup = one_versioned,
	  .thread = updaters, .finish = end_writers },
	{ .name = "map/made", .threads = 3, .setup = none_versioned,
	  .thread = made, .finish = end_upserts },
	{ .name = "map/upserts", .threads = 3, .setup = none,
	  .thread = upserts, .finish = end_upserts },
	{ .name = "map/made_exit", .threads = 3, .setup = none,
	  .thread = made_exit, .finish = end_upserts },
	{ .name = "map/grow_reader", .threads = 2, .setup = growing,
	  .thread = grow_reader, .finish = end, .preemptions = 3 },
	{ .name = "map/grow_fallback", .threads = 2, .setup = growing_fallback,
	  .thread = grow_reader, .finish = end, .preemptions = 3 },
	{ .name = "map/grow_put", .threads = 2, .setup = growing,
	  .thread = grow_put, .finish = end, .preemptions = 3 },
	{ .name = "map/grow_remove", .threads = 2, .setup = one,
	  .thread = grow_remove, .finish = end, .flags = OWN_M_REUSE },
	{ .name = "map/growing_remove", .threads = 3, .setup = growing,
	  .thread = growing_remove, .finish = end, .flags = OWN_M_REUSE },
	{ .name = "map/grow_replace", .threads = 2, .setup = growing_versioned,
	  .thread = grow_replace, .finish = end, .preemptions = 3,
	  .flags = OWN_M_REUSE },
	{ .name = "map/grow_reinsert", .threads = 3, .setup = growing,
	  .thread = grow_reinsert, .finish = end, .flags = OWN_M_REUSE },
	{ .name = "map/two_migrations", .threads = 3, .setup = growing_twice,
	  .thread = two_migrations, .finish = end },
	{ .name = "map/grow_large", .threads = 3, .setup = growing_large,
	  .thread = grow_large, .finish = end },
	{ .name = "map/copied", .threads = 3, .setup = filling,
	  .thread = copied, .finish = end },
	{ .name = "map/room", .threads = 3, .setup = rebuilding,
	  .thread = room, .finish = end_room },
	{ .name = "map/remove_held", .threads = 3, .setup = one,
	  .thread = remove_held, .finish = end_remove_held },
	{ .name = "map/remove_draft", .threads = 3, .setup = one_versioned,
	  .thread = remove_held, .finish = end_remove_held },
	{ .name = "map/tombs", .threads = 2, .setup = one_roomy,
	  .thread = tombs, .finish = end_tombs, .preemptions = 3 },
	{ .name = "map/shrink", .threads = 2, .setup = growing_twice,
	  .thread = shrink, .finish = end },
	{ .name = "map/scan", .threads = 2, .setup = growing_twice,
	  .thread = scan, .finish = end },
	{ .name = "map/no_memory", .threads = 2, .setup = growing,
	  .thread = no_memory, .finish = end_no_memory },
	{ .name = NULL },
};
