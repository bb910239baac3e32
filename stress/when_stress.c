/* SPDX-License-Identifier: MIT */
/*
 * when_stress.c - event loops that are told by notes, beside threads that wait
 *
 * Every second thread is a loop with a dozen jobs, each of which asks for one
 * object at a time with a note, and looks at it again only when its own note
 * has fired. The others take the same objects with verbs that wait.
 *
 * Oracles
 *   no lost note   In the end the other threads stop, and every job that is
 *                  still armed has to fire and be granted: else the loop
 *                  stands still and the watchdog says so.
 *   the rule       A reader sees both halves of a value equal, a writer adds
 *                  to both, and no addition is lost.
 *   cancel         0: does not fire any more; -ENOENT: has fired.
 */
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <own/own.h>
#include "stress/forms.h"

#ifdef __clang__
/* handles that live in jobs */
#pragma clang diagnostic ignored "-Wthread-safety"
#endif

#define CELLS		6u	/* of each policy */
#define KEYS		6u
#define OBJECTS		(2 * CELLS + 2 * KEYS + 2)
#define JOBS		12u

enum {
	GRANTED, REFUSED, FIRED, CANCELLED, TOO_LATE, GONE, OWN, WAITED,
	WHOLE, KINDS_N
};

static const char *const kinds[] = {
	"granted", "refused", "fired", "cancelled", "cancel_late", "gone",
	"own_conflict", "waited", "whole",
};

#define BIT(kind)	((uint64_t)1 << (kind))

struct value {
	uint64_t n, twin;
};
OWN_TYPE(value, struct value);

static struct own_cell cells[2 * CELLS];
static struct own_map *maps[2];
static uint64_t added;			/* shared */
static uint32_t loops_n;		/* shared: loops that still run */

struct job {
	struct own_when when;
	struct own_shared s;
	struct own_unique u;
	unsigned object, is_claim;
	int is_armed;
	int fd;
};

/* ---- the objects ---- */

static int
is_cell(unsigned object)
{
	return object < 2 * CELLS;
}

static int
is_whole(unsigned object)
{
	return object >= OBJECTS - 2;
}

static struct own_map *
map_of(unsigned object)
{
	return maps[is_whole(object) ? OBJECTS - 1 - object
		: (object - 2 * CELLS) / KEYS];
}

static uint64_t
key_of(unsigned object)
{
	return (object - 2 * CELLS) % KEYS;
}

static void
add(struct own_unique *u)
{
	struct value *v = own_unique_edit(u);

	v->n++;
	stress_spin(20);
	v->twin++;
	/* relaxed: a sum, compared after joins */
	(void)own__add(&added, 1, OWN__RELAXED);
}

static void
look(struct stress_thread *t, const struct own_shared *s)
{
	const struct value *v = own_shared_get(s);

	if (v->n != v->twin)
		stress_fail(t, "a torn value");
}

/* ---- a loop ---- */

static int
ask(struct job *j)
{
	unsigned o = j->object;
	int made;

	if (is_whole(o))
		return j->is_claim
			? own_map_claim_all_when(map_of(o), &j->when, &j->u)
			: own_map_share_all_when(map_of(o), &j->when, &j->s);
	if (is_cell(o))
		return j->is_claim
			? own_cell_claim_when(&cells[o], &j->when, &j->u)
			: own_cell_share_when(&cells[o], &j->when, &j->s);
	if (!j->is_claim)
		return own_map_share_when_u64(map_of(o), key_of(o), &j->when,
				&j->s);
	return own_map_claim_or_new_when_u64(map_of(o), key_of(o), &j->when,
			&j->u, &made);
}

static void
job_ask(struct stress_thread *t, struct job *j)
{
	int r = ask(j);

	stress_op(t, r == 0 ? GRANTED : r == -EBUSY ? REFUSED :
			r == -ENOENT ? GONE : OWN);
	if (r && r != -EBUSY && r != -EDEADLK && (r != -ENOENT ||
			is_cell(j->object) || is_whole(j->object)))
		stress_fail(t, "object %u: %s", j->object, strerror(-r));
	j->is_armed = r == -EBUSY;
	if (r)
		return;
	if (is_whole(j->object))
		stress_count(t, WHOLE);
	else if (j->is_claim)
		add(&j->u);
	else
		look(t, &j->s);
}

