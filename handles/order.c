/* SPDX-License-Identifier: MIT */
/*
 * order.c - in which order locks are taken, told before anything hangs
 *
 * The checked build alone; the argument is in doc/design/deadlock.md. A class
 * is what a user calls a lock: a type and the name of its cell or map; of a
 * map there are two, its entries and its whole. An edge says that one was asked
 * for, in a way that can wait, while another was held. A cycle of edges, each
 * of which may wait for the next one, is told once.
 *
 * Invariants
 *   O1  Classes and edges are added under the lock, and never change or go but
 *       for asked, guard and told. Their number is published afterwards, so
 *       that what is known already is found without the lock.
 *   O2  Modes are those of a gate. A word has two of them: S for shared, X for
 *       unique.
 */
#include "handles/internal.h"

#if OWN_I_ORDER
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CLASSES_MAX	256u
#define EDGES_MAX	1024u
#define GUARDS_MAX	2u
#define NONE		UINT32_MAX
#define ANY_MODE	(OWN_I_IS | OWN_I_IX | OWN_I_S | OWN_I_X)

enum kind { CELL, ENTRIES, WHOLE };

struct class {
	const struct own_type *type;
	const char *name;
	enum kind kind;
	uint32_t asked;		/* shared: S, X that somebody waited with */
};

struct edge {
	uint32_t from, to;	/* classes */
	uintptr_t held;		/* mode */
	uintptr_t waits;	/* for these modes to go */
	const struct own_site *held_at, *asked_at;
	int32_t tid;
	uint32_t told;
	uintptr_t guard[GUARDS_MAX];	/* shared: see guards_keep() */
};

/* One side of an edge, as it is. */
struct side {
	uint32_t class;
	uintptr_t modes;	/* held, or waited for */
	const struct own_site *site;
	uintptr_t word;
};

static struct class classes[CLASSES_MAX];
static struct edge edges[EDGES_MAX];
static uint32_t classes_n, edges_n;	/* shared: added to, release */
static uint32_t order_lock;
static uint32_t full_told;		/* the rest is under the lock */
static uint32_t queue[EDGES_MAX], before[EDGES_MAX], seen[EDGES_MAX], run;

/* ---- classes ---- */

static int
is_class(const struct class *c, const struct own_type *type, const char *name,
		enum kind kind)
{
	if (c->kind != kind || !c->name != !name)
		return 0;
	return (c->name == name || strcmp(c->name, name) == 0) &&
		!own_i_type_differs(c->type, type);
}

static uint32_t
class_find(const struct own_type *type, const char *name, enum kind kind)
{
	/* acquire: pairs with class_of() */
	uint32_t n = own__load(&classes_n, OWN__ACQUIRE);

	for (uint32_t i = 0; i < n; i++)
		if (is_class(&classes[i], type, name, kind))
			return i;
	return NONE;
}

static void
tell_full(void)
{
	/* relaxed: once, whoever comes first */
	if (own__xchg(&full_told, 1, OWN__RELAXED) == 0)
		own_i_stall("libown: the table of lock orders is full: from "
				"here on only orders known already are "
				"looked at\n");
}

static uint32_t
class_of(const struct own_type *type, const char *name, enum kind kind)
{
	uint32_t i = class_find(type, name, kind);

	if (i != NONE)
		return i;
	own_i_lock(&order_lock);
	i = class_find(type, name, kind);
	if (i == NONE && classes_n < CLASSES_MAX) {
		i = classes_n;
		classes[i] = (struct class) { type, name, kind, 0 };
		/* release: pairs with class_find() */
		own__store(&classes_n, i + 1, OWN__RELEASE);
	}
	own_i_unlock(&order_lock);
	if (i == NONE)
		tell_full();
	return i;
}

static int
same_name(const struct class *a, const struct class *b)
{
	return a == b || is_class(a, b->type, b->name, a->kind);
}

/* A map's entries and its whole are one to their user. */
static int
same_map(uint32_t a, uint32_t b)
{
	return a == b || (classes[a].kind != CELL && classes[b].kind != CELL &&
		same_name(&classes[a], &classes[b]));
}

/* The class of what a slot's container and word name; NONE: nobody waits. */
static uint32_t
class_at(uintptr_t container, const uint64_t *word)
{
	const struct own_i_whole *whole;
	const struct own_cell *cell;

	if (container & OWN_I_MAP) {
		whole = (const struct own_i_whole *)OWN_I_GATE(container);
		return class_of(whole->type, whole->name,
				word == &whole->gate ? WHOLE : ENTRIES);
	}
	cell = (const struct own_cell *)container;
	if (!cell || cell->state != OWN__CELL_LIVE)
		return NONE;
	return class_of(cell->type, cell->name, CELL);
}

