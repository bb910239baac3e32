/* SPDX-License-Identifier: MIT */
/*
 * test_alloc.c - every allocation of every verb fails in turn, of the process
 * and of containers with an allocator of their own
 *
 * Each scenario is one child per allocation: allocation number n, counted over
 * the whole child, returns NULL, and every verb is asked again until it
 * succeeds. What was refused must have changed nothing; in the end nothing is
 * held, locked or left but the records of threads.
 */
#include <stdio.h>
#include "tests/support.h"

static struct own_cell cell;
static uint32_t ended;

/* Not freed yet: of the process, and of containers with one of their own. */
static struct heap {
	uint64_t blocks, bytes;		/* shared */
} heap, own_heap;

static struct {
	uint64_t n;			/* shared: allocations so far */
	uint64_t fails;			/* the one that fails, from 1 */
	uint64_t failed;		/* shared */
} trial;

static void *
heap_alloc(size_t size_bytes, size_t align, void *context)
{
	struct heap *of = context;
	void *p = NULL;

	assert_true(of == &heap || of == &own_heap);
	/* relaxed: counts */
	if (own__add(&trial.n, 1, OWN__RELAXED) + 1 == trial.fails) {
		(void)own__add(&trial.failed, 1, OWN__RELAXED);
		return NULL;
	}
	assert_int_equal(posix_memalign(&p, align < 16 ? 16 : align,
			size_bytes), 0);
	/* whoever relies on zeroes has to make them */
	memset(p, 0xa5, size_bytes);
	(void)own__add(&of->blocks, 1, OWN__RELAXED);
	(void)own__add(&of->bytes, size_bytes, OWN__RELAXED);
	return p;
}

static void
heap_free(void *p, size_t size_bytes, void *context)
{
	struct heap *of = context;

	assert_true(of == &heap || of == &own_heap);
	/* what goes back to the wrong heap makes that one negative */
	assert_true(own__add(&of->blocks, -(uint64_t)1, OWN__RELAXED) > 0);
	assert_true(own__add(&of->bytes, -(uint64_t)size_bytes,
			OWN__RELAXED) >= size_bytes);
	/* and whoever looks at it later sees it */
	memset(p, 0x5a, size_bytes);
	free(p);
}

static const struct own_alloc of_process = {
	.alloc = heap_alloc, .free = heap_free, .context = &heap,
};
static const struct own_alloc of_own = {
	.alloc = heap_alloc, .free = heap_free, .context = &own_heap,
};

static void
heap_use(void)
{
	const char *fails = getenv("FAILS");

	trial.fails = fails ? strtoull(fails, NULL, 10) : 0;
	assert_int_equal(own_set_alloc(&of_process), 0);
}

/* Once more if the one allocation that fails was in it. */
#define AGAIN(call)							\
	do {								\
		uint64_t failed_before = trial.failed;			\
		int r_ = (call);					\
									\
		if (r_ == -ENOMEM) {					\
			assert_int_equal(trial.failed, failed_before + 1); \
			r_ = (call);					\
		}							\
		assert_int_equal(r_, 0);				\
	} while (0)

static uint64_t
records(void)
{
	uint64_t n = 0;

	OWN_I_EACH_RECORD(r)
		OWN_I_EACH_BLOCK(b, r)
			n++;
	return n;
}

/* The cell is free and its values ended; the failure, if asked for, came. */
static void
heap_is_clean(uint32_t items)
{
	assert_int_equal(WORD(&cell) & ~(uint64_t)OWN__BIASED & UINT32_MAX, 0);
	own_cell_destroy(&cell);
	assert_int_equal(own_barrier(), 0);
	assert_false(own_i_slot_any(own_i_this));
	assert_int_equal(ended, items);
	assert_int_equal(own_heap.blocks, 0);
	assert_int_equal(own_heap.bytes, 0);
	assert_int_equal(heap.blocks, records());
	/* for the parent: whether there is another allocation to fail */
	fprintf(stderr, "failed %u\n", (unsigned)trial.failed);
}

