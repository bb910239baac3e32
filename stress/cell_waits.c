/* SPDX-License-Identifier: MIT */
/*
 * cell_waits.c - two cases about waiting: handover and waiting
 *
 * Both go in rounds between barriers, so that something is left over to be
 * seen: at the end of a round nobody comes any more whose wake-up could rescue
 * a thread that missed its own.
 *
 * handover, oracles
 *   cycle     In a ring of threads that each hold a cell and ask for the next
 *             one's, exactly one is told -EDEADLK, and its report has as many
 *             parties as the ring. Everybody else gets what it asked for.
 *   order     Where all take cells in one order nobody is told -EDEADLK,
 *             however long the waits and however the handles overlap.
 *   progress  Where they take them in any order, everything goes on.
 *
 * waiting, oracles
 *   wake-up   own_i_slice_ns is 0: a sleeper looks again only when it is woken.
 *             A lost wake-up thus is a thread that stands still for ever.
 *   on time   -ETIMEDOUT comes not before its deadline, nor seconds later.
 *   updates   As many changes in the payload as were made.
 */
#include <sched.h>
#include <string.h>
#include <unistd.h>
#include "handles/internal.h"
#include "stress/cell_stress.h"

#define MINUTE_NS	((uint64_t)60000000000)
#define STEPS_MAX	3u
#define WARM_MAX	8192u

struct count {
	uint64_t n;
	uint64_t twin;
};

OWN_TYPE(count, struct count, .copy = NULL);

enum plan { CYCLE, ORDERED, ANY_ORDER, PLANS_N };

static struct {
	/* set by thread 0 between two barriers */
	int go;
	enum plan plan;
	unsigned ring_n;			/* threads of a ring */
	uint32_t policy;
	unsigned steps;
	/* what came of it */
	uint32_t victims[STRESS_THREADS_MAX];	/* shared: by ring */
	uint64_t updates;			/* shared */
} shared;

static pthread_barrier_t round_barrier;
static struct own_cell exclusive[STRESS_THREADS_MAX];
static struct own_cell versioned[STRESS_THREADS_MAX];
static unsigned cells_n;

static void
meet(struct stress_thread *t)
{
	stress_op(t, K_WAIT_ROUND);
	pthread_barrier_wait(&round_barrier);
}

static void
cells_make(unsigned n, unsigned threads_n)
{
	struct stress_thread t = { .threads_n = threads_n };
	struct own_unique u = { 0 };

	memset(&shared, 0, sizeof shared);
	cells_n = n;
	for (unsigned i = 0; i < n; i++) {
		must(&t, count_new(&u), "own_new");
		must(&t, own_cell_init(&exclusive[i], &count_type,
				OWN_EXCLUSIVE, "exclusive", &u), "cell_init");
		must(&t, count_new(&u), "own_new");
		must(&t, own_cell_init(&versioned[i], &count_type,
				OWN_VERSIONED, "versioned", &u), "cell_init");
	}
	pthread_barrier_init(&round_barrier, NULL, threads_n);
}

static uint64_t
value_of(struct own_cell *cell)
{
	struct count copy;

	if (count_read(cell, &copy) || copy.n != copy.twin)
		stress_fail(NULL, "a torn value, or none, in the end");
	return copy.n;
}

static void
cells_end(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < cells_n; i++) {
		sum += value_of(&exclusive[i]) + value_of(&versioned[i]);
		own_cell_destroy(&exclusive[i]);
		own_cell_destroy(&versioned[i]);
	}
	pthread_barrier_destroy(&round_barrier);
	if (own_barrier() != 0)
		stress_fail(NULL, "values are still held");
	if (sum != shared.updates)
		stress_fail(NULL, "%llu changes made, %llu kept",
				(unsigned long long)shared.updates,
				(unsigned long long)sum);
}

static void
change(struct own_unique *u)
{
	struct count *c = count_edit(u);

	c->n++;
	stress_spin(20);
	c->twin++;
	/* relaxed: a sum */
	own__add(&shared.updates, (uint64_t)1, OWN__RELAXED);
}

static void
look(struct stress_thread *t, const struct own_shared *h)
{
	const struct count *c = count_get(h);

	if (c->n != c->twin)
		stress_fail(t, "reads a value in change");
}

/* Holds on: not at all, for a while, or asleep so that others wait long. */
static void
hold_on(struct stress_thread *t, unsigned long_ns)
{
	switch (stress_below(t, 8)) {
	case 0:
		stress_nap(stress_below(t, long_ns));
		break;
	case 1:
	case 2:
		sched_yield();
		break;
	case 3:
	case 4:
		stress_spin(stress_below(t, 2000));
		break;
	default:
		break;
	}
}

/* ---- handover ---- */

