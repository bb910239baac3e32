/* SPDX-License-Identifier: MIT */
/*
 * memory.c - accesses, store buffers, membarrier and blocks
 *
 * A store enters its thread's buffer. It reaches memory when the thread
 * drains, when the buffer is full, or on demand: before any access to the same
 * bytes by another thread the search chooses how many of the buffered stores
 * to them are still missing. Nobody can tell this from stores that arrive at
 * any other moment, so there is nothing to choose as long as nobody looks.
 *
 * Under PSO a store arrives ahead of older ones in the same buffer, unless one
 * of those is to the same bytes or the store itself releases. There, a
 * read-modify-write that does not release leaves the buffer as it is.
 */
#include <string.h>

#include "model/state.h"

static const char *
order_name(int order)
{
	switch (order) {
	case OWN__RELAXED:
		return "relaxed";
	case OWN__ACQUIRE:
		return "acquire";
	case OWN__RELEASE:
		return "release";
	case OWN__ACQ_REL:
		return "acq_rel";
	default:
		return "seq_cst";
	}
}

static uint64_t
memory_load(uintptr_t at, unsigned size)
{
	switch (size) {
	case 1:
		return *(const uint8_t *)at;
	case 2:
		return *(const uint16_t *)at;
	case 4:
		return *(const uint32_t *)at;
	default:
		return *(const uint64_t *)at;
	}
}

void
own_m_i_arrived(uintptr_t at, unsigned size, uint64_t value)
{
	switch (size) {
	case 1:
		*(uint8_t *)at = (uint8_t)value;
		break;
	case 2:
		*(uint16_t *)at = (uint16_t)value;
		break;
	case 4:
		*(uint32_t *)at = (uint32_t)value;
		break;
	default:
		*(uint64_t *)at = value;
		break;
	}
	M.version++;
	M.idle = 0;
}

void
own_m_i_check(const void *p, unsigned size, const char *what)
{
	if (OWN__UNLIKELY(!M.inside))
		own_m_i_die("%s of shared memory", what);
	if (OWN__UNLIKELY((uintptr_t)p % size))
		own_m_i_die("misaligned %s of %u bytes at %s", what, size,
				own_m_i_label((uintptr_t)p));
	if (own_m_i_in_arena((uintptr_t)p))
		own_m_i_heap_check((uintptr_t)p, size, what);
}

static bool
overlaps(const struct store *s, uintptr_t at, size_t size)
{
	return s->at < at + size && at < s->at + s->size;
}

static void
remove_store(struct thread *t, unsigned i)
{
	t->stored--;
	memmove(&t->buffer[i], &t->buffer[i + 1],
			(t->stored - i) * sizeof(t->buffer[0]));
}

/* Store i of the thread's buffer arrives, and what must come before it. */
static void
arrive(unsigned thread, unsigned i, unsigned but)
{
	struct thread *t = &M.threads[thread];
	unsigned need = 1u << i;

	for (unsigned j = i + 1; j-- > 0;) {
		if (!(need >> j & 1))
			continue;
		for (unsigned k = 0; k < j; k++)
			if (!M.run->pso || t->buffer[j].releases ||
					overlaps(&t->buffer[k], t->buffer[j].at,
					t->buffer[j].size))
				need |= 1u << k;
	}
	for (unsigned j = 0; need; need >>= 1) {
		struct store s = t->buffer[j];

		if (!(need & 1)) {
			j++;
			continue;
		}
		remove_store(t, j);
		if (own_m_i_in_arena(s.at))
			own_m_i_heap_check(s.at, s.size, "buffered store");
		own_m_i_touch(s.at, s.size, but | 1u << thread);
		own_m_i_arrived(s.at, s.size, s.value);
		own_m_i_order_store(s.at, s.releases ? &s.clock : NULL);
		TRACE("     T%u's store to %s arrives: %s", thread,
				own_m_i_label(s.at), own_m_i_show(s.value));
	}
}

void
own_m_i_drain(unsigned thread)
{
	while (M.threads[thread].stored)
		arrive(thread, 0, 1u << thread);
}

/* How many of the thread's buffered stores are to these bytes. */
static unsigned
pending(unsigned thread, uintptr_t at, unsigned size)
{
	unsigned n = 0;

	for (unsigned i = 0; i < M.threads[thread].stored; i++)
		n += overlaps(&M.threads[thread].buffer[i], at, size);
	return n;
}

/* The thread's stores to these bytes arrive, all but as many as are late. */
static void
touch_one(unsigned thread, uintptr_t at, unsigned size, unsigned but)
{
	struct thread *t = &M.threads[thread];
	unsigned n = pending(thread, at, size), late = 0;

	if (M.delays)
		late = own_m_i_decide(PICK_STORES, n + 1, NULL);
	if (late) {
		M.delays--;
		M.run->delayed++;
		TRACE("     T%u's last %u stores to %s are not seen", thread,
				late, own_m_i_label(at));
	}
	if (late == n)
		return;
	for (unsigned i = t->stored; i-- > 0;) {
		if (!overlaps(&t->buffer[i], at, size) || late-- > 0)
			continue;
		arrive(thread, i, but);
		return;
	}
}

