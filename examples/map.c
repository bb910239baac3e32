/* SPDX-License-Identifier: MIT */
/*
 * map.c - words counted by two threads in one map
 *
 * own_map_claim_or_new() is the whole of the counter: the entry of a word is
 * claimed, or made, and belongs to this thread until it is committed. Prints
 * the words that came more than once, from one instant: nobody changes the map
 * while it is held as a whole. Exits 0 if no word was lost.
 */
#include <own/own.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct count {
	unsigned n;
};

OWN_TYPE(count, struct count);

static const char *const texts[] = {
	"a handle is lent and a handle comes back",
	"who holds a handle may read and who holds the one handle may write",
};

static struct own_map *words;

static int
count_word(const char *word, size_t length)
{
	struct own_unique entry = { 0 };
	int is_new, r;

	r = own_map_claim_or_new(words, own_bytes(word, length), &entry,
			&is_new);
	if (r)
		return r;
	count_edit(&entry)->n++;
	own_unique_commit(&entry);
	return 0;
}

/* Returns the text if all its words were counted, else NULL. */
static void *
count_words(void *text)
{
	const char *word = text;

	while (*word) {
		size_t length = strcspn(word, " ");

		if (count_word(word, length))
			return NULL;
		word += length;
		word += strspn(word, " ");
	}
	return text;
}

OWN_UNTRACKED("a handle that is lent to a callback") static int
print_word(const struct own_shared *entry, void *arg)
{
	struct own_bytes word = own_map_key(entry);
	unsigned n = count_get(entry)->n;

	*(unsigned *)arg += n;
	if (n > 1)
		printf("%-8.*s %u\n", (int)word.size, (const char *)word.data,
				n);
	return 0;
}

/* Adds up the words of the map; 0 or a negative errno. */
static int
print_all(unsigned *ret_words)
{
	struct own_shared all = { 0 };
	uint64_t cursor = 0;
	int r = own_map_share_all(words, &all);

	if (r)
		return r;
	printf("%u different words\n", (unsigned)own_map_count(words));
	do
		r = own_map_scan(words, &cursor, 100, print_word, ret_words);
	while (!r && cursor);
	own_shared_release(&all);
	return r;
}

int
main(void)
{
	struct own_map_options options = {
		.size = sizeof(options), .type = &count_type,
		.name = "words", .policy = OWN_EXCLUSIVE,
	};
	unsigned printed = 0, expected = 0;
	pthread_t threads[2];
	int failed = 0;

	if (own_map_create(&options, &words))
		return 1;
	for (unsigned i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, count_words,
				(void *)(uintptr_t)texts[i]))
			return 1;
	for (unsigned i = 0; i < 2; i++) {
		void *counted;

		failed |= pthread_join(threads[i], &counted) || !counted;
		expected++;
		for (const char *c = texts[i]; *c; c++)
			expected += *c == ' ';
	}
	if (print_all(&printed))
		return 1;
	own_map_destroy(words);
	return failed || printed != expected;
}
