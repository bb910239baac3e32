/* SPDX-License-Identifier: MIT */
/*
 * own/base.h - what every libown header needs: attributes, places, scopes
 *
 * Nothing here has a run-time cost. The macros are empty where a compiler
 * lacks what they name, and every public header is C11 and C++11.
 */
#ifndef OWN_BASE_H
#define OWN_BASE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#define OWN_VERSION_MAJOR	0
#define OWN_VERSION_MINOR	1

#ifdef __cplusplus
#define OWN_BEGIN_DECLS		extern "C" {
#define OWN_END_DECLS		}
#define OWN__STATIC_ASSERT(c, text)	static_assert(c, text)
#else
#define OWN_BEGIN_DECLS
#define OWN_END_DECLS
#define OWN__STATIC_ASSERT(c, text)	_Static_assert(c, text)
#endif

#define OWN_API			__attribute__((visibility("default")))
#define OWN_MUST_CHECK		__attribute__((warn_unused_result))
#define OWN__NORETURN		__attribute__((noreturn))
#define OWN__COLD		__attribute__((cold, noinline))
#define OWN__LIKELY(c)		__builtin_expect(!!(c), 1)
#define OWN__UNLIKELY(c)	__builtin_expect(!!(c), 0)
#define OWN__INLINE							\
	static inline __attribute__((always_inline, unused))

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define OWN__TSAN		1
#endif
#endif
#if defined(__SANITIZE_THREAD__) && !defined(OWN__TSAN)
#define OWN__TSAN		1
#endif

/* The checked library notes orders of locks: it has to see each verb. */
#if defined(OWN_CHECKED) && !defined(OWN_NO_INLINE)
#define OWN_NO_INLINE		1
#endif

/*
 * Capabilities for clang -Wthread-safety. Attributes name the pointer
 * parameter and stand after the declarator.
 */
#if defined(__clang__) && !defined(SWIG)
#define OWN__TS(x)		__attribute__((x))
#else
#define OWN__TS(x)
#endif
#define OWN__CAPABILITY(noun)	OWN__TS(capability(noun))
#define OWN__TAKES_UNIQUE(h)	OWN__TS(try_acquire_capability(0, h))
#define OWN__TAKES_SHARED(h)	OWN__TS(try_acquire_shared_capability(0, h))
#define OWN__GETS_UNIQUE(h)	OWN__TS(acquire_capability(h))
#define OWN__GETS_SHARED(h)	OWN__TS(acquire_shared_capability(h))
#define OWN__ENDS_UNIQUE(h)	OWN__TS(release_capability(h))
#define OWN__ENDS_SHARED(h)	OWN__TS(release_shared_capability(h))
#define OWN__NEEDS_UNIQUE(h)	OWN__TS(requires_capability(h))
#define OWN__NEEDS_SHARED(h)	OWN__TS(requires_shared_capability(h))
/* gives away on success (0) and keeps on failure */
#define OWN__GIVES_UNIQUE(h)						\
	OWN__TS(release_capability(h)) OWN__TS(try_acquire_capability(1, h))
/*
 * Before a function whose handles clang cannot follow, with the reason: an
 * array of handles, own_scoped() (before clang 22), a handle lent by address.
 */
#define OWN_UNTRACKED(reason)	OWN__TS(no_thread_safety_analysis)
#define OWN__VERB_BODY		OWN_UNTRACKED("acquires and releases by itself")

OWN_BEGIN_DECLS

/* A place in the user's source. Static storage, compared by address. */
struct own_site {
	const char *file;
	uint32_t line;
};

/* The place where it is written; the verbs' macros pass it on. */
#define OWN_HERE							\
	(__extension__ ({						\
		static const struct own_site own__here = {		\
			__FILE__, (uint32_t)__LINE__			\
		};							\
		&own__here;						\
	}))

/*
 * own_scoped(own_shared) seen = { 0 }; releases at the end of the block.
 * Initialise at the declaration, never jump over one, and pass a handle on
 * with own_<x>_move(), which empties the source.
 */
#define own_scoped(type)						\
	__attribute__((cleanup(type##_release))) struct type

/* CLOCK_MONOTONIC now, in nanoseconds: what deadlines are compared with. */
OWN_API uint64_t own_now_ns(void);

/* own_now_ns() + timeout_ns, saturating: the deadline of a _timed verb. */
OWN_API uint64_t own_deadline_ns(uint64_t timeout_ns);

/* Reports misuse and aborts. site may be NULL. Async-signal-safe. */
OWN_API OWN__NORETURN OWN__COLD void own__fault(const char *text,
		const struct own_site *site);

/* The same, of a handle: names the place where that was taken as well. */
OWN_API OWN__NORETURN OWN__COLD void own__fault_handle(const char *verb,
		const char *text, uint64_t how, const struct own_site *site);

/* Misuse that would corrupt memory stops the process in every build. */
#define own_require(condition, text, site)				\
	do {								\
		if (OWN__UNLIKELY(!(condition)))			\
			own__fault(text, site);				\
	} while (0)

#define own__require_empty(ret, verb, site)				\
	do {								\
		if (OWN__UNLIKELY((ret)->object != NULL))		\
			own__fault_handle(verb, ": handle in use",	\
					(ret)->how, site);		\
	} while (0)

OWN_END_DECLS
#endif
