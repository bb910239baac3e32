/* SPDX-License-Identifier: MIT */
/*
 * own/handle.h - the two handles, and the verbs that every structure shares
 *
 * An object has at any moment one unique handle, or any number of shared
 * handles, or none. A unique handle may change the object, a shared handle
 * may only read it. Handles come from a structure (own/cell.h) or from
 * own_new(), and go back through the verbs below.
 *
 * Ownership  A handle lives in the caller's storage, 16 bytes, all zero when
 *            empty. It must not be copied bitwise: own_..._move() moves it.
 *            Release functions accept an empty handle and do nothing.
 * Threads    A borrowed handle stays with the thread that took it; release on
 *            another thread stops the process with a report. An owned handle
 *            and a detached one may be used and released by any thread, one at
 *            a time. A thread that ends gives back what it still holds.
 * Blocking   Nothing here blocks, but for a release that frees objects and
 *            then runs their types' fini.
 * Ordering   Release: everything done through a handle happens before whatever
 *            the next conflicting handle on the same object is used for.
 * Memory     16 bytes before each payload; up to 32 handles of a thread cost
 *            nothing more, beyond that blocks of 32 slots are added and kept,
 *            up to 4096 handles.
 * Units      Sizes are bytes.
 * Errors     0 or a negative errno; outputs are written on success only.
 *            Misuse that would corrupt memory (a handle in use passed as an
 *            empty one, a stale copy, another thread's handle) stops the
 *            process with a report that names both places, in every build.
 */
#ifndef OWN_HANDLE_H
#define OWN_HANDLE_H

#include <own/access.h>
#include <own/type.h>

OWN_BEGIN_DECLS

struct OWN__CAPABILITY("unique handle") own_unique {
	void *object;		/* what own_unique_edit() returns */
	uint64_t how;		/* OWN__HOW_* */
};

struct OWN__CAPABILITY("shared handle") own_shared {
	const void *object;	/* what own_shared_get() returns */
	uint64_t how;
};

/* ---- what the inlines below need: version node OWN_PRIVATE ---- */

/*
 * The word of an object: low half flags and count, which is the futex; high
 * half the counted reads still missing until the object may be biased.
 */
#define OWN__WRITER	0x01u	/* a claimer waits for readers, or holds */
#define OWN__BIASED	0x02u	/* readers may use slots */
#define OWN__WAITERS	0x04u	/* somebody may sleep on the low half */
#define OWN__DEAD	0x08u	/* unlinked; the reclaimer may look for it */
#define OWN__ORPHAN	0x10u	/* its writer ended without a release */
#define OWN__FAIR	0x20u	/* a sleeper has been overtaken for long */
#define OWN__COUNT_ONE	0x100u
#define OWN__COUNT_MASK	0xffffff00u

/*
 * Counted reads without a write that buy the bias. Capacities shrink in
 * checked, model and sanitizer builds, so that a second of stress meets them.
 */
#if defined(OWN_MODEL)
#define OWN__BIAS_READS	1u
#elif defined(OWN_CHECKED) || defined(OWN_BUGS) ||			\
	defined(OWN__TSAN) || defined(__SANITIZE_ADDRESS__)
#define OWN__BIAS_READS	64u
#else
#define OWN__BIAS_READS	2048u
#endif

/* What a claim makes of a word: at least that many reads have to come again. */
OWN__INLINE uint64_t
own__word_claimed(uint64_t w, uint64_t reads_min)
{
	uint64_t reads = w >> 32 > reads_min ? w >> 32 : reads_min;

	return (w & UINT32_MAX) | reads << 32;
}

/* Before each payload. type's upper 16 bits and lowest 4: reclaim.md */
struct own__header {
	uint64_t word;
	uint64_t type;
};

OWN__STATIC_ASSERT(sizeof(struct own__header) == 16, "16 bytes per object");

/*
 * A slot says what one handle of one thread borrows. object is the address of
 * a word; OWN__NOTE set: trying, waiting, counted or unique, which keeps the
 * object from being freed; clear (a HOLD): claimers wait for it as well.
 * Written by the thread itself, wanted by anyone; read by all.
 *
 * how: bits 0-11 slot, 12-15 kind, 16-35 record, 36-63 sequence. A handle
 * whose how differs from its slot's is stale. A free slot's kind is HOLD.
 */
