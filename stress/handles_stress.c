/* SPDX-License-Identifier: MIT */
/*
 * handles_stress.c - all transitions of handles, over hundreds of objects
 *
 * A thread gets one handle from anywhere (a cell, an entry, a whole map, an
 * object of its own, another thread's letter box) and walks it through a row
 * of transitions. What it must find in every state: an object that lives, whole
 * to readers, and changed by nobody else while it has the unique handle. At the
 * end everything is free, and each object that began has ended once.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <own/own.h>

#include "stress/forms.h"

#ifdef __clang__
/* which of two handles a hand has is known at run time alone */
#pragma clang diagnostic ignored "-Wthread-safety"
#endif

#define CELLS		128u		/* of each policy */
#define KEYS		128u		/* of each of two maps */
#define BOXES		32u
#define STEPS		8u
#define ALIVE		UINT64_C(0x600d11fe600d11fe)

#define HANDLE_KINDS(X)							\
	X(SHARE, "share") X(CLAIM, "claim") X(UPSERT, "claim_or_new")	\
	X(TAKE, "take") X(SHARE_ALL, "share_all")			\
	X(CLAIM_ALL, "claim_all") X(NEW, "new") X(LOOK, "look")		\
	X(EDIT, "edit") X(CLONE, "clone") X(DETACH, "detach shared")	\
	X(DETACH_UNIQUE, "detach unique") X(DETACH_WHOLE, "detach whole") \
	X(UPGRADE, "upgrade") X(STALE, "upgrade -EAGAIN")		\
	X(UPGRADE_WHOLE, "upgrade whole")				\
	X(DOWNGRADE, "downgrade") X(DOWNGRADE_WHOLE, "downgrade whole")	\
	X(PUBLISH, "publish") X(RECLAIM, "reclaim")			\
	X(RECLAIM_BUSY, "reclaim -EBUSY") X(MINE, "make mine")		\
	X(MINE_SAME, "mine in place") X(COMMIT, "commit")		\
	X(PROJECT, "project")						\
	X(REPLACE, "cell_replace") X(PUT, "map_put") X(POST, "post")	\
	X(FETCH, "fetch")						\
	X(BUSY, "-EBUSY") X(TIMEDOUT, "-ETIMEDOUT")

enum {
#define HANDLE_KIND(name, text)	K_##name,
	HANDLE_KINDS(HANDLE_KIND)
#undef HANDLE_KIND
	KINDS_N
};

static const char *const kinds[] = {
#define HANDLE_TEXT(name, text)	text,
	HANDLE_KINDS(HANDLE_TEXT)
#undef HANDLE_TEXT
};

/* ---- objects ---- */

struct thing {
	uint64_t alive, n, twin;
};

static uint64_t begun_n, ended_n;	/* shared */

static void
thing_begin(struct thing *thing, uint64_t n)
{
	*thing = (struct thing){ .alive = ALIVE, .n = n, .twin = n };
	/* relaxed: a sum */
	own__add(&begun_n, (uint64_t)1, OWN__RELAXED);
}

static int
thing_copy(void *to, const void *from, size_t size_bytes)
{
	const struct thing *thing = from;

	(void)size_bytes;
	if (thing->alive != ALIVE || thing->n != thing->twin)
		stress_fail(NULL, "copies what is ended, or in change");
	thing_begin(to, thing->n);
	return 0;
}

static void
thing_fini(void *payload, size_t size_bytes)
{
	struct thing *thing = payload;

	/* zero: made by a verb and given up before anybody saw it */
	if (thing->alive == 0)
		return;
	if (thing->alive != ALIVE)
		stress_fail(NULL, "ended twice");
	/* relaxed: a sum */
	own__add(&ended_n, (uint64_t)1, OWN__RELAXED);
	memset(payload, 0xdd, size_bytes);
}

OWN_TYPE(thing, struct thing, .copy = thing_copy, .fini = thing_fini);

static struct own_cell cells[2][CELLS];
static struct own_map *maps[2];

/* What a thread has: one of the two, or neither. */
struct hand {
	struct own_shared s;
	struct own_unique u;
	int whole;		/* of a map: no payload */
};
static struct hand *boxes[BOXES];	/* shared: exchanged */

/* ---- where handles come from ---- */