static int
is_versioned(uintptr_t container)
{
	if (container & OWN_I_MAP)
		return own_i_map_versioned(OWN_I_GATE(container));
	return container && ((const struct own_cell *)container)->policy ==
		OWN_VERSIONED;
}

/* ---- who waits for whom ---- */

/* The modes that must go before one is granted; of a word as of a gate. */
static uintptr_t
waits_of(uintptr_t mode)
{
	return mode & OWN_I_X ? ANY_MODE : mode & OWN_I_S ?
		OWN_I_IX | OWN_I_X : mode & OWN_I_IX ? OWN_I_S | OWN_I_X :
		OWN_I_X;
}

/*
 * Whether who waits for some modes may wait for one that is held: for itself,
 * or for somebody who came between, asked for S or X, and waits for it. So
 * what is only ever shared is no reason to wait.
 */
static int
may_wait(uint32_t class, uintptr_t waits, uintptr_t held)
{
	/* relaxed: once set it stays, and who sets it looks for cycles */
	uint32_t asked = own__load(&classes[class].asked, OWN__RELAXED);

	if (waits & held)
		return 1;
	return ((asked & waits & OWN_I_X) && (waits_of(OWN_I_X) & held)) ||
		((asked & waits & OWN_I_S) && (waits_of(OWN_I_S) & held));
}

/*
 * Cycles that one lock keeps from ever standing are none: what all the threads
 * of the cycle hold uniquely. An edge keeps those objects that were held so
 * each time it was seen.
 */
static int
guarded(uint32_t last)
{
	for (unsigned i = 0; i < GUARDS_MAX; i++) {
		uintptr_t guard = edges[last].guard[i];
		uint32_t e = last;
		int all = guard != 0;

		while (all && before[e] != NONE) {
			e = before[e];
			all = edges[e].guard[0] == guard ||
				edges[e].guard[1] == guard;
		}
		if (all)
			return 1;
	}
	return 0;
}

/* All orders of the cycle that ends with this edge have been told. */
static int
known(uint32_t last)
{
	for (uint32_t e = last; e != NONE; e = before[e]) {
		uint32_t i = 0;

		while (i < edges_n && !(edges[i].told &&
				same_map(edges[i].from, edges[e].from) &&
				same_map(edges[i].to, edges[e].to)))
			i++;
		if (i == edges_n)
			return 0;
	}
	return 1;
}

/* Breadth first from an edge to one that leads back to it; NONE, or that. */
static uint32_t
cycle_from(uint32_t first)
{
	uint32_t head = 0, tail = 0;

	run++;
	before[first] = NONE;
	seen[first] = run;
	queue[tail++] = first;
	while (head < tail) {
		uint32_t at = queue[head++], to = edges[at].to;

		if (to == edges[first].from && may_wait(to, edges[at].waits,
				edges[first].held) && !guarded(at) &&
				!known(at))
			return at;
		for (uint32_t i = 0; i < edges_n; i++)
			if (seen[i] != run && edges[i].from == to && may_wait(
					to, edges[at].waits, edges[i].held)) {
				seen[i] = run;
				before[i] = at;
				queue[tail++] = i;
			}
	}
	return NONE;
}

/* ---- the report ---- */

struct text {
	char at[2048];
	size_t length;
};

static void __attribute__((format(printf, 2, 3)))
put(struct text *t, const char *format, ...)
{
	size_t room = sizeof(t->at) - t->length;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->at + t->length, room, format, args);
	va_end(args);
	if (n > 0)
		t->length += (size_t)n < room ? (size_t)n : room - 1;
}

static void
put_class(struct text *t, uint32_t i, const struct own_site *site)
{
	const struct class *c = &classes[i];

	put(t, "%s%s", c->kind == WHOLE ? "the whole map" : c->type->name,
			c->kind == ENTRIES ? " (an entry)" : "");
	if (c->name)
		put(t, c->kind == WHOLE ? " %s" : " in %s", c->name);
	if (site)
		put(t, " at %s:%u", site->file, (unsigned)site->line);
}

static void
put_edge(struct text *t, uint32_t i)
{
	const struct edge *e = &edges[i];

	put(t, "thread %d held ", e->tid);
	put_class(t, e->from, e->held_at);
	put(t, " and asked for ");
	put_class(t, e->to, e->asked_at);
}

