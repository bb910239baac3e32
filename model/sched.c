/* SPDX-License-Identifier: MIT */
/*
 * sched.c - threads, store buffers, waiting and time of the model
 *
 * Every operation that another thread could notice begins with a point, where
 * the search may let somebody else go first; what follows up to the next point
 * is one indivisible step. A store enters its thread's buffer. It reaches
 * memory when the thread drains, when the buffer is full, or on demand: before
 * any access to the same bytes by another thread the search chooses how many
 * of the buffered stores to them are still missing. Nobody can tell this from
 * stores that arrive at any other moment, so there is nothing to choose as
 * long as nobody looks.
 *
 * Under PSO a store arrives ahead of older ones in the same buffer, unless one
 * of those is to the same bytes or the store itself releases. There, a
 * read-modify-write that does not release leaves the buffer as it is.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/engine.h"

#define BUFFER_MAX	8
#define VARIABLES_MAX	32
#define SAVE_SIZE	4096
#define HOOKS_MAX	16
#define NAMES_MAX	256
#define STEP_NS		10
#define IDLE_NS		1000
#define IDLE_SHIFT_MAX	20
#define PAUSES_FREE	2
#define STEPS_MAX	20000
#define CANDIDATES_MAX	(3 * THREADS)

struct store {
	uintptr_t at;
	unsigned size;
	bool releases;
	uint64_t value;
	struct own_m_clock clock;	/* if it releases */
};

enum state { ENDED, READY, SLEEPS, LOCKED, GRACE };

struct thread {
	struct own_m_fiber fiber;
	enum state state;
	bool fresh;			/* chosen, and not noticed since */
	unsigned stored;		/* in the buffer, oldest first */
	const char *file;		/* last place seen */
	int line;
	/* asleep, on a futex or a mutex */
	uintptr_t wait_at;
	uint32_t wait_bits;
	uint64_t deadline_ns;
	uint64_t slept;			/* order of falling asleep */
	int result;
	/* paused: the version of memory at that moment, plus one */
	uint64_t paused;
	unsigned pauses;
	unsigned ahead;			/* who has to go before, by bit */
	/* read section, or grace period waited for */
	unsigned nesting;
	uint64_t section;
	struct store buffer[BUFFER_MAX];
	unsigned char saved[SAVE_SIZE];
};

struct variable {
	unsigned char *at;
	size_t size, offset;
};

struct name {
	uintptr_t at;
	size_t size;
	const char *text;
};

enum leave { GOES_ON, YIELDS, PAUSES, STOPS };

static struct thread threads[THREADS];
static struct variable variables[VARIABLES_MAX];
static unsigned variable_count;
static size_t variable_size;
static void (*exit_hooks[HOOKS_MAX])(void);
static void (*reset_hooks[HOOKS_MAX])(void);
static struct name names[NAMES_MAX];
static unsigned name_count;

/* The schedule. */
static struct own_m_run *run;
static struct own_m_fiber host;
static bool inside;			/* a model thread is running */
static unsigned me;
static unsigned first, count;		/* threads that run in this phase */
static unsigned preemptions, delays, timeouts, spurious, alloc_failures;
static unsigned fail_alloc;
static unsigned steps_max;
static uint64_t clock_ns, next_deadline_ns;
static uint64_t version;		/* of memory: counts changes */
static uint64_t sleeps, sections;
static unsigned idle;			/* rounds without any change */

char own_m_i_failure[2048];

/* --- reports ------------------------------------------------------------ */

bool
own_m_i_tracing(void)
{
	return run->trace;
}

void
own_m_i_place(const char **ret_file, int *ret_line)
{
	*ret_file = threads[me].file ? threads[me].file : "start";
	*ret_line = threads[me].line;
}

static void
place(const char *file, int line)
{
	threads[me].file = file;
	threads[me].line = line;
}