/* A handle of either sort. */
struct hand {
	struct own_unique u;
	struct own_shared s;
};

static void
let_go(struct stress_thread *t, struct hand *h)
{
	if (h->s.object)
		look(t, &h->s);
	own_unique_commit(&h->u);
	own_shared_release(&h->s);
}

static void
check_report(struct stress_thread *t, unsigned parties_min,
		unsigned parties_max)
{
	const struct own_conflict *why = own_conflict_last();
	unsigned n = why ? why->parties_n + why->more_n : 0;

	stress_count(t, K_DEADLOCK);
	if (!why || why->error != -EDEADLK)
		stress_fail(t, "-EDEADLK without a report of it");
	if (n < parties_min || n > parties_max)
		stress_fail(t, "a cycle of %u parties, not %u to %u", n,
				parties_min, parties_max);
	if (why->parties[0].tid != (int32_t)gettid())
		stress_fail(t, "the report does not begin with its caller");
}

/* Bare, or with a deadline that no test lives to see. */
static int
ask(struct stress_thread *t, struct own_cell *cell, int to_share,
		struct hand *ret)
{
	uint64_t deadline_ns = stress_one_in(t, 2) ? 0
		: own_deadline_ns(60 * MINUTE_NS);
	int r;

	if (to_share) {
		stress_op(t, K_SHARE);
		r = deadline_ns ? own_cell_share_timed(cell, deadline_ns,
				&ret->s) : own_cell_share(cell, &ret->s);
	} else {
		stress_op(t, K_CLAIM);
		r = deadline_ns ? own_cell_claim_timed(cell, deadline_ns,
				&ret->u) : own_cell_claim(cell, &ret->u);
		if (!r)
			change(&ret->u);
	}
	if (r && r != -EDEADLK)
		stress_fail(t, "a wait ended with %d", r);
	return r;
}

/*
 * Whether thread @i of a ring holds its cell by a shared handle; the others
 * must know, since a share there would not wait.
 */
static int
holds_shared(unsigned i)
{
	return shared.policy == OWN_EXCLUSIVE && (shared.steps >> i % 8 & 1);
}

static void
cycle_round(struct stress_thread *t)
{
	struct own_cell *cells = shared.policy == OWN_EXCLUSIVE ? exclusive
		: versioned;
	unsigned ring = t->index / shared.ring_n;
	unsigned first = ring * shared.ring_n, next;
	unsigned n = t->threads_n - first < shared.ring_n
		? t->threads_n - first : shared.ring_n;
	struct hand mine = { { 0 }, { 0 } }, other = { { 0 }, { 0 } };

	if (ask(t, &cells[t->index], holds_shared(t->index), &mine))
		stress_fail(t, "-EDEADLK for a cell of its own");
	meet(t);
	if (n > 1) {
		next = first + (t->index - first + 1) % n;
		if (ask(t, &cells[next], shared.policy == OWN_EXCLUSIVE &&
				!holds_shared(next) && stress_one_in(t, 2),
				&other)) {
			check_report(t, n < OWN_PARTIES_MAX ? n :
					OWN_PARTIES_MAX, n);
			/* relaxed: counted after the barrier */
			own__add(&shared.victims[ring], (uint32_t)1,
					OWN__RELAXED);
		}
	}
	let_go(t, &other);
	let_go(t, &mine);
}

static void
cycle_verdict(struct stress_thread *t)
{
	unsigned rings = (t->threads_n + shared.ring_n - 1) / shared.ring_n;
	unsigned n;

	for (unsigned i = 0; i < rings; i++) {
		n = t->threads_n - i * shared.ring_n;
		if (shared.victims[i] != (n > 1))
			stress_fail(t, "%u threads of one cycle were told",
					shared.victims[i]);
		shared.victims[i] = 0;
	}
}

/* Two or three different cells, in order or not. */
static void
several_round(struct stress_thread *t, int in_order)
{
	struct hand h[STEPS_MAX] = { { { 0 }, { 0 } } };
	unsigned at[STEPS_MAX], n = 0, next, i;
	unsigned of = t->threads_n < 4 ? t->threads_n + 1 : 4;
	unsigned want = of < STEPS_MAX ? of : 2 + stress_below(t, 2);

	while (n < want) {
		next = stress_below(t, of);
		for (i = 0; i < n && at[i] != next; i++)
			;
		if (i < n)
			continue;
		for (; in_order && i && at[i - 1] > next; i--)
			at[i] = at[i - 1];
		at[i] = next;
		n++;
	}
	for (i = 0; i < n; i++) {
		if (ask(t, &exclusive[at[i]], stress_one_in(t, 2), &h[i])) {
			if (in_order)
				stress_fail(t, "-EDEADLK though all take cells"
						" in order");
			check_report(t, 2, t->threads_n);
			break;
		}
		hold_on(t, 1500000);
	}
	for (i = n; i; i--)
		let_go(t, &h[(i + t->index) % n]);
}

