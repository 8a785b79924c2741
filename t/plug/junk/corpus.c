/*
 * corpus.c - how well, and how fast, the junk plugin tells mail apart that it
 * has not seen: on a corpus made up here, where most words are in both kinds,
 * and on files of messages if some are named.
 *
 * Good mail is of twenty topics, junk of eight; topics of both kinds share
 * half of their words, and three words in four are of neither. Bodies are
 * plain, quoted-printable or HTML. Runs by itself, without a server.
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../../plugins/junk/junk.h"

#define VOCABULARY 20000
#define TOPIC_WORDS 120
#define GOOD_TOPICS 20
#define JUNK_TOPICS 8
#define TRAINED 150		/* of each kind */
#define HELD_OUT 1000
#define ACCOUNT "bob@example.test"

static uint64_t state = 42;
static char text[65536];
static size_t length;

static unsigned
roll(unsigned n)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)(state >> 33) % n;
}

/* Seldom words are many: rank falls with its square. */
static unsigned
common(void)
{
	double x = roll(1000000) / 1000000.0;

	return (unsigned)(x * x * x * VOCABULARY);
}

static unsigned
topical(bool junk, unsigned topic)
{
	unsigned shared = roll(2), word = roll(TOPIC_WORDS);

	if (shared)	/* what both kinds speak of */
		return VOCABULARY + topic % JUNK_TOPICS * TOPIC_WORDS + word;
	return 2 * VOCABULARY + ((junk ? GOOD_TOPICS : 0) + topic) *
		TOPIC_WORDS + word;
}

static void
put(const char *s)
{
	size_t n = strlen(s);

	memcpy(text + length, s, n + 1);
	length += n;
}

static void
put_word(unsigned number, bool html)
{
	char word[32];
	int i, n = 0;

	for (i = 0; i < 4 || number; i++, number /= 19)
		word[n++] = "bcdfghjklmnprstvwyz"[number % 19],
		word[n++] = "aeiou"[number % 5];
	word[n] = '\0';
	put(word);
	put(html && roll(12) == 0 ? "<br>" : roll(10) ? " " : "\r\n");
}

/* Its body in text; the words in w. */
static void
make(bool junk, struct words *w)
{
	unsigned topic = roll(junk ? JUNK_TOPICS : GOOD_TOPICS);
	unsigned n = 30 + roll(250), form = roll(3), i;

	length = 0;
	if (form == 2)
		put("<html><style>p {x}</style><p>");
	for (i = 0; i < n; i++)
		put_word(roll(4) ? common() : topical(junk, topic),
			form == 2);
	words_init(w);
	words_field(w, "Subject", 7, text, length < 40 ? length : 40);
	words_body(w, form == 2 ? "text/html" : "text/plain", form == 1 ?
		"quoted-printable" : "", text, length);
	words_end(w);
}

static double
judge(struct memory *m, const struct words *w)
{
	static struct count of[WORDS_MOST];
	struct count all;

	assert(memory_look(m, ACCOUNT, w, of, &all) == 0);
	return bayes_judge(of, w->n, all);
}

static double
cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void
train(struct memory *m)
{
	struct words w;
	uint64_t i;

	for (i = 0; i < 2 * TRAINED; i++) {
		make(i % 2, &w);
		assert(memory_teach(m, ACCOUNT, i + 1, &w, i % 2, false) ==
			TAUGHT_NEW);
		words_free(&w);
	}
}

#define FILES 0.978	/* 5 points by words alone (junk.c) */

/* How many are judged above the limit that files. */
static unsigned
count_junk(struct memory *m, bool junk, unsigned *unsure)
{
	unsigned n = 0, i;
	struct words w;

	for (i = 0; i < HELD_OUT; i++) {
		double p;

		make(junk, &w);
		p = judge(m, &w);
		n += p >= FILES;
		*unsure += p > 0.1 && p < FILES;
		words_free(&w);
	}
	return n;
}

