/* SPDX-License-Identifier: MIT */
/*
 * legal_waits.c - waits in which nobody may be told of a deadlock
 *
 * Cells of both policies, entries and whole maps stand in one order, and every
 * thread asks for them in that order: shared, unique, in place or by draft,
 * nested, cloned, upgraded and downgraded, with and without deadlines, while
 * it goes on holding what it has. So each wait ends, however long it takes,
 * and a check that says otherwise is wrong.
 *
 * Oracles
 *   alarm    No verb gives -EDEADLK, and a checked library tells of no order
 *            that could deadlock.
 *   checked  At least one deadlock check ran. Sleeps and checks are counted
 *            where the linker puts this file between wait.c and its callers
 *            (--wrap); checks run when a slice of a wait has timed out.
 *   on time  -ETIMEDOUT comes not before its deadline.
 *   updates  As many changes in the values as were made, none seen half done.
 *
 *   ordinary  slices as the library has them: a first one of a millisecond
 *   often     a first slice of SLICE_OFTEN_NS: a check in most waits, while
 *             holders come and go
 */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <own/own.h>
#include "handles/internal.h"
#include "stress/driver.h"
#include "stress/forms.h"

/* Handles stand in arrays here, which is beyond what clang follows. */
#ifdef __clang__
#pragma clang diagnostic ignored "-Wthread-safety"
#endif

#define SLICE_OFTEN_NS	20000u
#define DEADLINE_MAX_NS	4000000u
#define CELLS_N		10u
#define MAPS_N		3u
#define KEYS_N		5u
#define KEYS_ALL	(2 * KEYS_N)	/* those beyond KEYS_N come and go */
#define HELD_MAX	6u
/* a place in the order: each map's whole, its keys, then some cells */
#define PLACES_MAP	(1 + KEYS_ALL)
#define PLACES_CELLS	3u
#define PLACES_GROUP	(PLACES_MAP + PLACES_CELLS)
#define PLACES_N	(MAPS_N * PLACES_GROUP + 1)

#define KINDS(X)							\
	X(SHARE, "share") X(CLAIM, "claim") X(READ, "read")		\
	X(REPLACE, "replace") X(SHARE_ALL, "share_all")			\
	X(CLAIM_ALL, "claim_all") X(MADE, "entry made")			\
	X(REMOVED, "entry removed") X(ABSENT, "-ENOENT")		\
	X(NESTED, "nested share") X(CLONED, "clone")			\
	X(UPGRADE, "upgrade_try") X(UPGRADED, "upgraded")		\
	X(DOWNGRADE, "downgrade") X(BUSY, "-EBUSY")			\
	X(TIMEDOUT, "-ETIMEDOUT") X(HELD, "asked with handles in hand")	\
	X(SLEEP, "sleeps") X(CHECK, "deadlock checks")			\
	X(STALL, "told as stalled")

enum {
#define KIND(name, text)	K_##name,
	KINDS(KIND)
#undef KIND
	KINDS_N
};

static const char *const kinds[] = {
#define KIND(name, text)	[K_##name] = text,
	KINDS(KIND)
#undef KIND
};

#define BIT(kind)	((uint64_t)1 << K_##kind)

struct count {
	uint64_t n;
	uint64_t twin;
};

OWN_TYPE(count, struct count);

/* Each a class of its own for the checked library. */
static char cell_name[CELLS_N][8], map_name[MAPS_N][8];
static struct own_cell cells[CELLS_N];
static struct own_map *maps[MAPS_N];
static uint64_t updates;		/* shared */
static uint64_t slice_ns;
static __thread struct stress_thread *me;

/* What a thread has of one place. */
struct hand {
	struct own_unique u;
	struct own_shared s, more;
	unsigned map;			/* MAPS_N: a cell */
	int whole;			/* the handle is of the whole map */
	int lasting;			/* its changes count */
};

/* A thread's way along the order. */
struct walk {
	struct hand hands[HELD_MAX];
	unsigned n;
	unsigned map;			/* of what follows */
	int reads, writes;		/* entries of that map held */
	int whole;			/* 0, 'S' or 'X': that map's whole */
};

