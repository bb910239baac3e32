/* SPDX-License-Identifier: MIT */
/*
 * map_bench.c - a map beside what it replaces; README.md describes each case
 *
 * Maps of the same entries are kept from run to run, as far as memory allows:
 * filling one takes longer than a run. What a run changes is checked after it,
 * and for large maps when the map is destroyed.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/map_cases.h"
#include "bench/map_memory.h"
#include "bench/peers/maps.h"

#define LINE	__attribute__((aligned(64)))

static const struct map_subject *const subjects[] = {
	&own_exclusive_map,
	&own_versioned_map,
	&lfht_map,
#ifdef BENCH_CK
	&ck_ht_map,
#endif
	&mutex_map,
	&rwlock_map,
	&sharded_map,
};
#define SUBJECTS	(sizeof(subjects) / sizeof(subjects[0]))

/* ---- what the loops share ---- */

static struct {
	pthread_mutex_t lock;
	uint64_t written;
	uint64_t unused;	/* keys drawn for growth, not inserted */
	struct hist put;
} totals = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void
totals_clear(void)
{
	totals.written = 0;
	totals.unused = 0;
	memset(&totals.put, 0, sizeof(totals.put));
}

void
map_wrote(struct bench *b, uint64_t writes, uint64_t bad)
{
	if (bad)
		bench_fail(b, "a key is missing, taken, or has another value");
	pthread_mutex_lock(&totals.lock);
	totals.written += writes;
	pthread_mutex_unlock(&totals.lock);
}

void
map_grown(struct bench *b, const struct grow *g, uint64_t bad)
{
	map_wrote(b, bench_done(b) * map_grow_step(b), bad);
	pthread_mutex_lock(&totals.lock);
	totals.unused += g->end - g->next;
	pthread_mutex_unlock(&totals.lock);
}

void
map_put_latency(struct bench *b, const struct hist *h)
{
	(void)b;
	pthread_mutex_lock(&totals.lock);
	hist_join(&totals.put, h);
	pthread_mutex_unlock(&totals.lock);
}

struct draw
map_draw(const struct bench *b)
{
	struct draw d = { map_key((uint64_t)bench_thread(b) << 32) };

	return d;
}

/* ---- maps that are kept ---- */

/* A map that adapts to its use must not learn from another case. */
#define CHURNS		(-1)

/* Beyond this many entries a map is checked when it goes, not in each run. */
#define CHECK_MAX	100000u
#define KEPT_MAX	256u
/* of a quarter of the memory, at about 200 bytes an entry */
#define ENTRY_BYTES	200u

static struct kept {
	const struct map_subject *s;
	void *map;
	uint64_t entries;
	unsigned words;
	int percent;		/* or CHURNS */
	uint64_t written;
	uint64_t at[MAP_LANES];
	uint64_t used;		/* when; 0: free */
} kept[KEPT_MAX];
static uint64_t uses;
static struct kept *current;
static int went_wrong;

void *
map_of(const struct bench *b)
{
	(void)b;
	return current ? current->map : NULL;
}

uint64_t *
map_lane(const struct bench *b, unsigned lane)
{
	(void)b;
	return &current->at[lane];
}

/* All keys there, and all updates. */
static const char *
mixed_wrong(const struct kept *k)
{
	const char *wrong = NULL;
	uint64_t sum = 0;
	uint32_t count = 0;

	for (uint64_t i = 0; i < k->entries; i++) {
		if (k->s->look(k->map, map_key(i), k->words, &count))
			wrong = "a key is missing, or has another value";
		sum += count;
	}
	return wrong ? wrong : sum != k->written ? "an update was lost" : NULL;
}

/* The keys of the windows there, and no others. */
static const char *
churned_wrong(const struct kept *k)
{
	uint64_t window = k->entries / MAP_LANES;
	const char *wrong = NULL;
	uint32_t count;

	for (unsigned lane = 0; lane < MAP_LANES; lane++)
		for (uint64_t n = 0; n < 2 * window; n++) {
			uint64_t off = n + 2 * window - k->at[lane];
			int absent = k->s->look(k->map, map_lane_key(lane, n),
					k->words, &count) != 0;

			if (absent == (off % (2 * window) < window))
				wrong = "a key is missing, or was not removed";
		}
	return wrong;
}

/* What is wrong with the map, or NULL. */
static const char *
kept_wrong(const struct kept *k)
{
	const char *wrong;

	k->s->enter();
	wrong = k->percent == CHURNS ? churned_wrong(k) : mixed_wrong(k);
	k->s->leave();
	return wrong;
}

