/*
 * file.c - whole files, folders, temporary files, and what went wrong in
 * words.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"

static char folder[] = "/tmp/unit-file.XXXXXX";
static char path[200];

static const char *
in_folder(const char *name)
{
	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

static int
make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int
drop_folder(void **state)
{
	static const char *const names[] = {"a", "d/e/f", "d/e", "d", ""};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(names); i++)
		remove(in_folder(names[i]));
	return 0;
}

static void
test_replace_and_read(void **state)
{
	static const char *const contents[] = {"first", "", "second\n"};
	struct err e = {0};
	struct arena a;
	struct stat st;
	struct str s;
	size_t i;

	(void)state;
	arena_init(&a);
	for (i = 0; i < COUNT(contents); i++) {
		assert_int_equal(file_replace(in_folder("a"),
			str_from(contents[i]), i ? 0600 : 0644, &e), 0);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, i ? 0600 : 0644);
		assert_int_equal(file_read(path, 7, &a, &s, &e), 0);
		assert_true(str_is(s, contents[i]));
		assert_int_equal(s.at[s.len], 0);
	}
	assert_int_equal(file_read(path, 6, &a, &s, &e), -1);
	assert_int_equal(e.kind, ERR_FULL);
	assert_int_equal(file_read(folder, 6, &a, &s, &e), -1);
	assert_non_null(strstr(e.text, "not a regular file"));
	assert_int_equal(file_read(in_folder("none"), 6, &a, &s, &e), -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(e.sys, ENOENT);
	assert_non_null(strstr(e.text, "/none: No such file"));
	/* A failure leaves neither the name nor a temporary file. */
	assert_int_equal(file_replace(in_folder("no/b"), STR("x"), 0600, &e),
		-1);
	assert_int_equal(e.sys, ENOENT);
	assert_int_equal(file_replace(folder, STR("x"), 0600, &e), -1);
	arena_free(&a);
}

static void
test_temp(void **state)
{
	struct err e = {0};
	struct stat st;
	char out[6];
	int fd = file_temp(folder, &e);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_nlink, 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(file_write_all(fd, "abcdef", 6, &e), 0);
	assert_int_equal(file_pread_all(fd, out, 3, 2, &e), 0);
	assert_memory_equal(out, "cde", 3);
	assert_int_equal(file_pread_all(fd, out, 6, 2, &e), -1);
	assert_non_null(strstr(e.text, "unexpected end"));
	assert_int_equal(file_pread_all(fd, out, 0, 99, &e), 0);
	close(fd);
	assert_int_equal(file_write_all(fd, "a", 1, &e), -1);
	assert_int_equal(e.sys, EBADF);
	assert_int_equal(file_temp(in_folder("none"), &e), -1);
}

static void
test_mkdirs(void **state)
{
	struct err e = {0};
	struct stat st;

	(void)state;
	assert_int_equal(file_mkdirs(in_folder("d/e/f"), 0700, &e), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(file_mkdirs(path, 0700, &e), 0);
	assert_int_equal(file_replace(in_folder("a"), STR(""), 0600, &e), 0);
	assert_int_equal(file_mkdirs(path, 0700, &e), -1);
	assert_non_null(strstr(e.text, "not a folder"));
	assert_int_equal(file_mkdirs(in_folder("a/b"), 0700, &e), -1);
	assert_int_equal(e.sys, ENOTDIR);
	assert_int_equal(file_mkdirs(in_folder("d/e/"), 0700, &e), 0);
}

/* Errors are one line that always ends. */
static void
test_err(void **state)
{
	char big[500];
	struct err e;

	(void)state;
	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	assert_int_equal(err_set(NULL, ERR_SYS, "x"), -1);
	assert_int_equal(err_sys(NULL, "x"), -1);
	assert_int_equal(err_wrap(NULL, "x"), -1);
	assert_int_equal(err_set(&e, ERR_DNS, "%s", big), -1);
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
	err_wrap(&e, "%s", big);
	assert_int_equal(e.kind, ERR_DNS);
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
	errno = ENOSPC;
	err_sys(&e, "%s", big);
	assert_int_equal(e.kind, ERR_FULL);
	assert_int_equal(errno, ENOSPC);
	err_set(&e, ERR_DNS, "inner");
	err_wrap(&e, "outer %d", 1);
	assert_string_equal(e.text, "outer 1: inner");
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_replace_and_read),
	cmocka_unit_test(test_temp),
	cmocka_unit_test(test_mkdirs),
	cmocka_unit_test(test_err),
};

int
main(void)
{
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
