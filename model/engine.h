/* SPDX-License-Identifier: MIT */
/*
 * engine.h - what the files of the scheduler know of one another
 *
 * sched.c runs threads, memory.c their accesses; heap.c keeps blocks, order.c
 * knows what happens before what, share.c who contends for what; fiber.c
 * switches stacks, report.c writes. search.c makes the decisions of a schedule
 * and main.c counts schedules. One schedule runs at a time, all state is
 * static.
 */
#ifndef OWN_MODEL_ENGINE_H
#define OWN_MODEL_ENGINE_H

#include <stdbool.h>

#include "model/sched.h"

/* Of a scenario, and setup and finish. */
#define THREADS		(OWN_M_THREADS_MAX + 2)

/* --- fiber.c ------------------------------------------------------------ */

struct own_m_fiber {
	void *sp;
};

/* entry runs on the first switch to the fiber, and never returns. */
void own_m_i_fiber_make(struct own_m_fiber *fiber, void *stack_top,
		void (*entry)(void));
void own_m_i_fiber_switch(struct own_m_fiber *from, struct own_m_fiber *to);
/* The stack of fiber n: guarded, at the same address in each process. */
void *own_m_i_stack_top(unsigned n);
/* Which stack p lies in and how far below its top; -1 none. */
int own_m_i_stack_find(uintptr_t p, size_t *ret_below);

/* --- search.c ----------------------------------------------------------- */

enum own_m_kind {
	PICK_THREAD,		/* who goes on; candidates are described */
	PICK_STORES,		/* how many buffered stores are not seen */
	PICK_VALUE,		/* own_m_choose and the like */
	PICK_RARE,		/* 1 is something that seldom happens */
};

struct own_m_candidate {
	uint8_t thread;
	uint8_t paused;		/* waits for somebody else to do something */
	uint8_t event;		/* a sleeper's timeout or spurious wake-up */
};

/* A moment at which there may be something to decide: names decisions. */
void own_m_i_tick(void);
/* Index of the alternative taken; 0 is the one that costs nothing. */
unsigned own_m_i_decide(enum own_m_kind kind, unsigned n,
		const struct own_m_candidate *candidates);
/* The thread waits in a loop: PCT takes its priority away. */
void own_m_i_demote(unsigned thread);

enum own_m_strategy { EXHAUSTIVE, RANDOM, PCT, STRATEGIES };
extern const char *const own_m_i_strategies[STRATEGIES];

struct own_m_search {
	enum own_m_strategy strategy;
	bool pso;
	unsigned preemptions, delays;	/* exhaustive: bounds of the scenario */
	unsigned depth;			/* PCT */
	uint64_t seed;
	/* counters */
	uint64_t schedules, steps;
	bool complete;			/* exhaustive: nothing is left */
	/* of the last schedule */
	bool failed;
	const char *text;
	/* private */
	unsigned level;
	unsigned length;		/* PCT: decisions in a schedule */
	uint64_t last_seed;
	bool learned;
};

void own_m_i_search_start(struct own_m_search *search,
		const struct own_m_scenario *scenario);
/* Runs one schedule. Not after complete or failed. */
void own_m_i_search_next(struct own_m_search *search,
		const struct own_m_scenario *scenario);
/* What --replay takes to run the last schedule again. */
void own_m_i_search_print(const struct own_m_search *search);
/* Runs the schedule that text names, with a trace. -EINVAL: not a name. */
int own_m_i_search_replay(struct own_m_search *search,
		const struct own_m_scenario *scenario, const char *text);

/* --- sched.c ------------------------------------------------------------ */

struct own_m_run {
	const struct own_m_scenario *scenario;
	bool pso, trace;
	bool reduce;		/* no switch before uncontended accesses */
	unsigned preemptions, delays;		/* allowed */
	/* results */
	unsigned preempted, delayed;
	unsigned steps;
	bool failed;
};

void own_m_i_run(struct own_m_run *run);
extern char own_m_i_failure[];