static void
plan(struct stress_thread *t)
{
	shared.go = stress_running(t);
	shared.plan = (enum plan)stress_below(t, PLANS_N);
	shared.ring_n = 2 + stress_below(t, t->threads_n - 1);
	shared.policy = stress_one_in(t, 3) ? OWN_VERSIONED : OWN_EXCLUSIVE;
	shared.steps = (unsigned)stress_random(t);
}

void
handover_thread(struct stress_thread *t)
{
	enum plan now;

	for (;;) {
		if (t->index == 0)
			plan(t);
		meet(t);
		if (!shared.go)
			return;
		now = shared.plan;
		if (now == CYCLE)
			cycle_round(t);
		else
			for (unsigned n = shared.steps % 8; n; n--)
				several_round(t, now == ORDERED);
		meet(t);
		if (t->index == 0 && now == CYCLE)
			cycle_verdict(t);
	}
}

void
handover_setup(unsigned threads_n)
{
	cells_make(threads_n + 1, threads_n);
}

void
handover_finish(unsigned threads_n)
{
	(void)threads_n;
	cells_end();
}

/* ---- waiting ---- */

static uint64_t slice_ns;

/* Reads until the cell is biased: then writers wait at slots, not counts. */
static void
warm(struct stress_thread *t)
{
	struct own_shared h = { 0 };

	for (unsigned n = 0; n < WARM_MAX; n++) {
		/* relaxed: a look at a private field, for aim only */
		if (own__load(&exclusive->word, OWN__RELAXED) & OWN__BIASED)
			return;
		if (somehow_share(t, exclusive, TRY, &h, NULL))
			return;
		own_shared_release(&h);
	}
}

static void
wait_to_write(struct stress_thread *t, struct own_cell *cell)
{
	struct own_unique u = { 0 };
	struct own_shared h = { 0 };

	if (somehow_claim(t, cell, ANY, &u, NULL))
		return;
	change(&u);
	hold_on(t, 100000);
	if (stress_one_in(t, 4)) {
		stress_op(t, K_DOWNGRADE);
		own_unique_downgrade(&u, &h);
		hold_on(t, 100000);
		look(t, &h);
		own_shared_release(&h);
	} else {
		stress_op(t, K_COMMIT);
		own_unique_commit(&u);
	}
}

static void
wait_to_read(struct stress_thread *t)
{
	struct own_shared h = { 0 }, more = { 0 };
	struct own_unique u = { 0 };
	int clog = stress_one_in(t, 2);

	if (clog)
		stress_clog(t);
	if (somehow_share(t, exclusive, ANY, &h, NULL))
		return;
	look(t, &h);
	hold_on(t, 100000);
	switch (stress_below(t, 6)) {
	case 0:
		stress_op(t, K_UPGRADE);
		if (own_shared_upgrade_try(&h, &u))
			break;
		stress_count(t, K_UPGRADED);
		change(&u);
		hold_on(t, 100000);
		own_unique_commit(&u);
		return;
	case 1:
		stress_op(t, K_CLONE);
		must(t, own_shared_clone(&h, &more), "clone");
		own_shared_release(&h);
		hold_on(t, 100000);
		look(t, &more);
		own_shared_release(&more);
		return;
	case 2:
		stress_op(t, K_DETACH);
		must(t, own_shared_detach(&h), "detach");
		hold_on(t, 100000);
		break;
	default:
		break;
	}
	look(t, &h);
	stress_op(t, K_RELEASE);
	if (clog)
		stress_clog(t);
	own_shared_release(&h);
}

void
waiting_thread(struct stress_thread *t)
{
	for (;;) {
		if (t->index == 0) {
			shared.go = stress_running(t);
			shared.steps = 1 + stress_below(t,
					stress_one_in(t, 8) ? 32 : 4);
		}
		meet(t);
		if (!shared.go)
			return;
		for (unsigned n = shared.steps; n; n--)
			switch (stress_below(t, 12)) {
			case 0:
				warm(t);
				break;
			case 1:
				wait_to_write(t, versioned);
				break;
			case 2:
			case 3:
			case 4:
			case 5:
				wait_to_write(t, exclusive);
				break;
			default:
				wait_to_read(t);
			}
		meet(t);
	}
}

void
waiting_setup(unsigned threads_n)
{
	cells_make(1, threads_n);
	slice_ns = own_i_slice_ns;
	own_i_slice_ns = 0;
}

void
waiting_finish(unsigned threads_n)
{
	(void)threads_n;
	own_i_slice_ns = slice_ns;
	cells_end();
}
