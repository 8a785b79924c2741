/*
 * driver.c - main of a fuzz program where clang's libFuzzer is not at hand:
 * replays the seeds it is given, then damaged copies of them for a while.
 * Understands -max_total_time=SECONDS and -artifact_prefix=PATH.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <time.h>

#define INPUT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seed {
	uint8_t *data;
	size_t size;
};

static struct seed seeds[4096];
static size_t n_seeds;
static const char *artifact = "./";

static void
load(const char *path)
{
	uint8_t *data = malloc(INPUT_MAX);
	FILE *f = fopen(path, "rb");

	if (!data || !f || n_seeds == 4096) {
		free(data);
		if (f)
			fclose(f);
		return;
	}
	seeds[n_seeds].data = data;
	seeds[n_seeds++].size = fread(data, 1, INPUT_MAX, f);
	fclose(f);
}

static void
load_folder(const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *entry;
	char path[4096];

	while (d && (entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		load(path);
	}
	if (d)
		closedir(d);
}

/* The input is written before it is tried: a crash leaves it behind. */
static void
try_input(const uint8_t *data, size_t size)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof path, "%slast-input", artifact);
	f = fopen(path, "wb");
	if (f) {
		fwrite(data, 1, size, f);
		fclose(f);
	}
	LLVMFuzzerTestOneInput(data, size);
}

static size_t
damage(const struct seed *s, uint8_t *out)
{
	size_t size = s->size;
	int changes = 1 + rand() % 8;

	memcpy(out, s->data, size);
	while (changes-- && size) {
		size_t at = (size_t)rand() % size;

		switch (rand() % 4) {
		case 0:
			out[at] = (uint8_t)rand();
			break;
		case 1:
			size = at;
			break;
		case 2:
			memmove(out + at, out + at + 1, size - at - 1);
			size--;
			break;
		default:
			out[at] = (uint8_t)"\r\n\0 \"\\<>(){}[]@:;,.%*"
				[rand() % 21];
		}
	}
	return size;
}

int
main(int argc, char **argv)
{
	static uint8_t input[INPUT_MAX];
	time_t end = time(NULL) + 5;
	unsigned long runs = 0;

	for (int i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "-max_total_time=", 16))
			end = time(NULL) + strtol(argv[i] + 16, NULL, 10);
		else if (!strncmp(argv[i], "-artifact_prefix=", 17))
			artifact = argv[i] + 17;
		else if (argv[i][0] != '-')
			load_folder(argv[i]);
	}
	for (size_t i = 0; i < n_seeds; i++)
		try_input(seeds[i].data, seeds[i].size);
	while (n_seeds && time(NULL) < end) {
		try_input(input, damage(&seeds[(size_t)rand() % n_seeds],
			input));
		runs++;
	}
	printf("%lu runs, %zu seeds\n", runs, n_seeds);
	return 0;
}
