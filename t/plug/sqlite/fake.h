/*
 * fake.h - a host for a store plugin under test: it loads the module, fills
 * the settings from their defaults and opens it.
 */
#ifndef PLUG_SQLITE_FAKE_H
#define PLUG_SQLITE_FAKE_H

#include <mailroom/store.h>

#include <stdbool.h>

struct fake {
	const struct mr_plugin *plugin;
	const struct mr_store *op;
	void *self;
};

/* Numbers for settings, up to a name of NULL. */
struct fake_setting {
	const char *name;
	int64_t value;
};

/* Opens the store in `folder`/sqlite; ends the program when that fails.
 * settings may be NULL. */
void fake_open(struct fake *f, const char *folder,
	const struct fake_setting *settings);
/* The same, returning what open said; "" if it went well. */
const char *fake_try(struct fake *f, const char *folder,
	const struct fake_setting *settings);
void fake_close(struct fake *f);
/* A new folder under $TMPDIR or /tmp, and its end with all in it. */
const char *fake_folder(void);
void fake_folder_remove(const char *folder);
int64_t fake_now_ms(void);
/* fake_add makes an account; the others fail the program on any error. */
void fake_add(struct fake *f, const char *account);
void fake_mailbox(struct fake *f, const char *account, const char *name,
	struct mr_mailbox *out);
/* Commits `length` bytes made from `number` (see fake_body) to one mailbox,
 * which is made if need be; returns the store's code. */
int fake_commit(struct fake *f, const char *account, const char *mailbox,
	unsigned number, size_t length, struct mr_placement *out,
	struct mr_error *err);
/* Bytes that no other number has; number and length can be read off them. */
char *fake_body(unsigned number, size_t length);
/* Whether the message is exactly what fake_commit wrote; its number. */
bool fake_is_whole(struct fake *f, int64_t message, unsigned *number);

#endif
