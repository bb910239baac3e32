/* SPDX-License-Identifier: MIT */
/*
 * rcu.h - read sections and grace periods; the one place that knows liburcu
 *
 * RCU protects paths (tables being resized, whatever a traversal walks through
 * between objects); slots protect objects. Only read sections and grace
 * periods of liburcu are used: no cds_* structure, no call_rcu,
 * no defer_rcu. Nothing of liburcu is included here; lib/rcu.c does that, for
 * versions 0.13 and later.
 *
 * Threads  Only threads with a record, as own_i_self() makes one.
 * Blocking own_i_rcu_synchronize() waits for all read sections that began
 *          before it. Never call it, or wait for anything, inside a section.
 */
#ifndef OWN_RCU_H
#define OWN_RCU_H

void own_i_rcu_register(void);
void own_i_rcu_unregister(void);
void own_i_rcu_lock(void);
void own_i_rcu_unlock(void);
void own_i_rcu_synchronize(void);

#endif
