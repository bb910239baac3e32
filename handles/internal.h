/* SPDX-License-Identifier: MIT */
/*
 * internal.h - shared by handles/ and lib/, not installed
 *
 * Names: own_i_*. The protocol that these functions follow, and how simpler
 * ones fail, is doc/design/protocol.md; its numbers are cited as "p. 7".
 */
#ifndef OWN_INTERNAL_H
#define OWN_INTERNAL_H

#include <stddef.h>

#include <own/own.h>

#ifdef OWN_MODEL
#include "model/sched.h"
#endif

#ifdef OWN_CHECKED
#define own_assert(condition)						\
	own_require(condition, "invariant: " #condition, NULL)
#else
#define own_assert(condition)	((void)0)
#endif

/*
 * Capacities shrink in checked, model and sanitizer builds, so that overflow,
 * re-bias and reclaim are reached within a second.
 */
#if defined(OWN_MODEL)
#define OWN_I_BATCH_OBJECTS	2u
#elif defined(OWN_CHECKED) || defined(OWN__TSAN) ||			\
	defined(__SANITIZE_ADDRESS__) || defined(OWN_BUGS)
#define OWN_I_BATCH_OBJECTS	8u
#else
#define OWN_I_BATCH_OBJECTS	1024u
#endif
#define OWN_I_BATCH_BYTES	(256u * 1024)

/* ---- records and slots: slots.c ---- */

struct own_i_block {
	struct own__record s;
	struct own_i_block *next;	/* shared: set once, release */
	uint32_t first;			/* number of its slot 0 */
};

enum own_i_wait_kind {
	OWN_I_WAIT_NONE,
	OWN_I_WAIT_SHARE,		/* for WRITER to go */
	OWN_I_WAIT_CLAIM,		/* the same */
	OWN_I_WAIT_DRAIN,		/* owner of WRITER, for readers to go */
	OWN_I_WAIT_GATE,		/* for whole maps; modes << 8 added */
};

/* What a thread sleeps for. Written by it, or by itself as a victim. */
struct own_i_wait {
	uint64_t sequence;		/* odd while waiting */
	uintptr_t word;
	uint32_t kind;
	uint32_t rounds;		/* private: slices slept so far */
	uint32_t going;			/* private: between two slices */
	uint64_t since_ns;		/* private */
	const struct own_site *site;
	uintptr_t container;
};

/*
 * Stands in the list of what scans found held, before the objects of one time:
 * none was retired before since_ns. Linked as an object is.
 */
struct own_i_stamp {
	struct own__header header;
	uint64_t since_ns;		/* of whoever has taken the list */
	uint32_t used;			/* shared: CAS to take, then store */
} __attribute__((aligned(16)));

#define OWN_I_GENERATIONS	4u
#define OWN_I_STAMPS		(OWN_I_GENERATIONS + 1)

/* Objects retired and not yet freed, linked through their headers. */
struct own_i_batch {
	struct own__header *head;	/* shared: CAS, or exchange to take */
	struct own__header *kept;	/* shared: the same; stamps between */
	struct own_i_stamp stamp[OWN_I_STAMPS];
	uint64_t since_ns;		/* shared: head's oldest, about */
	uintptr_t oldest;		/* shared: of kept, its word */
	uint64_t oldest_ns;		/* shared: since when, about */
	uint64_t kept_bytes;		/* found held by the last scan */
	uint32_t scanning;		/* futex: scans that took objects out */
	uint32_t fresh_objects;		/* private: since the last scan */
	uint64_t fresh_bytes;
};

#define OWN_I_PATHS	3u

struct own_i_record {
	struct own_i_block block;	/* first: own__self points here */
	struct own_i_record *next;	/* set before the record is pushed */
	uint32_t id;
	uint32_t used;			/* shared: CAS to take, then store */
	int32_t tid;
	char name[16];
	struct own_i_wait wait;
	uintptr_t overtaken;		/* shared: a word, or 0 (word.c) */
	struct own_i_batch batch;
	/* words of tables and entries that a walk through a map is at: as good
	 * as NOTEs (lib/map-table.c) */
	uintptr_t path[OWN_I_PATHS];
	uint32_t in_fini;		/* private: retire queues, no scan */
	uint32_t above_limit;		/* private: each retirement scans */
	uint32_t late;			/* private: look-ups in two tables */
	/* private: the note of the verb under way, tries so far, and whether
	 * it has been armed */
	struct own_when *when;
	uint32_t when_rounds;
	uint32_t when_set;
	/* statistics, written by the thread */
	uint64_t retired, retired_bytes, freed, freed_bytes, scans;
	/* of deadlock checks, under their mutex */
	struct own_i_record *check_next, *check_from;
	struct own__slot *check_slot;
	uint64_t check_how, check_wait, check_run;
	/* of own_conflict_last(), private */
	struct own_i_refusal {
		uintptr_t word;
		uintptr_t container;
		const char *mode;
		const struct own_site *site;
		unsigned modes;	/* of a gate's holders; 0: by word */
		int error;
		int open;		/* the other side is to be found */
	} refusal;
	struct own_conflict conflict;
};

/* One slot of this thread. */
struct own_i_slot {
	uintptr_t *object;
	struct own__slot *meta;
};

extern struct own_i_record *own_i_records;	/* shared: pushed, release */
extern __thread struct own_i_record *own_i_this
	__attribute__((tls_model("initial-exec")));
extern uint32_t own_i_fenced;		/* no membarrier: seq_cst instead */

#define OWN_I_EACH_RECORD(r)						\
	for (struct own_i_record *r = own__load(&own_i_records, OWN__ACQUIRE); \
			r; r = r->next)
#define OWN_I_EACH_BLOCK(b, r)						\
	for (struct own_i_block *b = &(r)->block; b;			\
			b = own__load(&b->next, OWN__ACQUIRE))

/* This thread's record, made on first use; NULL means -ENOMEM. */
struct own_i_record *own_i_register(void);
/* Stops the process if threads of its parent used the library. */
void own_i_fork_check(void);
/* Stops the process if another copy of the library is in use. */
void own_i_copies_enter(void);

static inline struct own_i_record *
own_i_self(void)
{
	return OWN__LIKELY(own_i_this) ? own_i_this : own_i_register();
}

int own_i_slot_take_more(struct own_i_record *self, struct own_i_slot *ret);
struct own_i_slot own_i_slot_at(struct own_i_record *self, unsigned number);
/* The slot of a handle; a stale or foreign handle stops the process. */
struct own_i_slot own_i_slot_of(struct own_i_record *self, uint64_t how,
		const char *verb);
/* Whether the handle is one of this thread that stands. */
int own_i_slot_is(struct own_i_record *self, uint64_t how);
/* Any slot of this thread on the word but @except, of the given kind set. */
#define OWN_I_KIND(kind)	(1u << ((kind) >> 12))
#define OWN_I_SLOTLESS		(OWN_I_KIND(OWN__HOW_DETACHED) |	\
				 OWN_I_KIND(OWN__HOW_OWNED) |		\
				 OWN_I_KIND(OWN__HOW_PUBLISHED) |	\
				 OWN_I_KIND(OWN__HOW_DETACHED_UNIQUE))
