/* SPDX-License-Identifier: MIT */
/*
 * main.c - own_model: runs scenarios under the deterministic scheduler
 *
 * Without --check it searches the scenarios that --scenario names, strategy by
 * strategy, until one fails. With it, it is a test: every scenario, memory and
 * strategy within a share of the time, against the numbers in floors.
 *
 * A scenario file is added by its name in SCENARIO_FILES; it defines the array
 * own_m_<name>_scenarios.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/engine.h"

#define SCENARIO_FILES(X)						\
	X(litmus)							\
	X(deadlock)							\
	X(gate)								\
	X(map)								\
	X(published)							\
	X(when)								\
	X(versioned)							\
	X(word)

#define DECLARE(name)	extern const struct own_m_scenario		\
				own_m_##name##_scenarios[];
#define LIST(name)	own_m_##name##_scenarios,

SCENARIO_FILES(DECLARE)

static const struct own_m_scenario *const files[] = { SCENARIO_FILES(LIST) };

#define FILES		(sizeof(files) / sizeof(files[0]))
#define SECONDS		10
#define CHECK_SECONDS	60
#define PCT_DEPTH	3
#define PATIENCE	8	/* times its share, until a floor is reached */
#define LIMIT_MIN	4	/* seconds, however short the share */
#define FAILS_MIN	100000	/* schedules until a failure must be found */
#define FLOORS_MAX	2048

enum memory { TSO, PSO, MEMORIES };

static const char *const memory_names[MEMORIES] = { "tso", "pso" };

struct floor {
	char scenario[64], strategy[32];
	uint64_t count;
};

static struct {
	const char *scenario, *replay, *floors;
	bool list, check, write_floors, expect_failure;
	bool strategies[STRATEGIES], memories[MEMORIES];
	unsigned preemptions, depth;	/* preemptions: as in a scenario */
	uint64_t schedules;		/* 0: no limit */
	double seconds;			/* 0: not given */
	uint64_t seed;
} options = { .depth = PCT_DEPTH };

static struct floor floors[FLOORS_MAX], reached[FLOORS_MAX];
static unsigned floor_count, reached_count;
static uint64_t total_steps;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --- which scenarios, and how ------------------------------------------- */

/* All of a file by its name and a slash, else one by its whole name. */
static bool
is_wanted(const struct own_m_scenario *s)
{
	const char *wanted = options.scenario;
	size_t n = wanted ? strlen(wanted) : 0;

	if (n > 0 && wanted[n - 1] != '/')
		return strcmp(s->name, wanted) == 0;
	return n == 0 || strncmp(s->name, wanted, n) == 0;
}

static bool
is_run_in(const struct own_m_scenario *s, enum memory memory)
{
	unsigned only = s->flags & (OWN_M_TSO | OWN_M_PSO);

	if (only)
		return only & (memory == PSO ? OWN_M_PSO : OWN_M_TSO);
	return options.memories[memory];
}

/* Calls fn for each wanted scenario; the sum of what it returns. */
static unsigned
for_each(unsigned (*fn)(const struct own_m_scenario *s))
{
	unsigned sum = 0, found = 0;

	for (size_t i = 0; i < FILES; i++) {
		for (const struct own_m_scenario *s = files[i]; s->name; s++) {
			if (!is_wanted(s))
				continue;
			sum += fn(s);
			found++;
		}
	}
	if (found == 0) {
		fprintf(stderr, "own_model: no scenario is called %s\n",
				options.scenario ? options.scenario : "");
		exit(2);
	}
	return sum;
}

static unsigned
list(const struct own_m_scenario *s)
{
	printf("%-40s %u threads%s\n", s->name, s->threads,
			s->flags & OWN_M_FAILS ? ", fails" : "");
	return 0;
}

static unsigned
count_runs(const struct own_m_scenario *s)
{
	unsigned n = 0;

	for (unsigned m = 0; m < MEMORIES; m++)
		for (unsigned i = 0; i < STRATEGIES; i++)
			n += is_run_in(s, m) && options.strategies[i];
	return n;
}

static void
start(struct own_m_search *search, const struct own_m_scenario *s,
		enum memory memory, enum own_m_strategy strategy)
{
	*search = (struct own_m_search){ .strategy = strategy,
		.pso = memory == PSO, .preemptions = options.preemptions,
		.depth = options.depth, .seed = options.seed };
	own_m_i_search_start(search, s);
}

