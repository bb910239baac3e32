/* SPDX-License-Identifier: MIT */
/*
 * linear_value.c - contract in linear_value.h
 *
 * A thread holds one handle at a time, so no answer is its own doing.
 */
#include "stress/linear_value.h"

uint64_t
see(const struct block *b)
{
	return b->shadow == stress_mix(b->value) ? b->value : TORN;
}

void
write_block(struct stress_thread *t, struct block *b, uint64_t value)
{
	b->value = value;
	linger(t);
	b->shadow = stress_mix(value);
}

int
peek_at(const void *value, size_t size_bytes, void *arg)
{
	(void)size_bytes;
	*(uint64_t *)arg = see(value);
	return 0;
}

unsigned
draw_form(struct stress_thread *t)
{
	unsigned n = stress_below(t, 8);

	return n < 4 ? BARE : n < 7 ? TRY : TIMED;
}

void
answered(struct stress_thread *t, struct group *g, struct linear_op *op,
		int r, uint64_t seen)
{
	static const struct {
		int answer;
		unsigned kind;
	} tally[] = {
		{ -EBUSY, K_BUSY }, { -ETIMEDOUT, K_TIMEDOUT },
		{ -EAGAIN, K_STALE }, { -ENOENT, K_NONE },
		{ -EEXIST, K_TAKEN },
	};

	linear_return(g->history, op, r, seen);
	for (unsigned i = 0; i < sizeof tally / sizeof *tally; i++)
		if (r == tally[i].answer)
			stress_count(t, tally[i].kind);
}

void
shared(struct stress_thread *t, struct group *g, struct linear_op *op,
		int r, struct own_shared *s)
{
	uint64_t seen;

	if (r) {
		answered(t, g, op, r, 0);
		return;
	}
	seen = see(block_get(s));
	linear_return(g->history, op, 0, seen);
	linger(t);
	if (see(block_get(s)) != seen)
		op->out = TORN;
	own_shared_release(s);
	linear_end(g->history, op);
}

/* The end of an EDIT: all see it from here on, its writer among them. */
static void
show(struct stress_thread *t, struct group *g, struct linear_op *op,
		struct own_unique *u, uint64_t seen)
{
	struct own_shared s = { 0 };

	if (stress_one_in(t, 4)) {
		own_unique_downgrade(u, &s);
		linear_return(g->history, op, 0, seen);
		linger(t);
		if (see(block_get(&s)) != op->in)
			op->out = TORN;
		own_shared_release(&s);
		linear_end(g->history, op);
		return;
	}
	own_unique_commit(u);
	linear_return(g->history, op, 0, seen);
}

void
claimed(struct stress_thread *t, struct group *g, struct linear_op *op,
		int r, struct own_unique *u, int made)
{
	struct block *b;
	uint64_t seen = ABSENT;

	if (r) {
		answered(t, g, op, r, 0);
		return;
	}
	linger(t);
	b = block_edit(u);
	if (made)
		stress_count(t, K_MADE);
	if (!made)
		seen = see(b);
	else if (b->value || b->shadow)
		seen = TORN;
	if (op->kind != K_LOOK)
		write_block(t, b, op->in);
	if (op->kind == K_EDIT || op->kind == K_MAKE) {
		show(t, g, op, u, seen);
		return;
	}
	if (op->kind == K_LOOK && stress_one_in(t, 2))
		own_unique_commit(u);
	own_unique_release(u);
	linear_return(g->history, op, 0, seen);
}

void
upgrading(struct stress_thread *t, struct group *g, struct linear_op *op,
		int r, struct own_shared *s)
{
	struct own_unique u = { 0 };
	uint64_t seen;

	if (r) {
		answered(t, g, op, r, 0);
		return;
	}
	seen = see(block_get(s));
	linger(t);
	r = own_shared_upgrade_try(s, &u);
	if (r) {
		own_shared_release(s);
		answered(t, g, op, r, seen);
		return;
	}
	if (see(block_edit(&u)) != seen)
		seen = TORN;
	write_block(t, block_edit(&u), op->in);
	show(t, g, op, &u, seen);
}
