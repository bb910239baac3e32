/* SPDX-License-Identifier: MIT */
/*
 * word.c - scenarios of the borrow word, as model/spin/word.pml has them and
 * what that leaves out, on the functions of handles/ and lib/cell.c
 *
 * Slices are off (support.c): a lost wake-up is a deadlock that the scheduler
 * reports, not a delay.
 */
#include "model/support.h"

static int granted, refused;

static void
begin(void)
{
	support_begin(OWN_EXCLUSIVE, 1);
	granted = refused = 0;
}

static void
begin_unbiased(void)
{
	begin();
	take_away_bias(cell);
}

static void
begin_fallback(void)
{
	own_i_model_init();
	must(own_setup(OWN_NO_MEMBARRIER));
	begin();
	own_m_assert(own__self == NULL, "the fallback has no inlines");
}

/* Every committed claim incremented once. */
static void
end(void)
{
	struct own_shared s = { NULL, 0 };

	must(own_cell_share(cell, &s));
	own_m_assert(value_of(&s) == granted, "a lost update");
	own_shared_release(&s);
	support_end();
}

static void
reader(void)
{
	struct own_shared s = { NULL, 0 };

	must(own_cell_share(cell, &s));
	read_inside(&s, 0);
	own_shared_release(&s);
}

/* Shares twice and gives the first handle back first. */
static void
nested_reader(void)
{
	struct own_shared first = { NULL, 0 }, second = { NULL, 0 };

	must(own_cell_share(cell, &first));
	own_m_yield();
	must(own_cell_share(cell, &second));
	own_shared_release(&first);
	read_inside(&second, 0);
	own_shared_release(&second);
}

static void
claimer(void)
{
	struct own_unique u = { NULL, 0 };

	must(own_cell_claim(cell, &u));
	write_inside(&u, 0);
	granted++;
	own_unique_release(&u);
}

static void
try_claimer(void)
{
	struct own_unique u = { NULL, 0 };
	int r = own_cell_claim_try(cell, &u);

	if (r) {
		own_m_assert(r == -EBUSY, "try gives -EBUSY");
		refused++;
		return;
	}
	write_inside(&u, 0);
	granted++;
	own_unique_release(&u);
}

static void
timed_claimer(void)
{
	struct own_unique u = { NULL, 0 };
	int r = own_cell_claim_timed(cell, own_now_ns() + 1500, &u);

	if (r) {
		own_m_assert(r == -ETIMEDOUT, "timed gives -ETIMEDOUT");
		refused++;
		return;
	}
	write_inside(&u, 0);
	granted++;
	own_unique_release(&u);
}

/* ---- one reader, one claimer ---- */

static void
reader_claimer(unsigned me)
{
	if (me == 0)
		reader();
	else
		claimer();
}

static void
nested_claimer(unsigned me)
{
	if (me == 0)
		nested_reader();
	else
		claimer();
}

static void
clone_claimer(unsigned me)
{
	struct own_shared first = { NULL, 0 }, second = { NULL, 0 };

	if (me == 1) {
		claimer();
		return;
	}
	must(own_cell_share(cell, &first));
	own_m_yield();
	must(own_shared_clone(&first, &second));
	own_shared_release(&first);
	read_inside(&second, 0);
	own_shared_release(&second);
}

/*
 * A handle that moves down while the claimer's scan goes up: the third share
 * finds slot 0 free and passed, and the second, in slot 1, is given back.
 */
static void
dodge(unsigned me)
{
	struct own_shared first = { NULL, 0 }, second = { NULL, 0 };

	if (me == 1) {
		claimer();
		return;
	}
	must(own_cell_share(cell, &first));
	must(own_cell_share(cell, &second));
	own_shared_release(&first);
	own_m_yield();
	must(own_cell_share(cell, &first));
	own_shared_release(&second);
	read_inside(&first, 0);
	own_shared_release(&first);
}