static int
answer(struct stress_thread *t, unsigned form, uint64_t deadline_ns, int r,
		const int *others)
{
	r = form_judge(t, form, deadline_ns, r, others);
	if (r == -EBUSY)
		stress_count(t, K_BUSY);
	if (r == -ETIMEDOUT)
		stress_count(t, K_TIMEDOUT);
	return r;
}

static const int absent[] = { -ENOENT, 0 };

/* Half of the time one of a few, so that threads meet. */
static unsigned
which(struct stress_thread *t, unsigned n)
{
	return stress_below(t, stress_one_in(t, 2) ? 2 : n);
}

static void
from_cell(struct stress_thread *t, struct hand *h, int claims)
{
	struct own_cell *cell = &cells[stress_below(t, 2)][which(t, CELLS)];
	unsigned form = form_draw(t, TRY | TIMED);
	uint64_t deadline = form == TIMED ? form_deadline(t) : 0;
	int r;

	stress_op(t, claims ? K_CLAIM : K_SHARE);
	if (claims)
		r = form == TRY ? own_cell_claim_try(cell, &h->u)
			: own_cell_claim_timed(cell, deadline, &h->u);
	else
		r = form == TRY ? own_cell_share_try(cell, &h->s)
			: own_cell_share_timed(cell, deadline, &h->s);
	(void)answer(t, form, deadline, r, NULL);
}

static void
from_map(struct stress_thread *t, struct hand *h)
{
	struct own_map *map = maps[stress_below(t, 2)];
	uint64_t key = which(t, KEYS);
	int made = 0, r = 0;

	switch (stress_below(t, 4)) {
	case 0:
		stress_op(t, K_CLAIM);
		r = own_map_claim_try_u64(map, key, &h->u);
		break;
	case 1:
		stress_op(t, K_UPSERT);
		r = own_map_claim_or_new_try_u64(map, key, &h->u, &made);
		if (!r && made)
			thing_begin(thing_edit(&h->u), key);
		break;
	case 2:
		/* of versions take waits, and not for boxes: try would be
		 * refused */
		stress_op(t, K_TAKE);
		r = own_map_take_try_u64(maps[0], key, &h->u);
		break;
	default:
		stress_op(t, K_SHARE);
		r = own_map_share_try_u64(map, key, &h->s);
	}
	(void)answer(t, TRY, 0, r, absent);
}

static void
from_whole(struct stress_thread *t, struct hand *h)
{
	struct own_map *map = maps[stress_below(t, 2)];
	int r;

	if (stress_one_in(t, 2)) {
		stress_op(t, K_SHARE_ALL);
		r = own_map_share_all_try(map, &h->s);
	} else {
		stress_op(t, K_CLAIM_ALL);
		r = own_map_claim_all_try(map, &h->u);
	}
	h->whole = !answer(t, TRY, 0, r, NULL);
}

static void
from_nowhere(struct stress_thread *t, struct hand *h)
{
	stress_op(t, K_NEW);
	must(t, thing_new(&h->u), "own_new");
	thing_begin(thing_edit(&h->u), 0);
}

static void
fetch(struct stress_thread *t, struct hand *h)
{
	/* acquire: pairs with post() */
	struct hand *from = own__xchg(&boxes[stress_below(t, BOXES)], NULL,
			OWN__ACQUIRE);

	if (!from)
		return;
	stress_op(t, K_FETCH);
	*h = *from;
	free(from);
}

/* ---- what is done with them ---- */

static void
look(struct stress_thread *t, const struct hand *h)
{
	const struct thing *thing = own_shared_whole(&h->s);
	const void *named = own_shared_get(&h->s);

	stress_op(t, K_LOOK);
	if (thing->alive != ALIVE)
		stress_fail(t, "reads an object that has ended");
	if (thing->n != thing->twin)
		stress_fail(t, "reads an object in change");
	if (named != thing && named != &thing->twin)
		stress_fail(t, "names a part that is none");
}

static void
edit(struct stress_thread *t, const struct hand *h)
{
	struct thing *thing = own_unique_whole(&h->u);
	void *named = own_unique_edit(&h->u);

	stress_op(t, K_EDIT);
	if (thing->alive != ALIVE)
		stress_fail(t, "has an object that has ended");
	if (thing->n++ != thing->twin)
		stress_fail(t, "another one changes it");
	stress_spin(stress_below(t, 100));
	if (++thing->twin != thing->n)
		stress_fail(t, "another one has changed it");
	if (named != thing && named != &thing->twin)
		stress_fail(t, "names a part that is none");
}

