/* SPDX-License-Identifier: MIT */
/*
 * own/when.h - for who must not wait: a note when it is worth another try
 *
 * An event loop cannot block in own_cell_claim(), and should not poll with
 * own_cell_claim_try(). The verbs of this file try, and if they are refused
 * with -EBUSY they leave a note (struct own_when) at what stands in the way.
 * When that goes, the note fires, once: it adds 1 to an eventfd, or calls a
 * function. Then the verb is called again.
 *
 *	struct own_when when = OWN_WHEN_EVENTFD(fd);
 *	...
 *	r = own_cell_claim_when(&cell, &when, &u);
 *	if (r == -EBUSY)
 *		return;			// to the loop; fd becomes readable
 *
 * A note holds no place in a line. It may fire early: because another one came
 * first, or because the next of several readers stands in the way; the verb
 * says -EBUSY then and the note is armed anew. It is never late: what goes
 * after the verb has returned -EBUSY fires it. Where readers come and go
 * without a gap a claim by note can be passed over for as long as they do;
 * own_cell_claim(), on a thread that may wait, cannot.
 *
 * The note is the caller's memory: no allocation, no limit on their number.
 * It stays where it is while it is armed, on whatever thread that was done,
 * and whether or not that thread still runs; own_when_cancel() ends that.
 */
#ifndef OWN_WHEN_H
#define OWN_WHEN_H

#include <own/cell.h>
#include <own/map.h>

OWN_BEGIN_DECLS

/*
 * Runs once, on the thread whose verb let go, inside that verb and under a
 * lock of the library: hand a message on and return. It must not wait, and not
 * call libown: own_when_cancel(), another note or a wake-up stop the process.
 */
typedef void (*own_when_fn)(void *arg);

struct own_when {
	own_when_fn fn;			/* or NULL: the eventfd */
	void *arg;
	int fd;
	/* the library's */
	uint32_t bits;
	const uint32_t *address;	/* shared: what it is armed at, or 0 */
	const void *container;
	const struct own_site *site;
	struct own_when *next;
	struct own_when **link;
};

/*
 * @fd: an eventfd(2), better with EFD_NONBLOCK; open while the note is armed.
 * A write that fails, but for a full counter, goes to the stall hook.
 */
#define OWN_WHEN_EVENTFD(fd)						\
	{ NULL, NULL, (fd), 0, NULL, NULL, NULL, NULL, NULL }
#define OWN_WHEN_CALL(fn, arg)						\
	{ (fn), (arg), -1, 0, NULL, NULL, NULL, NULL, NULL }

/*
 * own_when_cancel - disarm a note
 *
 * Returns 0 if it was armed: it will not fire. -ENOENT if it was not: it has
 * fired, and its function has returned, or it never was. In both cases the
 * memory is the caller's again. Any thread, but not beside a verb that arms
 * the same note. Waits for a function that runs, and for nothing else.
 */
OWN_API int own_when_cancel(struct own_when *when);

/* What the verbs below do before and after the try; deadline OWN__WHEN. */
OWN_API OWN_MUST_CHECK int own__when_begin(struct own_when *when,
		const void *container, const struct own_site *site);
OWN_API int own__when_end(struct own_when *when, int r);

/*
 * own_cell_share_when(cell, when, ret)
 * own_cell_claim_when(cell, when, ret)
 * own_map_share_when(map, key, when, ret)
 * own_map_claim_when(map, key, when, ret)
 * own_map_claim_or_new_when(map, key, when, ret, &made)
 * own_map_share_all_when(map, when, ret)
 * own_map_claim_all_when(map, when, ret)
 *
 * As the _try form, never waits; and with -EBUSY @when is armed, or has fired
 * already. With any other result it is not armed. A note that was armed is
 * disarmed first. A cell or map that is destroyed while a note is armed at it
 * stops the process. An error of the type's copy that happens to be -EBUSY
 * arms nothing: own_when_cancel() says -ENOENT.
 */
OWN_MUST_CHECK OWN__INLINE int own_cell_share_when_at(struct own_cell *cell,
		struct own_when *when, struct own_shared *ret,
		const struct own_site *site) OWN__TAKES_SHARED(ret);
OWN_MUST_CHECK OWN__INLINE int own_cell_claim_when_at(struct own_cell *cell,
		struct own_when *when, struct own_unique *ret,
		const struct own_site *site) OWN__TAKES_UNIQUE(ret);
