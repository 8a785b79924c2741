/*
 * enc.c - base64, hex, modified UTF-7, MIME decoders, SHA-256, randomness.
 * Digests and randomness come from OpenSSL. Any thread.
 */
#include "base/enc.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <unistr.h>

static const char alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
enc_base64(struct buf *out, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	uint32_t v;
	size_t i, left;

	for (i = 0; i < len; i += 3) {
		left = len - i;
		v = (uint32_t)p[i] << 16;
		if (left > 1)
			v |= (uint32_t)p[i + 1] << 8;
		if (left > 2)
			v |= p[i + 2];
		buf_addc(out, alphabet[v >> 18]);
		buf_addc(out, alphabet[v >> 12 & 63]);
		buf_addc(out, left > 1 ? alphabet[v >> 6 & 63] : '=');
		buf_addc(out, left > 2 ? alphabet[v & 63] : '=');
	}
}

static int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Whole groups of four; the last may be padded, its spare bits are zero. */
static bool
is_base64(struct str in)
{
	size_t pad = 0, i;

	if (in.len % 4)
		return false;
	while (pad < 2 && pad < in.len && in.at[in.len - 1 - pad] == '=')
		pad++;
	for (i = 0; i + pad < in.len; i++)
		if (base64_value(in.at[i]) < 0)
			return false;
	if (pad == 1)
		return (base64_value(in.at[in.len - 2]) & 3) == 0;
	return pad == 0 || (base64_value(in.at[in.len - 3]) & 15) == 0;
}

bool
enc_unbase64(struct buf *out, struct str in)
{
	if (!is_base64(in))
		return false;
	enc_mime_unbase64(out, in);
	return true;
}

void
enc_mime_unbase64(struct buf *out, struct str in)
{
	uint32_t bits = 0;
	int have = 0, v;
	size_t i;

	for (i = 0; i < in.len; i++) {
		if (in.at[i] == '=') {	/* parts may be glued together */
			bits = 0;
			have = 0;
			continue;
		}
		v = base64_value(in.at[i]);
		if (v < 0)
			continue;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			buf_addc(out, (char)(bits >> have));
		}
	}
}

static const char digits[] = "0123456789abcdef";

void
enc_hex(struct buf *out, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	size_t i;

	for (i = 0; i < len; i++) {
		buf_addc(out, digits[p[i] >> 4]);
		buf_addc(out, digits[p[i] & 15]);
	}
}

/* Length of the blanks and the line end at the start of s: a soft line break
 * behind '=', or trailing blanks; 0 if something else comes first. */
static size_t
line_end(struct str s)
{
	size_t i = 0;

	while (i < s.len && is_blank(s.at[i]))
		i++;
	if (i == s.len)
		return i;
	if (s.at[i] == '\n')
		return i + 1;
	return s.at[i] == '\r' && i + 1 < s.len && s.at[i + 1] == '\n' ?
		i + 2 : 0;
}

void
enc_mime_unqp(struct buf *out, struct str in)
{
	size_t i, n;
	int hi, lo;

	for (i = 0; i < in.len; i++) {
		char c = in.at[i];

		if (c == '=' && i + 2 < in.len &&
			(hi = hex_value(in.at[i + 1])) >= 0 &&
			(lo = hex_value(in.at[i + 2])) >= 0) {
			buf_addc(out, (char)(hi << 4 | lo));
			i += 2;
			continue;
		}
		n = c == '=' ? line_end(str_sub(in, i + 1, in.len)) : 0;
		if (n)
			i += n;
		else if (c != '=' || i + 1 < in.len)	/* a text cut there */
			buf_addc(out, c);
	}
}

bool
enc_is_utf8(struct str s)
{
	return s.len == 0 || !u8_check((const uint8_t *)s.at, s.len);
}

bool
enc_is_ascii(struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if ((unsigned char)s.at[i] > 127)
			return false;
	return true;
}

/* -------------------------------------------------------- modified UTF-7 */

static char
utf7_digit(uint32_t v)
{
	return v == 63 ? ',' : alphabet[v];
}

static void
flush_utf7(struct buf *out, uint32_t *bits, int *have, bool *inside)
{
	if (!*inside)
		return;
	if (*have)
		buf_addc(out, utf7_digit(*bits << (6 - *have) & 63));
	buf_addc(out, '-');
	*bits = 0;
	*have = 0;
	*inside = false;
}

static void
add_utf16(struct buf *out, uint32_t unit, uint32_t *bits, int *have)
{
	*bits = *bits << 16 | unit;
	*have += 16;
	while (*have >= 6) {
		*have -= 6;
		buf_addc(out, utf7_digit(*bits >> *have & 63));
	}
	*bits &= (1u << *have) - 1;
}

