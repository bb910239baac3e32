/* SPDX-License-Identifier: MIT */
/*
 * map_churn.c - the case of few keys that come and go, of both policies
 *
 * Oracles
 *   one     While an entry is claimed nobody else has claimed its key.
 *   hidden  An entry in the making, a draft, and what was taken out are seen
 *           by nobody but their owner.
 *   count   A key that put_new, claim_or_new, remove and take alone touch has
 *           been put as often as removed, or once more and then it is there.
 *   lives   As many objects end as were made, each once; no change is lost.
 */
#include <inttypes.h>
#include <string.h>
#include "stress/map_stress.h"

#define KEYS_N		6u
#define PUT_FROM	4u	/* from here on put, too */

static struct own_map *maps[2];
static struct {
	_Alignas(128) uint64_t claimed;	/* shared */
	_Alignas(128) int64_t entries;	/* shared: add */
} ghost[2][KEYS_N];
static uint64_t changes_n;		/* shared: add */

static void
enter(struct stress_thread *t, unsigned m, uint64_t key)
{
	/* relaxed: whoever is before is ordered by the handle */
	if (own__add(&ghost[m][key].claimed, (uint64_t)1, OWN__RELAXED))
		stress_fail(t, "two have claimed key %" PRIu64, key);
}

static void
leave(struct stress_thread *t, unsigned m, uint64_t key)
{
	/* relaxed: as enter() */
	if (own__add(&ghost[m][key].claimed, UINT64_MAX, OWN__RELAXED) != 1)
		stress_fail(t, "two had claimed key %" PRIu64, key);
}

static void
counted(unsigned m, uint64_t key, int64_t by)
{
	/* relaxed: a sum */
	own__add(&ghost[m][key].entries, by, OWN__RELAXED);
}

static void
upsert(struct stress_thread *t, unsigned m, uint64_t key)
{
	struct own_unique u = { 0 };
	struct item *item;
	int made, keep = stress_below(t, 3) > 0;

	if (SOMEHOW(t, UPSERT, ANY, maps[m], key, .unique = &u, .made = &made))
		return;
	enter(t, m, key);
	item = own_unique_edit(&u);
	if (made) {
		item_begin(item, key, HIDDEN);
		stress_spin(stress_below(t, 200));
		item->n = item->base = item->twin = 0;
	} else {
		item_look(t, item, key);
	}
	if (keep) {
		item_change(item, 1, stress_below(t, 100));
		/* relaxed: a sum */
		own__add(&changes_n, (uint64_t)1, OWN__RELAXED);
	} else if (made || m == 1) {
		item->n = item->twin = item->base = HIDDEN;
	}
	leave(t, m, key);
	if (keep) {
		if (made)
			counted(m, key, 1);
		stress_op(t, K_COMMIT);
		own_unique_commit(&u);
	} else {
		stress_op(t, made ? K_UNDO : K_DROP);
		own_unique_release(&u);
	}
}

static void
put(struct stress_thread *t, unsigned m, uint64_t key)
{
	static const int taken[] = { -EEXIST, 0 };
	struct own_unique u = { 0 };
	int r;

	item_make(t, maps[m], key, 0, &u);
	if (key >= PUT_FROM && stress_one_in(t, 2)) {
		r = SOMEHOW(t, PUT, ANY, maps[m], key, .unique = &u);
	} else {
		r = SOMEHOW(t, PUT_NEW, ANY, maps[m], key, .unique = &u,
				.others = taken);
		if (!r)
			counted(m, key, 1);
	}
	own_unique_release(&u);
}

static void
replace(struct stress_thread *t, unsigned m, uint64_t key)
{
	struct own_unique u = { 0 };

	item_make(t, maps[m], key, 0, &u);
	(void)SOMEHOW(t, REPLACE, ANY, maps[m], key, .unique = &u,
			.others = none_or_absent);
	own_unique_release(&u);
}

static void
take(struct stress_thread *t, unsigned m, uint64_t key)
{
	struct own_unique u = { 0 };
	struct item *item;

	/* the other forms cannot be, of versions */
	if (SOMEHOW(t, TAKE, m ? BARE : ANY, maps[m], key, .unique = &u,
			.others = none_or_absent))
		return;
	counted(m, key, -1);
	item = own_unique_edit(&u);
	item_look(t, item, key);
	item->base += HIDDEN;
	item->n += HIDDEN;
	stress_spin(stress_below(t, 200));
	item->twin += HIDDEN;
	item->n -= HIDDEN;
	item->base -= HIDDEN;
	item->twin -= HIDDEN;
	if (stress_one_in(t, 2) && !SOMEHOW(t, REPLACE, ANY, maps[m], key,
			.unique = &u, .others = none_or_absent))
		return;
	own_unique_release(&u);
}

static void
read_one(struct stress_thread *t, unsigned m, uint64_t key)
{
	struct own_shared h = { 0 };

	if (SOMEHOW(t, SHARE, ANY, maps[m], key, .shared = &h,
			.others = none_or_absent))
		return;
	item_look(t, own_shared_get(&h), key);
	stress_spin(stress_below(t, 200));
	item_look(t, own_shared_get(&h), key);
	own_shared_release(&h);
}

void
churn_thread(struct stress_thread *t)
{
	while (stress_running(t)) {
		unsigned m = stress_below(t, 2);
		uint64_t key = stress_below(t, KEYS_N);

		switch (stress_below(t, 7)) {
		case 0:
		case 1:
			upsert(t, m, key);
			break;
		case 2:
			put(t, m, key);
			break;
		case 3:
			replace(t, m, key);
			break;
		case 4:
			take(t, m, key);
			break;
		case 5:
			if (!SOMEHOW(t, REMOVE, ANY, maps[m], key,
					.others = none_or_absent))
				counted(m, key, -1);
			break;
		default:
			read_one(t, m, key);
		}
	}
}

void
churn_setup(unsigned threads_n)
{
	struct stress_thread t = { .threads_n = threads_n };

	ledger_open();
	memset(ghost, 0, sizeof ghost);
	changes_n = 0;
	map_text_keys = 1;
	maps[0] = map_make(&t, "churn in place", OWN_EXCLUSIVE, 0, NULL);
	maps[1] = map_make(&t, "churn by version", OWN_VERSIONED, 0, NULL);
}

void
churn_finish(unsigned threads_n)
{
	struct item item;
	struct key k;

	(void)threads_n;
	for (unsigned m = 0; m < 2; m++) {
		for (uint64_t key = 0; key < PUT_FROM; key++)
			if (ghost[m][key].entries != !own_map_read(maps[m],
					key_of(key, &k), &item, sizeof item))
				stress_fail(NULL, "key %" PRIu64 ": put %"
						PRId64 " times more than it "
						"was removed", key,
						ghost[m][key].entries);
		own_map_destroy(maps[m]);
	}
	ledger_close();
	if (ledger.gain != changes_n)
		stress_fail(NULL, "%" PRIu64 " changes made, %" PRIu64 " kept",
				changes_n, ledger.gain);
}
