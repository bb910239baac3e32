/* SPDX-License-Identifier: MIT */
/*
 * own/access.h - every access to memory that threads share
 *
 * The whole tree reads and writes shared memory through these macros, each
 * with an explicit order, and with no standalone fence (ThreadSanitizer does
 * not model those). They are compiler builtins on plain integers and pointers,
 * so the public headers are C and C++. With OWN_MODEL they are calls into the
 * deterministic scheduler of model/ instead, which is how the very same
 * functions are explored schedule by schedule.
 *
 *   own__load(p, ORDER)              own__store(p, v, ORDER)
 *   own__xchg(p, v, ORDER)           own__cas(p, &expected, desired, ORDER)
 *   own__add / own__or / own__and (p, v, ORDER)     give the old value
 *
 * own__light_fence() is the reader's half of the asymmetric fence: it keeps
 * the compiler from moving a later load above an earlier store. The other half
 * is own_i_heavy_fence(), a membarrier (P1202, asymmetric_thread_fence).
 */
#ifndef OWN_ACCESS_H
#define OWN_ACCESS_H

#include <own/base.h>

#define OWN__RELAXED	__ATOMIC_RELAXED
#define OWN__ACQUIRE	__ATOMIC_ACQUIRE
#define OWN__RELEASE	__ATOMIC_RELEASE
#define OWN__ACQ_REL	__ATOMIC_ACQ_REL
#define OWN__SEQ_CST	__ATOMIC_SEQ_CST

/* A failed compare-and-swap still acquires whenever success would. */
#define OWN__CAS_FAIL(order)						\
	((order) == OWN__SEQ_CST ? OWN__SEQ_CST :			\
	 (order) == OWN__ACQ_REL || (order) == OWN__ACQUIRE		\
		? OWN__ACQUIRE : OWN__RELAXED)

#ifndef OWN_MODEL

#define own__load(p, order)	__atomic_load_n((p), (order))
#define own__store(p, v, order)	__atomic_store_n((p), (v), (order))
#define own__xchg(p, v, order)	__atomic_exchange_n((p), (v), (order))
#define own__add(p, v, order)	__atomic_fetch_add((p), (v), (order))
#define own__or(p, v, order)	__atomic_fetch_or((p), (v), (order))
#define own__and(p, v, order)	__atomic_fetch_and((p), (v), (order))
#define own__cas(p, expected, desired, order)				\
	__atomic_compare_exchange_n((p), (expected), (desired), 0,	\
			(order), OWN__CAS_FAIL(order))
#define own__light_fence()	__asm__ __volatile__("" ::: "memory")

#else /* OWN_MODEL: C only, implemented by model/sched.c */

enum own_m_rmw_op { OWN_M_XCHG, OWN_M_ADD, OWN_M_OR, OWN_M_AND };

uint64_t own_m_load(const void *p, unsigned size, int order,
		const char *file, int line);
void own_m_store(void *p, unsigned size, uint64_t v, int order,
		const char *file, int line);
uint64_t own_m_rmw(void *p, unsigned size, enum own_m_rmw_op op, uint64_t v,
		int order, const char *file, int line);
/* 1 if *p was *expected; else stores what was there to *expected, gives 0 */
int own_m_cas(void *p, unsigned size, void *expected, uint64_t desired,
		int order, const char *file, int line);

#define OWN__BITS(v)		((uint64_t)(uintptr_t)(v))
#define OWN__TYPED(p, bits)	((__typeof__(*(p)))(uintptr_t)(bits))

#define own__load(p, order)						\
	OWN__TYPED(p, own_m_load((p), sizeof(*(p)), (order),		\
			__FILE__, __LINE__))
#define own__store(p, v, order)						\
	own_m_store((p), sizeof(*(p)), OWN__BITS((__typeof__(*(p)))(v)),\
			(order), __FILE__, __LINE__)
#define own__m_rmw(p, op, v, order)					\
	OWN__TYPED(p, own_m_rmw((p), sizeof(*(p)), (op),		\
			OWN__BITS((__typeof__(*(p)))(v)), (order),	\
			__FILE__, __LINE__))
#define own__xchg(p, v, order)	own__m_rmw(p, OWN_M_XCHG, v, order)
#define own__add(p, v, order)	own__m_rmw(p, OWN_M_ADD, v, order)
#define own__or(p, v, order)	own__m_rmw(p, OWN_M_OR, v, order)
#define own__and(p, v, order)	own__m_rmw(p, OWN_M_AND, v, order)
#define own__cas(p, expected, desired, order)				\
	own_m_cas((p), sizeof(*(p)), (expected),			\
			OWN__BITS((__typeof__(*(p)))(desired)), (order),\
			__FILE__, __LINE__)
#define own__light_fence()	((void)0)

#endif /* OWN_MODEL */

/*
 * Seeded bugs: each breaks one rule that doc/design/protocol.md argues for,
 * and each is caught by a named test. Compiled in by --enable-bugs only,
 * chosen by the environment variable OWN_BUG=<name>.
 */
