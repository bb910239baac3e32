/* SPDX-License-Identifier: MIT */
/*
 * rust.c - Rust's locks and arc-swap, from the library of peers/rust
 *
 * Loaded at run time, so that the tree builds without Rust. Its loops take
 * their batches by bench_take(), as all others do.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/cell_cases.h"
#include "bench/peers/peers.h"

/* both as peers.rs has them */
struct rust_run {
	struct bench *bench;
	uint64_t (*take)(struct bench *b);
	const uint64_t *bits;
	uint64_t phase;
	uint64_t sum;
	uint64_t writes;
	uint64_t bad;
};

struct rust_peer {
	const char *name;
	int loses_updates;
	void (*open)(void);
	uint64_t (*close)(void);
	void (*one)(struct rust_run *run);
	void (*write)(struct rust_run *run);
	void (*mix)(struct rust_run *run);
};

typedef const struct rust_peer *rust_peers_fn(size_t *n);

/* what bench_user() is for these cases */
static struct rust_subject {
	struct cell_subject s;
	const struct rust_peer *peer;
} subjects[RUST_SUBJECTS_MAX];

static const struct rust_peer *
peer_of(const struct bench *b)
{
	return ((const struct rust_subject *)bench_user(b))->peer;
}

static struct rust_run
run_of(struct bench *b)
{
	return (struct rust_run){
		.bench = b, .take = bench_take, .phase = cell_phase(b),
	};
}

static void
open_peer(struct bench *b)
{
	peer_of(b)->open();
}

static uint64_t
close_peer(struct bench *b)
{
	return peer_of(b)->close();
}

static void
run_one(struct bench *b)
{
	struct rust_run run = run_of(b);

	peer_of(b)->one(&run);
	cell_sum(b, run.sum);
}

static void
run_write(struct bench *b)
{
	struct rust_run run = run_of(b);

	peer_of(b)->write(&run);
	cell_wrote(b, run.writes, run.bad);
}

static void
run_mix(struct bench *b)
{
	struct rust_run run = run_of(b);

	run.bits = cell_pattern(b)->bits;
	peer_of(b)->mix(&run);
	cell_wrote(b, run.writes, run.bad);
}

int
rust_subjects(const char *path, const struct cell_subject **ret)
{
	rust_peers_fn *peers;
	const struct rust_peer *peer;
	void *library = dlopen(path, RTLD_NOW);
	size_t n = 0, max = RUST_SUBJECTS_MAX;

	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return -1;
	}
	*(void **)&peers = dlsym(library, "own_bench_rust_peers");
	if (!peers) {
		fprintf(stderr, "%s is not what bench/peers/rust makes\n",
				path);
		return -1;
	}
	peer = peers(&n);
	for (size_t i = 0; i < n && i < max; i++) {
		subjects[i].peer = &peer[i];
		subjects[i].s = (struct cell_subject){
			.name = peer[i].name, .open = open_peer,
			.close = close_peer, .one = run_one,
			.write = run_write, .mix = run_mix,
			.loses_updates = peer[i].loses_updates,
		};
		ret[i] = &subjects[i].s;
	}
	return (int)(n < max ? n : max);
}