/* The cycle's edges, first to last: before[] leads backwards. */
static void
report(struct text *t, uint32_t last)
{
	uint32_t first = last, at, next = NONE, e;

	for (e = last; e != NONE; e = before[e])
		first = e;
	put(t, "libown: locks are taken in orders that can deadlock: ");
	for (at = first; at != NONE; at = next) {
		put(t, at == first ? "" : "; ");
		put_edge(t, at);
		edges[at].told = 1;
		next = NONE;
		for (e = last; e != at; e = before[e])
			next = e;
	}
	put(t, "\n");
	/* what was cut off ends as a line does */
	t->at[t->length - 1] = '\n';
}

/* ---- edges ---- */

static int
is_edge(const struct edge *e, const struct side *from, const struct side *to)
{
	return e->from == from->class && e->to == to->class &&
		e->held == from->modes && e->waits == to->modes;
}

static uint32_t
edge_find(const struct side *from, const struct side *to)
{
	/* acquire: pairs with edge_add() */
	uint32_t n = own__load(&edges_n, OWN__ACQUIRE);

	for (uint32_t i = 0; i < n; i++)
		if (is_edge(&edges[i], from, to))
			return i;
	return NONE;
}

/* Only those guards that are held this time as well; 1: there were more. */
static int
guards_keep(struct edge *e, const uintptr_t *guards)
{
	int less = 0;

	for (unsigned i = 0; i < GUARDS_MAX; i++)
		if (e->guard[i] && e->guard[i] != guards[0] &&
				e->guard[i] != guards[1]) {
			/* relaxed: a look without the lock is a hint */
			own__store(&e->guard[i], (uintptr_t)0, OWN__RELAXED);
			less = 1;
		}
	return less;
}

static int
has_guards(const struct edge *e)
{
	/* relaxed: they only ever go, and who believes it looks again */
	return own__load(&e->guard[0], OWN__RELAXED) ||
		own__load(&e->guard[1], OWN__RELAXED);
}

static void
edge_note(const struct own_i_record *self, const struct side *from,
		const struct side *to, const uintptr_t *guards)
{
	uint32_t i = edge_find(from, to), last = NONE;
	struct text t = { .length = 0 };
	int full = 0, look = 0;

	if (i != NONE && !has_guards(&edges[i]))
		return;
	own_i_lock(&order_lock);
	i = edge_find(from, to);
	if (i != NONE) {
		look = guards_keep(&edges[i], guards);
	} else if (edges_n < EDGES_MAX) {
		i = edges_n;
		edges[i] = (struct edge) {
			.from = from->class, .to = to->class,
			.held = from->modes, .waits = to->modes,
			.held_at = from->site, .asked_at = to->site,
			.tid = self->tid,
			.guard = { guards[0], guards[1] },
		};
		/* release: pairs with edge_find() */
		own__store(&edges_n, i + 1, OWN__RELEASE);
		look = 1;
	} else {
		full = 1;
	}
	if (look)
		last = cycle_from(i);
	if (last != NONE)
		report(&t, last);
	own_i_unlock(&order_lock);
	if (full)
		tell_full();
	if (t.length)
		own_i_stall(t.at);
}

/* From now on sharers may wait for one another (may_wait()). */
static void
asked_note(uint32_t class, uintptr_t mode)
{
	struct text t = { .length = 0 };

	/* relaxed: once set it stays */
	if (!(mode & (OWN_I_S | OWN_I_X)) || (own__load(&classes[class].asked,
			OWN__RELAXED) & mode))
		return;
	own_i_lock(&order_lock);
	/* relaxed: under the lock */
	(void)own__or(&classes[class].asked, (uint32_t)mode, OWN__RELAXED);
	for (uint32_t i = 0; i < edges_n && !t.length; i++) {
		uint32_t last = edges[i].from == class ? cycle_from(i) : NONE;

		if (last != NONE)
			report(&t, last);
	}
	own_i_unlock(&order_lock);
	if (t.length)
		own_i_stall(t.at);
}

/* ---- what a thread holds ---- */

/* What a slot holds of an object itself: S, X, or nothing to wait for. */
static uintptr_t
held_word(uintptr_t object, uint64_t how, uintptr_t container)
{
	unsigned kind = OWN_I_KIND(how & OWN__HOW_KIND);

	if (kind & OWN_I_WRITES)
		return OWN_I_X;
	if (!(kind & OWN_I_READS) || is_versioned(container))
		return 0;
	/* a note on its way to another kind is no HOLD */
	if ((how & OWN__HOW_KIND) == OWN__HOW_HOLD && (object & OWN__NOTE))
		return 0;
	return OWN_I_S;
}

