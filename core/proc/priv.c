/*
 * priv.c - user switch, descriptor limit, Landlock.
 *
 * glibc has no wrappers for Landlock and Debian 12's headers know its first
 * version only, so the calls are made by number and newer constants are
 * defined here (kernel: Documentation/userspace-api/landlock.rst).
 */
#include "proc/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

#define WRITES_V1 (LANDLOCK_ACCESS_FS_WRITE_FILE | \
	LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
	LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | \
	LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | \
	LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | \
	LANDLOCK_ACCESS_FS_MAKE_SYM)

int
priv_find_user(const char *user, uid_t *uid, gid_t *gid, struct err *e)
{
	struct passwd pw, *found = NULL;
	char buffer[4096];
	int code = getpwnam_r(user, &pw, buffer, sizeof buffer, &found);

	if (!found)
		return err_set(e, ERR_CONFIG, "user `%s`: %s", user, code ?
			"cannot be looked up" : "there is no such user");
	*uid = pw.pw_uid;
	*gid = pw.pw_gid;
	return 0;
}

int
priv_drop(const char *user, struct err *e)
{
	uid_t uid;
	gid_t gid;

	if (geteuid() != 0)
		return 0;
	if (priv_find_user(user, &uid, &gid, e) < 0)
		return -1;
	if (initgroups(user, gid) < 0 || setresgid(gid, gid, gid) < 0 ||
		setresuid(uid, uid, uid) < 0)
		return err_sys(e, "becoming user `%s`", user);
	if (uid != 0 && setuid(0) == 0)
		return err_set(e, ERR_SYS, "root could not be given up");
	return 0;
}

int
priv_drop_but_read(const char *user, struct err *e)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2] = {{0}};
	bool is_root = geteuid() == 0;

	if (is_root && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return err_sys(e, "keeping a capability");
	if (priv_drop(user, e) < 0)
		return -1;
	caps[0].permitted = caps[0].effective = 1u << CAP_DAC_READ_SEARCH;
	if (!is_root || geteuid() == 0)
		return 0;
	/* What a container may not have it does without. */
	if (syscall(SYS_capset, &head, caps) < 0) {
		caps[0].permitted = caps[0].effective = 0;
		if (syscall(SYS_capset, &head, caps) < 0)
			return err_sys(e, "giving up capabilities");
	}
	return 0;
}

static int
allow_writes(int rules, const char *path, uint64_t access, struct err *e)
{
	struct landlock_path_beneath_attr beneath = {.allowed_access = access};
	int code;

	beneath.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (beneath.parent_fd < 0)
		return err_sys(e, "%s", path);
	code = (int)syscall(SYS_landlock_add_rule, rules,
		LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
	close(beneath.parent_fd);
	return code < 0 ? err_sys(e, "confining to %s", path) : 0;
}

static int
landlock(const char *const *writable, size_t n, int abi, struct err *e)
{
	struct landlock_ruleset_attr attr = {.handled_access_fs = WRITES_V1};
	int rules, code = -1;
	size_t i;

	if (abi >= 2)
		attr.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		attr.handled_access_fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
	rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr,
		0);
	if (rules < 0)
		return err_sys(e, "landlock_create_ruleset");
	for (i = 0; i < n; i++)
		if (allow_writes(rules, writable[i], attr.handled_access_fs,
			e) < 0)
			goto out;
	/* /dev/null is opened for writing by libraries. */
	if (allow_writes(rules, "/dev/null", LANDLOCK_ACCESS_FS_WRITE_FILE,
		e) < 0)
		goto out;
	code = (int)syscall(SYS_landlock_restrict_self, rules, 0);
	if (code < 0)
		err_sys(e, "landlock_restrict_self");
out:
	close(rules);
	return code;
}

int
priv_confine(const char *const *writable, size_t n, int *applied,
	struct err *e)
{
	struct rlimit none = {0, 0};
	long abi;

	*applied = 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, "no_new_privs");
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return err_sys(e, "core limit");
	abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
		LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < 1)
		return 0;
	if (landlock(writable, n, (int)abi, e) < 0)
		return -1;
	*applied = 1;
	return 0;
}

void
priv_raise_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		return;
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
}
