/* SPDX-License-Identifier: MIT */
/*
 * versioned.c - scenarios of versions and their reclamation, as
 * model/spin/versioned.pml has them and what that leaves out
 */
#include "model/support.h"

static int commits;
static long newest[2];

static void
begin(void)
{
	support_begin(OWN_VERSIONED, 1);
	commits = 0;
	newest[0] = newest[1] = 0;
}

static void
begin_fallback(void)
{
	own_i_model_init();
	must(own_setup(OWN_NO_MEMBARRIER));
	begin();
}

static void
end(void)
{
	struct own_shared s = { NULL, 0 };

	must(own_cell_share(cell, &s));
	own_m_assert(value_of(&s) == commits, "a lost update");
	own_shared_release(&s);
	support_end();
}

/* A version is read twice, with a switch between, and does not change. */
static void
look(const struct own_shared *s)
{
	long seen = value_of(s);

	own_m_yield();
	own_m_assert(value_of(s) == seen, "a version changed");
}

static void
reader(unsigned me)
{
	struct own_shared s = { NULL, 0 };
	long seen;

	for (int i = 0; i < 2; i++) {
		must(own_cell_share(cell, &s));
		look(&s);
		seen = value_of(&s);
		own_m_assert(seen >= newest[me], "time went back");
		newest[me] = seen;
		own_shared_release(&s);
	}
}

static void
cloner(void)
{
	struct own_shared first = { NULL, 0 }, second = { NULL, 0 };

	must(own_cell_share(cell, &first));
	own_m_yield();
	must(own_shared_clone(&first, &second));
	own_shared_release(&first);
	look(&second);
	own_shared_release(&second);
}

static void
detacher(void)
{
	struct own_shared s = { NULL, 0 };

	must(own_cell_share(cell, &s));
	own_m_yield();
	must(own_shared_detach(&s));
	look(&s);
	own_shared_release(&s);
}

/* Commits, then scans: what it replaced goes at once if nobody holds it. */
static void
writer(void)
{
	struct own_unique u = { NULL, 0 };
	struct pair *p;

	must(own_cell_claim(cell, &u));
	p = own_unique_edit(&u);
	own_m_write(p, sizeof(*p));
	p->a++;
	p->b++;
	commits++;
	own_unique_commit(&u);
	(void)own_reclaim(0);
}

static void
dropper(void)
{
	struct own_unique u = { NULL, 0 };
	struct pair *p;

	must(own_cell_claim(cell, &u));
	p = own_unique_edit(&u);
	own_m_write(p, sizeof(*p));
	p->a = -1;
	own_unique_release(&u);
}

static void
replacer(void)
{
	struct own_unique u = { NULL, 0 };
	struct own_shared s = { NULL, 0 };

	/* the new value is made from what is current while nobody else may
	 * commit: the scenario lets this thread be the first writer */
	must(pair_new(&u));
	own_m_write(own_unique_edit(&u), sizeof(struct pair));
	must(own_cell_replace(cell, &u));
	must(own_cell_share(cell, &s));
	look(&s);
	own_shared_release(&s);
	(void)own_reclaim(0);
}

static void
reader_writer(unsigned me)
{
	if (me == 0)
		reader(0);
	else
		writer();
}

static void
clone_writer(unsigned me)
{
	if (me == 0)
		cloner();
	else
		writer();
}

static void
detach_writer(unsigned me)
{
	if (me == 0)
		detacher();
	else
		writer();
}

/* as versioned.pml */
static void
full(unsigned me)
{
	switch (me) {
	case 0:
		cloner();
		break;
	case 1:
		detacher();
		break;
	default:
		writer();
	}
}

static void
committers(unsigned me)
{
	if (me == 2)
		dropper();
	else
		writer();
}

/*
 * A replacement does not slip in between a claim and its commit: seen by the
 * draft's owner, which finds the version that it copied still current.
 */
static void
replace_claim(unsigned me)
{
	struct own_unique u = { NULL, 0 };

	if (me == 0) {
		replacer();
		return;
	}
	must(own_cell_claim(cell, &u));
	{
		const void *copied = own__load(&cell->current, OWN__RELAXED);

		own_m_yield();
		own_m_assert(own__load(&cell->current, OWN__RELAXED) == copied,
				"replaced under a draft: a lost update");
	}
	own_unique_release(&u);
}

