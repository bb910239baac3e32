/* SPDX-License-Identifier: MIT */
/*
 * driver.c - contract in driver.h
 *
 * The main thread is the watchdog. It counts its own ticks rather than reading
 * a clock, so that a machine that stood still for a while accuses nobody.
 */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <own/own.h>
#include "driver.h"

#define TICK_NS		((uint64_t)10000000)
#define SECOND_NS	((uint64_t)1000000000)

uint32_t stress_stop;

static struct {
	unsigned threads_n;
	double seconds;
	double stall_seconds;
	uint64_t seed;
	int pin;			/* 1, 0, or -1: as there are cores */
	const char *only;
} option = {
	.threads_n = 4, .seconds = 1, .stall_seconds = 10, .pin = -1,
};

static const char *program;
static const struct stress_case *current;
static struct stress_thread threads[STRESS_THREADS_MAX];
static pthread_barrier_t start;
static uint32_t ended_n;		/* shared: past their function */
static uint32_t failing;		/* shared: one thread reports */

static const char *
last_operation(struct stress_thread *t)
{
	/* relaxed: a label for people */
	uint32_t kind = own__load(&t->kind, OWN__RELAXED);

	return kind < current->kinds_n ? current->kinds[kind] : "none";
}

static void
verdict(void)
{
	fflush(stdout);
	fprintf(stderr, "%s: FAILED; again with --case %s --threads %u "
			"--seed %" PRIu64 "\n", program, current->name,
			option.threads_n, option.seed);
	fflush(stderr);
	_exit(1);
}

void
stress_fail(struct stress_thread *t, const char *format, ...)
{
	va_list arguments;

	/* relaxed: only the first one's report is wanted */
	while (own__xchg(&failing, (uint32_t)1, OWN__RELAXED))
		pause();
	fflush(stdout);
	fprintf(stderr, "%s: %s: ", program, current->name);
	if (t)
		fprintf(stderr, "thread %u (%d), operation %" PRIu64 " (%s): ",
				t->index, t->tid, t->ops, last_operation(t));
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	(void)own_dump(2);
	verdict();
	abort();
}

void
stress_waited(struct stress_thread *t, uint64_t ns)
{
	if (ns > t->wait_max_ns)
		/* relaxed: one writer, read after the join */
		own__store(&t->wait_max_ns, ns, OWN__RELAXED);
}

void
stress_nap(uint64_t ns)
{
	struct timespec span = {
		.tv_sec = (time_t)(ns / SECOND_NS),
		.tv_nsec = (long)(ns % SECOND_NS),
	};

	nanosleep(&span, NULL);
}

void
stress_clog(struct stress_thread *t)
{
	static struct {
		_Alignas(128) uint64_t word;
	} cold[8192];

	for (unsigned n = stress_below(t, 24); n; n--)
		/* relaxed: nobody reads them */
		own__store(&cold[stress_below(t, 8192)].word, t->random,
				OWN__RELAXED);
}

static void
stalled(struct stress_thread *t, unsigned threads_n)
{
	/* relaxed: see stress_fail() */
	while (own__xchg(&failing, (uint32_t)1, OWN__RELAXED))
		pause();
	fflush(stdout);
	fprintf(stderr, "%s: %s: thread %u stands still in operation %" PRIu64
			" (%s)\n", program, current->name, t->index,
			t->stalled_ops, last_operation(t));
	for (unsigned i = 0; i < threads_n; i++)
		/* relaxed: for people */
		fprintf(stderr, "  thread %u (%d): operation %" PRId64
				" (%s)\n", i, threads[i].tid, (int64_t)
				own__load(&threads[i].ops, OWN__RELAXED),
				last_operation(&threads[i]));
	(void)own_dump(2);
	verdict();
}

static void
watch(unsigned threads_n)
{
	uint32_t ticks_max = (uint32_t)(option.stall_seconds *
			(double)SECOND_NS / (double)TICK_NS) + 1;

	stress_nap(TICK_NS);
	for (unsigned i = 0; i < threads_n; i++) {
		struct stress_thread *t = &threads[i];
		/* relaxed: only whether it moves */
		uint64_t ops = own__load(&t->ops, OWN__RELAXED);

		/* UINT64_MAX: this one has ended */
		if (ops != t->stalled_ops || ops == UINT64_MAX) {
			t->stalled_ops = ops;
			t->stalled_ticks = 0;
		} else if (++t->stalled_ticks > ticks_max) {
			stalled(t, threads_n);
		}
	}
}