static void
fill(uint32_t policy)
{
	struct own_unique u = { 0 };

	AGAIN(item_new(&u));
	assert_int_equal(item_edit(&u)->n | item_edit(&u)->twin, 0);
	*item_edit(&u) = (struct item) { 1, 1, &ended };
	/* allocates nothing */
	assert_int_equal(own_cell_init(&cell, &item_type, policy, NULL, &u),
			0);
}

static void
shares(uint32_t policy)
{
	struct own_shared s[70] = { { 0 } };

	heap_use();
	fill(policy);
	for (unsigned i = 0; i < 35; i++) {
		AGAIN(own_cell_share(&cell, &s[i]));
		assert_int_equal(item_get(&s[i])->n, 1);
	}
	for (unsigned i = 35; i < 70; i++) {
		AGAIN(own_shared_clone(&s[i - 35], &s[i]));
		assert_int_equal(item_get(&s[i])->n, 1);
	}
	for (unsigned i = 0; i < 70; i++)
		own_shared_release(&s[i]);
	heap_is_clean(1);
}

static void
share_exclusive(void)
{
	shares(OWN_EXCLUSIVE);
}

static void
share_versioned(void)
{
	shares(OWN_VERSIONED);
}

/* By all verbs that make somebody unique. */
static void
writes(uint32_t policy)
{
	uint64_t deadline_ns = own_deadline_ns(LONG_NS);
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	struct item copy;

	heap_use();
	fill(policy);
	AGAIN(own_cell_claim(&cell, &u));
	item_set(&u, 2);
	own_unique_commit(&u);
	AGAIN(own_cell_claim_try(&cell, &u));
	item_set(&u, 3);
	own_unique_downgrade(&u, &s);
	AGAIN(own_shared_upgrade_try(&s, &u));
	assert_null(s.object);
	item_set(&u, 4);
	own_unique_commit(&u);
	AGAIN(own_cell_claim_timed(&cell, deadline_ns, &u));
	own_unique_release(&u);
	AGAIN(item_read(&cell, &copy));
	assert_int_equal(copy.twin, 4);
	AGAIN(item_new(&u));
	*item_edit(&u) = (struct item) { 5, 5, &ended };
	AGAIN(own_cell_replace(&cell, &u));
	AGAIN(item_new(&u));
	*item_edit(&u) = (struct item) { 6, 6, &ended };
	AGAIN(own_cell_swap(&cell, &u));
	assert_int_equal(item_edit(&u)->n, 5);
	own_unique_release(&u);
	assert_int_equal(item_value(&cell), 6);
	heap_is_clean(policy == OWN_VERSIONED ? 7 : 3);
}

static void
write_exclusive(void)
{
	writes(OWN_EXCLUSIVE);
}

static void
write_versioned(void)
{
	writes(OWN_VERSIONED);
}

/* The same, of a cell whose values have an allocator of their own. */
static void
own_writes(uint32_t policy)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	uint64_t blocks;

	heap_use();
	AGAIN(item_new_from(&of_own, &u));
	blocks = heap.blocks;
	assert_int_equal(own_heap.blocks, 1);
	assert_int_equal(own_heap.bytes, sizeof(struct item) + 32);
	assert_int_equal(item_edit(&u)->n | item_edit(&u)->twin, 0);
	*item_edit(&u) = (struct item) { 1, 1, &ended };
	assert_int_equal(own_cell_init(&cell, &item_type, policy, NULL, &u),
			0);
	AGAIN(own_cell_claim(&cell, &u));
	/* a draft, and a draft of what a draft became */
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(own_heap.blocks,
				policy == OWN_VERSIONED ? i + 2 : 1);
		item_set(&u, 2);
		own_unique_downgrade(&u, &s);
		AGAIN(own_shared_upgrade_try(&s, &u));
	}
	own_unique_commit(&u);
	AGAIN(own_cell_share(&cell, &s));
	AGAIN(own_shared_make_mine(&s, &u));
	assert_int_equal(own_heap.blocks, policy == OWN_VERSIONED ? 5 : 2);
	own_unique_release(&u);
	assert_int_equal(heap.blocks, blocks);
	/* one of the process instead */
	AGAIN(item_new(&u));
	*item_edit(&u) = (struct item) { 3, 3, &ended };
	AGAIN(own_cell_replace(&cell, &u));
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(own_heap.blocks, 0);
	assert_int_equal(heap.blocks, blocks + 1);
	AGAIN(own_cell_claim(&cell, &u));
	assert_int_equal(own_heap.blocks, 0);
	own_unique_release(&u);
	heap_is_clean(policy == OWN_VERSIONED ? 7 : 3);
}