/*
 * Searches until done, failed, or both the time is over and there were as many
 * schedules as wanted. For those, patience times the time is the limit.
 */
static double
run(struct own_m_search *search, const struct own_m_scenario *s,
		double seconds, uint64_t wanted, double patience)
{
	double began = now(), took = 0, limit = seconds * patience;

	if (limit < LIMIT_MIN)
		limit = LIMIT_MIN;
	do {
		own_m_i_search_next(search, s);
		if (options.schedules &&
				search->schedules >= options.schedules)
			break;
		if (search->schedules % 64 == 0)
			took = now() - began;
	} while (!search->failed && !search->complete && (took < seconds ||
			(search->schedules < wanted &&
			took < limit)));
	total_steps += search->steps;
	return now() - began;
}

static void
print_line(const struct own_m_search *search, const struct own_m_scenario *s,
		double took, const char *result)
{
	char strategy[32];

	snprintf(strategy, sizeof(strategy), "%s/%s",
			own_m_i_strategies[search->strategy],
			memory_names[search->pso]);
	printf("%-36s %-14s %9" PRIu64 " schedules %11" PRIu64
			" steps %6.2f s  %s\n", s->name, strategy,
			search->schedules, search->steps, took, result);
	fflush(stdout);
}

/* All that is needed to see this failure again. */
static void
print_failure(const struct own_m_search *search,
		const struct own_m_scenario *s)
{
	const char *bug = getenv("OWN_BUG");

	printf("%s: %s\n  in schedule %" PRIu64 " of %s, seed %" PRIu64
			"\n  replay: ", s->name, search->text,
			search->schedules, own_m_i_strategies[search->strategy],
			options.seed);
	if (bug)
		printf("OWN_BUG=%s ", bug);
	printf("own_model --scenario %s --memory %s --replay ", s->name,
			memory_names[search->pso]);
	own_m_i_search_print(search);
	printf("\n");
	fflush(stdout);
}

/* --- searching ---------------------------------------------------------- */

static unsigned
search_one(const struct own_m_scenario *s, enum memory memory,
		enum own_m_strategy strategy, double seconds)
{
	struct own_m_search search;
	double took;

	start(&search, s, memory, strategy);
	took = run(&search, s, seconds, 0, 1);
	print_line(&search, s, took, search.failed ? "failed" :
			search.complete ? "complete" :
			strategy == EXHAUSTIVE ? "cut" : "passed");
	if (search.failed)
		print_failure(&search, s);
	return search.failed;
}

/* 1 if a failure was found. */
static unsigned
search(const struct own_m_scenario *s)
{
	double seconds = options.seconds ? options.seconds :
			options.schedules ? 1e9 : SECONDS;
	unsigned runs = count_runs(s);

	for (unsigned m = 0; m < MEMORIES; m++)
		for (unsigned i = 0; i < STRATEGIES; i++)
			if (is_run_in(s, m) && options.strategies[i] &&
					search_one(s, m, i, seconds / runs))
				return 1;
	return 0;
}

static unsigned
replay(const struct own_m_scenario *s)
{
	struct own_m_search search;
	unsigned m = is_run_in(s, TSO) ? TSO : PSO;

	start(&search, s, m, EXHAUSTIVE);
	if (own_m_i_search_replay(&search, s, options.replay)) {
		fprintf(stderr, "own_model: %s names no schedule\n",
				options.replay);
		exit(2);
	}
	printf("%s: %s\n", s->name, search.failed ? search.text : "passed");
	return search.failed;
}

/* --- check -------------------------------------------------------------- */

static void
read_floors(void)
{
	FILE *file = fopen(options.floors, "r");
	struct floor *f = floors;
	char line[160];

	if (!file) {
		perror(options.floors);
		exit(2);
	}
	while (fgets(line, sizeof(line), file)) {
		if (line[0] == '#' || line[0] == '\n')
			continue;
		if (f == floors + FLOORS_MAX || sscanf(line, "%63s %31s %"
				SCNu64, f->scenario, f->strategy, &f->count)
				!= 3) {
			fprintf(stderr, "%s: not a floor: %s", options.floors,
					line);
			exit(2);
		}
		f++;
	}
	floor_count = (unsigned)(f - floors);
	fclose(file);
}

