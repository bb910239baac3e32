/* SPDX-License-Identifier: MIT */
/*
 * support.h - what the unit tests share: an item, actors, children
 *
 * Tests never sleep to synchronise. An actor is a second thread that does what
 * the test says, one verb at a time, so that a case reads from top to bottom:
 *
 *	actor_start(&a, &cell);
 *	assert_int_equal(actor_do(&a, act_share), 0);
 *	actor_begin(&b, act_claim);
 *	actor_await(&b);			asleep in the verb now
 *	assert_int_equal(actor_do(&a, act_release), 0);
 *	assert_int_equal(actor_end(&b), 0);
 *
 * A child is this program again, with nothing of libown used yet: for set-up
 * and for what stops the process.
 */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include "handles/internal.h"

#ifdef __clang__
/* the cases do on purpose what the analysis refuses */
#pragma clang diagnostic ignored "-Wthread-safety"
#endif

#define MS_NS	UINT64_C(1000000)
/* a deadline for waits that are to end otherwise */
#define LONG_NS	(60000 * MS_NS)

/* ---- a payload that counts how often it is ended ---- */

struct item {
	uint64_t n;
	uint64_t twin;
	uint32_t *ended;		/* shared; may be NULL */
};

void item_fini(void *payload, size_t size_bytes);
OWN_TYPE(item, struct item, .fini = item_fini);

/* An owned item. */
OWN__INLINE void
item_make(struct own_unique *ret, uint64_t n, uint32_t *ended)
{
	assert_int_equal(item_new(ret), 0);
	*item_edit(ret) = (struct item) { n, n, ended };
}

OWN__INLINE void
item_cell(struct own_cell *cell, uint32_t policy, uint64_t n, uint32_t *ended)
{
	struct own_unique u = { 0 };

	item_make(&u, n, ended);
	assert_int_equal(own_cell_init(cell, &item_type, policy, "the cell",
			&u), 0);
	assert_null(u.object);
}

OWN__INLINE uint64_t
item_value(struct own_cell *cell)
{
	struct item copy;

	assert_int_equal(item_read(cell, &copy), 0);
	assert_int_equal(copy.n, copy.twin);
	return copy.n;
}

OWN__INLINE void
item_set(const struct own_unique *u, uint64_t n)
{
	item_edit(u)->n = n;
	item_edit(u)->twin = n;
}

/* The item of another thread's handle; that thread has paused. */
#define RAW(handle)	((struct item *)(uintptr_t)(handle)->object)

/* relaxed: a look, while others may change it */
#define WORD(cell)	own__load(&(cell)->word, OWN__RELAXED)

/* A case that runs under both policies; they are its prestate. */
extern uint32_t policy_exclusive, policy_versioned;
#define POLICY(state)	(*(const uint32_t *)*(state))
#define TEST(f)		{ #f, f, NULL, NULL, NULL }
#define TEST_BOTH(f)							\
	{ #f " (exclusive)", f, NULL, NULL, &policy_exclusive },	\
	{ #f " (versioned)", f, NULL, NULL, &policy_versioned }

/* ---- actors ---- */

struct actor {
	struct own_cell *cell;
	struct own_shared s;
	struct own_shared more;
	struct own_unique u;
	uint64_t deadline_ns;			/* of the _timed verbs */
	const struct own_site *site;		/* of all verbs */
	uint64_t n;				/* these two are for verbs */
	void *arg;				/* of a test's own */
	/* private */
	pthread_t id;
	sem_t go, done;
	int (*verb)(struct actor *a);
	int r;
	struct own_i_record *record;
};

/* Registers its thread with libown; cell may be NULL. */
void actor_start(struct actor *a, struct own_cell *cell);
/* Runs a verb there and returns what it returns. */
int actor_do(struct actor *a, int (*verb)(struct actor *a));
/* Lets it run. */
void actor_begin(struct actor *a, int (*verb)(struct actor *a));
/* Returns once its thread sleeps in a verb of libown, or is about to. */
void actor_await(struct actor *a);
/* Returns what the verb that was begun returns. */
int actor_end(struct actor *a);
/* Changes the item that it has the unique handle of. */
void actor_set(struct actor *a, uint64_t n);
/* Its thread ends, holding whatever it holds. */
void actor_stop(struct actor *a);

int act_share(struct actor *a);
int act_share_try(struct actor *a);
int act_share_timed(struct actor *a);
int act_claim(struct actor *a);
int act_claim_try(struct actor *a);
int act_claim_timed(struct actor *a);
int act_clone(struct actor *a);			/* s to more */
int act_release(struct actor *a);		/* all three */
int act_commit(struct actor *a);
int act_downgrade(struct actor *a);		/* u to s */
int act_upgrade_try(struct actor *a);		/* s to u */
int act_detach(struct actor *a);
int act_replace(struct actor *a);		/* by u */
int act_swap(struct actor *a);			/* with u */

/* Until *flag is not 0. */
void await_flag(const uint32_t *flag);
void raise_flag(uint32_t *flag);
/* Lets others run for a while: not to meet them, but to give them a chance. */
void pass_time(uint64_t ns);

/* ---- children ---- */

struct child {
	const char *name;
	void (*run)(void);
};
#define CHILD(f)	{ #f, f }
#define NO_CHILDREN							\
	static const struct child children[] = { { "none", NULL } }

struct outcome {
	int status;			/* of waitpid() */
	char text[16384];		/* what it wrote to stderr */
};

/* Runs this program again; @setting: "NAME=value" for it, or NULL. */
void child_run(const char *name, const char *setting, struct outcome *ret);
/* The same in a copy of this process as it is; 0 unless @run ends it. */
void child_fork(void (*run)(const void *arg), const void *arg,
		struct outcome *ret);
int child_aborted(const struct outcome *o);
/* Runs to its end and returns 0, or the case fails with what it wrote. */
void child_succeeds(const char *name, const char *setting);
/* Aborts, and has written each of the texts up to a NULL. */
void child_aborts(const char *name, ...) __attribute__((sentinel));

/* main(): a child's function, or all cases. */
int tests_main(int argc, char **argv, const struct child *children,
		size_t children_n, const char *group,
		const struct CMUnitTest *tests, size_t tests_n);
#define TESTS_MAIN(group)						\
	int								\
	main(int argc, char **argv)					\
	{								\
		return tests_main(argc, argv, children,			\
				sizeof(children) / sizeof(children[0]),	\
				group, tests,				\
				sizeof(tests) / sizeof(tests[0]));	\
	}								\
	OWN__STATIC_ASSERT(sizeof(tests) > 0, "cases")

#endif