static void
kept_end(struct kept *k)
{
	const char *wrong = k->entries > CHECK_MAX ? kept_wrong(k) : NULL;

	if (wrong) {
		fprintf(stderr, "map_bench: %s, %llu entries: %s\n", k->s->name,
				(unsigned long long)k->entries, wrong);
		went_wrong = 1;
	}
	k->s->destroy(k->map);
	k->s->settle();
	k->used = 0;
}

static uint64_t
entries_max(void)
{
	uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) *
			(uint64_t)sysconf(_SC_PAGESIZE);

	return bytes / 4 / ENTRY_BYTES;
}

/* Ends the longest unused ones until there is room for @entries. */
static struct kept *
kept_room(uint64_t entries)
{
	for (;;) {
		struct kept *oldest = NULL, *room = NULL;
		uint64_t all = entries;

		for (unsigned i = 0; i < KEPT_MAX; i++) {
			struct kept *k = &kept[i];

			if (!k->used) {
				room = k;
				continue;
			}
			all += k->entries;
			if (!oldest || k->used < oldest->used)
				oldest = k;
		}
		if (room && (all <= entries_max() || !oldest))
			return room;
		kept_end(oldest);
	}
}

static struct kept *
kept_fill(const struct map_case *c)
{
	struct kept *k = kept_room(c->entries);
	uint64_t bad = 0;

	memset(k, 0, sizeof(*k));
	k->s = c->s;
	k->entries = c->entries;
	k->words = c->words;
	k->percent = c->percent;
	k->map = c->s->create(c->words);
	if (!k->map)
		return NULL;
	k->used = 1;
	c->s->enter();
	for (uint64_t i = 0; i < c->entries; i++)
		bad |= (uint64_t)c->s->insert(k->map, map_key(i), c->words);
	c->s->filled(k->map, c->entries);
	c->s->leave();
	c->s->settle();
	if (!bad)
		return k;
	kept_end(k);
	return NULL;
}

static void
kept_open(struct bench *b)
{
	const struct map_case *c = bench_user(b);

	totals_clear();
	current = NULL;
	for (unsigned i = 0; i < KEPT_MAX; i++) {
		struct kept *k = &kept[i];

		if (k->used && k->s == c->s && k->entries == c->entries &&
				k->words == c->words &&
				k->percent == c->percent)
			current = k;
	}
	if (!current)
		current = kept_fill(c);
	if (!current)
		bench_fail(b, "the map cannot be filled");
	else
		current->used = ++uses;
}

static void
run_close(struct bench *b)
{
	const char *wrong;

	if (!current)
		return;
	current->s->settle();
	current->written += totals.written;
	wrong = current->entries > CHECK_MAX ? NULL : kept_wrong(current);
	if (!wrong)
		return;
	bench_fail(b, wrong);
	kept_end(current);
}

/* ---- growth ---- */

/* the shortest run is 1000 iterations a thread */
#define GROW_PARTS	1000u
#define MAPS_MAX	65536u

static struct {
	pthread_mutex_t lock;
	void *map[MAPS_MAX];
	uint64_t drawn LINE;	/* all threads write it */
} growth = { .lock = PTHREAD_MUTEX_INITIALIZER };

uint64_t
map_grow_step(const struct bench *b)
{
	const struct map_case *c = bench_user(b);
	uint64_t step = c->entries / GROW_PARTS / (uint64_t)bench_threads(b);

	return step ? step : 1;
}