#define OWN_I_READS		(OWN_I_KIND(OWN__HOW_HOLD) |		\
				 OWN_I_KIND(OWN__HOW_COUNTED))
#define OWN_I_WRITES		(OWN_I_KIND(OWN__HOW_DRAINING) |	\
				 OWN_I_KIND(OWN__HOW_UNIQUE) |		\
				 OWN_I_KIND(OWN__HOW_GATED) |		\
				 OWN_I_KIND(OWN__HOW_MADE) |		\
				 OWN_I_KIND(OWN__HOW_DRAFT))
struct own__slot *own_i_slot_find(struct own_i_record *of,
		const uint64_t *word, unsigned kinds,
		const struct own__slot *except, uint64_t *ret_how);
int own_i_slot_any(struct own_i_record *self);

/*
 * What a slot's container says of a map: its address, which is that of its
 * gate, the tag, and the mode (p. 43 to 46). GATED: counted in the gate's
 * word, and its slot does not count there. A cell's address has no tag.
 */
#define OWN_I_MAP	((uintptr_t)1)
#define OWN_I_IS	((uintptr_t)2)
#define OWN_I_IX	((uintptr_t)4)
#define OWN_I_S		((uintptr_t)8)
#define OWN_I_X		((uintptr_t)16)
#define OWN_I_GATED	((uintptr_t)32)
#define OWN_I_GATE(container)	((uint64_t *)((container) & ~(uintptr_t)63))