#define OWN__NOTE		((uintptr_t)1)
#ifdef OWN_MODEL
#define OWN__SLOTS		4u
#else
#define OWN__SLOTS		32u
#endif

#define OWN__HOW_SLOT		((uint64_t)0xfff)
#define OWN__HOW_KIND		((uint64_t)0xf000)
#define OWN__HOW_HOLD		((uint64_t)0x0000)	/* shared, by slot */
#define OWN__HOW_COUNTED	((uint64_t)0x1000)	/* shared, counted */
#define OWN__HOW_TRYING		((uint64_t)0x2000)	/* no handle yet */
#define OWN__HOW_DRAINING	((uint64_t)0x3000)	/* owns WRITER, waits */
#define OWN__HOW_UNIQUE		((uint64_t)0x4000)	/* in place */
#define OWN__HOW_DRAFT		((uint64_t)0x5000)	/* unique, a copy */
/* without a slot: bits 16-63 are bits 0-47 of the word's address */
#define OWN__HOW_DETACHED	((uint64_t)0x6000)	/* shared, counted */
#define OWN__HOW_OWNED		((uint64_t)0x7000)	/* unique, at large */
#define OWN__HOW_MADE		((uint64_t)0x8000)	/* unique, not in yet */
#define OWN__HOW_GATED		((uint64_t)0x9000)	/* unique; gate */
#define OWN__HOW_WHOLE		((uint64_t)0xa000)	/* a map as a whole */
/* without a slot as well; in SLOT what kind it had (handles/detach.c) */
#define OWN__HOW_DETACHED_UNIQUE ((uint64_t)0xb000)
#define OWN__HOW_PUBLISHED	((uint64_t)0xc000)	/* shared, counted */
/* in SLOT of what is detached and shared: counted at its map's gate, as IS */
#define OWN__DETACHED_GATED	((uint64_t)1)
#define OWN__DETACHED_WHOLE	((uint64_t)2)
#define OWN__DETACHED_CELL	((uint64_t)4)	/* the word is a cell's */
#define OWN__HOW_SEQ_ONE	((uint64_t)1 << 36)

struct own__slot {
	uint64_t how;
	const struct own_site *site;
	uintptr_t container;	/* structure it was borrowed from, or 0 */
	void *draft;		/* private: of a map's entry */
	uint32_t wanted;	/* futex of whoever waits for the HOLD to end */
	uint32_t spare;
};

/* The first block of a thread's slots; the rest of its record is private. */
struct own__record {
	uintptr_t object[OWN__SLOTS];
	struct own__slot slot[OWN__SLOTS];
};

/*
 * This thread's record, NULL before its first use and always NULL in a process
 * without membarrier: the inlines then leave everything to the library, whose
 * fallback uses sequentially consistent accesses.
 */
OWN_API extern __thread struct own__record *own__self
#if defined(__ELF__)
	__attribute__((tls_model("initial-exec")))
#endif
	;

OWN_API void own__slot_wake(struct own__slot *slot);
OWN_API void own__shared_end(const void *object, uint64_t how);
OWN_API void own__unique_end(void *object, uint64_t how);
OWN_API void own__unique_commit(void *object, uint64_t how);
OWN_API int own__shared_clone(const void *object, uint64_t how,
		const struct own_site *site, uint64_t *ret_how);
OWN_API void own__unique_downgrade(void *object, uint64_t how,
		const struct own_site *site, uint64_t *ret_how);
OWN_API int own__shared_upgrade_try(const void *object, uint64_t how,
		const struct own_site *site, void **ret, uint64_t *ret_how);
OWN_API int own__shared_detach(const void *object, uint64_t how,
		uint64_t *ret_how);
OWN_API int own__unique_detach(void *object, uint64_t how, uint64_t *ret_how);
OWN_API void own__unique_publish(void *object, uint64_t how,
		const struct own_site *site, uint64_t *ret_how);