static void
swap(unsigned me)
{
	struct own_unique u = { NULL, 0 };

	if (me == 0) {
		cloner();
		return;
	}
	must(pair_new(&u));
	must(own_cell_swap(cell, &u));
	/* owned by this thread alone: it may change it */
	own_m_write(own_unique_edit(&u), sizeof(struct pair));
	((struct pair *)own_unique_edit(&u))->a = 7;
	own_unique_release(&u);
}

static void
upgrade(unsigned me)
{
	struct own_shared s = { NULL, 0 };
	struct own_unique u = { NULL, 0 };
	struct pair *p;
	int r;

	(void)me;
	must(own_cell_share(cell, &s));
	r = own_shared_upgrade_try(&s, &u);
	if (r) {
		own_m_assert(r == -EBUSY || r == -EAGAIN, "upgrade refused");
		look(&s);
		own_shared_release(&s);
		return;
	}
	p = own_unique_edit(&u);
	own_m_write(p, sizeof(*p));
	p->a++;
	p->b++;
	commits++;
	own_unique_downgrade(&u, &s);
	look(&s);
	own_shared_release(&s);
}

static void
exits(unsigned me)
{
	struct own_shared s = { NULL, 0 };
	struct own_unique u = { NULL, 0 };

	switch (me) {
	case 0:			/* with a version */
		must(own_cell_share(cell, &s));
		look(&s);
		break;
	case 1:			/* with a draft */
		must(own_cell_claim(cell, &u));
		break;
	default:		/* with a batch */
		must(own_cell_claim(cell, &u));
		((struct pair *)own_unique_edit(&u))->a++;
		((struct pair *)own_unique_edit(&u))->b++;
		commits++;
		own_unique_commit(&u);
	}
}

static void
barrier(unsigned me)
{
	struct own_unique u = { NULL, 0 };
	int before;

	if (me == 1) {
		(void)own_reclaim(0);
		return;
	}
	must(own_cell_claim(cell, &u));
	((struct pair *)own_unique_edit(&u))->a++;
	((struct pair *)own_unique_edit(&u))->b++;
	commits++;
	before = finis;
	own_unique_commit(&u);
	own_m_assert(own_barrier() == 0, "nobody holds it");
	own_m_assert(finis == before + 1, "a barrier waits for other scans");
}

static void
relocate(unsigned me)
{
	if (me == 2)
		reader(0);
	else
		writer();
}

const struct own_m_scenario own_m_versioned_scenarios[] = {
	{ .name = "versioned/reader_writer", .threads = 2, .setup = begin,
	  .thread = reader_writer, .finish = end, .preemptions = 3 },
	{ .name = "versioned/clone", .threads = 2, .setup = begin,
	  .thread = clone_writer, .finish = end, .preemptions = 3 },
	{ .name = "versioned/detach", .threads = 2, .setup = begin,
	  .thread = detach_writer, .finish = end, .preemptions = 3 },
	{ .name = "versioned/full", .threads = 4, .setup = begin,
	  .thread = full, .finish = end, .preemptions = 2 },
	{ .name = "versioned/fallback", .threads = 4,
	  .setup = begin_fallback, .thread = full, .finish = end,
	  .preemptions = 2 },
	{ .name = "versioned/recycled", .threads = 3, .setup = begin,
	  .thread = relocate, .finish = end, .preemptions = 2,
	  .flags = OWN_M_REUSE },
	{ .name = "versioned/writers", .threads = 3, .setup = begin,
	  .thread = committers, .finish = end, .preemptions = 2 },
	{ .name = "versioned/replace_claim", .threads = 2, .setup = begin,
	  .thread = replace_claim, .finish = support_end, .preemptions = 3 },
	{ .name = "versioned/swap", .threads = 2, .setup = begin,
	  .thread = swap, .finish = support_end, .preemptions = 3 },
	{ .name = "versioned/upgrade", .threads = 2, .setup = begin,
	  .thread = upgrade, .finish = end, .preemptions = 3 },
	{ .name = "versioned/exits", .threads = 3, .setup = begin,
	  .thread = exits, .finish = end, .preemptions = 2 },
	{ .name = "versioned/barrier", .threads = 2, .setup = begin,
	  .thread = barrier, .finish = end, .preemptions = 3 },
	{ .name = NULL },
};
