/* SPDX-License-Identifier: MIT */
/*
 * linear_known.c - the checker against histories whose verdict is known
 *
 * By hand, one for each rule of the specification, right and wrong. Drawn: an
 * execution in one order with intervals around each instant, which is
 * linearizable however long it is; short ones, some with one answer changed,
 * which a search without any cleverness decides as well. And a hard one, too
 * hard for a small budget.
 */
#include <stdlib.h>
#include <string.h>
#include "stress/linear_stress.h"

#define PAIRS_MAX	(1u << 14)
#define STEPS_MAX	((uint64_t)1 << 20)

#define OPS_BY_HAND	4u
#define OPS_NAIVE	7u	/* 7! orders at most */

struct bench {
	struct linear_history *history;
	struct linear_checker *checker;
	uint64_t state[GROUP_KEYS];
};

/* ---- by hand ---- */

struct written {
	const char *why;
	const struct linear_spec *spec;
	enum linear_verdict verdict;
	uint64_t initial;
	struct linear_op op[OPS_BY_HAND];	/* until a ret of 0 */
};

#define EX		&linear_exclusive
#define VE		&linear_versioned
#define YES		LINEAR_OK
#define NO		LINEAR_REFUSED

/* From stamp to stamp, thread, kind, what it wrote, what it saw. */
#define SAW(from, to, t, kind_, in_, out_)				\
	{								\
		.call = (from), .ret = (to), .end = (to), .thread = (t), \
		.kind = K_##kind_, .in = (in_), .out = (out_)		\
	}
/* From stamp to stamp, thread, kind, form, what it answered. */
#define GAVE(from, to, t, kind_, form_, r)				\
	{								\
		.call = (from), .ret = (to), .end = (to), .thread = (t), \
		.kind = K_##kind_, .form = (form_), .in = 99, .result = (r) \
	}

