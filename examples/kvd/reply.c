/* SPDX-License-Identifier: MIT */
/* reply.c - contract in reply.h */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reply.h"

#define OUT_KEEP_BYTES	((size_t)512 * 1024)

/* Handles in an array: clang's analysis ends there. */
#define KEEPS	OWN__TS(no_thread_safety_analysis)

/*
 * @array with room for @more elements beyond @n, in steps that double; NULL,
 * and remembered, if there is no memory.
 */
static void *
reserve(struct out *o, void *array, size_t *max, size_t n, size_t more,
		size_t element)
{
	size_t grown = *max ? *max : 64;

	if (array && more <= *max - n)
		return array;
	while (grown - n < more)
		grown *= 2;
	array = realloc(array, grown * element);
	if (array)
		*max = grown;
	else
		o->failed = -ENOMEM;
	return array;
}

static char *
append(struct out *o, size_t size)
{
	char *data;

	if (o->failed)
		return NULL;
	data = reserve(o, o->data, &o->data_max, o->data_n, size, 1);
	if (!data)
		return NULL;
	o->data = data;
	o->data_n += size;
	o->bytes += size;
	return o->data + o->data_n - size;
}

static void
append_bytes(struct out *o, const char *data, size_t size)
{
	char *to = append(o, size);

	if (to && size)
		memcpy(to, data, size);
}

/* @kind, a number, CR LF */
static void
append_header(struct out *o, char kind, int64_t n)
{
	char buffer[32], *p = buffer + sizeof(buffer);
	uint64_t rest = n < 0 ? (uint64_t)0 - (uint64_t)n : (uint64_t)n;

	*--p = '\n';
	*--p = '\r';
	do
		*--p = (char)('0' + rest % 10);
	while (rest /= 10);
	if (n < 0)
		*--p = '-';
	*--p = kind;
	append_bytes(o, p, (size_t)(buffer + sizeof(buffer) - p));
}

struct out *
out_create(void)
{
	return calloc(1, sizeof(struct out));
}

KEEPS void
out_reset(struct out *o)
{
	while (o->kept_n)
		own_shared_release(&o->kept[--o->kept_n]);
	if (o->data_max > OUT_KEEP_BYTES) {
		free(o->data);
		o->data = NULL;
		o->data_max = 0;
	}
	o->data_n = 0;
	o->refs_n = 0;
	o->bytes = 0;
	o->failed = 0;
}

void
out_destroy(struct out *o)
{
	if (!o)
		return;
	out_reset(o);
	free(o->data);
	free(o->ref);
	free(o->kept);
	free(o);
}

void
out_status(struct out *o, const char *text)
{
	append_bytes(o, "+", 1);
	append_bytes(o, text, strlen(text));
	append_bytes(o, "\r\n", 2);
}

/* What a client sent may stand in it: no byte may end the line early. */
void
out_error(struct out *o, const char *format, ...)
{
	char line[512];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (n < 0)
		n = 0;
	if ((size_t)n >= sizeof(line))
		n = (int)sizeof(line) - 1;
	for (int i = 0; i < n; i++)
		if ((unsigned char)line[i] < ' ')
			line[i] = '?';
	append_bytes(o, "-", 1);
	append_bytes(o, line, (size_t)n);
	append_bytes(o, "\r\n", 2);
}

void
out_integer(struct out *o, int64_t n)
{
	append_header(o, ':', n);
}

void
out_nil(struct out *o)
{
	append_bytes(o, "$-1\r\n", 5);
}

void
out_array(struct out *o, size_t n)
{
	append_header(o, '*', (int64_t)n);
}

void
out_bulk(struct out *o, const char *data, size_t size)
{
	append_header(o, '$', (int64_t)size);
	append_bytes(o, data, size);
	append_bytes(o, "\r\n", 2);
}

void
out_text(struct out *o, const char *text)
{
	out_bulk(o, text, strlen(text));
}

KEEPS void
out_bulk_kept(struct out *o, const char *data, size_t size,
		struct own_shared *kept)
{
	struct own_shared *to = reserve(o, o->kept, &o->kept_max, o->kept_n,
			1, sizeof(*to));
	struct out_ref *ref;

	if (!to) {
		own_shared_release(kept);
		return;
	}
	o->kept = to;
	memset(&o->kept[o->kept_n], 0, sizeof(*to));
	own_shared_move(&o->kept[o->kept_n++], kept);
	append_header(o, '$', (int64_t)size);
	ref = reserve(o, o->ref, &o->refs_max, o->refs_n, 1, sizeof(*ref));
	if (!ref)
		return;
	o->ref = ref;
	o->ref[o->refs_n++] = (struct out_ref){ o->data_n, data, size };
	o->bytes += size;
	append_bytes(o, "\r\n", 2);
}

void
out_append(struct out *o, const struct out *from)
{
	if (from->failed)
		o->failed = from->failed;
	append_bytes(o, from->data, from->data_n);
}

struct out_mark
out_mark(const struct out *o)
{
	return (struct out_mark){ o->data_n, o->refs_n, o->bytes };
}

void
out_rewind(struct out *o, struct out_mark mark)
{
	o->data_n = mark.data_n;
	o->refs_n = mark.refs_n;
	o->bytes = mark.bytes;
}

/* Adds what is left of a piece after @skip, and lowers @skip by the rest. */
static unsigned
add(uv_buf_t *bufs, unsigned n, const char *data, size_t size, size_t *skip)
{
	size_t cut = *skip < size ? *skip : size;

	*skip -= cut;
	if (cut == size)
		return n;
	bufs[n] = uv_buf_init((char *)(uintptr_t)(data + cut),
			(unsigned)(size - cut));
	return n + 1;
}

unsigned
out_vector(const struct out *o, size_t skip, uv_buf_t *bufs,
		unsigned bufs_max)
{
	unsigned n = 0;
	size_t at = 0;

	for (size_t i = 0; i < o->refs_n; i++) {
		const struct out_ref *ref = &o->ref[i];

		if (n + 2 > bufs_max)
			return n;
		n = add(bufs, n, o->data + at, ref->at - at, &skip);
		n = add(bufs, n, ref->data, ref->size, &skip);
		at = ref->at;
	}
	if (n < bufs_max)
		n = add(bufs, n, o->data + at, o->data_n - at, &skip);
	return n;
}
