/*
 * mfapi_load.c - starting and ending a libmilter filter inside the process,
 * and the functions of libmilter that it calls meanwhile.
 *
 * A filter was written to own its process. While it starts, signals are
 * blocked on its thread, and afterwards the process is put back as it was:
 * umask, working directory, signal handlers, locale, getopt; what had to be
 * put back is logged. A filter that changes the user is refused. One that
 * calls exit, fork or chroot cannot be held back here.
 *
 * A renamed main runs on a thread of its own. Its smfi_main says that the
 * filter is ready and returns only when it is unloaded, as with libmilter.
 * After smfi_stop no call-back runs any more, xxfi_close included: main goes
 * on to free what they use.
 *
 * Start-up thread, but for mfapi_enter and mfapi_leave (any session) and the
 * smfi_ functions (any thread of the filter). `setting_up` and `opened` are
 * under list_lock.
 */
#include "plug/mfapi_parts.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/log.h"

#define START_MOST 60		/* seconds until smfi_main */
#define STOP_MOST 10		/* seconds for main to return */

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct mfapi *setting_up, *opened;
/* Whose code runs on this thread. */
static __thread struct mfapi *current;

/* --------------------------------------------------- state of the process */

struct process {
	mode_t mask;
	int folder;
	char path[PATH_MAX];
	struct sigaction signal[NSIG];
	char *locale;
	int index;
	uid_t user;
	gid_t group;
};

static mode_t
mask_now(void)
{
	mode_t mask = umask(077);

	umask(mask);
	return mask;
}

static void
process_save(struct process *p)
{
	const char *locale = setlocale(LC_ALL, NULL);
	int i;

	p->mask = mask_now();
	p->folder = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (!getcwd(p->path, sizeof p->path))
		p->path[0] = '\0';
	for (i = 1; i < NSIG; i++)
		sigaction(i, NULL, &p->signal[i]);
	p->locale = mem_cstr(locale ? locale : "C");
	p->user = geteuid();
	p->group = getegid();
	p->index = optind;
	optind = 0;	/* glibc: from the very beginning */
}

static bool
restore_folder(struct process *p)
{
	char path[PATH_MAX];
	bool moved = getcwd(path, sizeof path) && strcmp(path, p->path) != 0;

	if (moved && (p->folder < 0 || fchdir(p->folder) < 0))
		log_error("filter.folder", LOG_S("error", strerror(errno)));
	if (p->folder >= 0)
		close(p->folder);
	return moved;
}

static bool
restore_signals(const struct process *p)
{
	struct sigaction now;
	bool changed = false;
	int i;

	for (i = 1; i < NSIG; i++) {
		if (sigaction(i, NULL, &now) < 0 ||
			now.sa_handler == p->signal[i].sa_handler)
			continue;
		sigaction(i, &p->signal[i], NULL);
		changed = true;
	}
	return changed;
}

static bool
restore_locale(struct process *p)
{
	const char *now = setlocale(LC_ALL, NULL);
	bool changed = now && strcmp(now, p->locale) != 0;

	if (changed)
		setlocale(LC_ALL, p->locale);
	free(p->locale);
	return changed;
}

/* -1: something that cannot be put back. */
static int
process_restore(struct process *p, const char *name, struct mr_open *o)
{
	bool mask = mask_now() != p->mask;
	bool folder = restore_folder(p), signals = restore_signals(p);
	bool locale = restore_locale(p);

	umask(p->mask);
	optind = p->index;
	if (mask || folder || signals || locale)
		log_warn("filter.restored", LOG_S("plugin", name),
			LOG_S("umask", mask ? "changed" : "kept"),
			LOG_S("folder", folder ? "changed" : "kept"),
			LOG_S("signals", signals ? "changed" : "kept"),
			LOG_S("locale", locale ? "changed" : "kept"));
	if (geteuid() == p->user && getegid() == p->group)
		return 0;
	snprintf(o->error, o->error_size, "the filter changed the user of "
		"the whole process: set it up without a user of its own");
	return -1;
}

/* A filter that does not like its arguments says so and exits. */
static void
note_exit(void)
{
	if (setting_up)
		log_error("filter.exit", LOG_S("plugin", setting_up->name),
			LOG_S("text", "the filter ended the process while it "
			"was starting; look at its own messages and at "
			"`args`"));
}

/* -------------------------------------------------------------- binding */

bool
mfapi_is(void *module)
{
	return dlsym(module, MFAPI_TABLE) || dlsym(module, MFAPI_MAIN);
}

void
mfapi_bind(void *config, void *module, const char *name, struct arena *a)
{
	struct mfapi_config *c = config;
	struct mfapi *f = arena_alloc(a, sizeof *f);
	size_t i;

	f->name = name;
	*(void **)&f->table = dlsym(module, MFAPI_TABLE);
	*(void **)&f->main = dlsym(module, MFAPI_MAIN);
	if (f->table)
		f->main = NULL;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->changed, NULL);
	f->argv = arena_alloc(a, (c->args.n + 2) * sizeof *f->argv);
	f->argv[f->argc++] = arena_cstr(a, str_from(name));
	for (i = 0; i < c->args.n; i++)
		f->argv[f->argc++] = arena_cstr(a, str_from(c->args.item[i]));
	c->filter = f;
}