void
enc_utf8_to_utf7(struct buf *out, struct str in)
{
	uint32_t bits = 0;
	int have = 0, n;
	bool inside = false;
	ucs4_t c;
	size_t i;

	for (i = 0; i < in.len; i += (size_t)n) {
		n = u8_mbtoucr(&c, (const uint8_t *)in.at + i, in.len - i);
		if (n <= 0)
			return;		/* the caller checked */
		if (c >= 0x20 && c <= 0x7e) {
			flush_utf7(out, &bits, &have, &inside);
			buf_adds(out, c == '&' ? "&-" : "");
			if (c != '&')
				buf_addc(out, (char)c);
			continue;
		}
		if (!inside)
			buf_addc(out, '&');
		inside = true;
		if (c > 0xffff) {
			c -= 0x10000;
			add_utf16(out, 0xd800 + (c >> 10), &bits, &have);
			c = 0xdc00 + (c & 0x3ff);
		}
		add_utf16(out, c, &bits, &have);
	}
	flush_utf7(out, &bits, &have, &inside);
}

/* One shifted run, without its '&' and '-'. */
static bool
run_to_utf8(struct buf *out, struct str run)
{
	uint32_t bits = 0, high = 0, unit;
	int have = 0, v, n;
	uint8_t utf8[6];
	size_t i;

	for (i = 0; i < run.len; i++) {
		v = run.at[i] == ',' ? 63 : run.at[i] == '/' ? -1 :
			base64_value(run.at[i]);
		if (v < 0)
			return false;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have < 16)
			continue;
		have -= 16;
		unit = bits >> have & 0xffff;
		bits &= (1u << have) - 1;
		if (unit >= 0xd800 && unit < 0xdc00 && !high) {
			high = unit;
			continue;
		}
		if (high) {
			if (unit < 0xdc00 || unit > 0xdfff)
				return false;
			unit = 0x10000 + ((high - 0xd800) << 10) +
				(unit - 0xdc00);
			high = 0;
		}
		n = u8_uctomb(utf8, unit, sizeof utf8);
		if (n <= 0)
			return false;
		buf_add(out, utf8, (size_t)n);
	}
	return !high && have < 6 && bits == 0;
}

/* What is not canonical is refused by writing the result back: two names for
 * one mailbox must not exist. */
bool
enc_utf7_to_utf8(struct buf *out, struct str in)
{
	size_t start = out->len, i;
	struct buf again;
	bool same;

	for (i = 0; i < in.len; i++) {
		struct str rest = str_sub(in, i + 1, in.len);
		size_t n = str_find(rest, '-');

		if (in.at[i] != '&') {
			buf_addc(out, in.at[i]);
			continue;
		}
		if (n == rest.len)
			goto bad;
		if (n == 0)
			buf_addc(out, '&');
		else if (!run_to_utf8(out, str_sub(rest, 0, n)))
			goto bad;
		i += n + 1;
	}
	if (!enc_is_utf8(str_sub(buf_str(out), start, out->len)))
		goto bad;
	buf_init(&again, BUF_NO_CAP);
	enc_utf8_to_utf7(&again, str_sub(buf_str(out), start, out->len));
	same = str_eq(buf_str(&again), in);
	buf_free(&again);
	if (same)
		return true;
bad:
	out->len = start;
	if (out->at)
		out->at[start] = '\0';
	return false;
}

/* ---------------------------------------------------- digest, randomness */

struct enc_sha256 *
enc_sha256_new(void)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();

	if (!c || EVP_DigestInit_ex(c, EVP_sha256(), NULL) != 1)
		abort();
	return (struct enc_sha256 *)c;
}

void
enc_sha256_add(struct enc_sha256 *h, const void *bytes, size_t len)
{
	if (EVP_DigestUpdate((EVP_MD_CTX *)h, bytes, len) != 1)
		abort();
}

void
enc_sha256_end(struct enc_sha256 *h, uint8_t out[32])
{
	unsigned n = 32;

	if (EVP_DigestFinal_ex((EVP_MD_CTX *)h, out, &n) != 1)
		abort();
	EVP_MD_CTX_free((EVP_MD_CTX *)h);
}

/* Random bytes of this thread that nobody has had yet, the last ones first.
 * Of two processes after a fork only one goes on: none are shared. */
static __thread struct {
	unsigned char bytes[256];
	size_t left;
} fresh;

void
enc_random(void *out, size_t len)
{
	if (len > sizeof fresh.bytes / 4) {
		if (RAND_bytes(out, (int)len) != 1)
			abort();
		return;
	}
	if (fresh.left < len) {
		if (RAND_bytes(fresh.bytes, sizeof fresh.bytes) != 1)
			abort();
		fresh.left = sizeof fresh.bytes;
	}
	fresh.left -= len;
	memcpy(out, fresh.bytes + fresh.left, len);
	explicit_bzero(fresh.bytes + fresh.left, len);
}

void
enc_random_word(char *out, size_t n)
{
	/* 32 letters, so that five bits choose one evenly. */
	static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
	size_t i;

	enc_random(out, n);
	for (i = 0; i < n; i++)
		out[i] = letters[out[i] & 31];
	out[n] = '\0';
}