static void
clone_dodge(unsigned me)
{
	struct own_shared first = { NULL, 0 }, second = { NULL, 0 };

	if (me == 1) {
		claimer();
		return;
	}
	must(own_cell_share(cell, &first));
	must(own_cell_share(cell, &second));
	own_shared_release(&first);
	own_m_yield();
	must(own_shared_clone(&second, &first));
	own_shared_release(&second);
	read_inside(&first, 0);
	own_shared_release(&first);
}

/* ---- as word.pml: two readers, one of them nested, two claimers ---- */

static void
full(unsigned me)
{
	switch (me) {
	case 0:
		nested_reader();
		break;
	case 1:
		reader();
		break;
	case 2:
		claimer();
		break;
	default:
		try_claimer();
	}
}

/* A claim that gives up must leave everything as it was for the next one. */
static void
giving_up(unsigned me)
{
	switch (me) {
	case 0:
		reader();
		break;
	case 1:
		timed_claimer();
		break;
	default:
		claimer();
	}
}

static void
claimers(unsigned me)
{
	(void)me;
	claimer();
}

static void
late_claimers(unsigned me)
{
	if (me == 1)
		timed_claimer();
	else
		claimer();
}

/* Readers that find no bias count, and buy it back beside a claimer. */
static void
rebias(unsigned me)
{
	if (me == 2) {
		claimer();
		return;
	}
	reader();
	reader();
}

static void
upgrade(unsigned me)
{
	struct own_shared s = { NULL, 0 };
	struct own_unique u = { NULL, 0 };
	int r;

	if (me == 2) {
		claimer();
		return;
	}
	must(own_cell_share(cell, &s));
	r = own_shared_upgrade_try(&s, &u);
	if (r == 0) {
		write_inside(&u, 0);
		granted++;
		own_unique_release(&u);
		return;
	}
	own_m_assert(r == -EBUSY, "upgrade gives -EBUSY");
	read_inside(&s, 0);
	own_shared_release(&s);
}

static void
downgrade(unsigned me)
{
	struct own_unique u = { NULL, 0 };
	struct own_shared s = { NULL, 0 };

	if (me == 1) {
		claimer();
		return;
	}
	if (me == 2) {
		reader();
		return;
	}
	must(own_cell_claim(cell, &u));
	write_inside(&u, 0);
	granted++;
	own_unique_downgrade(&u, &s);
	read_inside(&s, 0);
	own_shared_release(&s);
}

/* A thread hands a detached handle over; a claimer waits for the count. */
static struct own_shared handed;

static void
begin_handed(void)
{
	begin();
	handed = (struct own_shared) { NULL, 0 };
}

static void
detached(unsigned me)
{
	static uint32_t ready;

	if (me == 2) {
		claimer();
		return;
	}
	if (me == 0) {
		own__store(&ready, 0, OWN__RELAXED);
		must(own_cell_share(cell, &handed));
		must(own_shared_detach(&handed));
		own__store(&ready, 1, OWN__RELEASE);
		return;
	}
	while (!own__load(&ready, OWN__ACQUIRE))
		own_m_pause();
	read_inside(&handed, 0);
	own_shared_release(&handed);
	own__store(&ready, 0, OWN__RELAXED);
}

/* ---- the object goes as soon as its last handle has ---- */

static uint32_t inside;

static void
begin_removed(void)
{
	begin();
	inside = 0;
}

static void
removed(unsigned me)
{
	struct own_shared s = { NULL, 0 };
	struct own_unique u = { NULL, 0 };

	if (me == 0) {
		must(own_cell_share(cell, &s));
		own__store(&inside, 1, OWN__RELEASE);
		read_inside(&s, 0);
		own_shared_release(&s);
		return;
	}
	while (!own__load(&inside, OWN__ACQUIRE))
		own_m_pause();
	must(own_cell_claim(cell, &u));
	own_unique_release(&u);
	own_cell_destroy(cell);
	own_m_free(cell);
	cells[0] = NULL;
}

/* ---- threads that end with handles ---- */

