/* SPDX-License-Identifier: MIT */
/*
 * waiting_past.c - how many others are served before one's own turn
 *
 * Eight threads a core take one object and give it back, without a pause. Each
 * acquisition counts those of others that came between its request and itself:
 * for a claimer all, for a reader the claims, since readers are no hindrance
 * to one another. Somebody who was put aside between his acquisition and his
 * count is counted late: at most one too many for each other thread.
 *
 * The rule that is without exception: who asks to read after a claimer has
 * announced itself (WRITER), and holds nothing of the object, does not come in
 * before that claimer. With one claimer it can be looked at exactly: its phase
 * is odd from its acquisition to its release. A reader that saw an even phase,
 * then WRITER, and has been let in with the phase unchanged has overtaken it.
 * So since such a claimer's first sleep as WRITER nobody is served but who is
 * counted late: one for each other thread, at most. Before that it may let a
 * reader go first that has been overtaken.
 *
 * The rule for the others (doc/design/word.md, Waiting): once it has been
 * overtaken for 5 ms, a waiter is passed by the claims of those alone who have
 * waited 5 ms themselves, each once in that time. Who is counted late comes on
 * top. (Readers go on until it is WRITER, which bars them.)
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "bench/waiting.h"
#include "handles/internal.h"

#define THREADS_MAX	64u
#define INSIDE		200u		/* rounds of spin(), with the object */
#define OUTSIDE		1000u
#define WAITED_NS	20000u
#define TURN_NS		5000000u	/* OVERTAKEN_NS of handles/word.c */

enum verb { CELL_CLAIM, CELL_SHARE, ENTRY_CLAIM, ENTRY_SHARE, ALL_CLAIM,
	ALL_SHARE, MUTEX, RW_WRITE, RW_READ, RWW_WRITE, RWW_READ };

/* claimers: how many; 0: all but one */
static const struct mix {
	const char *subject, *where;
	enum verb claim, share;
	unsigned claimers, all;
} mixes[] = {
	{ "cell", "all claim", CELL_CLAIM, CELL_SHARE, 0, 1 },
	{ "cell", "one claims", CELL_CLAIM, CELL_SHARE, 1, 0 },
	{ "cell", "one shares", CELL_CLAIM, CELL_SHARE, 0, 0 },
	{ "entry", "all claim", ENTRY_CLAIM, ENTRY_SHARE, 0, 1 },
	{ "entry", "one claims", ENTRY_CLAIM, ENTRY_SHARE, 1, 0 },
	{ "entry", "one shares", ENTRY_CLAIM, ENTRY_SHARE, 0, 0 },
	{ "whole map", "all claim_all", ALL_CLAIM, ALL_SHARE, 0, 1 },
	{ "whole map", "one claim_all, share_all", ALL_CLAIM, ALL_SHARE, 1, 0 },
	{ "whole map", "one claim_all, entries shared", ALL_CLAIM, ENTRY_SHARE,
		1, 0 },
	{ "whole map", "one share_all", ALL_CLAIM, ALL_SHARE, 0, 0 },
	{ "whole map", "one claims an entry, share_all", ENTRY_CLAIM, ALL_SHARE,
		1, 0 },
	{ "pthread mutex", "all lock", MUTEX, MUTEX, 0, 1 },
	{ "pthread rwlock", "one writes", RW_WRITE, RW_READ, 1, 0 },
	{ "pthread rwlock", "one reads", RW_WRITE, RW_READ, 0, 0 },
	{ "pthread rwlock, writers first", "one writes", RWW_WRITE, RWW_READ,
		1, 0 },
	{ "pthread rwlock, writers first", "one reads", RWW_WRITE, RWW_READ,
		0, 0 },
};

/*
 * past, of all since they asked; waited, the same of those alone that took
 * WAITED_NS or longer; slept, since their first sleep, of those that slept;
 * overtaken, since they slept overtaken, of those that did
 */