OWN_MUST_CHECK OWN__INLINE int own_map_share_when_at(struct own_map *map,
		struct own_bytes key, struct own_when *when,
		struct own_shared *ret, const struct own_site *site)
		OWN__TAKES_SHARED(ret);
OWN_MUST_CHECK OWN__INLINE int own__map_claim_when(struct own_map *map,
		struct own_bytes key, struct own_when *when,
		struct own_unique *ret, int *made, const struct own_site *site)
		OWN__TAKES_UNIQUE(ret);
OWN_MUST_CHECK OWN__INLINE int own_map_share_all_when_at(struct own_map *map,
		struct own_when *when, struct own_shared *ret,
		const struct own_site *site) OWN__TAKES_SHARED(ret);
OWN_MUST_CHECK OWN__INLINE int own_map_claim_all_when_at(struct own_map *map,
		struct own_when *when, struct own_unique *ret,
		const struct own_site *site) OWN__TAKES_UNIQUE(ret);

#define own_cell_share_when(cell, when, ret)				\
	own_cell_share_when_at(cell, when, ret, OWN_HERE)
#define own_cell_claim_when(cell, when, ret)				\
	own_cell_claim_when_at(cell, when, ret, OWN_HERE)
#define own_map_share_when(map, key, when, ret)				\
	own_map_share_when_at(map, key, when, ret, OWN_HERE)
#define own_map_claim_when(map, key, when, ret)				\
	own__map_claim_when(map, key, when, ret, NULL, OWN_HERE)
#define own_map_claim_or_new_when(map, key, when, ret, made)		\
	own__map_claim_when(map, key, when, ret, made, OWN_HERE)
#define own_map_share_all_when(map, when, ret)				\
	own_map_share_all_when_at(map, when, ret, OWN_HERE)
#define own_map_claim_all_when(map, when, ret)				\
	own_map_claim_all_when_at(map, when, ret, OWN_HERE)
#define own_map_share_when_u64(map, number, when, ret)			\
	own_map_share_when(map, own__u64(number), when, ret)
#define own_map_claim_when_u64(map, number, when, ret)			\
	own_map_claim_when(map, own__u64(number), when, ret)
#define own_map_claim_or_new_when_u64(map, number, when, ret, made)	\
	own_map_claim_or_new_when(map, own__u64(number), when, ret, made)

/* ---- bodies ---- */

#define OWN__WHEN_BODY(when, container, site, verb)			\
	do {								\
		int own__r = own__when_begin(when, container, site);	\
									\
		if (own__r)						\
			return own__r;					\
		return own__when_end(when, verb);			\
	} while (0)

OWN__VERB_BODY OWN__INLINE int
own_cell_share_when_at(struct own_cell *cell, struct own_when *when,
		struct own_shared *ret, const struct own_site *site)
{
	OWN__WHEN_BODY(when, cell, site, own__cell_share_any(cell, OWN__WHEN,
			ret, site));
}

OWN__VERB_BODY OWN__INLINE int
own_cell_claim_when_at(struct own_cell *cell, struct own_when *when,
		struct own_unique *ret, const struct own_site *site)
{
	OWN__WHEN_BODY(when, cell, site, own__cell_claim_any(cell, OWN__WHEN,
			ret, site));
}

OWN__VERB_BODY OWN__INLINE int
own_map_share_when_at(struct own_map *map, struct own_bytes key,
		struct own_when *when, struct own_shared *ret,
		const struct own_site *site)
{
	OWN__WHEN_BODY(when, map, site, own__map_share_any(map, key, OWN__WHEN,
			ret, site));
}

OWN__VERB_BODY OWN__INLINE int
own__map_claim_when(struct own_map *map, struct own_bytes key,
		struct own_when *when, struct own_unique *ret, int *made,
		const struct own_site *site)
{
	OWN__WHEN_BODY(when, map, site, own__map_claim_any(map, key, OWN__WHEN,
			ret, made, site));
}

OWN__VERB_BODY OWN__INLINE int
own_map_share_all_when_at(struct own_map *map, struct own_when *when,
		struct own_shared *ret, const struct own_site *site)
{
	OWN__WHEN_BODY(when, map, site, own__map_share_all_any(map, OWN__WHEN,
			ret, site));
}

OWN__VERB_BODY OWN__INLINE int
own_map_claim_all_when_at(struct own_map *map, struct own_when *when,
		struct own_unique *ret, const struct own_site *site)
{
	OWN__WHEN_BODY(when, map, site, own__map_claim_all_any(map, OWN__WHEN,
			ret, site));
}

OWN_END_DECLS
#endif
