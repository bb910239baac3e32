/* SPDX-License-Identifier: MIT */
/*
 * map_support.h - a map of items, and actors that use one
 *
 * A case of TEST_MAP() runs under both policies, with keys of both kinds: its
 * keys are KEY(1), KEY(2) and so on. An actor's arg is a struct spot.
 */
#ifndef TESTS_MAP_SUPPORT_H
#define TESTS_MAP_SUPPORT_H

#include <stdio.h>
#include "lib/map-internal.h"
#include "tests/support.h"

static struct own_map *map;
static uint32_t ended;

struct kind {
	uint32_t policy, flags;
};
static struct kind bytes_exclusive = { OWN_EXCLUSIVE, 0 };
static struct kind bytes_versioned = { OWN_VERSIONED, 0 };
static struct kind u64_exclusive = { OWN_EXCLUSIVE, OWN_MAP_U64 };
static struct kind u64_versioned = { OWN_VERSIONED, OWN_MAP_U64 };
#define KIND(state)	((const struct kind *)*(state))
#define TEST_KIND(f, what, kind)					\
	{ #f " (" what ")", f, NULL, NULL, &kind }
#define TEST_EXCLUSIVE(f)						\
	TEST_KIND(f, "bytes, exclusive", bytes_exclusive),		\
	TEST_KIND(f, "u64, exclusive", u64_exclusive)
#define TEST_VERSIONED(f)						\
	TEST_KIND(f, "bytes, versioned", bytes_versioned),		\
	TEST_KIND(f, "u64, versioned", u64_versioned)
#define TEST_U64(f)							\
	TEST_KIND(f, "exclusive", u64_exclusive),			\
	TEST_KIND(f, "versioned", u64_versioned)
#define TEST_MAP(f)		TEST_EXCLUSIVE(f), TEST_VERSIONED(f)

#define TEXT(s)		own_bytes(s, sizeof(s) - 1)

struct spot {
	struct own_map *map;
	struct own_bytes key;
	int made;
	char text[2048];		/* of the last refusal */
};

OWN__INLINE struct own_map *
map_new(const struct own_type *type, uint32_t policy, uint32_t flags)
{
	struct own_map_options o = {
		.size = sizeof(o), .type = type, .name = "the map",
		.policy = policy, .flags = flags,
	};
	struct own_map *ret = NULL;

	assert_int_equal(own_map_create(&o, &ret), 0);
	return ret;
}

OWN__INLINE void
begin(const struct kind *kind)
{
	ended = 0;
	map = map_new(&item_type, kind->policy, kind->flags);
}

/* Whatever was ever in the map has ended once by now. */
OWN__INLINE void
finish(uint32_t items)
{
	own_map_destroy(map);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(ended, items);
	assert_true(!own_i_this || !own_i_slot_any(own_i_this));
}

/* The same where drafts and refused puts are not counted. */
OWN__INLINE void
finish_any(void)
{
	own_map_destroy(map);
	assert_int_equal(own_barrier(), 0);
	assert_true(!own_i_this || !own_i_slot_any(own_i_this));
}

OWN__INLINE struct own_bytes
key_of(const struct own_map *m, uint64_t n)
{
	static char text[64][16];

	if (m->flags & OWN_MAP_U64)
		return own__u64(n);
	assert_true(n < 64);
	/* once: an actor may be reading it */
	if (!text[n][0])
		(void)snprintf(text[n], 16, "key %u", (unsigned)n);
	return own_bytes(text[n], strlen(text[n]));
}
#define KEY(n)		key_of(map, n)

OWN__INLINE void
add(struct own_map *m, struct own_bytes key, uint64_t n)
{
	struct own_unique u = { 0 };

	item_make(&u, n, &ended);
	assert_int_equal(own_map_put_new(m, key, &u), 0);
	assert_null(u.object);
}

OWN__INLINE uint64_t
value(struct own_map *m, struct own_bytes key)
{
	struct item copy;

	assert_int_equal(own_map_read(m, key, &copy, sizeof(copy)), 0);
	assert_int_equal(copy.n, copy.twin);
	return copy.n;
}

OWN__INLINE int
is_absent(struct own_map *m, struct own_bytes key)
{
	struct own_shared s = { 0 };
	int r = own_map_share(m, key, &s);

	own_shared_release(&s);
	return r == -ENOENT;
}

/* ---- verbs of actors ---- */

#define SPOT(a)		((struct spot *)(a)->arg)

OWN__INLINE int
told(struct actor *a, int r)
{
	SPOT(a)->text[0] = '\0';
	if ((r == -EBUSY || r == -EDEADLK || r == -ETIMEDOUT) &&
			own_conflict_last())
		(void)own_conflict_text(own_conflict_last(), SPOT(a)->text,
				sizeof(SPOT(a)->text));
	return r;
}

#define ACT(name, call)							\
	OWN__INLINE int							\
	name(struct actor *a)						\
	{								\
		struct spot *at = SPOT(a);				\
									\
		return told(a, call);					\
	}								\
	OWN__STATIC_ASSERT(sizeof(#call) > 1, "a call")

ACT(at_share, own_map_share_at(at->map, at->key, &a->s, a->site));
ACT(at_share_more, own_map_share_at(at->map, at->key, &a->more, a->site));
ACT(at_share_try, own_map_share_try_at(at->map, at->key, &a->s, a->site));
ACT(at_share_timed, own_map_share_timed_at(at->map, at->key, a->deadline_ns,
		&a->s, a->site));
ACT(at_claim, own_map_claim_at(at->map, at->key, &a->u, a->site));
ACT(at_claim_try, own_map_claim_try_at(at->map, at->key, &a->u, a->site));
ACT(at_claim_timed, own_map_claim_timed_at(at->map, at->key, a->deadline_ns,
		&a->u, a->site));
ACT(at_claim_or_new, own_map_claim_or_new_at(at->map, at->key, &a->u,
		&at->made, a->site));
ACT(at_claim_or_new_try, own_map_claim_or_new_try(at->map, at->key, &a->u,
		&at->made));
ACT(at_claim_or_new_timed, own_map_claim_or_new_timed(at->map, at->key,
		a->deadline_ns, &a->u, &at->made));
ACT(at_orphan_claim, own_map_orphan_claim(at->map, at->key, &a->u));
ACT(at_put, own_map_put_at(at->map, at->key, &a->u, a->site));
ACT(at_put_try, own_map_put_try(at->map, at->key, &a->u));
ACT(at_put_timed, own_map_put_timed(at->map, at->key, a->deadline_ns, &a->u));
ACT(at_put_new, own_map_put_new(at->map, at->key, &a->u));
ACT(at_put_new_try, own_map_put_new_try(at->map, at->key, &a->u));
ACT(at_put_new_timed, own_map_put_new_timed(at->map, at->key, a->deadline_ns,
		&a->u));
ACT(at_replace, own_map_replace(at->map, at->key, &a->u));
ACT(at_replace_try, own_map_replace_try(at->map, at->key, &a->u));
ACT(at_replace_timed, own_map_replace_timed(at->map, at->key, a->deadline_ns,
		&a->u));
ACT(at_remove, own_map_remove_at(at->map, at->key, a->site));
ACT(at_remove_try, own_map_remove_try(at->map, at->key));
ACT(at_remove_timed, own_map_remove_timed(at->map, at->key, a->deadline_ns));
ACT(at_take, own_map_take(at->map, at->key, &a->u));
ACT(at_take_try, own_map_take_try(at->map, at->key, &a->u));
ACT(at_take_timed, own_map_take_timed(at->map, at->key, a->deadline_ns,
		&a->u));
ACT(at_share_all, own_map_share_all(at->map, &a->s));
ACT(at_share_all_try, own_map_share_all_try(at->map, &a->s));
ACT(at_share_all_timed, own_map_share_all_timed(at->map, a->deadline_ns,
		&a->s));
ACT(at_claim_all, own_map_claim_all(at->map, &a->u));
ACT(at_claim_all_try, own_map_claim_all_try(at->map, &a->u));
ACT(at_claim_all_timed, own_map_claim_all_timed(at->map, a->deadline_ns,
		&a->u));

OWN__INLINE int
at_read(struct actor *a)
{
	struct item copy;

	return told(a, own_map_read(SPOT(a)->map, SPOT(a)->key, &copy,
			sizeof(copy)));
}

OWN__INLINE void
spot_start(struct actor *a, struct spot *spot, struct own_bytes key)
{
	actor_start(a, NULL);
	memset(spot, 0, sizeof(*spot));
	spot->map = map;
	spot->key = key;
	a->arg = spot;
}

#endif
