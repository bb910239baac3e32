/* SPDX-License-Identifier: MIT */
/*
 * object.c - payloads and the 16 bytes before them
 *
 *   [size, only if OWN_SIZED: 16 bytes] [header: 16 bytes] [payload]
 *
 * The payload is aligned as its type asks; the header stands directly before
 * it, at the end of a gap of max(align, 16 or 32) bytes.
 */
#include <string.h>

#include "handles/internal.h"

#define ALIGN_MAX	4096u
#define SIZE_MAX_BYTES	((size_t)1 << 46)

static size_t
align_of(const struct own_type *type)
{
	return type->align > 16 ? type->align : 16;
}

/* Bytes before the payload. */
static size_t
gap_of(const struct own_type *type)
{
	size_t need = type->flags & OWN_SIZED ? 32 : 16;

	return align_of(type) > need ? align_of(type) : need;
}

static size_t *
size_at(const struct own__header *header)
{
	return (size_t *)((uintptr_t)header - 16);
}

static size_t
size_of(const struct own__header *header)
{
	const struct own_type *type = own_i_type(header);

	return type->flags & OWN_SIZED ? *size_at(header) : type->size;
}

void *
own__new(const struct own_type *type, size_t size, int *r)
{
	size_t align, gap;
	char *block;
	struct own__header *header;

	if (!type || (type->align & (type->align - 1)) ||
			type->align > ALIGN_MAX ||
			(uintptr_t)type >> 48 != 0) {
		*r = -EINVAL;
		return NULL;
	}
	align = align_of(type);
	gap = gap_of(type);
	*r = -ENOMEM;
	/* a use of the library: registers, and settles the allocator */
	if (size > SIZE_MAX_BYTES || !own_i_self())
		return NULL;
	block = own_i_alloc(gap + size, align);
	if (!block)
		return NULL;
	memset(block + gap, 0, size);
	header = own_i_header(block + gap);
	header->word = 0;
	header->type = (uint64_t)(uintptr_t)type;
	if (type->flags & OWN_SIZED)
		*size_at(header) = size;
	*r = 0;
	return block + gap;
}

size_t
own__size(const void *object)
{
	return object ? size_of(own_i_header(object)) : 0;
}

size_t
own_i_object_bytes(const struct own__header *header)
{
	return gap_of(own_i_type(header)) + size_of(header);
}

void
own_i_object_end(void *payload)
{
	struct own__header *header = own_i_header(payload);
	const struct own_type *type = own_i_type(header);

	own_i_tsan_unique(payload);
	if (type->fini)
		type->fini(payload, size_of(header));
	own_i_object_discard(payload);
}

void
own_i_object_discard(void *payload)
{
	struct own__header *header = own_i_header(payload);
	const struct own_type *type = own_i_type(header);
	size_t size = size_of(header), gap = gap_of(type);

#ifdef OWN_CHECKED
	memset(payload, 0xdb, size);
#endif
	own_i_free((char *)payload - gap, gap + size);
}