static void
own_exclusive(void)
{
	own_writes(OWN_EXCLUSIVE);
}

static void
own_versioned(void)
{
	own_writes(OWN_VERSIONED);
}

/* Each field before the header has its place, whatever else is there. */
static void
own_sized(void)
{
	static const size_t aligns[] = { 0, 16, 64, 4096 };
	static const struct own_alloc none = { .alloc = heap_alloc };
	struct own_unique u = { 0 }, v = { 0 };
	struct own_cell c;

	heap_use();
	for (unsigned i = 0; i < 4; i++) {
		struct own_type type __attribute__((aligned(16))) = {
			.name = "bytes", .flags = OWN_SIZED,
			.align = aligns[i],
		};

		assert_int_equal(own_new_sized_from(&none, &type, 1, &u),
				-EINVAL);
		AGAIN(own_new_sized_from(&of_own, &type, 1000, &u));
		assert_int_equal(own_size(&u), 1000);
		assert_int_equal((uintptr_t)own_unique_edit(&u) %
				(aligns[i] ? aligns[i] : 16), 0);
		for (unsigned k = 0; k < 1000; k++)
			assert_int_equal(((char *)own_unique_edit(&u))[k], 0);
		memset(own_unique_edit(&u), 0x77, 1000);
		assert_int_equal(own_cell_init(&c, &type, OWN_VERSIONED, NULL,
				&u), 0);
		AGAIN(own_cell_claim(&c, &v));
		assert_int_equal(own_size(&v), 1000);
		assert_int_equal(((char *)own_unique_edit(&v))[999], 0x77);
		assert_int_equal(own_heap.blocks, 2);
		own_unique_commit(&v);
		own_cell_destroy(&c);
		assert_int_equal(own_barrier(), 0);
		assert_int_equal(own_heap.blocks, 0);
	}
	fill(OWN_EXCLUSIVE);
	heap_is_clean(1);
}

/* The first use is another verb each time, and makes the record. */
static void
first_use_is_claim(void)
{
	static struct own_cell empty = OWN_CELL_INIT(&item_type, OWN_VERSIONED,
			NULL);
	struct own_unique u = { 0 };
	int r;

	heap_use();
	r = own_cell_claim(&empty, &u);
	if (trial.failed) {
		assert_int_equal(r, -ENOMEM);
		r = own_cell_claim(&empty, &u);
	}
	assert_int_equal(r, -ENOENT);
	own_cell_destroy(&empty);
	fill(OWN_EXCLUSIVE);
	heap_is_clean(1);
}

static void
first_use_is_share(void)
{
	static struct own_cell empty = OWN_CELL_INIT(&item_type, OWN_EXCLUSIVE,
			NULL);
	struct own_shared s = { 0 };
	int r;

	heap_use();
	r = own_cell_share(&empty, &s);
	if (trial.failed) {
		assert_int_equal(r, -ENOMEM);
		r = own_cell_share(&empty, &s);
	}
	assert_int_equal(r, -ENOENT);
	fill(OWN_EXCLUSIVE);
	heap_is_clean(1);
}

static void
first_use_is_reclaim(void)
{
	int64_t n;

	heap_use();
	n = own_reclaim(0);
	assert_int_equal(n, trial.failed ? -ENOMEM : 0);
	AGAIN(own_thread_register());
	fill(OWN_VERSIONED);
	heap_is_clean(1);
}

static void
first_use_is_barrier(void)
{
	int64_t n;

	heap_use();
	n = own_barrier();
	assert_int_equal(n, trial.failed ? -ENOMEM : 0);
	fill(OWN_VERSIONED);
	heap_is_clean(1);
}

