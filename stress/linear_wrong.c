/* SPDX-License-Identifier: MIT */
/*
 * linear_wrong.c - a small map under a mutex, and the same with faults
 *
 * The checker has to refuse what each fault makes of a round, or its yes to the
 * library would be worth nothing; and accept the map without a fault, or its no
 * to a fault would be.
 *
 * Shared words are relaxed atomics even where the mutex is held: the faults go
 * past it, and are no data race, so that ThreadSanitizer builds run them too.
 */
#include <sched.h>
#include "stress/linear_stress.h"

enum fault {
	F_NONE,
	F_STALE,	/* a read gives the value before the last one */
	F_LOST,		/* claim, edit, commit without the mutex */
	F_CHECK,	/* put_new looks first and puts then */
	F_EARLY,	/* what claim_or_new makes is there before the commit */
	F_KEPT,		/* a draft that is released stays */
	F_TWICE,	/* take without the mutex */
	F_BUSY,		/* -EBUSY now and then */
	F_TORN,		/* a read without the mutex, of two words */
	FAULTS_N
};

struct place {
	_Alignas(128) pthread_mutex_t lock;
	uint64_t value;			/* shared */
	uint64_t former;		/* shared */
	uint64_t shadow;		/* shared */
};

static struct place places[sizeof groups / sizeof *groups][GROUP_KEYS];
static enum fault faults[sizeof groups / sizeof *groups];

/* relaxed: see above */
#define GET(p)		own__load((p), OWN__RELAXED)
#define SET(p, v)	own__store((p), (v), OWN__RELAXED)

/* What comes between here and there is what a fault is about. */
static void
window(struct stress_thread *t)
{
	if (stress_one_in(t, 2))
		sched_yield();
}

static void
set(struct stress_thread *t, struct place *p, uint64_t value)
{
	SET(&p->former, GET(&p->value));
	SET(&p->value, value);
	window(t);
	SET(&p->shadow, stress_mix(value));
}

static int
goes_past(enum fault fault, unsigned kind)
{
	return (fault == F_LOST && kind == K_EDIT) ||
		(fault == F_CHECK && kind == K_PUT_NEW) ||
		(fault == F_TWICE && kind == K_TAKE) ||
		((fault == F_EARLY || fault == F_TORN) && kind == K_READ);
}

static int
read_place(struct stress_thread *t, struct place *p, enum fault fault,
		unsigned form, uint64_t *seen)
{
	if (fault == F_BUSY && form == TRY && stress_one_in(t, 8))
		return -EBUSY;
	if (fault == F_STALE && stress_one_in(t, 4))
		*seen = GET(&p->former);
	if (fault == F_TORN && GET(&p->shadow) != stress_mix(*seen))
		*seen = TORN;
	return *seen == ABSENT ? -ENOENT : 0;
}

static int
make(struct stress_thread *t, struct place *p, enum fault fault,
		const struct linear_op *op, uint64_t seen)
{
	if (fault == F_EARLY) {
		set(t, p, op->in);
		window(t);
		if (op->kind == K_UNMAKE)
			set(t, p, seen);
	} else if (op->kind == K_MAKE) {
		set(t, p, op->in);
	}
	return 0;
}

/* The operation; gives its answer, and in @seen what it saw. */
static int
act(struct stress_thread *t, struct place *p, enum fault fault,
		const struct linear_op *op, uint64_t *seen)
{
	*seen = GET(&p->value);
	switch (op->kind) {
	case K_READ:
		return read_place(t, p, fault, op->form, seen);
	case K_PUT:
		set(t, p, op->in);
		return 0;
	case K_MAKE:
	case K_UNMAKE:
		return make(t, p, fault, op, *seen);
	case K_PUT_NEW:
		if (*seen != ABSENT)
			return -EEXIST;
		window(t);
		set(t, p, op->in);
		return 0;
	default:
		break;
	}
	if (*seen == ABSENT)
		return -ENOENT;
	window(t);
	if (op->kind == K_EDIT)
		set(t, p, op->in);
	else if (op->kind != K_DROP)
		set(t, p, ABSENT);
	else if (fault == F_KEPT)
		set(t, p, op->in);
	return 0;
}

