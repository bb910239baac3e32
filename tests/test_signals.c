/* SPDX-License-Identifier: MIT */
/*
 * test_signals.c - verbs in a signal handler that interrupts a verb
 *
 * The processor traps after each instruction of a verb, and at one of them the
 * handler of that trap takes a handle and gives it back. Each place of the
 * interruption is a forked child of its own, so that all of them, or many, are
 * gone through and not only those that a timer would meet.
 */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include "tests/support.h"

#if defined(OWN_CHECKED) && defined(__x86_64__) && !defined(OWN__TSAN)
#include <ucontext.h>

#define PLACES_MAX	40u		/* of a pair of verbs */
#define TRAP_FLAG	0x100

/* around the red zone of the function that it stands in */
#define FLAGS(change)							\
	__asm__ __volatile__("lea -128(%%rsp), %%rsp\n\t"		\
			"pushfq\n\t" change "\n\tpopfq\n\t"		\
			"lea 128(%%rsp), %%rsp" ::: "memory", "cc")
#define STEP()		FLAGS("orq $0x100, (%%rsp)")
#define STEP_NO_MORE()	FLAGS("andq $~0x100, (%%rsp)")

static struct own_cell cell, other;
static volatile unsigned steps, interrupt_at;
static int (*volatile in_handler)(void);
static volatile int handler_result;

static void
on_trap(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	if (++steps != interrupt_at)
		return;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
	handler_result = in_handler();
}

/* ---- what handlers do: 0 if all was as it should be ---- */

static int
share_in(struct own_cell *at)
{
	struct own_shared s = { 0 };
	int r = own_cell_share_try(at, &s);

	if (r)
		return r == -EBUSY || r == -EDEADLK ? 0 : r;
	r = item_get(&s)->n == item_get(&s)->twin ? 0 : -EINVAL;
	own_shared_release(&s);
	return r;
}

static int
claim_in(struct own_cell *at)
{
	struct own_unique u = { 0 };
	int r = own_cell_claim_try(at, &u);

	if (r)
		return r == -EBUSY || r == -EDEADLK ? 0 : r;
	item_edit(&u)->twin = ++item_edit(&u)->n;
	own_unique_release(&u);
	return 0;
}

static int
handler_shares(void)
{
	return share_in(&other);
}

static int
handler_shares_the_same(void)
{
	return share_in(&cell);
}

static int
handler_claims(void)
{
	return claim_in(&other);
}

static int
handler_claims_the_same(void)
{
	return claim_in(&cell);
}

static int (*const handlers[])(void) = {
	handler_shares, handler_shares_the_same, handler_claims,
	handler_claims_the_same,
};

/* ---- what is interrupted ---- */