static void
first_use_is_register(void)
{
	heap_use();
	AGAIN(own_thread_register());
	assert_int_equal(own_thread_register(), 0);
	fill(OWN_VERSIONED);
	heap_is_clean(1);
}

static void *
thread_first_use(void *arg)
{
	struct own_shared s = { 0 };

	(void)arg;
	AGAIN(own_cell_share(&cell, &s));
	own_shared_release(&s);
	return NULL;
}

/* Records of threads that come and go, one after the other. */
static void
threads(void)
{
	pthread_t id;

	heap_use();
	fill(OWN_VERSIONED);
	AGAIN(own_thread_register());
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pthread_create(&id, NULL, thread_first_use,
				NULL), 0);
		assert_int_equal(pthread_join(id, NULL), 0);
	}
	heap_is_clean(1);
}

static void
sized(void)
{
	static const struct own_type type = {
		.name = "bytes", .flags = OWN_SIZED, .align = 64,
	};
	struct own_unique u = { 0 }, v = { 0 };
	struct own_cell c;

	heap_use();
	AGAIN(own_new_sized(&type, 1000, &u));
	assert_int_equal(own_size(&u), 1000);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(((char *)own_unique_edit(&u))[i], 0);
	assert_int_equal(own_cell_init(&c, &type, OWN_VERSIONED, NULL, &u), 0);
	AGAIN(own_cell_claim(&c, &v));
	assert_int_equal(own_size(&v), 1000);
	own_unique_commit(&v);
	own_cell_destroy(&c);
	fill(OWN_EXCLUSIVE);
	heap_is_clean(1);
}

/* ---- maps ---- */

static uint32_t items;			/* made so far: values and drafts */
static const struct own_alloc *map_alloc = &of_process;

static void
map_item(struct own_unique *u, uint64_t n)
{
	*item_edit(u) = (struct item) { n, n, &ended };
	items++;
}

static struct own_bytes
map_key(uint32_t flags, uint64_t n)
{
	static char text[32][8];

	if (flags)
		return own__u64(n);
	(void)snprintf(text[n], sizeof(text[n]), "key %u", (unsigned)n);
	return own_bytes(text[n], strlen(text[n]));
}

static struct own_map *
map_make(uint32_t policy, uint32_t flags)
{
	struct own_map_options o = {
		.size = sizeof(o), .type = &item_type, .policy = policy,
		.flags = flags, .alloc = map_alloc,
	};
	struct own_map *map = NULL;

	AGAIN(own_map_create(&o, &map));
	return map;
}

/* More than the first table holds. */
static void
map_puts(struct own_map *map, uint32_t flags)
{
	struct own_unique u = { 0 };
	int made;

	for (uint64_t n = 0; n < 10; n++) {
		AGAIN(item_new(&u));
		map_item(&u, n);
		if (n & 1)
			AGAIN(own_map_put(map, map_key(flags, n), &u));
		else
			AGAIN(own_map_put_new(map, map_key(flags, n), &u));
		assert_null(u.object);
	}
	AGAIN(own_map_new(map, map_key(flags, 10), &u));
	map_item(&u, 10);
	AGAIN(own_map_put(map, map_key(flags, 10), &u));
	AGAIN(own_map_claim_or_new(map, map_key(flags, 11), &u, &made));
	assert_int_equal(made, 1);
	map_item(&u, 11);
	own_unique_commit(&u);
	assert_int_equal(own_map_count(map), 12);
}

