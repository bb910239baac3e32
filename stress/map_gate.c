/* SPDX-License-Identifier: MIT */
/*
 * map_gate.c - the cases of entries that are coupled while the whole is asked
 * for
 *
 * Holders of entries take more of them, in the order of keys; others ask for
 * the whole in every form, and give up.
 *
 *   gate    Who has nothing but reads asks for no write: then all that anyone
 *           waits for comes to an end, and nobody may be told of a cycle.
 *   cycles  Anybody asks for anything. A reader that asks to write waits for a
 *           shared whole, which waits for a writer, which may wait for what is
 *           read: that is a cycle, and at least one of them is told.
 *
 * Oracles
 *   modes    Ghost counts of who holds what: no writer beside a shared whole,
 *            nobody beside a unique one.
 *   told     -EDEADLK where there can be no cycle; where there is one and none
 *            is told, all stand still.
 *   wake-up  In gate own_i_slice_ns is 0: a sleeper looks again only when it
 *            is woken. (Deadlock checks need the slices.)
 */
#include <string.h>
#include "handles/internal.h"
#include "stress/map_stress.h"

#define KEYS_N		12u
#define HELD_MAX	4u

enum { IS, IX, S, X, MODES_N };

static const char *const mode_text[] = {
	"a reader", "a writer", "a shared whole", "a unique whole",
};
static const unsigned bars[MODES_N] = {
	[IS] = 1u << X,
	[IX] = 1u << S | 1u << X,
	[S] = 1u << IX | 1u << X,
	[X] = 1u << IS | 1u << IX | 1u << S,
};
static const int told[] = { -EDEADLK, 0 };
static const int *cycle;		/* told, or NULL: there is none */

static struct own_map *maps[2];
static uint64_t slice_ns;
static struct {
	_Alignas(128) uint64_t n;	/* shared: add */
} ghost[2][MODES_N];

static void
look(struct stress_thread *t, unsigned m, unsigned mode)
{
	for (unsigned i = 0; i < MODES_N; i++)
		/* relaxed: what went before is ordered by the gate */
		if ((bars[mode] >> i & 1) && own__load(&ghost[m][i].n,
				OWN__RELAXED))
			stress_fail(t, "%s beside %s", mode_text[mode],
					mode_text[i]);
}

static void
enter(struct stress_thread *t, unsigned m, unsigned mode)
{
	/* relaxed: as look() */
	own__add(&ghost[m][mode].n, (uint64_t)1, OWN__RELAXED);
	look(t, m, mode);
	if (mode == X && own__load(&ghost[m][X].n, OWN__RELAXED) != 1)
		stress_fail(t, "two unique wholes");
}

static void
leave(unsigned m, unsigned mode)
{
	/* relaxed: as look() */
	own__add(&ghost[m][mode].n, UINT64_MAX, OWN__RELAXED);
}

/* Reads one, and may come to write it. */
static int
couple_read(struct stress_thread *t, unsigned m, uint64_t key,
		struct own_shared *h, struct own_unique *u)
{
	int r = SOMEHOW(t, SHARE, ANY, maps[m], key, .shared = h,
			.others = cycle);

	if (r)
		return r;
	enter(t, m, IS);
	item_look(t, own_shared_get(h), key);
	if (stress_one_in(t, 4) && !own_shared_upgrade_try(h, u)) {
		enter(t, m, IX);
		leave(m, IS);
		stress_op(t, K_UPGRADED);
		item_change(own_unique_edit(u), 1, 0);
	}
	return 0;
}

static int
couple_write(struct stress_thread *t, unsigned m, uint64_t key,
		struct own_shared *h, struct own_unique *u)
{
	int r = SOMEHOW(t, CLAIM, ANY, maps[m], key, .unique = u,
			.others = cycle);

	if (r)
		return r;
	enter(t, m, IX);
	item_look(t, own_unique_edit(u), key);
	item_change(own_unique_edit(u), 1, stress_below(t, 50));
	if (stress_one_in(t, 4)) {
		stress_op(t, K_DOWNGRADE);
		enter(t, m, IS);
		leave(m, IX);
		own_unique_downgrade(u, h);
	}
	return 0;
}

