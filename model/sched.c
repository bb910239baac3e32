/* SPDX-License-Identifier: MIT */
/*
 * sched.c - who runs, waiting, time, and the course of a schedule
 *
 * Every operation that another thread could notice begins with a point, where
 * the search may let somebody else go first; what follows up to the next point
 * is one indivisible step.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/state.h"

#define VARIABLES_MAX	32
#define HOOKS_MAX	16
#define STEP_NS		10
#define IDLE_NS		1000
#define IDLE_SHIFT_MAX	20
#define PAUSES_FREE	2
#define STEPS_MAX	20000
#define CANDIDATES_MAX	(3 * THREADS)

struct variable {
	unsigned char *at;
	size_t size, offset;
};

struct own_m_machine own_m_i_machine;

static struct variable variables[VARIABLES_MAX];
static unsigned variable_count;
static size_t variable_size;
static void (*exit_hooks[HOOKS_MAX])(void);
static void (*reset_hooks[HOOKS_MAX])(void);

/* --- who runs ----------------------------------------------------------- */

static void
expire(void)
{
	M.next_deadline_ns = OWN_M_FOREVER;
	for (unsigned i = M.first; i < M.first + M.count; i++) {
		struct thread *t = &M.threads[i];

		if (t->state != SLEEPS || t->deadline_ns == OWN_M_FOREVER)
			continue;
		if (t->deadline_ns <= M.clock_ns) {
			t->state = READY;
			t->result = -ETIMEDOUT;
		} else if (t->deadline_ns < M.next_deadline_ns) {
			M.next_deadline_ns = t->deadline_ns;
		}
	}
}

static void
advance(uint64_t ns)
{
	M.clock_ns += ns;
	if (M.clock_ns >= M.next_deadline_ns)
		expire();
}

static bool
is_paused(const struct thread *t)
{
	return t->paused && (t->paused == M.version + 1 ||
			(t->ahead && t->pauses > PAUSES_FREE));
}

static OWN__COLD OWN__NORETURN void
die_of_deadlock(void)
{
	static const char *const what[] = {
		[SLEEPS] = "sleeps on", [LOCKED] = "waits for mutex",
		[GRACE] = "waits for a grace period",
	};
	char text[1024] = "";
	size_t length = 0;

	for (unsigned i = M.first; i < M.first + M.count; i++) {
		const struct thread *t = &M.threads[i];

		if (t->state == ENDED || length >= sizeof(text))
			continue;
		length += (size_t)snprintf(text + length, sizeof(text) - length,
				"; T%u near %s:%d %s %s", i, t->file, t->line,
				what[t->state], t->state == GRACE ? "" :
				own_m_i_label(t->wait_at));
	}
	own_m_i_die("deadlock%s", text);
}

static void
save_variables(unsigned from)
{
	for (unsigned i = 0; i < variable_count; i++)
		memcpy(M.threads[from].saved + variables[i].offset,
				variables[i].at, variables[i].size);
}

static void
load_variables(unsigned to)
{
	for (unsigned i = 0; i < variable_count; i++)
		memcpy(variables[i].at, M.threads[to].saved +
				variables[i].offset, variables[i].size);
}

static void
go(unsigned next)
{
	unsigned from = M.me;

	if (next != from) {
		save_variables(from);
		load_variables(next);
		for (unsigned i = M.first; i < M.first + M.count; i++)
			M.threads[i].ahead &= ~(1u << next);
		M.me = next;
		own_m_i_fiber_switch(&M.threads[from].fiber,
				&M.threads[next].fiber);
	}
	M.threads[M.me].paused = 0;
}

/* Threads that may go on now that this one does not: a round of all. */
static unsigned
list_free(struct own_m_candidate *c)
{
	unsigned n = 0;

	for (unsigned i = 1; i <= M.count; i++) {
		unsigned other = M.first + (M.me - M.first + i) % M.count;
		const struct thread *t = &M.threads[other];

		if (t->state == READY && !is_paused(t))
			c[n++].thread = (uint8_t)other;
	}
	return n;
}

