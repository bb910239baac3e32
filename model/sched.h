/* SPDX-License-Identifier: MIT */
/*
 * sched.h - the deterministic scheduler that --enable-model runs the code on
 *
 * With OWN_MODEL every shared access of the library is a call into sched.c,
 * which runs all model threads as fibers of one OS thread and decides at each
 * access who goes on, which buffered stores have reached memory, and which
 * timed waits run out. All decisions of a run together are its schedule; it is
 * repeated exactly from its seed or its list of decisions. README.md says what
 * is modelled and how schedules are chosen.
 *
 * Threads    Everything here is called from a scenario or from library code
 *            that a scenario runs. Only registration may happen outside.
 * Blocking   futex_wait, rcu_synchronize and lock block the model thread.
 * Failures   own_m_fail() and what the scheduler finds by itself (a deadlock,
 *            a livelock, an access to freed memory, a data race, a leak, a
 *            crash) end the schedule; they do not return.
 * Units      Times are nanoseconds of the model's own clock.
 */
#ifndef OWN_MODEL_SCHED_H
#define OWN_MODEL_SCHED_H

#ifndef OWN_MODEL
#error "model/ is built with OWN_MODEL defined, as --enable-model does"
#endif

#include <own/access.h>

#define OWN_M_THREADS_MAX	6	/* of a scenario */
#define OWN_M_FOREVER		UINT64_MAX

/*
 * A scenario: setup, then all threads at once, then finish. setup and finish
 * run alone, each as a thread of its own: with thread-local variables at zero
 * and with the exit functions called at their end. Whatever threads stored has
 * reached memory when finish starts. After finish no block may be left.
 *
 * The numbers bound the exhaustive search and are allowances of one schedule.
 * 0 takes the default, OWN_M_NONE allows none.
 */
struct own_m_scenario {
	const char *name;		/* "<unit>/<behaviour>" */
	unsigned threads;
	void (*setup)(void);		/* may be NULL */
	void (*thread)(unsigned me);	/* me: 0 to threads - 1 */
	void (*finish)(void);		/* may be NULL */
	unsigned flags;			/* OWN_M_FAILS... */
	unsigned preemptions;		/* exhaustive: switches away from a
					   thread that could go on; 2 */
	unsigned delays;		/* exhaustive: looks at memory that miss
					   a store still buffered; 1 */
	unsigned timeouts;		/* timed waits that run out although
					   somebody could run; none */
	unsigned spurious;		/* wake-ups for nothing; none */
	unsigned alloc_failures;	/* allocations that may fail; none */
	unsigned steps_max;		/* beyond is a livelock; 20000 */
	uint64_t schedules;		/* exhaustive: exactly so many; any */
};

#define OWN_M_NONE	UINT32_MAX

#define OWN_M_FAILS	1u	/* every search must find a failure */
#define OWN_M_REUSE	2u	/* freed blocks are handed out again (ABA) */
#define OWN_M_LEAKS	4u	/* blocks left after finish are no failure */
#define OWN_M_TSO	8u	/* this memory only, whatever is asked for */
#define OWN_M_PSO	16u

/* Each scenario file defines one array, ended by a NULL name; see main.c. */

/* --- for scenarios ------------------------------------------------------ */

/* Ends this schedule as a failure. */
OWN__NORETURN OWN__COLD void own_m_fail_at(const char *text, const char *file,
		int line);
#define own_m_fail(text)	own_m_fail_at(text, __FILE__, __LINE__)
#define own_m_assert(condition, text)					\
	do {								\
		if (OWN__UNLIKELY(!(condition)))			\
			own_m_fail(text);				\
	} while (0)

/* A line in the trace of a replay. */
void own_m_note(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

/* How traces call the size bytes at address. The text is kept by address. */
void own_m_name(const void *address, size_t size, const char *name);

/*
 * Plain accesses to payload: the memory must be live, and every conflicting
 * plain access must be ordered with it by happens-before, through releases and
 * acquires as C11 has them and through membarriers; else the schedule fails.
 * Freeing a block counts as writing all of it. They are checks only, and
 * moments at which others may go first: the access itself is a plain statement
 * right after, which nobody comes in between.
 */
void own_m_read_at(const void *p, size_t size, const char *file, int line);
void own_m_write_at(const void *p, size_t size, const char *file, int line);
#define own_m_read(p, size)	own_m_read_at(p, size, __FILE__, __LINE__)
#define own_m_write(p, size)	own_m_write_at(p, size, __FILE__, __LINE__)

/* 1 if p points into a block that is allocated now. */
int own_m_live(const void *p);

/* The n-th own_m_alloc from here, 1 the next, gives NULL; 0 calls it off. */
void own_m_fail_alloc(unsigned n);

/* A number below n (at most 16) that the search tries every value of. */
unsigned own_m_choose(unsigned n);

/* The running thread: its number, or threads for setup, threads + 1 finish. */
unsigned own_m_self(void);

/* Lets the others run, like own_m_pause(), and is not counted as preemption:
 * for scenarios, where an interesting switch lies. */
void own_m_yield(void);

/* --- for the library, beside the accesses of own/access.h --------------- */

/*
 * own_m_futex_wait - sleep while *addr is seen
 * @deadline_ns: in model time, OWN_M_FOREVER for none
 *
 * Returns 0 when woken (or spuriously, if the scenario allows that), -EAGAIN
 * if *addr was another value, -ETIMEDOUT.
 */
int own_m_futex_wait(const uint32_t *addr, uint32_t seen, uint32_t bitset,
		uint64_t deadline_ns);

/* Wakes up to n sleepers of addr, oldest first; addr may be freed memory. */
int own_m_futex_wake(const uint32_t *addr, int n, uint32_t bitset);

/* Drains every thread's store buffer, one thread after another. */
void own_m_membarrier(void);

/* The clock. Every step moves it on a little. */
uint64_t own_m_now(void);

/* In every spinning loop: this thread waits for another one to do something. */
void own_m_pause(void);

/* A mutex in one word, 0 initially. */
void own_m_lock(uint32_t *mutex);
void own_m_unlock(uint32_t *mutex);

/* Read sections, nesting, and a grace period. */
void own_m_rcu_lock(void);
void own_m_rcu_unlock(void);
void own_m_rcu_synchronize(void);

/*
 * Memory that the scheduler watches. Filled with garbage when handed out and
 * when freed. Alignment is at least 16. NULL when own_m_fail_alloc() says so
 * or the scenario lets allocations fail.
 */
void *own_m_alloc(size_t size, size_t align);
void own_m_free(void *p);	/* NULL is fine */

/* This block lives for ever: it is no leak. For registries never freed. */
void own_m_keep(void *p);

/*
 * Registration. Any number of times, from anywhere; the first counts.
 * own_m_tls:            the variable has a value per model thread, zero for a
 *                       new one; what it holds when no thread runs is unused.
 * own_m_at_thread_exit: called in each model thread that ends, in the order
 *                       of registration, as a pthread key's destructor is.
 * own_m_at_reset:       called before each schedule, to bring the library's
 *                       globals back to what they are when a program starts;
 *                       all memory of own_m_alloc() is gone by then.
 */
void own_m_tls(void *address, size_t size);
void own_m_at_thread_exit(void (*fn)(void));
void own_m_at_reset(void (*fn)(void));

#endif
