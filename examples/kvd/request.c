/* SPDX-License-Identifier: MIT */
/* request.c - contract in request.h */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <hiredis/sds.h>

#include "request.h"

#if HIREDIS_MAJOR >= 1
#define sdssplitargs		hi_sdssplitargs
#define sdsfreesplitres		hi_sdsfreesplitres
#define sdslen			hi_sdslen
typedef size_t elements_t;
#else
typedef int elements_t;
#endif

__attribute__((format(printf, 2, 3))) static int
refuse(struct parser *p, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(p->why, sizeof(p->why), format, args);
	va_end(args);
	return -EPROTO;
}

/* ---- a request's own storage ---- */

static int
request_reserve(struct request *req, size_t bytes)
{
	char *grown;

	req->args_n = 0;
	req->bytes_n = 0;
	if (bytes <= req->bytes_max)
		return 0;
	grown = realloc(req->bytes, bytes);
	if (!grown)
		return -ENOMEM;
	req->bytes = grown;
	req->bytes_max = bytes;
	return 0;
}

static int
request_add(struct request *req, const char *data, size_t size)
{
	if (req->args_n == REQUEST_ARGS_MAX ||
	    size > req->bytes_max - req->bytes_n)
		return -EOVERFLOW;
	req->arg[req->args_n].data = req->bytes + req->bytes_n;
	req->arg[req->args_n].size = size;
	req->args_n++;
	if (size)
		memcpy(req->bytes + req->bytes_n, data, size);
	req->bytes_n += size;
	return 0;
}

void
request_fini(struct request *req)
{
	free(req->bytes);
	memset(req, 0, sizeof(*req));
}

/* ---- what the reader calls: NULL makes it fail ---- */

static void *
on_array(const redisReadTask *task, elements_t elements_n)
{
	(void)elements_n;
	return task->parent ? NULL : task->privdata;
}

static void *
on_string(const redisReadTask *task, char *data, size_t size)
{
	if (!task->parent || task->type != REDIS_REPLY_STRING ||
	    request_add(task->privdata, data, size))
		return NULL;
	return task->privdata;
}

static void *
on_integer(const redisReadTask *task, long long value)
{
	(void)task;
	(void)value;
	return NULL;
}

static void *
on_nil(const redisReadTask *task)
{
	(void)task;
	return NULL;
}

static void
on_free(void *object)
{
	(void)object;
}

static redisReplyObjectFunctions functions = {
	.createString = on_string,
	.createArray = on_array,
	.createInteger = on_integer,
	.createNil = on_nil,
	.freeObject = on_free,
};

int
parser_init(struct parser *p)
{
	memset(p, 0, sizeof(*p));
	p->reader = redisReaderCreateWithFunctions(&functions);
	return p->reader ? 0 : -ENOMEM;
}

void
parser_fini(struct parser *p)
{
	if (p->reader)
		redisReaderFree(p->reader);
	free(p->line);
	memset(p, 0, sizeof(*p));
}

/* ---- inline requests ---- */

static int
inline_split(struct parser *p, struct request *req)
{
	int args_n = 0, r;
	sds *args = sdssplitargs(p->line, &args_n);

	if (!args)
		return refuse(p, "unbalanced quotes in request");
	r = request_reserve(req, p->line_n);
	if (!r && (uint32_t)args_n > REQUEST_ARGS_MAX)
		r = refuse(p, "too many arguments in inline request");
	for (int i = 0; !r && i < args_n; i++)
		r = request_add(req, args[i], sdslen(args[i]));
	sdsfreesplitres(args, args_n);
	if (r)
		return r;
	/* A web page may make a browser send this, commands in its body. */
	if (req->args_n && ((req->arg[0].size == 4 &&
	     !strncasecmp(req->arg[0].data, "POST", 4)) ||
	    (req->arg[0].size == 5 &&
	     !strncasecmp(req->arg[0].data, "Host:", 5))))
		return refuse(p, "this is not an HTTP server");
	return 1;
}

static int
inline_feed(struct parser *p, const char *data, size_t size,
		struct request *req, size_t *ret_used)
{
	const char *lf = memchr(data, '\n', size);
	size_t n = lf ? (size_t)(lf - data) : size;
	char *grown;
	int r;

	if (p->line_n + n > REQUEST_INLINE_MAX)
		return refuse(p, "too big inline request");
	grown = realloc(p->line, p->line_n + n + 1);
	if (!grown)
		return -ENOMEM;
	p->line = grown;
	if (n)
		memcpy(p->line + p->line_n, data, n);
	p->line_n += n;
	*ret_used = lf ? n + 1 : n;
	if (!lf)
		return 0;
	if (p->line_n && p->line[p->line_n - 1] == '\r')
		p->line_n--;
	p->line[p->line_n] = '\0';
	if (strlen(p->line) != p->line_n)
		return refuse(p, "zero byte in inline request");
	r = inline_split(p, req);
	free(p->line);
	p->line = NULL;
	p->line_n = 0;
	p->state = PARSER_START;
	return r;
}