const char *
own_m_i_label(uint64_t address)
{
	extern const char __executable_start[];
	static char labels[8][80];
	static unsigned next;
	char *text = labels[next++ % 8];
	uintptr_t p = (uintptr_t)address;
	size_t offset;
	unsigned block;
	int stack = own_m_i_stack_find(p, &offset);

	for (unsigned i = 0; i < name_count; i++) {
		const struct name *n = &names[i];

		if (p - n->at >= n->size)
			continue;
		if (p == n->at)
			return n->text;
		snprintf(text, sizeof(labels[0]), "%s+%#zx", n->text,
				(size_t)(p - n->at));
		return text;
	}
	if (stack >= 0)
		snprintf(text, sizeof(labels[0]), "T%d.stack-%#zx", stack,
				offset);
	else if (own_m_i_in_arena(p) && (block = own_m_i_heap_find(p,
			&offset)) > 0)
		snprintf(text, sizeof(labels[0]), "#%u+%#zx", block, offset);
	else if (own_m_i_in_arena(p))
		snprintf(text, sizeof(labels[0]), "arena+%#tx", p - ARENA_BASE);
	else
		snprintf(text, sizeof(labels[0]), "global+%#tx",
				(const char *)p - __executable_start);
	return text;
}

static const char *
show(uint64_t value)
{
	static char texts[4][32];
	static unsigned next;
	char *text = texts[next++ % 4];
	size_t below;

	if (own_m_i_in_arena(value) ||
			own_m_i_stack_find((uintptr_t)value, &below) >= 0)
		return own_m_i_label(value);
	snprintf(text, sizeof(texts[0]), "%#" PRIx64, value);
	return text;
}

static const char *
order_name(int order)
{
	switch (order) {
	case OWN__RELAXED:
		return "relaxed";
	case OWN__ACQUIRE:
		return "acquire";
	case OWN__RELEASE:
		return "release";
	case OWN__ACQ_REL:
		return "acq_rel";
	default:
		return "seq_cst";
	}
}

