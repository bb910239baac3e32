/* SPDX-License-Identifier: MIT */
/*
 * map_runs.h - the loops that time a map, the same for every one
 *
 * Included once for each subject, with SUBJECT defined; undefines it. The
 * subject has defined, for its prefix x, and inline:
 *
 *	x_create, x_destroy, x_filled, x_enter, x_leave, x_settle
 *			as in struct map_subject
 *	x_insert(map, key, words)	0, or not 0: it was there, or no memory
 *	x_remove(map, key)		0, or not 0: it was not there
 *	x_read(map, key, words, &count)	looks up and checks; 0 or what is wrong
 *	x_update(map, key, words)	looks up, checks, adds one; the same
 */
#include "bench/map_cases.h"

#define MAP_CAT_(a, b)	a##b
#define MAP_CAT(a, b)	MAP_CAT_(a, b)
#define MAP_STR_(a)	#a
#define MAP_STR(a)	MAP_STR_(a)
#define F(verb)		MAP_CAT(SUBJECT, verb)

/* look up; and case's percent of updates */
MAP_INLINE void
F(_mix)(struct bench *b, const unsigned words)
{
	const struct map_case *c = bench_user(b);
	unsigned of_65536 = (unsigned)c->percent * 65536 / 100;
	uint64_t entries = c->entries, bad = 0, writes = 0;
	struct draw d = map_draw(b);
	void *map = map_of(b);
	uint32_t count;

	F(_enter)();
	bench_loop(b) {
		uint64_t drawn = draw_next(&d);
		uint64_t key = map_key(draw_index(drawn, entries));

		if (draw_percent(drawn, of_65536)) {
			bad |= (uint64_t)F(_update)(map, key, words);
			writes++;
		} else {
			bad |= (uint64_t)F(_read)(map, key, words, &count);
		}
	}
	F(_leave)();
	map_wrote(b, writes, bad);
}

/* one key in, one key out */
MAP_INLINE void
F(_churn)(struct bench *b, const unsigned words)
{
	const struct map_case *c = bench_user(b);
	uint64_t window = c->entries / MAP_LANES, circle = 2 * window, bad = 0;
	unsigned lane = (unsigned)bench_thread(b), n;
	unsigned threads = (unsigned)bench_threads(b);
	void *map = map_of(b);
	uint64_t at[MAP_LANES];

	for (n = lane; n < MAP_LANES; n += threads)
		at[n] = *map_lane(b, n);
	n = lane;
	F(_enter)();
	bench_loop(b) {
		uint64_t in = at[n] + window;

		in -= in >= circle ? circle : 0;
		bad |= (uint64_t)F(_insert)(map, map_lane_key(n, in), words);
		bad |= (uint64_t)F(_remove)(map, map_lane_key(n, at[n]));
		at[n] = at[n] + 1 == circle ? 0 : at[n] + 1;
		n = n + threads < MAP_LANES ? n + threads : lane;
	}
	F(_leave)();
	for (n = lane; n < MAP_LANES; n += threads)
		*map_lane(b, n) = at[n];
	map_wrote(b, 0, bad);
}

/* insert into a map that was empty; h: time each, or NULL */
MAP_INLINE void
F(_grow)(struct bench *b, const unsigned words, struct hist *h)
{
	uint64_t step = map_grow_step(b), bad = 0, t0 = 0;
	struct grow g = { 0, 0, NULL };

	F(_enter)();
	bench_loop(b)
		for (uint64_t i = 0; i < step; i++) {
			if (g.next == g.end && !map_grow_draw(b, &g))
				break;
			if (h)
				t0 = cell_ns();
			bad |= (uint64_t)F(_insert)(g.map, map_key(g.next),
					words);
			if (h)
				hist_add(h, cell_ns() - t0);
			g.next++;
		}
	F(_leave)();
	map_grown(b, &g, bad);
}

MAP_INLINE void
F(_put)(struct bench *b, const unsigned words)
{
	struct hist h;

	memset(&h, 0, sizeof(h));
	F(_grow)(b, words, &h);
	map_put_latency(b, &h);
}

static void
F(_mix_small)(struct bench *b)
{
	F(_mix)(b, MAP_WORDS_SMALL);
}

static void
F(_mix_large)(struct bench *b)
{
	F(_mix)(b, MAP_WORDS_LARGE);
}

static void
F(_churn_small)(struct bench *b)
{
	F(_churn)(b, MAP_WORDS_SMALL);
}

static void
F(_churn_large)(struct bench *b)
{
	F(_churn)(b, MAP_WORDS_LARGE);
}

static void
F(_grow_small)(struct bench *b)
{
	F(_grow)(b, MAP_WORDS_SMALL, NULL);
}

static void
F(_grow_large)(struct bench *b)
{
	F(_grow)(b, MAP_WORDS_LARGE, NULL);
}

static void
F(_put_small)(struct bench *b)
{
	F(_put)(b, MAP_WORDS_SMALL);
}

static void
F(_put_large)(struct bench *b)
{
	F(_put)(b, MAP_WORDS_LARGE);
}

/* out of line, for setting up and checking */
static int
F(_insert_call)(void *map, uint64_t key, unsigned words)
{
	return F(_insert)(map, key, words);
}

static int
F(_remove_call)(void *map, uint64_t key)
{
	return F(_remove)(map, key);
}

static int
F(_look_call)(void *map, uint64_t key, unsigned words, uint32_t *ret_count)
{
	return F(_read)(map, key, words, ret_count);
}

const struct map_subject MAP_CAT(SUBJECT, _map) = {
	.name = MAP_STR(SUBJECT),
	.create = F(_create),
	.destroy = F(_destroy),
	.filled = F(_filled),
	.enter = F(_enter),
	.leave = F(_leave),
	.insert = F(_insert_call),
	.remove = F(_remove_call),
	.look = F(_look_call),
	.settle = F(_settle),
	.mix = { F(_mix_small), F(_mix_large) },
	.churn = { F(_churn_small), F(_churn_large) },
	.grow = { F(_grow_small), F(_grow_large) },
	.put = { F(_put_small), F(_put_large) },
};

#undef F
#undef SUBJECT
#undef MAP_STR
#undef MAP_STR_
#undef MAP_CAT
#undef MAP_CAT_
