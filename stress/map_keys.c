/* SPDX-License-Identifier: MIT */
/*
 * map_keys.c - the cases of few keys that everybody changes
 *
 * Beside them each thread puts and removes keys of its own, so that the table
 * is left for another one while entries are lent.
 *
 * Oracles
 *   sum      A key's value is the number of changes that were made to it.
 *   whole    Two equal fields, and the key itself, in all that is seen.
 *   forward  What a thread sees of a key never goes back; a version held does
 *            not change.
 *   own      A key that only this thread puts and removes is there, or not.
 */
#include <inttypes.h>
#include <string.h>
#include "stress/map_stress.h"

#define KEYS_N		8u
#define HELD_N		4u	/* versions that a thread keeps */
#define FILL_N		96u
#define FILL_FROM(t)	(1000u + (t)->index * FILL_N)

static struct own_map *map;
static int versioned;
static struct {
	_Alignas(128) uint64_t n;	/* shared */
} changes[KEYS_N];

struct mine {
	uint64_t seen[KEYS_N];
	uint64_t changes[KEYS_N];
	struct own_shared held[HELD_N];
	struct item held_item[HELD_N];
	unsigned char filled[FILL_N];
};

static void
see(struct stress_thread *t, struct mine *me, const struct item *item,
		uint64_t key)
{
	item_look(t, item, key);
	if (item->n < me->seen[key])
		stress_fail(t, "key %" PRIu64 " went back from %" PRIu64
				" to %" PRIu64, key, me->seen[key], item->n);
	me->seen[key] = item->n;
}

/* One change by a unique handle; ends it in one of the ways there are. */
static void
change(struct stress_thread *t, struct mine *me, struct own_unique *u,
		uint64_t key)
{
	struct own_shared h = { 0 };
	struct item *item = own_unique_edit(u);

	see(t, me, item, key);
	if (versioned && stress_one_in(t, 4)) {
		item->n = item->twin = HIDDEN;
		item->base = HIDDEN;
		stress_op(t, K_DROP);
		own_unique_release(u);
		return;
	}
	item_change(item, 1, stress_below(t, 100));
	me->changes[key]++;
	me->seen[key]++;
	if (stress_one_in(t, 3)) {
		stress_op(t, K_DOWNGRADE);
		own_unique_downgrade(u, &h);
		item = (struct item *)(uintptr_t)own_shared_get(&h);
		if (item->n != me->seen[key] || item->twin != item->n)
			stress_fail(t, "another writer came between");
		own_shared_release(&h);
		return;
	}
	stress_op(t, K_COMMIT);
	own_unique_commit(u);
}

static void
write_one(struct stress_thread *t, struct mine *me, uint64_t key)
{
	struct own_unique u = { 0 };

	if (!SOMEHOW(t, CLAIM, ANY, map, key, .unique = &u))
		change(t, me, &u, key);
}

static void
conflict(struct stress_thread *t, uint64_t key)
{
	static const int own[] = { -EDEADLK, 0 };
	struct own_unique u = { 0 };

	stress_count(t, K_OWN_CONFLICT);
	if (SOMEHOW(t, CLAIM, ANY, map, key, .unique = &u, .others = own) !=
			-EDEADLK)
		stress_fail(t, "own conflict is not -EDEADLK");
}

static void
read_one(struct stress_thread *t, struct mine *me, uint64_t key)
{
	struct own_shared h = { 0 };
	struct own_unique u = { 0 };
	unsigned keep = stress_below(t, HELD_N);

	if (SOMEHOW(t, SHARE, ANY, map, key, .shared = &h))
		return;
	see(t, me, own_shared_get(&h), key);
	stress_spin(stress_below(t, 200));
	see(t, me, own_shared_get(&h), key);
	if (!versioned && stress_one_in(t, 8))
		conflict(t, key);
	if (stress_one_in(t, 4) && !own_shared_upgrade_try(&h, &u)) {
		stress_op(t, K_UPGRADED);
		change(t, me, &u, key);
		return;
	}
	if (versioned && stress_one_in(t, 2)) {
		own_shared_release(&me->held[keep]);
		own_shared_move(&me->held[keep], &h);
		me->held_item[keep] = *(const struct item *)
			own_shared_get(&me->held[keep]);
		return;
	}
	stress_op(t, K_RELEASE);
	own_shared_release(&h);
}

