/*
 * remote_parts.h - what the worker's files of remote share. Nobody else
 * includes it.
 */
#ifndef PLUG_REMOTE_PARTS_H
#define PLUG_REMOTE_PARTS_H

#include <pthread.h>

#include "plug/remote.h"
#include "plug/remote_wire.h"
#include "plug/scene.h"

enum hook { HOOK_CONNECT, HOOK_HELO, HOOK_MAIL, HOOK_RCPT, HOOK_DATA,
	HOOK_MESSAGE, HOOK_UNKNOWN, HOOK_RESET, HOOK_DISCONNECT, HOOK_LEARN,
	HOOKS };
extern const char *const remote_hook_names[HOOKS];

/* The hooks in which the message is there. */
static inline bool
remote_has_message(enum hook h)
{
	return h == HOOK_MESSAGE || h == HOOK_LEARN;
}

#define REMOTE_JUNK "junk"	/* what a learn hook is told of */
#define FACT_LAST MR_FACT_LISTENER_PURPOSE

/* A connection to a process, used by one thread at a time. */
struct remote_line {
	struct wire wire;
	int64_t timeout;	/* that is set on it, ms */
	struct buf out;
	struct remote_line *next;
};

/* One process. Under the remote's lock: the rest but number and pid. */
struct remote_process {
	uint64_t number;	/* never twice in a worker */
	pid_t pid;
	struct wire control;
	struct remote_line *idle;
	unsigned users;
	bool is_dead;
	bool is_retired;	/* takes no more; ended by the last who uses it */
	uint64_t messages;	/* that it was shown */
	int status;		/* of waitpid, once it is dead */
	int64_t started;
};

/* What a process says of the plugin it has loaded. */
struct remote_manifest {
	uint32_t hooks;		/* bits 1 << enum hook */
	uint32_t needs, may, wants;
	bool is_open_ended;
	char name[64], version[64];
};

struct remote {
	const struct remote_plan *plan;
	struct remote_manifest manifest;
	struct mr_plugin desc;
	struct mr_filter filter;
	const char *role, *data, *hostname;	/* from open on */
	struct remote_process *first;	/* loaded, not yet open */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Under the lock: */
	struct remote_process *current;		/* NULL: none works */
	bool is_starting, is_closing;
	unsigned trials;		/* in the sandbox, now */
	unsigned losses;		/* in a row, all young */
	int64_t start_at;		/* not before, clock_mono */
};

/* A hook that a session was told of: what to tell a new process first. */
struct remote_record {
	enum hook hook;
	struct str told;	/* what follows the head of the call's frame */
	struct remote_record *next;
};

/* A session's and a message's own, where plugins have theirs. */
struct remote_session {
	uint64_t process;	/* number of the one that knows it; 0: none */
	uint64_t handle;	/* what that one keeps of it; 0: nothing */
	uint64_t messages;
	struct remote_record *connect, *helo;
	bool is_lost;		/* its records end every process */
};
struct remote_message {
	uint64_t number;	/* of it in the session; 0: not told of */
	struct remote_record *first, **last;
	bool is_lost;		/* on_crash was applied */
};

/* remote_process.c: starting, using and ending processes. */
/* Starts one and loads the plugin; sandbox overrules the plan. NULL with
 * *why. */
struct remote_process *remote_process_start(const struct remote *r,
	bool sandbox, struct remote_manifest *m, struct buf *why);
/* Opens the plugin in it. */
int remote_process_open(const struct remote *r, struct remote_process *p,
	struct err *e);
/* Kills, waits, frees what only living ones need. */
void remote_process_kill(struct remote_process *p);
/* Lets it close the plugin, then as kill. */
void remote_process_end(struct remote_process *p);
void remote_process_free(struct remote_process *p);	/* nobody uses it */
struct remote_line *remote_line_new(struct remote_process *p, struct err *e);
void remote_line_free(struct remote_line *l);

/* remote_call.c: one hook over a line. */
struct remote_call {
	struct mr_call *call;
	enum hook hook;
	const char *one, *two;
	struct str told;	/* by remote_call_tell, for the hook */
	enum mr_verdict verdict;	/* what came back */
	bool in_replay;		/* failed, if so, before its own turn */
};
/* Puts together what the plugin is told, once for all tries. -1: too long. */
int remote_call_tell(struct remote_call *c, bool wants_body);
/* Sends it and serves what the plugin asks until its verdict. replay: the
 * hook of a record, whose verdict and edits count for nothing. -1 with e:
 * ERR_CLOSED before anything was sent, ERR_TIMEOUT, ERR_PROTOCOL or ERR_SYS:
 * the process is lost. */
int remote_call_make(struct remote_call *c, struct remote_line *l,
	const struct remote_record *replay, struct err *e);

#endif
