/* SPDX-License-Identifier: MIT */
/* data.c - contract in data.h */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data.h"

/* What is being read, and where its complaints go. */
struct loader {
	const char *name;
	const char *at, *end;
	const char *arena;
	char *why;
	size_t why_size;
};

__attribute__((format(printf, 3, 4))) static int
fail(struct loader *l, int r, const char *format, ...)
{
	int n = snprintf(l->why, l->why_size, "%s: ", l->name);
	va_list args;

	if (n < 0 || (size_t)n >= l->why_size)
		return r;
	va_start(args, format);
	vsnprintf(l->why + n, l->why_size - (size_t)n, format, args);
	va_end(args);
	return r;
}

static uint64_t
prefix_of(const char *key, size_t key_size)
{
	unsigned char bytes[8] = { 0 };
	uint64_t prefix = 0;

	memcpy(bytes, key, key_size < 8 ? key_size : 8);
	for (int i = 0; i < 8; i++)
		prefix = prefix << 8 | bytes[i];
	return prefix;
}

/* Keys of zero bytes share a prefix with shorter ones: sizes decide then. */
static int
compare(uint64_t prefix, const char *key, size_t key_size,
		const struct record *e)
{
	size_t common = key_size < e->key_size ? key_size : e->key_size;
	int order;

	if (prefix != e->prefix)
		return prefix < e->prefix ? -1 : 1;
	order = memcmp(key, e->key, common);
	if (order)
		return order;
	return key_size < e->key_size ? -1 : key_size > e->key_size;
}

static int
compare_records(const void *a, const void *b)
{
	const struct record *e = a;

	return compare(e->prefix, e->key, e->key_size, b);
}

/* A decimal number up to @max that ends with @stop, both consumed; else -1. */
static int64_t
number(struct loader *l, int64_t max, char stop)
{
	const char *start = l->at;
	int64_t n = 0;

	for (; l->at < l->end && *l->at >= '0' && *l->at <= '9'; l->at++) {
		n = n * 10 + (*l->at - '0');
		if (n > max)
			return -1;
	}
	if (l->at == start || l->at == l->end || *l->at != stop)
		return -1;
	l->at++;
	return n;
}

static int
read_record(struct loader *l, uint32_t i, struct record *ret)
{
	size_t where = (size_t)(l->at - l->arena);
	int64_t key_size = number(l, KVD_KEY_MAX, ' ');
	int64_t value_size = key_size < 1 ? -1 : number(l, KVD_VALUE_MAX, '\n');

	if (value_size < 0)
		return fail(l, -EINVAL, "record %u, byte %zu: no sizes of a key"
				" (1 to %u) and a value (to %u)", i + 1, where,
				KVD_KEY_MAX, KVD_VALUE_MAX);
	if (l->end - l->at < key_size + value_size + 1)
		return fail(l, -EINVAL, "record %u, byte %zu: cut short", i + 1,
				where);
	ret->prefix = prefix_of(l->at, (size_t)key_size);
	ret->key = l->at;
	ret->key_size = (uint32_t)key_size;
	ret->value_size = (uint32_t)value_size;
	l->at += key_size + value_size;
	if (*l->at++ != '\n')
		return fail(l, -EINVAL, "record %u, byte %zu: does not end"
				" where its sizes say", i + 1, where);
	return 0;
}

static int
read_records(struct loader *l, struct data *t)
{
	static const char magic[] = "kvd-data 1 ";
	/* the smallest record is "1 0\nk\n" */
	int64_t n, records_max = (l->end - l->at) / 6;
	int r, sorted = 1;

	if ((size_t)(l->end - l->at) < sizeof(magic) - 1 ||
	    memcmp(l->at, magic, sizeof(magic) - 1) != 0)
		return fail(l, -EINVAL, "does not start with \"%s\"", magic);
	l->at += sizeof(magic) - 1;
	n = number(l, records_max < UINT32_MAX ? records_max : UINT32_MAX,
			'\n');
	if (n < 0)
		return fail(l, -EINVAL, "no number of records, or more than"
				" fit into the file");
	t->record = malloc(n ? (size_t)n * sizeof(*t->record) : 1);
	if (!t->record)
		return fail(l, -ENOMEM, "no memory for %lld records",
				(long long)n);
	t->records_n = (uint32_t)n;
	for (uint32_t i = 0; i < t->records_n; i++) {
		r = read_record(l, i, &t->record[i]);
		if (r)
			return r;
		if (i && compare_records(&t->record[i - 1], &t->record[i]) >= 0)
			sorted = 0;
	}
	if (l->at != l->end)
		return fail(l, -EINVAL, "byte %zu: more than the %u records"
				" it announces", (size_t)(l->at - l->arena),
				t->records_n);
	if (sorted)
		return 0;
	qsort(t->record, t->records_n, sizeof(*t->record), compare_records);
	for (uint32_t i = 1; i < t->records_n; i++)
		if (compare_records(&t->record[i - 1], &t->record[i]) == 0)
			return fail(l, -EINVAL, "key \"%.*s\" comes twice",
					(int)t->record[i].key_size,
					t->record[i].key);
	return 0;
}

/* Huge pages where there are any: most of a load's time is page faults. */
static char *
arena_alloc(size_t size)
{
	size_t huge = (size_t)2 << 20, whole = (size + huge - 1) & ~(huge - 1);
	char *arena;

	if (size < huge)
		return malloc(size);
	arena = aligned_alloc(huge, whole);
	if (arena)
		madvise(arena, whole, MADV_HUGEPAGE);
	return arena;
}

static int
read_all(struct loader *l, int fd, struct data *t)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) != 0)
		return fail(l, -errno, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail(l, -EINVAL, "not a regular file");
	if (st.st_size == 0)
		return fail(l, -EINVAL, "empty");
	if ((uint64_t)st.st_size > KVD_FILE_MAX)
		return fail(l, -EFBIG, "larger than %zu bytes", KVD_FILE_MAX);
	t->arena = arena_alloc((size_t)st.st_size);
	if (!t->arena)
		return fail(l, -ENOMEM, "no memory for its %lld bytes",
				(long long)st.st_size);
	while (t->arena_size < (size_t)st.st_size) {
		n = read(fd, t->arena + t->arena_size,
				(size_t)st.st_size - t->arena_size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(l, -errno, "%s", strerror(errno));
		if (n == 0)
			return fail(l, -EINVAL, "shrank while it was read");
		t->arena_size += (size_t)n;
	}
	return 0;
}

int
data_load(const char *dir, const char *name, struct data *ret, char *why,
		size_t why_size)
{
	struct loader l = { .name = name, .why = why, .why_size = why_size };
	struct data t = { 0 };
	char path[PATH_MAX];
	int fd, r;

	if (strlen(name) > KVD_NAME_MAX || snprintf(path, sizeof(path),
			"%s/%s", dir, name) >= (int)sizeof(path))
		return fail(&l, -ENAMETOOLONG, "name too long");
	strcpy(t.name, name);
	/* non-blocking, so that a FIFO is refused instead of waited for */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return fail(&l, -errno, "%s", strerror(errno));
	r = read_all(&l, fd, &t);
	close(fd);
	if (!r) {
		l.arena = l.at = t.arena;
		l.end = t.arena + t.arena_size;
		r = read_records(&l, &t);
	}
	if (r) {
		data_fini(&t);
		return r;
	}
	*ret = t;
	return 0;
}

void
data_fini(struct data *data)
{
	free(data->record);
	free(data->arena);
	memset(data, 0, sizeof(*data));
}
