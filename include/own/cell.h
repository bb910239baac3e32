/* SPDX-License-Identifier: MIT */
/*
 * own/cell.h - a slot holding one value, lent out through handles
 *
 * A cell owns one object of a type. Under OWN_EXCLUSIVE a unique handle
 * changes it in place, and readers wait meanwhile. Under OWN_VERSIONED a
 * unique handle is a private draft, which a commit makes the current version;
 * readers never wait and keep the version they hold.
 *
 * Ownership  The cell owns its value. Handles must be released before the cell
 *            is destroyed; detached handles on versions are exempt.
 * Threads    Any thread; its first use registers it and may give -ENOMEM.
 * Blocking   Only functions that say "May block". Those must not be called
 *            inside a peek.
 * Ordering   Whoever takes a handle sees everything done under the conflicting
 *            handles released, or committed, before it on the same cell.
 * Progress   Under OWN_VERSIONED share, peek and release are lock-free: a
 *            share starts again only when a commit came between. Under
 *            OWN_EXCLUSIVE they are wait-free while the cell is biased and no
 *            claimer is there. Taking the unique handle blocks by its nature.
 * Memory     48 bytes a cell. A replaced value is freed when nobody holds it.
 * Units      Deadlines are absolute CLOCK_MONOTONIC nanoseconds
 *            (own_deadline_ns()).
 * Errors     0 or a negative errno; outputs are written on success only:
 *            -EBUSY      another thread holds, or asks for, what conflicts
 *            -ETIMEDOUT  the deadline passed
 *            -EDEADLK    waiting could never end: a conflict with the caller's
 *                        own handle, or a cycle of waiting threads, which is
 *                        reported to exactly one of them
 *            -EOWNERDEAD the last unique handle's thread ended without release
 *            -ENOENT     the cell is empty
 *            -ENOMEM, -EOVERFLOW
 *            own_conflict_last() tells both sides.
 *
 * Borrowing through slots that writers scan: BRAVO (Dice and Kogan 2019) and
 * hazard pointers (Michael 2004); the whole argument is in doc/design/.
 *
 * Each verb is a macro that adds the place where it is written; pass one of
 * your own to the _at form from a wrapper.
 */
#ifndef OWN_CELL_H
#define OWN_CELL_H

#include <own/handle.h>
#include <own/type.h>

OWN_BEGIN_DECLS

#define OWN_EXCLUSIVE		0u
#define OWN_VERSIONED		1u
/* handles that a count can stand for at once */
#define OWN_SHARED_MAX		0xffffffu

/* Complete, so that it can be embedded; the fields are private. */
struct own_cell {
	uint64_t word;			/* shared: OWN__WRITER and the rest */
	void *current;			/* shared: the payload, or NULL */
	const struct own_type *type;
	const char *name;		/* for reports, or NULL */
	void *draft;			/* of the owner of WRITER */
	uint32_t policy;
	uint32_t state;			/* OWN__CELL_LIVE, or destroyed */
};

#define OWN__CELL_LIVE		0x11feu

/* An empty cell, for globals. Give it a value by own_cell_replace(). */
#define OWN_CELL_INIT(type_, policy_, name_)				\
	{								\
		OWN__BIASED, NULL, (type_), (name_), NULL, (policy_),	\
		OWN__CELL_LIVE						\
	}

/* 0 tries, 1 tries with a note (own/when.h), UINT64_MAX waits for ever. */
#define OWN__TRY		((uint64_t)0)
#define OWN__WHEN		((uint64_t)1)
#define OWN__FOREVER		UINT64_MAX
#define OWN__DEADLINE(ns)	((ns) > 1 ? (ns) : 2)

/* slot: a HOLD that the inline could not keep, or -1 */
OWN_API const void *own__cell_share(struct own_cell *cell,
		uint64_t deadline_ns, const struct own_site *site, int slot,
		uint64_t *ret_how, int *r);
OWN_API void *own__cell_claim(struct own_cell *cell, uint64_t deadline_ns,
		const struct own_site *site, uint64_t *ret_how, int *r);
