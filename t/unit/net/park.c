/*
 * park.c - guests over socket pairs: input, timers, wakes that meet a running
 * guest, the drain. Guests note what they see; the test waits for it.
 */
#include "unit.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/clock.h"
#include "net/park.h"
#include "net/sock.h"

#define MANY 1000
#define PATIENCE 10000		/* ms that a test waits for what must come */

struct person {
	struct guest guest;	/* first: the park knows this part */
	int peer;
	int64_t called_at;
	unsigned why[PARK_WHY_AGAIN + 1];	/* how often, by bit */
	unsigned turns, wanted, eaten;
	int busy;		/* threads in serve: never two */
	bool left;
	sem_t started, go;
};

static struct park *park;
static unsigned n_left;

static int
open_park(void **state)
{
	struct rlimit files;
	struct err e;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	n_left = 0;
	park = park_new(4, 0, MANY + 1, &e);
	return park ? 0 : -1;
}

static int
close_park(void **state)
{
	(void)state;
	park_stop(park);
	return 0;
}

static unsigned
get(const unsigned *n)
{
	return __atomic_load_n(n, __ATOMIC_ACQUIRE);
}

static void
add(unsigned *n)
{
	__atomic_add_fetch(n, 1, __ATOMIC_ACQ_REL);
}

static void
wait_for(const unsigned *n, unsigned least)
{
	int64_t end = clock_mono() + PATIENCE;

	while (get(n) < least && clock_mono() < end)
		usleep(500);
	assert_in_range(get(n), least, UINT32_MAX);
}

/* ------------------------------------------------------------- guests */

static void
note(struct person *p, unsigned why)
{
	unsigned bit;

	p->called_at = clock_mono();
	for (bit = 1; bit <= PARK_WHY_AGAIN; bit <<= 1)
		if (why & bit)
			add(&p->why[bit]);
	if (__atomic_add_fetch(&p->busy, 1, __ATOMIC_SEQ_CST) != 1)
		abort();
	__atomic_sub_fetch(&p->busy, 1, __ATOMIC_SEQ_CST);
	add(&p->turns);
}

