/* SPDX-License-Identifier: MIT */
/*
 * config.c - the configuration, in an exclusive cell, and CONFIG
 *
 * CONFIG SET claims the cell, so it changes all its parameters or none, and
 * whoever reads meanwhile waits the moment that takes.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvd.h"

OWN_TYPE(config, struct config);

/* get writes the value; set returns 0 or -EINVAL, NULL: fixed at the start */
struct param {
	const char *name;
	void (*get)(const struct server *server, const struct config *config,
			char *buf, size_t size);
	int (*set)(struct config *config, const char *value);
};

static void
get_no(const struct server *server, const struct config *config, char *buf,
		size_t size)
{
	(void)server;
	(void)config;
	snprintf(buf, size, "no");
}

static void
get_bind(const struct server *server, const struct config *config, char *buf,
		size_t size)
{
	(void)config;
	snprintf(buf, size, "%s", server->bind);
}

static void
get_data(const struct server *server, const struct config *config, char *buf,
		size_t size)
{
	(void)server;
	snprintf(buf, size, "%s", config->data);
}

/*
 * A plain name, so that no client can make the server open a file outside the
 * directory it was started with.
 */
static int
set_data(struct config *config, const char *value)
{
	if (!*value || strlen(value) > KVD_NAME_MAX || strchr(value, '/') ||
	    !strcmp(value, ".") || !strcmp(value, ".."))
		return -EINVAL;
	memset(config->data, 0, sizeof(config->data));
	strcpy(config->data, value);
	return 0;
}

static void
get_dir(const struct server *server, const struct config *config, char *buf,
		size_t size)
{
	(void)config;
	snprintf(buf, size, "%s", server->dir_name);
}

static int
set_u32(uint32_t *to, const char *value, uint32_t min, uint32_t max)
{
	size_t digits = strspn(value, "0123456789");
	unsigned long n = strtoul(value, NULL, 10);

	if (!digits || digits > 9 || value[digits] || n < min || n > max)
		return -EINVAL;
	*to = (uint32_t)n;
	return 0;
}

static void
get_maxclients(const struct server *server, const struct config *config,
		char *buf, size_t size)
{
	(void)server;
	snprintf(buf, size, "%u", config->clients_max);
}

static int
set_maxclients(struct config *config, const char *value)
{
	return set_u32(&config->clients_max, value, 1, KVD_CLIENTS_MAX);
}

static void
get_port(const struct server *server, const struct config *config, char *buf,
		size_t size)
{
	(void)config;
	snprintf(buf, size, "%u", server->port);
}

/* Redis' name for snapshots to disk, which clients ask for: there are none. */
static void
get_save(const struct server *server, const struct config *config, char *buf,
		size_t size)
{
	(void)server;
	(void)config;
	(void)size;
	*buf = '\0';
}

static void
get_store(const struct server *server, const struct config *config, char *buf,
		size_t size)
{
	(void)config;
	snprintf(buf, size, "%s", server->store->ops->name);
}

static void
get_threads(const struct server *server, const struct config *config,
		char *buf, size_t size)
{
	(void)config;
	snprintf(buf, size, "%u", server->loops_n);
}

static void
get_write_timeout(const struct server *server, const struct config *config,
		char *buf, size_t size)
{
	(void)server;
	snprintf(buf, size, "%u", config->write_timeout_ms);
}

static int
set_write_timeout(struct config *config, const char *value)
{
	return set_u32(&config->write_timeout_ms, value, 1, 3600000);
}

static const struct param params[] = {
	{ "appendonly", get_no, NULL },
	{ "bind", get_bind, NULL },
	{ "data", get_data, set_data },
	{ "dir", get_dir, NULL },
	{ "maxclients", get_maxclients, set_maxclients },
	{ "port", get_port, NULL },
	{ "save", get_save, NULL },
	{ "store", get_store, NULL },
	{ "threads", get_threads, NULL },
	{ "write-timeout-ms", get_write_timeout, set_write_timeout },
};