static void
couple(struct stress_thread *t, unsigned m)
{
	struct own_shared h[HELD_MAX] = { { 0 } };
	struct own_unique u[HELD_MAX] = { { 0 } };
	unsigned n = 1 + stress_below(t, HELD_MAX), i;
	uint64_t key = stress_below(t, 3);
	int r = 0, writes = 0, mixed = stress_one_in(t, 2);
	int write = stress_one_in(t, 2);

	for (i = 0; i < n && !r; i++) {
		if (mixed)
			write = stress_one_in(t, 2);
		/* from nothing but reads to a write: a cycle, maybe */
		if (write && (cycle || !i || writes))
			r = couple_write(t, m, key, &h[i], &u[i]);
		else
			r = couple_read(t, m, key, &h[i], &u[i]);
		writes += u[i].object != NULL;
		if (i && !r)
			stress_count(t, K_COUPLED);
		key += 1 + stress_below(t, 3);
	}
	for (i = 0; i < n; i++) {
		if (u[i].object) {
			look(t, m, IX);
			leave(m, IX);
			own_unique_commit(&u[i]);
		}
		if (h[i].object) {
			look(t, m, IS);
			leave(m, IS);
			own_shared_release(&h[i]);
		}
	}
}

static void
shared_whole(struct stress_thread *t, unsigned m)
{
	struct own_shared whole = { 0 }, h = { 0 };
	uint64_t key = stress_below(t, KEYS_N);

	if (SOMEHOW(t, SHARE_ALL, ANY, maps[m], .shared = &whole,
			.others = cycle))
		return;
	enter(t, m, S);
	if (stress_one_in(t, 2)) {
		must(t, SOMEHOW(t, SHARE, BARE, maps[m], key, .shared = &h),
				"share beside share_all");
		item_look(t, own_shared_get(&h), key);
		own_shared_release(&h);
	}
	stress_spin(stress_below(t, 1000));
	look(t, m, S);
	leave(m, S);
	own_shared_release(&whole);
}

static void
unique_whole(struct stress_thread *t, unsigned m)
{
	struct own_unique whole = { 0 }, u = { 0 };
	uint64_t key = stress_below(t, KEYS_N);

	if (SOMEHOW(t, CLAIM_ALL, ANY, maps[m], .unique = &whole,
			.others = cycle))
		return;
	enter(t, m, X);
	if (stress_one_in(t, 2)) {
		must(t, SOMEHOW(t, CLAIM, BARE, maps[m], key, .unique = &u),
				"claim beside claim_all");
		item_change(own_unique_edit(&u), 1, 0);
		own_unique_commit(&u);
	}
	stress_spin(stress_below(t, 1000));
	look(t, m, X);
	leave(m, X);
	own_unique_release(&whole);
}

void
gate_thread(struct stress_thread *t)
{
	while (stress_running(t)) {
		unsigned m = stress_below(t, 2);

		switch (stress_below(t, 8)) {
		case 0:
			shared_whole(t, m);
			break;
		case 1:
			unique_whole(t, m);
			break;
		default:
			couple(t, m);
		}
	}
}

static void
setup(unsigned threads_n)
{
	struct stress_thread t = { .threads_n = threads_n };
	struct own_unique u = { 0 };
	struct key k;

	ledger_open();
	memset(ghost, 0, sizeof ghost);
	slice_ns = own_i_slice_ns;
	map_text_keys = 1;
	for (unsigned m = 0; m < 2; m++) {
		maps[m] = map_make(&t, "gate", m ? OWN_VERSIONED
				: OWN_EXCLUSIVE, 0, NULL);
		for (uint64_t i = 0; i < KEYS_N; i++) {
			item_make(&t, maps[m], i, 0, &u);
			must(&t, own_map_put(maps[m], key_of(i, &k), &u),
					"put");
		}
	}
}

void
gate_setup(unsigned threads_n)
{
	cycle = NULL;
	setup(threads_n);
	own_i_slice_ns = 0;
}

void
cycles_setup(unsigned threads_n)
{
	cycle = told;
	setup(threads_n);
}

void
gate_finish(unsigned threads_n)
{
	(void)threads_n;
	own_i_slice_ns = slice_ns;
	own_map_destroy(maps[0]);
	own_map_destroy(maps[1]);
	ledger_close();
}
