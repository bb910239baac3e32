/* SPDX-License-Identifier: MIT */
/* rcu_inline.c - liburcu inlined, which LGPL-compatible programs may do */
#define _LGPL_SOURCE
#define RCU	rcu_inline
#include "bench/peers/rcu_cell.h"

RCU_RUNS(rcu_inline);

int
rcu_registered(void)
{
	return URCU_TLS(urcu_memb_reader).registered;
}
