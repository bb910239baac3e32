/* SPDX-License-Identifier: MIT */
/*
 * order.c - happens-before, by vector clocks, and the data races it shows
 *
 * A thread's clock says up to which of its own ticks each thread's doings
 * happen before what it does now. A location carries the clock that the last
 * releasing store left there, kept by read-modify-writes (a release sequence)
 * and dropped by stores that do not release. Plain accesses are remembered by
 * their thread's tick, in units of 8 bytes (Flanagan and Freund, FastTrack,
 * 2009).
 *
 * This judges the orders that the code asks for, not what the memory of the
 * model happens to do: a missing acquire is found although loads are executed
 * in order.
 */
#include <string.h>

#include "model/engine.h"

#define LOCATIONS	(1u << 14)
#define WORDS		(1u << 14)

struct location {
	uintptr_t at;
	uint64_t epoch;
	struct own_m_clock clock;
};

struct site {
	const char *file;
	int line;
};

struct word {
	uintptr_t at;
	uint64_t epoch;
	struct own_m_clock read;	/* tick of each thread's last read */
	struct site read_at[THREADS];
	uint32_t write;			/* tick of the last write, 0 none */
	uint8_t writer;
	struct site write_at;
};

struct birth {
	uint32_t tick;
	uint8_t thread;
	struct own_m_clock freed;	/* malloc orders a free with a reuse */
};

static struct location locations[LOCATIONS];
static struct word words[WORDS];
static struct birth births[OWN_M_BLOCKS_MAX];
static uint64_t epoch;
static unsigned location_count, word_count;
static struct own_m_clock clocks[THREADS];
static struct own_m_clock rcu_ended[THREADS];
static struct own_m_clock rcu_started;

static void
join(struct own_m_clock *to, const struct own_m_clock *from)
{
	for (unsigned i = 0; i < THREADS; i++)
		if (to->of[i] < from->of[i])
			to->of[i] = from->of[i];
}

static unsigned
hash(uintptr_t p)
{
	return (unsigned)((p >> 2) * UINT64_C(0x9e3779b97f4a7c15) >> 50);
}

_Static_assert(LOCATIONS == 1u << (64 - 50) && WORDS == LOCATIONS,
		"hash() gives an index");

static struct location *
find_location(uintptr_t p, bool make)
{
	unsigned i = hash(p);

	while (locations[i].epoch == epoch && locations[i].at != p)
		i = (i + 1) % LOCATIONS;
	if (locations[i].epoch != epoch) {
		if (!make)
			return NULL;
		if (++location_count > LOCATIONS / 2)
			own_m_i_die("too many shared locations");
		locations[i].epoch = epoch;
		locations[i].at = p;
		locations[i].clock = (struct own_m_clock){ { 0 } };
	}
	return &locations[i];
}

static struct word *
find_word(uintptr_t p, bool make)
{
	unsigned i = hash(p);

	while (words[i].epoch == epoch && words[i].at != p)
		i = (i + 1) % WORDS;
	if (words[i].epoch != epoch) {
		if (!make)
			return NULL;
		if (++word_count > WORDS / 2)
			own_m_i_die("too much memory checked for races");
		memset(&words[i], 0, sizeof(words[i]));
		words[i].epoch = epoch;
		words[i].at = p;
	}
	return &words[i];
}

void
own_m_i_order_reset(void)
{
	epoch++;
	location_count = 0;
	word_count = 0;
	memset(clocks, 0, sizeof(clocks));
	for (unsigned i = 0; i < THREADS; i++)
		clocks[i].of[i] = 1;
	memset(rcu_ended, 0, sizeof(rcu_ended));
	memset(&rcu_started, 0, sizeof(rcu_started));
}

void
own_m_i_order_join_all(void)
{
	struct own_m_clock all = { { 0 } };

	for (unsigned i = 0; i < THREADS; i++)
		join(&all, &clocks[i]);
	for (unsigned i = 0; i < THREADS; i++) {
		clocks[i] = all;
		clocks[i].of[i]++;
	}
}

void
own_m_i_order_release(unsigned me, struct own_m_clock *ret)
{
	*ret = clocks[me];
	clocks[me].of[me]++;
}

void
own_m_i_order_store(uintptr_t p, const struct own_m_clock *carried)
{
	struct location *l = find_location(p, carried != NULL);

	if (carried)
		l->clock = *carried;
	else if (l)
		l->clock = (struct own_m_clock){ { 0 } };
}