static void
operate(struct stress_thread *t, struct group *g, unsigned me, unsigned key,
		uint64_t value)
{
	static const unsigned char drawn[] = {
		K_READ, K_READ, K_READ, K_PUT, K_PUT_NEW, K_PUT_NEW, K_EDIT,
		K_EDIT, K_DROP, K_MAKE, K_UNMAKE, K_REMOVE, K_TAKE, K_TAKE,
	};
	unsigned kind = drawn[stress_below(t, sizeof drawn)];
	enum fault fault = faults[g->index];
	struct place *p = &places[g->index][key];
	struct linear_op *op;
	uint64_t seen;
	int r, past = goes_past(fault, kind);

	linger(t);
	stress_op(t, kind);
	op = linear_call(g->history, me, kind, stress_one_in(t, 2) ? TRY : BARE,
			key, value);
	if (!past)
		pthread_mutex_lock(&p->lock);
	r = act(t, p, fault, op, &seen);
	if (!past)
		pthread_mutex_unlock(&p->lock);
	linear_return(g->history, op, r, seen);
}

static uint64_t
look(struct stress_thread *t, struct group *g, unsigned key)
{
	(void)t;
	return GET(&places[g->index][key].value);
}

static void
begin_right(struct stress_thread *t, struct group *g)
{
	(void)t;
	faults[g->index] = F_NONE;
}

/* The fault of this round, on a map that is empty again. */
static void
begin_wrong(struct stress_thread *t, struct group *g)
{
	(void)t;
	faults[g->index] = (enum fault)(1 + g->rounds % (FAULTS_N - 1));
	for (unsigned key = 0; key < GROUP_KEYS; key++) {
		struct place *p = &places[g->index][key];

		g->initial[key] = ABSENT;
		SET(&p->value, ABSENT);
		SET(&p->former, ABSENT);
		SET(&p->shadow, stress_mix(ABSENT));
	}
}

static void
judge_wrong(struct stress_thread *t, struct group *g,
		enum linear_verdict verdict)
{
	static const unsigned kind_of[FAULTS_N] = {
		[F_STALE] = K_F_STALE, [F_LOST] = K_F_LOST,
		[F_CHECK] = K_F_CHECK, [F_EARLY] = K_F_EARLY,
		[F_KEPT] = K_F_KEPT, [F_TWICE] = K_F_TWICE,
		[F_BUSY] = K_F_BUSY, [F_TORN] = K_F_TORN,
	};

	if (verdict == LINEAR_UNDECIDED)
		must_be_linear(t, g, verdict);
	/* a round may pass: nobody met in the window */
	if (verdict == LINEAR_REFUSED)
		stress_count(t, kind_of[faults[g->index]]);
}

void
wrong_setup(unsigned threads_n)
{
	groups_begin(threads_n, &linear_versioned);
	for (unsigned i = 0; i < groups_n; i++)
		for (unsigned key = 0; key < GROUP_KEYS; key++)
			pthread_mutex_init(&places[i][key].lock, NULL);
	for (unsigned i = 0; i < groups_n; i++)
		begin_wrong(NULL, &groups[i]);
}

void
wrong_thread(struct stress_thread *t)
{
	static const struct subject subject = {
		.begin = begin_wrong, .operate = operate, .look = look,
		.judge = judge_wrong,
	};

	rounds(t, &subject);
}

void
right_thread(struct stress_thread *t)
{
	static const struct subject subject = {
		.begin = begin_right, .operate = operate, .look = look,
	};

	rounds(t, &subject);
}

void
wrong_finish(unsigned threads_n)
{
	(void)threads_n;
	for (unsigned i = 0; i < groups_n; i++)
		for (unsigned key = 0; key < GROUP_KEYS; key++)
			pthread_mutex_destroy(&places[i][key].lock);
	groups_end();
}
