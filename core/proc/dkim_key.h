/*
 * dkim_key.h - the key files of the dkim plugin: FOLDER/DOMAIN/SELECTOR.pem,
 * and beside them the links "rsa" and "ed25519" to those that sign.
 *
 * What a key is follows from the files alone: the one that a link names is in
 * use; one that is younger than the link waits to be published; an older one
 * has been in use.
 */
#ifndef PROC_DKIM_KEY_H
#define PROC_DKIM_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

struct config;

enum dkim_kind { DKIM_RSA, DKIM_ED25519, DKIM_KINDS };
enum dkim_state { DKIM_IN_USE, DKIM_WAITING, DKIM_PAST };

struct dkim_key {
	enum dkim_kind kind;
	enum dkim_state state;
	int64_t since_ms;	/* wall clock: made, or put out of use */
	const char *selector;
	const char *name;	/* SELECTOR._domainkey.DOMAIN */
	const char *record;	/* of the TXT record */
};

const char *dkim_kind_name(enum dkim_kind k);
const char *dkim_state_name(enum dkim_state s);

/* Where the plugin looks: [plugin.dkim] keys, or the data folder. */
const char *dkim_folder(const struct config *c, struct arena *a);
/* Keys of a domain by selector, in the arena. 0 keys if the folder is not
 * there. -1: a file cannot be read. */
int dkim_keys(const char *folder, const char *domain, struct arena *a,
	struct dkim_key **out, size_t *n, struct err *e);
/* A new key of each kind, not in use. */
int dkim_make(const char *folder, const char *domain, struct arena *a,
	struct err *e);
/* Makes the newest waiting key of each kind sign. */
int dkim_switch(const char *folder, const char *domain, struct arena *a,
	struct err *e);
int dkim_remove(const char *folder, const char *domain, const char *selector,
	struct err *e);

#endif