void
own_m_i_order_acquire(unsigned me, uintptr_t p)
{
	struct location *l = find_location(p, false);

	if (l)
		join(&clocks[me], &l->clock);
}

void
own_m_i_order_rmw(unsigned me, uintptr_t p, int order)
{
	if (own_m_i_acquires(order))
		own_m_i_order_acquire(me, p);
	if (own_m_i_releases(order)) {
		join(&find_location(p, true)->clock, &clocks[me]);
		clocks[me].of[me]++;
	}
}

void
own_m_i_order_fence(unsigned me, unsigned other)
{
	join(&clocks[me], &clocks[other]);
	join(&clocks[other], &clocks[me]);
	clocks[me].of[me]++;
	clocks[other].of[other]++;
}

void
own_m_i_order_rcu_lock(unsigned me)
{
	join(&clocks[me], &rcu_started);
}

void
own_m_i_order_rcu_unlock(unsigned me)
{
	own_m_i_order_release(me, &rcu_ended[me]);
}

void
own_m_i_order_rcu_start(unsigned me)
{
	join(&rcu_started, &clocks[me]);
	clocks[me].of[me]++;
}

void
own_m_i_order_rcu_end(unsigned me)
{
	for (unsigned i = 0; i < THREADS; i++)
		join(&clocks[me], &rcu_ended[i]);
}

static struct site
here(void)
{
	struct site s;

	own_m_i_place(&s.file, &s.line);
	return s;
}

static OWN__COLD OWN__NORETURN void
race(const char *what, uintptr_t p, const char *other, unsigned thread,
		const struct site *at)
{
	own_m_i_die("data race: %s of %s, not ordered with its %s by T%u near "
			"%s:%d", what, own_m_i_label(p), other, thread,
			at->file ? at->file : "the start of", at->line);
}

static void
check_birth(unsigned me, uintptr_t p, const char *what)
{
	size_t offset;
	struct birth *b = &births[own_m_i_heap_find(p, &offset)];
	struct site at = { NULL, 0 };

	if (own_m_i_in_arena(p) && clocks[me].of[b->thread] < b->tick) {
		own_m_i_heap_place(p, &at.file, &at.line);
		race(what, p, "allocation", b->thread, &at);
	}
}

static void
check_write(unsigned me, const struct word *w, const char *what)
{
	if (clocks[me].of[w->writer] < w->write)
		race(what, w->at, "write", w->writer, &w->write_at);
}

static void
check_reads(unsigned me, const struct word *w, const char *what)
{
	for (unsigned i = 0; i < THREADS; i++)
		if (clocks[me].of[i] < w->read.of[i])
			race(what, w->at, "read", i, &w->read_at[i]);
}

void
own_m_i_order_read(unsigned me, uintptr_t p, size_t size)
{
	check_birth(me, p, "read");
	for (uintptr_t at = p & ~(uintptr_t)7; at < p + size; at += 8) {
		struct word *w = find_word(at, true);

		check_write(me, w, "read");
		w->read.of[me] = clocks[me].of[me];
		w->read_at[me] = here();
	}
}

void
own_m_i_order_write(unsigned me, uintptr_t p, size_t size)
{
	check_birth(me, p, "write");
	for (uintptr_t at = p & ~(uintptr_t)7; at < p + size; at += 8) {
		struct word *w = find_word(at, true);

		check_write(me, w, "write");
		check_reads(me, w, "write");
		w->writer = (uint8_t)me;
		w->write = clocks[me].of[me];
		w->write_at = here();
		w->read = (struct own_m_clock){ { 0 } };
	}
}

void
own_m_i_order_alloc(unsigned me, uintptr_t p, bool reused)
{
	size_t offset;
	struct birth *b = &births[own_m_i_heap_find(p, &offset)];

	if (reused)
		join(&clocks[me], &b->freed);
	b->thread = (uint8_t)me;
	b->tick = clocks[me].of[me];
}

void
own_m_i_order_free(unsigned me, uintptr_t p, size_t size)
{
	size_t offset;

	check_birth(me, p, "free");
	for (uintptr_t at = p; at < p + size && word_count; at += 8) {
		struct word *w = find_word(at, false);

		if (!w)
			continue;
		check_write(me, w, "free");
		check_reads(me, w, "free");
		w->write = 0;
		w->read = (struct own_m_clock){ { 0 } };
	}
	own_m_i_order_release(me,
			&births[own_m_i_heap_find(p, &offset)].freed);
}