/* ---- between the library's waits and its checks ---- */

int __real_own_i_deadlock_check(struct own_i_record *self);
int __wrap_own_i_deadlock_check(struct own_i_record *self);
int __real_own_i_wait(struct own_i_record *self, uint32_t kind,
		const uint64_t *word, struct own_i_slot s,
		const uint32_t *address, uint32_t seen, uint32_t bitset,
		uint64_t deadline_ns);
int __wrap_own_i_wait(struct own_i_record *self, uint32_t kind,
		const uint64_t *word, struct own_i_slot s,
		const uint32_t *address, uint32_t seen, uint32_t bitset,
		uint64_t deadline_ns);

int
__wrap_own_i_deadlock_check(struct own_i_record *self)
{
	if (me)
		stress_count(me, K_CHECK);
	return __real_own_i_deadlock_check(self);
}

int
__wrap_own_i_wait(struct own_i_record *self, uint32_t kind,
		const uint64_t *word, struct own_i_slot s,
		const uint32_t *address, uint32_t seen, uint32_t bitset,
		uint64_t deadline_ns)
{
	if (me)
		stress_count(me, K_SLEEP);
	return __real_own_i_wait(self, kind, word, s, address, seen, bitset,
			deadline_ns);
}

/* ---- the verbs ---- */

static void
change(struct hand *h)
{
	struct count *c = own_unique_edit(&h->u);

	if (c->n != c->twin)
		stress_fail(me, "a writer finds a value in change");
	c->n++;
	stress_spin(20);
	c->twin++;
}

static void
look(const struct own_shared *s)
{
	const struct count *c = own_shared_get(s);

	if (c->n != c->twin)
		stress_fail(me, "reads a value in change");
}

/* Now and then for long enough that others' slices time out. */
static void
hold_on(void)
{
	switch (stress_below(me, 16)) {
	case 0:
		stress_nap(stress_below(me, 3000000));
		break;
	case 1:
	case 2:
		stress_nap(stress_below(me, 100000));
		break;
	case 3:
		sched_yield();
		break;
	case 4:
	case 5:
		stress_spin(stress_below(me, 2000));
		break;
	default:
		break;
	}
}

struct form {
	unsigned form;
	uint64_t deadline_ns;		/* of TIMED */
};

static struct form
ask(const struct walk *w, unsigned kind)
{
	struct form ret = { form_draw(me, ANY), 0 };

	stress_op(me, kind);
	if (w->n)
		stress_count(me, K_HELD);
	if (ret.form == TIMED)
		ret.deadline_ns = own_deadline_ns(
				stress_below(me, DEADLINE_MAX_NS));
	return ret;
}

static int
answered(struct form f, int r)
{
	char why[2048];
	uint64_t now;

	if (r == -EBUSY && f.form == TRY) {
		stress_count(me, K_BUSY);
	} else if (r == -ENOENT) {
		stress_count(me, K_ABSENT);
	} else if (r == -ETIMEDOUT && f.form == TIMED) {
		now = own_now_ns();
		if (now < f.deadline_ns)
			stress_fail(me, "-ETIMEDOUT %" PRIu64 " ns early",
					f.deadline_ns - now);
		stress_waited(me, now - f.deadline_ns);
		stress_count(me, K_TIMEDOUT);
	} else if (r) {
		own_conflict_text(own_conflict_last(), why, sizeof why);
		stress_fail(me, "%s: %d (%s): %s", r == -EDEADLK
				? "a false alarm" : "unexpected answer", r,
				strerror(-r), why);
	}
	return r;
}

/* Every verb has three forms. */
#define IN_FORM(f, try, timed, bare)					\
	answered(f, (f).form == TRY ? (try)				\
		: (f).form == TIMED ? (timed) : (bare))

static int
share(struct walk *w, struct own_cell *cell, uint64_t key,
		struct own_shared *s)
{
	struct own_map *map = cell ? NULL : maps[w->map];
	struct form f = ask(w, K_SHARE);

