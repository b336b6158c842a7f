/* SPDX-License-Identifier: Apache-2.0 */
/* The checker of histories finds what is wrong, and nothing else. */
#include <stdlib.h>
#include <string.h>

#include "history.h"

#define CHECK_CASE(name, holds, ...)                                                               \
	check_case(name, holds, (const struct history_op[]){__VA_ARGS__},                          \
		   sizeof((const struct history_op[]){__VA_ARGS__}) / sizeof(struct history_op))

/* thread, called, returned */
#define BY(t, from, to)     .thread = (t), .called = (from), .returned = (to)
#define LOOKUP(word)        .kind = HISTORY_LOOKUP, .found = (word)
#define INSERT(word)        .kind = HISTORY_INSERT, .wanted = (word)
#define INSERT_EXISTS(word) .kind = HISTORY_INSERT, .outcome = HISTORY_EXISTS, .found = (word)
#define INSERT_FULL         .kind = HISTORY_INSERT, .outcome = HISTORY_FULL
#define REPLACE(old, new)   .kind = HISTORY_REPLACE, .found = (old), .wanted = (new)
#define REPLACE_CHANGED(old)                                                                       \
	.kind = HISTORY_REPLACE, .outcome = HISTORY_CHANGED, .found = (old), .wanted = 99
#define REMOVE(old)         .kind = HISTORY_REMOVE, .found = (old)
#define REMOVE_CHANGED(old) .kind = HISTORY_REMOVE, .outcome = HISTORY_CHANGED, .found = (old)
#define SWEEP(before)       .kind = HISTORY_SWEEP, .key = HISTORY_ALL_KEYS, .wanted = (before)
#define AT(tick)            .expired_before = (tick)
#define SEEN(tick)          ((uint64_t)(tick) << 32 | 7)

static int failed;

static void
check_case(const char *name, bool holds, const struct history_op *op, size_t cnt)
{
	struct history_op copy[16];

	memcpy(copy, op, cnt * sizeof(*op));
	if (history_holds(copy, (uint32_t)cnt, 2, NULL) == holds)
		return;
	fprintf(stderr, "%s: said to %s\n", name, holds ? "be impossible" : "hold");
	failed++;
}

static void
test_one_after_another(void)
{
	CHECK_CASE("nothing", true, {BY(0, 1, 2), LOOKUP(0)});
	CHECK_CASE("found before it was there", false, {BY(0, 1, 2), LOOKUP(5)});
	CHECK_CASE("inserted, found", true, {BY(0, 1, 2), INSERT(5)}, {BY(1, 3, 4), LOOKUP(5)});
	CHECK_CASE("inserted, lost", false, {BY(0, 1, 2), INSERT(5)}, {BY(1, 3, 4), LOOKUP(0)});
	CHECK_CASE("another backend", false, {BY(0, 1, 2), INSERT(5)}, {BY(1, 3, 4), LOOKUP(6)});
	CHECK_CASE("two winners", false, {BY(0, 1, 2), INSERT(5)}, {BY(1, 3, 4), INSERT(6)});
	CHECK_CASE("told the winner", true, {BY(0, 1, 2), INSERT(5)},
		   {BY(1, 3, 4), INSERT_EXISTS(5)});
	CHECK_CASE("told another winner", false, {BY(0, 1, 2), INSERT(5)},
		   {BY(1, 3, 4), INSERT_EXISTS(6)});
	CHECK_CASE("exists when nothing does", false, {BY(0, 1, 2), INSERT_EXISTS(0)});
	CHECK_CASE("refused", true, {BY(0, 1, 2), INSERT_FULL}, {BY(0, 3, 4), LOOKUP(0)});
	CHECK_CASE("refused though there", false, {BY(0, 1, 2), INSERT(5)},
		   {BY(1, 3, 4), INSERT_FULL});
	CHECK_CASE("of two keys", true, {BY(0, 1, 2), INSERT(5)},
		   {BY(0, 3, 4), LOOKUP(0), .key = 1});
	CHECK_CASE("wrong in the second key", false, {BY(0, 1, 2), INSERT(5)},
		   {BY(0, 3, 4), LOOKUP(5), .key = 1});
}