OWN_API int own__shared_reclaim_try(const void *object, uint64_t how,
		const struct own_site *site, uint64_t *ret_how);
OWN_API void *own__shared_make_mine(const void *object, uint64_t how,
		uint64_t *ret_how, int *r);
OWN_API void *own__new_from(const struct own_alloc *alloc,
		const struct own_type *type, size_t size, int *r);
OWN_API size_t own__size(const void *object);
OWN_API void *own__whole(const void *object, uint64_t how);
OWN_API void own__project(const void *object, uint64_t how, const void *part,
		int unique);
OWN_API void own__expect(const void *object, uint64_t how,
		const struct own_type *type);

/*
 * ThreadSanitizer in the user's program only: it cannot see the library's
 * accesses, so the inlines tell it what each acquire and release means. Two
 * keys an object, so that readers are not ordered with one another: what a
 * writer did is acquired by all, what readers did by writers alone. A handle's
 * key is the whole of what it holds.
 */
OWN_API const void *own__tsan_whole(const void *object, uint64_t how);
#if defined(OWN__TSAN) && !defined(OWN__INSTRUMENTED)
void __tsan_acquire(void *key);
void __tsan_release(void *key);
#define own__tsan_key(object, how)	own__tsan_whole(object, how)
#define own__tsan_acquire(key)	__tsan_acquire((void *)(uintptr_t)(key))
#define own__tsan_release(key)	__tsan_release((void *)(uintptr_t)(key))
#else
#define own__tsan_key(object, how)	(object)
#define own__tsan_acquire(key)	((void)0)
#define own__tsan_release(key)	((void)0)
#endif
#define own__tsan_shared(o)	own__tsan_acquire(o)
#define own__tsan_shared_end(o)	own__tsan_release((const char *)(o) + 1)
#define own__tsan_unique(o)						\
	do {								\
		own__tsan_acquire(o);					\
		own__tsan_acquire((const char *)(o) + 1);		\
	} while (0)
#define own__tsan_unique_end(o)	own__tsan_release(o)

/* In the checked build a handle is looked at at each use as well. */
#ifdef OWN_CHECKED
#define own__expect_shared(h, type)	own__expect((h)->object, (h)->how, type)
#define own__expect_unique(h, type)	own__expect((h)->object, (h)->how, type)
#else
#define own__expect_shared(h, type)	((void)(type))
#define own__expect_unique(h, type)	((void)(type))
#endif

/* ---- the verbs ---- */

/*
 * own_new - make an owned object, zeroed
 * @ret: an empty handle
 *
 * Returns 0 or -ENOMEM, or -EINVAL for a type whose align is not a power of
 * two up to 4096, or that lies above 2^48 or not at a multiple of 16. The
 * object belongs to @ret: give it to a structure, or own_unique_release() it,
 * which runs the type's fini.
 */
OWN_MUST_CHECK OWN__INLINE int own_new(const struct own_type *type,
		struct own_unique *ret) OWN__TAKES_UNIQUE(ret);

/*
 * The same with @size_bytes for the payload; the type must have OWN_SIZED set,
 * else -EINVAL. Costs 16 bytes more. -ENOMEM also where the size overflows.
 */
OWN_MUST_CHECK OWN__INLINE int own_new_sized(const struct own_type *type,
		size_t size_bytes, struct own_unique *ret)
		OWN__TAKES_UNIQUE(ret);

/*
 * own_new_from(alloc, type, ret)
 * own_new_sized_from(alloc, type, size_bytes, ret)
 * @alloc: own/reclaim.h; NULL: as own_new()
 *
 * The same in memory of @alloc, to which it goes back; costs 16 bytes more.
 * Copies of the object (drafts, own_shared_make_mine()) are made there too,
 * and so are those of the copies. *@alloc is not copied: it must stand until
 * the last of them has been freed, which for what a cell had is the
 * own_barrier() after its destroy, or after the last detached handle. A map
 * moves the object into memory of its own. -EINVAL also without both functions.
 */
OWN_MUST_CHECK OWN__INLINE int own_new_from(const struct own_alloc *alloc,
		const struct own_type *type, struct own_unique *ret)
		OWN__TAKES_UNIQUE(ret);
