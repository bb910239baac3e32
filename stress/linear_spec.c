/* SPDX-License-Identifier: MIT */
/*
 * linear_spec.c - what each operation on a cell or on a map's entry may do
 *
 * Every operation takes effect in one instant, though a handle may stand for
 * long: a share where it saw the value, a claim where it let others see what it
 * wrote. What is refused changes nothing, and needs somebody who was in the
 * way meanwhile; that is the one rule that looks beside the state.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "stress/linear_stress.h"

#define READERS		BIT(READ)
/* they take the place for themselves, or may for a moment */
#define WRITERS		(((uint64_t)1 << K_BUSY) - 1 - READERS)

/* Whether somebody was there whom the policy lets be in the way of @op. */
static int
hindered(const struct linear_op *op, uint32_t policy)
{
	uint64_t who = WRITERS;

	if (op->kind == K_READ && policy == OWN_VERSIONED)
		return 0;
	if (op->kind != K_READ && policy == OWN_EXCLUSIVE)
		who |= READERS;
	return (op->others & who) != 0;
}

/* Answers that change nothing. -1: it is none of them. */
static int
idle(const struct linear_op *op, uint64_t state, uint32_t policy)
{
	int may = 0;

	switch (op->result) {
	case -EBUSY:
		if (op->kind == K_UPGRADE)
			may = op->out == state;
		else
			may = op->form == TRY;
		return may && hindered(op, policy);
	case -ETIMEDOUT:
		return op->form == TIMED && hindered(op, policy);
	case -EAGAIN:
		/* the version held is no longer the current one */
		return op->kind == K_UPGRADE && policy == OWN_VERSIONED &&
			op->out == state && hindered(op, policy);
	case -ENOENT:
		may = op->kind != K_PUT && op->kind != K_PUT_NEW &&
			op->kind != K_MAKE && op->kind != K_UNMAKE;
		return may && state == ABSENT;
	case -EEXIST:
		return op->kind == K_PUT_NEW && state != ABSENT;
	default:
		return op->result ? 0 : -1;
	}
}

static int
step(const struct linear_op *op, uint64_t state, uint64_t *ret,
		uint32_t policy)
{
	int r = idle(op, state, policy);

	*ret = state;
	if (r >= 0)
		return r;
	switch (op->kind) {
	case K_READ:
	case K_LOOK:
		return state != ABSENT && op->out == state;
	case K_EDIT:
	case K_UPGRADE:
	case K_SWAP:
		*ret = op->in;
		return state != ABSENT && op->out == state;
	case K_DROP:
		/* in place there is nothing to drop */
		if (policy == OWN_EXCLUSIVE)
			*ret = op->in;
		return state != ABSENT && op->out == state;
	case K_REPLACE:
		*ret = op->in;
		return state != ABSENT;
	case K_PUT:
		*ret = op->in;
		return 1;
	case K_PUT_NEW:
		*ret = op->in;
		return state == ABSENT;
	case K_MAKE:
		/* out is ABSENT where it made the entry */
		*ret = op->in;
		return op->out == state;
	case K_UNMAKE:
		if (policy == OWN_EXCLUSIVE && state != ABSENT)
			*ret = op->in;
		return op->out == state;
	case K_REMOVE:
		*ret = ABSENT;
		return state != ABSENT;
	case K_TAKE:
		*ret = ABSENT;
		return state != ABSENT && op->out == state;
	default:
		return 0;
	}
}

static int
exclusive_step(const struct linear_op *op, uint64_t state, uint64_t *ret)
{
	return step(op, state, ret, OWN_EXCLUSIVE);
}

static int
versioned_step(const struct linear_op *op, uint64_t state, uint64_t *ret)
{
	return step(op, state, ret, OWN_VERSIONED);
}

static void
print(FILE *out, const struct linear_op *op)
{
	static const char *const forms[] = { "", "_try", "_timed" };
	uint64_t writes = BIT(EDIT) | BIT(DROP) | BIT(UPGRADE) | BIT(SWAP) |
		BIT(REPLACE) | BIT(PUT) | BIT(PUT_NEW) | BIT(MAKE) |
		BIT(UNMAKE);
	uint64_t blind = BIT(REPLACE) | BIT(PUT) | BIT(PUT_NEW) | BIT(REMOVE);

	fprintf(out, "%s%s", linear_kinds[op->kind], forms[op->form]);
	if (writes >> op->kind & 1)
		fprintf(out, " of %" PRIx64, op->in);
	if (op->result)
		fprintf(out, ": %s", op->result == -EBUSY ? "-EBUSY" :
				op->result == -ETIMEDOUT ? "-ETIMEDOUT" :
				op->result == -EAGAIN ? "-EAGAIN" :
				op->result == -ENOENT ? "-ENOENT" :
				op->result == -EEXIST ? "-EEXIST" :
				strerror(-op->result));
	if ((blind >> op->kind & 1) ||
			(op->result && op->kind != K_UPGRADE))
		return;
	if (op->out == TORN)
		fputs(", saw no whole value", out);
	else if (op->out == ABSENT)
		fputs(", saw none", out);
	else
		fprintf(out, ", saw %" PRIx64, op->out);
}

const struct linear_spec linear_exclusive = {
	.name = "exclusive", .step = exclusive_step, .print = print,
};

const struct linear_spec linear_versioned = {
	.name = "versioned", .step = versioned_step, .print = print,
};
