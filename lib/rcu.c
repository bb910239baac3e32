/* SPDX-License-Identifier: MIT */
/*
 * rcu.c - lib/rcu.h on liburcu memb, or on the scheduler
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
#include <urcu/urcu-memb.h>

#ifdef OWN__TSAN
void __tsan_acquire(void *key);
void __tsan_release(void *key);
#endif

void
own_i_rcu_register(void)
{
	urcu_memb_register_thread();
}

void
own_i_rcu_unregister(void)
{
	urcu_memb_unregister_thread();
}

void
own_i_rcu_lock(void)
{
	urcu_memb_read_lock();
}

void
own_i_rcu_unlock(void)
{
#ifdef OWN__TSAN
	/* G1: before the section ends, for whoever waits for that */
	__tsan_release(own_i_this);
#endif
	urcu_memb_read_unlock();
}

void
own_i_rcu_synchronize(void)
{
	urcu_memb_synchronize_rcu();
#ifdef OWN__TSAN
	/* G1 */
	OWN_I_EACH_RECORD(record)
		__tsan_acquire(record);
#endif
}

#endif
