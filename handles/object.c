/* SPDX-License-Identifier: MIT */
/*
 * object.c - payloads and the 16 bytes before them
 *
 *   [allocator, only if it has one of its own: 16 bytes]
 *   [size, only if OWN_SIZED: 16] [prefix, only of a map's entry: 16]
 *   [header: 16] [payload] [key, only of a map's entry with byte keys]
 *
 * The payload is aligned as its type asks; the header stands directly before
 * it, at the end of a gap that is a multiple of that alignment.
 */
#include <string.h>

#include "handles/internal.h"

#define ALIGN_MAX	4096u
#define SIZE_MAX_BYTES	((size_t)1 << 46)

int
own_i_type_differs(const struct own_type *a, const struct own_type *b)
{
	return a != b && (a->size != b->size || a->align != b->align ||
			a->copy != b->copy || a->fini != b->fini ||
			a->flags != b->flags || !a->name || !b->name ||
			strcmp(a->name, b->name) != 0);
}

static size_t
align_of(const struct own_type *type)
{
	return type->align > 16 ? type->align : 16;
}

/* Bytes before the payload. */
static size_t
gap_of(const struct own_type *type, uint64_t flags)
{
	size_t align = align_of(type), need = 16;

	if (type->flags & OWN_SIZED)
		need += 16;
	if (flags & OWN_I_ENTRY)
		need += 16;
	if (flags & OWN_I_ALLOC)
		need += 16;
	return (need + align - 1) & ~(align - 1);
}

static size_t *
size_at(const struct own__header *header)
{
	return (size_t *)((uintptr_t)header - 16 -
			(own_i_object_flags(header) & OWN_I_ENTRY ? 16 : 0));
}

static size_t
size_of(const struct own__header *header)
{
	const struct own_type *type = own_i_type(header);

	return type->flags & OWN_SIZED ? *size_at(header) : type->size;
}

static const struct own_alloc **
alloc_at(const struct own__header *header)
{
	uintptr_t at = (uintptr_t)header - 16;

	if (own_i_type(header)->flags & OWN_SIZED)
		at -= 16;
	if (own_i_object_flags(header) & OWN_I_ENTRY)
		at -= 16;
	return (const struct own_alloc **)at;
}

const struct own_alloc *
own_i_object_alloc(const struct own__header *header)
{
	return own_i_object_flags(header) & OWN_I_ALLOC ? *alloc_at(header)
		: NULL;
}

/* Bytes of the key behind the payload. */
static size_t
key_of(const struct own__header *header)
{
	return (own_i_object_flags(header) & (OWN_I_ENTRY | OWN_I_NUMBER)) ==
		OWN_I_ENTRY ? own_i_prefix(header)->key : 0;
}

/* What a header can name: its address has room for flags on both sides. */
static int
is_type(const struct own_type *type)
{
	return type && !(type->align & (type->align - 1)) &&
		type->align <= ALIGN_MAX && (uintptr_t)type >> 48 == 0 &&
		((uintptr_t)type & 15) == 0;
}

static struct own__header *
object_new(const struct own_alloc *alloc, const struct own_type *type,
		size_t size, uint64_t flags, size_t key_size, int *r)
{
	size_t align, gap;
	char *block;
	struct own__header *header;

	*r = -EINVAL;
	if (!is_type(type) || (alloc && (!alloc->alloc || !alloc->free)))
		return NULL;
	if (alloc)
		flags |= OWN_I_ALLOC;
	align = align_of(type);
	gap = gap_of(type, flags);
	*r = -ENOMEM;
	/* a use of the library: registers, and settles the allocator */
	if (size > SIZE_MAX_BYTES || !own_i_self())
		return NULL;
	block = alloc ? alloc->alloc(gap + size + key_size, align,
			alloc->context)
		: own_i_alloc(gap + size + key_size, align);
	if (!block)
		return NULL;
	memset(block + gap, 0, size);
	header = own_i_header(block + gap);
	header->word = 0;
	header->type = (uint64_t)(uintptr_t)type | flags;
	if (type->flags & OWN_SIZED)
		*size_at(header) = size;
	if (alloc)
		*alloc_at(header) = alloc;
	*r = 0;
	return header;
}

