/* SPDX-License-Identifier: MIT */
/*
 * state.h - the machine that a schedule runs on, shared by sched.c, memory.c
 * and report.c
 */
#ifndef OWN_MODEL_STATE_H
#define OWN_MODEL_STATE_H

#include "model/engine.h"

#define BUFFER_MAX	8
#define SAVE_SIZE	4096

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

/* Why a thread asks who goes on. */
enum leave { GOES_ON, YIELDS, PAUSES, STOPS };

struct own_m_machine {
	struct own_m_run *run;
	struct own_m_fiber host;
	bool inside;			/* a model thread is running */
	unsigned me;			/* which one */
	unsigned first, count;		/* threads that run in this phase */
	/* what the schedule may still do */
	unsigned preemptions, delays, timeouts, spurious, alloc_failures;
	unsigned steps_max;
	unsigned fail_alloc;		/* 1: the next one */
	uint64_t clock_ns, next_deadline_ns;
	uint64_t version;		/* of memory: counts changes */
	uint64_t sleeps, sections;
	unsigned idle;			/* rounds without any change */
	struct thread threads[THREADS];
};

extern struct own_m_machine own_m_i_machine;
#define M	own_m_i_machine

/* --- report.c ----------------------------------------------------------- */

void own_m_i_catch_signals(void);
void own_m_i_forget_names(void);
void own_m_i_set_place(const char *file, int line);
const char *own_m_i_show(uint64_t value);
void own_m_i_trace(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

#define TRACE(...)							\
	do {								\
		if (OWN__UNLIKELY(M.run->trace))			\
			own_m_i_trace(__VA_ARGS__);			\
	} while (0)

/* --- sched.c ------------------------------------------------------------ */

void own_m_i_count_step(void);
/* Before anything that another thread could notice. */
void own_m_i_step(void);
/* The same, if it is only noticed by who accesses the same memory. */
void own_m_i_step_at(uintptr_t at, bool changes);
/* Lets the search say who goes on. False: all have ended. */
bool own_m_i_point(enum leave how);

/* --- memory.c ----------------------------------------------------------- */

/* Fails the schedule unless the access is aligned and to live memory. */
void own_m_i_check(const void *p, unsigned size, const char *what);
void own_m_i_drain(unsigned thread);
/*
 * Somebody looks at these bytes, or changes them: what others have stored
 * there may have arrived, or may not. but: threads not to be asked, by bit.
 */
void own_m_i_touch(uintptr_t at, unsigned size, unsigned but);
void own_m_i_arrived(uintptr_t at, unsigned size, uint64_t value);

#endif