/* The last of the whole's words, or the whole: all else goes on as before. */
static void
project(struct stress_thread *t, struct hand *h)
{
	int part = stress_one_in(t, 2);

	stress_op(t, K_PROJECT);
	if (h->s.object) {
		const struct thing *thing = own_shared_whole(&h->s);

		own_shared_project(&h->s, part ? (const void *)&thing->twin
				: thing);
	} else {
		struct thing *thing = own_unique_whole(&h->u);

		own_unique_project(&h->u, part ? (void *)&thing->twin
				: thing);
	}
}

static int
is_owned(const struct hand *h)
{
	return (h->u.how & OWN__HOW_KIND) == OWN__HOW_OWNED;
}

static void
detach(struct stress_thread *t, struct hand *h)
{
	if (h->whole)
		stress_op(t, K_DETACH_WHOLE);
	else
		stress_op(t, h->s.object ? K_DETACH : K_DETACH_UNIQUE);
	if (h->s.object)
		must(t, own_shared_detach(&h->s), "detach");
	else
		must(t, own_unique_detach(&h->u), "detach");
}

/* Leaves it to whoever comes by; the box may be full, then it stays here. */
static void
post(struct stress_thread *t, struct hand *h)
{
	struct hand *to = malloc(sizeof(*to)), *none = NULL;

	if (!to)
		stress_fail(t, "no memory");
	detach(t, h);
	*to = *h;
	/* release: pairs with fetch() */
	if (!own__cas(&boxes[stress_below(t, BOXES)], &none, to,
			OWN__RELEASE)) {
		free(to);
		return;
	}
	stress_op(t, K_POST);
	memset(h, 0, sizeof(*h));
}

static void
another(struct stress_thread *t, struct hand *h)
{
	struct hand more = { .whole = h->whole };

	stress_op(t, K_CLONE);
	must(t, own_shared_clone(&h->s, &more.s), "clone");
	if (stress_one_in(t, 2))
		own_shared_release(&h->s);
	else if (stress_one_in(t, 2))
		post(t, h);
	else
		own_shared_release(&more.s);
	/* whichever of the two is left */
	if (!h->s.object)
		*h = more;
	else
		own_shared_release(&more.s);
}

static void
shared_step(struct stress_thread *t, struct hand *h)
{
	static const int stale[] = { -EAGAIN, -EINVAL, 0 };
	static const int borrowed[] = { -EINVAL, 0 };
	const void *was = own_shared_whole(&h->s);
	int r;

	if (!h->whole && stress_one_in(t, 3))
		project(t, h);

	switch (stress_below(t, h->whole ? 4 : 7)) {
	case 0:
		another(t, h);
		break;
	case 1:
		detach(t, h);
		break;
	case 2:
		post(t, h);
		break;
	case 3:
		stress_op(t, h->whole ? K_UPGRADE_WHOLE : K_UPGRADE);
		r = answer(t, TRY, 0, own_shared_upgrade_try(&h->s, &h->u),
				stale);
		if (r == -EAGAIN)
			stress_count(t, K_STALE);
		break;
	case 4:
		stress_op(t, K_RECLAIM);
		r = answer(t, TRY, 0, own_shared_reclaim_try(&h->s, &h->u),
				borrowed);
		if (r == -EBUSY)
			stress_count(t, K_RECLAIM_BUSY);
		break;
	case 5:
		stress_op(t, K_MINE);
		must(t, own_shared_make_mine(&h->s, &h->u), "make mine");
		if (h->u.object == was)
			stress_count(t, K_MINE_SAME);
		break;
	default:
		look(t, h);
	}
}

static void
owned_step(struct stress_thread *t, struct hand *h)
{
	/* -EINVAL: what was taken out of a map is refused by cells */
	static const int refused[] = { -EINVAL, 0 };
	int r;

	switch (stress_below(t, 4)) {
	case 0:
		stress_op(t, K_PUBLISH);
		own_unique_publish(&h->u, &h->s);
		break;
	case 1:
		stress_op(t, K_REPLACE);
		r = own_cell_replace_try(&cells[stress_below(t, 2)]
				[which(t, CELLS)], &h->u);
		(void)answer(t, TRY, 0, r, refused);
		break;
	case 2:
		stress_op(t, K_PUT);
		r = own_map_put_try_u64(maps[stress_below(t, 2)],
				which(t, KEYS), &h->u);
		(void)answer(t, TRY, 0, r, NULL);
		break;
	default:
		post(t, h);
	}
}

