/* SPDX-License-Identifier: MIT */
/* rcu_call.c - liburcu as any program may use it: by calls */
#undef _LGPL_SOURCE
#define RCU	rcu
#include "bench/peers/rcu_cell.h"

RCU_RUNS(rcu);

/* ahead of any pinned thread, whose one core the worker would inherit */
int
rcu_start_worker(void)
{
	return urcu_memb_get_default_call_rcu_data() ? 0 : -1;
}
