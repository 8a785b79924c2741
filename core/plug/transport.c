/*
 * transport.c - one call of a plugin's transport, and what its answers mean.
 * Runner's delivery threads.
 *
 * A plugin is not believed further than it can be checked: a recipient it
 * says nothing of, or nonsense, is tried again, so that mail is never lost by
 * a mistake of its author.
 */
#include "plug/transport.h"

#include "base/clock.h"
#include "base/log.h"
#include "mail/addr.h"
#include "plug/hooks.h"

#define TEXT_MOST 1000

struct call {
	struct mr_delivery delivery;	/* first: the plugin hands it back */
	const struct transport_job *job;
	struct arena *arena;
	struct reply *out;
};

static struct call *
call_of(struct mr_delivery *d)
{
	return d->core;
}

static int64_t
serve_read(struct mr_delivery *d, uint64_t offset, void *out, size_t len)
{
	const struct transport_job *job = call_of(d)->job;

	return job->read(job->arg, offset, out, len);
}

static int64_t
serve_deadline(struct mr_delivery *d)
{
	int64_t left = call_of(d)->job->deadline - clock_mono();

	return left > 0 ? left : 0;
}

/* A 2xx is a 250 to the rest of the house. */
static void
serve_result(struct mr_delivery *d, size_t index, int code,
	const char *enhanced, const char *text)
{
	struct call *c = call_of(d);
	int class = code / 100;
	struct reply r = {.code = class == 2 ? 250 : code};
	struct str said = str_from(enhanced);

	if (index >= c->job->n_rcpt)
		return;
	if (class != 2 && class != 4 && class != 5) {
		c->out[index] = reply_printf(c->arena, 451, "4.3.5",
			"the transport answered %d", code);
		return;
	}
	if (said.len && reply_enhanced(said, code) == said.len)
		memcpy(r.enhanced, said.at, said.len);
	r.text = arena_str(c->arena, str_sub(str_from(text), 0, TEXT_MOST));
	if (!r.text.len)
		r.text = class == 2 ? STR("delivered") :
			STR("the transport gave no reason");
	c->out[index] = r;
}

static struct mr_rcpt *
list_rcpts(const struct transport_job *job, struct arena *a)
{
	struct mr_rcpt *list = arena_alloc(a, job->n_rcpt * sizeof *list);
	size_t i;

	for (i = 0; i < job->n_rcpt; i++) {
		struct str address = arena_str(a,
			addr_plain(a, job->rcpt[i]));

		list[i].address = (struct mr_str){address.at, address.len};
		list[i].args = (struct mr_str){"", 0};
	}
	return list;
}

void
transport_run(const struct plugin *p, const struct transport_job *job,
	struct arena *a, struct reply *out)
{
	const struct mr_transport *t = PLUG_ROLE(p->desc, transport);
	struct call c = {.job = job, .arena = a, .out = out};
	int64_t late;
	size_t i;

	for (i = 0; i < job->n_rcpt; i++)
		out[i] = REPLY(451, "4.3.0", "the transport gave no answer");
	c.delivery = (struct mr_delivery){.size = sizeof c.delivery,
		.message = job->message, .route = job->route,
		.sender = arena_cstr(a, job->sender),
		.rcpt = list_rcpts(job, a), .n_rcpt = job->n_rcpt,
		.length = job->length, .arrived_ms = job->arrived_ms,
		.read = serve_read, .deadline = serve_deadline,
		.result = serve_result, .core = &c};
	if (!PLUG_HOOK(t, deliver))
		return;
	hooks_leave_breadcrumb(p->name, "deliver", job->message);
	t->deliver(p->config, &c.delivery);
	hooks_leave_breadcrumb(NULL, NULL, NULL);
	late = clock_mono() - job->deadline;
	if (late > 0)
		log_warn("transport.slow", LOG_S("transport", p->name),
			LOG_S("message", job->message),
			LOG_N("late_ms", late));
}