/* old: NULL retires what was there, else it is handed out */
OWN_API int own__cell_replace(struct own_cell *cell, uint64_t deadline_ns,
		const struct own_site *site, void *object, uint64_t how,
		void **old);

OWN_API void *own__cell_orphan_claim(struct own_cell *cell,
		const struct own_site *site, uint64_t *ret_how, int *r);

/*
 * own_cell_init - make a cell that holds *@initial
 * @policy:  OWN_EXCLUSIVE or OWN_VERSIONED
 * @name:    for reports; static storage; may be NULL
 * @initial: an owned handle, emptied; NULL makes an empty cell
 *
 * Returns 0, or -EINVAL: bad policy, or @initial of another type or borrowed.
 * On failure @initial stays the caller's.
 */
OWN_API OWN_MUST_CHECK int own_cell_init(struct own_cell *cell,
		const struct own_type *type, uint32_t policy, const char *name,
		struct own_unique *initial);

/*
 * own_cell_destroy - end a cell and its value
 *
 * Every handle must have come back: otherwise the process stops with a report
 * that names a holder and its place. Does nothing to a cell that is all zero
 * or destroyed already. No other thread may use the cell any more.
 */
OWN_API void own_cell_destroy(struct own_cell *cell);

/*
 * own_cell_share(cell, ret) - take a shared handle
 * own_cell_share_try(cell, ret)
 * own_cell_share_timed(cell, deadline_ns, ret)
 * @ret: an empty handle
 *
 * OWN_EXCLUSIVE: may block (but for _try), until the unique handle has gone.
 * -EBUSY also while another thread only asks for the unique handle.
 * OWN_VERSIONED: never waits, no form of it. Acquire, pairs with commit and
 * release.
 * Returns 0, -EDEADLK if this thread has the unique handle in place, -ENOENT,
 * -EOWNERDEAD, -EOVERFLOW, -ENOMEM; -EBUSY from _try, -ETIMEDOUT from _timed.
 */
OWN_MUST_CHECK OWN__INLINE int own__cell_share_any(struct own_cell *cell,
		uint64_t deadline_ns, struct own_shared *ret,
		const struct own_site *site) OWN__TAKES_SHARED(ret);
#define own_cell_share_at(cell, ret, site)				\
	own__cell_share_any(cell, OWN__FOREVER, ret, site)
#define own_cell_share_try_at(cell, ret, site)				\
	own__cell_share_any(cell, OWN__TRY, ret, site)
#define own_cell_share_timed_at(cell, deadline_ns, ret, site)		\
	own__cell_share_any(cell, OWN__DEADLINE(deadline_ns), ret, site)
#define own_cell_share(cell, ret)	own_cell_share_at(cell, ret, OWN_HERE)
#define own_cell_share_try(cell, ret)					\
	own_cell_share_try_at(cell, ret, OWN_HERE)
#define own_cell_share_timed(cell, deadline_ns, ret)			\
	own_cell_share_timed_at(cell, deadline_ns, ret, OWN_HERE)

/*
 * own_cell_claim(cell, ret) - take the unique handle
 * own_cell_claim_try(cell, ret)
 * own_cell_claim_timed(cell, deadline_ns, ret)
 * @ret: an empty handle
 *
 * May block (but for _try). OWN_EXCLUSIVE: until every other handle has gone;
 * from then on nobody overtakes. OWN_VERSIONED: until the other writer has
 * gone; @ret is a draft, a copy of the current version made by the type's
 * copy, whose error is returned. Acquire. Returns 0, -EDEADLK if this thread
 * has a conflicting handle, -ENOENT, -EOWNERDEAD, -ENOMEM; -EBUSY from _try,
 * -ETIMEDOUT from _timed.
 */
OWN_MUST_CHECK OWN__INLINE int own__cell_claim_any(struct own_cell *cell,
		uint64_t deadline_ns, struct own_unique *ret,
		const struct own_site *site) OWN__TAKES_UNIQUE(ret);
