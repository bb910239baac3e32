/* SPDX-License-Identifier: MIT */
/*
 * waiting_found.c - how long a deadlock stands until one thread is told
 *
 * In each round a ring of threads, which hold a cell, an entry or a whole map
 * each, ask for what the next one holds. The cycle closes when the last of
 * them goes to sleep for the first time; from then on the wall clock counts,
 * and the victim's own processor time from its own first sleep on. Exactly one
 * of them must be told, and all others be granted.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "bench/waiting.h"
#include "handles/internal.h"

#define RING_MAX	16u
#define BUSY		16u
#define CLOSES_NS	10000000u	/* one comes so late, at most */

enum object { CELL, ENTRY, WHOLE, OBJECTS_N, MIXED = OBJECTS_N, RINGS_N };

static const char *const ring_text[RINGS_N] = {
	"cells", "entries", "whole maps", "mixed",
};

static struct own_cell cells[RING_MAX];
static struct own_map *maps[RING_MAX];	/* entries of one map, else wholes */
static struct own_map *entries;

static struct {
	enum object ring;
	unsigned n, rounds;
	pthread_barrier_t barrier;
	/* of a round, between two barriers; each its own */
	struct sleep_note slept[RING_MAX];
	uint64_t told_ns[RING_MAX], told_cpu_ns[RING_MAX];
	uint32_t victims;		/* shared */
	/* over all rounds */
	struct hist wall, cpu;
	uint64_t wall_max, cpu_max;
} shared;

static int
ask(unsigned i, struct own_unique *ret)
{
	enum object object = shared.ring == MIXED
		? (enum object)(i % OBJECTS_N) : shared.ring;

	if (object == CELL)
		return own_cell_claim(&cells[i], ret);
	if (object == ENTRY)
		return own_map_claim_u64(entries, i + 1, ret);
	return own_map_claim_all(maps[i], ret);
}

static void
count_round(void)
{
	uint64_t closed_ns = 0, wall_ns, cpu_ns;

	if (shared.victims != 1)
		wrong("%s, %u threads: %u of them were told",
				ring_text[shared.ring], shared.n,
				shared.victims);
	shared.victims = 0;
	for (unsigned i = 0; i < shared.n; i++)
		if (shared.slept[i].wall_ns > closed_ns)
			closed_ns = shared.slept[i].wall_ns;
	for (unsigned i = 0; i < shared.n; i++) {
		if (!shared.told_ns[i])
			continue;
		wall_ns = shared.told_ns[i] - closed_ns;
		cpu_ns = shared.told_cpu_ns[i] - shared.slept[i].cpu_ns;
		hist_add(&shared.wall, wall_ns);
		hist_add(&shared.cpu, cpu_ns);
		if (wall_ns > shared.wall_max)
			shared.wall_max = wall_ns;
		if (cpu_ns > shared.cpu_max)
			shared.cpu_max = cpu_ns;
		shared.told_ns[i] = 0;
	}
}

static void *
ring_main(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;
	uint64_t state = own_now_ns() + i;
	struct own_unique mine = { 0 }, next = { 0 };
	int r;

	for (unsigned round = 0; round < shared.rounds; round++) {
		must(ask(i, &mine), "claim");
		shared.slept[i] = (struct sleep_note){ .wall_ns = 0 };
		pthread_barrier_wait(&shared.barrier);
		if (i == round % shared.n)
			nap(draw(&state) % CLOSES_NS);
		sleep_note = &shared.slept[i];
		r = ask((i + 1) % shared.n, &next);
		if (r) {
			shared.told_ns[i] = own_now_ns();
			shared.told_cpu_ns[i] = cpu_now_ns();
			/* relaxed: looked at after the barrier */
			own__add(&shared.victims, 1, OWN__RELAXED);
		}
		sleep_note = NULL;
		if (r && r != -EDEADLK)
			wrong("a ring: %d", r);
		own_unique_release(&next);
		own_unique_release(&mine);
		pthread_barrier_wait(&shared.barrier);
		if (i == 0)
			count_round();
		pthread_barrier_wait(&shared.barrier);
	}
	return NULL;
}

static void
run(enum object ring, unsigned n, unsigned busy_n)
{
	pthread_t threads[RING_MAX];
	char where[48];

	shared.ring = ring;
	shared.n = n;
	shared.rounds = smoke ? 2 : busy_n ? 10 : 25;
	shared.wall = shared.cpu = (struct hist){ { 0 } };
	shared.wall_max = shared.cpu_max = 0;
	pthread_barrier_init(&shared.barrier, NULL, n);
	busy_start(busy_n);
	for (unsigned i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, ring_main,
				(void *)(uintptr_t)i))
			wrong("cannot start a thread");
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	busy_stop();
	pthread_barrier_destroy(&shared.barrier);
	snprintf(where, sizeof where, "%u threads, %u busy", n, busy_n);
	lines("found", ring_text[ring], where, "wall", &shared.wall,
			shared.wall_max);
	lines("found", ring_text[ring], where, "cpu", &shared.cpu,
			shared.cpu_max);
}

void
part_found(void)
{
	static const unsigned sizes[] = { 2, 3, 8, 16 };
	struct own_unique u = { 0 };

	entries = map_make("ring");
	for (unsigned i = 0; i < RING_MAX; i++) {
		cell_make(&cells[i], "ring");
		maps[i] = map_make("ring");
		must(own_map_new_u64(entries, i + 1, &u), "map_new");
		must(own_map_put_u64(entries, i + 1, &u), "map_put");
	}
	for (unsigned b = 0; b < 2; b++)
		for (unsigned ring = 0; ring < RINGS_N; ring++)
			for (unsigned i = 0; i < 4; i++)
				if (!smoke || (i == 1 && !b))
					run((enum object)ring, sizes[i],
							b * BUSY);
	for (unsigned i = 0; i < RING_MAX; i++) {
		own_map_destroy(maps[i]);
		own_cell_destroy(&cells[i]);
	}
	own_map_destroy(entries);
}