struct side {
	struct hist past, waited, slept, overtaken, wait;
	uint64_t past_max, slept_max, overtaken_max, wait_max;
};

static struct own_cell cell;
static struct own_map *map;
static const uint64_t *entry_word;	/* of the entry of key 1 */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_rwlock_t writers_first =
	PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

static const struct mix *mix;
static pthread_barrier_t start;
static uint32_t over;			/* shared */
static struct {
	_Alignas(128) uint64_t claims;	/* shared, as all of these */
	_Alignas(128) uint64_t shares;
	_Alignas(128) uint64_t phase;
	_Alignas(128) uint64_t behind, overtook;
} count;

static struct member {
	_Alignas(128) int claims;
	pthread_t id;
	struct side side;
} members[THREADS_MAX];
static unsigned members_n;

union handle {
	struct own_unique u;
	struct own_shared s;
};

static int
take(enum verb verb, union handle *h)
{
	switch (verb) {
	case CELL_CLAIM:
		return own_cell_claim(&cell, &h->u);
	case CELL_SHARE:
		return own_cell_share(&cell, &h->s);
	case ENTRY_CLAIM:
		return own_map_claim_u64(map, 1, &h->u);
	case ENTRY_SHARE:
		return own_map_share_u64(map, 1, &h->s);
	case ALL_CLAIM:
		return own_map_claim_all(map, &h->u);
	case ALL_SHARE:
		return own_map_share_all(map, &h->s);
	case MUTEX:
		return -pthread_mutex_lock(&mutex);
	case RW_WRITE:
		return -pthread_rwlock_wrlock(&rwlock);
	case RW_READ:
		return -pthread_rwlock_rdlock(&rwlock);
	case RWW_WRITE:
		return -pthread_rwlock_wrlock(&writers_first);
	default:
		return -pthread_rwlock_rdlock(&writers_first);
	}
}

static void
give(enum verb verb, union handle *h)
{
	switch (verb) {
	case CELL_CLAIM:
	case ENTRY_CLAIM:
	case ALL_CLAIM:
		own_unique_release(&h->u);
		break;
	case CELL_SHARE:
	case ENTRY_SHARE:
	case ALL_SHARE:
		own_shared_release(&h->s);
		break;
	case MUTEX:
		pthread_mutex_unlock(&mutex);
		break;
	case RW_WRITE:
	case RW_READ:
		pthread_rwlock_unlock(&rwlock);
		break;
	default:
		pthread_rwlock_unlock(&writers_first);
	}
}

/* What a claimer of this mix announces itself in, or NULL. */
static const uint64_t *
word_of_claim(void)
{
	switch (mix->claim) {
	case CELL_CLAIM:
		return &cell.word;
	case ENTRY_CLAIM:
		return mix->share == ENTRY_SHARE ? entry_word : NULL;
	case ALL_CLAIM:
		/* the gate is the map's first word */
		return (const uint64_t *)(const void *)map;
	default:
		return NULL;
	}
}

/* seq_cst all: a measurement in which nothing must be moved about */
#define SEEN(p)		own__load((p), OWN__SEQ_CST)
#define ONE_MORE(p)	own__add((p), 1, OWN__SEQ_CST)

static void
at_sleep(struct sleep_note *slept)
{
	slept->claims = SEEN(&count.claims);
	slept->shares = SEEN(&count.shares);
}

static void
at_overtaken(struct sleep_note *slept)
{
	slept->overtaken_claims = SEEN(&count.claims);
}

static void
note_overtaken(struct side *side, uint64_t past, uint64_t since_ns)
{
	hist_add(&side->overtaken, past);
	if (past > side->overtaken_max)
		side->overtaken_max = past;
	if (past > (members_n - 1) * (2 + since_ns / TURN_NS))
		wrong("%s, %s: passed by %lu in the %lu us since it was "
				"overtaken", mix->subject, mix->where,
				(unsigned long)past,
				(unsigned long)(since_ns / 1000));
}