/* ---------------------------------------------------------- registration */

/* The filter that the calling thread belongs to: one whose call-back it
 * runs, the one that is starting, or the only one there is. */
static struct mfapi *
mine(void)
{
	struct mfapi *f = current;

	if (f)
		return f;
	pthread_mutex_lock(&list_lock);
	f = setting_up;
	if (!f && opened && !opened->next)
		f = opened;
	pthread_mutex_unlock(&list_lock);
	return f;
}

static const struct {
	size_t offset;
	uint32_t step;
} steps[] = {
	{offsetof(struct smfiDesc, xxfi_connect), MILTER_NO_CONNECT},
	{offsetof(struct smfiDesc, xxfi_helo), MILTER_NO_HELO},
	{offsetof(struct smfiDesc, xxfi_envfrom), MILTER_NO_MAIL},
	{offsetof(struct smfiDesc, xxfi_envrcpt), MILTER_NO_RCPT},
	{offsetof(struct smfiDesc, xxfi_header), MILTER_NO_HEADERS},
	{offsetof(struct smfiDesc, xxfi_eoh), MILTER_NO_EOH},
	{offsetof(struct smfiDesc, xxfi_body), MILTER_NO_BODY},
	{offsetof(struct smfiDesc, xxfi_unknown), MILTER_NO_UNKNOWN},
	{offsetof(struct smfiDesc, xxfi_data), MILTER_NO_DATA},
};

/* Of a table of an older version only the part that it has is looked at. */
static int
take_table(struct mfapi *f, const struct smfiDesc *d)
{
	size_t size = sizeof *d, i;
	void *call_back;

	if (d->xxfi_version == 2)
		size = offsetof(struct smfiDesc, xxfi_unknown);
	else if (d->xxfi_version == 3)
		size = offsetof(struct smfiDesc, xxfi_data);
	else if (d->xxfi_version == 4)
		size = offsetof(struct smfiDesc, xxfi_negotiate);
	else if (SM_LM_VRS_MAJOR(d->xxfi_version) !=
		SM_LM_VRS_MAJOR(SMFI_VERSION))
		return MI_FAILURE;
	f->desc = (struct smfiDesc){0};
	memcpy(&f->desc, d, size);
	f->steps = 0;
	for (i = 0; i < sizeof steps / sizeof *steps; i++) {
		memcpy(&call_back, (char *)&f->desc + steps[i].offset,
			sizeof call_back);
		if (!call_back)
			f->steps |= steps[i].step;
	}
	f->registered = true;
	return MI_SUCCESS;
}

int
smfi_register(struct smfiDesc table)
{
	struct mfapi *f = mine();

	return f ? take_table(f, &table) : MI_FAILURE;
}

/* ------------------------------------------------------- starting, ending */