	if (cell)
		return IN_FORM(f, own_cell_share_try(cell, s),
				own_cell_share_timed(cell, f.deadline_ns, s),
				own_cell_share(cell, s));
	return IN_FORM(f, own_map_share_try_u64(map, key, s),
			own_map_share_timed_u64(map, key, f.deadline_ns, s),
			own_map_share_u64(map, key, s));
}

static int
claim(struct walk *w, struct own_cell *cell, uint64_t key,
		struct own_unique *u)
{
	struct own_map *map = cell ? NULL : maps[w->map];
	struct form f = ask(w, K_CLAIM);
	int made = 0, r;

	if (cell)
		return IN_FORM(f, own_cell_claim_try(cell, u),
				own_cell_claim_timed(cell, f.deadline_ns, u),
				own_cell_claim(cell, u));
	if (key < KEYS_N)
		return IN_FORM(f, own_map_claim_try_u64(map, key, u),
				own_map_claim_timed_u64(map, key,
					f.deadline_ns, u),
				own_map_claim_u64(map, key, u));
	r = IN_FORM(f, own_map_claim_or_new_try_u64(map, key, u, &made),
			own_map_claim_or_new_timed_u64(map, key,
				f.deadline_ns, u, &made),
			own_map_claim_or_new_u64(map, key, u, &made));
	if (made)
		stress_count(me, K_MADE);
	return r;
}

/* Puts a new value where its loss does not count. */
static void
replace(struct walk *w, struct own_cell *cell, uint64_t key)
{
	struct own_map *map = cell ? NULL : maps[w->map];
	struct own_unique u = { 0 };
	struct form f = ask(w, K_REPLACE);

	if (cell) {
		must(me, count_new(&u), "own_new");
		(void)IN_FORM(f, own_cell_replace_try(cell, &u),
				own_cell_replace_timed(cell, f.deadline_ns, &u),
				own_cell_replace(cell, &u));
	} else {
		must(me, own_map_new_u64(map, key, &u), "map_new");
		(void)IN_FORM(f, own_map_put_try_u64(map, key, &u),
				own_map_put_timed_u64(map, key, f.deadline_ns,
					&u),
				own_map_put_u64(map, key, &u));
	}
	own_unique_release(&u);
}

static void
read_out(struct walk *w, struct own_cell *cell, uint64_t key)
{
	struct form f = { BARE, 0 };
	struct count copy = { 0, 0 };

	stress_op(me, K_READ);
	(void)answered(f, cell ? own_cell_read(cell, &copy, sizeof copy)
		: own_map_read_u64(maps[w->map], key, &copy, sizeof copy));
	if (copy.n != copy.twin)
		stress_fail(me, "copies a value in change");
}

/* ---- what is held, and let go ---- */

/* Of the map at hand: how many entries are read, and written. */
static void
tally(struct walk *w, const struct hand *h, int by)
{
	if (h->map != w->map || h->whole)
		return;
	w->writes += h->u.object ? by : 0;
	w->reads += h->s.object ? by : 0;
}

static void
let_go(struct walk *w, unsigned i)
{
	struct hand *h = &w->hands[i];

	tally(w, h, -1);
	own_shared_release(&h->more);
	if (h->s.object && !h->whole)
		look(&h->s);
	own_shared_release(&h->s);
	if (h->whole) {
		own_unique_release(&h->u);
	} else if (h->u.object && h->map < MAPS_N && !h->lasting &&
			stress_one_in(me, 2)) {
		stress_count(me, K_REMOVED);
		own_map_remove_held(&h->u);
	} else {
		own_unique_commit(&h->u);
	}
	*h = w->hands[--w->n];
	memset(&w->hands[w->n], 0, sizeof *h);
}

static void
written(struct hand *h)
{
	change(h);
	if (h->lasting)
		/* relaxed: a sum */
		own__add(&updates, (uint64_t)1, OWN__RELAXED);
}

