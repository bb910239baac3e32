/* SPDX-License-Identifier: MIT */
/*
 * linear.c - contract in linear.h
 *
 * Invariants
 *   I1  The list holds the calls and returns of the operations that are not
 *       placed, by stamp. A call before the first return of the list belongs
 *       to an operation that may come next; a return that is met says that its
 *       operation should have been placed by now.
 *   I2  A pair in the table was entered before, and either failed or is on the
 *       stack.
 *   I3  The search looks at nothing behind the farthest return it met.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "stress/linear.h"

/* of operations */
struct set {
	uint64_t bits[LINEAR_PART_MAX / 64];
};

struct event {
	struct event *prev;
	struct event *next;
	struct event *match;	/* of a call: its return; of a return: NULL */
	uint64_t stamp;
	unsigned op;
};

struct pair {
	struct set placed;
	uint64_t state;
	uint64_t check;		/* which check entered it; others are free */
};

struct part {
	struct linear_op op[LINEAR_PART_MAX];
	unsigned n;
	unsigned key;
	uint64_t initial;
	uint64_t farthest;	/* I3 */
	uint64_t steps;
	unsigned pairs;
	unsigned longest_n;
	struct set longest;	/* placed at best */
	enum linear_verdict verdict;
};

struct linear_checker {
	uint64_t steps_max;
	uint64_t checks;
	unsigned pairs_max;
	unsigned overlapping_n;
	const struct linear_spec *spec;
	struct part part;	/* under work */
	struct part worst;	/* for linear_explain() */
	struct event head;
	struct event event[2 * LINEAR_PART_MAX];
	struct event *by_stamp[2 * LINEAR_PART_MAX];
	struct {
		struct event *call;
		uint64_t state;
	} stack[LINEAR_PART_MAX];
	struct pair pair[];
};

void
linear_full(void)
{
	fputs("linear: more operations than a log holds\n", stderr);
	abort();
}

struct linear_checker *
linear_checker_create(unsigned pairs_max, uint64_t steps_max)
{
	struct linear_checker *c = calloc(1, sizeof *c +
			pairs_max * sizeof c->pair[0]);

	if (c) {
		c->pairs_max = pairs_max;
		c->steps_max = steps_max;
	}
	return c;
}

void
linear_checker_destroy(struct linear_checker *checker)
{
	free(checker);
}

void
linear_reset(struct linear_history *history)
{
	for (unsigned i = 0; i < LINEAR_THREADS_MAX; i++)
		history->log[i].n = 0;
}

static int
has(const struct set *set, unsigned i)
{
	return set->bits[i / 64] >> i % 64 & 1;
}

static void
flip(struct set *set, unsigned i)
{
	set->bits[i / 64] ^= (uint64_t)1 << i % 64;
}

/* splitmix64 (Steele, Lea and Flood 2014) */
static uint64_t
mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* 1: entered now, 0: was there, -1: the table is as full as it may be */
static int
enter(struct linear_checker *c, const struct set *placed, uint64_t state)
{
	uint64_t hash = state;
	unsigned i;

	for (i = 0; i < LINEAR_PART_MAX / 64; i++)
		hash = mix(hash + placed->bits[i] + 0x9e3779b97f4a7c15u);
	for (i = (unsigned)hash;; i++) {
		struct pair *p = &c->pair[i & (c->pairs_max - 1)];

		if (p->check != c->checks) {
			if (c->part.pairs >= c->pairs_max / 4 * 3)
				return -1;
			c->part.pairs++;
			p->check = c->checks;
			p->placed = *placed;
			p->state = state;
			return 1;
		}
		if (p->state == state && !memcmp(&p->placed, placed,
				sizeof *placed))
			return 0;
	}
}

static void
lift(struct event *call)
{
	struct event *ret = call->match;

	call->prev->next = call->next;
	call->next->prev = call->prev;
	/* a return may be last; a call never is */
	ret->prev->next = ret->next;
	if (ret->next)
		ret->next->prev = ret->prev;
}

static void
unlift(struct event *call)
{
	struct event *ret = call->match;

	if (ret->next)
		ret->next->prev = ret;
	ret->prev->next = ret;
	call->next->prev = call;
	call->prev->next = call;
}

static enum linear_verdict
search(struct linear_checker *c)
{
	struct part *p = &c->part;
	struct event *e = c->head.next;
	struct set placed = { { 0 } };
	uint64_t state = p->initial, next;
	unsigned depth = 0;
	int r;

	while (c->head.next) {
		if (!e->match) {
			if (e->stamp > p->farthest)
				p->farthest = e->stamp;
			if (!depth)
				return LINEAR_REFUSED;
			e = c->stack[--depth].call;
			state = c->stack[depth].state;
			flip(&placed, e->op);
			unlift(e);
			e = e->next;
			continue;
		}
		if (++p->steps > c->steps_max)
			return LINEAR_UNDECIDED;
		if (!c->spec->step(&p->op[e->op], state, &next)) {
			e = e->next;
			continue;
		}
		flip(&placed, e->op);
		r = enter(c, &placed, next);
		if (r < 0)
			return LINEAR_UNDECIDED;
		if (!r) {
			flip(&placed, e->op);
			e = e->next;
			continue;
		}
		c->stack[depth].call = e;
		c->stack[depth++].state = state;
		state = next;
		lift(e);
		if (depth > p->longest_n) {
			p->longest_n = depth;
			p->longest = placed;
		}
		e = c->head.next;
	}
	return LINEAR_OK;
}

