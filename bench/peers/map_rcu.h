/* SPDX-License-Identifier: MIT */
/*
 * map_rcu.h - what the maps under liburcu share: threads, and values
 *
 * liburcu is inlined, which LGPL-compatible programs may do. A reader's
 * pointer is good until it leaves its section; a writer puts a copy in and
 * hands the old value to call_rcu.
 */
#ifndef BENCH_MAP_RCU_H
#define BENCH_MAP_RCU_H

#define _LGPL_SOURCE
#include <stdlib.h>
#include <urcu/urcu-memb.h>
#include <urcu/pointer.h>
#include <urcu/call-rcu.h>

#include "bench/map_cases.h"
#include "bench/peers/maps.h"

/* liburcu aborts if a thread registers twice. */
static inline void
section_enter(void)
{
	if (!URCU_TLS(urcu_memb_reader).registered)
		urcu_memb_register_thread();
}

static inline void
section_leave(void)
{
	if (URCU_TLS(urcu_memb_reader).registered)
		urcu_memb_unregister_thread();
}

#endif