static void
unique_step(struct stress_thread *t, struct hand *h)
{
	if (!h->whole)
		edit(t, h);
	if (!h->whole && stress_one_in(t, 3))
		project(t, h);
	if (is_owned(h)) {
		owned_step(t, h);
		return;
	}
	switch (stress_below(t, 4)) {
	case 0:
		detach(t, h);
		break;
	case 1:
		stress_op(t, h->whole ? K_DOWNGRADE_WHOLE : K_DOWNGRADE);
		own_unique_downgrade(&h->u, &h->s);
		break;
	case 2:
		stress_op(t, K_COMMIT);
		own_unique_commit(&h->u);
		break;
	default:
		post(t, h);
	}
}

static void
handles_thread(struct stress_thread *t)
{
	struct hand h;

	while (stress_running(t)) {
		memset(&h, 0, sizeof(h));
		switch (stress_below(t, 16)) {
		case 0:
			from_whole(t, &h);
			break;
		case 1:
		case 2:
			from_nowhere(t, &h);
			break;
		case 3:
		case 4:
		case 5:
			from_map(t, &h);
			break;
		case 6:
		case 7:
		case 8:
			from_cell(t, &h, stress_one_in(t, 2));
			break;
		default:
			fetch(t, &h);
		}
		for (unsigned i = stress_below(t, STEPS); i > 0 &&
				(h.s.object || h.u.object); i--) {
			if (h.s.object)
				shared_step(t, &h);
			else
				unique_step(t, &h);
		}
		if (h.s.object && !h.whole)
			look(t, &h);
		own_shared_release(&h.s);
		own_unique_release(&h.u);
	}
}

/* ---- around it ---- */

static void
handles_setup(unsigned threads_n)
{
	static const uint32_t policies[] = { OWN_EXCLUSIVE, OWN_VERSIONED };
	struct own_unique u = { 0 };

	(void)threads_n;
	begun_n = ended_n = 0;
	for (unsigned p = 0; p < 2; p++) {
		struct own_map_options options = {
			.size = sizeof(options), .type = &thing_type,
			.name = "a map", .policy = policies[p],
			.flags = OWN_MAP_U64,
		};

		if (own_map_create(&options, &maps[p]))
			stress_fail(NULL, "own_map_create");
		for (unsigned i = 0; i < CELLS; i++) {
			if (thing_new(&u))
				stress_fail(NULL, "own_new");
			thing_begin(thing_edit(&u), i);
			if (own_cell_init(&cells[p][i], &thing_type,
					policies[p], "a cell", &u))
				stress_fail(NULL, "own_cell_init");
		}
	}
}

static void
handles_finish(unsigned threads_n)
{
	int64_t held;

	(void)threads_n;
	for (unsigned i = 0; i < BOXES; i++) {
		/* acquire: pairs with post() */
		struct hand *h = own__xchg(&boxes[i], NULL, OWN__ACQUIRE);

		if (!h)
			continue;
		own_shared_release(&h->s);
		own_unique_release(&h->u);
		free(h);
	}
	for (unsigned p = 0; p < 2; p++) {
		own_map_destroy(maps[p]);
		for (unsigned i = 0; i < CELLS; i++)
			own_cell_destroy(&cells[p][i]);
	}
	held = own_barrier();
	if (held != 0 || begun_n != ended_n)
		stress_fail(NULL, "of %" PRIu64 " objects %" PRIu64
				" have ended, %" PRId64 " are held",
				begun_n, ended_n, held);
}

#define BIT(kind)	((uint64_t)1 << K_##kind)
#define EVERY_KIND	(((uint64_t)1 << KINDS_N) - 1)

static const struct stress_case cases[] = {
	{
		.name = "transitions",
		.what = "every transition, handles going from thread to thread",
		.kinds = kinds, .kinds_n = KINDS_N,
		/* some of these take two threads at the right moment */
		.required = EVERY_KIND & ~(BIT(TIMEDOUT) | BIT(STALE) |
				BIT(RECLAIM_BUSY)),
		.setup = handles_setup,
		.thread = handles_thread,
		.finish = handles_finish,
	},
};

int
main(int argc, char **argv)
{
	return stress_main(argc, argv, cases, sizeof cases / sizeof *cases);
}
