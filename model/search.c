/* SPDX-License-Identifier: MIT */
/*
 * search.c - which schedule comes next
 *
 * Exhaustive  Depth first over all decisions, each schedule run from the
 *             start. A level allows as many preemptions and as many missed
 *             stores as its number says, up to the scenario's bounds, and
 *             counts the schedules that the level below did not allow
 *             (iterative context bounding: Musuvathi and Qadeer, 2007). It
 *             begins anew while share.c learns.
 * Random      Everybody who can run is as likely, more or less: each schedule
 *             draws how sticky threads and how late stores are.
 * PCT         Priorities, and depth - 1 moments at which the running thread
 *             loses its own (Burckhardt, Kothari, Musuvathi and Nagarakatte,
 *             2010).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/engine.h"

#define DEPTH_MAX	(1u << 18)
#define PREEMPTIONS	2
#define DELAYS		1
#define PCT_DEPTH_MAX	16
#define LEARN		64
#define PCT_LENGTH	64	/* guess for the first schedule */
#define PCT_PATIENCE	2000	/* decisions; then priorities change at times */

const char *const own_m_i_strategies[STRATEGIES] = {
	[EXHAUSTIVE] = "exhaustive", [RANDOM] = "random", [PCT] = "pct",
};

/* The decisions of a schedule, to be repeated up to depth. */
static struct {
	uint32_t tick;
	uint8_t taken, width;
} path[DEPTH_MAX];
static unsigned depth, position, tick;
static bool replaying;

static enum own_m_strategy strategy;
static uint64_t random_state;
static unsigned sticky, late, decisions;	/* of 16: how often */
static int priority[THREADS];
static int lowest;
static unsigned change_at[PCT_DEPTH_MAX];
static unsigned changes;

static uint64_t
mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static unsigned
draw(unsigned n)
{
	random_state += UINT64_C(0x9e3779b97f4a7c15);
	return (unsigned)((mix(random_state) >> 32) * n >> 32);
}

/* --- decisions ---------------------------------------------------------- */

void
own_m_i_tick(void)
{
	tick++;
}

/* Replayed, decisions that are not in the path are 0. */
static unsigned
decide_path(unsigned n)
{
	if (replaying && (position == depth || path[position].tick > tick))
		return 0;
	if (position == depth) {
		if (depth == DEPTH_MAX)
			own_m_i_die("too many decisions");
		path[depth].tick = tick;
		path[depth].taken = 0;
		path[depth++].width = (uint8_t)n;
	}
	if (path[position].tick != tick || path[position].taken >= n ||
			(path[position].width != n && !replaying))
		own_m_i_die("not the decisions of the last time: the "
				"scenario is not deterministic");
	return path[position++].taken;
}

/* One of the sleepers' events, seldom; n if none. */
static unsigned
decide_event(unsigned n, const struct own_m_candidate *c)
{
	unsigned events = 0;

	for (unsigned i = 0; i < n; i++)
		events += c[i].event != 0;
	/* events are listed last */
	if (events == 0 || (events < n && draw(16) > 0))
		return n;
	return n - 1 - draw(events);
}

static unsigned
decide_random(unsigned n, const struct own_m_candidate *c)
{
	unsigned able[3 * THREADS], ables = 0, pick = decide_event(n, c);
	bool all = draw(32) == 0;

	if (pick < n)
		return pick;
	if (draw(16) < sticky)
		return 0;
	for (unsigned i = 0; i < n; i++)
		if (!c[i].event && (!c[i].paused || all))
			able[ables++] = i;
	return able[draw(ables)];
}

static unsigned
best(unsigned n, const struct own_m_candidate *c)
{
	unsigned pick = n;

	for (unsigned i = 0; i < n; i++)
		if (!c[i].event && !c[i].paused && (pick == n ||
				priority[c[i].thread] >
				priority[c[pick].thread]))
			pick = i;
	return pick;
}