/* Nobody can go on: makes somebody, or fails. False if all have ended. */
static bool
unstick(void)
{
	bool ended = true, paused = false;

	for (unsigned i = M.first; i < M.first + M.count; i++) {
		ended &= M.threads[i].state == ENDED;
		if (M.threads[i].state == READY) {
			M.threads[i].paused = 0;
			paused = true;
		}
	}
	if (ended)
		return false;
	if (paused) {
		/* spinning alone takes time, and takes more the longer */
		advance((uint64_t)IDLE_NS << M.idle);
		M.idle += M.idle < IDLE_SHIFT_MAX;
		return true;
	}
	if (M.next_deadline_ns == OWN_M_FOREVER)
		die_of_deadlock();
	M.clock_ns = M.next_deadline_ns;
	expire();
	return true;
}

static unsigned
list_paid(struct own_m_candidate *c, unsigned n)
{
	unsigned listed = 0;

	for (unsigned i = 0; i < n; i++)
		listed |= 1u << c[i].thread;
	for (unsigned i = 0; M.preemptions && i < M.count; i++) {
		unsigned other = M.first + (M.me - M.first + i) % M.count;

		if (M.threads[other].state != READY || listed >> other & 1)
			continue;
		c[n].paused = is_paused(&M.threads[other]);
		c[n++].thread = (uint8_t)other;
	}
	for (unsigned i = M.first; (M.timeouts || M.spurious) &&
			i < M.first + M.count; i++) {
		if (M.threads[i].state != SLEEPS)
			continue;
		if (M.timeouts && M.threads[i].deadline_ns != OWN_M_FOREVER) {
			c[n].event = 1;
			c[n++].thread = (uint8_t)i;
		}
		if (M.spurious) {
			c[n].event = 2;
			c[n++].thread = (uint8_t)i;
		}
	}
	return n;
}

/* Lets the search say who goes on. False: all have ended. */
bool
own_m_i_point(enum leave how)
{
	struct own_m_candidate c[CANDIDATES_MAX];
	unsigned n, frees, pick = 0;

	own_m_i_tick();
	if (how == GOES_ON) {
		/* the others were asked already when it was chosen */
		bool fresh = M.threads[M.me].fresh;

		M.threads[M.me].fresh = false;
		if (fresh || M.count == 1 || !(M.preemptions | M.timeouts |
				M.spurious))
			return true;
	}
	memset(c, 0, sizeof(c));
	if (how == GOES_ON) {
		c[0].thread = (uint8_t)M.me;
		n = 1;
	} else {
		while ((n = list_free(c)) == 0)
			if (!unstick())
				return false;
	}
	frees = n;
	n = list_paid(c, n);
	if (n > 1)
		pick = own_m_i_decide(PICK_THREAD, n, c);
	if (c[pick].event == 1) {
		M.timeouts--;
		if (M.clock_ns < M.threads[c[pick].thread].deadline_ns)
			M.clock_ns = M.threads[c[pick].thread].deadline_ns;
		expire();
	} else if (c[pick].event == 2) {
		M.spurious--;
		M.threads[c[pick].thread].state = READY;
		M.threads[c[pick].thread].result = 0;
	} else if (pick >= frees) {
		M.preemptions--;
		M.run->preempted++;
	}
	go(c[pick].thread);
	M.threads[M.me].fresh = how != GOES_ON;
	return true;
}

void
own_m_i_count_step(void)
{
	if (OWN__UNLIKELY(++M.run->steps > M.steps_max))
		own_m_i_die("livelock: more than %u steps", M.steps_max);
	advance(STEP_NS);
}

/* Before anything that another thread could notice. */
void
own_m_i_step(void)
{
	own_m_i_count_step();
	own_m_i_point(GOES_ON);
}

