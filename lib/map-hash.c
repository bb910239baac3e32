/* SPDX-License-Identifier: MIT */
/*
 * map-hash.c - the default hash: XXH3 keyed by 192 random bytes
 *
 * The bytes are the process's, drawn once; the seed is the map's. Without it
 * entries copied from one map into a smaller one, in the order of a scan, would
 * all go to the same few lines of that.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "lib/map-internal.h"

static unsigned char secret[XXH3_SECRET_SIZE_MIN + 56]
	__attribute__((aligned(64)));
static uint32_t secret_lock;
static int secret_drawn;

/* Draws the secret; 0 or a negative errno. Before the first map. */
int
own_i_hash_begin(void)
{
	int r = 0;

	own_i_lock(&secret_lock);
	for (size_t n = 0; !secret_drawn && !r && n < sizeof(secret); ) {
		ssize_t got = getrandom(secret + n, sizeof(secret) - n, 0);

		if (got >= 0)
			n += (size_t)got;
		else if (errno != EINTR)
			r = -errno;
	}
	if (!r)
		secret_drawn = 1;
	own_i_unlock(&secret_lock);
	return r;
}

uint64_t
own_i_hash(const void *data, size_t size_bytes, uint64_t seed)
{
	uint64_t h = XXH3_64bits_withSecret(data, size_bytes, secret,
			sizeof(secret)) ^ seed;
	__extension__ unsigned __int128 product = (unsigned __int128)h *
		UINT64_C(0x9e3779b97f4a7c15);

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}
