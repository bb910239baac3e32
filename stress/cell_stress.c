/* SPDX-License-Identifier: MIT */
/*
 * cell_stress.c - own/cell.h under load: the list of cases, and the verbs in
 * all their forms
 */
#include <stdlib.h>
#include <string.h>
#include "stress/cell_stress.h"

/* form_judge(), and counts. */
static int
judged(struct stress_thread *t, unsigned form, uint64_t deadline_ns, int r,
		const int *others)
{
	r = form_judge(t, form, deadline_ns, r, others);
	if (r == -EBUSY)
		stress_count(t, K_BUSY);
	if (r == -ETIMEDOUT)
		stress_count(t, K_TIMEDOUT);
	return r;
}

int
somehow_share(struct stress_thread *t, struct own_cell *cell, unsigned forms,
		struct own_shared *ret, const int *others)
{
	unsigned form = form_draw(t, forms);
	uint64_t deadline_ns = 0;
	int r;

	if (form == TRY) {
		stress_op(t, K_SHARE_TRY);
		r = own_cell_share_try(cell, ret);
	} else if (form == TIMED) {
		stress_op(t, K_SHARE_TIMED);
		deadline_ns = form_deadline(t);
		r = own_cell_share_timed(cell, deadline_ns, ret);
	} else {
		stress_op(t, K_SHARE);
		r = own_cell_share(cell, ret);
	}
	return judged(t, form, deadline_ns, r, others);
}

int
somehow_claim(struct stress_thread *t, struct own_cell *cell, unsigned forms,
		struct own_unique *ret, const int *others)
{
	unsigned form = form_draw(t, forms);
	uint64_t deadline_ns = 0;
	int r;

	if (form == TRY) {
		stress_op(t, K_CLAIM_TRY);
		r = own_cell_claim_try(cell, ret);
	} else if (form == TIMED) {
		stress_op(t, K_CLAIM_TIMED);
		deadline_ns = form_deadline(t);
		r = own_cell_claim_timed(cell, deadline_ns, ret);
	} else {
		stress_op(t, K_CLAIM);
		r = own_cell_claim(cell, ret);
	}
	return judged(t, form, deadline_ns, r, others);
}

int
somehow_replace(struct stress_thread *t, struct own_cell *cell, unsigned forms,
		struct own_unique *u, const int *others)
{
	unsigned form = form_draw(t, forms);
	uint64_t deadline_ns = 0;
	int r;

	if (form == TRY) {
		stress_op(t, K_REPLACE_TRY);
		r = own_cell_replace_try(cell, u);
	} else if (form == TIMED) {
		stress_op(t, K_REPLACE_TIMED);
		deadline_ns = form_deadline(t);
		r = own_cell_replace_timed(cell, deadline_ns, u);
	} else {
		stress_op(t, K_REPLACE);
		r = own_cell_replace(cell, u);
	}
	return judged(t, form, deadline_ns, r, others);
}

int
somehow_swap(struct stress_thread *t, struct own_cell *cell, unsigned forms,
		struct own_unique *u, const int *others)
{
	unsigned form = form_draw(t, forms);
	uint64_t deadline_ns = 0;
	int r;

	if (form == TRY) {
		stress_op(t, K_SWAP_TRY);
		r = own_cell_swap_try(cell, u);
	} else if (form == TIMED) {
		stress_op(t, K_SWAP_TIMED);
		deadline_ns = form_deadline(t);
		r = own_cell_swap_timed(cell, deadline_ns, u);
	} else {
		stress_op(t, K_SWAP);
		r = own_cell_swap(cell, u);
	}
	return judged(t, form, deadline_ns, r, others);
}

int
somehow_peek(struct stress_thread *t, struct own_cell *cell, unsigned forms,
		own_peek_fn fn, void *arg, const int *others)
{
	unsigned form = form_draw(t, forms);
	uint64_t deadline_ns = 0;
	int r;

	if (form == TRY) {
		stress_op(t, K_PEEK_TRY);
		r = own_cell_peek_try(cell, fn, arg);
	} else if (form == TIMED) {
		stress_op(t, K_PEEK_TIMED);
		deadline_ns = form_deadline(t);
		r = own_cell_peek_timed(cell, deadline_ns, fn, arg);
	} else {
		stress_op(t, K_PEEK);
		r = own_cell_peek(cell, fn, arg);
	}
	return judged(t, form, deadline_ns, r, others);
}

