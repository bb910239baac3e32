/* SPDX-License-Identifier: MIT */
/*
 * cell_bench.c - a cell beside what it replaces; README.md describes each case
 *
 * Every subject lends out the same 64-byte value, whose words a reader checks,
 * and runs the loops of cell_cases.h. After a run the value must have counted
 * every write, unless the subject's writers do not exclude one another.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <own/own.h>
#include "bench/cell_cases.h"
#include "bench/peers/peers.h"

#define LINE	__attribute__((aligned(64)))

OWN_TYPE(value, struct value);

/* ---- what the loops share ---- */

struct value cell_refused = { { 0, 1, 2, 3, 4, 5, 6, 7 } };

static struct {
	pthread_mutex_t lock;
	uint64_t written;
	struct hist latency[LATENCIES];
} totals = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* One pattern a percentage; threads start at different places in it. */
static const int percents[] = { 0, 1, 10, 100 };
#define PERCENTS	(sizeof(percents) / sizeof(percents[0]))
static struct pattern patterns[PERCENTS];

static void
patterns_draw(void)
{
	uint64_t seed = 0x9e3779b97f4a7c15u;

	for (size_t k = 0; k < PERCENTS; k++)
		for (unsigned i = 0; i < PATTERN_BITS; i++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			if ((int)((seed >> 11) % 100) < percents[k])
				patterns[k].bits[i / 64] |=
						(uint64_t)1 << i % 64;
		}
}

const struct pattern *
cell_pattern(const struct bench *b)
{
	for (size_t k = 0; k < PERCENTS; k++)
		if (percents[k] == bench_arg(b))
			return &patterns[k];
	abort();
}

uint64_t
cell_phase(const struct bench *b)
{
	return (uint64_t)bench_thread(b) * 4099;
}

void
cell_sum(struct bench *b, uint64_t sum)
{
	if (sum != bench_done(b) * VALUE_FIRST)
		bench_fail(b, "a reader saw another value");
}

void
cell_wrote(struct bench *b, uint64_t writes, uint64_t bad)
{
	if (bad)
		bench_fail(b, "a value was refused, or seen half written");
	pthread_mutex_lock(&totals.lock);
	totals.written += writes;
	pthread_mutex_unlock(&totals.lock);
}

void
cell_latencies(struct bench *b, const struct hist h[LATENCIES])
{
	(void)b;
	pthread_mutex_lock(&totals.lock);
	for (int k = 0; k < LATENCIES; k++)
		hist_join(&totals.latency[k], &h[k]);
	pthread_mutex_unlock(&totals.lock);
}

static void
latencies_report(struct bench *b)
{
	static const char *const name[LATENCIES] = {
		"share", "claim", "commit"
	};
	static const struct { const char *name; double rank; } at[] = {
		{ "p50", 0.5 }, { "p99", 0.99 }, { "p999", 0.999 },
		{ "max", 1 },
	};
	char key[32];

	for (int k = 0; k < LATENCIES; k++)
		for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
			snprintf(key, sizeof(key), "%s_%s_ns", name[k],
					at[i].name);
			bench_counter(b, key, hist_at(
					&totals.latency[k], at[i].rank));
		}
}

static void
subject_open(struct bench *b)
{
	const struct cell_subject *s = bench_user(b);

	totals.written = 0;
	memset(totals.latency, 0, sizeof(totals.latency));
	s->open(b);
}

static void
subject_close(struct bench *b)
{
	const struct cell_subject *s = bench_user(b);
	uint64_t word = s->close(b);

	if (!s->loses_updates && word != VALUE_FIRST + totals.written)
		bench_fail(b, "a write was lost");
}

static void
latency_close(struct bench *b)
{
	subject_close(b);
	latencies_report(b);
}

/* ---- libown ---- */

static struct own_cell cell LINE;