OWN_MUST_CHECK OWN__INLINE int own_new_sized_from(
		const struct own_alloc *alloc, const struct own_type *type,
		size_t size_bytes, struct own_unique *ret)
		OWN__TAKES_UNIQUE(ret);

/*
 * The object, for reading. Valid until the handle is released; NULL from an
 * empty handle.
 */
OWN__INLINE const void *own_shared_get(const struct own_shared *handle)
		OWN__NEEDS_SHARED(handle);

/* The object, for changing. Valid until released, committed or given away. */
OWN__INLINE void *own_unique_edit(const struct own_unique *handle)
		OWN__NEEDS_UNIQUE(handle);

/*
 * own_shared_release - give a shared handle back
 *
 * Empties the handle; does nothing to an empty one. Wait-free but for the wake
 * of a waiting claimer; never fails. Release, pairs with the next claim.
 */
OWN__INLINE void own_shared_release(struct own_shared *handle)
		OWN__ENDS_SHARED(handle);

/*
 * own_unique_release - give a unique handle back
 *
 * In place (OWN_EXCLUSIVE): lets readers in, what was changed stays changed.
 * A draft (OWN_VERSIONED): the draft is dropped, the current version stays.
 * Owned: the object ends; its fini runs here, unless it was taken out of a map
 * (own_map_take()): then at a later scan.
 */
OWN__INLINE void own_unique_release(struct own_unique *handle)
		OWN__ENDS_UNIQUE(handle);

/*
 * own_unique_commit - make what was changed what everyone sees
 *
 * In place: as own_unique_release(). A draft: becomes the current version in
 * one store (the linearization point); cannot fail, since all it needs was
 * allocated at the claim. The version it replaces is freed when nobody holds
 * it. On an owned object: stops the process, there is nowhere to commit to.
 */
OWN__INLINE void own_unique_commit(struct own_unique *handle)
		OWN__ENDS_UNIQUE(handle);

/* Moves @from into the empty @ret and empties @from. Cannot fail. */
OWN__INLINE void own_unique_move(struct own_unique *ret,
		struct own_unique *from)
		OWN__GETS_UNIQUE(ret) OWN__ENDS_UNIQUE(from);
OWN__INLINE void own_shared_move(struct own_shared *ret,
		struct own_shared *from)
		OWN__GETS_SHARED(ret) OWN__ENDS_SHARED(from);

/*
 * own_shared_clone(from, ret) - one more shared handle on the same object
 *
 * Never waits: a holder may always share again, also past a waiting claimer.
 * Returns 0, -EOVERFLOW past 2^24 - 1 counted handles, or -ENOMEM.
 */
OWN_MUST_CHECK OWN__INLINE int own_shared_clone_at(
		const struct own_shared *from, struct own_shared *ret,
		const struct own_site *site)
		OWN__NEEDS_SHARED(from) OWN__TAKES_SHARED(ret);
#define own_shared_clone(from, ret)	own_shared_clone_at(from, ret, OWN_HERE)

/*
 * own_unique_downgrade(from, ret) - go on reading what was just written
 *
 * Never blocks or fails; no writer comes between. In place: readers are let
 * in. A draft: is committed, and @ret holds that version. Empties @from. On an
 * owned object: stops the process.
 */
OWN__INLINE void own_unique_downgrade_at(struct own_unique *from,
		struct own_shared *ret, const struct own_site *site)
		OWN__ENDS_UNIQUE(from) OWN__GETS_SHARED(ret);
#define own_unique_downgrade(from, ret)					\
	own_unique_downgrade_at(from, ret, OWN_HERE)

/*
 * own_shared_upgrade_try(from, ret) - become the writer, if alone
 *
 * OWN_EXCLUSIVE: 0 if no other handle stands, else -EBUSY. OWN_VERSIONED: a
 * draft of the version held, -EAGAIN if that is no longer the current one,
 * -EBUSY if there is a writer, what copy returns. A whole map: 0 if nobody has
 * or asks for anything of it, else -EBUSY. -EDEADLK if the other handle is
 * this thread's own. -ENOMEM. On success @from is empty, on failure it stands.
 * -EINVAL from a detached or published handle. There is no upgrade that waits:
 * two of them would wait for each other.
 */