/*
 * Somebody looks at these bytes, or changes them: what others have stored
 * there may have arrived, or may not. but: threads not to be asked, by bit.
 */
void
own_m_i_touch(uintptr_t at, unsigned size, unsigned but)
{
	unsigned found[THREADS], n = 0;

	for (unsigned i = M.first; i < M.first + M.count; i++)
		if (M.threads[i].stored && !(but >> i & 1) &&
				pending(i, at, size))
			found[n++] = i;
	while (n > 0) {
		unsigned pick = n > 1 ? own_m_i_decide(PICK_VALUE, n, NULL) : 0;
		unsigned other = found[pick];

		found[pick] = found[--n];
		/* what arrived for another one may have brought these along */
		if (pending(other, at, size))
			touch_one(other, at, size, but);
	}
}

/*
 * The newest own store to these bytes, if it covers all of them; one that
 * covers a part is made to arrive.
 */
static const struct store *
forwarded(uintptr_t at, unsigned size)
{
	struct thread *t = &M.threads[M.me];

	for (unsigned i = t->stored; i-- > 0;) {
		const struct store *s = &t->buffer[i];

		if (!overlaps(s, at, size))
			continue;
		if (s->at == at && s->size == size)
			return s;
		arrive(M.me, i, 1u << M.me);
		return NULL;
	}
	return NULL;
}

/* Own stores that a read-modify-write of these bytes is not to overtake. */
static void
settle(uintptr_t at, unsigned size, int order)
{
	struct thread *t = &M.threads[M.me];

	if (!M.run->pso || own_m_i_releases(order))
		own_m_i_drain(M.me);
	for (unsigned i = t->stored; i-- > 0;) {
		if (!overlaps(&t->buffer[i], at, size))
			continue;
		arrive(M.me, i, 1u << M.me);
		break;
	}
}

uint64_t
own_m_load(const void *p, unsigned size, int order, const char *file, int line)
{
	uintptr_t at = (uintptr_t)p;
	const struct store *s;
	uint64_t value;

	own_m_i_set_place(file, line);
	own_m_i_check(p, size, "load");
	s = forwarded(at, size);
	if (s) {
		/* nobody notices this, and it depends on nobody */
		own_m_i_count_step();
		TRACE("load   %s = %s %s, own store", own_m_i_label(at),
				own_m_i_show(s->value), order_name(order));
		return s->value;
	}
	own_m_i_step_at(at, false);
	own_m_i_check(p, size, "load");
	own_m_i_touch(at, size, 1u << M.me);
	value = memory_load(at, size);
	if (own_m_i_acquires(order))
		own_m_i_order_acquire(M.me, at);
	TRACE("load   %s = %s %s", own_m_i_label(at), own_m_i_show(value),
			order_name(order));
	return value;
}

void
own_m_store(void *p, unsigned size, uint64_t v, int order, const char *file,
		int line)
{
	uintptr_t at = (uintptr_t)p;
	struct store s = { .at = at, .size = size, .value = v };
	struct thread *t = &M.threads[M.me];

	own_m_i_set_place(file, line);
	own_m_i_check(p, size, "store");
	own_m_i_step_at(at, true);
	own_m_i_check(p, size, "store");
	TRACE("store  %s = %s %s", own_m_i_label(at), own_m_i_show(v),
			order_name(order));
	if (own_m_i_releases(order)) {
		s.releases = true;
		own_m_i_order_release(M.me, &s.clock);
	}
	if (order == OWN__SEQ_CST || M.count == 1) {
		own_m_i_drain(M.me);
		own_m_i_touch(at, size, 1u << M.me);
		own_m_i_arrived(at, size, v);
		own_m_i_order_store(at, s.releases ? &s.clock : NULL);
		return;
	}
	if (t->stored == BUFFER_MAX)
		arrive(M.me, 0, 1u << M.me);
	t->buffer[t->stored++] = s;
}

uint64_t
own_m_rmw(void *p, unsigned size, enum own_m_rmw_op op, uint64_t v, int order,
		const char *file, int line)
{
	static const char *const op_names[] = {
		[OWN_M_XCHG] = "xchg", [OWN_M_ADD] = "add", [OWN_M_OR] = "or",
		[OWN_M_AND] = "and",
	};
	uintptr_t at = (uintptr_t)p;
	uint64_t old, value;

	own_m_i_set_place(file, line);
	own_m_i_check(p, size, op_names[op]);
	own_m_i_step_at(at, true);
	own_m_i_check(p, size, op_names[op]);
	settle(at, size, order);
	own_m_i_touch(at, size, 1u << M.me);
	old = memory_load(at, size);
	value = op == OWN_M_XCHG ? v : op == OWN_M_ADD ? old + v :
			op == OWN_M_OR ? (old | v) : (old & v);
	own_m_i_arrived(at, size, value);
	own_m_i_order_rmw(M.me, at, order);
	TRACE("%-6s %s = %s, was %s %s", op_names[op], own_m_i_label(at),
			own_m_i_show(memory_load(at, size)), own_m_i_show(old),
			order_name(order));
	return old;
}