/* The same, if it is only noticed by who accesses the same memory. */
void
own_m_i_step_at(uintptr_t at, bool changes)
{
	bool contended = true;

	own_m_i_count_step();
	if (M.count > 1)
		contended = own_m_i_share_access(M.me, at, changes);
	if (contended || !M.run->reduce)
		own_m_i_point(GOES_ON);
	else
		own_m_i_tick();
}

/* --- waiting ------------------------------------------------------------ */

int
own_m_futex_wait(const uint32_t *addr, uint32_t seen, uint32_t bitset,
		uint64_t deadline_ns)
{
	struct thread *t = &M.threads[M.me];
	uintptr_t at = (uintptr_t)addr;

	own_m_i_check(addr, sizeof(*addr), "futex wait");
	if (M.count > 1)
		own_m_i_share_access(M.me, at, false);
	own_m_i_step();
	own_m_i_check(addr, sizeof(*addr), "futex wait");
	own_m_i_drain(M.me);
	own_m_i_touch(at, sizeof(*addr), 1u << M.me);
	if (*addr != seen) {
		TRACE("wait   %s is %#x, not %#x", own_m_i_label(at), *addr,
				seen);
		return -EAGAIN;
	}
	if (deadline_ns <= M.clock_ns) {
		TRACE("wait   %s, too late", own_m_i_label(at));
		return -ETIMEDOUT;
	}
	TRACE("wait   %s is %#x, sleeps", own_m_i_label(at), seen);
	t->state = SLEEPS;
	t->wait_at = at;
	t->wait_bits = bitset;
	t->deadline_ns = deadline_ns;
	t->slept = ++M.sleeps;
	if (deadline_ns < M.next_deadline_ns)
		M.next_deadline_ns = deadline_ns;
	own_m_i_point(STOPS);
	TRACE("wait   %s %s", own_m_i_label(at), t->result ? "timed out" :
			"woken");
	return t->result;
}

int
own_m_futex_wake(const uint32_t *addr, int n, uint32_t bitset)
{
	int woken = 0;

	own_m_i_step();
	own_m_i_drain(M.me);
	while (woken < n) {
		struct thread *oldest = NULL;

		for (unsigned i = M.first; i < M.first + M.count; i++) {
			struct thread *t = &M.threads[i];

			if (t->state == SLEEPS &&
					t->wait_at == (uintptr_t)addr &&
					t->wait_bits & bitset &&
					(!oldest || t->slept < oldest->slept))
				oldest = t;
		}
		if (!oldest)
			break;
		oldest->state = READY;
		oldest->result = 0;
		woken++;
	}
	TRACE("wake   %s: %d of %d", own_m_i_label((uintptr_t)addr), woken, n);
	return woken;
}

uint64_t
own_m_now(void)
{
	own_m_i_count_step();
	TRACE("now    %" PRIu64, M.clock_ns);
	return M.clock_ns;
}

void
own_m_pause(void)
{
	struct thread *t = &M.threads[M.me];

	own_m_i_count_step();
	TRACE("pause");
	t->paused = M.version + 1;
	t->pauses++;
	t->ahead = 0;
	for (unsigned i = M.first; i < M.first + M.count; i++)
		if (i != M.me && M.threads[i].state == READY &&
				!is_paused(&M.threads[i]))
			t->ahead |= 1u << i;
	own_m_i_demote(M.me);
	own_m_i_point(PAUSES);
}

void
own_m_yield(void)
{
	own_m_i_count_step();
	own_m_i_point(YIELDS);
}

void
own_m_lock(uint32_t *mutex)
{
	struct thread *t = &M.threads[M.me];

	own_m_i_check(mutex, sizeof(*mutex), "lock");
	own_m_i_step();
	own_m_i_drain(M.me);
	while (*mutex) {
		TRACE("lock   %s, waits", own_m_i_label((uintptr_t)mutex));
		t->state = LOCKED;
		t->wait_at = (uintptr_t)mutex;
		own_m_i_point(STOPS);
	}
	own_m_i_check(mutex, sizeof(*mutex), "lock");
	own_m_i_arrived((uintptr_t)mutex, sizeof(*mutex), 1);
	own_m_i_order_rmw(M.me, (uintptr_t)mutex, OWN__ACQUIRE);
	TRACE("lock   %s", own_m_i_label((uintptr_t)mutex));
}