OWN_MUST_CHECK OWN__INLINE int own_shared_upgrade_try_at(
		struct own_shared *from, struct own_unique *ret,
		const struct own_site *site) OWN__TAKES_UNIQUE(ret);
#define own_shared_upgrade_try(from, ret)				\
	own_shared_upgrade_try_at(from, ret, OWN_HERE)

/*
 * own_shared_detach - free a shared handle from its thread
 *
 * From slot to count, and never back: afterwards any thread may use, clone and
 * release it, and deadlock detection no longer knows who has it. The handle
 * stands in any case. Returns 0 or -EOVERFLOW.
 */
OWN_MUST_CHECK OWN__INLINE int own_shared_detach(struct own_shared *handle)
		OWN__NEEDS_SHARED(handle);

/*
 * own_unique_detach - free a unique handle from its thread
 *
 * Afterwards any thread may use, commit, downgrade and release it, one at a
 * time; whoever passes it on makes what was done happen before what follows.
 * A downgrade gives a detached shared handle. The handle stands in any case.
 * Deadlock detection no longer knows who has it, no thread's end releases it:
 * one that is lost keeps everybody out. An owned handle needs none of this: 0.
 * Returns 0, or -EOVERFLOW (4095 detached ones of one map's entries).
 */
OWN_MUST_CHECK OWN__INLINE int own_unique_detach(struct own_unique *handle)
		OWN__NEEDS_UNIQUE(handle);

/*
 * own_unique_publish(from, ret) - an owned object is shared from now on
 * @from: an owned handle; emptied
 * @ret:  an empty handle
 *
 * By count, without a container: own_shared_clone() makes more (wait-free but
 * for other clones), any thread may use and release each, none is noted or
 * released when a thread ends. The release of the last one ends the object:
 * its fini runs there. Cannot fail. A borrowed handle stops the process.
 * Release and acquire: what was read through any of them happens before fini.
 */
OWN__INLINE void own_unique_publish_at(struct own_unique *from,
		struct own_shared *ret, const struct own_site *site)
		OWN__ENDS_UNIQUE(from) OWN__GETS_SHARED(ret);
#define own_unique_publish(from, ret)					\
	own_unique_publish_at(from, ret, OWN_HERE)

/*
 * own_shared_reclaim_try(from, ret) - own again what was published
 *
 * 0 if @from is the last handle: @from is empty then and @ret owns the object.
 * -EBUSY if there are others, -EINVAL if @from is borrowed: then @from stands.
 */
OWN_MUST_CHECK OWN__INLINE int own_shared_reclaim_try_at(
		struct own_shared *from, struct own_unique *ret,
		const struct own_site *site) OWN__TAKES_UNIQUE(ret);
#define own_shared_reclaim_try(from, ret)				\
	own_shared_reclaim_try_at(from, ret, OWN_HERE)

/*
 * own_shared_make_mine - own what a shared handle names, or a copy of it
 *
 * The object itself if it was published and @from is its last handle, else a
 * copy made by the type's copy (as Rust's Arc::unwrap_or_clone). @from is
 * released, @ret is an owned handle. Returns 0, -ENOMEM, what copy returns, or
 * -EINVAL for a whole map: then @from stands.
 */
OWN_MUST_CHECK OWN__INLINE int own_shared_make_mine(struct own_shared *from,
		struct own_unique *ret) OWN__TAKES_UNIQUE(ret);

/* Bytes of the payload that a handle holds, also if it names a part of that. */
#define own_size(handle)						\
	own__size(own__whole((handle)->object, (handle)->how))