#define PARAMS_N	(sizeof(params) / sizeof(params[0]))
/* Longer patterns match no name; fnmatch() need not see them. */
#define PATTERN_MAX	32u

int
config_init(struct server *server, const struct config *initial)
{
	struct own_unique u = { 0 };
	int r = config_new(&u);

	if (r)
		return r;
	*config_edit(&u) = *initial;
	r = own_cell_init(&server->config, &config_type, OWN_EXCLUSIVE,
			"configuration", &u);
	own_unique_release(&u);
	return r;
}

void
config_fini(struct server *server)
{
	own_cell_destroy(&server->config);
}

int
config_now(struct server *server, struct config *ret)
{
	return config_read(&server->config, ret);
}

static void
config_get_matching(struct server *server, const struct request *req,
		struct out *o)
{
	struct own_shared seen = { 0 };
	bool match[PARAMS_N] = { false };
	char text[PATTERN_MAX + 1], value[4096];
	size_t n = 0;
	int r = own_cell_share(&server->config, &seen);

	if (r) {
		out_error(o, "ERR %s", strerror(-r));
		return;
	}
	for (uint32_t a = 2; a < req->args_n; a++) {
		if (req->arg[a].size > PATTERN_MAX)
			continue;
		memcpy(text, req->arg[a].data, req->arg[a].size);
		text[req->arg[a].size] = '\0';
		for (size_t i = 0; i < PARAMS_N; i++)
			if (!match[i] && !fnmatch(text, params[i].name,
					FNM_CASEFOLD)) {
				match[i] = true;
				n++;
			}
	}
	out_array(o, n * 2);
	for (size_t i = 0; i < PARAMS_N; i++) {
		if (!match[i])
			continue;
		params[i].get(server, config_get(&seen), value, sizeof(value));
		out_text(o, params[i].name);
		out_text(o, value);
	}
	own_shared_release(&seen);
}

/* Changes one parameter of @config, or says why not. */
static int
config_set(struct config *config, const struct arg *name,
		const struct arg *value, struct out *o)
{
	char text[KVD_NAME_MAX + 2];
	const struct param *p = params;

	while (p < params + PARAMS_N && !arg_is(name, p->name))
		p++;
	if (p == params + PARAMS_N || !p->set) {
		out_error(o, "ERR CONFIG SET failed: %s '%.*s'",
				p == params + PARAMS_N ? "no parameter" :
				"fixed at the start:",
				(int)(name->size < 64 ? name->size : 64),
				name->data);
		return -EINVAL;
	}
	if (value->size < sizeof(text) &&
	    !memchr(value->data, '\0', value->size)) {
		memcpy(text, value->data, value->size);
		text[value->size] = '\0';
		if (!p->set(config, text))
			return 0;
	}
	out_error(o, "ERR CONFIG SET failed: bad value for '%s'", p->name);
	return -EINVAL;
}

static void
config_set_all(struct server *server, const struct request *req,
		struct out *o)
{
	struct own_unique u = { 0 };
	struct config changed;
	int r = own_cell_claim(&server->config, &u);

	if (r) {
		out_error(o, "ERR %s", strerror(-r));
		return;
	}
	changed = *config_edit(&u);
	for (uint32_t a = 2; !r && a < req->args_n; a += 2)
		r = config_set(&changed, &req->arg[a], &req->arg[a + 1], o);
	if (!r) {
		*config_edit(&u) = changed;
		out_status(o, "OK");
	}
	own_unique_commit(&u);
}

void
config_command(struct server *server, const struct request *req,
		struct out *o)
{
	if (arg_is(&req->arg[1], "GET") && req->args_n >= 3)
		config_get_matching(server, req, o);
	else if (arg_is(&req->arg[1], "SET") && req->args_n >= 4 &&
			req->args_n % 2 == 0)
		config_set_all(server, req, o);
	else
		out_error(o, "ERR CONFIG takes GET <pattern>... or SET"
				" <name> <value>...");
}
