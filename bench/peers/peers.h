/* SPDX-License-Identifier: MIT */
/* peers.h - subjects that need a file of their own */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

struct cell_subject;

extern const struct cell_subject rcu_subject;
extern const struct cell_subject rcu_inline_subject;

/* Whether this thread has registered with liburcu's memb flavour. */
int rcu_registered(void);

/* Starts liburcu's worker thread. 0 or -1. */
int rcu_start_worker(void);

/*
 * Rust's peers from the library at @path, at most RUST_SUBJECTS_MAX. Returns
 * how many, or -1 after saying why not.
 */
#define RUST_SUBJECTS_MAX	8
int rust_subjects(const char *path, const struct cell_subject **ret);

#endif