static void
exit_shared(unsigned me)
{
	struct own_shared s = { NULL, 0 }, more = { NULL, 0 };

	if (me == 1) {
		claimer();
		return;
	}
	must(own_cell_share(cell, &s));
	own_m_yield();
	must(own_shared_clone(&s, &more));
}

static void
exit_unique(unsigned me)
{
	struct own_unique u = { NULL, 0 };
	int r;

	if (me == 0) {
		must(own_cell_claim(cell, &u));
		write_inside(&u, 0);
		granted++;
		return;			/* without a release */
	}
	r = own_cell_claim(cell, &u);
	if (r == 0) {			/* before the other thread */
		write_inside(&u, 0);
		granted++;
		own_unique_release(&u);
		return;
	}
	own_m_assert(r == -EOWNERDEAD, "an orphan says so");
	refused++;
}

static void
end_orphan(void)
{
	struct own_unique u = { NULL, 0 };
	struct own_shared s = { NULL, 0 };

	own_m_assert(own_cell_share(cell, &s) == -EOWNERDEAD,
			"an orphan stays one");
	must(own_cell_orphan_claim(cell, &u));
	own_unique_release(&u);
	end();
}

const struct own_m_scenario own_m_word_scenarios[] = {
	{ .name = "word/reader_claimer", .threads = 2, .setup = begin,
	  .thread = reader_claimer, .finish = end, .preemptions = 4 },
	{ .name = "word/unbiased", .threads = 2, .setup = begin_unbiased,
	  .thread = reader_claimer, .finish = end, .preemptions = 4 },
	{ .name = "word/nested", .threads = 2, .setup = begin,
	  .thread = nested_claimer, .finish = end, .preemptions = 3 },
	{ .name = "word/clone", .threads = 2, .setup = begin,
	  .thread = clone_claimer, .finish = end, .preemptions = 3 },
	{ .name = "word/dodge", .threads = 2, .setup = begin,
	  .thread = dodge, .finish = end, .preemptions = 3 },
	{ .name = "word/clone_dodge", .threads = 2, .setup = begin,
	  .thread = clone_dodge, .finish = end, .preemptions = 3 },
	{ .name = "word/full", .threads = 4, .setup = begin,
	  .thread = full, .finish = end, .preemptions = 2 },
	{ .name = "word/fallback", .threads = 4, .setup = begin_fallback,
	  .thread = full, .finish = end, .preemptions = 2 },
	{ .name = "word/gives_up", .threads = 3, .setup = begin,
	  .thread = giving_up, .finish = end, .preemptions = 2,
	  .timeouts = 1 },
	{ .name = "word/claimers", .threads = 3, .setup = begin,
	  .thread = claimers, .finish = end, .preemptions = 3 },
	{ .name = "word/late_claimers", .threads = 3, .setup = begin,
	  .thread = late_claimers, .finish = end, .preemptions = 2,
	  .timeouts = 1 },
	{ .name = "word/rebias", .threads = 3, .setup = begin_unbiased,
	  .thread = rebias, .finish = end, .preemptions = 2 },
	{ .name = "word/upgrade", .threads = 3, .setup = begin,
	  .thread = upgrade, .finish = end, .preemptions = 2 },
	{ .name = "word/downgrade", .threads = 3, .setup = begin,
	  .thread = downgrade, .finish = end, .preemptions = 2 },
	{ .name = "word/detached", .threads = 3, .setup = begin_handed,
	  .thread = detached, .finish = end, .preemptions = 2 },
	{ .name = "word/removed", .threads = 2, .setup = begin_removed,
	  .thread = removed, .finish = support_end, .preemptions = 3 },
	{ .name = "word/exit_shared", .threads = 2, .setup = begin,
	  .thread = exit_shared, .finish = end, .preemptions = 3 },
	{ .name = "word/exit_unique", .threads = 2, .setup = begin,
	  .thread = exit_unique, .finish = end_orphan, .preemptions = 3 },
	{ .name = NULL },
};