static __attribute__((format(printf, 1, 2))) void
trace(const char *format, ...)
{
	va_list arguments;

	printf("%6u T%u %s:%d ", run->steps, me,
			threads[me].file ? threads[me].file : "start",
			threads[me].line);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

#define TRACE(...)							\
	do {								\
		if (OWN__UNLIKELY(run->trace))				\
			trace(__VA_ARGS__);				\
	} while (0)

static OWN__NORETURN void
leave_failed(void)
{
	struct own_m_fiber dead;

	if (!inside) {
		fprintf(stderr, "own_model: outside any scenario: %s\n",
				own_m_i_failure);
		abort();
	}
	run->failed = true;
	TRACE("FAILURE %s", own_m_i_failure);
	own_m_i_fiber_switch(&dead, &host);
	abort();
}

void
own_m_i_die(const char *format, ...)
{
	va_list arguments;
	size_t length = 0;

	if (inside)
		length = (size_t)snprintf(own_m_i_failure,
				sizeof(own_m_i_failure), "T%u near %s:%d: ",
				me, threads[me].file ? threads[me].file :
				"start", threads[me].line);
	va_start(arguments, format);
	vsnprintf(own_m_i_failure + length, sizeof(own_m_i_failure) - length,
			format, arguments);
	va_end(arguments);
	leave_failed();
}

void
own_m_fail_at(const char *text, const char *file, int line)
{
	place(file, line);
	own_m_i_die("%s", text);
}

void
own_m_note(const char *format, ...)
{
	va_list arguments;

	if (!run || !run->trace)
		return;
	printf("%6u T%u ", run->steps, me);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

void
own_m_name(const void *address, size_t size, const char *name)
{
	if (run && run->trace && name_count < NAMES_MAX)
		names[name_count++] = (struct name){ (uintptr_t)address, size,
			name };
}

/* A crash is a failure of the schedule that led to it. */
static void
on_signal(int number)
{
	if (!inside) {
		signal(number, SIG_DFL);
		raise(number);
	}
	own_m_i_die("%s", number == SIGABRT ? "abort" :
			number == SIGFPE ? "arithmetic fault" :
			"access to an address that is not mapped");
}

static void
catch_signals(void)
{
	static const int numbers[] = { SIGSEGV, SIGBUS, SIGFPE, SIGABRT };
	static char stack[64 << 10];
	static bool done;
	struct sigaction action = { .sa_handler = on_signal,
		.sa_flags = SA_ONSTACK | SA_NODEFER };
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };

	if (done)
		return;
	done = true;
	sigaltstack(&alternate, NULL);
	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaction(numbers[i], &action, NULL);
}

/* --- who runs ----------------------------------------------------------- */

static void
expire(void)
{
	next_deadline_ns = OWN_M_FOREVER;
	for (unsigned i = first; i < first + count; i++) {
		struct thread *t = &threads[i];

		if (t->state != SLEEPS || t->deadline_ns == OWN_M_FOREVER)
			continue;
		if (t->deadline_ns <= clock_ns) {
			t->state = READY;
			t->result = -ETIMEDOUT;
		} else if (t->deadline_ns < next_deadline_ns) {
			next_deadline_ns = t->deadline_ns;
		}
	}
}

static void
advance(uint64_t ns)
{
	clock_ns += ns;
	if (clock_ns >= next_deadline_ns)
		expire();
}

static bool
is_paused(const struct thread *t)
{
	return t->paused && (t->paused == version + 1 ||
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

	for (unsigned i = first; i < first + count; i++) {
		const struct thread *t = &threads[i];

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
		memcpy(threads[from].saved + variables[i].offset,
				variables[i].at, variables[i].size);
}

static void
load_variables(unsigned to)
{
	for (unsigned i = 0; i < variable_count; i++)
		memcpy(variables[i].at, threads[to].saved +
				variables[i].offset, variables[i].size);
}

static void
go(unsigned next)
{
	unsigned from = me;

	if (next != from) {
		save_variables(from);
		load_variables(next);
		for (unsigned i = first; i < first + count; i++)
			threads[i].ahead &= ~(1u << next);
		me = next;
		own_m_i_fiber_switch(&threads[from].fiber,
				&threads[next].fiber);
	}
	threads[me].paused = 0;
}

/* Threads that may go on now that this one does not: a round of all. */
static unsigned
list_free(struct own_m_candidate *c)
{
	unsigned n = 0;

	for (unsigned i = 1; i <= count; i++) {
		unsigned other = first + (me - first + i) % count;
		const struct thread *t = &threads[other];

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

	for (unsigned i = first; i < first + count; i++) {
		ended &= threads[i].state == ENDED;
		if (threads[i].state == READY) {
			threads[i].paused = 0;
			paused = true;
		}
	}
	if (ended)
		return false;
	if (paused) {
		/* spinning alone takes time, and takes more the longer */
		advance((uint64_t)IDLE_NS << idle);
		idle += idle < IDLE_SHIFT_MAX;
		return true;
	}
	if (next_deadline_ns == OWN_M_FOREVER)
		die_of_deadlock();
	clock_ns = next_deadline_ns;
	expire();
	return true;
}

static unsigned
list_paid(struct own_m_candidate *c, unsigned n)
{
	unsigned listed = 0;

	for (unsigned i = 0; i < n; i++)
		listed |= 1u << c[i].thread;
	for (unsigned i = 0; preemptions && i < count; i++) {
		unsigned other = first + (me - first + i) % count;

		if (threads[other].state != READY || listed >> other & 1)
			continue;
		c[n].paused = is_paused(&threads[other]);
		c[n++].thread = (uint8_t)other;
	}
	for (unsigned i = first; (timeouts || spurious) &&
			i < first + count; i++) {
		if (threads[i].state != SLEEPS)
			continue;
		if (timeouts && threads[i].deadline_ns != OWN_M_FOREVER) {
			c[n].event = 1;
			c[n++].thread = (uint8_t)i;
		}
		if (spurious) {
			c[n].event = 2;
			c[n++].thread = (uint8_t)i;
		}
	}
	return n;
}

/* Lets the search say who goes on. False: all have ended. */
static bool
point(enum leave how)
{
	struct own_m_candidate c[CANDIDATES_MAX];
	unsigned n, frees, pick = 0;

	own_m_i_tick();
	if (how == GOES_ON) {
		/* the others were asked already when it was chosen */
		bool fresh = threads[me].fresh;

		threads[me].fresh = false;
		if (fresh || count == 1 || !(preemptions | timeouts | spurious))
			return true;
	}
	memset(c, 0, sizeof(c));
	if (how == GOES_ON) {
		c[0].thread = (uint8_t)me;
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
		timeouts--;
		if (clock_ns < threads[c[pick].thread].deadline_ns)
			clock_ns = threads[c[pick].thread].deadline_ns;
		expire();
	} else if (c[pick].event == 2) {
		spurious--;
		threads[c[pick].thread].state = READY;
		threads[c[pick].thread].result = 0;
	} else if (pick >= frees) {
		preemptions--;
		run->preempted++;
	}
	go(c[pick].thread);
	threads[me].fresh = how != GOES_ON;
	return true;
}

static void
count_step(void)
{
	if (OWN__UNLIKELY(++run->steps > steps_max))
		own_m_i_die("livelock: more than %u steps", steps_max);
	advance(STEP_NS);
}

/* Before anything that another thread could notice. */
static void
step(void)
{
	count_step();
	point(GOES_ON);
}

/* The same, if it is only noticed by who accesses the same memory. */
static void
step_at(uintptr_t at, bool changes)
{
	bool contended = true;

	count_step();
	if (count > 1)
		contended = own_m_i_share_access(me, at, changes);
	if (contended || !run->reduce)
		point(GOES_ON);
	else
		own_m_i_tick();
}

/* --- memory ------------------------------------------------------------- */

static uint64_t
memory_load(uintptr_t at, unsigned size)
{
	switch (size) {
	case 1:
		return *(const uint8_t *)at;
	case 2:
		return *(const uint16_t *)at;
	case 4:
		return *(const uint32_t *)at;
	default:
		return *(const uint64_t *)at;
	}
}

static void
memory_store(uintptr_t at, unsigned size, uint64_t value)
{
	switch (size) {
	case 1:
		*(uint8_t *)at = (uint8_t)value;
		break;
	case 2:
		*(uint16_t *)at = (uint16_t)value;
		break;
	case 4:
		*(uint32_t *)at = (uint32_t)value;
		break;
	default:
		*(uint64_t *)at = value;
		break;
	}
	version++;
	idle = 0;
}

static void
check(const void *p, unsigned size, const char *what)
{
	if (OWN__UNLIKELY(!inside))
		own_m_i_die("%s of shared memory", what);
	if (OWN__UNLIKELY((uintptr_t)p % size))
		own_m_i_die("misaligned %s of %u bytes at %s", what, size,
				own_m_i_label((uintptr_t)p));
	if (own_m_i_in_arena((uintptr_t)p))
		own_m_i_heap_check((uintptr_t)p, size, what);
}

static bool
overlaps(const struct store *s, uintptr_t at, size_t size)
{
	return s->at < at + size && at < s->at + s->size;
}

static void touch(uintptr_t at, unsigned size, unsigned but);

static void
remove_store(struct thread *t, unsigned i)
{
	t->stored--;
	memmove(&t->buffer[i], &t->buffer[i + 1],
			(t->stored - i) * sizeof(t->buffer[0]));
}

/* Store i of the thread's buffer arrives, and what must come before it. */
static void
arrive(unsigned thread, unsigned i, unsigned but)
{
	struct thread *t = &threads[thread];
	unsigned need = 1u << i;

	for (unsigned j = i + 1; j-- > 0;) {
		if (!(need >> j & 1))
			continue;
		for (unsigned k = 0; k < j; k++)
			if (!run->pso || t->buffer[j].releases ||
					overlaps(&t->buffer[k], t->buffer[j].at,
					t->buffer[j].size))
				need |= 1u << k;
	}
	for (unsigned j = 0; need; need >>= 1) {
		struct store s = t->buffer[j];

		if (!(need & 1)) {
			j++;
			continue;
		}
		remove_store(t, j);
		if (own_m_i_in_arena(s.at))
			own_m_i_heap_check(s.at, s.size, "buffered store");
		touch(s.at, s.size, but | 1u << thread);
		memory_store(s.at, s.size, s.value);
		own_m_i_order_store(s.at, s.releases ? &s.clock : NULL);
		TRACE("     T%u's store to %s arrives: %s", thread,
				own_m_i_label(s.at), show(s.value));
	}
}

static void
drain(unsigned thread)
{
	while (threads[thread].stored)
		arrive(thread, 0, 1u << thread);
}

/* How many of the thread's buffered stores are to these bytes. */
static unsigned
pending(unsigned thread, uintptr_t at, unsigned size)
{
	unsigned n = 0;

	for (unsigned i = 0; i < threads[thread].stored; i++)
		n += overlaps(&threads[thread].buffer[i], at, size);
	return n;
}

/* The thread's stores to these bytes arrive, all but as many as are late. */
static void
touch_one(unsigned thread, uintptr_t at, unsigned size, unsigned but)
{
	struct thread *t = &threads[thread];
	unsigned n = pending(thread, at, size), late = 0;

	if (delays)
		late = own_m_i_decide(PICK_STORES, n + 1, NULL);
	if (late) {
		delays--;
		run->delayed++;
		TRACE("     T%u's last %u stores to %s are not seen", thread,
				late, own_m_i_label(at));
	}
	if (late == n)
		return;
	for (unsigned i = t->stored; i-- > 0;) {
		if (!overlaps(&t->buffer[i], at, size) || late-- > 0)
			continue;
		arrive(thread, i, but);
		return;
	}
}

/*
 * Somebody looks at these bytes, or changes them: what others have stored
 * there may have arrived, or may not. but: threads not to be asked, by bit.
 */
static void
touch(uintptr_t at, unsigned size, unsigned but)
{
	unsigned found[THREADS], n = 0;

	for (unsigned i = first; i < first + count; i++)
		if (threads[i].stored && !(but >> i & 1) &&
				pending(i, at, size))
			found[n++] = i;
	while (n > 0) {
		unsigned pick = n > 1 ? own_m_i_decide(PICK_VALUE, n, NULL) : 0;
		unsigned other = found[pick];

		found[pick] = found[--n];
		/* what arrived for another one may have brought these along */
		if (pending(other, at, size))
			touch_one(other, at, size, but);
	}
}

/*
 * The newest own store to these bytes, if it covers all of them; one that
 * covers a part is made to arrive.
 */
static const struct store *
forwarded(uintptr_t at, unsigned size)
{
	struct thread *t = &threads[me];

	for (unsigned i = t->stored; i-- > 0;) {
		const struct store *s = &t->buffer[i];

		if (!overlaps(s, at, size))
			continue;
		if (s->at == at && s->size == size)
			return s;
		arrive(me, i, 1u << me);
		return NULL;
	}
	return NULL;
}

/* Own stores that a read-modify-write of these bytes is not to overtake. */
static void
settle(uintptr_t at, unsigned size, int order)
{
	struct thread *t = &threads[me];

	if (!run->pso || own_m_i_releases(order))
		drain(me);
	for (unsigned i = t->stored; i-- > 0;) {
		if (!overlaps(&t->buffer[i], at, size))
			continue;
		arrive(me, i, 1u << me);
		break;
	}
}

uint64_t
own_m_load(const void *p, unsigned size, int order, const char *file, int line)
{
	uintptr_t at = (uintptr_t)p;
	const struct store *s;
	uint64_t value;

	place(file, line);
	check(p, size, "load");
	s = forwarded(at, size);
	if (s) {
		/* nobody notices this, and it depends on nobody */
		count_step();
		TRACE("load   %s = %s %s, own store", own_m_i_label(at),
				show(s->value), order_name(order));
		return s->value;
	}
	step_at(at, false);
	check(p, size, "load");
	touch(at, size, 1u << me);
	value = memory_load(at, size);
	if (own_m_i_acquires(order))
		own_m_i_order_acquire(me, at);
	TRACE("load   %s = %s %s", own_m_i_label(at), show(value),
			order_name(order));
	return value;
}

void
own_m_store(void *p, unsigned size, uint64_t v, int order, const char *file,
		int line)
{
	uintptr_t at = (uintptr_t)p;
	struct store s = { .at = at, .size = size, .value = v };
	struct thread *t = &threads[me];

	place(file, line);
	check(p, size, "store");
	step_at(at, true);
	check(p, size, "store");
	TRACE("store  %s = %s %s", own_m_i_label(at), show(v),
			order_name(order));
	if (own_m_i_releases(order)) {
		s.releases = true;
		own_m_i_order_release(me, &s.clock);
	}
	if (order == OWN__SEQ_CST || count == 1) {
		drain(me);
		touch(at, size, 1u << me);
		memory_store(at, size, v);
		own_m_i_order_store(at, s.releases ? &s.clock : NULL);
		return;
	}
	if (t->stored == BUFFER_MAX)
		arrive(me, 0, 1u << me);
	t->buffer[t->stored++] = s;
}

uint64_t
own_m_rmw(void *p, unsigned size, enum own_m_rmw_op op, uint64_t v, int order,
		const char *file, int line)
{
	static const char *const op_names[] = {
		[OWN_M_XCHG] = "xchg", [OWN_M_ADD] = "add", [OWN_M_OR] = "or",
		[OWN_M_AND] = "and",
	};
	uintptr_t at = (uintptr_t)p;
	uint64_t old, value;

	place(file, line);
	check(p, size, op_names[op]);
	step_at(at, true);
	check(p, size, op_names[op]);
	settle(at, size, order);
	touch(at, size, 1u << me);
	old = memory_load(at, size);
	value = op == OWN_M_XCHG ? v : op == OWN_M_ADD ? old + v :
			op == OWN_M_OR ? (old | v) : (old & v);
	memory_store(at, size, value);
	own_m_i_order_rmw(me, at, order);
	TRACE("%-6s %s = %s, was %s %s", op_names[op], own_m_i_label(at),
			show(memory_load(at, size)), show(old),
			order_name(order));
	return old;
}

int
own_m_cas(void *p, unsigned size, void *expected, uint64_t desired, int order,
		const char *file, int line)
{
	uintptr_t at = (uintptr_t)p;
	uint64_t old, wanted;

	place(file, line);
	check(p, size, "cas");
	step_at(at, true);
	check(p, size, "cas");
	settle(at, size, order);
	touch(at, size, 1u << me);
	old = memory_load(at, size);
	wanted = memory_load((uintptr_t)expected, size);
	if (old != wanted) {
		if (own_m_i_acquires(order))
			own_m_i_order_acquire(me, at);
		memcpy(expected, (const void *)at, size);
		TRACE("cas    %s is %s, not %s %s", own_m_i_label(at),
				show(old), show(wanted), order_name(order));
		return 0;
	}
	memory_store(at, size, desired);
	own_m_i_order_rmw(me, at, order);
	TRACE("cas    %s = %s, was %s %s", own_m_i_label(at), show(desired),
			show(old), order_name(order));
	return 1;
}

/*
 * Each thread executes its barrier at some moment of the call. An early one
 * forces least, so that of a thread without buffered stores is over at once;
 * stores that are there may stay for a while yet, in any order of threads.
 */
void
own_m_membarrier(void)
{
	unsigned left[THREADS], n = 0;

	step();
	drain(me);
	TRACE("membarrier");
	for (unsigned i = first; i < first + count; i++) {
		if (i != me && threads[i].stored)
			left[n++] = i;
		else if (i != me)
			own_m_i_order_fence(me, i);
	}
	while (n > 0) {
		unsigned pick = n > 1 ? own_m_i_decide(PICK_VALUE, n, NULL) : 0;
		unsigned other = left[pick];

		left[pick] = left[--n];
		point(GOES_ON);
		drain(other);
		own_m_i_order_fence(me, other);
	}
	TRACE("membarrier done");
}

/* --- waiting ------------------------------------------------------------ */

int
own_m_futex_wait(const uint32_t *addr, uint32_t seen, uint32_t bitset,
		uint64_t deadline_ns)
{
	struct thread *t = &threads[me];
	uintptr_t at = (uintptr_t)addr;

	check(addr, sizeof(*addr), "futex wait");
	if (count > 1)
		own_m_i_share_access(me, at, false);
	step();
	check(addr, sizeof(*addr), "futex wait");
	drain(me);
	touch(at, sizeof(*addr), 1u << me);
	if (*addr != seen) {
		TRACE("wait   %s is %#x, not %#x", own_m_i_label(at), *addr,
				seen);
		return -EAGAIN;
	}
	if (deadline_ns <= clock_ns) {
		TRACE("wait   %s, too late", own_m_i_label(at));
		return -ETIMEDOUT;
	}
	TRACE("wait   %s is %#x, sleeps", own_m_i_label(at), seen);
	t->state = SLEEPS;
	t->wait_at = at;
	t->wait_bits = bitset;
	t->deadline_ns = deadline_ns;
	t->slept = ++sleeps;
	if (deadline_ns < next_deadline_ns)
		next_deadline_ns = deadline_ns;
	point(STOPS);
	TRACE("wait   %s %s", own_m_i_label(at), t->result ? "timed out" :
			"woken");
	return t->result;
}

int
own_m_futex_wake(const uint32_t *addr, int n, uint32_t bitset)
{
	int woken = 0;

	step();
	drain(me);
	while (woken < n) {
		struct thread *oldest = NULL;

		for (unsigned i = first; i < first + count; i++) {
			struct thread *t = &threads[i];

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
	count_step();
	TRACE("now    %" PRIu64, clock_ns);
	return clock_ns;
}

void
own_m_pause(void)
{
	struct thread *t = &threads[me];

	count_step();
	TRACE("pause");
	t->paused = version + 1;
	t->pauses++;
	t->ahead = 0;
	for (unsigned i = first; i < first + count; i++)
		if (i != me && threads[i].state == READY &&
				!is_paused(&threads[i]))
			t->ahead |= 1u << i;
	own_m_i_demote(me);
	point(PAUSES);
}

void
own_m_yield(void)
{
	count_step();
	point(YIELDS);
}

void
own_m_lock(uint32_t *mutex)
{
	struct thread *t = &threads[me];

	check(mutex, sizeof(*mutex), "lock");
	step();
	drain(me);
	while (*mutex) {
		TRACE("lock   %s, waits", own_m_i_label((uintptr_t)mutex));
		t->state = LOCKED;
		t->wait_at = (uintptr_t)mutex;
		point(STOPS);
	}
	check(mutex, sizeof(*mutex), "lock");
	memory_store((uintptr_t)mutex, sizeof(*mutex), 1);
	own_m_i_order_rmw(me, (uintptr_t)mutex, OWN__ACQUIRE);
	TRACE("lock   %s", own_m_i_label((uintptr_t)mutex));
}

void
own_m_unlock(uint32_t *mutex)
{
	check(mutex, sizeof(*mutex), "unlock");
	if (!*mutex)
		own_m_i_die("unlock of mutex %s, which is not locked",
				own_m_i_label((uintptr_t)mutex));
	step();
	drain(me);
	memory_store((uintptr_t)mutex, sizeof(*mutex), 0);
	own_m_i_order_rmw(me, (uintptr_t)mutex, OWN__RELEASE);
	for (unsigned i = first; i < first + count; i++)
		if (threads[i].state == LOCKED &&
				threads[i].wait_at == (uintptr_t)mutex)
			threads[i].state = READY;
	TRACE("unlock %s", own_m_i_label((uintptr_t)mutex));
}

void
own_m_rcu_lock(void)
{
	struct thread *t = &threads[me];

	if (t->nesting++ > 0)
		return;
	step();
	t->section = ++sections;
	own_m_i_order_rcu_lock(me);
	TRACE("rcu lock");
}

static bool
grace_passed(uint64_t start)
{
	for (unsigned i = first; i < first + count; i++)
		if (threads[i].nesting && threads[i].section <= start)
			return false;
	return true;
}

void
own_m_rcu_unlock(void)
{
	struct thread *t = &threads[me];

	if (t->nesting == 0)
		own_m_i_die("end of a read section that did not begin");
	if (t->nesting > 1) {
		t->nesting--;
		return;
	}
	step();
	t->nesting = 0;
	own_m_i_order_rcu_unlock(me);
	TRACE("rcu unlock");
	for (unsigned i = first; i < first + count; i++)
		if (threads[i].state == GRACE &&
				grace_passed(threads[i].section))
			threads[i].state = READY;
}

void
own_m_rcu_synchronize(void)
{
	struct thread *t = &threads[me];

	if (t->nesting)
		own_m_i_die("waits for a grace period in a read section");
	own_m_membarrier();
	own_m_i_order_rcu_start(me);
	t->section = sections;
	TRACE("rcu synchronize");
	if (!grace_passed(t->section)) {
		t->state = GRACE;
		point(STOPS);
	}
	own_m_membarrier();
	own_m_i_order_rcu_end(me);
	TRACE("rcu synchronize done");
}

/* --- for scenarios, and memory ------------------------------------------ */

void
own_m_read_at(const void *p, size_t size, const char *file, int line)
{
	place(file, line);
	step();
	own_m_i_heap_check((uintptr_t)p, size, "plain read");
	own_m_i_order_read(me, (uintptr_t)p, size);
	TRACE("read   %s, %zu bytes, plain", own_m_i_label((uintptr_t)p), size);
}

void
own_m_write_at(const void *p, size_t size, const char *file, int line)
{
	place(file, line);
	step();
	own_m_i_heap_check((uintptr_t)p, size, "plain write");
	own_m_i_order_write(me, (uintptr_t)p, size);
	TRACE("write  %s, %zu bytes, plain", own_m_i_label((uintptr_t)p), size);
}

void
own_m_fail_alloc(unsigned n)
{
	fail_alloc = n;
}

void *
own_m_alloc(size_t size, size_t align)
{
	bool reused;
	void *p;

	if (!inside)
		own_m_i_die("allocation");
	if (fail_alloc && --fail_alloc == 0) {
		TRACE("alloc  fails as asked for");
		return NULL;
	}
	if (alloc_failures && own_m_i_decide(PICK_RARE, 2, NULL)) {
		alloc_failures--;
		TRACE("alloc  fails");
		return NULL;
	}
	p = own_m_i_heap_alloc(size, align, &reused);
	own_m_i_order_alloc(me, (uintptr_t)p, reused);
	TRACE("alloc  %s, %zu bytes", own_m_i_label((uintptr_t)p), size);
	return p;
}

void
own_m_free(void *p)
{
	size_t size;

	if (!p)
		return;
	TRACE("free   %s", own_m_i_label((uintptr_t)p));
	threads[me].fresh = false;
	size = own_m_i_heap_size(p);
	for (unsigned i = first; i < first + count; i++) {
		struct thread *t = &threads[i];

		for (unsigned j = t->stored; j-- > 0;) {
			if (!overlaps(&t->buffer[j], (uintptr_t)p, size))
				continue;
			if (i != me)
				own_m_i_die("free of %s, to which T%u's store "
						"is still on its way",
						own_m_i_label((uintptr_t)p), i);
			remove_store(t, j);
		}
	}
	if (count > 1)
		own_m_i_share_free(me, (uintptr_t)p, size);
	own_m_i_order_free(me, (uintptr_t)p, size);
	own_m_i_heap_free(p);
}

unsigned
own_m_choose(unsigned n)
{
	return n > 1 ? own_m_i_decide(PICK_VALUE, n, NULL) : 0;
}

unsigned
own_m_self(void)
{
	return me;
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
	const struct own_m_scenario *s = run->scenario;
	struct own_m_fiber dead;

	for (unsigned i = 0; me == s->threads && i < HOOKS_MAX &&
			reset_hooks[i]; i++)
		reset_hooks[i]();
	if (me < s->threads)
		s->thread(me);
	else if (me == s->threads && s->setup)
		s->setup();
	else if (me > s->threads && s->finish)
		s->finish();
	for (unsigned i = 0; i < HOOKS_MAX && exit_hooks[i]; i++)
		exit_hooks[i]();
	if (threads[me].nesting)
		own_m_i_die("a thread ends in a read section");
	if (me > s->threads && !(s->flags & OWN_M_LEAKS))
		own_m_i_heap_leaks();
	TRACE("end");
	threads[me].state = ENDED;
	/* whoever is the last one sees to the stores left behind */
	while (point(STOPS))
		;
	for (unsigned i = first; i < first + count; i++)
		drain(i);
	own_m_i_fiber_switch(&dead, &host);
	abort();
}

/* Runs threads from to from + n - 1 until all have ended or one failed. */
static void
run_phase(unsigned from, unsigned n)
{
	struct own_m_candidate c[THREADS];

	first = from;
	count = n;
	next_deadline_ns = OWN_M_FOREVER;
	memset(c, 0, sizeof(c));
	for (unsigned i = 0; i < n; i++) {
		struct thread *t = &threads[from + i];

		own_m_i_fiber_make(&t->fiber, own_m_i_stack_top(from + i),
				run_thread);
		t->state = READY;
		t->fresh = true;
		memset(t->saved, 0, variable_size);
		c[i].thread = (uint8_t)(from + i);
	}
	me = from;
	inside = true;
	own_m_i_tick();
	if (n > 1)
		me = c[own_m_i_decide(PICK_THREAD, n, c)].thread;
	load_variables(me);
	own_m_i_fiber_switch(&host, &threads[me].fiber);
	inside = false;
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

	run = r;
	catch_signals();
	preemptions = r->preemptions;
	delays = r->delays;
	timeouts = allowance(s->timeouts, 0);
	spurious = allowance(s->spurious, 0);
	alloc_failures = allowance(s->alloc_failures, 0);
	steps_max = allowance(s->steps_max, STEPS_MAX);
	r->preempted = 0;
	r->delayed = 0;
	r->steps = 0;
	r->failed = false;
	fail_alloc = 0;
	clock_ns = 1000000000;
	version = 0;
	sleeps = 0;
	sections = 0;
	idle = 0;
	name_count = 0;
	for (unsigned i = 0; i < THREADS; i++)
		memset(&threads[i], 0, offsetof(struct thread, buffer));
	own_m_i_heap_reset(s->flags & OWN_M_REUSE);
	own_m_i_order_reset();
	own_m_i_share_begin();
	run_phase(s->threads, 1);
	if (!r->failed)
		run_phase(0, s->threads);
	if (!r->failed)
		run_phase(s->threads + 1, 1);
}