static void
map_writes(struct own_map *map, uint32_t policy, uint32_t flags)
{
	uint64_t deadline_ns = own_deadline_ns(LONG_NS);
	struct own_bytes one = map_key(flags, 1), two = map_key(flags, 2);
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	int made;

	AGAIN(own_map_claim_or_new(map, one, &u, &made));
	assert_int_equal(made, 0);
	own_unique_release(&u);
	AGAIN(own_map_claim(map, one, &u));
	own_unique_commit(&u);
	AGAIN(own_map_claim_try(map, one, &u));
	own_unique_downgrade(&u, &s);
	AGAIN(own_shared_upgrade_try(&s, &u));
	item_set(&u, 100);
	own_unique_commit(&u);
	AGAIN(own_map_claim_timed(map, one, deadline_ns, &u));
	assert_int_equal(item_edit(&u)->n, 100);
	own_unique_release(&u);
	items += policy == OWN_VERSIONED ? 5 : 0;
	AGAIN(item_new(&u));
	map_item(&u, 200);
	AGAIN(own_map_replace(map, two, &u));
	AGAIN(own_map_take(map, two, &u));
	assert_int_equal(item_edit(&u)->n, 200);
	AGAIN(own_map_put(map, map_key(flags, 12), &u));
	AGAIN(own_map_remove(map, map_key(flags, 12)));
	AGAIN(own_map_remove(map, one));
	assert_int_equal(own_map_count(map), 10);
}

static int
map_visit(const struct own_shared *entry, void *arg)
{
	assert_non_null(item_get(entry));
	++*(uint64_t *)arg;
	return 0;
}

static void
map_reads(struct own_map *map, uint32_t flags)
{
	struct own_shared s[40] = { { 0 } }, all = { 0 };
	struct item copy;
	uint64_t cursor = 0, visits = 0;

	/* the slots of a first block are used up in between */
	AGAIN(own_map_read(map, map_key(flags, 3), &copy, sizeof(copy)));
	assert_int_equal(copy.twin, 3);
	for (unsigned i = 0; i < 31; i++)
		AGAIN(own_map_share(map, map_key(flags, 3), &s[i]));
	AGAIN(own_map_share_all(map, &all));
	do
		AGAIN(own_map_scan(map, &cursor, 3, map_visit, &visits));
	while (cursor);
	assert_int_equal(visits, own_map_count(map));
	for (unsigned i = 31; i < 40; i++)
		AGAIN(own_shared_clone(&s[i - 31], &s[i]));
	assert_int_equal(own_shared_detach(&s[0]), 0);
	for (unsigned i = 0; i < 40; i++)
		own_shared_release(&s[i]);
	own_shared_release(&all);
}

static void
map_verbs(uint32_t policy, uint32_t flags)
{
	struct own_unique whole = { 0 }, other_whole = { 0 };
	struct own_map *map, *other;

	heap_use();
	map = map_make(policy, flags);
	other = map_make(policy, flags);
	map_puts(map, flags);
	map_writes(map, policy, flags);
	map_reads(map, flags);
	AGAIN(own_map_claim_all(map, &whole));
	AGAIN(own_map_claim_all(other, &other_whole));
	AGAIN(own_map_swap(&whole, &other_whole));
	assert_int_equal(own_map_count(map), 0);
	assert_int_equal(own_map_count(other), 10);
	own_unique_release(&whole);
	AGAIN(own_map_clear(&other_whole));
	assert_int_equal(own_map_count(other), 0);
	own_unique_release(&other_whole);
	own_map_destroy(map);
	own_map_destroy(other);
	fill(OWN_EXCLUSIVE);
	heap_is_clean(items + 1);
}

static void
map_exclusive(void)
{
	map_verbs(OWN_EXCLUSIVE, OWN_MAP_U64);
}

static void
map_versioned(void)
{
	map_verbs(OWN_VERSIONED, 0);
}

/* Maps with an allocator of their own, beside that of the process. */
static void
map_own_exclusive(void)
{
	map_alloc = &of_own;
	map_verbs(OWN_EXCLUSIVE, 0);
}

static void
map_own_versioned(void)
{
	map_alloc = &of_own;
	map_verbs(OWN_VERSIONED, OWN_MAP_U64);
}

