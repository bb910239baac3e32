/* SPDX-License-Identifier: MIT */
/*
 * command.c - what each request does
 *
 * Those on keys are in keys.c. Errors of use are replies; the connection goes
 * on.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "kvd.h"

typedef void (*command_fn)(struct conn *c, const struct request *req,
		struct out *o);

/* As Redis: arguments with the name; negative: at least so many. */
struct command {
	const char *name;
	int arity;
	int first_key, last_key;
	command_fn run;
};

/* The i-th command; NULL past the last. */
static const struct command *command_at(size_t i);

bool
arg_is(const struct arg *arg, const char *text)
{
	return arg->size == strlen(text) &&
		!strncasecmp(arg->data, text, arg->size);
}

static void
reload(struct conn *c, const struct request *req, struct out *o)
{
	int r = conn_reload(c);

	(void)req;
	if (r)
		out_error(o, "ERR cannot start a reload: %s", strerror(-r));
}

/* ---- the connection ---- */

static void
ping(struct conn *c, const struct request *req, struct out *o)
{
	(void)c;
	if (req->args_n > 2)
		out_error(o, "ERR wrong number of arguments for 'ping'"
				" command");
	else if (req->args_n == 2)
		out_bulk(o, req->arg[1].data, req->arg[1].size);
	else
		out_status(o, "PONG");
}

static void
echo(struct conn *c, const struct request *req, struct out *o)
{
	(void)c;
	out_bulk(o, req->arg[1].data, req->arg[1].size);
}

static void
quit(struct conn *c, const struct request *req, struct out *o)
{
	(void)req;
	out_status(o, "OK");
	c->last = true;
}

/* As Redis: printable and without blanks, so that CLIENT LIST stays one line */
static int
set_name(struct conn *c, const struct arg *name, struct out *o)
{
	bool good = name->size <= KVD_CLIENT_NAME_MAX;

	for (size_t i = 0; good && i < name->size; i++)
		good = name->data[i] > ' ' && name->data[i] <= '~';
	if (!good) {
		out_error(o, "ERR Client names have at most %d characters, no"
				" spaces, newlines or special ones",
				KVD_CLIENT_NAME_MAX);
		return -EINVAL;
	}
	pthread_mutex_lock(&c->loop->lock);
	memcpy(c->name, name->data, name->size);
	c->name[name->size] = '\0';
	pthread_mutex_unlock(&c->loop->lock);
	return 0;
}

static void
hello_map(struct conn *c, struct out *o)
{
	out_array(o, 14);
	out_text(o, "server");
	out_text(o, "kvd");
	out_text(o, "version");
	out_text(o, KVD_VERSION);
	out_text(o, "proto");
	out_integer(o, 2);
	out_text(o, "id");
	out_integer(o, (int64_t)c->id);
	out_text(o, "mode");
	out_text(o, "standalone");
	out_text(o, "role");
	out_text(o, "master");
	out_text(o, "modules");
	out_array(o, 0);
}

static void
hello(struct conn *c, const struct request *req, struct out *o)
{
	if (req->args_n > 1 && !arg_is(&req->arg[1], "2")) {
		out_error(o, "NOPROTO unsupported protocol version");
		return;
	}
	if (req->args_n == 4 && arg_is(&req->arg[2], "SETNAME")) {
		if (set_name(c, &req->arg[3], o))
			return;
	} else if (req->args_n > 2) {
		out_error(o, "ERR HELLO takes 2 and SETNAME <name>");
		return;
	}
	hello_map(c, o);
}

/* ---- text that grows ---- */

struct text {
	char *data;
	size_t n, max;
};

__attribute__((format(printf, 2, 3))) static void
text_add(struct text *t, const char *format, ...)
{
	char line[512], *grown;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (n <= 0)
		return;
	if ((size_t)n >= sizeof(line))
		n = (int)sizeof(line) - 1;
	if (t->max - t->n < (size_t)n) {
		grown = realloc(t->data, t->max * 2 + 4096);
		if (!grown)
			return;
		t->data = grown;
		t->max = t->max * 2 + 4096;
	}
	memcpy(t->data + t->n, line, (size_t)n);
	t->n += (size_t)n;
}

/* ---- CLIENT ---- */

static void
client_list(struct server *server, struct out *o)
{
	struct text t = { 0 };

	for (uint32_t i = 0; i < server->loops_n; i++) {
		struct loop *loop = server->loop[i];

		pthread_mutex_lock(&loop->lock);
		for (struct conn *c = loop->conns; c; c = c->next)
			text_add(&t, "id=%" PRIu64 " addr=%s name=%s loop=%u"
					"\n", c->id, c->peer, c->name, i);
		pthread_mutex_unlock(&loop->lock);
	}
	out_bulk(o, t.data, t.n);
	free(t.data);
}

