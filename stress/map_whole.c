/* SPDX-License-Identifier: MIT */
/*
 * map_whole.c - the case of accounts, and of the map held whole
 *
 * Amounts move between two entries that are claimed in the order of their
 * keys. Who has the whole counts, moves, clears and loads anew, or swaps.
 *
 * Oracles
 *   sum     Under share_all and claim_all the sum over all is what it was, the
 *           accounts are all there, and own_map_count() is exact.
 *   all     Nobody ever misses an account: clear and load are one change.
 */
#include <inttypes.h>
#include "stress/map_stress.h"

#define ACCOUNTS_N	32u
#define BALANCE		UINT64_C(1000)
#define EXTRA_FROM	1000u

static struct own_map *maps[2], *spare[2];

struct sum {
	struct stress_thread *t;
	uint64_t accounts, extra, balance;
};

static int
add(const struct own_shared *entry, void *arg)
{
	struct sum *sum = arg;
	uint64_t key = own_map_key_u64(entry);
	const struct item *item = own_shared_get(entry);

	item_look(sum->t, item, key);
	if (key >= ACCOUNTS_N) {
		sum->extra++;
		return 0;
	}
	sum->accounts++;
	sum->balance += item->n;
	return 0;
}

/* The whole is the caller's, shared or not. */
static void
audit(struct stress_thread *t, struct own_map *map)
{
	struct sum sum = { .t = t };
	uint64_t cursor = 0;

	do {
		stress_op(t, K_SCAN);
		must(t, own_map_scan(map, &cursor, 16, add, &sum), "scan");
	} while (cursor);
	stress_count(t, K_SCANNED);
	if (sum.accounts != ACCOUNTS_N || sum.balance != ACCOUNTS_N * BALANCE)
		stress_fail(t, "%" PRIu64 " accounts with %" PRIu64
				" in all", sum.accounts, sum.balance);
	if (own_map_count(map) != sum.accounts + sum.extra)
		stress_fail(t, "count %" PRIu64 ", visited %" PRIu64,
				own_map_count(map), sum.accounts + sum.extra);
}

static void
load(struct stress_thread *t, struct own_map *map)
{
	struct own_unique u = { 0 };
	uint64_t shift = stress_below(t, (unsigned)BALANCE);
	struct key k;

	for (uint64_t i = 0; i < ACCOUNTS_N; i++) {
		item_make(t, map, i, i % 2 ? BALANCE - shift : BALANCE + shift,
				&u);
		must(t, own_map_put_new(map, key_of(i, &k), &u), "put_new");
	}
}

static void
move(struct stress_thread *t, struct own_map *map, unsigned forms)
{
	struct own_unique a = { 0 }, b = { 0 };
	uint64_t i = stress_below(t, ACCOUNTS_N - 1);
	uint64_t j = i + 1 + stress_below(t, ACCOUNTS_N - 1 - (unsigned)i);
	struct item *from, *to;
	uint64_t amount;

	if (SOMEHOW(t, CLAIM, forms, map, i, .unique = &a))
		return;
	if (SOMEHOW(t, CLAIM, forms, map, j, .unique = &b)) {
		own_unique_release(&a);
		return;
	}
	stress_count(t, K_COUPLED);
	from = own_unique_edit(&a);
	to = own_unique_edit(&b);
	item_look(t, from, i);
	item_look(t, to, j);
	amount = stress_below(t, (unsigned)from->n + 1);
	item_change(from, -amount, stress_below(t, 100));
	item_change(to, amount, stress_below(t, 100));
	stress_op(t, K_COMMIT);
	own_unique_commit(&a);
	stress_spin(stress_below(t, 100));
	own_unique_commit(&b);
}

static void
master(struct stress_thread *t, unsigned m)
{
	struct own_unique whole = { 0 }, other = { 0 };

	if (SOMEHOW(t, CLAIM_ALL, ANY, maps[m], .unique = &whole))
		return;
	audit(t, maps[m]);
	switch (stress_below(t, 3)) {
	case 0:
		stress_op(t, K_CLEAR);
		must(t, own_map_clear(&whole), "clear");
		if (own_map_count(maps[m]))
			stress_fail(t, "entries are left by clear");
		load(t, maps[m]);
		break;
	case 1:
		must(t, own_map_claim_all(spare[m], &other), "claim_all");
		load(t, spare[m]);
		stress_op(t, K_SWAP);
		must(t, own_map_swap(&whole, &other), "swap");
		must(t, own_map_clear(&other), "clear");
		own_unique_release(&other);
		break;
	default:
		move(t, maps[m], ANY);
	}
	audit(t, maps[m]);
	own_unique_release(&whole);
}

static void
auditor(struct stress_thread *t, unsigned m)
{
	struct own_shared whole = { 0 };

	if (SOMEHOW(t, SHARE_ALL, ANY, maps[m], .shared = &whole))
		return;
	audit(t, maps[m]);
	stress_spin(stress_below(t, 200));
	audit(t, maps[m]);
	own_shared_release(&whole);
}

/* A key of this thread's own, which a clear may have taken meanwhile. */
static void
extra(struct stress_thread *t, unsigned m)
{
	struct own_unique u = { 0 };
	uint64_t key = EXTRA_FROM + t->index * 64 + stress_below(t, 64);

	if (stress_one_in(t, 2)) {
		(void)SOMEHOW(t, REMOVE, ANY, maps[m], key,
				.others = none_or_absent);
		return;
	}
	item_make(t, maps[m], key, 0, &u);
	(void)SOMEHOW(t, PUT, ANY, maps[m], key, .unique = &u);
	own_unique_release(&u);
}

void
whole_thread(struct stress_thread *t)
{
	while (stress_running(t)) {
		unsigned m = stress_below(t, 2);

		switch (stress_below(t, 16)) {
		case 0:
			master(t, m);
			break;
		case 1:
		case 2:
			auditor(t, m);
			break;
		case 3:
		case 4:
		case 5:
			extra(t, m);
			break;
		default:
			move(t, maps[m], ANY);
		}
	}
}

void
whole_setup(unsigned threads_n)
{
	struct stress_thread t = { .threads_n = threads_n };

	ledger_open();
	map_text_keys = 0;
	for (unsigned m = 0; m < 2; m++) {
		uint32_t policy = m ? OWN_VERSIONED : OWN_EXCLUSIVE;

		maps[m] = map_make(&t, "accounts", policy, 0, NULL);
		spare[m] = map_make(&t, "spare", policy, 0, NULL);
		load(&t, maps[m]);
	}
}

void
whole_finish(unsigned threads_n)
{
	struct stress_thread t = { .threads_n = threads_n };

	for (unsigned m = 0; m < 2; m++) {
		audit(&t, maps[m]);
		own_map_destroy(maps[m]);
		own_map_destroy(spare[m]);
	}
	ledger_close();
}