/*
 * own_shared_project(handle, part) - name a part, hold the whole
 * own_unique_project(handle, part)
 * @part: reached through the handle: in the payload, or in memory that the
 *        payload owns
 *
 * What own_shared_get() and own_unique_edit() return from now on, of whatever
 * is moved, cloned, detached, downgraded, published or reclaimed from this
 * handle too (as Rust's Ref::map(), but no verb is lost: each works on the
 * whole object). An upgrade in place names @part as well. The upgrade of a
 * version names the same place in the draft; -EINVAL if @part is outside the
 * payload. What own_shared_make_mine() and own_cell_swap() give names the
 * whole. Costs no memory; may be done again, own_..._whole() undoes it.
 * Cannot fail: an empty handle, one of a whole map, and no part stop the
 * process.
 */
OWN__INLINE void own_shared_project(struct own_shared *handle,
		const void *part) OWN__NEEDS_SHARED(handle);
OWN__INLINE void own_unique_project(struct own_unique *handle, void *part)
		OWN__NEEDS_UNIQUE(handle);

/* The payload, whatever part of it is named; of a whole map the map; NULL from
 * an empty handle. */
OWN__INLINE const void *own_shared_whole(const struct own_shared *handle)
		OWN__NEEDS_SHARED(handle);
OWN__INLINE void *own_unique_whole(const struct own_unique *handle)
		OWN__NEEDS_UNIQUE(handle);

/* ---- bodies ---- */

OWN__VERB_BODY OWN__INLINE int
own__new_into(const struct own_alloc *alloc, const struct own_type *type,
		size_t size_bytes, uint32_t flags, struct own_unique *ret,
		const char *verb)
{
	int r;
	void *object;

	own__require_empty(ret, verb, NULL);
	if ((type->flags & flags) != flags)
		return -EINVAL;
	object = own__new_from(alloc, type, size_bytes, &r);
	if (!object) {
		if (!r)
			__builtin_unreachable();
		return r;
	}
	ret->object = object;
	ret->how = OWN__HOW_OWNED | ((uint64_t)(uintptr_t)object - 16) << 16;
	return 0;
}

OWN__VERB_BODY OWN__INLINE int
own_new(const struct own_type *type, struct own_unique *ret)
{
	return own__new_into(NULL, type, type->size, 0, ret, "own_new");
}

OWN__VERB_BODY OWN__INLINE int
own_new_sized(const struct own_type *type, size_t size_bytes,
		struct own_unique *ret)
{
	return own__new_into(NULL, type, size_bytes, OWN_SIZED, ret,
			"own_new_sized");
}

OWN__VERB_BODY OWN__INLINE int
own_new_from(const struct own_alloc *alloc, const struct own_type *type,
		struct own_unique *ret)
{
	return own__new_into(alloc, type, type->size, 0, ret, "own_new_from");
}

OWN__VERB_BODY OWN__INLINE int
own_new_sized_from(const struct own_alloc *alloc, const struct own_type *type,
		size_t size_bytes, struct own_unique *ret)
{
	return own__new_into(alloc, type, size_bytes, OWN_SIZED, ret,
			"own_new_sized_from");
}

OWN__VERB_BODY OWN__INLINE const void *
own_shared_get(const struct own_shared *handle)
{
	own__expect_shared(handle, NULL);
	return handle->object;
}

OWN__VERB_BODY OWN__INLINE void *
own_unique_edit(const struct own_unique *handle)
{
	own__expect_unique(handle, NULL);
	return handle->object;
}

OWN__VERB_BODY OWN__INLINE void
own_shared_release(struct own_shared *handle)
{
	const void *object = handle->object;
	uint64_t how = handle->how;
#ifndef OWN_NO_INLINE
	struct own__record *self = own__self;
#endif

	if (!object)
		return;
	handle->object = NULL;
	handle->how = 0;
	own__tsan_shared_end(own__tsan_key(object, how));
#ifndef OWN_NO_INLINE
	/* the HOLD of slot 0, which is where a handle taken alone is; relaxed:
	 * this thread's own word */
	if (OWN__LIKELY((how & (OWN__HOW_KIND | OWN__HOW_SLOT)) == 0 && self &&
			own__load(&self->slot[0].how, OWN__RELAXED) == how &&
			own__load(&self->object[0], OWN__RELAXED))) {
		if (own__bug(OWN_BUG_WORD_AFTER_CLEAR)) {
			own__shared_end(object, how);
			return;
		}
		/* S2: pairs with the scans of own_i_word_drain, reclaim.c */
		own__store(&self->object[0], (uintptr_t)0, OWN__RELEASE);
		own__light_fence();
		/* S3: pairs with own_i_slot_await; relaxed: only a hint */
		if (OWN__UNLIKELY(own__load(&self->slot[0].wanted,
				OWN__RELAXED)))
			own__slot_wake(&self->slot[0]);
		return;
	}
#endif
	own__shared_end(object, how);
}

