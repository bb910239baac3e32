/* SPDX-License-Identifier: MIT */
/*
 * own/type.h - what libown needs to know about a payload, and typed wrappers
 *
 * A type is described once, in static storage that outlives every object of
 * it. OWN_TYPE() makes the description and the typed accessors, so that user
 * code never casts.
 */
#ifndef OWN_TYPE_H
#define OWN_TYPE_H

#include <own/base.h>

OWN_BEGIN_DECLS

/* Objects of this type may be made with a size of their own. */
#define OWN_SIZED	1u
/* An object keeps its address: it is never moved into a map's entry. */
#define OWN_PINNED	2u

/*
 * Aligned to 16, which objects rely on: one that is not is refused.
 *
 * @copy  makes a draft: fills @to (zeroed, of @size_bytes) from @from, which
 *        is readable and does not change. Returns 0 or a negative errno, which
 *        the claim returns; what it made by then it undoes itself. NULL copies
 *        the bytes. Runs on the claiming thread, may block, holds no lock.
 * @fini  ends a payload's life before its memory is freed. Runs once, on
 *        whichever thread finds that nobody holds the object, with no internal
 *        lock held; it must not take handles or block. NULL does nothing.
 * @align 0 means 16; else a power of two up to 4096.
 */
struct own_type {
	const char *name;
	size_t size;
	size_t align;
	int (*copy)(void *to, const void *from, size_t size_bytes);
	void (*fini)(void *payload, size_t size_bytes);
	uint32_t flags;
} __attribute__((aligned(16)));

/*
 * OWN_TYPE(session, struct session, .fini = session_fini) defines
 *
 *   session_type              the description
 *   session_new(&u)           an owned, zeroed object; 0 or -ENOMEM
 *   session_new_from(alloc, &u)   the same, in an allocator's memory
 *   session_get(&shared)      const struct session *
 *   session_edit(&unique)     struct session *
 *   session_read(cell, &out)  copies the cell's value out: a peek
 *
 * In a header, copy and fini must be functions with external linkage: a type
 * that is described in several files is one if all of it is equal.
 *
 * The payload type is complete where OWN_TYPE stands. C only; C++ may use the
 * untyped verbs and static_cast.
 */
#define OWN_TYPE(name_, ctype_, ...)					\
	static const struct own_type name_##_type = {			\
		.name = #name_, .size = sizeof(ctype_),			\
		.align = _Alignof(ctype_) > 16 ? _Alignof(ctype_) : 16,	\
		__VA_ARGS__						\
	};								\
	OWN_MUST_CHECK OWN__INLINE int					\
	name_##_new(struct own_unique *own__h) OWN__TAKES_UNIQUE(own__h); \
	OWN__VERB_BODY OWN__INLINE int					\
	name_##_new(struct own_unique *own__h)				\
	{								\
		return own_new(&name_##_type, own__h);			\
	}								\
	OWN_MUST_CHECK OWN__INLINE int					\
	name_##_new_from(const struct own_alloc *own__a,		\
		struct own_unique *own__h) OWN__TAKES_UNIQUE(own__h);	\
	OWN__VERB_BODY OWN__INLINE int					\
	name_##_new_from(const struct own_alloc *own__a,		\
			struct own_unique *own__h)			\
	{								\
		return own_new_from(own__a, &name_##_type, own__h);	\
	}								\
	OWN__INLINE const ctype_ *					\
	name_##_get(const struct own_shared *own__h)			\
		OWN__NEEDS_SHARED(own__h);				\
	OWN__VERB_BODY OWN__INLINE const ctype_ *			\
	name_##_get(const struct own_shared *own__h)			\
	{								\
		own__expect_shared(own__h, &name_##_type);		\
		return (const ctype_ *)own_shared_get(own__h);		\
	}								\
	OWN__INLINE ctype_ *						\
	name_##_edit(const struct own_unique *own__h)			\
		OWN__NEEDS_UNIQUE(own__h);				\
	OWN__VERB_BODY OWN__INLINE ctype_ *				\
	name_##_edit(const struct own_unique *own__h)			\
	{								\
		own__expect_unique(own__h, &name_##_type);		\
		return (ctype_ *)own_unique_edit(own__h);		\
	}								\
	OWN_MUST_CHECK OWN__INLINE int					\
	name_##_read(struct own_cell *own__c, ctype_ *own__to)		\
	{								\
		return own_cell_read(own__c, own__to, sizeof(ctype_));	\
	}								\
	OWN__STATIC_ASSERT(sizeof(ctype_) > 0, "payload must be complete")

struct own_alloc;
struct own_unique;
struct own_shared;
struct own_cell;

OWN_END_DECLS
#endif
