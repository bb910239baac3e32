/* SPDX-License-Identifier: MIT */
/*
 * map_memory.c - contract in map_memory.h
 *
 * Allocated is what malloc has handed out, its own headers and rounding
 * included; resident is what the process has grown by, and so includes tables
 * that were outgrown and could not be given back.
 */
#include <malloc.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/map_cases.h"
#include "bench/map_memory.h"
#include "bench/peers/maps.h"

#define EMPTY_MAPS	64u
#define ENTRIES		1000000u
/* a table that grows in the background has then long stopped */
#define SETTLE_MAX	200u
#define SETTLE_US	20000u

static size_t
allocated(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static size_t
resident(void)
{
	unsigned long all, in = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f) {
		if (fscanf(f, "%lu %lu", &all, &in) != 2)
			in = 0;
		fclose(f);
	}
	return in * (size_t)sysconf(_SC_PAGESIZE);
}

static int
fill(const struct map_subject *s, void *map, uint64_t entries)
{
	for (uint64_t i = 0; i < entries; i++)
		if (s->insert(map, map_key(i), MAP_WORDS_SMALL))
			return -1;
	return 0;
}

/* Until nothing changes any more. */
static void
settle(const struct map_subject *s)
{
	size_t before, now = 0;
	unsigned i = 0;

	do {
		before = now;
		s->settle();
		usleep(SETTLE_US);
		now = allocated();
	} while (now != before && ++i < SETTLE_MAX);
	malloc_trim(0);
}

static int
measure(const struct map_subject *s)
{
	void *map[EMPTY_MAPS];
	size_t empty, full, whole;

	/* what a process needs once is not the map's */
	map[0] = s->create(MAP_WORDS_SMALL);
	if (!map[0] || fill(s, map[0], 1000))
		return 1;
	s->destroy(map[0]);
	settle(s);
	empty = allocated();
	for (unsigned i = 0; i < EMPTY_MAPS; i++) {
		map[i] = s->create(MAP_WORDS_SMALL);
		if (!map[i])
			return 1;
	}
	empty = (allocated() - empty) / EMPTY_MAPS;
	for (unsigned i = 1; i < EMPTY_MAPS; i++)
		s->destroy(map[i]);
	settle(s);
	full = allocated();
	whole = resident();
	if (fill(s, map[0], ENTRIES))
		return 1;
	s->filled(map[0], ENTRIES);
	settle(s);
	printf("map_memory/%s\t1\tempty_bytes\t%zu\n", s->name, empty);
	printf("map_memory/%s\t1\tentry_bytes\t%.1f\n", s->name,
			(double)(allocated() - full) / ENTRIES);
	printf("map_memory/%s\t1\tentry_resident_bytes\t%.1f\n", s->name,
			(double)(resident() - whole) / ENTRIES);
	s->destroy(map[0]);
	return 0;
}

int
map_memory(const struct map_subject *const *subjects, size_t n)
{
	int status, r = 0;

	for (size_t i = 0; i < n; i++) {
		pid_t child;

		fflush(stdout);
		child = fork();
		if (!child) {
			if (lfht_start())
				_exit(1);
			subjects[i]->enter();
			status = measure(subjects[i]);
			subjects[i]->leave();
			fflush(stdout);
			_exit(status);
		}
		if (child < 0 || waitpid(child, &status, 0) != child ||
				status) {
			fprintf(stderr, "map_bench: %s: not measured\n",
					subjects[i]->name);
			r = 1;
		}
	}
	return r;
}