#define own_cell_claim_at(cell, ret, site)				\
	own__cell_claim_any(cell, OWN__FOREVER, ret, site)
#define own_cell_claim_try_at(cell, ret, site)				\
	own__cell_claim_any(cell, OWN__TRY, ret, site)
#define own_cell_claim_timed_at(cell, deadline_ns, ret, site)		\
	own__cell_claim_any(cell, OWN__DEADLINE(deadline_ns), ret, site)
#define own_cell_claim(cell, ret)	own_cell_claim_at(cell, ret, OWN_HERE)
#define own_cell_claim_try(cell, ret)					\
	own_cell_claim_try_at(cell, ret, OWN_HERE)
#define own_cell_claim_timed(cell, deadline_ns, ret)			\
	own_cell_claim_timed_at(cell, deadline_ns, ret, OWN_HERE)

/*
 * own_cell_orphan_claim(cell, ret) - take what a dead writer left
 *
 * OWN_EXCLUSIVE: the unique handle of a cell whose last one ended without a
 * release (-EOWNERDEAD); releasing it, repaired, makes the cell ordinary
 * again. Never waits: -EINVAL if the cell is no orphan, -EBUSY, -ENOMEM.
 */
OWN_MUST_CHECK OWN__INLINE int own_cell_orphan_claim_at(struct own_cell *cell,
		struct own_unique *ret, const struct own_site *site)
		OWN__TAKES_UNIQUE(ret);
#define own_cell_orphan_claim(cell, ret)				\
	own_cell_orphan_claim_at(cell, ret, OWN_HERE)

/*
 * own_cell_replace(cell, u) - put an owned object in, retire what was there
 * own_cell_replace_try(cell, u)
 * own_cell_replace_timed(cell, deadline_ns, u)
 * @u: an owned handle of the cell's type; emptied on success, else it stands
 *
 * Waits as a claim does: under OWN_EXCLUSIVE for holders, under OWN_VERSIONED
 * for another writer only. Also gives an empty cell its value. Returns what a
 * claim does (but -ENOENT), and -EINVAL for an object of another type, or that
 * was taken out of a map. A borrowed handle stops the process.
 */
OWN_MUST_CHECK OWN__INLINE int own__cell_replace_any(struct own_cell *cell,
		uint64_t deadline_ns, struct own_unique *u,
		const struct own_site *site) OWN__GIVES_UNIQUE(u);
#define own_cell_replace_at(cell, u, site)				\
	own__cell_replace_any(cell, OWN__FOREVER, u, site)
#define own_cell_replace_try_at(cell, u, site)				\
	own__cell_replace_any(cell, OWN__TRY, u, site)
#define own_cell_replace_timed_at(cell, deadline_ns, u, site)		\
	own__cell_replace_any(cell, OWN__DEADLINE(deadline_ns), u, site)
#define own_cell_replace(cell, u)	own_cell_replace_at(cell, u, OWN_HERE)
#define own_cell_replace_try(cell, u)					\
	own_cell_replace_try_at(cell, u, OWN_HERE)
#define own_cell_replace_timed(cell, deadline_ns, u)			\
	own_cell_replace_timed_at(cell, deadline_ns, u, OWN_HERE)

/*
 * own_cell_swap(cell, u) - put an owned object in, get the old one owned
 * own_cell_swap_try(cell, u)
 * own_cell_swap_timed(cell, deadline_ns, u)
 *
 * As replace, but @u then owns what was in the cell, after every holder has
 * left it. On failure nothing has changed. An empty cell gives -ENOENT.
 * OWN_VERSIONED: readers never wait, so the new version is current before the
 * last reader of the old one has gone, and cannot be taken back: therefore the
 * caller must hold no handle of anything (-EDEADLK), and _try and _timed give
 * -EINVAL.
 */
OWN_MUST_CHECK OWN__INLINE int own__cell_swap_any(struct own_cell *cell,
		uint64_t deadline_ns, struct own_unique *u,
		const struct own_site *site);