static void
write_floors(void)
{
	FILE *file = fopen(options.floors, "w");

	if (!file) {
		perror(options.floors);
		exit(2);
	}
	fprintf(file, "# Schedules that own_model --check has to explore.\n"
			"# Written by own_model --check --write-floors.\n");
	for (unsigned i = 0; i < reached_count; i++)
		fprintf(file, "%s %s %" PRIu64 "\n", reached[i].scenario,
				reached[i].strategy, reached[i].count);
	if (fclose(file)) {
		perror(options.floors);
		exit(2);
	}
}

static uint64_t
find_floor(const char *scenario, const char *strategy)
{
	for (unsigned i = 0; i < floor_count; i++)
		if (strcmp(floors[i].scenario, scenario) == 0 &&
				strcmp(floors[i].strategy, strategy) == 0)
			return floors[i].count;
	return 0;
}

/*
 * A complete search has a number of schedules that only the code and the
 * scenario decide. Any other number depends on the machine: a fraction of it
 * is asked for.
 */
static void
note_floor(const struct own_m_search *search, const char *scenario,
		const char *strategy)
{
	struct floor *f = &reached[reached_count];

	if (reached_count == FLOORS_MAX)
		return;
	snprintf(f->scenario, sizeof(f->scenario), "%s", scenario);
	snprintf(f->strategy, sizeof(f->strategy), "%s", strategy);
	f->count = search->complete ? search->schedules :
			1 + search->schedules / 8;
	reached_count++;
}

static double share;

static unsigned
check_one(const struct own_m_scenario *s, enum memory memory,
		enum own_m_strategy strategy)
{
	bool fails = s->flags & OWN_M_FAILS;
	struct own_m_search search;
	char name[32];
	const char *result;
	uint64_t wanted;
	double took;

	snprintf(name, sizeof(name), "%s/%s", own_m_i_strategies[strategy],
			memory_names[memory]);
	wanted = fails ? FAILS_MIN : find_floor(s->name, name);
	start(&search, s, memory, strategy);
	took = run(&search, s, share, wanted, PATIENCE);
	if (fails && search.failed)
		result = "fails, as it must";
	else if (fails)
		result = "FAILED: found nothing";
	else if (search.failed)
		result = "FAILED";
	else if (search.complete && s->schedules &&
			search.schedules != s->schedules)
		result = "FAILED: not as many as there are";
	else if (search.schedules < wanted)
		result = "FAILED: below its floor";
	else
		result = search.complete ? "complete" :
				strategy == EXHAUSTIVE ? "cut" : "passed";
	print_line(&search, s, took, result);
	if (search.failed && !fails)
		print_failure(&search, s);
	if (!fails && !search.failed)
		note_floor(&search, s->name, name);
	return result[0] == 'F';
}

static unsigned
check(const struct own_m_scenario *s)
{
	unsigned failed = 0;

	for (unsigned m = 0; m < MEMORIES; m++)
		for (unsigned i = 0; i < STRATEGIES; i++)
			if (is_run_in(s, m) && options.strategies[i])
				failed += check_one(s, m, i);
	return failed;
}

static int
check_all(void)
{
	double began = now(), took;
	unsigned failed;

	printf("seed %" PRIu64 "\n", options.seed);
	if (!options.write_floors)
		read_floors();
	share = (options.seconds ? options.seconds : CHECK_SECONDS) /
			for_each(count_runs);
	failed = for_each(check);
	took = now() - began;
	printf("%u failed, %" PRIu64 " steps in %.1f s, %.1f million a "
			"second\n", failed, total_steps, took,
			(double)total_steps / took / 1e6);
	if (options.write_floors && !failed)
		write_floors();
	return failed > 0;
}

/* --- command line ------------------------------------------------------- */

static const char usage[] =
"own_model [--scenario NAME] [options]   search; map/ are all of map.c's\n"
"own_model --check [options]             the test that make check runs\n"
"  --list                 names of the scenarios\n"
"  --strategy S           exhaustive, random, pct or all (all)\n"
"  --memory M             tso, pso or all (tso; --check: all)\n"
"  --preemptions N        exhaustive: instead of the scenario's bound\n"
"  --depth D              pct: moments of change, plus one (3)\n"
"  --schedules N          at most, of each strategy\n"
"  --seconds S            for each scenario (10); --check: for all (60)\n"
"  --seed N               instead of one from the clock\n"
"  --replay SCHEDULE      run one schedule again and print what happens\n"
"  --expect-failure       succeed if a failure is found\n"
"  --floors FILE          schedules that --check must reach\n"
"  --write-floors         with --check: write that file\n";

