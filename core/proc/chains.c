/*
 * chains.c - what may stand where in a chain. Start-up thread of a worker,
 * and the command line.
 *
 * A filter says what it needs and may do (plugin.h); the rules below read
 * nothing else. Milters and filters of libmilter's say it only when they are
 * talked to, so the rule about signers leaves them out.
 */
#include "proc/chains.h"

static const struct {
	const char *name;
	size_t list;		/* in struct chain_settings */
	bool verifies;		/* senders are strangers */
} directions[CHAINS] = {
	[CHAIN_INBOUND] = {"inbound",
		offsetof(struct chain_settings, inbound), true},
	[CHAIN_SUBMISSION] = {"submission",
		offsetof(struct chain_settings, submission), false},
	[CHAIN_LOCAL] = {"local",
		offsetof(struct chain_settings, local), false},
	[CHAIN_RELAY] = {"relay",
		offsetof(struct chain_settings, relay), true},
	[CHAIN_LEARN] = {"learn",
		offsetof(struct chain_settings, learn), false},
};

const struct mr_list *
chains_list(const struct config *c, enum direction d)
{
	return (const void *)((const char *)&c->chain + directions[d].list);
}

const char *
chains_name(enum direction d)
{
	return directions[d].name;
}

/* ----------------------------------------------------------------- rules */

struct making {
	const struct config *c;
	const struct plugins *plugins;
	enum direction direction;
	struct chain *chain;
	const struct conf_node *node;	/* of the name in the list */
	struct conf_report *report;
};

static uint32_t
may(const struct plugin *p)
{
	return p->desc->filter->may;
}

/* Verifies and signs: which of the two is said by the direction. */
static bool
signs(const struct making *k, const struct plugin *p)
{
	return may(p) & MR_MAY_SIGN && (k->direction != CHAIN_INBOUND ||
		!(may(p) & MR_MAY_RESULTS));
}

/* The first of the chain's filters with one of the powers, or NULL. */
static const struct plugin *
find_power(const struct chain *chain, uint32_t power)
{
	size_t i;

	for (i = 0; i < chain->n; i++)
		if (may(chain->item[i]) & power)
			return chain->item[i];
	return NULL;
}

static void
rule_once(struct making *k, const struct plugin *f)
{
	size_t i;

	for (i = 0; i < k->chain->n; i++)
		if (k->chain->item[i] == f)
			conf_error(k->c->doc, k->node, false, k->report,
				"`%s` stands twice in [chain] %s", f->name,
				chains_name(k->direction));
}

static void
rule_signature(struct making *k, const struct plugin *f)
{
	size_t i;

	for (i = 0; i < k->chain->n && !f->is_open_ended; i++)
		if (signs(k, k->chain->item[i]) && may(f) & MR_MAY_BODY) {
			conf_error(k->c->doc, k->node, false, k->report,
				"`%s` may change the body that `%s` has "
				"signed by then: put it before", f->name,
				k->chain->item[i]->name);
			return;
		}
}

static void
rule_verifier(struct making *k, const struct plugin *f)
{
	if (!directions[k->direction].verifies && may(f) & MR_MAY_RESULTS &&
		!signs(k, f))
		conf_error(k->c->doc, k->node, false, k->report,
			"`%s` verifies what strangers send: mail of [chain] "
			"%s has nothing for it", f->name,
			chains_name(k->direction));
}

static void
rule_results(struct making *k, const struct plugin *f)
{
	if (f->desc->filter->needs & MR_NEEDS_RESULTS &&
		!find_power(k->chain, MR_MAY_RESULTS))
		conf_error(k->c->doc, k->node, false, k->report,
			"`%s` judges by the results of sender authentication, "
			"and no filter before it gives any", f->name);
}

static bool
has_listener(const struct config *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->n_listener; i++)
		if (!strcmp(c->listener[i].name, name))
			return true;
	return false;
}

static void
rule_listeners(struct making *k, const struct plugin *f)
{
	size_t i;

	for (i = 0; i < f->listeners.n; i++)
		if (!has_listener(k->c, f->listeners.item[i]))
			conf_error(k->c->doc, k->node, false, k->report,
				"`%s` is for listener `%s`, and there is no "
				"[listen.%s]", f->name, f->listeners.item[i],
				f->listeners.item[i]);
}

static void (*const rules[])(struct making *, const struct plugin *) = {
	rule_once, rule_signature, rule_verifier, rule_results, rule_listeners,
};

/* Nothing is judged or edited there. */
static void
rule_learns(struct making *k, const struct plugin *f)
{
	if (!PLUG_HOOK(f->desc->filter, learn))
		conf_error(k->c->doc, k->node, false, k->report, "`%s` does "
			"not learn from what is moved to Junk", f->name);
	rule_once(k, f);
}

/* ----------------------------------------------------------------- making */

static void
add_filter(struct making *k, const char *name)
{
	struct plugin *f = plugins_find(k->plugins, name);
	size_t i;

	if (!f || !PLUG_ROLE(f->desc, filter)) {
		conf_error(k->c->doc, k->node, false, k->report,
			"`%s` is no filter", name);
		return;
	}
	if (k->direction == CHAIN_LEARN)
		rule_learns(k, f);
	for (i = 0; i < sizeof rules / sizeof *rules &&
		k->direction != CHAIN_LEARN; i++)
		rules[i](k, f);
	k->chain->item[k->chain->n++] = f;
}

static void
make_chain(struct making *k)
{
	const struct mr_list *list = chains_list(k->c, k->direction);
	struct arena *a = (struct arena *)&k->c->arena;
	const struct conf_node *all = conf_find(conf_root(k->c->doc),
		arena_printf(a, "chain.%s", chains_name(k->direction)));
	size_t i, at = 0;
	struct str key;

	*k->chain = (struct chain){.name = chains_name(k->direction),
		.timeout_ms = k->c->smtp.filter_timeout};
	k->chain->item = arena_alloc(a,
		(list->n + 1) * sizeof *k->chain->item);
	for (i = 0; i < list->n; i++) {
		k->node = conf_next(all, &at, &key);
		add_filter(k, list->item[i]);
	}
}

bool
chains_make_one(struct config *c, const struct plugins *p, enum direction d,
	struct chain *out, struct conf_report *report)
{
	struct making k = {.c = c, .plugins = p, .report = report,
		.direction = d, .chain = out};
	unsigned before = report->errors;

	make_chain(&k);
	return report->errors == before;
}

bool
chains_make(struct config *c, const struct plugins *p,
	struct chain out[CHAINS], struct conf_report *report)
{
	struct making k = {.c = c, .plugins = p, .report = report};
	unsigned before = report->errors;
	int d;

	for (d = 0; d < CHAINS; d++) {
		k.direction = (enum direction)d;
		k.chain = &out[d];
		make_chain(&k);
	}
	if (!conf_find(conf_root(c->doc), "chain.relay")) {
		out[CHAIN_RELAY] = out[CHAIN_INBOUND];
		out[CHAIN_RELAY].name = chains_name(CHAIN_RELAY);
	}
	return report->errors == before;
}
