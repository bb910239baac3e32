/* SPDX-License-Identifier: MIT */
/*
 * heap.c - memory of the model: every block known, freed ones remembered
 *
 * An arena at a fixed address, so that a schedule sees the same addresses each
 * time. A map with one number per 16 bytes says which block an address lies
 * in; gaps between blocks have number 0. Freed memory is not handed out again
 * within a schedule, except under OWN_M_REUSE.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "model/engine.h"

#define GRAIN		16
#define BLOCKS_MAX	OWN_M_BLOCKS_MAX
#define FRESH		0xa5
#define FREED		0xdd

struct block {
	uintptr_t start;
	size_t size;
	bool live, keep;
	const char *file;	/* of the allocation, then of the free */
	int line;
};

static struct block blocks[BLOCKS_MAX];	/* 0 is no block */
static uint16_t block_at[ARENA_SIZE / GRAIN];
static unsigned count = 1;
static size_t used;
static bool reuse_freed;

static struct block *
find(uintptr_t p)
{
	if (!own_m_i_in_arena(p))
		return &blocks[0];
	return &blocks[block_at[(p - ARENA_BASE) / GRAIN]];
}

void
own_m_i_heap_reset(bool reuse)
{
	static bool mapped;

	if (!mapped) {
		void *p = mmap((void *)ARENA_BASE, ARENA_SIZE,
				PROT_READ | PROT_WRITE, MAP_PRIVATE |
				MAP_ANONYMOUS | MAP_NORESERVE |
				MAP_FIXED_NOREPLACE, -1, 0);

		if (p != (void *)ARENA_BASE) {
			perror("own_model: mmap of the arena");
			exit(2);
		}
		mapped = true;
	}
	memset(block_at, 0, used / GRAIN * sizeof(block_at[0]));
	count = 1;
	used = 0;
	reuse_freed = reuse;
}

static struct block *
find_freed(size_t size, size_t align)
{
	for (unsigned i = count; reuse_freed && --i > 0;) {
		struct block *b = &blocks[i];

		if (!b->live && b->size == size && b->start % align == 0)
			return b;
	}
	return NULL;
}

void *
own_m_i_heap_alloc(size_t size, size_t align, bool *ret_reused)
{
	struct block *b;

	if (align < GRAIN)
		align = GRAIN;
	b = find_freed(size, align);
	*ret_reused = b != NULL;
	if (!b) {
		size_t start = (used + GRAIN + align - 1) & ~(align - 1);
		size_t end = (start + size + GRAIN - 1) & ~(size_t)(GRAIN - 1);

		if (end > ARENA_SIZE || size > ARENA_SIZE ||
				count == BLOCKS_MAX)
			own_m_i_die("the model's memory is used up");
		b = &blocks[count];
		b->start = ARENA_BASE + start;
		b->size = size;
		for (size_t i = start / GRAIN; i < end / GRAIN; i++)
			block_at[i] = (uint16_t)count;
		used = end;
		count++;
	}
	b->live = true;
	b->keep = false;
	own_m_i_place(&b->file, &b->line);
	memset((void *)b->start, FRESH, size);
	return (void *)b->start;
}

size_t
own_m_i_heap_size(void *p)
{
	struct block *b = find((uintptr_t)p);

	if (b->start != (uintptr_t)p)
		own_m_i_die("free of %s, which is no block",
				own_m_i_label((uintptr_t)p));
	if (!b->live)
		own_m_i_die("double free of %s, freed near %s:%d",
				own_m_i_label((uintptr_t)p), b->file, b->line);
	return b->size;
}

void
own_m_i_heap_free(void *p)
{
	struct block *b = find((uintptr_t)p);

	b->live = false;
	own_m_i_place(&b->file, &b->line);
	memset(p, FREED, b->size);
}

void
own_m_i_heap_check(uintptr_t p, size_t size, const char *what)
{
	struct block *b = find(p);

	if (!own_m_i_in_arena(p))
		return;
	if (b == &blocks[0] || p + size > b->start + b->size)
		own_m_i_die("%s of %zu bytes at %s, outside any block", what,
				size, own_m_i_label(p));
	if (!b->live)
		own_m_i_die("use after free: %s of %s, freed near %s:%d", what,
				own_m_i_label(p), b->file, b->line);
}

void
own_m_i_heap_leaks(void)
{
	struct block *first = NULL;
	unsigned leaks = 0;

	for (unsigned i = count; --i > 0;) {
		if (blocks[i].live && !blocks[i].keep) {
			first = &blocks[i];
			leaks++;
		}
	}
	if (first)
		own_m_i_die("leak of %u blocks, first %s, %zu bytes, "
				"allocated near %s:%d", leaks,
				own_m_i_label(first->start), first->size,
				first->file, first->line);
}

void
own_m_i_heap_place(uintptr_t p, const char **ret_file, int *ret_line)
{
	struct block *b = find(p);

	*ret_file = b->file;
	*ret_line = b->line;
}

unsigned
own_m_i_heap_find(uintptr_t p, size_t *ret_offset)
{
	struct block *b = find(p);

	*ret_offset = p - b->start;
	return (unsigned)(b - blocks);
}

int
own_m_live(const void *p)
{
	struct block *b = find((uintptr_t)p);

	return b != &blocks[0] && b->live &&
			(uintptr_t)p < b->start + b->size;
}

void
own_m_keep(void *p)
{
	struct block *b = find((uintptr_t)p);

	if (b == &blocks[0] || b->start != (uintptr_t)p)
		own_m_i_die("own_m_keep of %s, which is no block",
				own_m_i_label((uintptr_t)p));
	b->keep = true;
}
