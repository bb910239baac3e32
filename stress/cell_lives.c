/* SPDX-License-Identifier: MIT */
/*
 * cell_lives.c - the case of threads that come and end, handles in hand
 *
 * Each thread of the driver starts one child after another and waits for its
 * end. Children work on cells of all, and many leave handles standing.
 *
 * Oracles
 *   released  Whoever claims a cell that dead threads had shared gets it; if
 *             not, it stands still.
 *   dropped   A draft that a thread left is never seen, and the next writer
 *             gets a draft, of the last version that was committed.
 *   orphan    After a thread that ended with a unique handle in place, every
 *             verb says -EOWNERDEAD, and the cell can be repaired or destroyed.
 *   adopted   A detached handle outlives the thread that took it.
 *   flat      Records of threads are used again: no more than threads at once.
 *             In the end as many values have ended as were made.
 */
#include <string.h>
#include "handles/internal.h"
#include "stress/cell_stress.h"

#define DROPPED		(UINT64_MAX / 2)
#define LEFT_MAX	40u		/* more than a block of slots */

struct life {
	uint64_t n;
	uint64_t twin;
};

static struct {
	_Alignas(128) uint64_t made_n;		/* shared, as all of these */
	_Alignas(128) uint64_t ended_n;
	_Alignas(128) uint64_t updates;		/* of the cell in_place */
	_Alignas(128) uint64_t commits;		/* of the cell by_version */
} shared;

static struct own_cell in_place, by_version;
static unsigned records_before;

/* One child; its parent reads it after the join. */
struct child {
	struct stress_thread *t;
	struct own_cell *own;		/* the parent's cell */
	struct own_shared detached;
	int leaves_unique;
};

static int
life_copy(void *to, const void *from, size_t size_bytes)
{
	memcpy(to, from, size_bytes);
	/* relaxed: a sum */
	own__add(&shared.made_n, (uint64_t)1, OWN__RELAXED);
	return 0;
}

static void
life_fini(void *payload, size_t size_bytes)
{
	memset(payload, 0xdd, size_bytes);
	/* relaxed: a sum */
	own__add(&shared.ended_n, (uint64_t)1, OWN__RELAXED);
}

OWN_TYPE(life, struct life, .copy = life_copy, .fini = life_fini);

static void
look(struct stress_thread *t, const struct life *l)
{
	if (l->n != l->twin)
		stress_fail(t, "a value in change, or ended");
	if (l->n >= DROPPED)
		stress_fail(t, "sees a draft that was left");
}

static void
work_in_place(struct stress_thread *t)
{
	struct own_unique u = { 0 };
	struct life *l;

	if (somehow_claim(t, &in_place, ANY, &u, NULL))
		return;
	l = life_edit(&u);
	look(t, l);
	l->n++;
	stress_spin(50);
	l->twin++;
	/* relaxed: a sum */
	own__add(&shared.updates, (uint64_t)1, OWN__RELAXED);
	stress_op(t, K_COMMIT);
	own_unique_commit(&u);
}

static void
work_by_version(struct stress_thread *t, int leave)
{
	struct own_unique u = { 0 };
	struct life *l;

	if (somehow_claim(t, &by_version, ANY, &u, NULL))
		return;
	l = life_edit(&u);
	look(t, l);
	/* relaxed: ordered by the draft, which is one writer's at a time */
	if (l->n != own__load(&shared.commits, OWN__RELAXED))
		stress_fail(t, "a draft of version %llu after %llu commits",
				(unsigned long long)l->n, (unsigned long long)
				own__load(&shared.commits, OWN__RELAXED));
	if (leave) {
		l->n = l->twin = DROPPED;
		stress_op(t, K_LEFT_DRAFT);
		return;
	}
	l->n = ++l->twin;
	own__add(&shared.commits, (uint64_t)1, OWN__RELAXED);
	stress_op(t, K_COMMIT);
	own_unique_commit(&u);
}

static void
read_some(struct stress_thread *t, struct own_cell *cell)
{
	struct own_shared h = { 0 };

	if (somehow_share(t, cell, ANY, &h, NULL))
		return;
	look(t, life_get(&h));
	stress_op(t, K_RELEASE);
	own_shared_release(&h);
}

/* What is left standing: shares first, then the draft, in one order for all. */
static void
leave(struct child *me)
{
	struct stress_thread *t = me->t;
	struct own_shared h[LEFT_MAX] = { { 0 } };
	struct own_unique u = { 0 };
	unsigned i, n = stress_one_in(t, 8) ? LEFT_MAX : stress_below(t, 4);

	if (stress_one_in(t, 8)) {
		must(t, somehow_claim(t, me->own, BARE, &u, NULL), "claim");
		look(t, life_edit(&u));
		me->leaves_unique = 1;
		stress_op(t, K_LEFT_UNIQUE);
	}
	for (i = 0; i < n; i++) {
		if (somehow_share(t, stress_one_in(t, 2) ? &in_place
				: &by_version, ANY, &h[i], NULL))
			continue;
		look(t, life_get(&h[i]));
		stress_op(t, K_LEFT_SHARED);
	}
	if (stress_one_in(t, 4) && !somehow_share(t, &by_version, ANY,
			&me->detached, NULL)) {
		stress_op(t, K_DETACH);
		must(t, own_shared_detach(&me->detached), "detach");
	}
	if (stress_one_in(t, 4))
		work_by_version(t, 1);
}