static void
note(struct side *side, uint64_t past, uint64_t wait_ns,
		const struct sleep_note *slept, uint64_t slept_past)
{
	if (slept->wall_ns) {
		hist_add(&side->slept, slept_past);
		if (slept_past > side->slept_max)
			side->slept_max = slept_past;
	}
	hist_add(&side->past, past);
	hist_add(&side->wait, wait_ns);
	if (wait_ns >= WAITED_NS)
		hist_add(&side->waited, past);
	if (past > side->past_max)
		side->past_max = past;
	if (wait_ns > side->wait_max)
		side->wait_max = wait_ns;
}

static void
claim_once(struct member *self, int alone)
{
	uint64_t claims, shares, now_claims, now_shares;
	struct sleep_note slept = { .also = at_sleep,
			.announced = alone, .overtaken = at_overtaken };
	uint64_t from_ns = own_now_ns(), to_ns;
	union handle h;

	memset(&h, 0, sizeof h);
	claims = SEEN(&count.claims);
	shares = SEEN(&count.shares);
	sleep_note = &slept;
	must(take(mix->claim, &h), "claim");
	sleep_note = NULL;
	to_ns = own_now_ns();
	if (alone)
		ONE_MORE(&count.phase);
	now_claims = ONE_MORE(&count.claims);
	now_shares = SEEN(&count.shares);
	spin(INSIDE);
	give(mix->claim, &h);
	if (alone)
		ONE_MORE(&count.phase);
	if (slept.overtaken_ns)
		note_overtaken(&self->side, now_claims -
				slept.overtaken_claims,
				to_ns - slept.overtaken_ns);
	note(&self->side, now_claims - claims + now_shares - shares,
			to_ns - from_ns, &slept, now_claims - slept.claims +
			now_shares - slept.shares);
}

static void
share_once(struct member *self, const uint64_t *word)
{
	struct sleep_note slept = { .also = at_sleep,
			.overtaken = at_overtaken };
	uint64_t from_ns = own_now_ns(), to_ns, claims = SEEN(&count.claims);
	uint64_t phase = 1, now_claims;
	union handle h;
	int behind = 0;

	memset(&h, 0, sizeof h);
	if (word) {
		phase = SEEN(&count.phase);
		behind = !(phase & 1) && (SEEN(word) & OWN__WRITER);
	}
	sleep_note = &slept;
	must(take(mix->share, &h), "share");
	sleep_note = NULL;
	if (behind) {
		ONE_MORE(&count.behind);
		if (SEEN(&count.phase) == phase)
			ONE_MORE(&count.overtook);
	}
	to_ns = own_now_ns();
	ONE_MORE(&count.shares);
	now_claims = SEEN(&count.claims);
	spin(INSIDE);
	give(mix->share, &h);
	if (slept.overtaken_ns)
		note_overtaken(&self->side, now_claims -
				slept.overtaken_claims,
				to_ns - slept.overtaken_ns);
	note(&self->side, now_claims - claims, to_ns - from_ns, &slept,
			now_claims - slept.claims);
}

static void *
member_main(void *arg)
{
	struct member *self = arg;
	const uint64_t *word = mix->claimers == 1 ? word_of_claim() : NULL;

	pthread_barrier_wait(&start);
	/* relaxed: a flag that orders nothing */
	while (!own__load(&over, OWN__RELAXED)) {
		if (self->claims)
			claim_once(self, mix->claimers == 1);
		else
			share_once(self, word);
		spin(OUTSIDE);
	}
	return NULL;
}