#define OWN_I_GATE_S	UINT64_C(0x00ffff00)	/* count of S, of its word */
/* Of a gate's word: all but WAITERS and turn */
#define OWN_I_GATE_HELD	UINT64_C(0xffffffff00ffff01)

/* Head of every structure with a gate, aligned to 64; read by reports. */
struct own_i_whole {
	uint64_t gate;			/* shared: gate.c */
	const struct own_type *type;
	const char *name;
	uint64_t state;			/* OWN__CELL_LIVE */
};

static inline int
own_i_has_mode(uintptr_t container, const uint64_t *gate, uintptr_t modes)
{
	return (container & OWN_I_MAP) && OWN_I_GATE(container) == gate &&
		(container & modes);
}

/* Any slot of the thread that has one of the modes of the gate's structure. */
struct own__slot *own_i_slot_find_mode(struct own_i_record *of,
		const uint64_t *gate, uintptr_t modes,
		const struct own__slot *except, uint64_t *ret_how);
/*
 * Whether a slot stands in the way: by its mode (what is counted in the gate's
 * word does not bar by its slot), or, without modes, as a HOLD of the word.
 */
static inline int
own_i_slot_bars(const uintptr_t *object, const struct own__slot *slot,
		const uint64_t *gate, uintptr_t modes)
{
	/* S1, S2: seq_cst, for the fallback */
	uintptr_t held = own__load(object, OWN__SEQ_CST), container;

	if (!modes || !held)
		return held == (uintptr_t)gate;
	/* acquire: pairs with own_i_slot_take() */
	container = own__load(&slot->container, OWN__ACQUIRE);
	return own_i_has_mode(container, gate, modes) &&
		!(container & OWN_I_GATED);
}

void own_i_gate_leave(uint64_t *gate, uintptr_t mode);

uint32_t own_i_records_n(void);
void own_i_heavy_fence(void);
uint64_t own_i_fence_cost_ns(void);
uint64_t own_i_fences(void);

/*
 * In the checked build: the slot that this thread is about to store to, or any
 * address while it looks for one. Between the look and the store a signal
 * handler could take the same slot (doc/design/faults.md).
 */
#if defined(OWN_CHECKED) && !defined(OWN_MODEL)
extern __thread const void *own_i_taking
	__attribute__((tls_model("initial-exec")));
#define OWN_I_TAKING(address)						\
	do {								\
		own_i_taking = (address);				\
		own__light_fence();					\
	} while (0)
#define OWN_I_TAKEN(address)						\
	do {								\
		own__light_fence();					\
		if (own_i_taking == (address))				\
			own_i_taking = NULL;				\
	} while (0)
#define OWN_I_NOT_TAKING(site)						\
	own_require(!own_i_taking, "a handle is taken in a signal handler, " \
			"which has interrupted the taking of another one", \
			site)
#else
#define OWN_I_TAKING(address)		((void)0)
#define OWN_I_TAKEN(address)		((void)0)
#define OWN_I_NOT_TAKING(site)		((void)0)
#endif

/*
 * A free slot, its sequence counted on. Inline, so that the two pointers stay
 * in registers: stored one by one and read back as a pair they stall.
 */
