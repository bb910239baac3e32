/* SPDX-License-Identifier: MIT */
/*
 * map_growth.c - the cases of tables that grow and shrink under everybody
 *
 * Oracles
 *   stays    A key that stays is found by every look-up, and visited exactly
 *            once by every scan.
 *   own      A key that only this thread puts and removes is there, or not.
 *   at most  No scan visits a key twice.
 */
#include <inttypes.h>
#include <string.h>
#include "stress/map_stress.h"

#define STAY_N		64u
#define WAVE_FROM	1000u
#if defined(OWN_CHECKED) || defined(__SANITIZE_ADDRESS__) ||		\
	defined(__SANITIZE_THREAD__) || defined(OWN_BUGS)
#define WAVE_N		2000u
#else
#define WAVE_N		20000u
#endif
#define SCAN_WAVE_N	2000u

static struct own_map *maps[2];
static uint64_t wave_n;

static void
find(struct stress_thread *t, struct own_map *map, uint64_t key, int there)
{
	struct own_shared h = { 0 };
	struct key k;
	int r;

	stress_op(t, K_SHARE);
	r = own_map_share(map, key_of(key, &k), &h);
	if (r != (there ? 0 : -ENOENT))
		stress_fail(t, "key %" PRIu64 " gives %d, and is %s", key, r,
				there ? "there" : "not there");
	if (r)
		stress_count(t, K_ABSENT);
	else
		item_look(t, own_shared_get(&h), key);
	own_shared_release(&h);
}

static void
put_one(struct stress_thread *t, struct own_map *map, uint64_t key, int there)
{
	struct own_unique u = { 0 };
	struct key k;
	int r;

	item_make(t, map, key, 0, &u);
	stress_op(t, K_PUT_NEW);
	r = own_map_put_new(map, key_of(key, &k), &u);
	if (r != (there ? -EEXIST : 0))
		stress_fail(t, "put_new of key %" PRIu64 " gives %d, and it is"
				" %s", key, r, there ? "there" : "not there");
	if (r)
		stress_count(t, K_TAKEN);
	own_unique_release(&u);
}

/* A thread's part of a wave: in, and out again in another order. */
static void
wave(struct stress_thread *t, struct own_map *map)
{
	uint64_t keys_n = wave_n / t->threads_n + 1, n, turn;
	uint64_t from = WAVE_FROM + t->index * keys_n;
	struct key k;

	for (n = 0; n < keys_n && stress_running(t); n++) {
		put_one(t, map, from + n, 0);
		if (stress_one_in(t, 8)) {
			find(t, map, from + stress_below(t, (unsigned)n + 1),
					1);
			find(t, map, stress_below(t, STAY_N), 1);
		}
		if (stress_one_in(t, 64))
			put_one(t, map, from + n, 1);
	}
	/* beginning with any of them */
	turn = stress_below(t, (unsigned)n);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t key = from + (i + turn) % n;

		stress_op(t, K_REMOVE);
		must(t, own_map_remove(map, key_of(key, &k)), "remove");
		if (stress_one_in(t, 8)) {
			find(t, map, key, 0);
			find(t, map, stress_below(t, STAY_N), 1);
		}
	}
}

static void
grew(struct stress_thread *t, struct own_map *map, uint64_t *seen)
{
	struct own_map_stats stats;

	own_map_stats(map, &stats);
	if (stats.migrations > *seen)
		stress_count(t, K_GREW);
	*seen = stats.migrations;
}

void
storms_thread(struct stress_thread *t)
{
	uint64_t seen[2] = { 0 };
	unsigned m = t->index % 2;

	while (stress_running(t)) {
		wave(t, maps[m]);
		grew(t, maps[m], &seen[m]);
		m ^= stress_one_in(t, 4);
	}
}

static void
setup(unsigned threads_n, uint64_t n, own_map_hash_fn hash)
{
	struct stress_thread t = { .threads_n = threads_n };
	struct own_unique u = { 0 };
	struct key k;

	ledger_open();
	wave_n = n;
	map_text_keys = 0;
	maps[0] = map_make(&t, "in place", OWN_EXCLUSIVE, 0, hash);
	maps[1] = map_make(&t, "by version", OWN_VERSIONED, 0, hash);
	for (unsigned m = 0; m < 2; m++)
		for (uint64_t i = 0; i < STAY_N; i++) {
			item_make(&t, maps[m], i, 0, &u);
			must(&t, own_map_put(maps[m], key_of(i, &k), &u),
					"put");
		}
}