static void
held_look(struct stress_thread *t, struct mine *me)
{
	for (unsigned i = 0; i < HELD_N; i++)
		if (me->held[i].object && memcmp(own_shared_get(&me->held[i]),
				&me->held_item[i], sizeof(struct item)))
			stress_fail(t, "a version that is held has changed");
}

static void
copy_out(struct stress_thread *t, struct mine *me, uint64_t key)
{
	struct item item;
	struct key k;

	stress_op(t, K_READ);
	must(t, own_map_read(map, key_of(key, &k), &item, sizeof item),
			"read");
	see(t, me, &item, key);
}

/* Nobody else touches these keys: every answer is known. */
static void
fill_one(struct stress_thread *t, struct mine *me)
{
	unsigned i = stress_below(t, FILL_N);
	uint64_t key = FILL_FROM(t) + i;
	struct own_unique u = { 0 };
	struct own_shared h = { 0 };
	struct key k;
	int r;

	stress_op(t, K_SHARE);
	r = own_map_share(map, key_of(key, &k), &h);
	if (r != (me->filled[i] ? 0 : -ENOENT))
		stress_fail(t, "own key %" PRIu64 ": %d, %s", key, r,
				me->filled[i] ? "put" : "removed");
	if (!r)
		item_look(t, own_shared_get(&h), key);
	own_shared_release(&h);
	if (me->filled[i]) {
		me->filled[i] = SOMEHOW(t, REMOVE, ANY, map, key,
				.shared = NULL) != 0;
		return;
	}
	item_make(t, map, key, 0, &u);
	me->filled[i] = !SOMEHOW(t, PUT_NEW, ANY, map, key, .unique = &u);
	own_unique_release(&u);
}

void
keys_thread(struct stress_thread *t)
{
	struct mine me = { .changes = { 0 } };

	while (stress_running(t)) {
		uint64_t key = stress_below(t, KEYS_N);

		switch (stress_below(t, 8)) {
		case 0:
		case 1:
			write_one(t, &me, key);
			break;
		case 2:
		case 3:
			read_one(t, &me, key);
			break;
		case 4:
			copy_out(t, &me, key);
			break;
		default:
			fill_one(t, &me);
		}
		held_look(t, &me);
	}
	for (unsigned i = 0; i < HELD_N; i++)
		own_shared_release(&me.held[i]);
	for (unsigned i = 0; i < KEYS_N; i++)
		/* relaxed: a sum */
		own__add(&changes[i].n, me.changes[i], OWN__RELAXED);
}

static void
setup(uint32_t policy, unsigned threads_n)
{
	struct stress_thread t = { .threads_n = threads_n };
	struct own_unique u = { 0 };
	struct key k;

	ledger_open();
	memset(changes, 0, sizeof changes);
	versioned = policy == OWN_VERSIONED;
	map_text_keys = !versioned;
	map = map_make(&t, "keys", policy, 0, NULL);
	for (uint64_t i = 0; i < KEYS_N; i++) {
		item_make(&t, map, i, 0, &u);
		must(&t, own_map_put(map, key_of(i, &k), &u), "put");
	}
}

void
in_place_setup(unsigned threads_n)
{
	setup(OWN_EXCLUSIVE, threads_n);
}

void
by_version_setup(unsigned threads_n)
{
	setup(OWN_VERSIONED, threads_n);
}

void
keys_finish(unsigned threads_n)
{
	struct item item;
	struct key k;

	(void)threads_n;
	for (uint64_t i = 0; i < KEYS_N; i++)
		if (own_map_read(map, key_of(i, &k), &item, sizeof item) ||
				item.n != changes[i].n)
			stress_fail(NULL, "key %" PRIu64 ": %" PRIu64
					" changes made, %" PRIu64 " kept", i,
					changes[i].n, item.n);
	own_map_destroy(map);
	ledger_close();
}