static const struct written by_hand[] = {
	{ "a value is read while it is being put", EX, YES, 1, {
		SAW(1, 8, 0, PUT, 2, 0), SAW(2, 3, 1, READ, 0, 1),
		SAW(4, 5, 1, READ, 0, 2), SAW(6, 7, 2, READ, 0, 2) } },
	{ "the old value after the new one", VE, NO, 1, {
		SAW(1, 6, 0, PUT, 2, 0), SAW(2, 3, 1, READ, 0, 2),
		SAW(4, 5, 2, READ, 0, 1) } },
	{ "the same by reads that overlap", VE, YES, 1, {
		SAW(1, 6, 0, PUT, 2, 0), SAW(2, 5, 1, READ, 0, 2),
		SAW(3, 4, 2, READ, 0, 1) } },
	{ "a stale read", VE, NO, 1, {
		SAW(1, 2, 0, REPLACE, 2, 0), SAW(3, 4, 1, READ, 0, 1) } },
	{ "a read of what is put later", VE, NO, 1, {
		SAW(1, 2, 1, READ, 0, 2), SAW(3, 4, 0, PUT, 2, 0) } },
	{ "an update that is lost", EX, NO, 1, {
		SAW(1, 3, 0, EDIT, 2, 1), SAW(2, 4, 1, EDIT, 3, 1) } },
	{ "two updates", EX, YES, 1, {
		SAW(1, 3, 0, EDIT, 2, 3), SAW(2, 4, 1, EDIT, 3, 1) } },
	{ "put_new twice", EX, NO, ABSENT, {
		SAW(1, 3, 0, PUT_NEW, 2, 0), SAW(2, 4, 1, PUT_NEW, 3, 0) } },
	{ "put_new, and one too late", EX, YES, ABSENT, {
		SAW(1, 3, 0, PUT_NEW, 2, 0),
		GAVE(2, 4, 1, PUT_NEW, BARE, -EEXIST),
		SAW(5, 6, 0, READ, 0, 2) } },
	{ "-EEXIST where nothing is", EX, NO, ABSENT, {
		GAVE(1, 2, 0, PUT_NEW, BARE, -EEXIST) } },
	{ "-ENOENT of what is there", VE, NO, 1, {
		GAVE(1, 2, 0, REPLACE, BARE, -ENOENT) } },
	{ "-ENOENT while it is removed", VE, YES, 1, {
		SAW(1, 4, 0, REMOVE, 0, 0), GAVE(2, 3, 1, READ, BARE, -ENOENT) }
	},
	{ "taken twice", EX, NO, 1, {
		SAW(1, 3, 0, TAKE, 0, 1), SAW(2, 4, 1, TAKE, 0, 1) } },
	{ "taken, put again, taken", EX, YES, 1, {
		SAW(1, 3, 0, TAKE, 0, 1), SAW(2, 6, 1, PUT_NEW, 2, 0),
		SAW(4, 5, 0, TAKE, 0, 2) } },
	{ "a draft that was dropped is seen", VE, NO, 1, {
		SAW(1, 4, 0, DROP, 2, 1), SAW(2, 3, 1, READ, 0, 2) } },
	{ "in place there is nothing to drop", EX, YES, 1, {
		SAW(1, 4, 0, DROP, 2, 1), SAW(5, 6, 1, READ, 0, 2) } },
	{ "a made entry that was released is seen", EX, NO, ABSENT, {
		SAW(1, 4, 0, UNMAKE, 2, ABSENT), SAW(2, 3, 1, READ, 0, 2) } },
	{ "it never was", EX, YES, ABSENT, {
		SAW(1, 6, 0, UNMAKE, 2, ABSENT),
		GAVE(2, 3, 1, READ, BARE, -ENOENT),
		SAW(4, 5, 1, PUT_NEW, 3, 0) } },
	{ "two made the same entry", VE, NO, ABSENT, {
		SAW(1, 3, 0, MAKE, 2, ABSENT), SAW(2, 4, 1, MAKE, 3, ABSENT) }
	},
	{ "one made it, one found it", VE, YES, ABSENT, {
		SAW(1, 3, 0, MAKE, 2, 3), SAW(2, 4, 1, MAKE, 3, ABSENT) } },
	{ "-EBUSY with nobody there", EX, NO, 1, {
		SAW(1, 2, 0, EDIT, 2, 1), GAVE(3, 4, 1, READ, TRY, -EBUSY) } },
	{ "-EBUSY beside a writer", EX, YES, 1, {
		SAW(1, 4, 0, EDIT, 2, 1), GAVE(2, 3, 1, READ, TRY, -EBUSY) } },
	{ "-EBUSY from a verb that waits", EX, NO, 1, {
		SAW(1, 4, 0, EDIT, 2, 1), GAVE(2, 3, 1, READ, BARE, -EBUSY) } },
	{ "-EBUSY to a reader of versions", VE, NO, 1, {
		SAW(1, 4, 0, EDIT, 2, 1), GAVE(2, 3, 1, READ, TRY, -EBUSY) } },
	{ "-EBUSY of a version to a reader alone", VE, NO, 1, {
		SAW(1, 4, 0, READ, 0, 1), GAVE(2, 3, 1, EDIT, TRY, -EBUSY) } },
	{ "-ETIMEDOUT with nobody there", VE, NO, 1, {
		GAVE(1, 2, 1, EDIT, TIMED, -ETIMEDOUT) } },
	{ "half of a value", VE, NO, 1, { SAW(1, 2, 0, READ, 0, TORN) } },
	{ "an error that no verb gives", VE, NO, 1, {
		GAVE(1, 2, 0, READ, BARE, -EIO) } },
};

/* What was printed must say that, which key, and the operation left out. */
static void
must_explain(struct stress_thread *t, const struct linear_checker *c)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		stress_fail(t, "no memory");
	linear_explain(c, out);
	fclose(out);
	if (!strstr(text, "key 1") || !strstr(text, "not linearizable") ||
			!strstr(text, "\n * "))
		stress_fail(t, "a refusal that explains nothing: %s", text);
	free(text);
}

