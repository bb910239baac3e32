/* SPDX-License-Identifier: MIT */
/*
 * linear_cell.c - own/cell.h, recorded
 */
#include "stress/linear_value.h"

static struct own_cell cells[sizeof groups / sizeof *groups][GROUP_KEYS];
static uint32_t policy;

/* What a verb does in each form. */
#define IN_FORM(form, verb, cell, ...)					\
	((form) == TRY ? verb##_try(cell, __VA_ARGS__) :		\
	 (form) == TIMED ? verb##_timed(cell, own_deadline_ns(		\
			stress_below(t, TIMEOUT_NS)), __VA_ARGS__) :	\
	 verb(cell, __VA_ARGS__))

static void
do_peek(struct stress_thread *t, struct group *g, struct own_cell *cell,
		struct linear_op *op)
{
	uint64_t seen = TORN;
	struct block b;
	int r;

	if (stress_one_in(t, 2)) {
		r = IN_FORM(op->form, own_cell_peek, cell, peek_at, &seen);
	} else {
		r = IN_FORM(op->form, own_cell_read, cell, &b, sizeof b);
		if (!r)
			seen = see(&b);
	}
	answered(t, g, op, r, seen);
}

static void
do_replace(struct stress_thread *t, struct group *g, struct own_cell *cell,
		struct linear_op *op)
{
	struct own_unique u = { 0 };
	uint64_t seen = 0;
	int r;

	if (block_new(&u))
		stress_fail(t, "no memory");
	write_block(t, block_edit(&u), op->in);
	/* its life begins with the verb, not with the object */
	op->call = own__add(&g->history->clock, (uint64_t)1, OWN__ACQUIRE);
	if (op->kind == K_REPLACE)
		r = IN_FORM(op->form, own_cell_replace, cell, &u);
	else
		r = IN_FORM(op->form, own_cell_swap, cell, &u);
	if (!r && op->kind == K_SWAP) {
		seen = see(block_edit(&u));
		/* nobody else has it: nobody must notice */
		block_edit(&u)->shadow = 0;
	}
	answered(t, g, op, r, seen);
	linger(t);
	own_unique_release(&u);
}

static void
operate(struct stress_thread *t, struct group *g, unsigned me, unsigned key,
		uint64_t value)
{
	static const unsigned char drawn[] = {
		K_READ, K_READ, K_READ, K_READ, K_LOOK, K_EDIT, K_EDIT, K_DROP,
		K_UPGRADE, K_UPGRADE, K_SWAP, K_REPLACE,
	};
	unsigned kind = drawn[stress_below(t, sizeof drawn)];
	unsigned form = draw_form(t);
	struct own_cell *cell = &cells[g->index][key];
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };
	struct linear_op *op;

	if (kind == K_UPGRADE || (kind == K_SWAP && policy == OWN_VERSIONED))
		form = BARE;
	linger(t);
	stress_op(t, kind);
	op = linear_call(g->history, me, kind, form, key, value);
	switch (kind) {
	case K_READ:
		if (stress_one_in(t, 2))
			do_peek(t, g, cell, op);
		else
			shared(t, g, op, IN_FORM(form, own_cell_share, cell,
					&s), &s);
		break;
	case K_UPGRADE:
		upgrading(t, g, op, own_cell_share(cell, &s), &s);
		break;
	case K_SWAP:
	case K_REPLACE:
		do_replace(t, g, cell, op);
		break;
	default:
		claimed(t, g, op, IN_FORM(form, own_cell_claim, cell, &u), &u,
				0);
	}
}

static uint64_t
look(struct stress_thread *t, struct group *g, unsigned key)
{
	struct block b;

	if (own_cell_read(&cells[g->index][key], &b, sizeof b))
		stress_fail(t, "own_cell_read");
	return see(&b);
}

static void
setup(unsigned threads_n, const struct linear_spec *spec)
{
	struct own_unique u = { 0 };

	groups_begin(threads_n, spec);
	for (unsigned i = 0; i < groups_n; i++)
		for (unsigned key = 0; key < GROUP_KEYS; key++) {
			if (block_new(&u))
				stress_fail(NULL, "no memory");
			groups[i].initial[key] = key + 1;
			block_edit(&u)->value = key + 1;
			block_edit(&u)->shadow = stress_mix(key + 1);
			if (own_cell_init(&cells[i][key], &block_type, policy,
					"recorded", &u))
				stress_fail(NULL, "own_cell_init");
		}
}

void
cells_exclusive_setup(unsigned threads_n)
{
	policy = OWN_EXCLUSIVE;
	setup(threads_n, &linear_exclusive);
}

void
cells_versioned_setup(unsigned threads_n)
{
	policy = OWN_VERSIONED;
	setup(threads_n, &linear_versioned);
}

void
cells_thread(struct stress_thread *t)
{
	static const struct subject subject = {
		.operate = operate, .look = look,
	};

	rounds(t, &subject);
}

void
cells_finish(unsigned threads_n)
{
	(void)threads_n;
	for (unsigned i = 0; i < groups_n; i++)
		for (unsigned key = 0; key < GROUP_KEYS; key++)
			own_cell_destroy(&cells[i][key]);
	groups_end();
	if (own_barrier() != 0)
		stress_fail(NULL, "values are still held");
}