static void
set_state(struct mfapi *f, int state)
{
	pthread_mutex_lock(&f->lock);
	f->state = state;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

/* Waits until the state is no longer `from`; false: it took too long. */
static bool
await_state(struct mfapi *f, int from, int seconds)
{
	struct timespec until;
	int code = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += seconds;
	pthread_mutex_lock(&f->lock);
	while ((int)f->state == from && code != ETIMEDOUT)
		code = pthread_cond_timedwait(&f->changed, &f->lock, &until);
	pthread_mutex_unlock(&f->lock);
	return code != ETIMEDOUT;
}

static void *
run_main(void *arg)
{
	struct mfapi *f = arg;

	current = f;
	f->status = f->main(f->argc, f->argv);
	__atomic_store_n(&f->stopping, 1, __ATOMIC_SEQ_CST);
	set_state(f, MFAPI_RETURNED);
	return NULL;
}

static int
start_main(struct mfapi *f, struct mr_open *o)
{
	sigset_t all, before;
	int code;

	f->state = MFAPI_STARTING;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(&f->thread, NULL, run_main, f);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (code) {
		f->state = MFAPI_IDLE;
		snprintf(o->error, o->error_size, "no thread: %s",
			strerror(code));
		return -1;
	}
	if (!await_state(f, MFAPI_STARTING, START_MOST))
		snprintf(o->error, o->error_size, "its main did not come to "
			"smfi_main within %d seconds", START_MOST);
	else if (f->state == MFAPI_RETURNED)
		snprintf(o->error, o->error_size, "its main returned %d "
			"before it came to smfi_main", f->status);
	else
		return 0;
	pthread_detach(f->thread);
	return -1;
}

static int
ask_table(struct mfapi *f, struct mr_open *o)
{
	struct smfiDesc *d;

	current = f;
	d = f->table(f->argc, f->argv);
	current = NULL;
	if (!d)
		snprintf(o->error, o->error_size, MFAPI_TABLE
			" gave no table of call-backs");
	else if (take_table(f, d) != MI_SUCCESS)
		snprintf(o->error, o->error_size, "it is written for libmilter "
			"version 0x%x", (unsigned)d->xxfi_version);
	return d && f->registered ? 0 : -1;
}

int
smfi_main(void)
{
	struct mfapi *f = mine();

	if (!f || !f->main || !f->registered ||
		!pthread_equal(pthread_self(), f->thread))
		return MI_FAILURE;
	pthread_mutex_lock(&f->lock);
	f->state = MFAPI_READY;
	pthread_cond_broadcast(&f->changed);
	while (!__atomic_load_n(&f->stopping, __ATOMIC_SEQ_CST) ||
		__atomic_load_n(&f->running, __ATOMIC_SEQ_CST))
		pthread_cond_wait(&f->changed, &f->lock);
	pthread_mutex_unlock(&f->lock);
	return MI_SUCCESS;
}

static void
stop(struct mfapi *f)
{
	pthread_mutex_lock(&f->lock);
	__atomic_store_n(&f->stopping, 1, __ATOMIC_SEQ_CST);
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

/* Ends the filter, not the server. */
int
smfi_stop(void)
{
	struct mfapi *f = mine();

	if (!f)
		return MI_FAILURE;
	log_warn("filter.stop", LOG_S("plugin", f->name));
	stop(f);
	return MI_SUCCESS;
}

bool
mfapi_enter(struct mfapi *f)
{
	__atomic_add_fetch(&f->running, 1, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&f->stopping, __ATOMIC_SEQ_CST)) {
		current = f;
		return true;
	}
	mfapi_leave(f);
	return false;
}

void
mfapi_leave(struct mfapi *f)
{
	current = NULL;
	if (__atomic_sub_fetch(&f->running, 1, __ATOMIC_SEQ_CST) ||
		!__atomic_load_n(&f->stopping, __ATOMIC_SEQ_CST))
		return;
	pthread_mutex_lock(&f->lock);
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

/* A filter keeps what it knows in variables of its module, which there is
 * one of. */
static bool
is_open_already(const struct mfapi *f, struct mr_open *o)
{
	const struct mfapi *other = opened;

	while (other && (other->table != f->table || other->main != f->main))
		other = other->next;
	if (other)
		snprintf(o->error, o->error_size, "the module serves "
			"[plugin.%s] already, and a libmilter filter has one "
			"state: copy the file", other->name);
	return other != NULL;
}

static void
set_up(struct mfapi *f)
{
	pthread_mutex_lock(&list_lock);
	setting_up = f;
	pthread_mutex_unlock(&list_lock);
}

int
mfapi_open(void *config, struct mr_open *o)
{
	static bool watched;
	struct mfapi *f = ((struct mfapi_config *)config)->filter;
	struct process *before;
	int code;

	if (is_open_already(f, o))
		return -1;
	if (!watched)
		atexit(note_exit);
	watched = true;
	before = mem_alloc(sizeof *before);
	process_save(before);
	set_up(f);
	code = f->main ? start_main(f, o) : ask_table(f, o);
	set_up(NULL);
	if (process_restore(before, f->name, o) < 0)
		code = -1;
	free(before);
	if (code < 0) {
		stop(f);
		return -1;
	}
	pthread_mutex_lock(&list_lock);
	f->next = opened;
	opened = f;
	pthread_mutex_unlock(&list_lock);
	return 0;
}

void
mfapi_close(void *config)
{
	struct mfapi *f = ((struct mfapi_config *)config)->filter, **at;

	pthread_mutex_lock(&list_lock);
	for (at = &opened; *at && *at != f; at = &(*at)->next)
		;
	if (*at)
		*at = f->next;
	pthread_mutex_unlock(&list_lock);
	stop(f);
	if (!f->main)
		return;
	if (await_state(f, MFAPI_READY, STOP_MOST)) {
		pthread_join(f->thread, NULL);
		return;
	}
	log_warn("filter.stays", LOG_S("plugin", f->name),
		LOG_S("text", "its main does not return"));
	pthread_detach(f->thread);
}

/* ------------------------------- what concerns a socket that is not there */

int
smfi_opensocket(bool remove_old)
{
	(void)remove_old;
	return MI_SUCCESS;
}

int
smfi_setconn(char *where)
{
	return where && *where ? MI_SUCCESS : MI_FAILURE;
}

int
smfi_setbacklog(int length)
{
	return length > 0 ? MI_SUCCESS : MI_FAILURE;
}

int
smfi_settimeout(int seconds)
{
	(void)seconds;
	return MI_SUCCESS;
}

int
smfi_setdbg(int level)
{
	(void)level;
	return MI_SUCCESS;
}

size_t
smfi_setmaxdatasize(size_t size)
{
	(void)size;
	return MILTER_DATA_MOST;
}
