/* SPDX-License-Identifier: MIT */
/*
 * waiting.c - the rules of waiting, measured: options and what parts share
 *
 *   past    how many others are served between a thread's request and its turn
 *   found   how long a deadlock stands until one of its threads is told
 *   late    how late a _timed verb returns after its deadline
 *   places  what it costs that each verb notes where it is called
 *
 * scripts/figures runs it, several times over, and makes doc/figures/ of it.
 */
#include <getopt.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "bench/waiting.h"
#include "handles/internal.h"

#define SECOND_NS	UINT64_C(1000000000)
#define BUSY_MAX	64u

int smoke;
unsigned cores_n;
__thread struct sleep_note *sleep_note;

static pthread_t busy[BUSY_MAX];
static unsigned busy_n;
static uint32_t busy_over;		/* shared */

/* The linker puts this between wait.c and its callers (--wrap). */
int __real_own_i_wait(struct own_i_record *self, uint32_t kind,
		const uint64_t *word, struct own_i_slot s,
		const uint32_t *address, uint32_t seen, uint32_t bitset,
		uint64_t deadline_ns);
int __wrap_own_i_wait(struct own_i_record *self, uint32_t kind,
		const uint64_t *word, struct own_i_slot s,
		const uint32_t *address, uint32_t seen, uint32_t bitset,
		uint64_t deadline_ns);

int
__wrap_own_i_wait(struct own_i_record *self, uint32_t kind,
		const uint64_t *word, struct own_i_slot s,
		const uint32_t *address, uint32_t seen, uint32_t bitset,
		uint64_t deadline_ns)
{
	if (sleep_note && !sleep_note->wall_ns && !(sleep_note->announced &&
			kind == OWN_I_WAIT_CLAIM)) {
		sleep_note->cpu_ns = cpu_now_ns();
		sleep_note->wall_ns = own_now_ns();
		if (sleep_note->also)
			sleep_note->also(sleep_note);
	}
	if (sleep_note && sleep_note->overtaken && !sleep_note->overtaken_ns &&
			/* relaxed: this thread's own */
			own__load(&self->overtaken, OWN__RELAXED)) {
		sleep_note->overtaken_ns = own_now_ns();
		sleep_note->overtaken(sleep_note);
	}
	return __real_own_i_wait(self, kind, word, s, address, seen, bitset,
			deadline_ns);
}

void
wrong(const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fprintf(stderr, "waiting: ");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	(void)own_dump(2);
	_exit(1);
}

void
must(int r, const char *what)
{
	if (r)
		wrong("%s: %s", what, strerror(-r));
}

uint64_t
cpu_now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

void
spin(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		__asm__ __volatile__("" ::: "memory");
}

void
nap(uint64_t ns)
{
	struct timespec span = {
		.tv_sec = (time_t)(ns / SECOND_NS),
		.tv_nsec = (long)(ns % SECOND_NS),
	};

	nanosleep(&span, NULL);
}

uint64_t
draw(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static void *
busy_main(void *arg)
{
	/* relaxed: a flag that orders nothing */
	while (!own__load(&busy_over, OWN__RELAXED))
		spin(1000);
	return arg;
}

void
busy_start(unsigned n)
{
	/* relaxed: nobody runs yet */
	own__store(&busy_over, 0, OWN__RELAXED);
	for (busy_n = 0; busy_n < n; busy_n++)
		if (pthread_create(&busy[busy_n], NULL, busy_main, NULL))
			wrong("cannot start a thread");
}

void
busy_stop(void)
{
	/* relaxed: as busy_main() */
	own__store(&busy_over, 1, OWN__RELAXED);
	while (busy_n)
		pthread_join(busy[--busy_n], NULL);
}

void
cell_make(struct own_cell *cell, const char *name)
{
	struct own_unique u = { 0 };

	must(number_new(&u), "own_new");
	must(own_cell_init(cell, &number_type, OWN_EXCLUSIVE, name, &u),
			"cell_init");
}

struct own_map *
map_make(const char *name)
{
	struct own_map_options options = {
		.size = sizeof options, .type = &number_type, .name = name,
		.policy = OWN_EXCLUSIVE, .flags = OWN_MAP_U64,
	};
	struct own_unique u = { 0 };
	struct own_map *map;

	must(own_map_create(&options, &map), "map_create");
	must(own_map_new_u64(map, 1, &u), "map_new");
	must(own_map_put_u64(map, 1, &u), "map_put");
	return map;
}

void
line(const char *part, const char *subject, const char *where,
		const char *figure, double value)
{
	printf("%s\t%s\t%s\t%s\t%.10g\n", part, subject, where, figure,
			value);
}

void
lines(const char *part, const char *subject, const char *where,
		const char *prefix, const struct hist *h, uint64_t max)
{
	static const struct {
		const char *name;
		double rank;
	} ranks[] = { { "p50", .5 }, { "p99", .99 }, { "p999", .999 } };
	uint64_t n = 0;
	char figure[64];
	double at;

	for (unsigned i = 0; i < HIST_SIZE; i++)
		n += h->count[i];
	if (!n)
		return;
	for (unsigned i = 0; i < sizeof ranks / sizeof *ranks; i++) {
		snprintf(figure, sizeof figure, "%s_%s", prefix, ranks[i].name);
		at = hist_at(h, ranks[i].rank);
		line(part, subject, where, figure,
				at < (double)max ? at : (double)max);
	}
	snprintf(figure, sizeof figure, "%s_max", prefix);
	line(part, subject, where, figure, (double)max);
	snprintf(figure, sizeof figure, "%s_n", prefix);
	line(part, subject, where, figure, (double)n);
}

static const struct {
	const char *name;
	void (*run)(void);
} parts[] = {
	{ "past", part_past }, { "found", part_found },
	{ "late", part_late }, { "places", part_places },
};

static void
usage(FILE *out)
{
	fprintf(out,
		"usage: waiting [--smoke] [past | found | late | places]...\n"
		"  --smoke   shows that it runs; its figures are none\n");
}

static unsigned
part_of(const char *name)
{
	for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++)
		if (!strcmp(name, parts[i].name))
			return i;
	usage(stderr);
	exit(2);
}

int
main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "smoke", no_argument, &smoke, 1 },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", names, NULL)) != -1)
		if (c) {
			usage(c == 'h' ? stdout : stderr);
			return c == 'h' ? 0 : 2;
		}
	cores_n = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	/* long waits and rings of threads are what is asked for here */
	own_stall_hook(NULL, NULL);
	for (int i = optind; i < argc; i++)
		(void)part_of(argv[i]);
	if (optind == argc)
		for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++)
			parts[i].run();
	for (int i = optind; i < argc; i++)
		parts[part_of(argv[i])].run();
	return 0;
}