static void
test_changes(void)
{
	CHECK_CASE("replaced", true, {BY(0, 1, 2), INSERT(5)}, {BY(0, 3, 4), REPLACE(5, 6)},
		   {BY(1, 5, 6), LOOKUP(6)});
	CHECK_CASE("replaced, old one seen", false, {BY(0, 1, 2), INSERT(5)},
		   {BY(0, 3, 4), REPLACE(5, 6)}, {BY(1, 5, 6), LOOKUP(5)});
	CHECK_CASE("both replaced one word", false, {BY(0, 1, 2), INSERT(5)},
		   {BY(0, 3, 6), REPLACE(5, 6)}, {BY(1, 4, 7), REPLACE(5, 7)});
	CHECK_CASE("one of two replaced it", true, {BY(0, 1, 2), INSERT(5)},
		   {BY(0, 3, 6), REPLACE(5, 6)}, {BY(1, 4, 7), REPLACE_CHANGED(5)});
	CHECK_CASE("not replaced for no reason", false, {BY(0, 1, 2), INSERT(5)},
		   {BY(0, 3, 4), REPLACE_CHANGED(5)});
	CHECK_CASE("removed", true, {BY(0, 1, 2), INSERT(5)}, {BY(0, 3, 4), REMOVE(5)},
		   {BY(0, 5, 6), LOOKUP(0)});
	CHECK_CASE("removed, still there", false, {BY(0, 1, 2), INSERT(5)},
		   {BY(0, 3, 4), REMOVE(5)}, {BY(0, 5, 6), LOOKUP(5)});
	CHECK_CASE("removed twice", false, {BY(0, 1, 2), INSERT(5)}, {BY(0, 3, 6), REMOVE(5)},
		   {BY(1, 4, 7), REMOVE(5)});
	CHECK_CASE("not removed for no reason", false, {BY(0, 1, 2), INSERT(5)},
		   {BY(0, 3, 4), REMOVE_CHANGED(5)});
	CHECK_CASE("removed and back", true, {BY(0, 1, 2), INSERT(5)}, {BY(0, 3, 4), REMOVE(5)},
		   {BY(1, 5, 6), INSERT(6)}, {BY(1, 7, 8), LOOKUP(6)});
}

static void
test_at_once(void)
{
	CHECK_CASE("seen early", true, {BY(0, 1, 9), INSERT(5)}, {BY(1, 2, 3), LOOKUP(5)});
	CHECK_CASE("seen late", true, {BY(0, 1, 9), INSERT(5)}, {BY(1, 2, 3), LOOKUP(0)},
		   {BY(1, 4, 5), LOOKUP(5)});
	CHECK_CASE("seen, then not", false, {BY(0, 1, 9), INSERT(5)}, {BY(1, 2, 3), LOOKUP(5)},
		   {BY(1, 4, 5), LOOKUP(0)});
	CHECK_CASE("seen by one, then not by another", false, {BY(0, 1, 9), INSERT(5)},
		   {BY(1, 2, 3), LOOKUP(5)}, {BY(2, 4, 5), LOOKUP(0)});
	CHECK_CASE("two readers disagree on the order", false, {BY(0, 1, 2), INSERT(5)},
		   {BY(0, 3, 20), REPLACE(5, 6)}, {BY(1, 3, 20), REPLACE(6, 5)},
		   {BY(2, 4, 5), LOOKUP(6)}, {BY(3, 6, 7), LOOKUP(5)}, {BY(2, 8, 9), LOOKUP(6)});
	CHECK_CASE("three at once", true, {BY(0, 1, 9), INSERT(5)}, {BY(1, 1, 9), REMOVE(5)},
		   {BY(2, 1, 9), INSERT(6)}, {BY(0, 10, 11), LOOKUP(6)});
	CHECK_CASE("three at once, one too many", false, {BY(0, 1, 9), INSERT(5)},
		   {BY(1, 1, 9), REMOVE(5)}, {BY(2, 1, 9), INSERT(6)}, {BY(3, 1, 9), INSERT(7)});
	CHECK_CASE("lost for the time of a move", false, {BY(0, 1, 2), INSERT(5)},
		   {BY(1, 3, 4), LOOKUP(0)}, {BY(1, 5, 6), LOOKUP(5)});
	CHECK_CASE("refused while it goes", true, {BY(0, 1, 2), INSERT(5)},
		   {BY(0, 3, 9), REMOVE(5)}, {BY(1, 4, 5), INSERT_FULL});
	CHECK_CASE("called first, done last", true, {BY(0, 1, 20), INSERT(5)},
		   {BY(1, 2, 3), INSERT(6)}, {BY(1, 4, 5), REMOVE(6)}, {BY(1, 21, 22), LOOKUP(5)});
}