static void
finish(void)
{
	for (unsigned m = 0; m < 2; m++) {
		if (own_map_count(maps[m]) != STAY_N)
			stress_fail(NULL, "%" PRIu64 " entries, not %u",
					own_map_count(maps[m]), STAY_N);
		own_map_destroy(maps[m]);
	}
	ledger_close();
}

void
storms_setup(unsigned threads_n)
{
	setup(threads_n, WAVE_N, NULL);
}

void
storms_finish(unsigned threads_n)
{
	(void)threads_n;
	finish();
}

/* ---- scans ---- */

/* Three keys a hash, and all of them with one fingerprint but for two bits. */
static uint64_t
hash_poor(const void *data, size_t size_bytes, uint64_t seed)
{
	uint64_t number;

	(void)size_bytes;
	memcpy(&number, data, sizeof number);
	return stress_mix(number / 3 + (seed | 1)) | 0xfffc;
}

#define VISITS_N	(WAVE_FROM + SCAN_WAVE_N + STRESS_THREADS_MAX * 2u)

struct visits {
	struct stress_thread *t;
	unsigned char seen[VISITS_N];
};

static int
visit(const struct own_shared *entry, void *arg)
{
	struct visits *v = arg;
	const struct item *item = own_shared_get(entry);
	uint64_t key = own_map_key_u64(entry);

	if (key >= VISITS_N)
		stress_fail(v->t, "visits a key that never was");
	item_look(v->t, item, key);
	if (v->seen[key]++)
		stress_fail(v->t, "key %" PRIu64 " is visited twice", key);
	return stress_one_in(v->t, 16) ? 1 : 0;
}

static void
scan_all(struct stress_thread *t, struct own_map *map, struct visits *v)
{
	uint64_t cursor = 0, n = 1 + stress_below(t, 64);
	int r;

	memset(v, 0, sizeof *v);
	v->t = t;
	do {
		stress_op(t, K_SCAN);
		if (stress_one_in(t, 4))
			r = own_map_scan_try(map, &cursor, n, visit, v);
		else
			r = own_map_scan(map, &cursor, n, visit, v);
		if (r < 0 && r != -EBUSY)
			must(t, r, "scan");
	/* a visit that ends the call at the very last entry leaves 0 as well */
	} while (cursor && stress_running(t));
	if (cursor)
		return;
	stress_count(t, K_SCANNED);
	for (unsigned i = 0; i < STAY_N; i++)
		if (!v->seen[i])
			stress_fail(t, "key %u stays and is not visited", i);
}

static void
touch(struct stress_thread *t, struct own_map *map)
{
	struct own_unique u = { 0 };
	uint64_t key = stress_below(t, STAY_N);

	if (SOMEHOW(t, CLAIM, ANY, map, key, .unique = &u))
		return;
	item_look(t, own_unique_edit(&u), key);
	item_change(own_unique_edit(&u), 1, stress_below(t, 50));
	stress_op(t, K_COMMIT);
	own_unique_commit(&u);
}

void
scans_thread(struct stress_thread *t)
{
	static struct visits visits[STRESS_THREADS_MAX];
	uint64_t seen[2] = { 0 };
	unsigned m = stress_below(t, 2);

	while (stress_running(t)) {
		if (t->index % 4 == 0) {
			wave(t, maps[m]);
			grew(t, maps[m], &seen[m]);
		} else if (t->index % 4 == 1) {
			touch(t, maps[m]);
		} else {
			scan_all(t, maps[m], &visits[t->index]);
		}
		m = stress_below(t, 2);
	}
}

void
scans_setup(unsigned threads_n)
{
	setup(threads_n, SCAN_WAVE_N, hash_poor);
}

void
scans_finish(unsigned threads_n)
{
	(void)threads_n;
	finish();
}