void *
own__new_from(const struct own_alloc *alloc, const struct own_type *type,
		size_t size, int *r)
{
	struct own__header *header = object_new(alloc, type, size, 0, 0, r);

	return header ? own_i_payload(header) : NULL;
}

void *
own_i_object_like(const void *payload, int *r)
{
	const struct own__header *header = own_i_header(payload);

	return own__new_from(own_i_object_alloc(header), own_i_type(header),
			size_of(header), r);
}

void *
own_i_entry_new(const struct own_alloc *alloc, const struct own_type *type,
		size_t size, struct own_bytes key, int *r)
{
	int number = key.size == OWN__KEY_U64;
	struct own__header *header = object_new(alloc, type, size,
			OWN_I_ENTRY | (number ? OWN_I_NUMBER : 0),
			number ? 0 : key.size, r);

	if (!header)
		return NULL;
	own_i_prefix(header)->gate = NULL;
	if (number) {
		own_i_prefix(header)->key = (uint64_t)(uintptr_t)key.data;
	} else {
		own_i_prefix(header)->key = key.size;
		if (key.size)
			memcpy((char *)own_i_payload(header) + size, key.data,
					key.size);
	}
	return own_i_payload(header);
}

struct own_bytes
own_i_entry_key(const struct own__header *header)
{
	uint64_t flags = own_i_object_flags(header);

	if (!(flags & OWN_I_ENTRY))
		return own_bytes(NULL, 0);
	if (flags & OWN_I_NUMBER)
		return own__u64(own_i_prefix(header)->key);
	return own_bytes((const char *)(header + 1) + size_of(header),
			own_i_prefix(header)->key);
}

size_t
own__size(const void *object)
{
	return object ? size_of(own_i_header(object)) : 0;
}

size_t
own_i_object_bytes(const struct own__header *header)
{
	const struct own_type *type = own_i_type(header);
	size_t bytes = gap_of(type, own_i_object_flags(header)) +
		size_of(header) + key_of(header);

	if (type->flags & OWN_I_OUTSIDE)
		bytes += *(const size_t *)(header + 1);
	return bytes;
}

void
own_i_object_free(void *payload)
{
	struct own__header *header = own_i_header(payload);
	const struct own_type *type = own_i_type(header);

	own_i_tsan_unique(payload);
	if (type->fini && !(own_i_object_flags(header) & OWN_I_HUSK))
		type->fini(payload, size_of(header));
	own_i_object_discard(payload);
}

void
own_i_object_end(void *payload)
{
	struct own__header *header = own_i_header(payload);
	struct own_i_record *self;

	/* relaxed: the caller owns it; who took it out of a map set this */
	if (!(own__load(&header->word, OWN__RELAXED) & OWN__DEAD)) {
		own_i_object_free(payload);
		return;
	}
	self = own_i_self();
	/* without a record, by want of memory: not worth waiting for */
	if (self)
		own_i_retire(self, payload);
	else if (own_i_type(header)->fini)
		own_i_type(header)->fini(payload, size_of(header));
}

void
own_i_object_discard(void *payload)
{
	struct own__header *header = own_i_header(payload);
	const struct own_alloc *alloc = own_i_object_alloc(header);
	const struct own_type *type = own_i_type(header);
	size_t size = size_of(header), key_size = key_of(header);
	size_t gap = gap_of(type, own_i_object_flags(header));
	char *block = (char *)payload - gap;

#ifdef OWN_CHECKED
	memset(payload, 0xdb, size);
#endif
	if (alloc)
		alloc->free(block, gap + size + key_size, alloc->context);
	else
		own_i_free(block, gap + size + key_size);
}

int
own_i_object_copy(void *to, void *from)
{
	struct own__header *header = own_i_header(from);
	const struct own_type *type = own_i_type(header);
	size_t size = size_of(header);
	int r;

	own_i_tsan_unique(from);
	if (!type->copy) {
		memcpy(to, from, size);
		return 0;
	}
	r = type->copy(to, from, size);
	if (r) {
		/* what copy made it has undone: no fini */
		memset(to, 0, size);
		own_i_object_discard(to);
	}
	return r;
}
