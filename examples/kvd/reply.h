/* SPDX-License-Identifier: MIT */
/*
 * reply.h - replies on their way to a client
 *
 * An out collects the replies to one batch of requests as bytes of its own
 * and references to values that stay where they are, by detached handles that
 * it keeps until it is reset.
 *
 * Errors     Remembered: a failed out ends its connection.
 */
#ifndef KVD_REPLY_H
#define KVD_REPLY_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>
#include <own/own.h>

/* Smaller values are copied: that is cheaper than an entry in the vector. */
#define OUT_REFER_MIN	16384u

/* Value bytes that stand before byte @at of the out's own. */
struct out_ref {
	size_t at;
	const char *data;
	size_t size;
};

struct out {
	char *data;
	size_t data_n, data_max;
	struct out_ref *ref;
	size_t refs_n, refs_max;
	struct own_shared *kept;
	size_t kept_n, kept_max;
	size_t bytes;		/* in all */
	int failed;		/* 0 or -ENOMEM */
};

struct out *out_create(void);
void out_destroy(struct out *o);
/* Releases what it keeps and forgets all bytes; keeps a moderate buffer. */
void out_reset(struct out *o);

void out_status(struct out *o, const char *text);
void out_error(struct out *o, const char *format, ...)
		__attribute__((format(printf, 2, 3)));
void out_integer(struct out *o, int64_t n);
void out_nil(struct out *o);
void out_array(struct out *o, size_t n);
void out_bulk(struct out *o, const char *data, size_t size);
void out_text(struct out *o, const char *text);

/* Without copying: @data stands by @kept, which is taken over and emptied. */
void out_bulk_kept(struct out *o, const char *data, size_t size,
		struct own_shared *kept);
/* The bytes of @from, which keeps nothing. */
void out_append(struct out *o, const struct out *from);

/* A place to go back to, as if nothing had been added since. */
struct out_mark {
	size_t data_n, refs_n, bytes;
};

struct out_mark out_mark(const struct out *o);
void out_rewind(struct out *o, struct out_mark mark);

/*
 * out_vector - what is to be written after the first @skip bytes
 *
 * Returns the number of buffers, at most @bufs_max: the last may not be the
 * end.
 */
unsigned out_vector(const struct out *o, size_t skip, uv_buf_t *bufs,
		unsigned bufs_max);

#endif