static void
check_by_hand(struct stress_thread *t, struct bench *b)
{
	for (size_t i = 0; i < sizeof by_hand / sizeof *by_hand; i++) {
		const struct written *w = &by_hand[i];
		uint64_t initial[] = { ABSENT, w->initial };
		enum linear_verdict verdict;

		stress_op(t, K_BY_HAND);
		linear_reset(b->history);
		for (unsigned j = 0; j < OPS_BY_HAND && w->op[j].ret; j++) {
			struct linear_log *log =
				&b->history->log[w->op[j].thread];

			log->op[log->n] = w->op[j];
			log->op[log->n++].key = 1;
		}
		verdict = linear_check(b->checker, w->spec, b->history,
				initial, 2);
		if (verdict != w->verdict)
			stress_fail(t, "%s: verdict %d", w->why, verdict);
		if (verdict == LINEAR_REFUSED)
			must_explain(t, b->checker);
	}
}

/* ---- too hard ---- */

/* Puts that all overlap, and a read of something else: no order will do. */
static void
check_hard(struct stress_thread *t, struct bench *b)
{
	static const struct {
		unsigned pairs_max;
		uint64_t steps_max;
		enum linear_verdict verdict;
	} budget[] = {
		{ 1u << 14, 1u << 20, LINEAR_REFUSED },
		{ 1u << 14, 500, LINEAR_UNDECIDED },
		{ 1u << 8, 1u << 20, LINEAR_UNDECIDED },
	};
	uint64_t initial = 1;
	struct linear_op *op[LINEAR_THREADS_MAX];

	linear_reset(b->history);
	for (unsigned i = 0; i < LINEAR_THREADS_MAX; i++)
		op[i] = linear_call(b->history, i, K_PUT, BARE, 0, i + 2);
	for (unsigned i = 0; i < LINEAR_THREADS_MAX; i++)
		linear_return(b->history, op[i], 0, 0);
	op[0] = linear_call(b->history, 0, K_READ, BARE, 0, 0);
	linear_return(b->history, op[0], 0, initial);
	for (unsigned i = 0; i < sizeof budget / sizeof *budget; i++) {
		struct linear_checker *c = linear_checker_create(
				budget[i].pairs_max, budget[i].steps_max);
		enum linear_verdict verdict;

		if (!c)
			stress_fail(t, "no memory");
		verdict = linear_check(c, &linear_versioned, b->history,
				&initial, 1);
		if (verdict != budget[i].verdict)
			stress_fail(t, "budget %u: verdict %d", i, verdict);
		stress_op(t, verdict == LINEAR_REFUSED ? K_REFUSED :
				K_UNDECIDED);
		linear_checker_destroy(c);
	}
}

/* ---- drawn ---- */

/* Does it, in an instant, and says so in @op. */
static void
perform(struct linear_op *op, uint64_t *state, int versioned)
{
	static const uint64_t absent_will_do = BIT(PUT) | BIT(PUT_NEW) |
		BIT(MAKE) | BIT(UNMAKE);

	op->out = *state;
	op->result = 0;
	if (*state == ABSENT && !(absent_will_do >> op->kind & 1)) {
		op->result = -ENOENT;
		return;
	}
	switch (op->kind) {
	case K_READ:
	case K_LOOK:
		return;
	case K_PUT_NEW:
		if (*state != ABSENT)
			op->result = -EEXIST;
		else
			*state = op->in;
		return;
	case K_DROP:
	case K_UNMAKE:
		if (!versioned && *state != ABSENT)
			*state = op->in;
		return;
	case K_REMOVE:
	case K_TAKE:
		*state = ABSENT;
		return;
	default:
		*state = op->in;
	}
}

/* An execution in one order, each instant somewhere between call and return. */
static void
draw_history(struct stress_thread *t, struct bench *b, int versioned,
		unsigned ops_n, unsigned keys_n, unsigned values_n)
{
	struct linear_op *op[LINEAR_THREADS_MAX] = { NULL };
	int done[LINEAR_THREADS_MAX] = { 0 };
	unsigned called = 0, returned = 0;
	uint64_t state[GROUP_KEYS];

	linear_reset(b->history);
	for (unsigned key = 0; key < GROUP_KEYS; key++)
		state[key] = b->state[key] = stress_below(t, values_n + 1);
	while (returned < ops_n) {
		unsigned i = stress_below(t, LINEAR_THREADS_MAX);

		if (!op[i]) {
			if (called == ops_n ||
					b->history->log[i].n == LINEAR_LOG_MAX)
				continue;
			called++;
			op[i] = linear_call(b->history, i,
					stress_below(t, K_BUSY),
					stress_below(t, 3),
					stress_below(t, keys_n),
					1 + stress_below(t, values_n));
			done[i] = 0;
		} else if (!done[i]) {
			perform(op[i], &state[op[i]->key], versioned);
			done[i] = 1;
		} else {
			linear_return(b->history, op[i], op[i]->result,
					op[i]->out);
			op[i] = NULL;
			returned++;
		}
	}
}

