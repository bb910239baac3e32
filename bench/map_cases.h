/* SPDX-License-Identifier: MIT */
/*
 * map_cases.h - what all maps of map_bench have in common
 *
 * Keys are 64-bit numbers, key(i) for the index i; every map gets the same
 * ones in the same order and the same hash of them. A value is an array of
 * 32-bit words, 2 or 25 of them: the key's low half, and a count of updates,
 * which all further words repeat. A reader checks all words, so that a value
 * of another key or one half written is seen.
 *
 * map_runs.h makes a subject's loops from its verbs.
 */
#ifndef BENCH_MAP_CASES_H
#define BENCH_MAP_CASES_H

#include <stddef.h>
#include <stdint.h>

#include "bench/cell_cases.h"

#define MAP_INLINE	static inline __attribute__((always_inline))

/* 8 and 100 bytes */
#define MAP_WORDS_SMALL	2u
#define MAP_WORDS_LARGE	25u

/* A bijection, so that keys differ; never 0 or UINT64_MAX for an index. */
MAP_INLINE uint64_t
map_key(uint64_t i)
{
	i += 0x9e3779b97f4a7c15u;
	i = (i ^ i >> 30) * 0xbf58476d1ce4e5b9u;
	i = (i ^ i >> 27) * 0x94d049bb133111ebu;
	return i ^ i >> 31;
}

/* The hash of a key, for all maps. */
MAP_INLINE uint64_t
map_hash(uint64_t key)
{
	key = (key ^ key >> 33) * 0xff51afd7ed558ccdu;
	key = (key ^ key >> 33) * 0xc4ceb9fe1a85ec53u;
	return key ^ key >> 33;
}

MAP_INLINE void
map_value_set(uint32_t *word, unsigned words, uint64_t key, uint32_t count)
{
	word[0] = (uint32_t)key;
	for (unsigned i = 1; i < words; i++)
		word[i] = count;
}

MAP_INLINE uint32_t
map_value_bad(const uint32_t *word, unsigned words, uint64_t key)
{
	uint32_t bad = word[0] ^ (uint32_t)key;

	for (unsigned i = 2; i < words; i++)
		bad |= word[i] ^ word[1];
	return bad;
}

/* Adds one to the count, if the value is what it must be. */
MAP_INLINE uint32_t
map_value_step(uint32_t *word, unsigned words, uint64_t key)
{
	uint32_t bad = map_value_bad(word, words, key);

	map_value_set(word, words, key, word[1] + 1);
	return bad;
}

/*
 * Churn moves a window of as many keys as the map has entries around a circle
 * of twice as many. Keys lie in lanes, each of which one thread moves.
 */
#define MAP_LANES	8u

struct map_subject {
	const char *name;
	void *(*create)(unsigned words);
	void (*destroy)(void *map);		/* with all entries */
	void (*filled)(void *map, uint64_t entries);
	void (*enter)(void);			/* a thread, before and after */
	void (*leave)(void);
	int (*insert)(void *map, uint64_t key, unsigned words); /* 0: is new */
	int (*remove)(void *map, uint64_t key);	/* 0: was there */
	/* 0 if it is there, whole, and says how often it was updated */
	int (*look)(void *map, uint64_t key, unsigned words,
			uint32_t *ret_count);
	void (*settle)(void);			/* frees what waits for it */
	/* loops, by size of value */
	bench_fn mix[2];
	bench_fn churn[2];
	bench_fn grow[2];
	bench_fn put[2];
};

/* A case: what bench_user() gives. */
struct map_case {
	const struct map_subject *s;
	uint64_t entries;
	unsigned words;
	int percent;		/* of updates; -1: churn */
};

/* The map of the run; NULL if it could not be made. */
void *map_of(const struct bench *b);

/* Draws of a thread, the same for all maps. */
struct draw {
	uint64_t state;
};

struct draw map_draw(const struct bench *b);

MAP_INLINE uint64_t
draw_next(struct draw *d)
{
	d->state = d->state * 6364136223846793005u + 1442695040888963407u;
	return d->state;
}

MAP_INLINE uint64_t
draw_index(uint64_t drawn, uint64_t entries)
{
	return (drawn >> 32) * entries >> 32;
}

MAP_INLINE int
draw_percent(uint64_t drawn, unsigned of_65536)
{
	return (drawn >> 16 & 0xffff) < of_65536;
}

/* The lane's place, of this run's map; entries of a lane are a window. */
uint64_t *map_lane(const struct bench *b, unsigned lane);

/* index of the @n-th key of a lane */
MAP_INLINE uint64_t
map_lane_key(unsigned lane, uint64_t n)
{
	return map_key(n * MAP_LANES + lane);
}

/*
 * Growth: threads draw the keys of a map by GROW_CHUNK, and go on to the next
 * map, empty, after @entries of them. An iteration is several insertions, so
 * that the least number of iterations fills a map.
 */
#define GROW_CHUNK	50u

struct grow {
	uint64_t next;
	uint64_t end;
	void *map;
};

uint64_t map_grow_step(const struct bench *b);
/* Draws a chunk and finds or makes its map; NULL: out of memory. */
void *map_grow_draw(struct bench *b, struct grow *g);

/* Each thread's part, after its loop. */
void map_wrote(struct bench *b, uint64_t writes, uint64_t bad);
void map_grown(struct bench *b, const struct grow *g, uint64_t bad);
void map_put_latency(struct bench *b, const struct hist *h);

#endif