static uint64_t
total(unsigned threads_n, unsigned kind)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < threads_n; i++)
		/* relaxed: exact after the join, a hint before */
		sum += own__load(&threads[i].count[kind], OWN__RELAXED);
	return sum;
}

/* The first required kind that has not happened, or NULL. */
static const char *
missing(unsigned threads_n)
{
	for (unsigned k = 0; k < current->kinds_n; k++)
		if ((current->required >> k & 1) && !total(threads_n, k))
			return current->kinds[k];
	return NULL;
}

static void
report(unsigned threads_n, uint64_t took_ns)
{
	uint64_t n, ops = 0, wait_ns = 0;
	unsigned column = 0;

	for (unsigned i = 0; i < threads_n; i++) {
		ops += threads[i].ops_total;
		if (threads[i].wait_max_ns > wait_ns)
			wait_ns = threads[i].wait_max_ns;
	}
	printf("%s: %s: ok, %u threads, %.2f s, %" PRIu64 " operations",
			program, current->name, threads_n,
			(double)took_ns / (double)SECOND_NS, ops);
	if (wait_ns)
		printf(", longest wait %.1f ms", (double)wait_ns / 1e6);
	for (unsigned k = 0; k < current->kinds_n; k++)
		if ((n = total(threads_n, k)) || current->required >> k & 1)
			printf("%s%s %" PRIu64, column++ % 5 ? ", " : "\n    ",
					current->kinds[k], n);
	putchar('\n');
	fflush(stdout);
}

static void
pin_self(unsigned index)
{
	cpu_set_t allowed, one;
	int n, wanted;

	if (sched_getaffinity(0, sizeof allowed, &allowed))
		return;
	n = CPU_COUNT(&allowed);
	wanted = (int)index % n;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET((size_t)cpu, &allowed) && wanted-- == 0) {
			CPU_ZERO(&one);
			CPU_SET((size_t)cpu, &one);
			/* a sandbox may refuse; then it runs unpinned */
			(void)sched_setaffinity(0, sizeof one, &one);
			return;
		}
}

static void *
thread_main(void *arg)
{
	struct stress_thread *t = arg;
	cpu_set_t allowed;
	int pin = option.pin;

	t->tid = (int32_t)gettid();
	if (pin < 0 && !sched_getaffinity(0, sizeof allowed, &allowed))
		pin = t->threads_n <= (unsigned)CPU_COUNT(&allowed);
	if (pin > 0)
		pin_self(t->index);
	pthread_barrier_wait(&start);
	current->thread(t);
	t->ops_total = t->ops;
	/* relaxed: the joins order the rest */
	own__store(&t->ops, UINT64_MAX, OWN__RELAXED);
	own__add(&ended_n, (uint32_t)1, OWN__RELAXED);
	return NULL;
}

static void
run(const struct stress_case *c, double seconds)
{
	unsigned times = c->threads_times ? c->threads_times : 1;
	unsigned n = option.threads_n * times;
	uint64_t from, until, extra;
	const char *kind;

	if (n > STRESS_THREADS_MAX)
		n = STRESS_THREADS_MAX;
	current = c;
	memset(threads, 0, sizeof threads);
	/* relaxed: no thread runs yet */
	own__store(&stress_stop, (uint32_t)0, OWN__RELAXED);
	own__store(&ended_n, (uint32_t)0, OWN__RELAXED);
	if (c->setup)
		c->setup(n);
	pthread_barrier_init(&start, NULL, n + 1);
	for (unsigned i = 0; i < n; i++) {
		threads[i].index = i;
		threads[i].threads_n = n;
		threads[i].kind = STRESS_KINDS_MAX;
		threads[i].random = stress_mix(option.seed + i);
		if (pthread_create(&threads[i].id, NULL, thread_main,
				&threads[i]))
			stress_fail(NULL, "cannot start thread %u", i);
	}
	pthread_barrier_wait(&start);
	from = own_now_ns();
	until = from + (uint64_t)(seconds * (double)SECOND_NS);
	extra = until + (uint64_t)(option.stall_seconds * (double)SECOND_NS);
	/* A slow machine gets more time to reach every kind, within reason. */
	while (own_now_ns() < until ||
			(missing(n) && own_now_ns() < extra))
		watch(n);
	/* relaxed: see stress_running() */
	own__store(&stress_stop, (uint32_t)1, OWN__RELAXED);
	while (own__load(&ended_n, OWN__RELAXED) < n)
		watch(n);
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i].id, NULL);
	pthread_barrier_destroy(&start);
	if (c->finish)
		c->finish(n);
	report(n, own_now_ns() - from);
	kind = missing(n);
	if (kind)
		stress_fail(NULL, "never happened: %s", kind);
}

