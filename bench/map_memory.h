/* SPDX-License-Identifier: MIT */
/* map_memory.h - what a map takes, measured */
#ifndef BENCH_MAP_MEMORY_H
#define BENCH_MAP_MEMORY_H

#include <stddef.h>

struct map_subject;

/*
 * Prints, for each subject, lines of: case, threads, figure, bytes. An entry
 * has an 8-byte key and an 8-byte value. Each subject is measured in a process
 * of its own. Returns the exit status.
 */
int map_memory(const struct map_subject *const *subjects, size_t n);

#endif