static void
job_end(struct job *j)
{
	own_shared_release(&j->s);
	if (j->u.object)
		own_unique_commit(&j->u);
}

static void
job_cancel(struct stress_thread *t, struct job *j)
{
	int r = own_when_cancel(&j->when);
	uint64_t n;

	stress_count(t, r ? TOO_LATE : CANCELLED);
	if ((read(j->fd, &n, sizeof(n)) == sizeof(n)) != (r != 0))
		stress_fail(t, "a cancel says %d, the note has%s fired", r,
				r ? " not" : "");
	j->is_armed = 0;
}

static void
ring(void *arg)
{
	static const uint64_t one = 1;

	/* a full counter is as good */
	if (write(((struct job *)arg)->fd, &one, sizeof(one)) < 0)
		return;
}

/* Handles are given back before it sleeps: others wait for them. */
static void
sleep_on(struct stress_thread *t, struct job *jobs)
{
	struct pollfd fds[JOBS];
	uint64_t n;

	for (unsigned i = 0; i < JOBS; i++) {
		job_end(&jobs[i]);
		fds[i] = (struct pollfd) { jobs[i].is_armed ? jobs[i].fd : -1,
				POLLIN, 0 };
	}
	if (poll(fds, JOBS, -1) < 0)
		return;
	for (unsigned i = 0; i < JOBS; i++) {
		if (!(fds[i].revents & POLLIN))
			continue;
		if (read(jobs[i].fd, &n, sizeof(n)) != sizeof(n) || n != 1)
			stress_fail(t, "a note fired more than once");
		stress_count(t, FIRED);
		job_ask(t, &jobs[i]);
	}
}

static void
loop(struct stress_thread *t)
{
	struct job jobs[JOBS];
	unsigned armed;

	for (unsigned i = 0; i < JOBS; i++) {
		jobs[i] = (struct job) { .fd = eventfd(0, EFD_NONBLOCK) };
		if (jobs[i].fd < 0)
			stress_fail(t, "eventfd");
		jobs[i].when = (i & 1) ? (struct own_when)OWN_WHEN_EVENTFD(
				jobs[i].fd) : (struct own_when)OWN_WHEN_CALL(
				ring, &jobs[i]);
	}
	do {
		armed = 0;
		for (unsigned i = 0; i < JOBS; i++) {
			struct job *j = &jobs[i];

			job_end(j);
			if (j->is_armed && stress_one_in(t, 16) &&
					stress_running(t))
				job_cancel(t, j);
			if (!j->is_armed && stress_running(t)) {
				/* whole maps bar all else: seldom */
				j->object = stress_below(t, stress_one_in(t, 8)
						? OBJECTS : OBJECTS - 2);
				j->is_claim = stress_one_in(t, 2);
				job_ask(t, j);
			}
			armed += j->is_armed != 0;
		}
		if (armed == JOBS || (armed && !stress_running(t)))
			sleep_on(t, jobs);
	} while (armed || stress_running(t));
	for (unsigned i = 0; i < JOBS; i++) {
		job_end(&jobs[i]);
		(void)close(jobs[i].fd);
	}
}

/* ---- a thread that waits ---- */

static int
take(struct stress_thread *t, unsigned o, int is_claim, struct own_shared *s,
		struct own_unique *u)
{
	(void)t;
	if (is_whole(o))
		return is_claim ? own_map_claim_all(map_of(o), u)
			: own_map_share_all(map_of(o), s);
	if (is_cell(o))
		return is_claim ? own_cell_claim(&cells[o], u)
			: own_cell_share(&cells[o], s);
	return is_claim ? own_map_claim_u64(map_of(o), key_of(o), u)
		: own_map_share_u64(map_of(o), key_of(o), s);
}

