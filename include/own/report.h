/* SPDX-License-Identifier: MIT */
/*
 * own/report.h - who holds what, who waits for whom
 *
 * The slots that protect objects are at the same time the list of all holders
 * and waiters. It is always on, in release builds too.
 *
 * Ownership  What own_conflict_last() returns belongs to the calling thread and
 *            stands until its next call of the same function.
 * Threads    Any thread, at any time.
 * Blocking   Nothing here blocks.
 * Memory     Nothing here allocates.
 * Errors     As said per function.
 */
#ifndef OWN_REPORT_H
#define OWN_REPORT_H

#include <own/handle.h>

OWN_BEGIN_DECLS

#define OWN_PARTIES_MAX	16

/* One thread's part in a conflict. */
struct own_party {
	int32_t tid;			/* gettid(), 0 unknown: detached */
	char thread[16];		/* its name when it registered */
	const char *mode;		/* "shared", "unique", "draft", ... */
	const char *object;		/* name of the type */
	const char *container;		/* name of the structure, or NULL */
	char key[40];			/* of a map's entry, or empty; cut */
	const void *address;		/* of the object's word */
	const struct own_site *site;	/* where it was taken, or NULL */
	const struct own_site *waits_at;	/* where it waits, or NULL */
};

/*
 * Why a verb of this thread was refused. parties[0] is the caller and what it
 * wanted; the others hold what it waits for. After -EDEADLK the parties are
 * the cycle, each waiting for the next, the last for the first.
 */
struct own_conflict {
	int error;			/* -EBUSY, -EDEADLK, -ETIMEDOUT, ... */
	uint32_t parties_n;
	uint32_t more_n;		/* found beyond OWN_PARTIES_MAX */
	struct own_party parties[OWN_PARTIES_MAX];
};

/*
 * own_conflict_last - explain this thread's last refusal
 *
 * NULL if nothing was refused yet, or after a verb succeeded where it had to
 * wait. After -EBUSY the other side is looked up when this is called, since
 * _try must stay cheap: who left meanwhile is not listed. After -EDEADLK and
 * -ETIMEDOUT it is what was seen at the refusal.
 */
OWN_API const struct own_conflict *own_conflict_last(void);

/*
 * own_conflict_text - the same as one paragraph
 *
 * Writes at most @size_bytes with the terminating zero; returns the length it
 * would have without a limit, as snprintf() does.
 */
OWN_API size_t own_conflict_text(const struct own_conflict *conflict,
		char *buffer, size_t size_bytes);

/*
 * own_dump - write all holders and waiters of the process to @fd
 *
 * And which notes are armed (own/when.h), and what own_reclaim_oldest() tells
 * of the four oldest objects that are retired and not freed.
 * Async-signal-safe: may be called from a handler, also of a crash. A holder
 * that comes or goes meanwhile may be missing or listed. Returns 0, or the
 * negative errno of write().
 */
OWN_API int own_dump(int fd);

/*
 * own_held - what the calling thread holds now
 * @parties:     filled with the first @parties_max of them; may be NULL for 0
 *
 * Counts every borrowed handle of this thread, beyond @parties_max too, and
 * lists them in the order of their slots, which is the order in which they were
 * taken as long as none of them was given back in between. Detached handles and
 * owned objects are not the thread's and do not count. Within a peek, a copy or
 * a visit, what that borrows counts as well. Returns their number, 0 in a
 * thread that has not used libown.
 */
OWN_API size_t own_held(struct own_party *parties, size_t parties_max);

enum own_idle {
	OWN_IDLE_OFF,			/* only counts */
	OWN_IDLE_REPORT,		/* tells the stall hook */
	OWN_IDLE_STOP			/* stops the process, with the report */
};

/*
 * own_idle_check(what) - a thread is about to wait: should it hold anything?
 *
 * For an event loop to call right before it blocks, in epoll_wait() and the
 * like, as often as it likes: with nothing held it looks at the thread's slots
 * and does nothing else. What is still held then makes others wait for as long
 * as no event comes, and was often forgotten. OWN_IDLE_REPORT tells
 * own_stall_hook()'s callback what is held and where each handle was taken, 16
 * by name and the rest by number; of the same handles once a thread, of others
 * at most once a second. OWN_IDLE_STOP is for tests: it stops the process as
 * misuse does. Counts as own_held() does, and returns that number, or -EINVAL
 * for an unknown @what.
 */
OWN_API int own_idle_check_at(enum own_idle what, const struct own_site *site);
#define own_idle_check(what)	own_idle_check_at(what, OWN_HERE)

/*
 * Called for a wait that has lasted a second and that deadlock detection
 * cannot explain, for retired memory above the limit, by own_idle_check(), and
 * in the checked build for an order of locks that can deadlock. @text is one
 * paragraph. The default writes it to stderr; NULL says nothing. May be set at
 * any time. The callback must not take handles, nor call own_reclaim() or
 * own_barrier().
 */
typedef void (*own_stall_fn)(const char *text, void *arg);
OWN_API void own_stall_hook(own_stall_fn fn, void *arg);

OWN_END_DECLS
#endif