/* What a reader may do without an order: more of the same, or upgrade. */
static void
go_on_reading(struct walk *w, struct hand *h, struct own_cell *cell,
		uint64_t key)
{
	int r;

	look(&h->s);
	switch (stress_below(me, 5)) {
	case 0:
		stress_count(me, K_NESTED);
		(void)share(w, cell, key, &h->more);
		return;
	case 1:
		stress_count(me, K_CLONED);
		must(me, own_shared_clone(&h->s, &h->more), "clone");
		return;
	case 2:
	case 3:
		if (!cell && w->whole == 'S')
			return;
		stress_op(me, K_UPGRADE);
		r = own_shared_upgrade_try(&h->s, &h->u);
		if (!r) {
			stress_count(me, K_UPGRADED);
			written(h);
		} else if (r != -EBUSY && r != -EAGAIN) {
			(void)answered((struct form){ BARE, 0 }, r);
		}
		return;
	default:
		return;
	}
}

/* Asks for one value in a way that the order allows. */
static void
visit(struct walk *w, struct own_cell *cell, uint64_t key)
{
	struct hand *h = &w->hands[w->n];
	/* from nothing but reads of a map to a write: against the order */
	int may_write = cell || w->whole == 'X' ||
		(w->whole != 'S' && (!w->reads || w->writes));
	int loses = cell ? cell == &cells[CELLS_N - 1] : key >= KEYS_N;

	if (stress_one_in(me, 8)) {
		read_out(w, cell, key);
		return;
	}
	if (loses && may_write && stress_one_in(me, 4)) {
		replace(w, cell, key);
		return;
	}
	h->map = cell ? MAPS_N : w->map;
	h->lasting = !loses;
	if (may_write && stress_one_in(me, 2)) {
		if (claim(w, cell, key, &h->u))
			return;
		written(h);
		if (stress_one_in(me, 4)) {
			stress_op(me, K_DOWNGRADE);
			own_unique_downgrade(&h->u, &h->s);
		}
	} else {
		if (share(w, cell, key, &h->s))
			return;
		go_on_reading(w, h, cell, key);
	}
	w->n++;
	tally(w, h, 1);
	hold_on();
}

static void
visit_whole(struct walk *w)
{
	struct own_map *map = maps[w->map];
	struct hand *h = &w->hands[w->n];
	int all = stress_one_in(me, 2);
	struct form f = ask(w, all ? K_CLAIM_ALL : K_SHARE_ALL);

	h->map = w->map;
	if (all ? IN_FORM(f, own_map_claim_all_try(map, &h->u),
			own_map_claim_all_timed(map, f.deadline_ns, &h->u),
			own_map_claim_all(map, &h->u))
		: IN_FORM(f, own_map_share_all_try(map, &h->s),
			own_map_share_all_timed(map, f.deadline_ns, &h->s),
			own_map_share_all(map, &h->s)))
		return;
	h->whole = 1;
	w->whole = all ? 'X' : 'S';
	if (all && stress_one_in(me, 3)) {
		stress_op(me, K_DOWNGRADE);
		own_unique_downgrade(&h->u, &h->s);
		w->whole = 'S';
	}
	w->n++;
	hold_on();
}

static void
at_place(struct walk *w, unsigned place)
{
	unsigned offset = place % PLACES_GROUP;

	if (place == MAPS_N * PLACES_GROUP) {
		visit(w, &cells[CELLS_N - 1], 0);
	} else if (offset == 0) {
		if (stress_one_in(me, 3))
			visit_whole(w);
	} else if (offset < PLACES_MAP) {
		visit(w, NULL, offset - 1);
	} else {
		visit(w, &cells[w->map * PLACES_CELLS + offset - PLACES_MAP],
				0);
	}
}

static void
legal_thread(struct stress_thread *t)
{
	struct walk w;

	me = t;
	while (stress_running(t)) {
		unsigned place = stress_below(t, PLACES_N);

		memset(&w, 0, sizeof w);
		w.map = MAPS_N;
		while (place < PLACES_N && w.n < HELD_MAX) {
			if (place / PLACES_GROUP != w.map &&
					place / PLACES_GROUP < MAPS_N) {
				w.map = place / PLACES_GROUP;
				w.reads = w.writes = w.whole = 0;
			}
			at_place(&w, place);
			if (w.n && stress_one_in(t, 4) &&
					!w.hands[w.n - 1].whole)
				let_go(&w, w.n - 1);
			place += 1 + stress_below(t, 8);
		}
		while (w.n)
			let_go(&w, stress_below(t, w.n));
	}
	me = NULL;
}