#define own_cell_swap_at(cell, u, site)					\
	own__cell_swap_any(cell, OWN__FOREVER, u, site)
#define own_cell_swap_try_at(cell, u, site)				\
	own__cell_swap_any(cell, OWN__TRY, u, site)
#define own_cell_swap_timed_at(cell, deadline_ns, u, site)		\
	own__cell_swap_any(cell, OWN__DEADLINE(deadline_ns), u, site)
#define own_cell_swap(cell, u)		own_cell_swap_at(cell, u, OWN_HERE)
#define own_cell_swap_try(cell, u)	own_cell_swap_try_at(cell, u, OWN_HERE)
#define own_cell_swap_timed(cell, deadline_ns, u)			\
	own_cell_swap_timed_at(cell, deadline_ns, u, OWN_HERE)

/*
 * own_cell_peek(cell, fn, arg) - run @fn on the value, keep nothing
 * own_cell_peek_try(cell, fn, arg)
 * own_cell_peek_timed(cell, deadline_ns, fn, arg)
 *
 * Obeys the policy as a share does, records no place. @fn's result is
 * returned if the value could be read; by convention 0 or more, so that it is
 * not taken for a refusal. @fn must not keep the pointer and must not wait.
 */
typedef int (*own_peek_fn)(const void *value, size_t size_bytes, void *arg);
OWN_API int own__cell_peek(struct own_cell *cell, uint64_t deadline_ns,
		own_peek_fn fn, void *arg);
#define own_cell_peek(cell, fn, arg)					\
	own__cell_peek(cell, OWN__FOREVER, fn, arg)
#define own_cell_peek_try(cell, fn, arg)				\
	own__cell_peek(cell, OWN__TRY, fn, arg)
#define own_cell_peek_timed(cell, deadline_ns, fn, arg)			\
	own__cell_peek(cell, OWN__DEADLINE(deadline_ns), fn, arg)

/*
 * own_cell_read(cell, buffer, size_bytes) - copy the value out, as a peek
 *
 * -EOVERFLOW, and nothing copied, if the value is larger than @size_bytes.
 */
OWN_API OWN_MUST_CHECK int own__cell_read(struct own_cell *cell,
		uint64_t deadline_ns, void *buffer, size_t size_bytes);
#define own_cell_read(cell, buffer, size_bytes)				\
	own__cell_read(cell, OWN__FOREVER, buffer, size_bytes)
#define own_cell_read_try(cell, buffer, size_bytes)			\
	own__cell_read(cell, OWN__TRY, buffer, size_bytes)
#define own_cell_read_timed(cell, deadline_ns, buffer, size_bytes)	\
	own__cell_read(cell, OWN__DEADLINE(deadline_ns), buffer, size_bytes)

/* ---- bodies ---- */

#ifndef OWN_NO_INLINE
/*
 * The share that needs no read-modify-write: a HOLD in slot i, which is free.
 * Otherwise NULL, and the library does it: with the slot, where *ret_slot says
 * that it HOLDs something already, or with any.
 */