/* The schedule fails with this text; where the thread is gets added. */
OWN__NORETURN OWN__COLD void own_m_i_die(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
bool own_m_i_tracing(void);
/* The running thread's last place, for reports. */
void own_m_i_place(const char **ret_file, int *ret_line);
/* "#3+0x8", "T1.stack-0x40", "global+0x10"; kept until called 8 times more. */
const char *own_m_i_label(uint64_t address);

/* --- heap.c ------------------------------------------------------------- */

/*
 * Fixed, so that schedules see the same addresses in each process. Kernels of
 * arm64 may give a process no more than 39 bits of them.
 */
#ifdef __aarch64__
#define ARENA_BASE	((uintptr_t)0x4000000000)
#else
#define ARENA_BASE	((uintptr_t)0x200000000000)
#endif
#define STACK_BASE	(ARENA_BASE + 0x1000000000)
#define ARENA_SIZE	((size_t)16 << 20)
#define OWN_M_BLOCKS_MAX	16384

static inline bool
own_m_i_in_arena(uint64_t p)
{
	return p - ARENA_BASE < ARENA_SIZE;
}

void own_m_i_heap_reset(bool reuse);
void *own_m_i_heap_alloc(size_t size, size_t align, bool *ret_reused);
/* Of the block p. Fails the schedule unless it is one and live. */
size_t own_m_i_heap_size(void *p);
void own_m_i_heap_free(void *p);
/* Fails the schedule unless all of it lies in one live block. */
void own_m_i_heap_check(uintptr_t p, size_t size, const char *what);
void own_m_i_heap_leaks(void);
/* Where the block at p was allocated or, if it is not live, freed. */
void own_m_i_heap_place(uintptr_t p, const char **ret_file, int *ret_line);
/* Number of the block that p lies in, allocated or not; 0 none. */
unsigned own_m_i_heap_find(uintptr_t p, size_t *ret_offset);

/* --- share.c ------------------------------------------------------------ */

/* Nothing is known: another scenario. */
void own_m_i_share_forget(void);
/* A schedule begins. */
void own_m_i_share_begin(void);
/* This schedule has shown that more is contended. */
bool own_m_i_share_grown(void);
/* Is it contended? */
bool own_m_i_share_access(unsigned me, uintptr_t at, bool changes);
void own_m_i_share_free(unsigned me, uintptr_t start, size_t size);

/* --- order.c ------------------------------------------------------------ */

struct own_m_clock {
	uint32_t of[THREADS];
};

void own_m_i_order_reset(void);
/* All threads learn what all threads did: the ends of setup and of the run. */
void own_m_i_order_join_all(void);
/* What a buffered store with release order carries. */
void own_m_i_order_release(unsigned me, struct own_m_clock *ret);
/* A store reaches memory; carried is NULL if it does not release. */
void own_m_i_order_store(uintptr_t p, const struct own_m_clock *carried);
void own_m_i_order_acquire(unsigned me, uintptr_t p);
void own_m_i_order_rmw(unsigned me, uintptr_t p, int order);
/* Each learns what the other did. */
void own_m_i_order_fence(unsigned me, unsigned other);
void own_m_i_order_rcu_lock(unsigned me);
void own_m_i_order_rcu_unlock(unsigned me);
void own_m_i_order_rcu_start(unsigned me);
void own_m_i_order_rcu_end(unsigned me);
void own_m_i_order_read(unsigned me, uintptr_t p, size_t size);
void own_m_i_order_write(unsigned me, uintptr_t p, size_t size);
void own_m_i_order_alloc(unsigned me, uintptr_t p, bool reused);
void own_m_i_order_free(unsigned me, uintptr_t p, size_t size);

static inline bool
own_m_i_acquires(int order)
{
	return order == OWN__ACQUIRE || order == OWN__ACQ_REL ||
			order == OWN__SEQ_CST;
}

static inline bool
own_m_i_releases(int order)
{
	return order == OWN__RELEASE || order == OWN__ACQ_REL ||
			order == OWN__SEQ_CST;
}

#endif
