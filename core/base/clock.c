/*
 * clock.c - clocks, and dates as mail, IMAP and logs write them.
 */
#include "base/clock.h"

#define DAY 86400

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char days[] = "SunMonTueWedThuFriSat";

static int64_t
read_clock(clockid_t which)
{
	struct timespec t;

	clock_gettime(which, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t
clock_mono(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t
clock_mono_rough(void)
{
	return read_clock(CLOCK_MONOTONIC_COARSE);
}

int64_t
clock_wall(void)
{
	return read_clock(CLOCK_REALTIME);
}

/* Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant's
 * algorithm, public domain). */
static int64_t
days_of(int64_t y, int m, int d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void
local_parts(int64_t wall_ms, struct tm *tm, char *sign, int *zone)
{
	time_t t = (time_t)(wall_ms / 1000);

	localtime_r(&t, tm);
	*sign = tm->tm_gmtoff < 0 ? '-' : '+';
	*zone = (int)(tm->tm_gmtoff < 0 ? -tm->tm_gmtoff : tm->tm_gmtoff) / 60;
}

void
clock_mail_date(int64_t wall_ms, char out[40])
{
	struct tm tm;
	char sign;
	int zone;

	local_parts(wall_ms, &tm, &sign, &zone);
	snprintf(out, 40, "%.3s, %d %.3s %d %02d:%02d:%02d %c%02d%02d",
		days + 3 * tm.tm_wday, tm.tm_mday, months + 3 * tm.tm_mon,
		tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec, sign,
		zone / 60, zone % 60);
}

void
clock_imap_date(int64_t wall_ms, char out[32])
{
	struct tm tm;
	char sign;
	int zone;

	local_parts(wall_ms, &tm, &sign, &zone);
	snprintf(out, 32, "%2d-%.3s-%04d %02d:%02d:%02d %c%02d%02d",
		tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900,
		tm.tm_hour, tm.tm_min, tm.tm_sec, sign, zone / 60, zone % 60);
}

int64_t
clock_day_start(int64_t day)
{
	time_t t = (time_t)day * DAY;
	struct tm tm;

	gmtime_r(&t, &tm);
	tm.tm_isdst = -1;
	return (int64_t)mktime(&tm) * 1000;
}

void
clock_iso(int64_t wall_ms, char out[32])
{
	time_t t = (time_t)(wall_ms / 1000);
	struct tm tm;

	gmtime_r(&t, &tm);
	snprintf(out, 32, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
		tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
		tm.tm_min, tm.tm_sec, (int)(wall_ms % 1000));
}

/* ------------------------------------------------------------- reading */

static bool
take_number(struct str *s, size_t least, size_t most, int *out)
{
	size_t n = 0;
	uint64_t v;

	while (n < s->len && n < most && is_digit(s->at[n]))
		n++;
	if (n < least || !str_u64(str_sub(*s, 0, n), 99999, &v))
		return false;
	*out = (int)v;
	*s = str_sub(*s, n, s->len);
	return true;
}

static bool
take_month(struct str *s, int *out)
{
	int i;

	for (i = 0; i < 12; i++)
		if (str_ieq(str_sub(*s, 0, 3), str_of(months + 3 * i, 3))) {
			*s = str_sub(*s, 3, s->len);
			*out = i + 1;
			return true;
		}
	return false;
}

static bool
take_char(struct str *s, char c)
{
	if (!s->len || s->at[0] != c)
		return false;
	*s = str_sub(*s, 1, s->len);
	return true;
}

/* Blanks, folds and comments (RFC 5322 CFWS). */
static void
skip_cfws(struct str *s)
{
	int depth = 0;

	for (; s->len; *s = str_sub(*s, 1, s->len)) {
		char c = s->at[0];

		if (c == '(')
			depth++;
		else if (c == ')' && depth)
			depth--;
		else if (!depth && !is_blank(c) && c != '\r' && c != '\n')
			return;
	}
}

/* "+0100", or an obsolete name; minutes east. Unknown names count as UTC
 * (RFC 5322 4.3). */
static int
take_zone(struct str *s)
{
	static const struct {
		const char *name;
		int hours;
	} names[] = {{"EDT", -4}, {"EST", -5}, {"CDT", -5}, {"CST", -6},
		{"MDT", -6}, {"MST", -7}, {"PDT", -7}, {"PST", -8}};
	int sign, n;
	size_t i;

	if (s->len && (s->at[0] == '+' || s->at[0] == '-')) {
		sign = s->at[0] == '-' ? -1 : 1;
		*s = str_sub(*s, 1, s->len);
		return take_number(s, 4, 4, &n) ?
			sign * (n / 100 * 60 + n % 100) : 0;
	}
	for (i = 0; i < sizeof names / sizeof *names; i++)
		if (str_istarts(*s, names[i].name))
			return names[i].hours * 60;
	return 0;
}

static bool
take_time(struct str *s, int64_t *seconds)
{
	int h, m, sec = 0;

	if (!take_number(s, 1, 2, &h) || !take_char(s, ':') ||
		!take_number(s, 1, 2, &m))
		return false;
	if (take_char(s, ':') && !take_number(s, 1, 2, &sec))
		return false;
	*seconds = h * 3600 + m * 60 + sec;
	return h < 24 && m < 60 && sec <= 60;
}

static bool
is_date(int year, int month, int day)
{
	static const int most[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30,
		31};

	return year >= 1 && month >= 1 && month <= 12 && day >= 1 &&
		day <= most[month - 1];
}

/* Two-digit years per RFC 5322 4.3. */
static int
full_year(int year, size_t digits)
{
	if (digits == 2)
		return year < 50 ? year + 2000 : year + 1900;
	return digits == 3 ? year + 1900 : year;
}

/* "Z", "+01:00"; minutes east. */
static bool
take_offset(struct str *s, int *zone)
{
	int sign, h, m;

	*zone = 0;
	if (take_char(s, 'Z') || take_char(s, 'z'))
		return true;
	sign = take_char(s, '-') ? -1 : 1;
	if (sign > 0 && !take_char(s, '+'))
		return false;
	if (!take_number(s, 2, 2, &h) || !take_char(s, ':') ||
		!take_number(s, 2, 2, &m) || h > 23 || m > 59)
		return false;
	*zone = sign * (h * 60 + m);
	return true;
}

bool
clock_parse_iso(struct str s, int64_t *wall_ms)
{
	int year, month, day, zone;
	int64_t seconds;

	if (!take_number(&s, 4, 4, &year) || !take_char(&s, '-') ||
		!take_number(&s, 2, 2, &month) || !take_char(&s, '-') ||
		!take_number(&s, 2, 2, &day) || !is_date(year, month, day) ||
		!(take_char(&s, 'T') || take_char(&s, 't')) ||
		!take_time(&s, &seconds))
		return false;
	if (take_char(&s, '.'))
		while (s.len && is_digit(s.at[0]))
			s = str_sub(s, 1, s.len);
	if (!take_offset(&s, &zone) || s.len)
		return false;
	*wall_ms = (days_of(year, month, day) * DAY + seconds - zone * 60) *
		1000;
	return true;
}

bool
clock_parse_mail_date(struct str s, int64_t *wall_ms, int *zone_minutes)
{
	int day, month, year, zone;
	int64_t seconds;
	size_t before;

	skip_cfws(&s);
	if (s.len && is_alpha(s.at[0])) {	/* day of the week */
		while (s.len && is_alpha(s.at[0]))
			s = str_sub(s, 1, s.len);
		skip_cfws(&s);
		take_char(&s, ',');
		skip_cfws(&s);
	}
	if (!take_number(&s, 1, 2, &day))
		return false;
	skip_cfws(&s);
	take_char(&s, '-');
	if (!take_month(&s, &month))
		return false;
	skip_cfws(&s);
	take_char(&s, '-');
	before = s.len;
	if (!take_number(&s, 2, 4, &year))
		return false;
	year = full_year(year, before - s.len);
	skip_cfws(&s);
	if (!take_time(&s, &seconds) || !is_date(year, month, day))
		return false;
	skip_cfws(&s);
	zone = take_zone(&s);
	*wall_ms = (days_of(year, month, day) * DAY + seconds - zone * 60) *
		1000;
	if (zone_minutes)
		*zone_minutes = zone;
	return true;
}

static bool
take_imap_day(struct str *s, int64_t *out)
{
	int day, month, year;

	while (take_char(s, ' '))
		;
	if (!take_number(s, 1, 2, &day) || !take_char(s, '-') ||
		!take_month(s, &month) || !take_char(s, '-') ||
		!take_number(s, 4, 4, &year) || !is_date(year, month, day))
		return false;
	*out = days_of(year, month, day);
	return true;
}

bool
clock_parse_imap_day(struct str s, int64_t *day)
{
	return take_imap_day(&s, day) && s.len == 0;
}

bool
clock_parse_imap_date(struct str s, int64_t *wall_ms)
{
	int64_t day, seconds;
	int zone;

	if (!take_imap_day(&s, &day) || !take_char(&s, ' ') ||
		!take_time(&s, &seconds) || !take_char(&s, ' ') || s.len != 5 ||
		(s.at[0] != '+' && s.at[0] != '-'))
		return false;
	zone = take_zone(&s);
	if (s.len)
		return false;
	*wall_ms = (day * DAY + seconds - zone * 60) * 1000;
	return true;
}