/* What a map has is its allocator's, whatever it was made of, and for ever. */
static void
map_moves(void)
{
	struct own_bytes key = own_bytes("key", 3), two = own_bytes("two", 3);
	struct own_unique u = { 0 }, whole[2] = { { 0 } };
	struct own_shared s = { 0 };
	struct own_map *map, *other;
	uint64_t blocks, own;

	heap_use();
	map = map_make(OWN_VERSIONED, 0);
	AGAIN(own_thread_register());
	blocks = heap.blocks;
	map_alloc = &of_own;
	other = map_make(OWN_VERSIONED, 0);
	assert_int_equal(heap.blocks, blocks);
	own = own_heap.blocks;
	/* made for the key, but in the memory of another map */
	AGAIN(own_map_new(map, key, &u));
	map_item(&u, 1);
	assert_int_equal(heap.blocks, blocks + 1);
	AGAIN(own_map_put(other, key, &u));
	assert_int_equal(heap.blocks, blocks);
	assert_int_equal(own_heap.blocks, own + 1);
	/* in its own it stays where it is */
	AGAIN(own_map_new(other, two, &u));
	map_item(&u, 2);
	assert_int_equal(own_heap.blocks, own + 2);
	AGAIN(own_map_put(other, two, &u));
	assert_int_equal(own_heap.blocks, own + 2);
	/* into the other map and what is left of it is retired */
	AGAIN(own_map_take(other, two, &u));
	AGAIN(own_map_put(map, two, &u));
	assert_int_equal(heap.blocks, blocks + 1);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(own_heap.blocks, own + 1);
	/* after a swap an entry has the allocator that it had */
	AGAIN(own_map_claim_all(map, &whole[0]));
	AGAIN(own_map_claim_all(other, &whole[1]));
	AGAIN(own_map_swap(&whole[0], &whole[1]));
	own_unique_release(&whole[0]);
	own_unique_release(&whole[1]);
	AGAIN(own_map_claim(map, key, &u));
	assert_int_equal(own_heap.blocks, own + 2);
	items++;
	own_unique_commit(&u);
	/* its free finds it when the map has gone */
	AGAIN(own_map_share(map, key, &s));
	assert_int_equal(own_shared_detach(&s), 0);
	own_map_destroy(map);
	own_map_destroy(other);
	assert_int_equal(own_barrier(), 1);
	assert_int_equal(own_heap.blocks, 1);
	assert_int_equal(item_get(&s)->n, 1);
	own_shared_release(&s);
	fill(OWN_EXCLUSIVE);
	heap_is_clean(items + 1);
}

/* The first use of the library is of a map. */
static void
first_use_is_map(void)
{
	struct own_unique u = { 0 };
	struct own_map *map;

	heap_use();
	map = map_make(OWN_EXCLUSIVE, 0);
	AGAIN(own_map_new(map, own_bytes("key", 3), &u));
	own_unique_release(&u);
	own_map_destroy(map);
	fill(OWN_EXCLUSIVE);
	heap_is_clean(1);
}

/* Objects and maps come from own_set_alloc(); tables do not, unless asked. */
static void
map_alloc_is_set(void)
{
	struct own_map_options o = { .size = sizeof(o), .type = &item_type };
	struct own_unique u = { 0 };
	struct own_map *map;
	uint64_t blocks;

	assert_int_equal(own_set_alloc(&of_process), 0);
	assert_int_equal(own_thread_register(), 0);
	blocks = heap.blocks;
	assert_int_equal(own_map_create(&o, &map), 0);
	assert_true(heap.blocks > blocks);
	blocks = heap.blocks;
	assert_int_equal(own_map_new(map, own_bytes("key", 3), &u), 0);
	assert_int_equal(heap.blocks, blocks + 1);
	assert_int_equal(own_map_put(map, own_bytes("key", 3), &u), 0);
	assert_int_equal(heap.blocks, blocks + 1);
	own_map_destroy(map);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(heap.blocks, records());
}

static void
set_alloc_is_used_by_maps(void **state)
{
	(void)state;
	child_succeeds("map_alloc_is_set", NULL);
}

