/* SPDX-License-Identifier: MIT */
/*
 * memory.c - what libown allocates, counted by an allocator of one's own
 *
 * Prints the memory table of README. Exits 0 if a held object costs nothing
 * and all that objects took has come back.
 */
#include <own/own.h>
#include <stdio.h>
#include <stdlib.h>

static size_t taken;

static void *
take(size_t size_bytes, size_t align, void *context)
{
	void *p;

	(void)context;
	if (posix_memalign(&p, align < 16 ? 16 : align, size_bytes) != 0)
		return NULL;
	taken += size_bytes;
	return p;
}

static void
give(void *p, size_t size_bytes, void *context)
{
	(void)context;
	taken -= size_bytes;
	free(p);
}

struct payload {
	char bytes[64];
};

OWN_TYPE(payload, struct payload);

static void
row(const char *what, size_t bytes)
{
	printf("| %-54s | %5zu |\n", what, bytes);
}

OWN_UNTRACKED("an array of handles") int
main(void)
{
	static const struct own_alloc counting = { take, give, NULL };
	static struct own_cell cell = OWN_CELL_INIT(&payload_type,
			OWN_VERSIONED, "cell");
	static struct own_shared held[33];
	struct own_unique u = { 0 };
	size_t before, record, object;
	int r = own_set_alloc(&counting), kept = 0;

	if (!r)
		r = own_thread_register();
	if (r)
		return 1;
	record = taken;
	r = payload_new(&u);
	if (r)
		return 1;
	object = taken - record - sizeof(struct payload);
	r = own_cell_replace(&cell, &u);
	if (r) {
		own_unique_release(&u);
		return 1;
	}
	row("a thread, for good (reused by later ones)", record);
	row("a cell", sizeof(cell));
	row("an object, before its payload", object);
	row("a handle, in the caller's storage", sizeof(held[0]));
	before = taken;
	for (kept = 0; kept < 32 && !r; kept++)
		r = own_cell_share(&cell, &held[kept]);
	row("each of 32 handles a thread holds at once", taken - before);
	if (!r)
		r = own_cell_share(&cell, &held[kept++]);
	row("the 33rd, for 32 more, kept by the thread", taken - before);
	before = taken;
	while (kept > 0)
		own_shared_release(&held[--kept]);
	own_cell_destroy(&cell);
	if (own_barrier() != 0)
		return 1;
	return r || before - taken != object + sizeof(struct payload);
}