/* The sides that a slot stands for: the object, and the map's gate. */
static unsigned
held_sides(uintptr_t object, const struct own__slot *slot,
		struct side ret[2])
{
	/* relaxed, all three: this thread's own slot */
	uint64_t how = own__load(&slot->how, OWN__RELAXED);
	uintptr_t container = own__load(&slot->container, OWN__RELAXED);
	const struct own_site *site = own__load(&slot->site, OWN__RELAXED);
	uintptr_t word = object & ~OWN__NOTE, modes;
	unsigned n = 0;

	modes = object && (container & OWN_I_MAP) ? container & ANY_MODE : 0;
	if (modes)
		ret[n++] = (struct side) { class_at(container, OWN_I_GATE(
				container)), modes, site, container &
				~(uintptr_t)63 };
	modes = object && container ? held_word(object, how, container) : 0;
	if (modes)
		ret[n++] = (struct side) { class_at(container,
				(const uint64_t *)word), modes, site, word };
	return n;
}

/* What the thread holds uniquely beside what is at that word. */
static void
guards_of(struct own_i_record *self, struct own_i_slot s, uintptr_t word,
		uintptr_t ret[GUARDS_MAX])
{
	struct side held[2];
	unsigned n, guards_n = 0;

	memset(ret, 0, GUARDS_MAX * sizeof(ret[0]));
	OWN_I_EACH_BLOCK(b, self)
		for (unsigned i = 0; i < OWN__SLOTS; i++) {
			if (&b->s.slot[i] == s.meta)
				continue;
			/* relaxed: this thread's own slot */
			n = held_sides(own__load(&b->s.object[i],
					OWN__RELAXED), &b->s.slot[i], held);
			while (n-- > 0)
				if ((held[n].modes & OWN_I_X) && held[n].word !=
						word && guards_n < GUARDS_MAX)
					ret[guards_n++] = held[n].word;
		}
}

/*
 * What the asker waits for: not for what it holds itself, and past a gate that
 * it may pass (G3 of gate.c). 0: it cannot wait, or is told -EDEADLK at once.
 */
static uintptr_t
asks(struct own_i_record *self, struct own_i_slot s, const uint64_t *word,
		uintptr_t mode)
{
	uintptr_t container = own_i_slot_container(s), has = 0;
	uint64_t *gate = OWN_I_GATE(container);
	int is_map = (container & OWN_I_MAP) != 0;

	for (uintptr_t m = OWN_I_IS; is_map && m <= OWN_I_X; m <<= 1)
		if (own_i_slot_find_mode(self, gate, m, s.meta, NULL))
			has |= m;
	if (is_map && word == gate) {
		if ((waits_of(mode) & has) || ((has & mode) &&
				(mode & (OWN_I_IX | OWN_I_S))))
			return 0;
		return waits_of(mode) & ~(has ? OWN_I_X : 0);
	}
	/* under a gate of its own nobody else is at an entry's word */
	if ((has & OWN_I_X) || ((has & OWN_I_S) && mode == OWN_I_S))
		return 0;
	if (is_versioned(container)) {
		if (mode == OWN_I_S || own_i_slot_find(self, word,
				OWN_I_WRITES, s.meta, NULL))
			return 0;
		return OWN_I_X;
	}
	return own_i_slot_find(self, word, OWN_I_READS | OWN_I_WRITES, s.meta,
			NULL) ? 0 : waits_of(mode);
}

void
own_i_order_ask(struct own_i_record *self, struct own_i_slot s,
		const uint64_t *word, uintptr_t mode)
{
	uintptr_t container = own_i_slot_container(s), guards[GUARDS_MAX];
	struct side to = { .modes = asks(self, s, word, mode) }, held[2];
	unsigned n;

	if (!to.modes)
		return;
	to.class = class_at(container, word);
	if (to.class == NONE)
		return;
	/* relaxed: this thread's own slot */
	to.site = own__load(&s.meta->site, OWN__RELAXED);
	asked_note(to.class, mode);
	OWN_I_EACH_BLOCK(b, self)
		for (unsigned i = 0; i < OWN__SLOTS; i++) {
			if (&b->s.slot[i] == s.meta)
				continue;
			/* relaxed: this thread's own slot */
			n = held_sides(own__load(&b->s.object[i],
					OWN__RELAXED), &b->s.slot[i], held);
			for (unsigned h = 0; h < n; h++) {
				if (held[h].class == NONE || same_map(
						held[h].class, to.class))
					continue;
				guards_of(self, s, held[h].word, guards);
				edge_note(self, &held[h], &to, guards);
			}
		}
}
#endif