/* Eats what is there; leaves at the end of input or when told to drain. */
static enum park_next
eat(struct guest *g, unsigned why)
{
	struct person *p = (struct person *)g;
	char bytes[64];
	ssize_t n;

	note(p, why);
	g->wake_at = CLOCK_NEVER;
	while ((n = recv(g->fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
		__atomic_add_fetch(&p->eaten, (unsigned)n, __ATOMIC_ACQ_REL);
	return n == 0 || why & PARK_WHY_DRAIN ? PARK_LEAVE : PARK_INPUT;
}

static void
leave(struct guest *g)
{
	struct person *p = (struct person *)g;

	close(g->fd);
	p->left = true;
	add(&n_left);
}

static struct person *
invite(enum park_next (*serve)(struct guest *g, unsigned why))
{
	struct person *p = mem_alloc(sizeof *p);
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	p->peer = pair[1];
	p->guest = (struct guest){.fd = pair[0], .wake_at = CLOCK_NEVER,
		.serve = serve, .leave = leave};
	sem_init(&p->started, 0, 0);
	sem_init(&p->go, 0, 0);
	return p;
}

static void
forget(struct person *p)
{
	if (p->peer >= 0)
		close(p->peer);
	free(p);
}

static void
tell(struct person *p, const char *text)
{
	assert_int_equal(write(p->peer, text, strlen(text)), strlen(text));
}

/* ---------------------------------------------------------------- input */

static void
test_many(void **state)
{
	static struct person *all[MANY];
	struct park_figures f;
	int i, round;

	(void)state;
	for (i = 0; i < MANY; i++) {
		all[i] = invite(eat);
		assert_true(park_add(park, &all[i]->guest));
	}
	for (i = 0; i < MANY; i++)
		wait_for(&all[i]->turns, 1);
	for (round = 1; round <= 3; round++) {
		for (i = 0; i < MANY; i++)
			tell(all[i], "x");
		for (i = 0; i < MANY; i++)
			wait_for(&all[i]->eaten, (unsigned)round);
	}
	usleep(50000);
	park_count(park, &f);
	assert_int_equal(f.parked, MANY);
	assert_int_equal(f.ready + f.running, 0);
	assert_in_range(f.threads, 1, 4);
	for (i = 0; i < MANY; i++) {
		assert_int_equal(get(&all[i]->why[PARK_WHY_START]), 1);
		assert_in_range(get(&all[i]->why[PARK_WHY_INPUT]), 1, 3);
		assert_in_range(get(&all[i]->turns), 2, 4);
		assert_int_equal(get(&all[i]->why[PARK_WHY_TIMER]), 0);
		close(all[i]->peer);
		all[i]->peer = -1;
	}
	assert_true(park_wait_empty(park, PATIENCE));
	assert_int_equal(get(&n_left), MANY);
	for (i = 0; i < MANY; i++)
		forget(all[i]);
}

static void
test_full(void **state)
{
	static struct person *all[MANY + 2];
	int i;

	(void)state;
	for (i = 0; i < MANY + 2; i++) {
		all[i] = invite(eat);
		assert_int_equal(park_add(park, &all[i]->guest), i <= MANY);
	}
	assert_false(park_wait_empty(park, 50));
	park_drain(park);
	assert_true(park_wait_empty(park, PATIENCE));
	close(all[MANY + 1]->guest.fd);
	for (i = 0; i < MANY + 2; i++)
		forget(all[i]);
}

/* --------------------------------------------------------------- timers */

static enum park_next
sleep_once(struct guest *g, unsigned why)
{
	note((struct person *)g, why);
	return why & PARK_WHY_START ? PARK_TIMER : PARK_LEAVE;
}

static void
test_timers(void **state)
{
	static struct person *all[MANY];
	int64_t start = clock_mono();
	int i;

	(void)state;
	for (i = 0; i < MANY; i++) {
		all[i] = invite(sleep_once);
		/* Far ones first, so that earlier ones must overtake. */
		all[i]->guest.wake_at = start + 300 + (MANY - i) * 7 % 400;
		tell(all[i], "piles up");
		assert_true(park_add(park, &all[i]->guest));
	}
	assert_true(park_wait_empty(park, PATIENCE));
	for (i = 0; i < MANY; i++) {
		assert_int_equal(all[i]->turns, 2);
		assert_int_equal(all[i]->why[PARK_WHY_TIMER], 1);
		assert_int_equal(all[i]->why[PARK_WHY_INPUT], 0);
		assert_true(all[i]->called_at >= all[i]->guest.wake_at);
		assert_true(all[i]->called_at < all[i]->guest.wake_at + 2000);
		forget(all[i]);
	}
}

/* Waits for input until a timer, then for time only, then for input. */
static enum park_next
be_delayed(struct guest *g, unsigned why)
{
	struct person *p = (struct person *)g;

	note(p, why);
	switch (p->turns) {
	case 1:
		g->wake_at = clock_mono() + 30;
		return PARK_INPUT;
	case 2:
		g->wake_at = clock_mono() + 300;
		return PARK_TIMER;
	case 3:
		g->wake_at = CLOCK_NEVER;
		return PARK_INPUT;
	default:
		return PARK_LEAVE;
	}
}

/* A descriptor armed before the delay must not end it. */
static void
test_delay(void **state)
{
	struct person *p = invite(be_delayed);
	int64_t start = clock_mono();

	(void)state;
	assert_true(park_add(park, &p->guest));
	wait_for(&p->turns, 2);
	tell(p, "early talker");
	assert_true(park_wait_empty(park, PATIENCE));
	assert_int_equal(p->turns, 4);
	assert_int_equal(p->why[PARK_WHY_TIMER], 2);
	assert_int_equal(p->why[PARK_WHY_INPUT], 1);
	assert_true(clock_mono() - start >= 330);
	forget(p);
}

/* ---------------------------------------------------------------- wakes */

static enum park_next
run_long(struct guest *g, unsigned why)
{
	struct person *p = (struct person *)g;

	note(p, why);
	if (why & PARK_WHY_WAKE)
		return PARK_LEAVE;
	sem_post(&p->started);
	sem_wait(&p->go);
	return PARK_INPUT;
}

static void
test_wake_while_running(void **state)
{
	struct person *p = invite(run_long);

	(void)state;
	assert_true(park_add(park, &p->guest));
	sem_wait(&p->started);
	park_wake(park, &p->guest);
	usleep(20000);
	assert_int_equal(get(&p->turns), 1);
	sem_post(&p->go);
	assert_true(park_wait_empty(park, PATIENCE));
	assert_int_equal(p->turns, 2);
	forget(p);
}

/* Wants grow, wakes follow: none may be missed. */
static enum park_next
serve_wants(struct guest *g, unsigned why)
{
	struct person *p = (struct person *)g;

	note(p, why);
	__atomic_store_n(&p->eaten, get(&p->wanted), __ATOMIC_RELEASE);
	return why & PARK_WHY_DRAIN ? PARK_LEAVE : PARK_INPUT;
}

static struct person *woken[50];

static void *
keep_waking(void *arg)
{
	size_t i, k;

	(void)arg;
	for (i = 0; i < 2000; i++)
		for (k = 0; k < COUNT(woken); k += 10) {
			struct person *p = woken[(k + i) % COUNT(woken)];

			add(&p->wanted);
			park_wake(park, &p->guest);
		}
	return NULL;
}

static void
test_wakes(void **state)
{
	pthread_t thread[4];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(woken); i++) {
		woken[i] = invite(serve_wants);
		assert_true(park_add(park, &woken[i]->guest));
	}
	for (i = 0; i < COUNT(thread); i++)
		pthread_create(&thread[i], NULL, keep_waking, NULL);
	for (i = 0; i < COUNT(thread); i++)
		pthread_join(thread[i], NULL);
	for (i = 0; i < COUNT(woken); i++)
		wait_for(&woken[i]->eaten, get(&woken[i]->wanted));
	park_drain(park);
	assert_true(park_wait_empty(park, PATIENCE));
	for (i = 0; i < COUNT(woken); i++)
		forget(woken[i]);
}

/* ---------------------------------------------------------------- turns */

static enum park_next
want_more(struct guest *g, unsigned why)
{
	struct person *p = (struct person *)g;

	note(p, why);
	return p->turns < 100 ? PARK_READY : PARK_LEAVE;
}

/* More work goes to the back of the queue: others have their turn. */
static void
test_again(void **state)
{
	struct person *all[20];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(all); i++) {
		all[i] = invite(want_more);
		assert_true(park_add(park, &all[i]->guest));
	}
	assert_true(park_wait_empty(park, PATIENCE));
	for (i = 0; i < COUNT(all); i++) {
		assert_int_equal(all[i]->turns, 100);
		assert_int_equal(all[i]->why[PARK_WHY_AGAIN], 99);
		assert_int_equal(all[i]->why[PARK_WHY_INPUT], 0);
		forget(all[i]);
	}
}

/* ---------------------------------------------------------------- drain */

static unsigned n_accepted;

static void
accept_one(void *arg, int fd)
{
	struct sock_addr peer;
	struct err e;
	struct person *p;
	int got = sock_accept(fd, &peer, &e);

	(void)arg;
	if (got < 0)
		return;
	p = mem_alloc(sizeof *p);
	p->peer = -1;
	p->guest = (struct guest){.fd = got, .wake_at = CLOCK_NEVER,
		.serve = eat, .leave = leave};
	woken[get(&n_accepted)] = p;
	if (!park_add(park, &p->guest))
		abort();
	add(&n_accepted);
}

static int
listen_here(struct sock_addr *a)
{
	struct err e = {0};
	int server;

	n_accepted = 0;
	sock_parse(STR("127.0.0.1:0"), a, &e);
	server = sock_listen(a, 10, &e);
	assert_int_equal(sock_local(server, a, &e), 0);
	assert_int_equal(park_listen(park, server, accept_one, NULL, &e), 0);
	return server;
}

/* Who is there stays and is served; who comes later waits for others. */
static void
test_close(void **state)
{
	struct sock_addr a;
	struct err e = {0};
	int server = listen_here(&a), client[2];

	(void)state;
	client[0] = sock_connect(&a, NULL, clock_mono() + 5000, &e);
	wait_for(&n_accepted, 1);
	park_close(park);
	client[1] = sock_connect(&a, NULL, clock_mono() + 5000, &e);
	assert_true(client[1] >= 0);
	assert_false(park_wait_empty(park, 50));
	assert_int_equal(get(&n_accepted), 1);
	close(client[0]);
	assert_true(park_wait_empty(park, PATIENCE));
	assert_true(woken[0]->why[PARK_WHY_DRAIN] == 0);
	forget(woken[0]);
	close(client[1]);
	close(server);
}

static void
test_drain(void **state)
{
	struct sock_addr a;
	struct err e = {0};
	struct person *late;
	int server = listen_here(&a), client[4], i;
	int64_t start;

	(void)state;
	for (i = 0; i < 3; i++)
		client[i] = sock_connect(&a, NULL, clock_mono() + 5000, &e);
	wait_for(&n_accepted, 3);
	start = clock_mono();
	assert_false(park_wait_empty(park, 100));
	assert_in_range(clock_mono() - start, 100, 900);
	park_drain(park);
	assert_true(park_wait_empty(park, PATIENCE));
	assert_int_equal(get(&n_left), 3);
	/* Nobody new, neither by hand nor by the listener. */
	late = invite(eat);
	assert_false(park_add(park, &late->guest));
	client[3] = sock_connect(&a, NULL, clock_mono() + 5000, &e);
	usleep(50000);
	assert_int_equal(get(&n_accepted), 3);
	for (i = 0; i < 4; i++)
		close(client[i]);
	for (i = 0; i < 3; i++) {
		assert_true(woken[i]->why[PARK_WHY_DRAIN] == 1);
		forget(woken[i]);
	}
	close(late->guest.fd);
	forget(late);
	close(server);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_park, close_park)

static const struct CMUnitTest tests[] = {
	TEST(test_many), TEST(test_full), TEST(test_timers),
	TEST(test_delay), TEST(test_wake_while_running), TEST(test_wakes),
	TEST(test_again), TEST(test_close),
	TEST(test_drain),
};
UNIT_MAIN(tests)
