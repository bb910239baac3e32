/* SPDX-License-Identifier: MIT */
/*
 * map_lives.c - the case of threads that end with handles of a map in hand
 *
 * Each thread of the driver starts one child after another and waits for its
 * end. Each child leaves one kind of thing standing.
 *
 * Oracles
 *   released  What a dead thread shared, or held whole, can be claimed: if not,
 *             somebody stands still.
 *   undone    A draft and a new entry that were left are never seen.
 *   orphan    An entry whose writer ended gives -EOWNERDEAD till repaired.
 *   lives     As many objects end as were made.
 */
#include "stress/map_stress.h"

#define KEYS_N		8u
#define OWN_KEY(t)	(100u + (t)->index)
#define NEW_KEY(t)	(1000u + (t)->index)

enum { LEAVE_SHARED, LEAVE_DRAFT, LEAVE_MADE, LEAVE_UNIQUE, LEAVE_WHOLE_S,
	LEAVE_WHOLE_X, LEAVES_N };

static struct own_map *maps[2];

struct child {
	struct stress_thread *t;
	unsigned leaves;
};

static void
work(struct stress_thread *t, unsigned m)
{
	struct own_unique u = { 0 };
	uint64_t key = stress_below(t, KEYS_N);

	if (SOMEHOW(t, CLAIM, ANY, maps[m], key, .unique = &u))
		return;
	item_look(t, own_unique_edit(&u), key);
	item_change(own_unique_edit(&u), 1, stress_below(t, 50));
	stress_op(t, K_COMMIT);
	own_unique_commit(&u);
}

static void
leave_shared(struct stress_thread *t)
{
	struct own_shared h = { 0 };

	for (unsigned n = stress_below(t, 40); n; n--) {
		uint64_t key = stress_below(t, KEYS_N);

		h = (struct own_shared){ 0 };
		if (!SOMEHOW(t, SHARE, TRY, maps[stress_below(t, 2)], key,
				.shared = &h))
			stress_op(t, K_LEFT_SHARED);
	}
}

static void
leave_unique(struct stress_thread *t, unsigned m, uint64_t key)
{
	struct own_unique u = { 0 };
	struct item *item;

	if (SOMEHOW(t, CLAIM, BARE, maps[m], key, .unique = &u))
		return;
	item = own_unique_edit(&u);
	item_look(t, item, key);
	if (m)
		item->n = item->twin = item->base = HIDDEN;
	stress_op(t, m ? K_LEFT_DRAFT : K_LEFT_UNIQUE);
}

static void
leave_made(struct stress_thread *t)
{
	struct own_unique u = { 0 };
	int made;

	must(t, SOMEHOW(t, UPSERT, BARE, maps[stress_below(t, 2)], NEW_KEY(t),
			.unique = &u, .made = &made), "claim_or_new");
	if (!made)
		stress_fail(t, "an entry that was left is there");
	item_begin(own_unique_edit(&u), NEW_KEY(t), HIDDEN);
	stress_op(t, K_LEFT_MADE);
}

static void *
child_main(void *arg)
{
	struct child *me = arg;
	struct stress_thread *t = me->t;
	struct own_shared h = { 0 };
	struct own_unique u = { 0 };
	unsigned m = stress_below(t, 2);

	stress_op(t, K_THREAD);
	for (unsigned n = stress_below(t, 4); n; n--)
		work(t, stress_below(t, 2));
	switch (me->leaves) {
	case LEAVE_SHARED:
		leave_shared(t);
		break;
	case LEAVE_DRAFT:
		leave_unique(t, 1, stress_below(t, KEYS_N));
		break;
	case LEAVE_MADE:
		leave_made(t);
		break;
	case LEAVE_UNIQUE:
		leave_unique(t, 0, OWN_KEY(t));
		break;
	case LEAVE_WHOLE_S:
		if (!SOMEHOW(t, SHARE_ALL, ANY, maps[m], .shared = &h))
			stress_op(t, K_LEFT_WHOLE);
		break;
	default:
		if (!SOMEHOW(t, CLAIM_ALL, ANY, maps[m], .unique = &u)) {
			leave_unique(t, m, m ? stress_below(t,
					KEYS_N) : OWN_KEY(t));
			stress_op(t, K_LEFT_WHOLE);
		}
	}
	return NULL;
}

/* What the key says to all, until it is repaired or replaced. */
static void
bury(struct stress_thread *t)
{
	static const int dead[] = { -EOWNERDEAD, 0 };
	struct own_shared h = { 0 };
	struct own_unique u = { 0 };
	struct key k;
	int r = SOMEHOW(t, CLAIM, BARE, maps[0], OWN_KEY(t), .unique = &u,
			.others = dead);

	if (r != -EOWNERDEAD) {
		own_unique_release(&u);
		return;
	}
	stress_op(t, K_OWNERDEAD);
	if (own_map_share(maps[0], key_of(OWN_KEY(t), &k), &h) != -EOWNERDEAD)
		stress_fail(t, "a dead writer is not noticed");
	/* never waits: another thread may have, or ask for, the whole */
	do
		r = own_map_orphan_claim(maps[0], key_of(OWN_KEY(t), &k), &u);
	while (r == -EBUSY);
	must(t, r, "orphan_claim");
	item_look(t, own_unique_edit(&u), OWN_KEY(t));
	own_unique_release(&u);
	must(t, own_map_share(maps[0], key_of(OWN_KEY(t), &k), &h), "share");
	own_shared_release(&h);
}

void
map_lives_thread(struct stress_thread *t)
{
	struct own_shared h = { 0 };
	struct child child;
	struct key k;
	pthread_t id;

	while (stress_running(t)) {
		child = (struct child){
			.t = t, .leaves = stress_below(t, LEAVES_N),
		};
		if (pthread_create(&id, NULL, child_main, &child))
			stress_fail(t, "cannot start a thread");
		pthread_join(id, NULL);
		for (unsigned m = 0; m < 2; m++) {
			stress_op(t, K_SHARE);
			if (own_map_share(maps[m], key_of(NEW_KEY(t), &k), &h)
					!= -ENOENT)
				stress_fail(t, "sees an entry that was left");
			work(t, m);
		}
		bury(t);
	}
}

void
map_lives_setup(unsigned threads_n)
{
	struct stress_thread t = { .threads_n = threads_n };
	struct own_unique u = { 0 };
	struct key k;

	ledger_open();
	map_text_keys = 1;
	for (unsigned m = 0; m < 2; m++) {
		maps[m] = map_make(&t, "lives", m ? OWN_VERSIONED
				: OWN_EXCLUSIVE, 0, NULL);
		for (uint64_t i = 0; i < KEYS_N + threads_n; i++) {
			uint64_t key = i < KEYS_N ? i : 100 + i - KEYS_N;

			item_make(&t, maps[m], key, 0, &u);
			must(&t, own_map_put(maps[m], key_of(key, &k), &u),
					"put");
		}
	}
}

void
map_lives_finish(unsigned threads_n)
{
	for (unsigned m = 0; m < 2; m++) {
		if (own_map_count(maps[m]) != KEYS_N + threads_n)
			stress_fail(NULL, "entries were lost or left");
		own_map_destroy(maps[m]);
	}
	ledger_close();
}
