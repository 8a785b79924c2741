/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * bayes.c - Robinson's estimate for each word and Fisher's method for all of
 * them: "how unlikely are these words in good mail, how unlikely in junk?"
 * Mail that is unlike both, or like both, comes out near 0.5. Pure.
 */
#include "junk.h"

#include <math.h>
#include <stdlib.h>

#define KNOWN_STRENGTH 0.45	/* of 0.5, for words that were seen seldom */
#define LEAST_DEVIATION 0.1	/* words nearer to 0.5 say nothing */
#define WORDS_COUNTED 150	/* those that say the most */

static double
word_is_junk(struct count c, struct count all)
{
	double junk = c.junk / (all.junk ? (double)all.junk : 1);
	double good = c.good / (all.good ? (double)all.good : 1);
	double n = (double)c.junk + c.good, p;

	if (!c.junk && !c.good)
		return 0.5;
	p = junk / (junk + good);
	return (KNOWN_STRENGTH * 0.5 + n * p) / (KNOWN_STRENGTH + n);
}

/* P(chi-square with 2n degrees of freedom > x); logarithms keep the product
 * of many words from vanishing. */
static double
chi_square(double x, size_t n)
{
	double m = x / 2, term = -m, sum, log_sum;
	size_t i;

	if (!n)
		return 1;
	log_sum = term;
	for (i = 1; i < n; i++) {
		term += log(m / (double)i);
		log_sum = log_sum > term ?
			log_sum + log1p(exp(term - log_sum)) :
			term + log1p(exp(log_sum - term));
	}
	sum = exp(log_sum);
	return sum < 1 ? sum : 1;
}

static int
by_deviation(const void *a, const void *b)
{
	double x = fabs(*(const double *)a - 0.5);
	double y = fabs(*(const double *)b - 0.5);

	return x > y ? -1 : x < y;
}

double
bayes_judge(const struct count *of, size_t n, struct count all)
{
	double p[WORDS_MOST], good = 0, junk = 0, h, s;
	size_t i, k = 0;

	for (i = 0; i < n && i < WORDS_MOST; i++) {
		p[k] = word_is_junk(of[i], all);
		k += fabs(p[k] - 0.5) >= LEAST_DEVIATION;
	}
	if (!k)
		return 0.5;
	qsort(p, k, sizeof *p, by_deviation);
	k = k < WORDS_COUNTED ? k : WORDS_COUNTED;
	for (i = 0; i < k; i++) {
		junk += log(p[i]);
		good += log(1 - p[i]);
	}
	h = chi_square(-2 * junk, k);	/* small: not like junk */
	s = chi_square(-2 * good, k);	/* small: not like good mail */
	return (1 + h - s) / 2;
}