OWN__VERB_BODY static void
cell_open(struct bench *b, uint32_t policy)
{
	own_scoped(own_unique) first = { 0 };

	if (value_new(&first)) {
		bench_fail(b, "out of memory");
		return;
	}
	value_set(value_edit(&first), VALUE_FIRST);
	if (own_cell_init(&cell, &value_type, policy, "bench", &first))
		bench_fail(b, "own_cell_init");
}

static uint64_t
cell_close(struct bench *b)
{
	struct value out = cell_refused;

	if (value_read(&cell, &out))
		bench_fail(b, "the last value cannot be read");
	own_cell_destroy(&cell);
	return out.word[0];
}

/* POLICY, the place that is noted, and the verb that ends a write */
#define OWN_SUBJECT(x, POLICY, SITE, END)				\
static void								\
x##_open(struct bench *b)						\
{									\
	cell_open(b, POLICY);						\
}									\
									\
static uint64_t								\
x##_close(struct bench *b)						\
{									\
	return cell_close(b);						\
}									\
									\
OWN__VERB_BODY OWN__INLINE const struct value *				\
x##_take_read(struct own_shared *held)					\
{									\
	if (own_cell_share_at(&cell, held, SITE))			\
		return &cell_refused;					\
	return value_get(held);						\
}									\
									\
OWN__VERB_BODY OWN__INLINE void						\
x##_give_read(struct own_shared *held)					\
{									\
	own_shared_release(held);					\
}									\
									\
OWN__VERB_BODY OWN__INLINE struct value *				\
x##_take_write(struct own_unique *held)					\
{									\
	if (own_cell_claim_at(&cell, held, SITE))			\
		return &cell_refused;					\
	return value_edit(held);					\
}									\
									\
OWN__VERB_BODY OWN__INLINE void						\
x##_give_write(struct own_unique *held)					\
{									\
	END(held);							\
}									\
									\
ENTERED(x, if (own_thread_register()) abort())				\
CELL_RUNS(x, struct own_shared, struct own_unique, 0)

/* A thread's entry, and nothing around a request. */
#define ENTERED(x, ENTER)						\
static inline void							\
x##_enter(void)								\
{									\
	ENTER;								\
}									\
									\
static inline void							\
x##_leave(void)								\
{									\
}									\
									\
static inline void							\
x##_begin(void)								\
{									\
}									\
									\
static inline void							\
x##_end(void)								\
{									\
}

OWN_SUBJECT(own_exclusive, OWN_EXCLUSIVE, OWN_HERE, own_unique_release);
OWN_SUBJECT(own_versioned, OWN_VERSIONED, OWN_HERE, own_unique_commit);
OWN_SUBJECT(own_exclusive_no_place, OWN_EXCLUSIVE, NULL, own_unique_release);
OWN_SUBJECT(own_versioned_no_place, OWN_VERSIONED, NULL, own_unique_commit);

/*
 * The share of own/cell.h without what reports and stale handles need: no
 * place, container or sequence, no search for a free slot. What is left is
 * what protects the value. For reading alone.
 */
OWN__INLINE const struct value *
bare_take(uint32_t policy)
{
	struct own__record *self = own__self;
	const struct value *v;

	if (!self)
		return &cell_refused;
	if (policy == OWN_EXCLUSIVE) {
		own__store(&self->object[0], (uintptr_t)&cell.word,
				OWN__RELEASE);
		own__light_fence();
		if ((own__load(&cell.word, OWN__ACQUIRE) & (OWN__BIASED |
				OWN__WRITER | OWN__DEAD | OWN__ORPHAN)) !=
				OWN__BIASED)
			return &cell_refused;
		return own__load(&cell.current, OWN__RELAXED);
	}
	v = own__load(&cell.current, OWN__RELAXED);
	own__store(&self->object[0], (uintptr_t)v - 16, OWN__RELEASE);
	own__light_fence();
	if (own__load(&cell.current, OWN__ACQUIRE) != v)
		return &cell_refused;
	return v;
}

