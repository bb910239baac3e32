/* SPDX-License-Identifier: MIT */
/*
 * own/reclaim.h - when what was replaced is freed; set-up and threads
 *
 * A replaced object goes into a batch of the thread that replaced it. A full
 * batch (1024 objects or 256 KiB) costs one membarrier and one look at all
 * slots; what nobody holds is finalised and freed at once, the rest stays for
 * the next scan. There is no grace period, no worker thread, and retiring
 * allocates nothing. (Hazard pointers, Michael 2004, with the asymmetric fence
 * of Dice, Herlihy and Kogan 2016.)
 *
 * Threads    Any thread; its first use registers it and may give -ENOMEM.
 * Blocking   Only functions that say "May block". fini runs on the thread that
 *            scans, with no internal lock held.
 * Memory     Bytes retired and not yet freed are bounded by the number of
 *            threads times the batch, plus what handles keep.
 * Units      Bytes, nanoseconds.
 * Errors     0 or a negative errno.
 */
#ifndef OWN_RECLAIM_H
#define OWN_RECLAIM_H

#include <own/report.h>

OWN_BEGIN_DECLS

/*
 * own_reclaim - scan the batches of all threads now
 *
 * For event loops with time on their hands, and for programs whose threads
 * replace rarely. @budget_ns bounds how long batches are taken up; 0 takes one.
 * Returns the number of objects freed, or -ENOMEM; -EDEADLK from within a fini.
 */
OWN_API int64_t own_reclaim(uint64_t budget_ns);

/*
 * own_barrier - finalise everything retired so far
 *
 * May block, for other threads' scans that are under way. When it returns,
 * everything that was retired before the call and that nobody holds has been
 * finalised. Returns the number of objects that are still held, or -ENOMEM;
 * -EDEADLK from within a fini.
 */
OWN_API int64_t own_barrier(void);

/* What a process has retired; each figure exact, not taken at one instant. */
struct own_reclaim_stats {
	uint64_t retired_objects;	/* since the start */
	uint64_t freed_objects;
	uint64_t pending_objects;	/* in batches now */
	uint64_t pending_bytes;
	uint64_t scans;
	uint64_t membarriers;
	uint64_t oldest_age_ns;		/* of what is pending, 0: nothing is */
};
OWN_API void own_reclaim_stats(struct own_reclaim_stats *ret);

/* Something retired and not yet freed: an object that a scan found held, or
 * what a batch has that was not scanned yet. */
struct own_pending {
	uint64_t age_ns;		/* since it was retired, about */
	uint64_t bytes;			/* of the object; 0: of a batch, or
					   of what a scan looks at just now */
	int is_held;			/* still, by holder */
	/* who holds it, how, and where that was taken; tid 0 if it is held by
	 * a detached handle. Not held: whose batch it is in, tid 0 if that
	 * thread has ended */
	struct own_party holder;
};

/*
 * own_reclaim_oldest - what is pending longest, and who holds it up
 * @ret: filled with the first @pending_max, the oldest first; may be NULL for 0
 *
 * Retiring reads no clock, but for the first object of a batch: ages are those
 * of batches, too old by up to the time that one took to fill, never too young.
 * Of what a thread retired and others hold, four ages are told apart; more are
 * made fewer by counting those that differ least, for their age, as old as the
 * older one: what is held far longer than all else stands by itself. Never
 * waits or allocates; async-signal-safe. Of what a scan looks at just now it
 * knows the oldest object alone, if a slot holds it. Returns how many it
 * filled.
 */
OWN_API size_t own_reclaim_oldest(struct own_pending *ret, size_t pending_max);

/*
 * Above this many bytes that scans found held each retirement scans, and the
 * stall hook is told who holds them up, at most once a second. Default 64 MiB.
 */
OWN_API void own_reclaim_limit(uint64_t pending_bytes_max);

/*
 * own_thread_register - what a thread's first use does, ahead of it
 *
 * Returns 0, also if it is registered already, or -ENOMEM. A thread is
 * unregistered when it ends: shared handles are released; a unique one leaves
 * its object orphaned (-EOWNERDEAD for who asks next); drafts are dropped.
 *
 * The child of a fork goes on with its handles if no other thread of the parent
 * was registered. Otherwise it may only exec or exit: own_dump(),
 * own_reclaim_stats() and own_conflict_last() (NULL) work there, any other use
 * stops the process with a report. Fork first, then start threads.
 */
OWN_API OWN_MUST_CHECK int own_thread_register(void);

/* For programs that will forbid themselves the membarrier system call. */
#define OWN_NO_MEMBARRIER	1u

/*
 * own_setup - choose before the first use; else membarrier is probed
 *
 * The environment's OWN_MEMBARRIER=off does the same as OWN_NO_MEMBARRIER.
 * Returns 0, -EBUSY if libown is in use already, -EINVAL for unknown flags.
 */
OWN_API OWN_MUST_CHECK int own_setup(uint32_t flags);

/*
 * Where memory comes from. alloc returns NULL when there is none, else at least
 * @size_bytes aligned to @align; free gets what alloc returned, and the same
 * size. Both run on any thread, also inside verbs that retire, must not use
 * libown, and get @context, which is the user's own.
 *
 * own_set_alloc()             of the process: for all that follows, but for
 *                             tables of maps; thread records always
 * own_map_options.alloc       of a map: itself, its tables, its entries
 * own_new_from(alloc, ...)    of an object, its drafts and copies: of a cell
 */
struct own_alloc {
	void *(*alloc)(size_t size_bytes, size_t align, void *context);
	void (*free)(void *p, size_t size_bytes, void *context);
	void *context;
};

/*
 * Before the first use only, -EBUSY afterwards; *@alloc is copied. NULL
 * restores malloc.
 */
OWN_API OWN_MUST_CHECK int own_set_alloc(const struct own_alloc *alloc);

OWN_END_DECLS
#endif
