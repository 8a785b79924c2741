/*
 * remote_served.h - one call as the plugin's process sees it. Private to
 * remote_serve.c and remote_table.c.
 */
#ifndef PLUG_REMOTE_SERVED_H
#define PLUG_REMOTE_SERVED_H

#include "plug/remote_parts.h"

/* What a plugin keeps of a session here; made by its first call. */
struct kept {
	struct arena session_arena, message_arena;
	void *session, *message;
	uint64_t message_number;	/* that `message` is of; 0: none */
};

struct served_field {
	uint64_t id;		/* as the worker counts */
	struct str name, value;
};

/* The texts lie in the call's frame, which stays until the hook is back. */
struct served {
	struct scene scene;	/* first: call->core points at both */
	struct hooks hooks;
	struct seat seat;
	struct facts facts;
	struct envelope envelope;
	struct arena arena;	/* of this call */
	struct wire *line;
	struct wire *answers;	/* the same socket, for what is asked for */
	struct buf out;		/* frames that wait to be sent */
	bool is_broken;		/* the worker is gone */
	struct kept *kept;
	int64_t deadline;
	struct str fact[FACT_LAST + 1];
	struct str one, two;	/* at NULL: none */
	struct mr_result *result;
	size_t n_result, n_result_before;
	/* In the message hook. */
	bool is_message;
	struct mr_rcpt *rcpt;
	struct str *rcpt_account;
	size_t n_rcpt;
	struct served_field *field;
	size_t n_field, n_above;
	uint64_t last_id;
	uint64_t body_size;
	bool has_body;
	struct str body;	/* with has_body: its first bytes */
	void *map;		/* what body.at is, if it is a mapping */
	int body_fd;		/* the rest, from body_offset on; -1: none */
	uint64_t body_offset;
	struct message *mirror;	/* once edited */
	bool is_unmirrored;	/* it cannot be */
};

static inline struct served *
served_of(struct mr_call *call)
{
	return call->core;
}

extern const struct mr_host remote_table;
/* Gives back what the table made for the call. */
void remote_table_end(struct served *s);
/* Sends what waits. */
void remote_table_flush(struct served *s);

#endif