static void
keep(struct stress_thread *t)
{
	if (stress_one_in(t, 64))
		stress_nap(20000);
	else
		stress_spin(stress_below(t, 400));
}

static void
waiter(struct stress_thread *t)
{
	unsigned o = stress_below(t, stress_one_in(t, 16) ? OBJECTS
			: OBJECTS - 2);
	int is_claim = stress_one_in(t, 3), r;
	struct own_shared s = { 0 }, more = { 0 };
	struct own_unique u = { 0 };

	stress_op(t, WAITED);
	r = take(t, o, is_claim, &s, &u);
	if (r == -ENOENT && !is_cell(o) && !is_whole(o))
		return;
	must(t, r, "take");
	if (!is_whole(o) && is_claim)
		add(&u);
	else if (!is_whole(o))
		look(t, &s);
	keep(t);
	switch (stress_below(t, 6)) {
	case 0:
		if (is_claim)
			own_unique_downgrade(&u, &s);
		break;
	case 1:
		if (is_claim)
			must(t, own_unique_detach(&u), "detach");
		else
			must(t, own_shared_detach(&s), "detach");
		break;
	case 2:
		if (!is_claim) {
			must(t, own_shared_clone(&s, &more), "clone");
			own_shared_release(&s);
		}
		break;
	default:
		break;
	}
	keep(t);
	own_shared_release(&s);
	own_shared_release(&more);
	if (u.object)
		own_unique_commit(&u);
}

static void
run(struct stress_thread *t)
{
	if (t->index & 1) {
		loop(t);
		/* release: who waits for the last loop */
		(void)own__add(&loops_n, -1u, OWN__RELEASE);
		return;
	}
	while (stress_running(t))
		waiter(t);
}

static void
setup(unsigned threads_n)
{
	struct own_map_options o = {
		.size = sizeof(o), .type = &value_type, .name = "map",
		.flags = OWN_MAP_U64,
	};
	struct own_unique u = { 0 };

	added = 0;
	loops_n = threads_n / 2;
	for (unsigned i = 0; i < 2 * CELLS; i++) {
		must(NULL, value_new(&u), "new");
		must(NULL, own_cell_init(&cells[i], &value_type, i < CELLS
				? OWN_EXCLUSIVE : OWN_VERSIONED, "cell", &u),
				"init");
	}
	for (unsigned m = 0; m < 2; m++) {
		o.policy = m ? OWN_VERSIONED : OWN_EXCLUSIVE;
		must(NULL, own_map_create(&o, &maps[m]), "create");
		for (unsigned k = 0; k < KEYS; k++) {
			must(NULL, own_map_new_u64(maps[m], k, &u), "new");
			must(NULL, own_map_put_u64(maps[m], k, &u), "put");
		}
	}
}

static void
finish(unsigned threads_n)
{
	struct value v;
	uint64_t sum = 0;

	(void)threads_n;
	for (unsigned i = 0; i < 2 * CELLS; i++) {
		must(NULL, value_read(&cells[i], &v), "read");
		sum += v.n;
		own_cell_destroy(&cells[i]);
	}
	for (unsigned m = 0; m < 2; m++) {
		for (unsigned k = 0; k < KEYS; k++) {
			must(NULL, own_map_read(maps[m], own__u64(k), &v,
					sizeof(v)), "read");
			sum += v.n;
		}
		own_map_destroy(maps[m]);
	}
	if (sum != added || loops_n)
		stress_fail(NULL, "%llu additions, %llu found",
				(unsigned long long)added,
				(unsigned long long)sum);
}

static const struct stress_case cases[] = {
	{ "notes", "event loops with own_when beside threads that wait",
	  kinds, KINDS_N, BIT(KINDS_N) - 1 - BIT(OWN) - BIT(GONE) -
	  BIT(TOO_LATE), 2, setup, run, finish },
};

int
main(int argc, char **argv)
{
	return stress_main(argc, argv, cases, 1);
}