static const char *const kinds[] = {
#define CELL_KIND(name, text)	text,
	CELL_KINDS(CELL_KIND)
#undef CELL_KIND
};

#define SHARES		(BIT(SHARE) | BIT(SHARE_TRY) | BIT(SHARE_TIMED))
#define CLAIMS		(BIT(CLAIM) | BIT(CLAIM_TRY) | BIT(CLAIM_TIMED))
#define REPLACES	(BIT(REPLACE) | BIT(REPLACE_TRY) | BIT(REPLACE_TIMED))
#define PEEKS		(BIT(PEEK) | BIT(PEEK_TRY) | BIT(PEEK_TIMED) |	\
			 BIT(READ))

static const struct stress_case cases[] = {
	{
		.name = "exclusive",
		.what = "one writer or many readers, in every way to be one",
		.kinds = kinds, .kinds_n = KINDS_N,
		.required = SHARES | CLAIMS | REPLACES | PEEKS | BIT(SWAP) |
			BIT(SWAP_TRY) | BIT(SWAP_TIMED) | BIT(RELEASE) |
			BIT(COMMIT) | BIT(CLONE) | BIT(DOWNGRADE) |
			BIT(UPGRADED) | BIT(DETACH) | BIT(RECEIVE) |
			BIT(BUSY) | BIT(TIMEDOUT) | BIT(OWN_CONFLICT) |
			BIT(BIASED),
		.setup = exclusive_setup,
		.thread = exclusive_thread,
		.finish = exclusive_finish,
	}, {
		.name = "versioned",
		.what = "versions go forward, and live while they are held",
		.kinds = kinds, .kinds_n = KINDS_N,
		.required = SHARES | CLAIMS | REPLACES | PEEKS | BIT(SWAP) |
			BIT(RELEASE) | BIT(COMMIT) | BIT(DROP) | BIT(CLONE) |
			BIT(DOWNGRADE) | BIT(UPGRADED) | BIT(STALE) |
			BIT(DETACH) | BIT(RECEIVE) | BIT(RECLAIM) |
			BIT(BUSY) | BIT(OWN_CONFLICT) | BIT(COPY_REFUSED) |
			BIT(SECOND_BLOCK),
		.setup = versioned_setup,
		.thread = versioned_thread,
		.finish = versioned_finish,
	}, {
		.name = "handover",
		.what = "one -EDEADLK for each cycle, none where order is kept",
		.kinds = kinds, .kinds_n = KINDS_N,
		.required = BIT(SHARE) | BIT(CLAIM) | BIT(DEADLOCK),
		.setup = handover_setup,
		.thread = handover_thread,
		.finish = handover_finish,
	}, {
		.name = "waiting",
		.what = "nobody sleeps past a wake-up; more threads than cores",
		.kinds = kinds, .kinds_n = KINDS_N,
		.required = SHARES | CLAIMS | BIT(WAIT_ROUND) | BIT(TIMEDOUT),
		.threads_times = 4,
		.setup = waiting_setup,
		.thread = waiting_thread,
		.finish = waiting_finish,
	}, {
		.name = "lives",
		.what = "threads that come and end, handles in hand",
		.kinds = kinds, .kinds_n = KINDS_N,
		.required = BIT(THREAD) | BIT(LEFT_SHARED) | BIT(LEFT_DRAFT) |
			BIT(LEFT_UNIQUE) | BIT(OWNERDEAD) | BIT(REPAIR),
		.setup = lives_setup,
		.thread = lives_thread,
		.finish = lives_finish,
	},
};

int
main(int argc, char **argv)
{
	return stress_main(argc, argv, cases, sizeof cases / sizeof *cases);
}