static void
client(struct conn *c, const struct request *req, struct out *o)
{
	const struct arg *verb = &req->arg[1];

	if (arg_is(verb, "ID") && req->args_n == 2) {
		out_integer(o, (int64_t)c->id);
	} else if (arg_is(verb, "GETNAME") && req->args_n == 2) {
		if (*c->name)
			out_text(o, c->name);
		else
			out_nil(o);
	} else if (arg_is(verb, "SETNAME") && req->args_n == 3) {
		if (!set_name(c, &req->arg[2], o))
			out_status(o, "OK");
	} else if (arg_is(verb, "SETINFO") && req->args_n == 4) {
		/* libraries tell their name; there is no use for it here */
		out_status(o, "OK");
	} else if (arg_is(verb, "LIST") && req->args_n == 2) {
		client_list(c->loop->server, o);
	} else {
		out_error(o, "ERR CLIENT takes ID, GETNAME, SETNAME <name>,"
				" SETINFO <name> <value> or LIST");
	}
}

/* ---- INFO ---- */

static uint64_t
sum(const struct server *server, size_t offset)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < server->loops_n; i++)
		n += counted((const uint64_t *)(const void *)
				((const char *)server->loop[i] + offset));
	return n;
}

static void
info_server(struct conn *c, struct text *t)
{
	const struct server *s = c->loop->server;

	text_add(t, "kvd_version:%s\r\nprocess_id:%ld\r\ntcp_port:%u\r\n"
			"threads:%u\r\nuptime_in_seconds:%" PRIu64 "\r\n",
			KVD_VERSION, (long)getpid(), s->port, s->loops_n,
			(own_now_ns() - s->start_ns) / 1000000000u);
}

static void
info_clients(struct conn *c, struct text *t)
{
	struct server *s = c->loop->server;
	struct config config;

	if (config_now(s, &config))
		return;
	text_add(t, "connected_clients:%" PRIu64 "\r\nmaxclients:%u\r\n",
			counted(&s->clients), config.clients_max);
}

static void
info_stats(struct conn *c, struct text *t)
{
	const struct server *s = c->loop->server;

	text_add(t, "total_connections_received:%" PRIu64 "\r\n"
			"rejected_connections:%" PRIu64 "\r\n"
			"total_commands_processed:%" PRIu64 "\r\n"
			"protocol_errors:%" PRIu64 "\r\n",
			sum(s, offsetof(struct loop, accepted)),
			sum(s, offsetof(struct loop, refused)),
			sum(s, offsetof(struct loop, requests)),
			sum(s, offsetof(struct loop, protocol_errors)));
	text_add(t, "reloads:%" PRIu64 "\r\nreloads_failed:%" PRIu64 "\r\n",
			counted(&s->reloads), counted(&s->reloads_failed));
}

static void
info_store(struct conn *c, struct text *t)
{
	struct store *store = c->loop->server->store;
	struct own_reclaim_stats stats;
	struct view view = { 0 };
	uint64_t keys;

	if (store->ops->enter(store, READ, NULL, &view))
		return;
	keys = store->ops->count(store, &view);
	store->ops->leave(store, &view);
	text_add(t, "store:%s\r\nkeys:%" PRIu64 "\r\n", store->ops->name,
			keys);
	own_reclaim_stats(&stats);
	text_add(t, "retired_objects:%" PRIu64 "\r\nfreed_objects:%" PRIu64
			"\r\npending_objects:%" PRIu64 "\r\nscans:%" PRIu64
			"\r\nmembarriers:%" PRIu64 "\r\n",
			stats.retired_objects, stats.freed_objects,
			stats.pending_objects, stats.scans,
			stats.membarriers);
}

static const struct {
	const char *name, *title;
	void (*write)(struct conn *c, struct text *t);
} sections[] = {
	{ "server", "# Server", info_server },
	{ "clients", "# Clients", info_clients },
	{ "stats", "# Stats", info_stats },
	{ "store", "# Store", info_store },
};