/* Runs a child with no failure, then with each that it can have. */
static void
each_allocation_fails(const char *name)
{
	struct outcome o;
	char setting[32];
	unsigned n = 0, failed;

	child_succeeds(name, NULL);
	do {
		n++;
		snprintf(setting, sizeof(setting), "FAILS=%u", n);
		child_run(name, setting, &o);
		if (o.status || sscanf(o.text, "failed %u", &failed) != 1)
			fail_msg("%s with %s: status %#x: %s", name, setting,
					(unsigned)o.status, o.text);
		assert_true(n < 100);
	} while (failed);
	/* there was one at all */
	assert_true(n > 2);
}

#define SCENARIO(f)							\
	static void							\
	f##_survives_each_failure(void **state)				\
	{								\
		(void)state;						\
		each_allocation_fails(#f);				\
	}								\
	OWN__STATIC_ASSERT(sizeof(#f) > 1, "a name")

SCENARIO(first_use_is_barrier);
SCENARIO(first_use_is_claim);
SCENARIO(first_use_is_reclaim);
SCENARIO(first_use_is_map);
SCENARIO(first_use_is_register);
SCENARIO(first_use_is_share);
SCENARIO(map_exclusive);
SCENARIO(map_moves);
SCENARIO(map_own_exclusive);
SCENARIO(map_own_versioned);
SCENARIO(map_versioned);
SCENARIO(own_exclusive);
SCENARIO(own_sized);
SCENARIO(own_versioned);
SCENARIO(share_exclusive);
SCENARIO(share_versioned);
SCENARIO(sized);
SCENARIO(threads);
SCENARIO(write_exclusive);
SCENARIO(write_versioned);

/* ---- registrations side by side ---- */

static sem_t in_alloc, go_on, end;
static uint32_t fail_once;

static void
semaphore_wait(sem_t *semaphore)
{
	while (sem_wait(semaphore) != 0)
		assert_int_equal(errno, EINTR);
}

/* Fails once, and only when the test says so. */
static void *
slow_alloc(size_t size_bytes, size_t align, void *context)
{
	if (!own__xchg(&fail_once, 0, OWN__ACQ_REL))
		return heap_alloc(size_bytes, align, context);
	sem_post(&in_alloc);
	semaphore_wait(&go_on);
	return NULL;
}

static void *
register_fails(void *arg)
{
	(void)arg;
	assert_int_equal(own_thread_register(), -ENOMEM);
	return NULL;
}

static void *
register_stays(void *arg)
{
	assert_int_equal(own_thread_register(), 0);
	*(uint32_t *)arg = own_i_this->id;
	sem_post(&in_alloc);
	semaphore_wait(&end);
	return NULL;
}

static void
numbers_of_records(void)
{
	static const struct own_alloc own = {
		.alloc = slow_alloc, .free = heap_free, .context = &heap,
	};
	uint32_t first, second;
	pthread_t a, b, c;

	assert_int_equal(sem_init(&in_alloc, 0, 0), 0);
	assert_int_equal(sem_init(&go_on, 0, 0), 0);
	assert_int_equal(sem_init(&end, 0, 0), 0);
	assert_int_equal(own_set_alloc(&own), 0);
	assert_int_equal(own_thread_register(), 0);
	own__store(&fail_once, 1, OWN__RELEASE);
	assert_int_equal(pthread_create(&a, NULL, register_fails, NULL), 0);
	semaphore_wait(&in_alloc);
	assert_int_equal(pthread_create(&b, NULL, register_stays, &first), 0);
	semaphore_wait(&in_alloc);
	sem_post(&go_on);
	assert_int_equal(pthread_join(a, NULL), 0);
	assert_int_equal(pthread_create(&c, NULL, register_stays, &second), 0);
	semaphore_wait(&in_alloc);
	assert_int_not_equal(first, second);
	assert_int_not_equal(first, own_i_this->id);
	assert_int_not_equal(second, own_i_this->id);
	sem_post(&end);
	sem_post(&end);
	assert_int_equal(pthread_join(b, NULL), 0);
	assert_int_equal(pthread_join(c, NULL), 0);
}

static void
failed_registration_gives_no_number_twice(void **state)
{
	(void)state;
	child_succeeds("numbers_of_records", NULL);
}

static void
slots_run_out(void)
{
	static struct own_shared s[5000];
	struct own_unique u = { 0 };
	unsigned n;

	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	/* 12 bits of a handle number its slot */
	for (n = 0; own_cell_share(&cell, &s[n]) == 0; n++)
		assert_true(n < 4096);
	assert_int_equal(n, 4096);
	assert_null(s[n].object);
	assert_int_equal(own_cell_share(&cell, &s[n]), -ENOMEM);
	assert_int_equal(own_shared_clone(&s[7], &s[n]), -ENOMEM);
	assert_int_equal(own_cell_claim(&cell, &u), -ENOMEM);
	/* a detached handle needs none */
	assert_int_equal(own_shared_detach(&s[7]), 0);
	assert_int_equal(own_shared_clone(&s[7], &s[n]), 0);
	own_shared_release(&s[n]);
	for (n = 0; n < 4096; n++)
		own_shared_release(&s[n]);
	assert_int_equal(own_cell_claim_try(&cell, &u), 0);
	own_unique_release(&u);
	own_cell_destroy(&cell);
}

static void
handle_past_the_last_slot_is_refused(void **state)
{
	(void)state;
	child_succeeds("slots_run_out", NULL);
}

static void
set_alloc_too_late(void)
{

	assert_int_equal(own_set_alloc(&of_process), 0);
	/* NULL restores malloc */
	assert_int_equal(own_set_alloc(NULL), 0);
	assert_int_equal(own_thread_register(), 0);
	assert_int_equal(own_set_alloc(&of_process), -EBUSY);
	assert_int_equal(own_set_alloc(NULL), -EBUSY);
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	own_cell_destroy(&cell);
	assert_int_equal(trial.n, 0);
}

static void
set_alloc_is_refused_after_the_first_use(void **state)
{
	(void)state;
	child_succeeds("set_alloc_too_late", NULL);
}

static const struct child children[] = {
	CHILD(first_use_is_barrier),
	CHILD(first_use_is_claim),
	CHILD(first_use_is_map),
	CHILD(first_use_is_reclaim),
	CHILD(first_use_is_register),
	CHILD(first_use_is_share),
	CHILD(map_alloc_is_set),
	CHILD(map_exclusive),
	CHILD(map_moves),
	CHILD(map_own_exclusive),
	CHILD(map_own_versioned),
	CHILD(map_versioned),
	CHILD(numbers_of_records),
	CHILD(own_exclusive),
	CHILD(own_sized),
	CHILD(own_versioned),
	CHILD(set_alloc_too_late),
	CHILD(share_exclusive),
	CHILD(share_versioned),
	CHILD(sized),
	CHILD(slots_run_out),
	CHILD(threads),
	CHILD(write_exclusive),
	CHILD(write_versioned),
};

static const struct CMUnitTest tests[] = {
	TEST(first_use_is_barrier_survives_each_failure),
	TEST(first_use_is_claim_survives_each_failure),
	TEST(first_use_is_map_survives_each_failure),
	TEST(first_use_is_reclaim_survives_each_failure),
	TEST(first_use_is_register_survives_each_failure),
	TEST(first_use_is_share_survives_each_failure),
	TEST(map_exclusive_survives_each_failure),
	TEST(map_moves_survives_each_failure),
	TEST(map_own_exclusive_survives_each_failure),
	TEST(map_own_versioned_survives_each_failure),
	TEST(map_versioned_survives_each_failure),
	TEST(own_exclusive_survives_each_failure),
	TEST(own_sized_survives_each_failure),
	TEST(own_versioned_survives_each_failure),
	TEST(share_exclusive_survives_each_failure),
	TEST(share_versioned_survives_each_failure),
	TEST(sized_survives_each_failure),
	TEST(threads_survives_each_failure),
	TEST(write_exclusive_survives_each_failure),
	TEST(write_versioned_survives_each_failure),
	TEST(failed_registration_gives_no_number_twice),
	TEST(handle_past_the_last_slot_is_refused),
	TEST(set_alloc_is_used_by_maps),
	TEST(set_alloc_is_refused_after_the_first_use),
};

TESTS_MAIN("alloc");