static int
earlier(const void *a, const void *b)
{
	uint64_t x = (*(struct event *const *)a)->stamp;
	uint64_t y = (*(struct event *const *)b)->stamp;

	return (x > y) - (x < y);
}

static int
earlier_op(const void *a, const void *b)
{
	uint64_t x = ((const struct linear_op *)a)->call;
	uint64_t y = ((const struct linear_op *)b)->call;

	return (x > y) - (x < y);
}

/* The operations on @key, by call, each with what it overlaps. */
static void
collect(struct part *p, const struct linear_history *h, unsigned key)
{
	for (unsigned i = 0; i < LINEAR_THREADS_MAX; i++)
		for (unsigned j = 0; j < h->log[i].n; j++)
			if (h->log[i].op[j].key == key) {
				if (p->n == LINEAR_PART_MAX)
					linear_full();
				p->op[p->n++] = h->log[i].op[j];
			}
	qsort(p->op, p->n, sizeof p->op[0], earlier_op);
	for (unsigned i = 0; i < p->n; i++)
		p->op[i].others = 0;
	for (unsigned i = 0; i < p->n; i++)
		for (unsigned j = i + 1; j < p->n &&
				p->op[j].call < p->op[i].end; j++) {
			p->op[i].others |= (uint64_t)1 << p->op[j].kind;
			p->op[j].others |= (uint64_t)1 << p->op[i].kind;
		}
}

static void
link_events(struct linear_checker *c)
{
	struct part *p = &c->part;
	struct event *last = &c->head;

	for (unsigned i = 0; i < p->n; i++) {
		struct event *call = &c->event[2 * i], *ret = call + 1;

		*call = (struct event){
			.match = ret, .stamp = p->op[i].call, .op = i,
		};
		*ret = (struct event){ .stamp = p->op[i].ret, .op = i };
		c->by_stamp[2 * i] = call;
		c->by_stamp[2 * i + 1] = ret;
	}
	qsort(c->by_stamp, 2 * p->n, sizeof c->by_stamp[0], earlier);
	c->head.next = NULL;
	for (unsigned i = 0; i < 2 * p->n; i++) {
		last->next = c->by_stamp[i];
		last->next->prev = last;
		last = last->next;
	}
}

/* How much of it linear_explain() would print. */
static unsigned
size(const struct part *p)
{
	unsigned n = 0;

	if (p->verdict != LINEAR_REFUSED)
		return p->n;
	while (n < p->n && p->op[n].call < p->farthest)
		n++;
	return n;
}

static int
worse(const struct part *p, const struct part *than)
{
	if (p->verdict == LINEAR_OK || p->verdict == than->verdict)
		return p->verdict != LINEAR_OK && size(p) < size(than);
	return than->verdict != LINEAR_REFUSED;
}

enum linear_verdict
linear_check(struct linear_checker *checker, const struct linear_spec *spec,
		struct linear_history *history, const uint64_t *initial,
		unsigned keys_n)
{
	struct part *p = &checker->part;

	checker->spec = spec;
	checker->worst.verdict = LINEAR_OK;
	checker->overlapping_n = 0;
	for (unsigned key = 0; key < keys_n; key++) {
		memset(p, 0, sizeof *p);
		p->key = key;
		p->initial = initial[key];
		checker->checks++;
		collect(p, history, key);
		for (unsigned i = 0; i < p->n; i++)
			checker->overlapping_n += p->op[i].others != 0;
		link_events(checker);
		p->verdict = search(checker);
		if (worse(p, &checker->worst))
			checker->worst = *p;
	}
	return checker->worst.verdict;
}

unsigned
linear_overlapping(const struct linear_checker *checker)
{
	return checker->overlapping_n;
}

void
linear_explain(const struct linear_checker *checker, FILE *out)
{
	const struct part *p = &checker->worst;
	unsigned n = size(p);

	if (p->verdict == LINEAR_OK) {
		fputs("linearizable\n", out);
		return;
	}
	fprintf(out, "%s, key %u, at first %" PRIx64 ": ", checker->spec->name,
			p->key, p->initial);
	if (p->verdict == LINEAR_UNDECIDED)
		fprintf(out, "undecided: %u operations, budget used up by %"
				PRIu64 " of %" PRIu64 " steps and %u of %u "
				"pairs\n", p->n, p->steps, checker->steps_max,
				p->pairs, checker->pairs_max / 4 * 3);
	else
		fprintf(out, "not linearizable: no order explains these %u "
				"operations;\nthe longest one places %u and "
				"leaves out those marked *\n", n,
				p->longest_n);
	for (unsigned i = 0; i < n; i++) {
		const struct linear_op *op = &p->op[i];

		fprintf(out, " %c %5" PRIu64 " ... %5" PRIu64 "  thread %u  ",
				has(&p->longest, i) ? ' ' : '*', op->call,
				op->ret, op->thread);
		checker->spec->print(out, op);
		if (op->end != op->ret)
			fprintf(out, "  (held until %" PRIu64 ")", op->end);
		fputc('\n', out);
	}
}
