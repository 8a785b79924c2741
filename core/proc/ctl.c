/*
 * ctl.c - both ends of the control socket. The master's end runs in its
 * loop.
 */
#include "proc/ctl.h"

#include <errno.h>

#include "base/clock.h"
#include "net/sock.h"
#include "net/stream.h"

#define REQUEST_MAX 4096
#define ANSWER_MAX (1 << 20)

json_t *
ctl_ask(const char *socket_path, const char *verb, int64_t ms, struct err *e)
{
	struct sock_addr addr;
	struct stream s;
	struct str line;
	json_t *answer = NULL;
	json_error_t je;
	char name[256];
	int fd;

	snprintf(name, sizeof name, "unix:%s", socket_path);
	if (sock_parse(str_from(name), &addr, e) < 0)
		return NULL;
	fd = sock_connect(&addr, NULL, clock_mono() + ms, e);
	if (fd < 0) {
		if (e->sys == ENOENT || e->sys == ECONNREFUSED)
			err_set(e, ERR_MISSING, "the server is not running "
				"(nothing answers on %s)", socket_path);
		return NULL;
	}
	stream_init(&s, fd);
	stream_limit(&s, ms, 0);
	stream_printf(&s, "{\"do\": \"%s\"}\r\n", verb);
	if (stream_flush(&s) &&
		stream_line(&s, ANSWER_MAX, &line) == STREAM_LINE_OK)
		answer = json_loadb(line.at, line.len, 0, &je);
	if (!answer)
		err_set(e, ERR_PROTOCOL, "no answer from the server on %s",
			socket_path);
	stream_close(&s);
	return answer;
}

void
ctl_serve(int fd, json_t *(*answer)(void *arg, const char *verb), void *arg)
{
	struct stream s;
	struct str line;
	json_t *request = NULL, *reply;
	json_error_t je;
	const char *verb;
	char *text;

	stream_init(&s, fd);
	stream_limit(&s, 200, 0);
	if (stream_line(&s, REQUEST_MAX, &line) == STREAM_LINE_OK)
		request = json_loadb(line.at, line.len, 0, &je);
	verb = json_string_value(json_object_get(request, "do"));
	reply = verb ? answer(arg, verb) :
		json_pack("{s:s}", "error", "a request is {\"do\": VERB}");
	text = json_dumps(reply, JSON_COMPACT);
	if (text)
		stream_printf(&s, "%s\r\n", text);
	stream_flush(&s);
	free(text);
	json_decref(reply);
	json_decref(request);
	stream_close(&s);
}
