/*
 * spf.c - our server in SPF records as they are found.
 */
#include "unit.h"

#include "zone/plan.h"
#include "zone/spf.h"

static const char *const addresses[] = {"203.0.113.5", "2001:db8::5"};
static const struct spf_server server = {"example.org", "mail.example.org",
	addresses, 2};

static void
test_merge(void **state)
{
	static const struct {
		const char *live[2];
		bool by_address;
		const char *want;
	} row[] = {
		{{NULL}, false, "v=spf1 mx ~all"},
		{{NULL}, true, "v=spf1 ip4:203.0.113.5 ip6:2001:db8::5 ~all"},
		{{"v=spf1 -all"}, false, "v=spf1 mx -all"},
		{{"v=spf1"}, false, "v=spf1 mx"},
		{{"v=spf1 mx ?all"}, false, "v=spf1 mx ?all"},
		{{"v=spf1 MX:example.org -all"}, false,
			"v=spf1 MX:example.org -all"},
		{{"v=spf1 mx:other.org -all"}, false,
			"v=spf1 mx mx:other.org -all"},
		{{"v=spf1 -mx -all"}, false, "v=spf1 mx -mx -all"},
		{{"v=spf1 a:mail.example.org/32 -all"}, false,
			"v=spf1 a:mail.example.org/32 -all"},
		{{"v=spf1 a -all"}, false, "v=spf1 mx a -all"},
		{{"v=spf1 ip4:203.0.113.0/24 -all"}, false,
			"v=spf1 mx ip4:203.0.113.0/24 -all"},
		{{"v=spf1 ip4:203.0.113.0/24 ip6:2001:db8::/32 -all"}, false,
			"v=spf1 ip4:203.0.113.0/24 ip6:2001:db8::/32 -all"},
		{{"v=spf1 include:a.org redirect=b.org"}, false,
			"v=spf1 mx include:a.org redirect=b.org"},
		{{"v=spf1 include:a.org -all", "v=spf1 include:a.org mx ~all"},
			false, "v=spf1 include:a.org mx -all"},
	};
	struct str live[2];
	struct arena a;
	size_t i, n;

	(void)state;
	arena_init(&a);
	for (i = 0; i < COUNT(row); i++) {
		for (n = 0; n < 2 && row[i].live[n]; n++)
			live[n] = str_from(row[i].live[n]);
		assert_string_equal(spf_merge(live, n, &server,
			row[i].by_address, &a), row[i].want);
	}
	arena_free(&a);
}

static void
test_dmarc(void **state)
{
	static const struct {
		const char *live;
		enum zone_dmarc policy;
		const char *want;
	} row[] = {
		{"", ZONE_DMARC_NONE, "v=DMARC1; p=none; rua=mailto:r@x.org"},
		{"v=spf1", ZONE_DMARC_REJECT,
			"v=DMARC1; p=reject; rua=mailto:r@x.org"},
		{"v=DMARC1;p=reject;rua=mailto:a@b.org", ZONE_DMARC_NONE,
			"v=DMARC1;p=reject;rua=mailto:a@b.org"},
		{"v=DMARC1;p=none;sp=reject;rua=mailto:a@b.org;",
			ZONE_DMARC_QUARANTINE, "v=DMARC1; p=quarantine; "
			"sp=reject; rua=mailto:a@b.org"},
		{"v=DMARC1; rua=", ZONE_DMARC_NONE,
			"v=DMARC1; p=none; rua=mailto:r@x.org"},
	};
	struct arena a;
	size_t i;

	(void)state;
	arena_init(&a);
	for (i = 0; i < COUNT(row); i++)
		assert_string_equal(zone_merge_dmarc(str_from(row[i].live),
			row[i].policy, "r@x.org", &a), row[i].want);
	arena_free(&a);
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(test_merge),
	cmocka_unit_test(test_dmarc)};
UNIT_MAIN(tests)