static void
print(unsigned threads_n)
{
	static const char *const names[2][5] = {
		{ "share_past", "share_wait", "share_waited", "share_slept",
			"share_overtaken" },
		{ "claim_past", "claim_wait", "claim_waited", "claim_slept",
			"claim_overtaken" },
	};
	char bin[64];

	for (int claims = 0; claims < 2; claims++) {
		static struct side all;

		memset(&all, 0, sizeof all);
		for (unsigned i = 0; i < threads_n; i++) {
			const struct side *side = &members[i].side;

			if (members[i].claims != claims)
				continue;
			hist_join(&all.past, &side->past);
			hist_join(&all.wait, &side->wait);
			hist_join(&all.waited, &side->waited);
			hist_join(&all.slept, &side->slept);
			hist_join(&all.overtaken, &side->overtaken);
			if (side->overtaken_max > all.overtaken_max)
				all.overtaken_max = side->overtaken_max;
			if (side->slept_max > all.slept_max)
				all.slept_max = side->slept_max;
			if (side->past_max > all.past_max)
				all.past_max = side->past_max;
			if (side->wait_max > all.wait_max)
				all.wait_max = side->wait_max;
		}
		lines("past", mix->subject, mix->where, names[claims][0],
				&all.past, all.past_max);
		lines("past", mix->subject, mix->where, names[claims][1],
				&all.wait, all.wait_max);
		lines("past", mix->subject, mix->where, names[claims][2],
				&all.waited, all.past_max);
		lines("past", mix->subject, mix->where, names[claims][3],
				&all.slept, all.slept_max);
		lines("past", mix->subject, mix->where, names[claims][4],
				&all.overtaken, all.overtaken_max);
		for (unsigned i = 0; i < HIST_SIZE; i++) {
			struct hist one = { { 0 } };

			if (!all.past.count[i])
				continue;
			one.count[i] = 1;
			snprintf(bin, sizeof bin, "%s %.0f", names[claims][0],
					hist_at(&one, 1));
			line("bin", mix->subject, mix->where, bin,
					(double)all.past.count[i]);
		}
	}
	if (mix->claimers == 1 && word_of_claim()) {
		line("past", mix->subject, mix->where, "behind",
				(double)count.behind);
		line("past", mix->subject, mix->where, "overtook",
				(double)count.overtook);
	}
}

static void
run(unsigned threads_n)
{
	unsigned claimers_n = mix->all ? threads_n : mix->claimers
		? mix->claimers : threads_n - 1;

	members_n = threads_n;
	memset(members, 0, sizeof members);
	memset(&count, 0, sizeof count);
	/* relaxed: nobody runs yet */
	own__store(&over, 0, OWN__RELAXED);
	pthread_barrier_init(&start, NULL, threads_n + 1);
	for (unsigned i = 0; i < threads_n; i++) {
		members[i].claims = i < claimers_n;
		if (pthread_create(&members[i].id, NULL, member_main,
				&members[i]))
			wrong("cannot start a thread");
	}
	pthread_barrier_wait(&start);
	nap(smoke ? 30000000 : 1000000000);
	/* relaxed: as member_main() */
	own__store(&over, 1, OWN__RELAXED);
	for (unsigned i = 0; i < threads_n; i++)
		pthread_join(members[i].id, NULL);
	pthread_barrier_destroy(&start);
	print(threads_n);
	if (count.overtook)
		wrong("%s, %s: %lu readers overtook a claimer", mix->subject,
				mix->where, (unsigned long)count.overtook);
	if (mix->claimers == 1 && word_of_claim() &&
			members[0].side.slept_max > threads_n - 1)
		wrong("%s, %s: %lu readers past a sleeping claimer",
				mix->subject, mix->where, (unsigned long)
				members[0].side.slept_max);
}

void
part_past(void)
{
	unsigned threads_n = 8 * cores_n < THREADS_MAX ? 8 * cores_n
		: THREADS_MAX;
	struct own_shared s = { 0 };

	cell_make(&cell, "past");
	map = map_make("past");
	must(own_map_share_u64(map, 1, &s), "share");
	entry_word = &own_i_header(s.object)->word;
	own_shared_release(&s);
	for (unsigned i = 0; i < sizeof mixes / sizeof *mixes; i++) {
		mix = &mixes[i];
		run(threads_n);
	}
	own_map_destroy(map);
	own_cell_destroy(&cell);
}
