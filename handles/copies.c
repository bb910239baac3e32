/* SPDX-License-Identifier: MIT */
/*
 * copies.c - two copies of the library in one process; doc/design/faults.md
 *
 * Each copy carries an ELF note that leads to its state, a word of its own
 * that is not 0 once the copy is in use. A copy that comes into use says so
 * and then looks at the notes of all objects that are loaded. So copies find
 * each other whose symbols are hidden, and of other versions. The note's type
 * is the version of what its descriptor says:
 *
 *	1	int64_t, from its own place to the state, a uint32_t
 *
 * A later version may add to the descriptor, which is why a longer one is read
 * as well, and any state but 0 is in use.
 *
 * Pairs
 *   O1  own_i_copies_enter (or of the state, walk) with itself in the other
 *       copy: of two that come into use at once, at least one sees the other.
 *       Both accesses are seq_cst, and an object is among those walked before
 *       any code of it runs.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "handles/report-internal.h"

#ifdef OWN_MODEL

void
own_i_copies_enter(void)
{
}

#else

#include <link.h>
#include <string.h>
#include <unistd.h>

#define IN_USE	1u			/* in use, or about to be */
#define ALONE	2u			/* private: no other was in use */

/* Used, and not static: the note below names it. */
__attribute__((used, visibility("hidden"))) uint32_t own_i_copy_state;

/*
 * In assembly, since no initialiser in C is the difference of two addresses,
 * and only that needs no relocation when the object is loaded.
 */
__asm__("	.pushsection .note.libown,\"a\",%note\n"
	"	.balign 4\n"
	"	.4byte 7, 8, 1\n"
	"	.asciz \"libown\"\n"
	"	.balign 4\n"
	"	.8byte own_i_copy_state - .\n"
	"	.popsection\n");

struct note {
	uint32_t name_bytes, bytes, version;
	char name[8];
	unsigned char from_here[8];
};

struct walk {
	struct text text;
	char buffer[2048];
	const char *self;		/* the name of this copy's object */
	int others;
};

static void
put_object(struct text *t, const char *name)
{
	char path[512];
	ssize_t n;

	if (name && *name) {
		put(t, name);
		return;
	}
	/* an executable has no name in the list of objects */
	put(t, "the program");
	n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (n > 0) {
		path[n] = '\0';
		put(t, " ");
		put(t, path);
	}
}

static void
look_at(const struct note *note, const char *object, struct walk *walk)
{
	uint32_t *state;
	int64_t offset;

	memcpy(&offset, note->from_here, sizeof(offset));
	state = (uint32_t *)((uintptr_t)note->from_here + (uintptr_t)offset);
	if (state == &own_i_copy_state) {
		walk->self = object;
		return;
	}
	/* O1: seq_cst, pairs with own_i_copies_enter() of that copy */
	if (own__load(state, OWN__SEQ_CST) == 0)
		return;
	/* the name is gone when its object is */
	if (walk->others++ == 0)
		put_object(&walk->text, object);
}

/* Whether a range of an object is loaded, for reading. */
static int
is_loaded(const struct dl_phdr_info *info, const Elf64_Phdr *of)
{
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const Elf64_Phdr *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD && (p->p_flags & PF_R) &&
				of->p_vaddr >= p->p_vaddr &&
				of->p_filesz <= p->p_filesz &&
				of->p_vaddr - p->p_vaddr <=
				p->p_filesz - of->p_filesz)
			return 1;
	}
	return 0;
}

/*
 * Notes are looked for at each place, and not walked from one to the next:
 * where linkers join notes of two alignments it is not known how each is
 * padded.
 */
static int
walk_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	static const char name[] = "libown";

	(void)size;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const Elf64_Phdr *p = &info->dlpi_phdr[i];
		const char *notes = (const char *)(uintptr_t)(info->dlpi_addr +
				p->p_vaddr);
		struct note note;

		if (p->p_type != PT_NOTE || !is_loaded(info, p))
			continue;
		for (size_t at = 0; at + sizeof(note) <= p->p_filesz; at += 4) {
			memcpy(&note, notes + at, sizeof(note));
			if (note.name_bytes == sizeof(name) &&
					note.bytes >= sizeof(note.from_here) &&
					note.version == 1 &&
					memcmp(note.name, name,
						sizeof(name)) == 0)
				look_at((const struct note *)(notes + at),
						info->dlpi_name, arg);
		}
	}
	return 0;
}

/*
 * Before a thread uses the library: stops the process if another copy is in
 * use. Takes no lock of the library, since the walk takes one of the C
 * library's, under which callbacks of the program may use libown.
 */
void
own_i_copies_enter(void)
{
	struct walk walk;
	struct text *t = &walk.text;

	/* acquire: pairs with the release below */
	if (own__load(&own_i_copy_state, OWN__ACQUIRE) & ALONE)
		return;
	/* O1: seq_cst, then the walk */
	(void)own__or(&own_i_copy_state, IN_USE, OWN__SEQ_CST);
	walk.self = NULL;
	walk.others = 0;
	*t = (struct text) { .at = walk.buffer, .room = sizeof(walk.buffer) };
	put(t, "libown: two copies of the library are in use in this process, "
			"and neither knows the handles of the other: one in ");
	(void)dl_iterate_phdr(walk_object, &walk);
	if (!walk.others) {
		(void)own__or(&own_i_copy_state, ALONE, OWN__RELEASE);
		return;
	}
	put(t, ", one in ");
	put_object(t, walk.self);
	put(t, "; link all of them to one shared library");
	own_i_fault_text(t);
}

#endif