#ifndef OWN_NO_INLINE
/*
 * The end of a unique handle in place, if nobody waits and nothing is to be
 * done about bias; else 0, and the library does it.
 */
OWN__INLINE int
own__unique_end_inline(uint64_t how)
{
	struct own__record *self = own__self;
	unsigned i = (unsigned)how & (OWN__SLOTS - 1);
	uint64_t *word, w;

	/* relaxed: this thread's own slot */
	if (OWN__UNLIKELY((how & OWN__HOW_KIND) != OWN__HOW_UNIQUE || !self ||
			own__load(&self->slot[i].how, OWN__RELAXED) != how))
		return 0;
	word = (uint64_t *)(own__load(&self->object[i], OWN__RELAXED) &
			~OWN__NOTE);
	/* relaxed: only a first guess for the CAS */
	w = own__load(word, OWN__RELAXED);
	if (OWN__UNLIKELY(w & (OWN__BIASED | OWN__WAITERS)))
		return 0;
	/* W1: release, pairs with share and own_i_word_take() */
	if (OWN__UNLIKELY(!own__cas(word, &w, w & ~(uint64_t)OWN__WRITER &
			~(uint64_t)OWN__ORPHAN, OWN__RELEASE)))
		return 0;
	own__store(&self->slot[i].how, how & ~OWN__HOW_KIND, OWN__RELEASE);
	own__store(&self->object[i], (uintptr_t)0, OWN__RELEASE);
	own__light_fence();
	/* S3: whoever waits for the whole map waits for this slot */
	if (OWN__UNLIKELY(own__load(&self->slot[i].wanted, OWN__RELAXED)))
		own__slot_wake(&self->slot[i]);
	return 1;
}
#endif

OWN__VERB_BODY OWN__INLINE void
own_unique_release(struct own_unique *handle)
{
	void *object = handle->object;
	uint64_t how = handle->how;

	if (!object)
		return;
	handle->object = NULL;
	handle->how = 0;
	own__tsan_unique_end(own__tsan_key(object, how));
#ifndef OWN_NO_INLINE
	if (own__unique_end_inline(how))
		return;
#endif
	own__unique_end(object, how);
}

OWN__VERB_BODY OWN__INLINE void
own_unique_commit(struct own_unique *handle)
{
	void *object = handle->object;
	uint64_t how = handle->how;

	if (!object)
		return;
	handle->object = NULL;
	handle->how = 0;
	own__tsan_unique_end(own__tsan_key(object, how));
#ifndef OWN_NO_INLINE
	if (own__unique_end_inline(how))
		return;
#endif
	own__unique_commit(object, how);
}

OWN__VERB_BODY OWN__INLINE void
own_unique_move(struct own_unique *ret, struct own_unique *from)
{
	own__require_empty(ret, "own_unique_move", NULL);
	*ret = *from;
	from->object = NULL;
	from->how = 0;
}

OWN__VERB_BODY OWN__INLINE void
own_shared_move(struct own_shared *ret, struct own_shared *from)
{
	own__require_empty(ret, "own_shared_move", NULL);
	*ret = *from;
	from->object = NULL;
	from->how = 0;
}

OWN__VERB_BODY OWN__INLINE int
own_shared_clone_at(const struct own_shared *from, struct own_shared *ret,
		const struct own_site *site)
{
	uint64_t how;
	int r;

	own__require_empty(ret, "own_shared_clone", site);
	r = own__shared_clone(from->object, from->how, site, &how);
	if (r)
		return r;
	ret->object = from->object;
	ret->how = how;
	return 0;
}