OWN__INLINE const void *
own__cell_share_inline(struct own_cell *cell, struct own__record *self,
		unsigned i, const struct own_site *site, uint64_t *ret_how,
		int *ret_slot)
{
	const void *object;
	/* relaxed: this thread's own slot */
	uint64_t how = own__load(&self->slot[i].how, OWN__RELAXED) +
		OWN__HOW_SEQ_ONE;

	*ret_slot = -1;
	/* D2: release, after the store that freed the slot */
	own__store(&self->slot[i].how, how, OWN__RELEASE);
	/* relaxed: for reports */
	own__store(&self->slot[i].site, site, OWN__RELAXED);
	/* release: as own_i_slot_take(), for a gate's scan */
	own__store(&self->slot[i].container, (uintptr_t)cell, OWN__RELEASE);
	*ret_how = how;
	if (cell->policy == OWN_EXCLUSIVE) {
		/* relaxed: only a hint; what counts is looked at below */
		if (OWN__UNLIKELY(!(own__load(&cell->word, OWN__RELAXED) &
				OWN__BIASED)))
			return NULL;
		/* S1: pairs with own_i_word_drain() */
		own__store(&self->object[i], (uintptr_t)&cell->word,
				OWN__RELEASE);
		own__light_fence();
		*ret_slot = (int)i;
		/* W1: acquire, pairs with own_i_word_unwriter() */
		if (OWN__UNLIKELY((own__load(&cell->word, OWN__ACQUIRE) &
				(OWN__BIASED | OWN__WRITER | OWN__DEAD |
				 OWN__ORPHAN)) != OWN__BIASED) &&
		    !(own__bug(OWN_BUG_BIASED_ONLY) &&
		      (own__load(&cell->word, OWN__ACQUIRE) & OWN__BIASED)))
			return NULL;
		/* relaxed: does not change while this HOLD stands */
		return own__load(&cell->current, OWN__RELAXED);
	}
	/* relaxed: looked at again below */
	object = own__load(&cell->current, OWN__RELAXED);
	if (OWN__UNLIKELY(!object))
		return NULL;
	/* S1: pairs with own_i_reclaim_scan */
	own__store(&self->object[i], (uintptr_t)object - 16, OWN__RELEASE);
	own__light_fence();
	*ret_slot = (int)i;
	/* V1: acquire, pairs with publish() in cell.c */
	if (OWN__UNLIKELY(own__load(&cell->current, OWN__ACQUIRE) != object) &&
			!own__bug(OWN_BUG_NO_RECHECK))
		return NULL;
	return object;
}
#endif

OWN__VERB_BODY OWN__INLINE int
own__cell_share_any(struct own_cell *cell, uint64_t deadline_ns,
		struct own_shared *ret, const struct own_site *site)
{
	const void *object;
	uint64_t slow_how;
	int r, slot = -1;
#ifndef OWN_NO_INLINE
	struct own__record *self = own__self;
	uint64_t how;
#endif

	own__require_empty(ret, "own_cell_share", site);
#ifndef OWN_NO_INLINE
	/* slot 0 here, the others in the library; relaxed: this thread's own */
	if (OWN__LIKELY(self && !own__load(&self->object[0], OWN__RELAXED))) {
		object = own__cell_share_inline(cell, self, 0, site, &how,
				&slot);
		if (OWN__LIKELY(object != NULL)) {
			own__tsan_shared(object);
			ret->object = object;
			ret->how = how;
			return 0;
		}
	}
#endif
	object = own__cell_share(cell, deadline_ns, site, slot, &slow_how, &r);
	if (!object) {
		if (!r)
			__builtin_unreachable();
		return r;
	}
	own__tsan_shared(object);
	ret->object = object;
	ret->how = slow_how;
	return 0;
}

#ifndef OWN_NO_INLINE
/*
 * The claim of an OWN_EXCLUSIVE cell that nobody holds and that is not biased:
 * one compare-and-swap. Otherwise NULL, nothing changed, and the library does
 * it.
 */
