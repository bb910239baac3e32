/* SPDX-License-Identifier: MIT */
/*
 * mkdata.c - a data set for kvd from Debian control records
 *
 *   apt-cache dumpavail | mkdata --set A >a.kvd
 *
 * Reads records that blank lines separate, and writes each under its package's
 * name, with a last line "Set: A" by which two data sets can be told apart. Of
 * records of one name, other versions or architectures, the first stays.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data.h"

struct package {
	const char *key, *value;
	size_t key_size, value_size;
};

static void
die(const char *what)
{
	fprintf(stderr, "mkdata: %s\n", what);
	exit(1);
}

static char *
read_stdin(size_t *ret_size)
{
	size_t size = 0, max = (size_t)1 << 20;
	char *text = malloc(max), *grown;

	while (text) {
		size += fread(text + size, 1, max - size, stdin);
		if (size < max)
			break;
		max *= 2;
		grown = realloc(text, max);
		if (!grown)
			die("no memory");
		text = grown;
	}
	if (!text || ferror(stdin))
		die("cannot read standard input");
	*ret_size = size;
	return text;
}

/* By key; of one key, in the order of the input, which is one array. */
static int
compare(const void *a, const void *b)
{
	const struct package *p = a, *q = b;
	size_t common = p->key_size < q->key_size ? p->key_size : q->key_size;
	int order = memcmp(p->key, q->key, common);

	if (order)
		return order;
	if (p->key_size != q->key_size)
		return p->key_size < q->key_size ? -1 : 1;
	return p->value < q->value ? -1 : p->value > q->value;
}

static int
same_key(const struct package *p, const struct package *q)
{
	return p->key_size == q->key_size &&
		!memcmp(p->key, q->key, p->key_size);
}

/* The name of the package that a record is about: 0 if it has none. */
static int
find_key(struct package *r)
{
	static const char field[] = "Package: ";
	const char *line = r->value, *end = r->value + r->value_size, *lf;

	for (; line < end; line = lf + 1) {
		lf = memchr(line, '\n', (size_t)(end - line));
		if (!lf)
			lf = end;
		if ((size_t)(lf - line) < sizeof(field) ||
		    memcmp(line, field, sizeof(field) - 1) != 0)
			continue;
		r->key = line + sizeof(field) - 1;
		r->key_size = (size_t)(lf - r->key);
		return r->key_size <= KVD_KEY_MAX;
	}
	return 0;
}

/* Splits at blank lines. */
static struct package *
split(const char *text, size_t size, size_t *ret_n)
{
	const char *at = text, *end = text + size;
	struct package *records = NULL, *grown;
	size_t n = 0, max = 0;

	while (at < end) {
		const char *stop = at;

		while (stop < end && !(*stop == '\n' &&
				(stop + 1 == end || stop[1] == '\n')))
			stop++;
		if (n == max) {
			max = max ? max * 2 : 4096;
			grown = realloc(records, max * sizeof(*records));
			if (!grown)
				die("no memory");
			records = grown;
		}
		records[n].value = at;
		records[n].value_size = (size_t)(stop - at);
		n += (size_t)find_key(&records[n]);
		for (at = stop; at < end && *at == '\n'; at++)
			;
	}
	*ret_n = n;
	return records;
}

int
main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "set", required_argument, NULL, 's' },
		{ 0 },
	};
	const char *set = NULL;
	struct package *records;
	char *text;
	size_t size, n, kept = 0, tail;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c != 's')
			return 2;
		set = optarg;
	}
	if (!set || optind < argc) {
		fprintf(stderr, "usage: mkdata --set NAME <records >file\n");
		return 2;
	}
	text = read_stdin(&size);
	records = split(text, size, &n);
	if (!n)
		die("no records with a \"Package:\" line");
	qsort(records, n, sizeof(*records), compare);
	for (size_t i = 0; i < n; i++)
		if (!kept || !same_key(&records[kept - 1], &records[i]))
			records[kept++] = records[i];
	tail = strlen("\nSet: ") + strlen(set);
	printf("kvd-data 1 %zu\n", kept);
	for (size_t i = 0; i < kept; i++) {
		const struct package *r = &records[i];

		if (r->value_size + tail > KVD_VALUE_MAX)
			die("a record is too large");
		printf("%zu %zu\n", r->key_size, r->value_size + tail);
		fwrite(r->key, 1, r->key_size, stdout);
		fwrite(r->value, 1, r->value_size, stdout);
		printf("\nSet: %s\n", set);
	}
	free(records);
	free(text);
	if (fflush(stdout) || ferror(stdout))
		die("cannot write standard output");
	return 0;
}