void
own_m_unlock(uint32_t *mutex)
{
	own_m_i_check(mutex, sizeof(*mutex), "unlock");
	if (!*mutex)
		own_m_i_die("unlock of mutex %s, which is not locked",
				own_m_i_label((uintptr_t)mutex));
	own_m_i_step();
	own_m_i_drain(M.me);
	own_m_i_arrived((uintptr_t)mutex, sizeof(*mutex), 0);
	own_m_i_order_rmw(M.me, (uintptr_t)mutex, OWN__RELEASE);
	for (unsigned i = M.first; i < M.first + M.count; i++)
		if (M.threads[i].state == LOCKED &&
				M.threads[i].wait_at == (uintptr_t)mutex)
			M.threads[i].state = READY;
	TRACE("unlock %s", own_m_i_label((uintptr_t)mutex));
}

void
own_m_rcu_lock(void)
{
	struct thread *t = &M.threads[M.me];

	if (t->nesting++ > 0)
		return;
	own_m_i_step();
	t->section = ++M.sections;
	own_m_i_order_rcu_lock(M.me);
	TRACE("rcu lock");
}

static bool
grace_passed(uint64_t start)
{
	for (unsigned i = M.first; i < M.first + M.count; i++)
		if (M.threads[i].nesting && M.threads[i].section <= start)
			return false;
	return true;
}

void
own_m_rcu_unlock(void)
{
	struct thread *t = &M.threads[M.me];

	if (t->nesting == 0)
		own_m_i_die("end of a read section that did not begin");
	if (t->nesting > 1) {
		t->nesting--;
		return;
	}
	own_m_i_step();
	t->nesting = 0;
	own_m_i_order_rcu_unlock(M.me);
	TRACE("rcu unlock");
	for (unsigned i = M.first; i < M.first + M.count; i++)
		if (M.threads[i].state == GRACE &&
				grace_passed(M.threads[i].section))
			M.threads[i].state = READY;
}

void
own_m_rcu_synchronize(void)
{
	struct thread *t = &M.threads[M.me];

	if (t->nesting)
		own_m_i_die("waits for a grace period in a read section");
	own_m_membarrier();
	own_m_i_order_rcu_start(M.me);
	t->section = M.sections;
	TRACE("rcu synchronize");
	if (!grace_passed(t->section)) {
		t->state = GRACE;
		own_m_i_point(STOPS);
	}
	own_m_membarrier();
	own_m_i_order_rcu_end(M.me);
	TRACE("rcu synchronize done");
}

/* --- for scenarios ------------------------------------------------------ */

unsigned
own_m_choose(unsigned n)
{
	return n > 1 ? own_m_i_decide(PICK_VALUE, n, NULL) : 0;
}

unsigned
own_m_self(void)
{
	return M.me;
}

/* --- registration ------------------------------------------------------- */

void
own_m_tls(void *address, size_t size)
{
	struct variable v = { address, size, variable_size };

	for (unsigned i = 0; i < variable_count; i++)
		if (variables[i].at == v.at)
			return;
	if (variable_count == VARIABLES_MAX || size > SAVE_SIZE - v.offset)
		own_m_i_die("too many thread-local variables");
	variables[variable_count++] = v;
	variable_size += size;
}

static void
add_hook(void (**hooks)(void), void (*fn)(void))
{
	for (unsigned i = 0; i < HOOKS_MAX; i++) {
		if (!hooks[i])
			hooks[i] = fn;
		if (hooks[i] == fn)
			return;
	}
	own_m_i_die("too many hooks");
}