OWN__INLINE void *
own__cell_claim_inline(struct own_cell *cell, const struct own_site *site,
		uint64_t *ret_how)
{
	struct own__record *self = own__self;
	uint64_t w, how;
	void *object;
	unsigned i = 0;

	if (OWN__UNLIKELY(!self || cell->policy != OWN_EXCLUSIVE))
		return NULL;
	/* relaxed: only a first guess for the CAS */
	w = own__load(&cell->word, OWN__RELAXED);
	if (OWN__UNLIKELY(w & UINT32_MAX))
		return NULL;
	/* relaxed: this thread's own slots */
	while (own__load(&self->object[i], OWN__RELAXED))
		if (++i == OWN__SLOTS)
			return NULL;
	how = own__load(&self->slot[i].how, OWN__RELAXED) + OWN__HOW_SEQ_ONE;
	/* D2: release, after the store that freed the slot; D4: a note before
	 * the CAS, UNIQUE after it */
	own__store(&self->slot[i].how, how | OWN__HOW_TRYING, OWN__RELEASE);
	/* relaxed: for reports */
	own__store(&self->slot[i].site, site, OWN__RELAXED);
	/* release: as own_i_slot_take(), for a gate's scan */
	own__store(&self->slot[i].container, (uintptr_t)cell, OWN__RELEASE);
	own__store(&self->object[i], (uintptr_t)&cell->word | OWN__NOTE,
			OWN__RELEASE);
	/* W1: acquire, pairs with own_i_word_unwriter(). I2: without BIASED
	 * no slot HOLDs it, and the count is 0: nothing to drain */
	if (OWN__LIKELY(own__cas(&cell->word, &w, own__word_claimed(w,
			OWN__BIAS_READS) | OWN__WRITER, OWN__ACQUIRE))) {
		how |= OWN__HOW_UNIQUE;
		own__store(&self->slot[i].how, how, OWN__RELEASE);
		/* relaxed: changes only under WRITER */
		object = own__load(&cell->current, OWN__RELAXED);
		*ret_how = how;
		if (OWN__LIKELY(object != NULL))
			return object;
		own__unique_end(cell, how);
		return NULL;
	}
	own__store(&self->slot[i].how, how, OWN__RELEASE);
	own__store(&self->object[i], (uintptr_t)0, OWN__RELEASE);
	return NULL;
}
#endif

OWN__VERB_BODY OWN__INLINE int
own__cell_claim_any(struct own_cell *cell, uint64_t deadline_ns,
		struct own_unique *ret, const struct own_site *site)
{
	uint64_t slow_how;
	void *object;
	int r;
#ifndef OWN_NO_INLINE
	uint64_t how;
#endif

	own__require_empty(ret, "own_cell_claim", site);
#ifndef OWN_NO_INLINE
	object = own__cell_claim_inline(cell, site, &how);
	if (OWN__LIKELY(object != NULL)) {
		own__tsan_unique(object);
		ret->object = object;
		ret->how = how;
		return 0;
	}
#endif
	object = own__cell_claim(cell, deadline_ns, site, &slow_how, &r);
	if (!object) {
		if (!r)
			__builtin_unreachable();
		return r;
	}
	own__tsan_unique(object);
	ret->object = object;
	ret->how = slow_how;
	return 0;
}

OWN__VERB_BODY OWN__INLINE int
own_cell_orphan_claim_at(struct own_cell *cell, struct own_unique *ret,
		const struct own_site *site)
{
	uint64_t how;
	void *object;
	int r;

	own__require_empty(ret, "own_cell_orphan_claim", site);
	object = own__cell_orphan_claim(cell, site, &how, &r);
	if (!object) {
		if (!r)
			__builtin_unreachable();
		return r;
	}
	own__tsan_unique(object);
	ret->object = object;
	ret->how = how;
	return 0;
}

OWN__VERB_BODY OWN__INLINE int
own__cell_replace_any(struct own_cell *cell, uint64_t deadline_ns,
		struct own_unique *u, const struct own_site *site)
{
	int r;

	own__tsan_unique_end(own__tsan_key(u->object, u->how));
	r = own__cell_replace(cell, deadline_ns, site, u->object, u->how, NULL);
	if (r)
		return r;
	u->object = NULL;
	u->how = 0;
	return 0;
}

OWN__VERB_BODY OWN__INLINE int
own__cell_swap_any(struct own_cell *cell, uint64_t deadline_ns,
		struct own_unique *u, const struct own_site *site)
{
	void *old;
	int r;

	own__tsan_unique_end(own__tsan_key(u->object, u->how));
	r = own__cell_replace(cell, deadline_ns, site, u->object, u->how, &old);
	if (r)
		return r;
	own__tsan_unique(old);
	u->object = old;
	u->how = OWN__HOW_OWNED | ((uint64_t)(uintptr_t)old - 16) << 16;
	return 0;
}

OWN_END_DECLS
#endif
