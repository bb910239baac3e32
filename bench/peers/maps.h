/* SPDX-License-Identifier: MIT */
/* maps.h - subjects of map_bench */
#ifndef BENCH_MAPS_H
#define BENCH_MAPS_H

struct map_subject;

extern const struct map_subject own_exclusive_map;
extern const struct map_subject own_versioned_map;
extern const struct map_subject mutex_map;
extern const struct map_subject rwlock_map;
extern const struct map_subject sharded_map;
extern const struct map_subject lfht_map;
extern const struct map_subject ck_ht_map;

/* Starts liburcu's threads, unpinned, and keeps them. 0 or -1. */
int lfht_start(void);

#endif