/* ---- the guard ---- */

/* One character of a header's number: 0, or 1 at its '\r', or -EPROTO. */
static int
header_digit(struct parser *p, char c, uint64_t max, const char *what)
{
	if (c == '\r' && p->digits)
		return 1;
	if (c < '0' || c > '9' || p->digits == 10)
		return refuse(p, "invalid %s length", what);
	p->digits++;
	p->value = p->value * 10 + (uint64_t)(c - '0');
	if (p->value > max)
		return refuse(p, "%s length above %llu", what,
				(unsigned long long)max);
	return 0;
}

static void
header_start(struct parser *p, enum parser_state state)
{
	p->state = state;
	p->digits = 0;
	p->value = 0;
}

static int
guard_size(struct parser *p)
{
	p->bytes += p->value;
	if (p->bytes > REQUEST_BYTES_MAX)
		return refuse(p, "request above %u bytes", REQUEST_BYTES_MAX);
	p->body_left = p->value;
	p->state = p->body_left ? PARSER_BODY : PARSER_BODY_CR;
	return 0;
}

/* One character outside a body: 0, or 1 at the end of the request. */
static int
guard_step(struct parser *p, char c)
{
	int r;

	switch (p->state) {
	case PARSER_COUNT:
		r = header_digit(p, c, REQUEST_ARGS_MAX, "multibulk");
		if (r > 0)
			p->state = PARSER_COUNT_LF;
		return r < 0 ? r : 0;
	case PARSER_SIZE:
		r = header_digit(p, c, REQUEST_BULK_MAX, "bulk");
		if (r > 0)
			p->state = PARSER_SIZE_LF;
		return r < 0 ? r : 0;
	case PARSER_DOLLAR:
		if (c != '$')
			return isprint((unsigned char)c) ?
				refuse(p, "expected '$', got '%c'", c) :
				refuse(p, "expected '$', got byte %u",
						(unsigned char)c);
		header_start(p, PARSER_SIZE);
		return 0;
	case PARSER_BODY_CR:
		if (c != '\r')
			return refuse(p, "bulk string longer than announced");
		p->state = PARSER_BODY_LF;
		return 0;
	default:
		break;
	}
	if (c != '\n')
		return refuse(p, "expected a line feed");
	switch (p->state) {
	case PARSER_COUNT_LF:
		p->args_left = (uint32_t)p->value;
		p->state = PARSER_DOLLAR;
		return !p->args_left;
	case PARSER_SIZE_LF:
		return guard_size(p);
	default:		/* PARSER_BODY_LF */
		p->state = PARSER_DOLLAR;
		return !--p->args_left;
	}
}

static int
guard_feed(struct parser *p, const char *data, size_t size, size_t *ret_used)
{
	size_t i = 0, n;
	int r = 0;

	while (i < size && !r) {
		if (p->state == PARSER_BODY) {
			n = size - i < p->body_left ? size - i : p->body_left;
			i += n;
			p->body_left -= n;
			if (!p->body_left)
				p->state = PARSER_BODY_CR;
		} else if (p->state == PARSER_START) {
			i++;	/* the caller saw that it is a '*' */
			p->bytes = 0;
			header_start(p, PARSER_COUNT);
		} else {
			r = guard_step(p, data[i++]);
		}
	}
	*ret_used = i;
	return r;
}

int
parser_feed(struct parser *p, const char *data, size_t size,
		struct request *req, size_t *ret_used)
{
	void *reply = NULL;
	int r;

	*ret_used = 0;
	if (!size)
		return 0;
	if (p->state == PARSER_START && data[0] != '*')
		p->state = PARSER_INLINE;
	if (p->state == PARSER_INLINE)
		return inline_feed(p, data, size, req, ret_used);
	r = guard_feed(p, data, size, ret_used);
	if (r < 0)
		return r;
	if (redisReaderFeed(p->reader, data, *ret_used) != REDIS_OK)
		return -ENOMEM;
	if (!r)
		return 0;
	r = request_reserve(req, p->bytes);
	if (r)
		return r;
	p->reader->privdata = req;
	if (redisReaderGetReply(p->reader, &reply) != REDIS_OK)
		return refuse(p, "%.60s", redisReaderGetError(p->reader));
	if (!reply)
		return refuse(p, "incomplete request");
	p->state = PARSER_START;
	return 1;
}