static unsigned
decide_pct(unsigned n, const struct own_m_candidate *c)
{
	unsigned pick = decide_event(n, c);

	if (pick < n)
		return pick;
	pick = best(n, c);
	for (unsigned i = 0; i < changes; i++)
		if (change_at[i] == decisions)
			own_m_i_demote(c[pick].thread);
	if (decisions > PCT_PATIENCE && draw(64) == 0)
		own_m_i_demote(c[pick].thread);
	return best(n, c);
}

void
own_m_i_demote(unsigned thread)
{
	priority[thread] = --lowest;
}

unsigned
own_m_i_decide(enum own_m_kind kind, unsigned n,
		const struct own_m_candidate *candidates)
{
	if (kind != PICK_THREAD)
		tick++;
	if (strategy == EXHAUSTIVE)
		return decide_path(n);
	switch (kind) {
	case PICK_THREAD:
		decisions++;
		return strategy == PCT ? decide_pct(n, candidates) :
				decide_random(n, candidates);
	case PICK_STORES:
		return draw(16) < late ? 1 + draw(n - 1) : 0;
	case PICK_RARE:
		return draw(16) == 0;
	default:
		return draw(n);
	}
}

/* --- schedules ---------------------------------------------------------- */

static void
set_seed(struct own_m_search *search, uint64_t seed)
{
	static const unsigned char share[] = { 0, 4, 8, 14 };
	unsigned order[THREADS];

	strategy = search->strategy;
	search->last_seed = seed;
	random_state = seed;
	decisions = 0;
	sticky = share[draw(4)];
	late = share[draw(4)];
	lowest = 0;
	for (unsigned i = 0; i < THREADS; i++) {
		unsigned j = draw(i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	for (unsigned i = 0; i < THREADS; i++)
		priority[i] = (int)order[i] + 1;
	changes = search->depth > 0 ? search->depth - 1 : 0;
	if (changes > PCT_DEPTH_MAX)
		changes = PCT_DEPTH_MAX;
	for (unsigned i = 0; i < changes; i++)
		change_at[i] = 1 + draw(search->length);
}

static unsigned
bound(unsigned number, unsigned otherwise)
{
	return number == OWN_M_NONE ? 0 : number ? number : otherwise;
}

static unsigned
least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

void
own_m_i_search_start(struct own_m_search *search,
		const struct own_m_scenario *scenario)
{
	search->preemptions = bound(search->preemptions,
			bound(scenario->preemptions, PREEMPTIONS));
	search->delays = bound(search->delays, bound(scenario->delays, DELAYS));
	search->length = PCT_LENGTH;
	search->schedules = 0;
	search->steps = 0;
	search->level = 0;
	search->learned = false;
	search->complete = false;
	search->failed = false;
	depth = 0;
	replaying = false;
	own_m_i_share_forget();
}

/* Runs at the level: was it not allowed by the level below? */
static bool
run_level(struct own_m_search *search, struct own_m_run *run)
{
	unsigned below = search->level - 1;

	run->preemptions = least(search->level, search->preemptions);
	run->delays = least(search->level, search->delays);
	run->reduce = true;
	strategy = EXHAUSTIVE;
	position = 0;
	tick = 0;
	own_m_i_run(run);
	return search->level == 0 ||
			run->preempted > least(below, search->preemptions) ||
			run->delayed > least(below, search->delays);
}

static void
backtrack(struct own_m_search *search)
{
	while (depth > 0 && path[depth - 1].taken + 1 == path[depth - 1].width)
		depth--;
	if (depth > 0) {
		path[depth - 1].taken++;
		return;
	}
	search->complete = search->level >= search->preemptions &&
			search->level >= search->delays;
	search->level++;
}

/* Most of what is contended shows in a few schedules, always the same. */
static void
learn(struct own_m_search *search, const struct own_m_scenario *scenario)
{
	struct own_m_run run = { .scenario = scenario, .pso = search->pso,
		.preemptions = UINT32_MAX, .delays = UINT32_MAX };

	for (unsigned i = 0; i < LEARN; i++) {
		set_seed(search, mix(i));
		strategy = RANDOM;
		own_m_i_run(&run);
		search->steps += run.steps;
	}
	search->learned = true;
}

static void
next_level(struct own_m_search *search, struct own_m_run *run)
{
	if (!search->learned)
		learn(search, run->scenario);
	search->schedules += run_level(search, run);
	if (run->failed)
		return;
	if (own_m_i_share_grown()) {
		search->level = 0;
		search->schedules = 0;
		depth = 0;
	} else {
		backtrack(search);
	}
}

void
own_m_i_search_next(struct own_m_search *search,
		const struct own_m_scenario *scenario)
{
	struct own_m_run run = { .scenario = scenario, .pso = search->pso,
		.preemptions = UINT32_MAX, .delays = UINT32_MAX };

	if (search->strategy == EXHAUSTIVE) {
		next_level(search, &run);
	} else {
		set_seed(search, mix(search->seed + search->schedules *
				UINT64_C(0x9e3779b97f4a7c15)));
		own_m_i_run(&run);
		search->schedules++;
	}
	search->steps += run.steps;
	search->failed = run.failed;
	search->text = own_m_i_failure;
	if (!run.failed && search->length < decisions)
		search->length = decisions;
}

void
own_m_i_search_print(const struct own_m_search *search)
{
	const char *separator = "";

	if (search->strategy == RANDOM) {
		printf("r/%" PRIx64, search->last_seed);
		return;
	}
	if (search->strategy == PCT) {
		printf("p/%" PRIx64 "/%u/%u", search->last_seed, search->depth,
				search->length);
		return;
	}
	printf("x/%u/%u/", least(search->level, search->preemptions),
			least(search->level, search->delays));
	for (unsigned i = 0; i < depth; i++) {
		if (path[i].taken == 0)
			continue;
		printf("%s%u.%u", separator, path[i].tick, path[i].taken);
		separator = ",";
	}
}

static int
parse_path(const char *text)
{
	unsigned at, taken, last = 0;
	int used;

	depth = 0;
	while (sscanf(text, "%u.%u%n", &at, &taken, &used) == 2) {
		if (at <= last || depth == DEPTH_MAX || taken > UINT8_MAX)
			return -EINVAL;
		last = at;
		path[depth].tick = at;
		path[depth++].taken = (uint8_t)taken;
		text += used;
		if (*text != ',')
			break;
		text++;
	}
	return *text ? -EINVAL : 0;
}

int
own_m_i_search_replay(struct own_m_search *search,
		const struct own_m_scenario *scenario, const char *text)
{
	struct own_m_run run = { .scenario = scenario, .pso = search->pso,
		.trace = true, .preemptions = UINT32_MAX,
		.delays = UINT32_MAX };
	uint64_t seed = 0;
	int used = 0;

	own_m_i_search_start(search, scenario);
	if (sscanf(text, "x/%u/%u/%n", &run.preemptions, &run.delays,
			&used) == 2 && used) {
		search->strategy = EXHAUSTIVE;
		if (parse_path(text + used))
			return -EINVAL;
	} else if (sscanf(text, "r/%" SCNx64, &seed) == 1) {
		search->strategy = RANDOM;
	} else if (sscanf(text, "p/%" SCNx64 "/%u/%u", &seed, &search->depth,
			&search->length) == 3 && search->length > 0) {
		search->strategy = PCT;
	} else {
		return -EINVAL;
	}
	set_seed(search, seed);
	replaying = true;
	position = 0;
	tick = 0;
	own_m_i_run(&run);
	replaying = false;
	search->schedules = 1;
	search->steps = run.steps;
	search->failed = run.failed;
	search->text = own_m_i_failure;
	return 0;
}
