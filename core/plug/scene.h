/*
 * scene.h - one call of a hook as the host functions see it. Private to
 * hooks.c and host.c.
 */
#ifndef PLUG_SCENE_H
#define PLUG_SCENE_H

#include "plug/hooks.h"
#include "plug/watchdog.h"

/* A filter's place in the chain, for one session. */
struct seat {
	struct plugin *plugin;
	const struct mr_filter *filter;
	void *session, *message;
	bool called;		/* connect was: disconnect is owed */
	bool done_session, done_message;
	bool is_counted, has_failed;	/* this message, in its plugin's figures */
};

struct hooks {
	const struct chain *chain;
	struct facts *facts;
	struct seat *seat;	/* chain->n of them */
	bool in_message;
	void (*give_up)(void *arg);
	void *give_up_arg;
	char peer_host[SOCK_TEXT], peer_port[8];
	char local_host[SOCK_TEXT], local_port[8];
};

struct scene {
	struct mr_call call;
	struct hooks *hooks;
	struct seat *seat;
	const char *hook;
	bool is_message;	/* in the message hook: edits are allowed */
	bool asked;		/* its verdict counts */
	bool exact;		/* header values bring their own blank */
	int64_t deadline;	/* clock_mono */
	struct watchdog_call watched;
	struct arena scratch;	/* dies with the call */
	/* what say() said */
	int code;
	char enhanced[12];
	struct str text;
	/* to undo */
	size_t mark;
	struct envelope envelope;
	struct result **results_end;
};

static inline struct scene *
scene_of(struct mr_call *call)
{
	return call->core;
}

/* host_services.c: parts of plug_host. */
void host_dns(struct mr_call *call, const char *name, uint32_t type,
	struct mr_dns_answer *out);
int host_state_get(struct mr_call *call, const char *key,
	struct mr_str *value);
int host_state_set(struct mr_call *call, const char *key, struct mr_str value,
	int64_t ttl_ms);
int host_state_add(struct mr_call *call, const char *key, int64_t by,
	int64_t ttl_ms, int64_t *sum);

/* Adds one to the count of what the filter, which observes, has said. Blocks
 * on the store. */
void scene_count(const struct scene *s, const char *verdict);

/* Remembers the state that the filter's edits start from. */
void scene_mark(struct scene *s);
void scene_undo(struct scene *s);

#endif
