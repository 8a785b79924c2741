/*
 * esmtp_args.c - reads what MAIL and RCPT said beside the addresses. Views
 * only; any thread.
 */
#include "mail/esmtp_args.h"

bool
esmtp_arg(struct str args, const char *key, struct str *value)
{
	struct str word, name;

	while ((word = str_word(&args)).len) {
		name = str_cut(&word, '=');
		if (!str_iis(name, key))
			continue;
		if (value)
			*value = word;
		return true;
	}
	return false;
}

void
xtext_encode(struct buf *out, struct str in)
{
	size_t i;

	for (i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.at[i];

		if (c > ' ' && c < 127 && c != '+' && c != '=')
			buf_addc(out, (char)c);
		else
			buf_addf(out, "+%02X", c);
	}
}

bool
xtext_decode(struct buf *out, struct str in)
{
	size_t i;

	for (i = 0; i < in.len; i++) {
		int high, low;

		if ((unsigned char)in.at[i] <= ' ' || in.at[i] == '=')
			return false;
		if (in.at[i] != '+') {
			buf_addc(out, in.at[i]);
			continue;
		}
		if (in.len - i < 3)
			return false;
		/* RFC 3461 has capitals only. */
		high = hex_value(in.at[i + 1]);
		low = hex_value(in.at[i + 2]);
		if (high < 0 || low < 0)
			return false;
		buf_addc(out, (char)(high << 4 | low));
		i += 2;
	}
	return true;
}
