/* SPDX-License-Identifier: MIT */
/* shim.cc - contract in shim.h */
#include <sched.h>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <list>
#include <mutex>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include "bench/shim.h"

/* batches that a thread takes in a run: they bound how unevenly it ends */
#define BATCHES_PER_THREAD	128u
#define BATCH_MAX		65536u

/*
 * Google Benchmark finds a run's length by trying ever longer ones, from one
 * iteration on. A try in which a thread was not scheduled for a while would
 * pass as long enough, so none is shorter than this; its time is scaled.
 */
#define ITERATIONS_MIN		1000u

/* A case, and the run of it that is under way. */
struct entry {
	bench_case c;
	std::string name;

	/* its own line: all threads write it */
	alignas(64) std::atomic<uint64_t> pool;
	alignas(64) std::atomic<const char *> failed;
	std::mutex lock;
	std::condition_variable all_here;
	int64_t first_ns;
	int64_t last_ns;
	int arrived;
	unsigned round;
};

struct bench {
	entry *e;
	benchmark::State *state;
	uint64_t batch;
	uint64_t done;
	int64_t start_ns;
	enum { BEFORE, RUNNING, OVER } phase;
};

static std::list<entry> entries;
static std::atomic<bool> any_failed;
static cpu_set_t allowed;
static std::vector<int> cpus;

static void
meet(entry *e, int threads)
{
	std::unique_lock<std::mutex> held(e->lock);
	unsigned round = e->round;

	if (++e->arrived == threads) {
		e->arrived = 0;
		e->round++;
		e->all_here.notify_all();
		return;
	}
	e->all_here.wait(held, [&] { return e->round != round; });
}

static void
pin(int thread, int threads)
{
	cpu_set_t set = allowed;

	if ((size_t)threads <= cpus.size()) {
		CPU_ZERO(&set);
		CPU_SET(cpus[thread], &set);
	}
	sched_setaffinity(0, sizeof(set), &set);
}

static int64_t
now_ns(void)
{
	using namespace std::chrono;

	return duration_cast<nanoseconds>(
			steady_clock::now().time_since_epoch()).count();
}

/*
 * The run lasts from the first thread's start to the last one's end. Google
 * Benchmark's own clock starts in each thread when that is scheduled, which
 * flatters runs of more threads than cores.
 */
static void
span(bench *b, int64_t end_ns)
{
	std::lock_guard<std::mutex> held(b->e->lock);

	if (!b->e->first_ns || b->start_ns < b->e->first_ns)
		b->e->first_ns = b->start_ns;
	if (end_ns > b->e->last_ns)
		b->e->last_ns = end_ns;
}

static void
finish(bench *b)
{
	while (b->phase != bench::OVER)
		bench_take(b);
}

static void
run(benchmark::State &state, entry *e)
{
	int thread = state.thread_index(), threads = state.threads();
	bench b = { e, &state, 0, 0, 0, bench::BEFORE };
	uint64_t asked = (uint64_t)state.max_iterations;
	uint64_t each = std::max<uint64_t>(asked, ITERATIONS_MIN);
	double part = (double)asked / (double)each;
	const char *why;

	pin(thread, threads);
	if (!thread) {
		e->pool = each * threads;
		e->failed = nullptr;
		e->first_ns = e->last_ns = 0;
		if (e->c.setup)
			e->c.setup(&b);
	}
	meet(e, threads);
	b.batch = e->pool / threads / BATCHES_PER_THREAD;
	b.batch = b.batch < 1 ? 1 : b.batch > BATCH_MAX ? BATCH_MAX : b.batch;
	meet(e, threads);
	if (!e->failed)
		e->c.run(&b);
	finish(&b);
	meet(e, threads);
	if (!thread && e->c.teardown)
		e->c.teardown(&b);
	meet(e, threads);
	why = e->failed;
	if (why) {
		any_failed = true;
		state.SkipWithError(why);
	}
	state.SetIterationTime((double)(e->last_ns - e->first_ns) * 1e-9 *
			part);
	state.SetItemsProcessed((int64_t)((double)b.done * part));
	pin(0, INT32_MAX);
}

void
bench_add(const bench_case *c)
{
	static const int one[] = { 1, 0 };
	const int *threads = c->threads ? c->threads : one;

	entries.emplace_back();
	entry *e = &entries.back();
	e->c = *c;
	e->name = c->name;
	auto *made = benchmark::RegisterBenchmark(e->name.c_str(),
			[e](benchmark::State &state) { run(state, e); });
	made->UseManualTime();
	for (; *threads; threads++)
		made->Threads(*threads);
}

int
bench_main(int argc, char **argv)
{
	sched_getaffinity(0, sizeof(allowed), &allowed);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed))
			cpus.push_back(cpu);
	benchmark::Initialize(&argc, argv);
	if (benchmark::ReportUnrecognizedArguments(argc, argv))
		return 2;
	if (!benchmark::RunSpecifiedBenchmarks())
		return 2;
	benchmark::Shutdown();
	return any_failed ? 1 : 0;
}

void
bench_context(const char *key, const char *value)
{
	benchmark::AddCustomContext(key, value);
}

const void *
bench_user(const bench *b)
{
	return b->e->c.user;
}

int64_t
bench_arg(const bench *b)
{
	return b->e->c.arg;
}

int
bench_thread(const bench *b)
{
	return b->state->thread_index();
}

int
bench_threads(const bench *b)
{
	return b->state->threads();
}

uint64_t
bench_take(bench *b)
{
	/* Google Benchmark's share of this thread, taken whole: its calls are
	 * the start barrier, the pool says who runs what. */
	if (b->phase == bench::BEFORE) {
		b->phase = bench::RUNNING;
		b->state->KeepRunningBatch(b->state->max_iterations);
		b->start_ns = now_ns();
	}
	uint64_t left = b->e->pool.load(std::memory_order_relaxed), n;
	do {
		n = left < b->batch ? left : b->batch;
	} while (n && !b->e->pool.compare_exchange_weak(left, left - n,
			std::memory_order_relaxed));
	b->done += n;
	if (!n && b->phase == bench::RUNNING) {
		b->phase = bench::OVER;
		span(b, now_ns());
		b->state->KeepRunningBatch(b->state->max_iterations);
	}
	return n;
}

uint64_t
bench_done(const bench *b)
{
	return b->done;
}

void
bench_fail(bench *b, const char *why)
{
	b->e->failed = why;
	b->e->pool = 0;
}

void
bench_counter(bench *b, const char *name, double value)
{
	b->state->counters[name] += value;
}