static OWN__NORETURN void
die_of_usage(void)
{
	fputs(usage, stderr);
	exit(2);
}

/* Sets the one that text names, or all of them. */
static void
choose(const char *text, const char *const *names, unsigned n, bool *chosen)
{
	bool any = false;

	for (unsigned i = 0; i < n; i++) {
		chosen[i] = strcmp(text, "all") == 0 ||
				strcmp(text, names[i]) == 0;
		any |= chosen[i];
	}
	if (!any)
		die_of_usage();
}

static uint64_t
parse_number(const char *text)
{
	char *end;
	uint64_t number = strtoull(text, &end, 0);

	if (end == text || *end)
		die_of_usage();
	return number;
}

static void
parse(int argc, char **argv)
{
	enum { LIST_ALL = 1, SCENARIO, STRATEGY, MEMORY, PREEMPTIONS, DEPTH,
		SCHEDULES, SECONDS_MAX, SEED, REPLAY, EXPECT, CHECK, FLOORS,
		WRITE };
	static const struct option names[] = {
		{ "list", no_argument, NULL, LIST_ALL },
		{ "scenario", required_argument, NULL, SCENARIO },
		{ "strategy", required_argument, NULL, STRATEGY },
		{ "memory", required_argument, NULL, MEMORY },
		{ "preemptions", required_argument, NULL, PREEMPTIONS },
		{ "depth", required_argument, NULL, DEPTH },
		{ "schedules", required_argument, NULL, SCHEDULES },
		{ "seconds", required_argument, NULL, SECONDS_MAX },
		{ "seed", required_argument, NULL, SEED },
		{ "replay", required_argument, NULL, REPLAY },
		{ "expect-failure", no_argument, NULL, EXPECT },
		{ "check", no_argument, NULL, CHECK },
		{ "floors", required_argument, NULL, FLOORS },
		{ "write-floors", no_argument, NULL, WRITE },
		{ NULL, 0, NULL, 0 },
	};
	const char *memory = NULL, *strategy = "all";
	struct timespec t;
	char *end;

	clock_gettime(CLOCK_REALTIME, &t);
	options.seed = (uint64_t)t.tv_sec * 1000 +
			(uint64_t)t.tv_nsec / 1000000;
	options.floors = OWN_M_FLOORS;
	for (int o; (o = getopt_long(argc, argv, "", names, NULL)) != -1;) {
		switch (o) {
		case LIST_ALL:
			options.list = true;
			break;
		case SCENARIO:
			options.scenario = optarg;
			break;
		case STRATEGY:
			strategy = optarg;
			break;
		case MEMORY:
			memory = optarg;
			break;
		case PREEMPTIONS:
			options.preemptions = (unsigned)parse_number(optarg);
			if (options.preemptions == 0)
				options.preemptions = OWN_M_NONE;
			break;
		case DEPTH:
			options.depth = (unsigned)parse_number(optarg);
			break;
		case SCHEDULES:
			options.schedules = parse_number(optarg);
			break;
		case SECONDS_MAX:
			options.seconds = strtod(optarg, &end);
			if (end == optarg || *end || options.seconds <= 0)
				die_of_usage();
			break;
		case SEED:
			options.seed = parse_number(optarg);
			break;
		case REPLAY:
			options.replay = optarg;
			break;
		case EXPECT:
			options.expect_failure = true;
			break;
		case CHECK:
			options.check = true;
			break;
		case FLOORS:
			options.floors = optarg;
			break;
		case WRITE:
			options.write_floors = true;
			break;
		default:
			die_of_usage();
		}
	}
	if (optind != argc)
		die_of_usage();
	choose(strategy, own_m_i_strategies, STRATEGIES, options.strategies);
	if (!memory)
		memory = options.check ? "all" : "tso";
	choose(memory, memory_names, MEMORIES, options.memories);
}

int
main(int argc, char **argv)
{
	unsigned found;

	parse(argc, argv);
	if (options.list)
		return (int)for_each(list);
	if (options.check)
		return check_all();
	found = for_each(options.replay ? replay : search);
	if (options.expect_failure) {
		printf("%s\n", found ? "failure found, as expected" :
				"no failure found, though one was expected");
		return found == 0;
	}
	return found > 0;
}