OWN__INLINE void
bare_give(void)
{
	struct own__record *self = own__self;

	if (!self)
		return;
	own__store(&self->object[0], (uintptr_t)0, OWN__RELEASE);
	own__light_fence();
	if (OWN__UNLIKELY(own__load(&self->slot[0].wanted, OWN__RELAXED)))
		own__slot_wake(&self->slot[0]);
}

#define BARE_RUN(x, POLICY)						\
static void								\
x##_run_one(struct bench *b)						\
{									\
	uint64_t sum = 0;						\
									\
	if (own_thread_register())					\
		abort();						\
	bench_loop(b) {							\
		sum += bare_take(POLICY)->word[0];			\
		bare_give();						\
	}								\
	cell_sum(b, sum);						\
}									\
static const struct cell_subject x##_subject = {			\
	.name = #x, .open = POLICY##_open, .close = cell_close,		\
	.one = x##_run_one,						\
}
#define OWN_EXCLUSIVE_open	own_exclusive_open
#define OWN_VERSIONED_open	own_versioned_open
BARE_RUN(own_exclusive_bare, OWN_EXCLUSIVE);
BARE_RUN(own_versioned_bare, OWN_VERSIONED);

/* Writes as RCU's users do: a new object in, others' changes overwritten. */
#define own_replace_open	own_versioned_open
#define own_replace_close	own_versioned_close
#define own_replace_take_read	own_versioned_take_read
#define own_replace_give_read	own_versioned_give_read

OWN__VERB_BODY OWN__INLINE struct value *
own_replace_take_write(struct own_unique *held)
{
	struct own_shared old = { 0 };

	if (value_new(held))
		return &cell_refused;
	*value_edit(held) = *own_versioned_take_read(&old);
	own_versioned_give_read(&old);
	return value_edit(held);
}

OWN__VERB_BODY OWN__INLINE void
own_replace_give_write(struct own_unique *held)
{
	if (own_cell_replace(&cell, held))
		own_unique_release(held);
}

ENTERED(own_replace, if (own_thread_register()) abort())
CELL_RUNS(own_replace, struct own_shared, struct own_unique, 1);

/* Copies out by the verbs that give no handle. */
static void
own_run_read(struct bench *b)
{
	uint64_t bad = 0;

	bench_loop(b) {
		struct value out;

		bad |= (uint64_t)(value_read(&cell, &out) != 0);
		bad |= value_bad(&out);
	}
	cell_wrote(b, 0, bad);
}

static int
look(const void *value, size_t size_bytes, void *arg)
{
	(void)size_bytes;
	*(uint64_t *)arg |= value_bad(value);
	return 0;
}

static void
own_run_peek(struct bench *b)
{
	uint64_t bad = 0;

	bench_loop(b)
		bad |= (uint64_t)(own_cell_peek(&cell, look, &bad) != 0);
	cell_wrote(b, 0, bad);
}

/* One more handle on what is held. */
OWN__VERB_BODY static void
own_run_clone(struct bench *b)
{
	own_scoped(own_shared) held = { 0 };
	const struct value *v = own_exclusive_take_read(&held);
	uint64_t bad = value_bad(v);

	bench_loop(b) {
		struct own_shared more = { 0 };

		bad |= (uint64_t)(own_shared_clone(&held, &more) != 0);
		own_shared_release(&more);
	}
	cell_wrote(b, 0, bad);
}

/* ---- locks ---- */

/*
 * The value beside its lock, on a line of its own. AROUND: the lock is taken
 * around the whole request, and not around the access.
 */
#define LOCK_SUBJECT(x, TYPE, INIT, FINI, AROUND, RD, UNRD, WR, UNWR)	\
static struct {								\
	TYPE lock;							\
	struct value v LINE;						\
} x LINE;								\
									\
static void								\
x##_open(struct bench *b)						\
{									\
	if (INIT)							\
		bench_fail(b, "the lock cannot be made");		\
	value_set(&x.v, VALUE_FIRST);					\
}									\
									\