static void
info(struct conn *c, const struct request *req, struct out *o)
{
	struct text t = { 0 };

	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		bool wanted = req->args_n == 1;

		for (uint32_t a = 1; a < req->args_n; a++)
			wanted |= arg_is(&req->arg[a], sections[i].name) ||
				arg_is(&req->arg[a], "all") ||
				arg_is(&req->arg[a], "default") ||
				arg_is(&req->arg[a], "everything");
		if (!wanted)
			continue;
		text_add(&t, "%s%s\r\n", t.n ? "\r\n" : "", sections[i].title);
		sections[i].write(c, &t);
	}
	out_bulk(o, t.data, t.n);
	free(t.data);
}

static void
config(struct conn *c, const struct request *req, struct out *o)
{
	config_command(c->loop->server, req, o);
}

/* ---- COMMAND ---- */

static void
describe(const struct command *command, struct out *o)
{
	out_array(o, 6);
	out_text(o, command->name);
	out_integer(o, command->arity);
	out_array(o, 1);
	out_status(o, command->run == command_set ||
			command->run == command_del ||
			command->run == command_incr ||
			command->run == command_append ||
			command->run == command_expire ||
			command->run == command_flushall ? "write" :
			"readonly");
	out_integer(o, command->first_key);
	out_integer(o, command->last_key);
	out_integer(o, command->first_key ? 1 : 0);
}

static const struct command *
lookup(const struct arg *name)
{
	const struct command *found;

	for (size_t i = 0; (found = command_at(i)); i++)
		if (arg_is(name, found->name))
			break;
	return found;
}

static void
command_info(const struct request *req, struct out *o)
{
	out_array(o, req->args_n - 2);
	for (uint32_t a = 2; a < req->args_n; a++) {
		const struct command *found = lookup(&req->arg[a]);

		if (found)
			describe(found, o);
		else
			out_nil(o);
	}
}

static void
command(struct conn *c, const struct request *req, struct out *o)
{
	const struct arg *verb = &req->arg[1];
	size_t commands_n = 0;

	(void)c;
	while (command_at(commands_n))
		commands_n++;
	if (req->args_n == 1) {
		out_array(o, commands_n);
		for (size_t i = 0; i < commands_n; i++)
			describe(command_at(i), o);
	} else if (arg_is(verb, "COUNT") && req->args_n == 2) {
		out_integer(o, (int64_t)commands_n);
	} else if (arg_is(verb, "LIST") && req->args_n == 2) {
		out_array(o, commands_n);
		for (size_t i = 0; i < commands_n; i++)
			out_text(o, command_at(i)->name);
	} else if (arg_is(verb, "DOCS")) {
		/* a map of no entries: clients then show no hints */
		out_array(o, 0);
	} else if (arg_is(verb, "INFO") && req->args_n > 2) {
		command_info(req, o);
	} else {
		out_error(o, "ERR COMMAND takes nothing, COUNT, LIST, DOCS or"
				" INFO <name>...");
	}
}

static const struct command commands[] = {
	{ "get", 2, 1, 1, command_get },
	{ "set", -3, 1, 1, command_set },
	{ "del", -2, 1, -1, command_del },
	{ "incr", 2, 1, 1, command_incr },
	{ "append", 3, 1, 1, command_append },
	{ "expire", 3, 1, 1, command_expire },
	{ "ttl", 2, 1, 1, command_ttl },
	{ "mget", -2, 1, -1, command_mget },
	{ "exists", -2, 1, -1, command_exists },
	{ "scan", -2, 0, 0, command_scan },
	{ "dbsize", 1, 0, 0, command_dbsize },
	{ "flushall", 1, 0, 0, command_flushall },
	{ "reload", 1, 0, 0, reload },
	{ "ping", -1, 0, 0, ping },
	{ "echo", 2, 0, 0, echo },
	{ "info", -1, 0, 0, info },
	{ "config", -2, 0, 0, config },
	{ "command", -1, 0, 0, command },
	{ "client", -2, 0, 0, client },
	{ "hello", -1, 0, 0, hello },
	{ "quit", -1, 0, 0, quit },
};

static const struct command *
command_at(size_t i)
{
	return i < sizeof(commands) / sizeof(commands[0]) ? &commands[i] :
		NULL;
}

void
command_run(struct conn *c, const struct request *req, struct out *o)
{
	const struct arg *name = &req->arg[0];
	const struct command *found = lookup(name);
	int given = (int)req->args_n;

	if (!found)
		out_error(o, "ERR unknown command '%.*s'",
				(int)(name->size < 64 ? name->size : 64),
				name->data);
	else if (found->arity < 0 ? given < -found->arity :
			given != found->arity)
		out_error(o, "ERR wrong number of arguments for '%s' command",
				found->name);
	else
		found->run(c, req, o);
}