static inline int
own_i_slot_take(struct own_i_record *self, const void *container,
		const struct own_site *site, struct own_i_slot *ret)
{
	struct own_i_slot s = { NULL, NULL };

	OWN_I_NOT_TAKING(site);
	OWN_I_TAKING(self);
	for (unsigned i = 0; i < OWN__SLOTS; i++)
		/* relaxed, here and below: this thread's own slots */
		if (!own__load(&self->block.s.object[i], OWN__RELAXED)) {
			s.object = &self->block.s.object[i];
			s.meta = &self->block.s.slot[i];
			break;
		}
	if (OWN__UNLIKELY(!s.object)) {
		struct own_i_slot more;

		if (own_i_slot_take_more(self, &more)) {
			OWN_I_TAKING(NULL);
			return -ENOMEM;
		}
		s = more;
	}
	OWN_I_TAKING(s.object);
	/* D2: release, after the store that freed the slot */
	own__store(&s.meta->how, own__load(&s.meta->how, OWN__RELAXED) +
			OWN__HOW_SEQ_ONE, OWN__RELEASE);
	own__store(&s.meta->site, site, OWN__RELAXED);
	/* release: a gate's scan that sees it sees the use before it over */
	if (own__bug(OWN_BUG_CONTAINER_NO_RELEASE))
		own__store(&s.meta->container, (uintptr_t)container,
				OWN__RELAXED);
	else
		own__store(&s.meta->container, (uintptr_t)container,
				OWN__RELEASE);
	*ret = s;
	return 0;
}

/* A store to this thread's slot, ordered before any later look (S1, S3). */
static inline void
own_i_slot_store(struct own_i_slot s, uintptr_t v)
{
	if (OWN__UNLIKELY(own_i_fenced)) {
		/* seq_cst: with the seq_cst loads after it, the fallback */
		(void)own__xchg(s.object, v, OWN__SEQ_CST);
	} else {
		own__store(s.object, v, OWN__RELEASE);
		own__light_fence();
	}
	OWN_I_TAKEN(s.object);
}

/* Every store that ends a HOLD: the look at wanted follows it (p. 1, 4). */
static inline void
own_i_slot_set(struct own_i_slot s, uintptr_t v)
{
	own_i_slot_store(s, v);
	/* S3: pairs with own_i_slot_await(); seq_cst: see own_i_slot_store() */
	if (OWN__UNLIKELY(own__load(&s.meta->wanted, OWN__SEQ_CST)))
		own__slot_wake(s.meta);
}

/* Release: a deadlock check that sees the kind sees the word noted. */
static inline void
own_i_slot_kind(struct own_i_slot s, uint64_t kind)
{
	/* relaxed: this thread's own word */
	uint64_t how = own__load(&s.meta->how, OWN__RELAXED);

	own__store(&s.meta->how, (how & ~OWN__HOW_KIND) | kind, OWN__RELEASE);
}

static inline uint64_t
own_i_slot_how(struct own_i_slot s)
{
	/* relaxed: this thread's own word */
	return own__load(&s.meta->how, OWN__RELAXED);
}

static inline uintptr_t
own_i_slot_container(struct own_i_slot s)
{
	/* relaxed: this thread's own word */
	return own__load(&s.meta->container, OWN__RELAXED);
}

/* Frees a slot: its kind is HOLD again, the object goes, then the gate. */
static inline void
own_i_slot_free(struct own_i_slot s)
{
	uintptr_t container = own_i_slot_container(s);

	own_i_slot_kind(s, OWN__HOW_HOLD);
	own_i_slot_set(s, 0);
	if (OWN__UNLIKELY((container & (OWN_I_MAP | OWN_I_GATED)) ==
			(OWN_I_MAP | OWN_I_GATED)))
		own_i_gate_leave(OWN_I_GATE(container), container);
}