/* What was taken back is as if it had never been. */
static void
test_back(struct memory *m)
{
	struct words w, other;
	double before, after;
	uint64_t i;

	make(true, &other);
	before = judge(m, &other);
	for (i = 0; i < 20; i++) {
		make(true, &w);
		memory_teach(m, ACCOUNT, 100000 + i, &w, false, true);
		assert(memory_teach(m, ACCOUNT, 100000 + i, &w, true, true) ==
			TAUGHT_NOTHING);
		assert(memory_teach(m, ACCOUNT, 100000 + i, &w, true, false) ==
			TAUGHT_OTHERWISE);
		words_free(&w);
	}
	after = judge(m, &other);
	words_free(&other);
	printf("%s 3 - taught otherwise: %.3f, then %.3f\n", after >= before -
		0.01 ? "ok" : "not ok", before, after);
}

static void
test_bound(const char *path)
{
	char error[200], file[300];
	struct memory *m;
	struct words w;
	uint64_t i;
	FILE *f;

	snprintf(file, sizeof file, "%s.bound", path);
	m = memory_open(file, 10000, error, sizeof error);
	assert(m);
	for (i = 0; i < 640; i++) {
		make(i % 2, &w);
		memory_teach(m, ACCOUNT, i + 1, &w, i % 2, false);
		words_free(&w);
	}
	memory_close(m);
	f = fopen(file, "rb");
	assert(f && fseek(f, 0, SEEK_END) == 0);
	printf("%s 4 - %ld KiB for a bound of 10000 words\n",
		ftell(f) < 2 << 20 ? "ok" : "not ok", ftell(f) >> 10);
	fclose(f);
	unlink(file);
}

/* A message of a file, judged by what the corpus taught: words that it does
 * not know must not make it junk. */
static void
look_at(struct memory *m, const char *path)
{
	FILE *f = fopen(path, "rb");
	struct words w;

	if (!f)
		return;
	length = fread(text, 1, sizeof text - 1, f);
	text[length] = '\0';
	fclose(f);
	words_init(&w);
	words_body(&w, "message/rfc822", "", text, length);
	words_end(&w);
	printf("# %.3f %zu words %s\n", judge(m, &w), w.n, path);
	words_free(&w);
}

int
main(int argc, char **argv)
{
	char path[] = "/tmp/mailroom-junk.XXXXXX", error[200] = "", side[64];
	int fd = mkstemp(path), i;
	struct memory *m;
	unsigned wrong, right, unsure[2] = {0, 0};
	double begin, took;

	assert(fd >= 0);
	close(fd);
	m = memory_open(path, 400000, error, sizeof error);
	if (!m) {
		printf("Bail out! %s\n", error);
		return 1;
	}
	begin = cpu_ms();
	train(m);
	printf("# learning: %.2f ms of CPU a message\n", (cpu_ms() - begin) /
		(2 * TRAINED));
	begin = cpu_ms();
	wrong = count_junk(m, false, &unsure[0]);
	right = count_junk(m, true, &unsure[1]);
	took = (cpu_ms() - begin) / (2 * HELD_OUT);
	printf("# judging: %.2f ms of CPU a message\n", took);
	printf("%s 1 - of %d good ones %u are called junk, %u unsure\n",
		wrong <= HELD_OUT / 500 ? "ok" : "not ok", HELD_OUT, wrong,
		unsure[0]);
	printf("%s 2 - of %d junk ones %u are, %u unsure\n", right >=
		HELD_OUT * 65 / 100 ? "ok" : "not ok", HELD_OUT, right,
		unsure[1]);
	test_back(m);
	test_bound(path);
	for (i = 1; i < argc; i++)
		look_at(m, argv[i]);
	memory_close(m);
	unlink(path);
	snprintf(side, sizeof side, "%s-wal", path);
	unlink(side);
	printf("1..4\n");
	return 0;
}