void
own_m_at_thread_exit(void (*fn)(void))
{
	add_hook(exit_hooks, fn);
}

void
own_m_at_reset(void (*fn)(void))
{
	add_hook(reset_hooks, fn);
}

/* --- a schedule --------------------------------------------------------- */

static OWN__NORETURN void
run_thread(void)
{
	const struct own_m_scenario *s = M.run->scenario;
	struct own_m_fiber dead;

	for (unsigned i = 0; M.me == s->threads && i < HOOKS_MAX &&
			reset_hooks[i]; i++)
		reset_hooks[i]();
	if (M.me < s->threads)
		s->thread(M.me);
	else if (M.me == s->threads && s->setup)
		s->setup();
	else if (M.me > s->threads && s->finish)
		s->finish();
	for (unsigned i = 0; i < HOOKS_MAX && exit_hooks[i]; i++)
		exit_hooks[i]();
	if (M.threads[M.me].nesting)
		own_m_i_die("a thread ends in a read section");
	if (M.me > s->threads && !(s->flags & OWN_M_LEAKS))
		own_m_i_heap_leaks();
	TRACE("end");
	M.threads[M.me].state = ENDED;
	/* whoever is the last one sees to the stores left behind */
	while (own_m_i_point(STOPS))
		;
	for (unsigned i = M.first; i < M.first + M.count; i++)
		own_m_i_drain(i);
	own_m_i_fiber_switch(&dead, &M.host);
	abort();
}

/* Runs threads from to from + n - 1 until all have ended or one failed. */
static void
run_phase(unsigned from, unsigned n)
{
	struct own_m_candidate c[THREADS];

	M.first = from;
	M.count = n;
	M.next_deadline_ns = OWN_M_FOREVER;
	memset(c, 0, sizeof(c));
	for (unsigned i = 0; i < n; i++) {
		struct thread *t = &M.threads[from + i];

		own_m_i_fiber_make(&t->fiber, own_m_i_stack_top(from + i),
				run_thread);
		t->state = READY;
		t->fresh = true;
		memset(t->saved, 0, variable_size);
		c[i].thread = (uint8_t)(from + i);
	}
	M.me = from;
	M.inside = true;
	own_m_i_tick();
	if (n > 1)
		M.me = c[own_m_i_decide(PICK_THREAD, n, c)].thread;
	load_variables(M.me);
	own_m_i_fiber_switch(&M.host, &M.threads[M.me].fiber);
	M.inside = false;
	own_m_i_order_join_all();
}

static unsigned
allowance(unsigned number, unsigned otherwise)
{
	return number == OWN_M_NONE ? 0 : number ? number : otherwise;
}

void
own_m_i_run(struct own_m_run *r)
{
	const struct own_m_scenario *s = r->scenario;

	M.run = r;
	own_m_i_catch_signals();
	M.preemptions = r->preemptions;
	M.delays = r->delays;
	M.timeouts = allowance(s->timeouts, 0);
	M.spurious = allowance(s->spurious, 0);
	M.alloc_failures = allowance(s->alloc_failures, 0);
	M.steps_max = allowance(s->steps_max, STEPS_MAX);
	r->preempted = 0;
	r->delayed = 0;
	r->steps = 0;
	r->failed = false;
	M.fail_alloc = 0;
	M.clock_ns = 1000000000;
	M.version = 0;
	M.sleeps = 0;
	M.sections = 0;
	M.idle = 0;
	own_m_i_forget_names();
	for (unsigned i = 0; i < THREADS; i++)
		memset(&M.threads[i], 0, offsetof(struct thread, buffer));
	own_m_i_heap_reset(s->flags & OWN_M_REUSE);
	own_m_i_order_reset();
	own_m_i_share_begin();
	run_phase(s->threads, 1);
	if (!r->failed)
		run_phase(0, s->threads);
	if (!r->failed)
		run_phase(s->threads + 1, 1);
}