static void
test_sweeps(void)
{
	CHECK_CASE("swept", true, {BY(0, 1, 2), INSERT(SEEN(95))}, {BY(1, 3, 4), SWEEP(97)},
		   {BY(0, 5, 6), LOOKUP(0)});
	CHECK_CASE("not yet swept", true, {BY(0, 1, 2), INSERT(SEEN(95))}, {BY(1, 3, 4), SWEEP(97)},
		   {BY(0, 5, 6), LOOKUP(SEEN(95))});
	CHECK_CASE("swept before it is time", false, {BY(0, 1, 2), INSERT(SEEN(98))},
		   {BY(1, 3, 4), SWEEP(97)}, {BY(0, 5, 6), LOOKUP(0)});
	CHECK_CASE("swept after the sweep", false, {BY(0, 1, 2), INSERT(SEEN(95))},
		   {BY(1, 3, 4), SWEEP(97)}, {BY(0, 5, 6), LOOKUP(SEEN(95))},
		   {BY(0, 7, 8), LOOKUP(0)});
	CHECK_CASE("swept though refreshed", false, {BY(0, 1, 2), INSERT(SEEN(95))},
		   {BY(1, 3, 9), SWEEP(97)}, {BY(0, 4, 5), REPLACE(SEEN(95), SEEN(99))},
		   {BY(0, 10, 11), LOOKUP(0)});
	CHECK_CASE("swept twice", true, {BY(0, 1, 2), INSERT(SEEN(95))}, {BY(1, 3, 20), SWEEP(97)},
		   {BY(0, 4, 5), INSERT(SEEN(96))}, {BY(0, 6, 7), INSERT(SEEN(99))});
	CHECK_CASE("swept once too often", false, {BY(0, 1, 2), INSERT(SEEN(99))},
		   {BY(1, 3, 20), SWEEP(97)}, {BY(0, 6, 7), INSERT(SEEN(99))});
}

/* Threads that are ahead of others take for absent what others still find. */
static void
test_ticks(void)
{
	CHECK_CASE("expired to one", true, {BY(0, 1, 2), INSERT(SEEN(95))},
		   {BY(1, 3, 4), LOOKUP(0), AT(97)}, {BY(0, 5, 6), LOOKUP(SEEN(95))});
	CHECK_CASE("expired, found", false, {BY(0, 1, 2), INSERT(SEEN(95))},
		   {BY(1, 3, 4), LOOKUP(SEEN(95)), AT(97)});
	CHECK_CASE("not expired, not found", false, {BY(0, 1, 2), INSERT(SEEN(97))},
		   {BY(1, 3, 4), LOOKUP(0), AT(97)});
	CHECK_CASE("expired, inserted anew", true, {BY(0, 1, 2), INSERT(SEEN(95))},
		   {BY(1, 3, 4), INSERT(SEEN(99)), AT(97)}, {BY(0, 5, 6), LOOKUP(SEEN(99))});
	CHECK_CASE("expired, still in the way", false, {BY(0, 1, 2), INSERT(SEEN(95))},
		   {BY(1, 3, 4), INSERT_EXISTS(SEEN(95)), AT(97)});
}

/* Its thread died: it took effect, once, at any time from its call on, or not at all. */
static void
test_deaths(void)
{
	CHECK_CASE("died, nothing done", true, {BY(0, 1, 0), INSERT(5)}, {BY(1, 2, 3), LOOKUP(0)});
	CHECK_CASE("died, done", true, {BY(0, 1, 0), INSERT(5)}, {BY(1, 2, 3), LOOKUP(0)},
		   {BY(1, 4, 5), LOOKUP(5)});
	CHECK_CASE("died, done and undone", false, {BY(0, 1, 0), INSERT(5)},
		   {BY(1, 2, 3), LOOKUP(5)}, {BY(1, 4, 5), LOOKUP(0)});
	CHECK_CASE("done before it was called", false, {BY(1, 1, 2), LOOKUP(5)},
		   {BY(0, 3, 0), INSERT(5)});
	CHECK_CASE("died, done twice", false, {BY(0, 1, 0), INSERT(5)}, {BY(1, 2, 3), REMOVE(5)},
		   {BY(1, 4, 5), LOOKUP(5)});
}

/* What a failure prints names the key, the operations and what they were told. */
static void
test_says_why(void)
{
	struct history_op op[] = {{BY(0, 1, 2), INSERT(5)}, {BY(1, 3, 4), LOOKUP(0)}};
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (history_holds(op, 2, 1, out))
		failed++;
	fclose(out);
	if (!strstr(text, "key 0") || !strstr(text, "insert") || !strstr(text, "backend 5") ||
	    !strstr(text, "lookup"))
		failed++;
	free(text);
}

int
main(void)
{
	test_one_after_another();
	test_changes();
	test_at_once();
	test_sweeps();
	test_ticks();
	test_deaths();
	test_says_why();
	return failed > 0;
}
