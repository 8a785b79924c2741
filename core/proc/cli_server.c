/*
 * cli_server.c - mailroom status, reload, stop.
 */
#include "proc/cli.h"

#include "base/clock.h"
#include "proc/ctl.h"

#define ANSWER_MS 5000

static void
print_workers(const json_t *workers)
{
	size_t i;
	json_t *w;

	json_array_foreach(workers, i, w) {
		char since[32];

		cli_when(clock_wall() - json_integer_value(
			json_object_get(w, "uptime_ms")), since);
		printf("  %-8s pid %-8lld %s, started %s, %lld restart%s\n",
			json_string_value(json_object_get(w, "kind")),
			(long long)json_integer_value(
				json_object_get(w, "pid")),
			json_is_true(json_object_get(w, "ready")) ? "ready" :
				"not ready", since,
			(long long)json_integer_value(
				json_object_get(w, "crashes")),
			json_integer_value(json_object_get(w, "crashes")) ==
				1 ? "" : "s");
	}
}

/* Those that ever crashed. */
static void
print_plugins(const json_t *plugins)
{
	size_t i;
	json_t *p;

	json_array_foreach(plugins, i, p)
		printf("  plugin %s: crashed %lld times%s, its process started "
			"again %lld times\n",
			json_string_value(json_object_get(p, "name")),
			(long long)json_integer_value(
				json_object_get(p, "crashes")),
			json_is_true(json_object_get(p, "moved")) ?
				", moved out of the workers" : "",
			(long long)json_integer_value(
				json_object_get(p, "restarts")));
}

/* The store's figures, added to the master's answer. */
static int
add_figures(struct cli *c, json_t *status)
{
	int64_t messages = -1, queued = -1, held = -1, bytes = -1;
	struct mr_error me = {{0}};
	int code;

	if (cli_need_store(c))
		return 1;
	code = c->store.op->figures(c->store.self, &messages, &queued, &held,
		&bytes, &me);
	if (code)
		return cli_fail_store("status", code, &me);
	json_object_set_new(status, "messages", json_integer(messages));
	json_object_set_new(status, "queued", json_integer(queued));
	json_object_set_new(status, "held", json_integer(held));
	json_object_set_new(status, "bytes", json_integer(bytes));
	return 0;
}

static void
print_status(const json_t *s)
{
	char size[32];

	printf("mailroomd is %s: pid %lld, generation %lld\n",
		json_is_true(json_object_get(s, "ready")) ? "running" :
			"starting or stopping",
		(long long)json_integer_value(json_object_get(s, "pid")),
		(long long)json_integer_value(
			json_object_get(s, "generation")));
	if (json_integer_value(json_object_get(s, "rolled_back_from")))
		printf("rolled back from generation %lld: %s\n",
			(long long)json_integer_value(json_object_get(s,
			"rolled_back_from")), json_string_value(
			json_object_get(s, "rolled_back_why")));
	print_workers(json_object_get(s, "workers"));
	print_plugins(json_object_get(s, "plugins"));
	cli_size((uint64_t)json_integer_value(json_object_get(s, "bytes")),
		size);
	printf("%lld messages (%s), %lld queued, %lld held\n",
		(long long)json_integer_value(json_object_get(s, "messages")),
		size,
		(long long)json_integer_value(json_object_get(s, "queued")),
		(long long)json_integer_value(json_object_get(s, "held")));
}

static json_t *
ask(struct cli *c, const char *verb, const char *what)
{
	struct err e = {0};
	json_t *answer;
	const char *refused;

	if (cli_need_config(c))
		return NULL;
	answer = ctl_ask(c->config->server.control_socket, verb, ANSWER_MS,
		&e);
	if (!answer) {
		cli_fail(what, &e);
		return NULL;
	}
	refused = json_string_value(json_object_get(answer, "error"));
	if (!refused)
		return answer;
	fprintf(stderr, "mailroom: %s: %s\n", what, refused);
	json_decref(answer);
	return NULL;
}

static int
server_status(struct cli *c, int argc, char **argv)
{
	json_t *status = ask(c, "status", "status");

	(void)argc;
	(void)argv;
	if (!status)
		return 1;
	if (add_figures(c, status)) {
		json_decref(status);
		return 1;
	}
	if (c->json)
		return cli_print_json(status);
	print_status(status);
	json_decref(status);
	return 0;
}

static int
order(struct cli *c, const char *verb, const char *done)
{
	json_t *answer = ask(c, verb, verb);

	if (!answer)
		return 1;
	if (c->json)
		return cli_print_json(answer);
	puts(done);
	json_decref(answer);
	return 0;
}

static int
server_reload(struct cli *c, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return order(c, "reload", "reloading");
}

static int
server_stop(struct cli *c, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return order(c, "stop", "stopping");
}

const struct cli_verb cli_server_verbs[] = {
	{"status", NULL, 0, 0, server_status, "", "is it running, and how"},
	{"reload", NULL, 0, 0, server_reload, "",
		"take up a changed configuration"},
	{"stop", NULL, 0, 0, server_stop, "", "end the server"},
	{NULL, NULL, 0, 0, NULL, NULL, NULL},
};