static uint64_t								\
x##_close(struct bench *b)						\
{									\
	(void)b;							\
	FINI(&x.lock);							\
	return x.v.word[0];						\
}									\
									\
static inline void							\
x##_enter(void)								\
{									\
}									\
									\
static inline void							\
x##_leave(void)								\
{									\
}									\
									\
static inline void							\
x##_begin(void)								\
{									\
	if (AROUND)							\
		WR(&x.lock);						\
}									\
									\
static inline void							\
x##_end(void)								\
{									\
	if (AROUND)							\
		UNWR(&x.lock);						\
}									\
									\
static inline const struct value *					\
x##_take_read(int *held)						\
{									\
	(void)held;							\
	if (!AROUND)							\
		RD(&x.lock);						\
	return &x.v;							\
}									\
									\
static inline void							\
x##_give_read(int *held)						\
{									\
	(void)held;							\
	if (!AROUND)							\
		UNRD(&x.lock);						\
}									\
									\
static inline struct value *						\
x##_take_write(int *held)						\
{									\
	(void)held;							\
	if (!AROUND)							\
		WR(&x.lock);						\
	return &x.v;							\
}									\
									\
static inline void							\
x##_give_write(int *held)						\
{									\
	(void)held;							\
	if (!AROUND)							\
		UNWR(&x.lock);						\
}									\
									\
CELL_RUNS(x, int, int, 0)

LOCK_SUBJECT(mutex, pthread_mutex_t, pthread_mutex_init(&mutex.lock, NULL),
		pthread_mutex_destroy, 0,
		pthread_mutex_lock, pthread_mutex_unlock,
		pthread_mutex_lock, pthread_mutex_unlock);
LOCK_SUBJECT(rwlock, pthread_rwlock_t, pthread_rwlock_init(&rwlock.lock, NULL),
		pthread_rwlock_destroy, 0,
		pthread_rwlock_rdlock, pthread_rwlock_unlock,
		pthread_rwlock_wrlock, pthread_rwlock_unlock);
LOCK_SUBJECT(spin, pthread_spinlock_t, pthread_spin_init(&spin.lock, 0),
		pthread_spin_destroy, 0,
		pthread_spin_lock, pthread_spin_unlock,
		pthread_spin_lock, pthread_spin_unlock);
LOCK_SUBJECT(global, pthread_mutex_t, pthread_mutex_init(&global.lock, NULL),
		pthread_mutex_destroy, 1,
		pthread_mutex_lock, pthread_mutex_unlock,
		pthread_mutex_lock, pthread_mutex_unlock);

/* What a clone is measured by: a count up and down, each thread its own. */
static void
count_run(struct bench *b)
{
	uint64_t count LINE = 0;

	bench_loop(b) {
		__atomic_fetch_add(&count, 1, __ATOMIC_RELAXED);
		__atomic_fetch_sub(&count, 1, __ATOMIC_RELEASE);
	}
	if (count)
		bench_fail(b, "a count was lost");
}

/* ---- replace beside malloc and free ---- */

OWN__VERB_BODY static void
own_run_replace(struct bench *b, struct own_cell *c)
{
	uint64_t bad = 0, word = VALUE_FIRST;

	bench_loop(b) {
		struct own_unique u = { 0 };

		bad |= (uint64_t)(value_new(&u) != 0);
		value_set(value_edit(&u), ++word);
		bad |= (uint64_t)(own_cell_replace(c, &u) != 0);
	}
	cell_wrote(b, bench_done(b), bad);
}

/* each thread a cell of its own */
static void
own_run_replace_own(struct bench *b)
{
	struct own_cell c LINE = OWN_CELL_INIT(&value_type, OWN_VERSIONED,
			"bench");
	struct value out = { { 0 } };

	own_run_replace(b, &c);
	if (bench_done(b) && (value_read(&c, &out) || value_bad(&out) ||
			out.word[0] != VALUE_FIRST + bench_done(b)))
		bench_fail(b, "the cell holds another value");
	own_cell_destroy(&c);
}