static void *
child_main(void *arg)
{
	struct child *me = arg;
	struct stress_thread *t = me->t;

	stress_op(t, K_THREAD);
	for (unsigned n = stress_below(t, 8); n; n--)
		switch (stress_below(t, 4)) {
		case 0:
			work_in_place(t);
			break;
		case 1:
			work_by_version(t, 0);
			break;
		case 2:
			read_some(t, &in_place);
			break;
		default:
			read_some(t, &by_version);
		}
	if (!stress_one_in(t, 4))
		leave(me);
	return NULL;
}

static void
make(struct stress_thread *t, struct own_cell *cell, uint32_t policy,
		const char *name)
{
	struct own_unique u = { 0 };

	must(t, life_new(&u), "own_new");
	own__add(&shared.made_n, (uint64_t)1, OWN__RELAXED);
	must(t, own_cell_init(cell, &life_type, policy, name, &u),
			"own_cell_init");
}

static int
peek_at(const void *value, size_t size_bytes, void *arg)
{
	(void)value;
	(void)size_bytes;
	stress_fail(arg, "peeks at what a dead writer left");
}

/* All say the same; then the cell is repaired, or begins anew. */
static void
bury(struct stress_thread *t, struct own_cell *cell)
{
	static const int dead[] = { -EOWNERDEAD, 0 };
	struct own_shared h = { 0 };
	struct own_unique u = { 0 };

	stress_op(t, K_OWNERDEAD);
	for (unsigned i = 0; i < 4; i++)
		if (somehow_share(t, cell, ANY, &h, dead) != -EOWNERDEAD ||
				somehow_claim(t, cell, ANY, &u, dead) !=
				-EOWNERDEAD || somehow_peek(t, cell, ANY,
				peek_at, t, dead) != -EOWNERDEAD)
			stress_fail(t, "a dead writer is not noticed");
	if (stress_one_in(t, 2)) {
		own_cell_destroy(cell);
		make(t, cell, OWN_EXCLUSIVE, "a parent's");
	} else {
		stress_op(t, K_REPAIR);
		must(t, own_cell_orphan_claim(cell, &u), "orphan_claim");
		look(t, life_edit(&u));
		own_unique_release(&u);
	}
}

void
lives_thread(struct stress_thread *t)
{
	struct own_cell own;
	struct child child;
	pthread_t id;

	make(t, &own, OWN_EXCLUSIVE, "a parent's");
	while (stress_running(t)) {
		child = (struct child){ .t = t, .own = &own };
		if (pthread_create(&id, NULL, child_main, &child))
			stress_fail(t, "cannot start a thread");
		pthread_join(id, NULL);
		if (child.detached.object) {
			stress_op(t, K_ADOPT);
			look(t, life_get(&child.detached));
			own_shared_release(&child.detached);
		}
		if (child.leaves_unique)
			bury(t, &own);
		else
			read_some(t, &own);
		if (stress_one_in(t, 2))
			work_in_place(t);
		else
			work_by_version(t, 0);
	}
	own_cell_destroy(&own);
}

static unsigned
records(void)
{
	unsigned n = 0;

	OWN_I_EACH_RECORD(record)
		n++;
	return n;
}

void
lives_setup(unsigned threads_n)
{
	struct stress_thread t = { .threads_n = threads_n };

	memset(&shared, 0, sizeof shared);
	make(&t, &in_place, OWN_EXCLUSIVE, "in place");
	make(&t, &by_version, OWN_VERSIONED, "by version");
	records_before = records();
}

void
lives_finish(unsigned threads_n)
{
	struct life last;

	if (life_read(&in_place, &last) || last.n != shared.updates)
		stress_fail(NULL, "%llu changes made, %llu kept",
				(unsigned long long)shared.updates,
				(unsigned long long)last.n);
	if (life_read(&by_version, &last) || last.n != shared.commits)
		stress_fail(NULL, "%llu commits made, %llu kept",
				(unsigned long long)shared.commits,
				(unsigned long long)last.n);
	own_cell_destroy(&in_place);
	own_cell_destroy(&by_version);
	if (own_barrier() != 0)
		stress_fail(NULL, "values are still held");
	if (shared.made_n != shared.ended_n)
		stress_fail(NULL, "%llu values made, %llu ended",
				(unsigned long long)shared.made_n,
				(unsigned long long)shared.ended_n);
	/* at most a thread, its child, and one that is on its way out, each */
	if (records() > records_before + 3 * threads_n)
		stress_fail(NULL, "%u records for %u threads",
				records() - records_before, threads_n);
}