/* One answer that may have been another one. */
static void
change(struct stress_thread *t, struct linear_history *h, unsigned values_n)
{
	static const int results[] = {
		0, -EBUSY, -ETIMEDOUT, -EAGAIN, -ENOENT, -EEXIST,
	};
	struct linear_log *log;
	struct linear_op *op;

	do
		log = &h->log[stress_below(t, LINEAR_THREADS_MAX)];
	while (!log->n);
	op = &log->op[stress_below(t, log->n)];
	if (stress_one_in(t, 2))
		op->out = stress_below(t, values_n + 1);
	else
		op->result = results[stress_below(t, 6)];
}

/* Whether those of @op that are not in @placed can follow one another. */
static int
naive(const struct linear_spec *spec, const struct linear_op *op, unsigned n,
		unsigned placed, uint64_t state)
{
	uint64_t next;

	if (placed == (1u << n) - 1)
		return 1;
	for (unsigned i = 0; i < n; i++) {
		int first = !(placed >> i & 1);

		for (unsigned j = 0; j < n && first; j++)
			if (!(placed >> j & 1) && op[j].ret < op[i].call)
				first = 0;
		if (first && spec->step(&op[i], state, &next) &&
				naive(spec, op, n, placed | 1u << i, next))
			return 1;
	}
	return 0;
}

static int
naive_check(struct bench *b, const struct linear_spec *spec)
{
	struct linear_op op[OPS_NAIVE];
	unsigned n = 0;

	for (unsigned i = 0; i < LINEAR_THREADS_MAX; i++)
		for (unsigned j = 0; j < b->history->log[i].n; j++)
			op[n++] = b->history->log[i].op[j];
	for (unsigned i = 0; i < n; i++) {
		op[i].others = 0;
		for (unsigned j = 0; j < n; j++)
			if (i != j && op[i].call < op[j].end &&
					op[j].call < op[i].end)
				op[i].others |= (uint64_t)1 << op[j].kind;
	}
	return naive(spec, op, n, 0, b->state[0]);
}

static void
check_drawn(struct stress_thread *t, struct bench *b)
{
	const struct linear_spec *spec = EX;
	enum linear_verdict verdict, wanted = LINEAR_OK;
	int versioned = stress_one_in(t, 2);
	int small = !stress_one_in(t, 16);

	if (versioned)
		spec = VE;
	if (small) {
		draw_history(t, b, versioned, 1 + stress_below(t, OPS_NAIVE),
				1, 3);
		for (unsigned n = stress_below(t, 3); n; n--)
			change(t, b->history, 3);
		if (!naive_check(b, spec))
			wanted = LINEAR_REFUSED;
	} else {
		draw_history(t, b, versioned, LINEAR_PART_MAX,
				1 + stress_below(t, GROUP_KEYS), 1000000);
	}
	verdict = linear_check(b->checker, spec, b->history, b->state,
			small ? 1 : GROUP_KEYS);
	stress_op(t, verdict == LINEAR_OK ? K_ACCEPTED : K_REFUSED);
	if (verdict == wanted)
		return;
	linear_explain(b->checker, stderr);
	stress_fail(t, "verdict %d where %d is right", verdict, wanted);
}

void
known_thread(struct stress_thread *t)
{
	struct bench b = {
		.history = aligned_alloc(_Alignof(struct linear_history),
				sizeof *b.history),
		.checker = linear_checker_create(PAIRS_MAX, STEPS_MAX),
	};

	if (!b.history || !b.checker)
		stress_fail(t, "no memory");
	b.history->clock = 1;
	check_by_hand(t, &b);
	check_hard(t, &b);
	do
		check_drawn(t, &b);
	while (stress_running(t));
	linear_checker_destroy(b.checker);
	free(b.history);
}