/* one cell for all */
static void
own_run_replace_one(struct bench *b)
{
	own_run_replace(b, &cell);
}

static void
malloc_run(struct bench *b)
{
	uint64_t bad = 0, word = VALUE_FIRST;

	bench_loop(b) {
		struct value *v = malloc(sizeof(*v));

		if (!v) {
			bench_fail(b, "out of memory");
			return;
		}
		value_set(v, ++word);
		/* the compiler must not see that nobody reads it */
		__asm__ __volatile__("" : : "r"(v) : "memory");
		bad |= (uint64_t)(v->word[7] != word);
		free(v);
	}
	if (bad)
		bench_fail(b, "malloc");
}

/*
 * The same for memory that cannot be freed at once, as a replaced value
 * cannot: freed by the batch.
 */
#define LATE	1024u

static int
late_free(struct value **queue, size_t n, uint64_t last)
{
	uint64_t bad = 0;

	for (size_t i = 0; i < n; i++) {
		bad |= queue[i]->word[7] ^ (last - n + 1 + i);
		free(queue[i]);
	}
	return bad != 0;
}

static void
malloc_late_run(struct bench *b)
{
	struct value *queue[LATE];
	uint64_t word = VALUE_FIRST;
	size_t n = 0;
	int bad = 0;

	bench_loop(b) {
		queue[n] = malloc(sizeof(*queue[n]));
		if (!queue[n]) {
			bench_fail(b, "out of memory");
			break;
		}
		value_set(queue[n++], ++word);
		if (n == LATE) {
			bad |= late_free(queue, n, word);
			n = 0;
		}
	}
	if (late_free(queue, n, word) || bad)
		bench_fail(b, "malloc");
}

static void
versioned_open(struct bench *b)
{
	cell_open(b, OWN_VERSIONED);
}

static void
replace_close(struct bench *b)
{
	cell_close(b);
}

static void
clone_open(struct bench *b)
{
	cell_open(b, OWN_EXCLUSIVE);
}

/* ---- the cases ---- */

static int threads_one[] = { 1, 0 };
static int threads_many[] = { 1, 2, 8, 0, 0 };	/* and one a core */
static int threads_busy[] = { 2, 0 };

static const struct cell_subject *const subjects[] = {
	&own_exclusive_subject,
	&own_versioned_subject,
	&own_replace_subject,
	&rcu_inline_subject,
	&rcu_subject,
	&mutex_subject,
	&rwlock_subject,
	&spin_subject,
	&global_subject,
};
#define SUBJECTS	(sizeof(subjects) / sizeof(subjects[0]))

static void
add(const char *family, const char *name, bench_fn run, bench_fn setup,
		bench_fn teardown, const void *user, int percent,
		const int *threads)
{
	char full[80];

	snprintf(full, sizeof(full), percent < 0 ? "%s/%s" : "%s/%s/%d",
			family, name, percent);
	bench_add(&(struct bench_case){
		.name = full, .run = run, .setup = setup,
		.teardown = teardown, .user = user, .arg = percent,
		.threads = threads,
	});
}

static void
add_subject(const char *family, const struct cell_subject *s, bench_fn run,
		int percent, const int *threads)
{
	add(family, s->name, run, subject_open, subject_close, s, percent,
			threads);
}

static void
add_subjects(void)
{
	for (size_t i = 0; i < SUBJECTS; i++) {
		const struct cell_subject *s = subjects[i];

		for (size_t k = 0; k < PERCENTS; k++)
			add_subject("mix", s, s->mix, percents[k],
					threads_many);
		add_subject("request", s, s->request, 10, threads_many);
		if (s == &global_subject)
			continue;
		add_subject("one", s, s->one, -1, threads_many);
		add_subject("write", s, s->write, -1, threads_many);
		add_subject("copy", s, s->copy, -1, threads_one);
		add("latency", s->name, s->latency, subject_open,
				latency_close, s, 10, threads_busy);
	}
}