int
own_m_cas(void *p, unsigned size, void *expected, uint64_t desired, int order,
		const char *file, int line)
{
	uintptr_t at = (uintptr_t)p;
	uint64_t old, wanted;

	own_m_i_set_place(file, line);
	own_m_i_check(p, size, "cas");
	own_m_i_step_at(at, true);
	own_m_i_check(p, size, "cas");
	settle(at, size, order);
	own_m_i_touch(at, size, 1u << M.me);
	old = memory_load(at, size);
	wanted = memory_load((uintptr_t)expected, size);
	if (old != wanted) {
		if (own_m_i_acquires(order))
			own_m_i_order_acquire(M.me, at);
		memcpy(expected, (const void *)at, size);
		TRACE("cas    %s is %s, not %s %s", own_m_i_label(at),
				own_m_i_show(old), own_m_i_show(wanted),
				order_name(order));
		return 0;
	}
	own_m_i_arrived(at, size, desired);
	own_m_i_order_rmw(M.me, at, order);
	TRACE("cas    %s = %s, was %s %s", own_m_i_label(at),
			own_m_i_show(desired),
			own_m_i_show(old), order_name(order));
	return 1;
}

/*
 * Each thread executes its barrier at some moment of the call. An early one
 * forces least, so that of a thread without buffered stores is over at once;
 * stores that are there may stay for a while yet, in any order of threads.
 */
void
own_m_membarrier(void)
{
	unsigned left[THREADS], n = 0;

	own_m_i_step();
	own_m_i_drain(M.me);
	TRACE("membarrier");
	for (unsigned i = M.first; i < M.first + M.count; i++) {
		if (i != M.me && M.threads[i].stored)
			left[n++] = i;
		else if (i != M.me)
			own_m_i_order_fence(M.me, i);
	}
	while (n > 0) {
		unsigned pick = n > 1 ? own_m_i_decide(PICK_VALUE, n, NULL) : 0;
		unsigned other = left[pick];

		left[pick] = left[--n];
		own_m_i_point(GOES_ON);
		own_m_i_drain(other);
		own_m_i_order_fence(M.me, other);
	}
	TRACE("membarrier done");
}

/* --- plain accesses and allocation --------------------------------------- */

void
own_m_read_at(const void *p, size_t size, const char *file, int line)
{
	own_m_i_set_place(file, line);
	own_m_i_step();
	own_m_i_heap_check((uintptr_t)p, size, "plain read");
	own_m_i_order_read(M.me, (uintptr_t)p, size);
	TRACE("read   %s, %zu bytes, plain", own_m_i_label((uintptr_t)p), size);
}

void
own_m_write_at(const void *p, size_t size, const char *file, int line)
{
	own_m_i_set_place(file, line);
	own_m_i_step();
	own_m_i_heap_check((uintptr_t)p, size, "plain write");
	own_m_i_order_write(M.me, (uintptr_t)p, size);
	TRACE("write  %s, %zu bytes, plain", own_m_i_label((uintptr_t)p), size);
}

void
own_m_fail_alloc(unsigned n)
{
	M.fail_alloc = n;
}

void *
own_m_alloc(size_t size, size_t align)
{
	bool reused;
	void *p;

	if (!M.inside)
		own_m_i_die("allocation");
	if (M.fail_alloc && --M.fail_alloc == 0) {
		TRACE("alloc  fails as asked for");
		return NULL;
	}
	if (M.alloc_failures && own_m_i_decide(PICK_RARE, 2, NULL)) {
		M.alloc_failures--;
		TRACE("alloc  fails");
		return NULL;
	}
	p = own_m_i_heap_alloc(size, align, &reused);
	own_m_i_order_alloc(M.me, (uintptr_t)p, reused);
	TRACE("alloc  %s, %zu bytes", own_m_i_label((uintptr_t)p), size);
	return p;
}

void
own_m_free(void *p)
{
	size_t size;

	if (!p)
		return;
	TRACE("free   %s", own_m_i_label((uintptr_t)p));
	M.threads[M.me].fresh = false;
	size = own_m_i_heap_size(p);
	for (unsigned i = M.first; i < M.first + M.count; i++) {
		struct thread *t = &M.threads[i];

		for (unsigned j = t->stored; j-- > 0;) {
			if (!overlaps(&t->buffer[j], (uintptr_t)p, size))
				continue;
			if (i != M.me)
				own_m_i_die("free of %s, to which T%u's store "
						"is still on its way",
						own_m_i_label((uintptr_t)p), i);
			remove_store(t, j);
		}
	}
	if (M.count > 1)
		own_m_i_share_free(M.me, (uintptr_t)p, size);
	own_m_i_order_free(M.me, (uintptr_t)p, size);
	own_m_i_heap_free(p);
}