static inline uint64_t *
own_i_slot_word(struct own_i_slot s)
{
	/* relaxed: this thread's own word */
	return (uint64_t *)(own__load(s.object, OWN__RELAXED) & ~OWN__NOTE);
}

/* ---- waiting: wait.c ---- */

#define OWN_I_FUTEX_SHARE	1u
#define OWN_I_FUTEX_CLAIM	2u
#define OWN_I_FUTEX_DRAIN	4u
#define OWN_I_FUTEX_OVERTAKEN	8u	/* claimers, before CLAIM */
#define OWN_I_FUTEX_ANY		0xffffffffu
#define OWN_I_ALL		INT32_MAX

/* The half of a word that the futex sees. */
static inline uint32_t *
own_i_low(uint64_t *word)
{
	return (uint32_t *)word + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

int own_i_futex_wait(const uint32_t *address, uint32_t seen, uint32_t bitset,
		uint64_t deadline_ns);
/* how many it woke; both are by address only */
int own_i_futex_wake(const uint32_t *address, int n, uint32_t bitset);
/* the same, and notes: after a change whose read-modify-write acquires */
int own_i_wake(const uint32_t *address, int n, uint32_t bitset);
void own_i_lock(uint32_t *lock);
void own_i_unlock(uint32_t *lock);
void own_i_spin(void);
void own_i_yield(void);
extern unsigned own_i_spins;
/* first slice of a wait, after which the deadlock check runs; 0: never */
extern uint64_t own_i_slice_ns;

static inline int
own_i_is_try(uint64_t deadline_ns)
{
	return deadline_ns == OWN__TRY || deadline_ns == OWN__WHEN;
}

static inline int
own_i_expired(uint64_t deadline_ns)
{
	return deadline_ns != OWN__FOREVER && own_now_ns() >= deadline_ns;
}

/*
 * One slice of a wait on *address == seen, at most to the deadline. 0: look
 * again; -EDEADLK: this thread is the victim, its wait record is erased.
 * own_i_wait_end() follows the last slice.
 */
int own_i_wait(struct own_i_record *self, uint32_t kind,
		const uint64_t *word, struct own_i_slot s,
		const uint32_t *address, uint32_t seen, uint32_t bitset,
		uint64_t deadline_ns);
void own_i_wait_end(struct own_i_record *self);
void own_i_wait_erase(struct own_i_record *self);

/* ---- notes of who does not wait: when.c ---- */

/*
 * The verb is refused, by what a word's or gate's mask shows, by its value w,
 * or by slots: arms its note. 0: nothing stands in the way, try again.
 */
int own_i_when_word(struct own_i_record *self, uint64_t *word, uint64_t mask,
		uint32_t bits);
int own_i_when_gate(struct own_i_record *self, uint64_t *gate, uint64_t w);
int own_i_when_slots(struct own_i_record *self, const uint64_t *key,
		uintptr_t modes);
/* All notes, until fn returns other than 0; async-signal-safe if fn is. */
int own_i_when_each(int (*fn)(const struct own_when *when, void *arg),
		void *arg);
/* A note armed at the container stops the process. */
void own_i_when_none(const void *container, const char *text);

/* ---- the word: word.c ---- */

/* counted: never by slot */
int own_i_word_share(struct own_i_record *self, struct own_i_slot s,
		uint64_t *word, uint64_t deadline_ns, int counted);
/* Waits until nobody holds an object that is unlinked already */
void own_i_word_outlast(struct own_i_record *self, struct own_i_slot s,
		uint64_t *word);
/* An object that is held may be biased from now on, if it has no writer. */
void own_i_word_bias(uint64_t *word);
/* Sets WRITER; orphan_ok: takes an orphan, and nothing else; bars: the kinds
 * of the thread's own handles on the word that WRITER's owner waits for */
int own_i_word_take(struct own_i_record *self, struct own_i_slot s,
		uint64_t *word, uint64_t deadline_ns, int orphan_ok,
		unsigned bars, uint64_t *ret_seen);
/* Waits for readers; except: a slot of the caller's that may HOLD or count */
int own_i_word_drain(struct own_i_record *self, struct own_i_slot s,
		uint64_t *word, uint64_t seen, uint64_t deadline_ns,
		const struct own__slot *except);
/* take and drain; gives up in order */
int own_i_word_claim(struct own_i_record *self, struct own_i_slot s,
		uint64_t *word, uint64_t deadline_ns, int orphan_ok);
void own_i_word_unwriter(uint64_t *word, int drained, uint64_t plus,
		uint32_t orphan);
void own_i_word_uncount(uint64_t *word);
int own_i_word_count(uint64_t *word);
int own_i_word_upgrade_try(struct own_i_record *self, struct own_i_slot s,
		uint64_t *word);

/* ---- the gate of a whole map: gate.c ---- */

/*
 * The slot names the gate's structure and a mode (IS, IX). 0: by slot; 1: it
 * is counted, container says GATED, the slot NOTEs the gate; else an error,
 * and the slot is free.
 */
int own_i_gate_enter_shut(struct own_i_record *self, struct own_i_slot s,
		uintptr_t mode, uint64_t deadline_ns);
static inline int
own_i_gate_enter(struct own_i_record *self, struct own_i_slot s,
		uintptr_t mode, uint64_t deadline_ns)
{
	/* S1, W1: seq_cst, for the fallback; pairs with gate_drain() */
	uint64_t w = own__load(OWN_I_GATE(own_i_slot_container(s)),
			OWN__SEQ_CST);

	if (OWN__LIKELY(!(w & OWN__WRITER) && (mode == OWN_I_IS ||
			!(w & OWN_I_GATE_S))))
		return 0;
	return own_i_gate_enter_shut(self, s, mode, deadline_ns);
}
int own_i_gate_share_all(struct own_i_record *self, struct own_i_slot s,
		uint64_t deadline_ns);
int own_i_gate_claim_all(struct own_i_record *self, struct own_i_slot s,
		uint64_t deadline_ns);
/* S of the slot becomes X: never waits; refused, all is as before */
int own_i_gate_upgrade_all_try(struct own_i_record *self, struct own_i_slot s);
/* One more counted mode for who holds something already: 0 or an error. */
int own_i_gate_count(uint64_t *gate, uintptr_t mode);
/* IX becomes IS */
void own_i_gate_weaken(struct own_i_slot s);
/* IX is counted beside the slot's IS: never waits; then that takes its place,
 * or own_i_gate_leave() takes it back */
int own_i_gate_upgrade_try(struct own_i_record *self, struct own_i_slot s);
void own_i_gate_upgraded(struct own_i_slot s);

/* ---- deadlock.c ---- */

int own_i_deadlock_check(struct own_i_record *self);

/* ---- order.c: of the checked build ---- */

#if defined(OWN_CHECKED) && !defined(OWN_MODEL)
#define OWN_I_ORDER	1
void own_i_order_ask(struct own_i_record *self, struct own_i_slot s,
		const uint64_t *word, uintptr_t mode);
#else
#define OWN_I_ORDER	0
#endif

/*
 * Before a slot's object is asked for, whether or not that will wait: a gate
 * with its mode, any other word with S for shared and X for unique.
 */
static inline void
own_i_order_note(struct own_i_record *self, struct own_i_slot s,
		const uint64_t *word, uintptr_t mode, uint64_t deadline_ns)
{
#if OWN_I_ORDER
	if (!own_i_is_try(deadline_ns))
		own_i_order_ask(self, s, word, mode);
#else
	(void)self;
	(void)s;
	(void)word;
	(void)mode;
	(void)deadline_ns;
#endif
}

/* ---- report.c ---- */

/* Notes why a verb is refused, and returns error. */
int own_i_refuse(struct own_i_record *self, struct own_i_slot s,
		const uint64_t *word, const char *mode, int error);
int own_i_refuse_gate(struct own_i_record *self, struct own_i_slot s,
		uintptr_t modes, const char *mode, int error);
const char *own_i_mode(uint64_t how);
void own_i_party(struct own_party *ret, const struct own_i_record *record,
		const struct own__slot *slot, const char *mode, uintptr_t word);
OWN__NORETURN void own_i_fault_held(const char *text,
		struct own_i_record *holder, const struct own__slot *slot,
		uintptr_t word);
void own_i_stall(const char *text);
void own_i_stall_wait(struct own_i_record *self);
void own_i_stall_retired(uint64_t bytes, const struct own_pending *oldest);

/* ---- objects: object.c ---- */

static inline struct own__header *
own_i_header(const void *payload)
{
	return (struct own__header *)((uintptr_t)payload -
			sizeof(struct own__header));
}

static inline void *
own_i_payload(struct own__header *header)
{
	return header + 1;
}

static inline const struct own_type *
own_i_type(const struct own__header *header)
{
	/* relaxed: these bits do not change */
	return (const struct own_type *)(uintptr_t)
		(own__load(&header->type, OWN__RELAXED) & 0xfffffffffff0);
}

/*
 * OWN_TYPE() in a header describes the type anew in each file: the same if all
 * of it is, the name by its text.
 */
int own_i_type_differs(const struct own_type *a, const struct own_type *b);

/* In the lowest bits of a header's type. */
#define OWN_I_ENTRY	UINT64_C(1)	/* of a map: a prefix and a key */
#define OWN_I_NUMBER	UINT64_C(2)	/* the key is a number */
#define OWN_I_HUSK	UINT64_C(4)	/* its payload has been moved out */
#define OWN_I_ALLOC	UINT64_C(8)	/* of an allocator of its own */

static inline uint64_t
own_i_object_flags(const struct own__header *header)
{
	/* relaxed: changed by the owner of the object alone */
	return own__load(&header->type, OWN__RELAXED) & 15;
}

/* Before the header of a map's entry; a byte key stands after the payload. */
struct own_i_prefix {
	uint64_t *gate;			/* shared: set by a detach, for its
					   release; whose draft is detached:
					   that draft, which has the gate */
	uint64_t key;			/* the number, or the key's size */
};

static inline struct own_i_prefix *
own_i_prefix(const struct own__header *header)
{
	return (struct own_i_prefix *)((uintptr_t)header -
			sizeof(struct own_i_prefix));
}

/* Of a type that keeps memory outside: the payload begins with its bytes. */
#define OWN_I_OUTSIDE	0x80000000u

size_t own_i_object_bytes(const struct own__header *header);
/* fini and free; the caller is the only one left, but for those who still look
 * at the word of what was taken out of a map: that is retired */
void own_i_object_end(void *payload);
/* the same, at once */
void own_i_object_free(void *payload);
/* a map's entry, with its key and a payload of zeroes; alloc: NULL, or one of
 * its own, as all below */
void *own_i_entry_new(const struct own_alloc *alloc,
		const struct own_type *type, size_t size, struct own_bytes key,
		int *r);
const struct own_alloc *own_i_object_alloc(const struct own__header *header);
/* a new object of the same type, size and allocator, for a copy; no entry */
void *own_i_object_like(const void *payload, int *r);
struct own_bytes own_i_entry_key(const struct own__header *header);
/* frees without fini */
void own_i_object_discard(void *payload);
/* fills a new object of the same type and size; on failure that is discarded */
int own_i_object_copy(void *to, void *from);
/* The word that a slotless handle counts on, or that owns it. */
static inline uint64_t *
own_i_how_word(uint64_t how)
{
	return (uint64_t *)(uintptr_t)(how >> 16);
}

/* The payload of an owned or published handle. */
static inline void *
own_i_owned(uint64_t how)
{
	return own_i_payload((struct own__header *)own_i_how_word(how));
}

/* ---- project.c ---- */

/* Whether the word that was borrowed from a container is the word of a cell,
 * and not of an object. */
static inline int
own_i_is_cells(const uint64_t *word, uintptr_t container)
{
	return !(container & OWN_I_MAP) && (uintptr_t)word == container +
		offsetof(struct own_cell, word);
}

static inline void *
own_i_cells_payload(uint64_t *word)
{
	struct own_cell *cell = (struct own_cell *)((uintptr_t)word -
			offsetof(struct own_cell, word));

	/* relaxed: does not change while a handle on this word stands */
	return own__load(&cell->current, OWN__RELAXED);
}

/* The payload that a handle holds, whatever part of it it names; of a whole
 * map the map. verb: of reports of handles that are not this thread's */
void *own_i_whole_of(uint64_t how, const char *verb);
void *own_i_slot_whole(struct own_i_slot s);

/* ---- handle.c ---- */

/* This thread's record; stops the process if it has none, or is a child of
 * threads: the handle is another thread's then. */
struct own_i_record *own_i_self_or_fault(const char *verb, uint64_t how);

/* ---- published.c, detach.c ---- */

void own_i_published_end(uint64_t how);
int own_i_published_reclaim_try(uint64_t how, const struct own_site *site,
		uint64_t *ret_how);
/* What a detached unique handle would be in a slot. */
struct own_i_lone_slot {
	uintptr_t object;
	struct own__slot slot;
};
struct own_i_slot own_i_detached_slot(uint64_t how,
		struct own_i_lone_slot *lone);
/* Whether a handle is of a whole map. */
int own_i_is_map(uint64_t how);
uint64_t own_i_detached_shared(struct own_i_slot s);
void own_i_whole_downgrade(struct own_i_record *self, struct own_i_slot s,
		const struct own_site *site);
int own_i_whole_clone(struct own_i_record *self, struct own_i_slot from,
		const struct own_site *site, uint64_t *ret_how);
void own_i_gate_weaken_whole(uint64_t *gate);

void *own_i_alloc(size_t size_bytes, size_t align);
void own_i_free(void *p, size_t size_bytes);

/* ---- lib/cell.c, for the verbs on handles ---- */

void own_i_cell_commit(struct own_i_record *self, struct own_i_slot s,
		void *keep);
void own_i_cell_drop(struct own_i_slot s);
/* the same of a map's entry: lib/map.c; keep: a shared handle stays */
void own_i_map_commit(struct own_i_record *self, struct own_i_slot s,
		int keep);
void own_i_map_drop(struct own_i_record *self, struct own_i_slot s);
int own_i_map_versioned(const uint64_t *gate);
int own_i_map_upgrade_try(struct own_i_record *self, struct own_i_slot from,
		const void *object, const struct own_site *site, void **ret,
		uint64_t *ret_how);
int own_i_cell_upgrade_try(struct own_i_record *self, struct own_i_slot from,
		const void *object, const struct own_site *site, void **ret,
		uint64_t *ret_how);

/* ---- lib/reclaim.c ---- */

/* Takes over an unlinked object; it is freed when nobody holds it. */
void own_i_retire(struct own_i_record *self, void *payload);
/* Into the batch of another record, and without a scan: runs no fini. */
void own_i_retire_to(struct own_i_record *self, struct own_i_record *of,
		void *payload);
void own_i_reclaim_exit(struct own_i_record *self);

/*
 * ThreadSanitizer in the user's program and not here: what the library orders
 * for user code that it calls itself (copy, fini, free). Weak: absent without
 * ThreadSanitizer.
 */
#if defined(OWN__TSAN) || defined(OWN_MODEL)
#define own_i_tsan_unique(payload)	((void)0)
#else
extern void __tsan_acquire(void *key) __attribute__((weak));
static inline void
own_i_tsan_unique(void *payload)
{
	if (__tsan_acquire) {
		__tsan_acquire(payload);
		__tsan_acquire((char *)payload + 1);
	}
}
#endif

#ifdef OWN_MODEL
void own_i_model_init(void);
void own_i_when_reset(void);
#endif

#endif