static void
usage(FILE *out)
{
	fprintf(out, "usage: %s [options]\n"
		"  --threads N   2 to 64 (default 4)\n"
		"  --seconds S   for all cases together (default 1)\n"
		"  --seed N      reproduces the operations (default: random)\n"
		"  --pin         threads on cores, round robin\n"
		"  --no-pin      default: pin when there are cores enough\n"
		"  --stall S     a thread that stands still so long has failed"
		" (default 10)\n"
		"  --case NAME   this one only\n"
		"  --list        the cases\n"
		"  -h, --help\n", program);
}

static double
number(const char *text, double from, double to)
{
	char *end;
	double x = strtod(text, &end);

	if (end == text || *end || !(x >= from && x <= to)) {
		fprintf(stderr, "%s: %s is not within %g to %g\n", program,
				text, from, to);
		exit(2);
	}
	return x;
}

static uint64_t
random_seed(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return stress_mix((uint64_t)now.tv_sec * SECOND_NS +
			(uint64_t)now.tv_nsec + (uint64_t)getpid()) >> 32;
}

/* 1: go on, 0: done, as for --list */
static int
parse(int argc, char **argv, const struct stress_case *cases, unsigned cases_n)
{
	static const struct option names[] = {
		{ "threads", required_argument, NULL, 't' },
		{ "seconds", required_argument, NULL, 's' },
		{ "seed", required_argument, NULL, 'r' },
		{ "pin", no_argument, NULL, 'p' },
		{ "no-pin", no_argument, NULL, 'n' },
		{ "stall", required_argument, NULL, 'w' },
		{ "case", required_argument, NULL, 'c' },
		{ "list", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	option.seed = random_seed();
	while ((c = getopt_long(argc, argv, "h", names, NULL)) != -1)
		switch (c) {
		case 't':
			option.threads_n = (unsigned)number(optarg, 2, 64);
			break;
		case 's':
			option.seconds = number(optarg, 0, 1e7);
			break;
		case 'r':
			option.seed = strtoull(optarg, NULL, 0);
			break;
		case 'p':
			option.pin = 1;
			break;
		case 'n':
			option.pin = 0;
			break;
		case 'w':
			option.stall_seconds = number(optarg, 0.1, 1e7);
			break;
		case 'c':
			option.only = optarg;
			break;
		case 'l':
			for (unsigned i = 0; i < cases_n; i++)
				printf("%-12s %s\n", cases[i].name,
						cases[i].what);
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			exit(2);
		}
	if (optind < argc) {
		usage(stderr);
		exit(2);
	}
	return 1;
}

int
stress_main(int argc, char **argv, const struct stress_case *cases,
		unsigned cases_n)
{
	unsigned run_n = 0;

	program = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	if (!parse(argc, argv, cases, cases_n))
		return 0;
	printf("%s: seed %" PRIu64 "\n", program, option.seed);
	fflush(stdout);
	for (unsigned i = 0; i < cases_n; i++)
		run_n += !option.only || !strcmp(option.only, cases[i].name);
	if (!run_n) {
		fprintf(stderr, "%s: no case %s\n", program, option.only);
		return 2;
	}
	for (unsigned i = 0; i < cases_n; i++)
		if (!option.only || !strcmp(option.only, cases[i].name))
			run(&cases[i], option.seconds / run_n);
	return 0;
}