/* ---- a case ---- */

/* Waits of 14 slices are told here as well: long, and no alarm. */
static void
told(const char *text, void *arg)
{
	(void)arg;
	if (strstr(text, "can deadlock"))
		stress_fail(me, "a false alarm: %s", text);
	if (me)
		stress_count(me, K_STALL);
}

static void
setup(unsigned threads_n)
{
	struct stress_thread t = { .threads_n = threads_n };
	struct own_map_options options = {
		.size = sizeof options, .type = &count_type,
		.flags = OWN_MAP_U64,
	};
	struct own_unique u = { 0 };

	updates = 0;
	slice_ns = own_i_slice_ns;
	own_stall_hook(told, NULL);
	for (unsigned i = 0; i < CELLS_N; i++) {
		snprintf(cell_name[i], sizeof *cell_name, "cell %u", i);
		must(&t, count_new(&u), "own_new");
		must(&t, own_cell_init(&cells[i], &count_type, i % 3 == 2
				? OWN_VERSIONED : OWN_EXCLUSIVE, cell_name[i],
				&u), "cell_init");
	}
	for (unsigned m = 0; m < MAPS_N; m++) {
		snprintf(map_name[m], sizeof *map_name, "map %u", m);
		options.name = map_name[m];
		options.policy = m == 1 ? OWN_VERSIONED : OWN_EXCLUSIVE;
		must(&t, own_map_create(&options, &maps[m]), "map_create");
		for (uint64_t i = 0; i < KEYS_N; i++) {
			must(&t, own_map_new_u64(maps[m], i, &u), "map_new");
			must(&t, own_map_put_u64(maps[m], i, &u), "put");
		}
	}
}

static void
often_setup(unsigned threads_n)
{
	setup(threads_n);
	own_i_slice_ns = SLICE_OFTEN_NS;
}

static void
finish(unsigned threads_n)
{
	struct count copy;
	uint64_t sum = 0;

	(void)threads_n;
	own_i_slice_ns = slice_ns;
	for (unsigned i = 0; i < CELLS_N; i++) {
		must(NULL, own_cell_read(&cells[i], &copy, sizeof copy),
				"read");
		if (i < CELLS_N - 1)
			sum += copy.n;
		own_cell_destroy(&cells[i]);
	}
	for (unsigned m = 0; m < MAPS_N; m++) {
		for (uint64_t i = 0; i < KEYS_N; i++) {
			must(NULL, own_map_read_u64(maps[m], i, &copy,
					sizeof copy), "read");
			sum += copy.n;
		}
		own_map_destroy(maps[m]);
	}
	if (own_barrier() != 0)
		stress_fail(NULL, "values are still held");
	if (sum != updates)
		stress_fail(NULL, "%" PRIu64 " changes made, %" PRIu64 " kept",
				updates, sum);
}

#define REQUIRED							\
	(BIT(SHARE) | BIT(CLAIM) | BIT(REPLACE) | BIT(SHARE_ALL) |	\
	 BIT(CLAIM_ALL) | BIT(MADE) | BIT(REMOVED) | BIT(NESTED) |	\
	 BIT(UPGRADED) | BIT(DOWNGRADE) | BIT(TIMEDOUT) | BIT(HELD) |	\
	 BIT(SLEEP) | BIT(CHECK))

static const struct stress_case cases[] = {
	{
		.name = "ordinary",
		.what = "waits in a legal order: nobody is told of a deadlock",
		.kinds = kinds, .kinds_n = KINDS_N, .required = REQUIRED,
		.threads_times = 4,
		.setup = setup, .thread = legal_thread, .finish = finish,
	},
	{
		.name = "often",
		.what = "the same with a deadlock check in most waits",
		.kinds = kinds, .kinds_n = KINDS_N, .required = REQUIRED,
		.threads_times = 4,
		.setup = often_setup, .thread = legal_thread, .finish = finish,
	},
};

int
main(int argc, char **argv)
{
	return stress_main(argc, argv, cases, sizeof cases / sizeof *cases);
}
