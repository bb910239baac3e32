/* SPDX-License-Identifier: MIT */
/*
 * waiting_late.c - how late a _timed verb returns after its deadline
 *
 * This thread holds a cell and an entry; another one asks for them, and for
 * the whole map, with deadlines of 0.2 to 6 ms, and waits as long by a plain
 * futex and by a condition variable in turn: what the kernel gives anyway.
 */
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include "bench/waiting.h"
#include "handles/internal.h"

#define SECOND_NS	UINT64_C(1000000000)
#define SOON_NS		UINT64_C(200000)
#define SPAN_NS		UINT64_C(5800000)

enum way { CLAIM, SHARE, ENTRY_CLAIM, ENTRY_SHARE, ALL_CLAIM, FUTEX, COND,
	WAYS_N };

static const char *const way_text[WAYS_N] = {
	"cell claim_timed", "cell share_timed", "entry claim_timed",
	"entry share_timed", "map claim_all_timed", "plain futex",
	"pthread_cond_timedwait",
};

static struct own_cell cell;
static struct own_map *map;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond;
static uint32_t word;
static struct hist hists[WAYS_N];
static uint64_t max_ns[WAYS_N];

static int
cond_wait(uint64_t deadline_ns)
{
	struct timespec at = {
		.tv_sec = (time_t)(deadline_ns / SECOND_NS),
		.tv_nsec = (long)(deadline_ns % SECOND_NS),
	};
	int r;

	pthread_mutex_lock(&mutex);
	do
		r = pthread_cond_timedwait(&cond, &mutex, &at);
	while (!r);
	pthread_mutex_unlock(&mutex);
	return -r;
}

static int
wait_by(enum way way, uint64_t deadline_ns)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };

	switch (way) {
	case CLAIM:
		return own_cell_claim_timed(&cell, deadline_ns, &u);
	case SHARE:
		return own_cell_share_timed(&cell, deadline_ns, &s);
	case ENTRY_CLAIM:
		return own_map_claim_timed_u64(map, 1, deadline_ns, &u);
	case ENTRY_SHARE:
		return own_map_share_timed_u64(map, 1, deadline_ns, &s);
	case ALL_CLAIM:
		return own_map_claim_all_timed(map, deadline_ns, &u);
	case FUTEX:
		return own_i_futex_wait(&word, 0, OWN_I_FUTEX_ANY,
				deadline_ns);
	default:
		return cond_wait(deadline_ns);
	}
}

static void *
asker(void *arg)
{
	uint64_t state = own_now_ns(), deadline_ns, now_ns;
	uint64_t until_ns = own_deadline_ns(*(uint64_t *)arg);
	enum way way;
	int r;

	for (unsigned i = 0; i < WAYS_N || own_now_ns() < until_ns; i++) {
		way = (enum way)(i % WAYS_N);
		deadline_ns = own_deadline_ns(SOON_NS + draw(&state) % SPAN_NS);
		r = wait_by(way, deadline_ns);
		now_ns = own_now_ns();
		if (r != -ETIMEDOUT)
			wrong("%s: %d, not -ETIMEDOUT", way_text[way], r);
		if (now_ns < deadline_ns)
			wrong("%s: %lu ns early", way_text[way],
					(unsigned long)(deadline_ns - now_ns));
		hist_add(&hists[way], now_ns - deadline_ns);
		if (now_ns - deadline_ns > max_ns[way])
			max_ns[way] = now_ns - deadline_ns;
	}
	return NULL;
}

static void
run(unsigned others_n)
{
	uint64_t span_ns = smoke ? 100000000 : 6 * SECOND_NS;
	char where[32];
	pthread_t thread;

	for (unsigned i = 0; i < WAYS_N; i++) {
		hists[i] = (struct hist){ { 0 } };
		max_ns[i] = 0;
	}
	busy_start(others_n);
	if (pthread_create(&thread, NULL, asker, &span_ns))
		wrong("cannot start a thread");
	pthread_join(thread, NULL);
	busy_stop();
	snprintf(where, sizeof where, "%u busy", others_n);
	for (unsigned i = 0; i < WAYS_N; i++)
		lines("late", way_text[i], where, "late", &hists[i],
				max_ns[i]);
}

void
part_late(void)
{
	struct own_unique u = { 0 }, entry = { 0 };
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&cond, &monotonic);
	cell_make(&cell, "late");
	map = map_make("late");
	must(own_cell_claim(&cell, &u), "claim");
	must(own_map_claim_u64(map, 1, &entry), "claim of an entry");
	run(0);
	run(8 * cores_n < 64 ? 8 * cores_n : 64);
	own_unique_release(&entry);
	own_unique_release(&u);
	own_map_destroy(map);
	own_cell_destroy(&cell);
	pthread_cond_destroy(&cond);
}
