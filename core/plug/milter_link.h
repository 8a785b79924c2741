/*
 * milter_link.h - the way to one outside filter: its settings, the connection
 * of a session, and the gate that all sessions of the process pass.
 *
 * The gate bounds how many connections the filter has at once, and is shut
 * for a while after it failed several times in a row, so that a dead filter
 * costs one client its time and not each. Everything here belongs to the
 * session's thread but for the gate, which has its own lock.
 */
#ifndef PLUG_MILTER_LINK_H
#define PLUG_MILTER_LINK_H

#include <pthread.h>
#include <stdbool.h>

#include <mailroom/plugin.h>

#include "base/buf.h"
#include "base/err.h"
#include "net/stream.h"
#include "plug/milter_wire.h"

/* From `failures` on: under the lock. */
struct milter_gate {
	pthread_mutex_t lock;
	pthread_cond_t freed;
	int64_t failures;	/* in a row */
	int64_t shut_until;	/* clock_mono; 0: not shut */
	bool is_trying;		/* one session looks whether it is well again */
	int64_t in_use;		/* connections */
};

struct milter_config {		/* [milter.NAME], then the gate */
	const char *socket;
	struct mr_list exec;
	int64_t connect_timeout, negotiate_timeout, start_timeout;
	int64_t command_timeout, data_timeout, end_timeout;
	int64_t on_failure;
	int64_t connections, connection_wait;
	int64_t breaker_failures, breaker_pause;
	struct mr_list macros;			/* "NAME=VALUE" */
	struct mr_list names[MILTER_STAGES];	/* of more macros */
	struct milter_gate gate;
};

/* milter_settings.c: the rows that fill it, and the plugin's open. */
extern const struct mr_setting milter_settings[];
int milter_open(void *config, struct mr_open *o);

struct milter_link {
	struct stream stream;
	struct buf in, out;	/* frame data */
	struct milter_options options;
	bool open;		/* negotiated and well */
};

/* Looks whether the socket's text can be one. -1: it says why. */
int milter_link_check(const char *socket, struct err *e);
/* A descriptor connected to it within ms, nothing sent yet. Blocks. */
int milter_link_dial(const char *socket, int64_t ms, struct err *e);
/* Where a filter that we start ourselves listens if nothing else is said:
 * a path of its own for each NAME and command. */
void milter_link_own_socket(struct buf *out, const char *data,
	const char *name, const struct mr_list *exec);
/* For the start: asks the filter for its options until it answers, within
 * start_timeout. -1: the last try's error. */
int milter_link_await(const struct milter_config *m, struct err *e);

void milter_gate_init(struct milter_gate *g);
/* Passes the gate, connects and negotiates. Blocks. Symbol lists live in the
 * session's arena. -1: what stands against it; the gate knows of it. */
int milter_link_open(struct milter_link *l, struct mr_call *c, struct err *e);
/* Nothing if it is not open. */
void milter_link_close(struct milter_link *l, struct milter_config *m);
/* The next answer, progress left out. -1: failed. */
int milter_link_hear(struct milter_link *l, int64_t timeout, struct err *e);
/* An answer that nobody asked for is there: -1. */
int milter_link_check_quiet(struct milter_link *l, struct err *e);

/* How it went, for the gate. failed: true if the gate is shut now by this. */
bool milter_gate_failed(struct milter_config *m);
void milter_gate_well(struct milter_config *m);

#endif
