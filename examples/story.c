/* SPDX-License-Identifier: MIT */
/*
 * story.c - two threads share a value: by a plain count, then by handles
 *
 * The plain count loses updates, so the value is never freed, or freed while
 * it is used. Exits 0 if that was seen and the handles did neither.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <own/own.h>

#define TIMES	200000

/* ---- a plain count ---- */

static atomic_int count;	/* relaxed load and store are what ++ does */

static unsigned seeds[] = { 1, 2 };

static void *
use_by_count(void *seed)
{
	int n;

	for (int i = 0; i < 2 * TIMES; i++) {
		n = atomic_load_explicit(&count, memory_order_relaxed);
		if (rand_r(seed) % 1000 == 0)
			sched_yield();
		n += i % 2 ? -1 : 1;
		atomic_store_explicit(&count, n, memory_order_relaxed);
	}
	return NULL;
}

/* ---- handles ---- */

struct config {
	int port;
};

static atomic_int made, ended, used_after, refused;

static void
config_fini(void *payload, size_t size_bytes)
{
	(void)size_bytes;
	((struct config *)payload)->port = 0;
	ended++;
}

OWN_TYPE(config, struct config, .fini = config_fini);
static struct own_cell current = OWN_CELL_INIT(&config_type, OWN_VERSIONED,
	"config");

static int
put(int port)
{
	own_scoped(own_unique) next = { 0 };
	int r = config_new(&next);

	if (r)
		return r;
	made++;
	config_edit(&next)->port = port;
	return own_cell_replace(&current, &next);
}

static void *
use_by_handle(void *unused)
{
	struct own_shared seen = { 0 };
	int r;

	for (int i = 0; i < TIMES; i++) {
		r = own_cell_share(&current, &seen);
		if (r) {
			refused++;
			break;
		}
		if (i % 100 == 0)
			refused += put(8000 + i % 1000) != 0;
		used_after += config_get(&seen)->port == 0;
		own_shared_release(&seen);
	}
	return unused;
}

static void
run_twice(void *(*fn)(void *))
{
	pthread_t one, two;

	if (pthread_create(&one, NULL, fn, &seeds[0]) ||
			pthread_create(&two, NULL, fn, &seeds[1]))
		abort();
	pthread_join(one, NULL);
	pthread_join(two, NULL);
}

int
main(void)
{
	int failed, held;

	for (int tries = 0; tries < 100 && count == 0; tries++)
		run_twice(use_by_count);
	failed = count != 0;
	printf("plain count  raised and dropped alike, it says %d: %s\n", count,
			count > 0 ? "leaked" :
			failed ? "freed early" : "right");

	refused += put(8000) != 0;
	run_twice(use_by_handle);
	own_cell_destroy(&current);
	held = own_barrier() == 0 && made == ended && !used_after && !refused;
	printf("handles      %d values made, %d freed, %d used after that\n",
			made, ended, used_after);
	puts(failed && held ? "the plain count failed, the handles did not"
			: "not what it should be");
	return !(failed && held);
}