OWN__VERB_BODY OWN__INLINE void
own_unique_downgrade_at(struct own_unique *from, struct own_shared *ret,
		const struct own_site *site)
{
	void *object = from->object;
	uint64_t how;

	own__require_empty(ret, "own_unique_downgrade", site);
	own__tsan_unique_end(own__tsan_key(object, from->how));
	own__unique_downgrade(object, from->how, site, &how);
	from->object = NULL;
	from->how = 0;
	ret->object = object;
	ret->how = how;
}

OWN__VERB_BODY OWN__INLINE int
own_shared_upgrade_try_at(struct own_shared *from, struct own_unique *ret,
		const struct own_site *site)
{
	/* ahead: it is the version's, of which a draft is made */
	const void *key = own__tsan_key(from->object, from->how);
	uint64_t how;
	void *object;
	int r;

	(void)key;
	own__require_empty(ret, "own_shared_upgrade_try", site);
	r = own__shared_upgrade_try(from->object, from->how, site, &object,
			&how);
	if (r)
		return r;
	own__tsan_unique(key);
	from->object = NULL;
	from->how = 0;
	ret->object = object;
	ret->how = how;
	return 0;
}

OWN__VERB_BODY OWN__INLINE int
own_shared_detach(struct own_shared *handle)
{
	uint64_t how;
	int r = own__shared_detach(handle->object, handle->how, &how);

	if (!r)
		handle->how = how;
	return r;
}

OWN__VERB_BODY OWN__INLINE int
own_unique_detach(struct own_unique *handle)
{
	uint64_t how;
	int r = own__unique_detach(handle->object, handle->how, &how);

	if (!r)
		handle->how = how;
	return r;
}

OWN__VERB_BODY OWN__INLINE void
own_unique_publish_at(struct own_unique *from, struct own_shared *ret,
		const struct own_site *site)
{
	void *object = from->object;
	uint64_t how;

	own__require_empty(ret, "own_unique_publish", site);
	own__unique_publish(object, from->how, site, &how);
	own__tsan_unique_end(own__tsan_key(object, how));
	from->object = NULL;
	from->how = 0;
	ret->object = object;
	ret->how = how;
}

OWN__VERB_BODY OWN__INLINE int
own_shared_reclaim_try_at(struct own_shared *from, struct own_unique *ret,
		const struct own_site *site)
{
	uint64_t how;
	int r;

	own__require_empty(ret, "own_shared_reclaim_try", site);
	r = own__shared_reclaim_try(from->object, from->how, site, &how);
	if (r)
		return r;
	own__tsan_unique(own__tsan_key(from->object, how));
	ret->object = (void *)(uintptr_t)from->object;
	ret->how = how;
	from->object = NULL;
	from->how = 0;
	return 0;
}

OWN__VERB_BODY OWN__INLINE int
own_shared_make_mine(struct own_shared *from, struct own_unique *ret)
{
	const void *object = from->object;
	uint64_t how;
	void *mine;
	int r;

	own__require_empty(ret, "own_shared_make_mine", NULL);
	own__tsan_shared_end(own__tsan_key(object, from->how));
	mine = own__shared_make_mine(object, from->how, &how, &r);
	if (!mine) {
		if (!r)
			__builtin_unreachable();
		return r;
	}
	own__tsan_unique(mine);
	from->object = NULL;
	from->how = 0;
	ret->object = mine;
	ret->how = how;
	return 0;
}

OWN__VERB_BODY OWN__INLINE void
own_shared_project(struct own_shared *handle, const void *part)
{
	own__project(handle->object, handle->how, part, 0);
	handle->object = part;
}

OWN__VERB_BODY OWN__INLINE void
own_unique_project(struct own_unique *handle, void *part)
{
	own__project(handle->object, handle->how, part, 1);
	handle->object = part;
}

OWN__VERB_BODY OWN__INLINE const void *
own_shared_whole(const struct own_shared *handle)
{
	return own__whole(handle->object, handle->how);
}

OWN__VERB_BODY OWN__INLINE void *
own_unique_whole(const struct own_unique *handle)
{
	return own__whole(handle->object, handle->how);
}

OWN_END_DECLS
#endif
