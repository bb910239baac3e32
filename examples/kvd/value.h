/* SPDX-License-Identifier: MIT */
/*
 * value.h - what kvd keeps under a key
 *
 * The bytes are an allocation of their own, so that a value can grow where it
 * is. A value whose time has passed is as good as absent, wherever it stands.
 *
 * Threads    Whoever changes a value must be alone with it: see store.h.
 * Units      Milliseconds of own_now_ns()'s clock.
 * Errors     0 or -ENOMEM, and then the value is unchanged.
 */
#ifndef KVD_VALUE_H
#define KVD_VALUE_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <own/own.h>

struct value {
	uint64_t expires_ms;	/* 0: never */
	uint32_t size, capacity;
	char *bytes;
};

static inline uint64_t
now_ms(void)
{
	return own_now_ns() / 1000000u;
}

static inline bool
value_expired(const struct value *v)
{
	return v->expires_ms && v->expires_ms <= now_ms();
}

static inline int
value_reserve(struct value *v, uint32_t size)
{
	uint32_t capacity = size < 16 ? 16 : size;
	char *bytes;

	if (v->bytes && size <= v->capacity)
		return 0;
	bytes = realloc(v->bytes, capacity);
	if (!bytes)
		return -ENOMEM;
	v->bytes = bytes;
	v->capacity = capacity;
	return 0;
}

static inline int
value_append(struct value *v, const char *bytes, size_t size)
{
	int r = 0;

	if (v->size + size > v->capacity)
		r = value_reserve(v, (uint32_t)((v->size + size) * 2));
	if (r)
		return r;
	if (size)
		memcpy(v->bytes + v->size, bytes, size);
	v->size += (uint32_t)size;
	return 0;
}

static inline int
value_set(struct value *v, const char *bytes, size_t size)
{
	int r = value_reserve(v, (uint32_t)size);

	if (r)
		return r;
	if (size)
		memcpy(v->bytes, bytes, size);
	v->size = (uint32_t)size;
	return 0;
}

/* What SET asks for. */
struct setting {
	struct own_bytes bytes;
	uint64_t expires_ms;
};

/* An edit_fn of store.h; arg: a struct setting. */
static inline int
edit_set(struct value *value, bool absent, void *arg)
{
	const struct setting *to = arg;
	int r = value_set(value, to->bytes.data, to->bytes.size);

	(void)absent;
	if (!r)
		value->expires_ms = to->expires_ms;
	return r;
}

static inline void
value_fini(struct value *v)
{
	free(v->bytes);
	memset(v, 0, sizeof(*v));
}

#endif
