/* SPDX-License-Identifier: MIT */
/*
 * request.h - bytes of a client to requests, within limits
 *
 * A request is a flat array of bulk strings, or an inline line. hiredis'
 * reader parses the arrays, but it is made for replies: it takes any type,
 * nested, and believes the sizes that headers announce. So each byte passes a
 * guard first, which knows the one shape that a request has and refuses the
 * rest before anything is allocated for it; the reader is fed one request at
 * a time and asked when that is complete.
 *
 * Threads    One at a time per parser.
 * Memory     A parser keeps up to REQUEST_BYTES_MAX of an incomplete request.
 * Errors     0, 1 where a request is complete, or a negative errno.
 */
#ifndef KVD_REQUEST_H
#define KVD_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <hiredis/hiredis.h>

#define REQUEST_ARGS_MAX	1024u
#define REQUEST_BULK_MAX	(1024u * 1024)
#define REQUEST_INLINE_MAX	65536u
/* all arguments together */
#define REQUEST_BYTES_MAX	(2u * 1024 * 1024)

struct arg {
	const char *data;
	size_t size;
};

/* Arguments of the last complete request; may serve many parsers in turn. */
struct request {
	struct arg arg[REQUEST_ARGS_MAX];
	uint32_t args_n;
	char *bytes;
	size_t bytes_n, bytes_max;
};

enum parser_state {
	PARSER_START, PARSER_INLINE, PARSER_COUNT, PARSER_COUNT_LF,
	PARSER_DOLLAR, PARSER_SIZE, PARSER_SIZE_LF, PARSER_BODY,
	PARSER_BODY_CR, PARSER_BODY_LF,
};

struct parser {
	enum parser_state state;
	uint32_t digits;	/* of the header being read */
	uint64_t value;		/* its number so far */
	uint32_t args_left;
	size_t body_left;
	size_t bytes;		/* announced by the headers of this request */
	char *line;		/* an incomplete inline request, or NULL */
	size_t line_n;
	redisReader *reader;
	char why[80];		/* after -EPROTO: what to tell the client */
};

int parser_init(struct parser *p);
void parser_fini(struct parser *p);

/*
 * parser_feed - go on with @data
 * @ret_used: how much of it was consumed, up to the end of a request
 *
 * Returns 1 when @req holds a request (of no arguments: nothing to answer), 0
 * when more input is needed, -EPROTO with p->why, or -ENOMEM; after an error
 * the parser can only be ended.
 */
int parser_feed(struct parser *p, const char *data, size_t size,
		struct request *req, size_t *ret_used);

void request_fini(struct request *req);

#endif
