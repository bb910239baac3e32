/* SPDX-License-Identifier: MIT */
/*
 * rcu.c - lib/rcu.h on liburcu, or on the scheduler
 *
 * The bp flavour, whose threads register by themselves. memb, a little cheaper,
 * asserts that a thread registers once: a program that uses memb too would
 * stop at its own rcu_register_thread() in each thread that libown knows, and
 * doc/design/rcu.md shows it. Where membarrier must not be used, mb.
 *
 * By default liburcu's exported functions are called. OWN_LGPL_INLINE (from
 * --enable-lgpl-inline) compiles its LGPL inline functions into this file.
 *
 * ThreadSanitizer sees neither liburcu's own words, whose functions Debian
 * does not instrument, nor its membarriers. So in such a build each reader
 * releases on its own record just before its outermost unlock, and whoever has
 * waited for a grace period acquires from each record. One global key would
 * order readers with one another and hide races.
 *
 * Pairs
 *   G1  own_i_rcu_unlock (release on the record) -> own_i_rcu_synchronize
 *       (acquire from each record)
 */
#include "handles/internal.h"
#include "lib/rcu.h"

#ifdef OWN_MODEL

void
own_i_rcu_register(void)
{
}

void
own_i_rcu_unregister(void)
{
}

void
own_i_rcu_lock(void)
{
	own_m_rcu_lock();
}

void
own_i_rcu_unlock(void)
{
	own_m_rcu_unlock();
}

void
own_i_rcu_synchronize(void)
{
	own_m_rcu_synchronize();
}

#else

#if defined(OWN_LGPL_INLINE) && !defined(OWN__TSAN)
#define _LGPL_SOURCE
#endif
#include <urcu/urcu-bp.h>
#include <urcu/urcu-mb.h>

#ifdef OWN__TSAN
void __tsan_acquire(void *key);
void __tsan_release(void *key);
#endif

/* relaxed: constant since the first record */
#define FENCED()	OWN__UNLIKELY(own__load(&own_i_fenced, OWN__RELAXED))

void
own_i_rcu_register(void)
{
	if (FENCED())
		urcu_mb_register_thread();
}

void
own_i_rcu_unregister(void)
{
	if (FENCED())
		urcu_mb_unregister_thread();
}

void
own_i_rcu_lock(void)
{
	if (FENCED())
		urcu_mb_read_lock();
	else
		urcu_bp_read_lock();
}

void
own_i_rcu_unlock(void)
{
#ifdef OWN__TSAN
	/* G1: before the section ends, for whoever waits for that */
	__tsan_release(own_i_this);
#endif
	if (FENCED())
		urcu_mb_read_unlock();
	else
		urcu_bp_read_unlock();
}

void
own_i_rcu_synchronize(void)
{
	if (FENCED())
		urcu_mb_synchronize_rcu();
	else
		urcu_bp_synchronize_rcu();
#ifdef OWN__TSAN
	/* G1 */
	OWN_I_EACH_RECORD(record)
		__tsan_acquire(record);
#endif
}

#endif