/* What scripts/bench has built, if there is a Rust compiler. */
static int
add_rust(void)
{
	const struct cell_subject *s[RUST_SUBJECTS_MAX];
	const char *path = getenv("OWN_BENCH_RUST");
	int n = path && *path ? rust_subjects(path, s) : 0;

	for (int i = 0; i < n; i++) {
		for (size_t k = 0; k < PERCENTS; k++)
			add_subject("mix", s[i], s[i]->mix, percents[k],
					threads_many);
		add_subject("one", s[i], s[i]->one, -1, threads_many);
		add_subject("write", s[i], s[i]->write, -1, threads_many);
	}
	return n;
}

static void
add_own(void)
{
	static const struct cell_subject *const lean[] = {
		&own_exclusive_no_place_subject,
		&own_versioned_no_place_subject,
		&own_exclusive_bare_subject,
		&own_versioned_bare_subject,
	};

	for (size_t i = 0; i < sizeof(lean) / sizeof(lean[0]); i++) {
		/* the bare ones know the asymmetric fence alone */
		if (!own__self && !lean[i]->write)
			continue;
		add_subject("one", lean[i], lean[i]->one, -1, threads_many);
		if (lean[i]->write)
			add_subject("write", lean[i], lean[i]->write, -1,
					threads_one);
	}
	add("copy", "own_exclusive_read", own_run_read, subject_open,
			subject_close, &own_exclusive_subject, -1, threads_one);
	add("copy", "own_versioned_read", own_run_read, subject_open,
			subject_close, &own_versioned_subject, -1, threads_one);
	add("peek", "own_exclusive", own_run_peek, subject_open,
			subject_close, &own_exclusive_subject, -1, threads_one);
	add("peek", "own_versioned", own_run_peek, subject_open,
			subject_close, &own_versioned_subject, -1, threads_one);
	add("clone", "own_exclusive", own_run_clone, clone_open,
			replace_close, NULL, -1, threads_many);
	add("clone", "own_versioned", own_run_clone, versioned_open,
			replace_close, NULL, -1, threads_many);
	add("clone", "atomic_count", count_run, NULL, NULL, NULL, -1,
			threads_many);
	add("replace", "own_cell_each", own_run_replace_own, NULL, NULL, NULL,
			-1, threads_many);
	add("replace", "own_one_cell", own_run_replace_one, versioned_open,
			replace_close, NULL, -1, threads_many);
	add("replace", "malloc", malloc_run, NULL, NULL, NULL, -1,
			threads_many);
	add("replace", "malloc_late", malloc_late_run, NULL, NULL, NULL, -1,
			threads_many);
}

static void
describe(void)
{
	struct utsname u;
	char line[256];
	FILE *f = fopen("/proc/cpuinfo", "r");

	while (f && fgets(line, sizeof(line), f)) {
		char *colon = strchr(line, ':');

		if (colon && !strncmp(line, "model name", 10)) {
			line[strcspn(line, "\n")] = 0;
			bench_context("cpu", colon + 2);
			break;
		}
	}
	if (f)
		fclose(f);
	if (!uname(&u)) {
		snprintf(line, sizeof(line), "%s %s %s", u.sysname, u.release,
				u.machine);
		bench_context("kernel", line);
	}
#ifdef __clang__
	bench_context("compiler", __VERSION__);
#else
	bench_context("compiler", "gcc " __VERSION__);
#endif
	bench_context("membarrier", own_thread_register() ? "unknown" :
			own__self ? "yes" : "no");
}

int
main(int argc, char **argv)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (rcu_start_worker()) {
		fputs("liburcu's worker thread does not start\n", stderr);
		return 2;
	}
	if (cores > 2 && cores != 8)
		threads_many[3] = (int)cores;
	patterns_draw();
	describe();
	add_subjects();
	add_own();
	if (add_rust() < 0)
		return 2;
	return bench_main(argc, argv);
}
