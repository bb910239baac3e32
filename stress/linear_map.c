/* SPDX-License-Identifier: MIT */
/*
 * linear_map.c - own/map.h, recorded, an entry at a time
 *
 * Beside what is recorded each thread puts and removes entries of its own, so
 * that the tables grow, shrink and are rebuilt under the recorded ones. Whole-
 * map handles would be a reason for -EBUSY that the history of a key does not
 * hold; nobody takes them here.
 */
#include "stress/linear_value.h"

#define FILLERS		256u	/* entries of a thread's own, at most */

/* Key 0 is in a map of byte strings, the others are in one of numbers. */
static struct {
	struct own_map *bytes;
	struct own_map *numbers;
} maps[sizeof groups / sizeof *groups];

static uint32_t policy;

static struct own_map *
map_of(const struct group *g, unsigned key)
{
	return key ? maps[g->index].numbers : maps[g->index].bytes;
}

static struct own_bytes
key_of(unsigned key)
{
	static const char name[] = "a key that is longer than a cache line: "
		"it lies behind the payload, wherever that ends";

	return key ? own__u64(key) : own_bytes(name, sizeof name);
}

/* What a verb does in each form. */
#define IN_FORM(form, verb, map, key, ...)				\
	((form) == TRY ? verb##_try(map, key, ##__VA_ARGS__) :		\
	 (form) == TIMED ? verb##_timed(map, key, own_deadline_ns(	\
			stress_below(t, TIMEOUT_NS)), ##__VA_ARGS__) :	\
	 verb(map, key, ##__VA_ARGS__))

static void
do_read(struct stress_thread *t, struct group *g, struct own_map *map,
		struct own_bytes key, struct linear_op *op)
{
	struct own_shared s = { 0 };
	uint64_t seen = TORN;
	struct block b;
	int r;

	switch (stress_below(t, 4)) {
	case 0:
		r = IN_FORM(op->form, own_map_peek, map, key, peek_at, &seen);
		answered(t, g, op, r, seen);
		return;
	case 1:
		r = IN_FORM(op->form, own_map_read, map, key, &b, sizeof b);
		answered(t, g, op, r, r ? TORN : see(&b));
		return;
	default:
		r = IN_FORM(op->form, own_map_share, map, key, &s);
		shared(t, g, op, r, &s);
	}
}

static void
do_claim(struct stress_thread *t, struct group *g, struct own_map *map,
		struct own_bytes key, struct linear_op *op)
{
	struct own_unique u = { 0 };
	int r, made = 0;

	if (op->kind == K_MAKE || op->kind == K_UNMAKE)
		r = IN_FORM(op->form, own_map_claim_or_new, map, key, &u,
				&made);
	else
		r = IN_FORM(op->form, own_map_claim, map, key, &u);
	claimed(t, g, op, r, &u, made);
}

static void
do_put(struct stress_thread *t, struct group *g, struct own_map *map,
		struct own_bytes key, struct linear_op *op)
{
	struct own_unique u = { 0 };
	int r;

	/* inside its future entry, or elsewhere, and moved */
	if (stress_one_in(t, 2) ? own_map_new(map, key, &u) : block_new(&u))
		stress_fail(t, "no memory");
	write_block(t, block_edit(&u), op->in);
	/* its life begins with the verb, not with the object; acquire: as
	 * linear_call() */
	op->call = own__add(&g->history->clock, (uint64_t)1, OWN__ACQUIRE);
	if (op->kind == K_PUT)
		r = IN_FORM(op->form, own_map_put, map, key, &u);
	else if (op->kind == K_PUT_NEW)
		r = IN_FORM(op->form, own_map_put_new, map, key, &u);
	else
		r = IN_FORM(op->form, own_map_replace, map, key, &u);
	answered(t, g, op, r, 0);
	if (!r != !u.object)
		stress_fail(t, "put answered %d, and the handle is %s", r,
				u.object ? "full" : "empty");
	if (r && see(block_edit(&u)) != op->in)
		stress_fail(t, "a put that was refused changed its object");
	own_unique_release(&u);
}

static void
do_remove(struct stress_thread *t, struct group *g, struct own_map *map,
		struct own_bytes key, struct linear_op *op)
{
	struct own_unique u = { 0 };
	uint64_t seen = ABSENT;
	int r;

	if (op->kind == K_REMOVE) {
		r = IN_FORM(op->form, own_map_remove, map, key);
	} else {
		r = IN_FORM(op->form, own_map_take, map, key, &u);
		if (!r) {
			seen = see(block_edit(&u));
			/* nobody else has it: nobody must notice */
			block_edit(&u)->shadow = 0;
		}
	}
	answered(t, g, op, r, seen);
	linger(t);
	own_unique_release(&u);
}

/* A burst of entries that come or go; see above. */
static void
fill(struct stress_thread *t, struct group *g, unsigned me)
{
	struct own_map *map = maps[g->index].numbers;
	struct own_unique u = { 0 };
	unsigned n = 1 + stress_below(t, 32), come = stress_one_in(t, 2);

	for (; n; n--) {
		uint64_t number = (1 + me) << 16 | stress_below(t, FILLERS);
		int r;

		if (come) {
			if (block_new(&u))
				stress_fail(t, "no memory");
			r = own_map_put_u64(map, number, &u);
		} else {
			r = own_map_remove_u64(map, number);
		}
		if (r && (come || r != -ENOENT))
			stress_fail(t, "of a thread's own entry: %d", r);
	}
}

static void
operate(struct stress_thread *t, struct group *g, unsigned me, unsigned key,
		uint64_t value)
{
	static const unsigned char drawn[] = {
		K_READ, K_READ, K_READ, K_READ, K_LOOK, K_EDIT, K_EDIT, K_DROP,
		K_UPGRADE, K_REPLACE, K_PUT, K_PUT_NEW, K_PUT_NEW, K_MAKE,
		K_MAKE, K_UNMAKE, K_UNMAKE, K_REMOVE, K_TAKE,
	};
	unsigned kind = drawn[stress_below(t, sizeof drawn)];
	unsigned form = draw_form(t);
	struct own_map *map = map_of(g, key);
	struct own_bytes name = key_of(key);
	struct own_shared s = { 0 };
	struct linear_op *op;
	int r;

	if (kind == K_UPGRADE || (kind == K_TAKE && policy == OWN_VERSIONED))
		form = BARE;
	if (stress_one_in(t, 8))
		fill(t, g, me);
	linger(t);
	stress_op(t, kind);
	op = linear_call(g->history, me, kind, form, key, value);
	switch (kind) {
	case K_READ:
		do_read(t, g, map, name, op);
		break;
	case K_UPGRADE:
		r = own_map_share(map, name, &s);
		upgrading(t, g, op, r, &s);
		break;
	case K_PUT:
	case K_PUT_NEW:
	case K_REPLACE:
		do_put(t, g, map, name, op);
		break;
	case K_REMOVE:
	case K_TAKE:
		do_remove(t, g, map, name, op);
		break;
	default:
		do_claim(t, g, map, name, op);
	}
}

static uint64_t
look(struct stress_thread *t, struct group *g, unsigned key)
{
	struct block b;
	int r = own_map_read(map_of(g, key), key_of(key), &b, sizeof b);

	if (r && r != -ENOENT)
		stress_fail(t, "own_map_read: %d", r);
	return r ? ABSENT : see(&b);
}

static void
setup(unsigned threads_n, const struct linear_spec *spec)
{
	struct own_map_options options = {
		.size = sizeof options, .type = &block_type,
		.name = "recorded", .policy = policy,
	};

	groups_begin(threads_n, spec);
	for (unsigned i = 0; i < groups_n; i++) {
		options.flags = 0;
		if (own_map_create(&options, &maps[i].bytes))
			stress_fail(NULL, "own_map_create");
		options.flags = OWN_MAP_U64;
		if (own_map_create(&options, &maps[i].numbers))
			stress_fail(NULL, "own_map_create");
	}
}

void
maps_exclusive_setup(unsigned threads_n)
{
	policy = OWN_EXCLUSIVE;
	setup(threads_n, &linear_exclusive);
}

void
maps_versioned_setup(unsigned threads_n)
{
	policy = OWN_VERSIONED;
	setup(threads_n, &linear_versioned);
}

void
maps_thread(struct stress_thread *t)
{
	static const struct subject subject = {
		.operate = operate, .look = look,
	};

	rounds(t, &subject);
}

void
maps_finish(unsigned threads_n)
{
	struct own_map_stats stats;
	uint64_t migrations = 0;

	(void)threads_n;
	for (unsigned i = 0; i < groups_n; i++) {
		own_map_stats(maps[i].numbers, &stats);
		migrations += stats.migrations;
		own_map_destroy(maps[i].bytes);
		own_map_destroy(maps[i].numbers);
	}
	groups_end();
	if (!migrations)
		stress_fail(NULL, "no table was ever left for another one");
	if (own_barrier() != 0)
		stress_fail(NULL, "values are still held");
}