#define EXPECT(condition)						\
	do {								\
		if (!(condition)) {					\
			fprintf(stderr, "%s\n", #condition);		\
			_exit(1);					\
		}							\
	} while (0)

/* One handle, of the cell and taken here. */
static void
expect_one(const char *mode)
{
	struct own_party party;

	EXPECT(own_held(&party, 1) == 1);
	EXPECT(strcmp(party.mode, mode) == 0 ||
			strcmp(party.mode, "shared (counted)") == 0);
	EXPECT(party.container && strcmp(party.container, cell.name) == 0);
	EXPECT(party.address == &cell.word);
	EXPECT(strcmp(party.site->file, __FILE__) == 0);
}

static void
share_and_release(void)
{
	struct own_shared s = { 0 };
	int r;

	STEP();
	r = own_cell_share(&cell, &s);
	STEP_NO_MORE();
	EXPECT(r == 0);
	EXPECT(item_get(&s)->n == item_get(&s)->twin);
	expect_one("shared");
	STEP();
	own_shared_release(&s);
	STEP_NO_MORE();
}

static void
claim_and_release(void)
{
	struct own_unique u = { 0 };
	int r;

	STEP();
	r = own_cell_claim(&cell, &u);
	STEP_NO_MORE();
	EXPECT(r == 0);
	expect_one("unique");
	item_edit(&u)->twin = ++item_edit(&u)->n;
	STEP();
	own_unique_release(&u);
	STEP_NO_MORE();
}

static void
prepare(int biased)
{
	struct own_unique u = { 0 };
	struct sigaction act;

	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	item_cell(&other, OWN_EXCLUSIVE, 1, NULL);
	other.name = "the other cell";
	if (!biased) {
		assert_int_equal(own_cell_claim(&cell, &u), 0);
		own_unique_release(&u);
		assert_int_equal(own_cell_claim(&other, &u), 0);
		own_unique_release(&u);
	}
	memset(&act, 0, sizeof(act));
	act.sa_sigaction = on_trap;
	act.sa_flags = SA_SIGINFO;
	assert_int_equal(sigaction(SIGTRAP, &act, NULL), 0);
}

/* Nothing is left behind, and both cells are as good as new. */
static void
conclude(void)
{
	struct own_unique u = { 0 };

	EXPECT(handler_result == 0);
	EXPECT(own_held(NULL, 0) == 0);
	EXPECT(own_cell_claim_try(&cell, &u) == 0);
	EXPECT(item_edit(&u)->n == item_edit(&u)->twin);
	own_unique_release(&u);
	EXPECT(own_cell_claim_try(&other, &u) == 0);
	EXPECT(item_edit(&u)->n == item_edit(&u)->twin);
	own_unique_release(&u);
	own_cell_destroy(&cell);
	own_cell_destroy(&other);
}

/* ---- each place ---- */

struct counts {
	unsigned places, fine, stopped, wrong;
	char said[600];			/* of the first that is wrong */
};

struct attempt {
	void (*verbs)(void);
	unsigned at;			/* 0: only counts the places */
};

static void
attempt(const void *arg)
{
	const struct attempt *a = arg;

	steps = 0;
	interrupt_at = a->at;
	a->verbs();
	if (a->at)
		conclude();
	else
		fprintf(stderr, "%u", steps);
}

static void
interrupt(void (*verbs)(void), unsigned at, struct counts *counts)
{
	const struct attempt a = { verbs, at };
	struct outcome o;

	child_fork(attempt, &a, &o);
	if (!at)
		counts->places = (unsigned)strtoul(o.text, NULL, 10);
	else if (o.status == 0)
		counts->fine++;
	else if (child_aborted(&o) && strstr(o.text,
			"a handle is taken in a signal handler, which has "
			"interrupted the taking of another one at "))
		counts->stopped++;
	else if (!counts->wrong++)
		(void)snprintf(counts->said, sizeof(counts->said),
				"at %u, status %#x: %.500s", at,
				(unsigned)o.status, o.text);
}

static void
at_each_place(void (*verbs)(void), int biased, struct counts *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (unsigned h = 0; h < sizeof(handlers) / sizeof(handlers[0]); h++) {
		unsigned by;

		prepare(biased);
		in_handler = handlers[h];
		interrupt(verbs, 0, ret);
		assert_true(ret->places > 10);
		by = ret->places / PLACES_MAX + 1;
		for (unsigned at = 1; at <= ret->places; at += by)
			interrupt(verbs, at, ret);
		own_cell_destroy(&cell);
		own_cell_destroy(&other);
	}
	print_message("%u places of a handler: fine at %u, stops at %u, "
			"wrong at %u\n", ret->places, ret->fine, ret->stopped,
			ret->wrong);
	if (ret->wrong)
		print_message("%s\n", ret->said);
}

static void
handler_beside_a_verb_is_harmless_or_stops(void **state)
{
	struct counts counts;

	(void)state;
	for (int biased = 0; biased < 2; biased++) {
		at_each_place(share_and_release, biased, &counts);
		assert_int_equal(counts.wrong, 0);
		assert_true(counts.fine > 0);
		assert_true(counts.stopped > 0);
		/* its taking is a few instructions of thousands */
		at_each_place(claim_and_release, biased, &counts);
		assert_int_equal(counts.wrong, 0);
		assert_true(counts.fine > 0);
	}
}

NO_CHILDREN;

static const struct CMUnitTest tests[] = {
	TEST(handler_beside_a_verb_is_harmless_or_stops),
};

TESTS_MAIN("signals");

#else

int
main(void)
{
	fprintf(stderr, "not run: needs the checked library, the trap flag of "
			"x86-64, and no ThreadSanitizer, whose runtime it "
			"would interrupt\n");
	return 77;
}

#endif
