/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * keys.h - the private keys of our domains. Any thread.
 */
#ifndef DKIM_KEYS_H
#define DKIM_KEYS_H

/* A key in use: DIR/DOMAIN/KIND is a link to SELECTOR.pem beside it, KIND is
 * "rsa" or "ed25519". A link that changes is noticed at the next message. */
struct key {
	char selector[64];
	unsigned char *pem;	/* NUL-ended */
};

struct keys *keys_new(const char *folder);
void keys_free(struct keys *k);
/* NULL: there is none. The key stays until keys_free. may block on disk;
 * trouble with a key that is there is in *why (200), else "". */
const struct key *keys_find(struct keys *k, const char *domain,
	const char *kind, char *why);

#endif