#define OWN__BUG_LIST(X)						\
	X(NO_MEMBARRIER)	/* claim does not fence before its scan */ \
	X(NO_SECOND_MEMBARRIER)	/* nor before it sleeps on a slot */	\
	X(NO_SETTLE)		/* release does not look at wanted */	\
	X(WAKE_ONLY)		/* wakes without changing the futex word */ \
	X(NO_RETRACT_WAKE)	/* a refused HOLD is retracted silently */ \
	X(CLEAR_BIAS_EARLY)	/* claim clears BIASED when it sets WRITER */ \
	X(BIASED_ONLY)		/* fast path does not look at WRITER */	\
	X(NESTED_SLOT)		/* re-entrant share gets a HOLD past WRITER */ \
	X(FORGET_WAITERS)	/* claimer that slept takes WRITER alone */ \
	X(SCAN_NO_MEMBARRIER)	/* reclaim scans without a fence */	\
	X(NO_RECHECK)		/* versioned share does not look again */ \
	X(DETACH_ORDER)		/* slot cleared before the count is raised */ \
	X(COUNT_FIRST)		/* reclaim looks at counts before slots */ \
	X(CLONE_UNCHECKED)	/* clone does not look at DEAD */	\
	X(DEAD_LATE)		/* DEAD is set after the fence */	\
	X(NO_WRITER)		/* replace does not take WRITER */	\
	X(ONE_COLLECT)		/* deadlock check believes its first look */ \
	X(FREED_SLOT)		/* and its second look takes how alone */ \
	X(WAIT_STAYS)		/* a wait record stands while it is granted */ \
	X(VICTIM_STAYS)		/* victim leaves its wait record standing */ \
	X(NO_MUTEX)		/* deadlock checks run side by side */	\
	X(WORD_AFTER_CLEAR)	/* release reads the word after the slot */ \
	X(RETIRE_NO_SCAN)	/* retired objects are freed unseen */	\
	X(COMMIT_NO_RELEASE)	/* commit publishes with relaxed order */ \
	X(COUNT_NOT_DRAINED)	/* claim does not wait for the count */	\
	X(NO_WAKE)		/* unwriter wakes nobody */		\
	X(LATE_GIVES_UP)	/* a woken waiter gives up on a free word */ \
	X(MAP_NO_RECHECK)	/* look-up does not see its cell again */ \
	X(ABSENT_EARLY)		/* look-up that saw MOVED asks no further */ \
	X(NO_FREEZE)		/* cells are copied without being frozen */ \
	X(PUT_NO_MIGRATE)	/* put acts before the old chain has moved */ \
	X(REMOVE_NO_MIGRATE)	/* so does a removal */			\
	X(COPY_NO_RECHECK)	/* copier inserts what may be over by then */ \
	X(NO_GRACE)		/* a table is freed while it is walked */ \
	X(SWING_EARLY)		/* a table is left before all has moved */ \
	X(TOMB_REUSE)		/* put takes a tombstone's cell */	\
	X(UNBORN_SEEN)		/* look-up finds an entry in the making */ \
	X(REMOVE_NO_DEAD)	/* a removed entry can be claimed */	\
	X(REPLACE_NO_WRITER)	/* put replaces beside a writer */	\
	X(GATE_NO_MEMBARRIER)	/* whole-map handle scans without a fence */ \
	X(GATE_COUNT_FIRST)	/* and looks at counts before slots */	\
	X(COUPLE_BY_SLOT)	/* behind a gate a slot takes a barred mode */ \
	X(NOT_ADMITTED)		/* a gate stops who must pass it */	\
	X(IS_PASSES_S)		/* a reader's hold lets its writes pass S */ \
	X(GATE_NO_WAKE)		/* a gate that opens wakes nobody */	\
	X(GATE_NO_RELEASE)	/* a gate opens with relaxed order */	\
	X(CELL_NO_RELEASE)	/* put publishes with relaxed order */	\
	X(CONTAINER_NO_RELEASE)	/* a slot's next use hides the one before */ \
	X(PUBLISHED_RELAXED)	/* the last holder acquires nothing */ \
	X(RECLAIM_RELAXED)	/* nor does who reclaims */ \
	X(UNIQUE_DETACH_EARLY)	/* its slot's mode, then the gate's count */ \
	X(DOWNGRADE_NO_WAKE)	/* of a whole map */ \
	X(UPGRADE_NO_SCAN)	/* nor does its upgrade look at slots */ \
	X(UPGRADE_S_EARLY)	/* and gives S up before it is sure of X */ \
	X(FAIR_NO_WAKE)		/* of those who let it go first */	\
	X(ARM_LATE)		/* a note is listed after WAITERS is set */ \
	X(ARM_NO_LOOK)		/* and armed at a slot that has gone */	\
	X(WAKE_NO_NOTES)	/* whoever leaves fires no note */	\
	X(ARM_GATE_SEEN)	/* and where WAITERS was seen, unflagged */ \
	X(FIRED_EARLY)		/* a note is given up, then fired */	\
	X(NO_ROOM)		/* puts fill what copies will need */

enum own__bug {
#define OWN__BUG_ENUM(name)	OWN_BUG_##name,
	OWN__BUG_LIST(OWN__BUG_ENUM)
#undef OWN__BUG_ENUM
	OWN__BUGS
};

#ifdef OWN_BUGS
OWN_BEGIN_DECLS
OWN_API extern uint64_t own__bugs;	/* set once, before the first record */
OWN_END_DECLS
#define own__bug(name)	OWN__UNLIKELY(own__bugs & ((uint64_t)1 << (name)))
#else
#define own__bug(name)	0
#endif

#endif
