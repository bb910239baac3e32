/* SPDX-License-Identifier: MIT */
/*
 * deadlocks.c - five ways in which maps with locked entries are known to hang
 *
 * Each is done here to a map of accounts, and none hangs: it works, or the
 * verb that could never have been granted says so, and own_conflict_last()
 * tells who had what and where. Exits 0 if each ended as it must.
 */
#include <own/own.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

#define ACCOUNTS	8u

struct account {
	long cents;
};

OWN_TYPE(account, struct account);

static struct own_map *accounts;
static pthread_barrier_t both;
static int failed;

static const char *
result_name(int r)
{
	switch (r) {
	case 0:
		return "granted";
	case -EDEADLK:
		return "-EDEADLK";
	case -EBUSY:
		return "-EBUSY";
	default:
		return "something else";
	}
}

/* The main thread alone calls this. */
static void
must(const char *what, int r, int expected)
{
	printf("%s: %s\n", what, result_name(r));
	if (r == expected)
		return;
	printf("    expected: %s\n", result_name(expected));
	failed = 1;
}

/* What the last refusal of this thread was. */
static void
explain(void)
{
	const struct own_conflict *why = own_conflict_last();
	char text[1024];

	if (!why)
		return;
	(void)own_conflict_text(why, text, sizeof(text));
	printf("    %s\n", text);
}

static int
open_account(uint64_t number)
{
	struct own_unique u = { 0 };
	int r = own_map_new_u64(accounts, number, &u);

	if (r)
		return r;
	account_edit(&u)->cents = 100;
	r = own_map_put_u64(accounts, number, &u);
	if (r)
		own_unique_release(&u);
	return r;
}

/* ---- 1: to change what one reads ---- */

static int
claim_what_is_shared(void)
{
	struct own_shared seen = { 0 };
	struct own_unique u = { 0 };
	int r = own_map_share_u64(accounts, 1, &seen);

	if (r)
		return r;
	r = own_map_claim_u64(accounts, 1, &u);
	if (!r)
		own_unique_release(&u);
	own_shared_release(&seen);
	return r;
}

/* ---- 2: two entries, in opposite order ---- */

struct transfer {
	uint64_t from, to;
	int r;
	char text[1024];
};

/* -EDEADLK: whoever is told lets go of what it has, and the other goes on. */
static void *
transfer(void *arg)
{
	struct transfer *t = arg;
	struct own_unique from = { 0 }, to = { 0 };
	const struct own_conflict *why;
	int r = own_map_claim_u64(accounts, t->from, &from);

	t->r = r;
	if (r) {
		(void)pthread_barrier_wait(&both);
		return NULL;
	}
	(void)pthread_barrier_wait(&both);
	r = own_map_claim_u64(accounts, t->to, &to);
	t->r = r;
	if (r) {
		why = own_conflict_last();
		if (why)
			(void)own_conflict_text(why, t->text, sizeof(t->text));
		own_unique_release(&from);
		return NULL;
	}
	account_edit(&from)->cents -= 10;
	account_edit(&to)->cents += 10;
	own_unique_release(&to);
	own_unique_release(&from);
	return NULL;
}

static void
opposite_orders(void)
{
	struct transfer t[2] = { { .from = 1, .to = 2 },
		{ .from = 2, .to = 1 } };
	unsigned victim;
	pthread_t other;

	if (pthread_create(&other, NULL, transfer, &t[1])) {
		failed = 1;
		return;
	}
	(void)transfer(&t[0]);
	(void)pthread_join(other, NULL);
	victim = t[0].r ? 0 : 1;
	must("2. two entries in opposite order, one thread", t[victim].r,
			-EDEADLK);
	printf("    %s\n", t[victim].text);
	must("   and the other thread", t[1 - victim].r, 0);
}

/* ---- 3: to insert while iterating ---- */

struct visit {
	unsigned visited[ACCOUNTS];
	int inserted;		/* what the insertions returned, if not 0 */
	int replaced;		/* what replacing the visited one returned */
};

OWN_UNTRACKED("a handle that is lent to a callback") static int
insert_another(const struct own_shared *entry, void *arg)
{
	struct visit *visit = arg;
	uint64_t number = own_map_key_u64(entry);
	int r;

	if (number >= ACCOUNTS)
		return 0;		/* one of those inserted here */
	visit->visited[number]++;
	r = open_account(number + 1000);
	if (r)
		visit->inserted = r;
	/* this one is held, and by this very thread */
	visit->replaced = open_account(number);
	return 0;
}

static void
insert_while_iterating(void)
{
	struct visit visit = { .inserted = 0 };
	uint64_t cursor = 0;
	int r, once = 1;

	do
		r = own_map_scan(accounts, &cursor, 2, insert_another, &visit);
	while (!r && cursor);
	must("3. insertions during an iteration", r ? r : visit.inserted, 0);
	for (unsigned i = 0; i < ACCOUNTS; i++)
		once &= visit.visited[i] == 1;
	printf("    %u entries before, each visited %s; %u afterwards\n",
			ACCOUNTS, once ? "once" : "NOT ONCE",
			(unsigned)own_map_count(accounts));
	failed |= !once || own_map_count(accounts) != 2 * ACCOUNTS;
	must("   replacing the very entry that is visited", visit.replaced,
			-EDEADLK);
}

/* ---- 4: two readers want to become writers ---- */

/* Both have what they share until both have asked. */
static void *
upgrade(void *arg)
{
	struct own_shared seen = { 0 };
	struct own_unique u = { 0 };
	int *told = arg, r = own_map_share_u64(accounts, 3, &seen);

	*told = r;
	if (r) {
		(void)pthread_barrier_wait(&both);
		(void)pthread_barrier_wait(&both);
		return NULL;
	}
	(void)pthread_barrier_wait(&both);
	r = own_shared_upgrade_try(&seen, &u);
	*told = r;
	if (!r)
		own_unique_release(&u);
	(void)pthread_barrier_wait(&both);
	own_shared_release(&seen);
	return NULL;
}

static void
two_upgrades(void)
{
	pthread_t other;
	int r[2];

	if (pthread_create(&other, NULL, upgrade, &r[1])) {
		failed = 1;
		return;
	}
	(void)upgrade(&r[0]);
	(void)pthread_join(other, NULL);
	must("4. a reader becomes a writer beside another one", r[0], -EBUSY);
	must("   and the other one", r[1], -EBUSY);
}

/* ---- 5: the whole map, with an entry in hand ---- */

static int
share_all_with_an_entry(void)
{
	struct own_shared all = { 0 };
	struct own_unique u = { 0 };
	int r = own_map_claim_u64(accounts, 4, &u);

	if (r)
		return r;
	r = own_map_share_all(accounts, &all);
	if (!r)
		own_shared_release(&all);
	own_unique_release(&u);
	return r;
}

int
main(void)
{
	struct own_map_options options = {
		.size = sizeof(options), .type = &account_type,
		.name = "accounts", .policy = OWN_EXCLUSIVE,
		.flags = OWN_MAP_U64,
	};

	if (own_map_create(&options, &accounts) ||
			pthread_barrier_init(&both, NULL, 2))
		return 1;
	for (uint64_t i = 0; i < ACCOUNTS; i++)
		if (open_account(i))
			return 1;
	must("1. claims an entry that it shares", claim_what_is_shared(),
			-EDEADLK);
	explain();
	opposite_orders();
	insert_while_iterating();
	two_upgrades();
	must("5. shares the whole map with an entry in hand",
			share_all_with_an_entry(), -EDEADLK);
	explain();
	own_map_destroy(accounts);
	(void)pthread_barrier_destroy(&both);
	return failed;
}