void *
map_grow_draw(struct bench *b, struct grow *g)
{
	const struct map_case *c = bench_user(b);
	uint64_t n = __atomic_fetch_add(&growth.drawn, GROW_CHUNK,
			__ATOMIC_RELAXED);
	void **map = &growth.map[n / c->entries % MAPS_MAX];

	g->next = n % c->entries;
	g->end = g->next + GROW_CHUNK;
	g->map = __atomic_load_n(map, __ATOMIC_ACQUIRE);
	if (g->map)
		return g->map;
	pthread_mutex_lock(&growth.lock);
	g->map = *map;
	if (!g->map) {
		g->map = c->s->create(c->words);
		__atomic_store_n(map, g->map, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&growth.lock);
	if (!g->map) {
		bench_fail(b, "out of memory");
		g->end = g->next;
	}
	return g->map;
}

static void
grow_open(struct bench *b)
{
	totals_clear();
	growth.drawn = 0;
	bench_counter(b, "operations", (double)map_grow_step(b));
}

/* Of large maps every sixteenth key is looked up. */
static void
grow_check(struct bench *b)
{
	const struct map_case *c = bench_user(b);
	uint64_t step = c->entries > CHECK_MAX ? 16 : 1, missing = 0;
	uint32_t count;

	if (totals.written + totals.unused != growth.drawn)
		bench_fail(b, "not all drawn keys were inserted");
	for (uint64_t n = 0; n < growth.drawn; n += step)
		if (c->s->look(growth.map[n / c->entries],
				map_key(n % c->entries), c->words, &count))
			missing++;
	if (step == 1 ? missing != totals.unused : missing > totals.unused)
		bench_fail(b, "a key that was inserted is missing");
}

static void
grow_close(struct bench *b)
{
	const struct map_case *c = bench_user(b);

	c->s->enter();
	if (growth.drawn <= MAPS_MAX * c->entries)
		grow_check(b);
	else
		bench_fail(b, "the run is too long for maps of this size");
	c->s->leave();
	for (unsigned i = 0; i < MAPS_MAX && growth.map[i]; i++) {
		c->s->destroy(growth.map[i]);
		growth.map[i] = NULL;
	}
	c->s->settle();
}

static void
put_close(struct bench *b)
{
	bench_counter(b, "insert_p50_ns", hist_at(&totals.put, 0.5));
	bench_counter(b, "insert_p99_ns", hist_at(&totals.put, 0.99));
	bench_counter(b, "insert_p999_ns", hist_at(&totals.put, 0.999));
	bench_counter(b, "insert_max_ns", hist_at(&totals.put, 1));
	grow_close(b);
}

/* ---- the cases ---- */

static int threads_many[] = { 1, 2, 8, 0, 0 };	/* and one a core */
static int threads_lanes[] = { 1, 2, 8, 0 };

static const struct {
	const char *name;
	int percent;
} mixes[] = {
	{ "map_read", 0 }, { "map_mix5", 5 }, { "map_mix20", 20 },
	{ "map_mix50", 50 }, { "map_update", 100 },
};
#define MIXES	(sizeof(mixes) / sizeof(mixes[0]))

static void
add(const char *family, const struct map_case *like, bench_fn run,
		bench_fn setup, bench_fn teardown, const int *threads)
{
	struct map_case *c = malloc(sizeof(*c));
	char full[80];

	if (!c)
		abort();
	*c = *like;
	snprintf(full, sizeof(full), "%s/%s/%llu/%zu", family, c->s->name,
			(unsigned long long)c->entries,
			c->words * sizeof(uint32_t));
	bench_add(&(struct bench_case){
		.name = full, .run = run, .setup = setup,
		.teardown = teardown, .user = c, .threads = threads,
	});
}

static void
add_map(const struct map_subject *s, uint64_t entries, int large)
{
	struct map_case c = {
		.s = s, .entries = entries,
		.words = large ? MAP_WORDS_LARGE : MAP_WORDS_SMALL,
	};

	for (size_t i = 0; i < MIXES; i++) {
		c.percent = mixes[i].percent;
		add(mixes[i].name, &c, s->mix[large], kept_open, run_close,
				threads_many);
	}
	c.percent = CHURNS;
	add("map_churn", &c, s->churn[large], kept_open, run_close,
			threads_lanes);
	add("map_grow", &c, s->grow[large], grow_open, grow_close,
			threads_many);
	add("map_put", &c, s->put[large], grow_open, put_close, threads_many);
}

int
main(int argc, char **argv)
{
	static const uint64_t entries[] = { 1000, 100000, 1000000 };
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	int r;

	if (argc == 2 && !strcmp(argv[1], "--memory"))
		return map_memory(subjects, SUBJECTS);
	if (lfht_start()) {
		fputs("liburcu's threads do not start\n", stderr);
		return 2;
	}
	if (cores > 2 && cores != 8)
		threads_many[3] = (int)cores;
	for (size_t i = 0; i < SUBJECTS; i++)
		for (size_t n = 0; n < 3; n++)
			for (int large = 0; large < 2; large++)
				add_map(subjects[i], entries[n], large);
	r = bench_main(argc, argv);
	for (unsigned i = 0; i < KEPT_MAX; i++)
		if (kept[i].used)
			kept_end(&kept[i]);
	return r ? r : went_wrong;
}
