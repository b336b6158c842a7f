/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A move of key K from slot s to slot t of K's other bucket, by owner X (docs/design/0007):
 *
 *        s                t                       readers find
 *   M0   W                free                    W in s
 *   M1   W                T{K, X, nonce}          W in s            t is claimed, as by an insert
 *   M2   W, MOVING, X     T{K, X, nonce}          W in s            s is frozen
 *   M3   W, MOVING, X     W, ARRIVING, X          W in either       t is published
 *        the move is logged and counted
 *   M4   free             W, ARRIVING, X          W in t            s is cleared
 *   M5   free             W                       W in t            settled
 *
 * The rule that makes late steps harmless: a word with X's number is put there by X alone; anybody
 * else may change it only into the same word with his own number, and then looks at the other slot
 * before he goes on. So a step hits what its owner has judged, or nothing.
 */
#include "move.h"

#include "hash.h"
#include "reuse.h"

enum {
	MOVE_LOOKS_MAX = 1 << 16,
	MOVE_EXPAND_MAX = TIARA_SEARCH_BULK,
	MOVE_NODES_MAX = 2 + TIARA_BUCKET_ENTRIES * MOVE_EXPAND_MAX,
};

static union tiara_word
move_tag(union tiara_word word, uint8_t flag, const struct tiara_writer *writer)
{
	word = tiara_word_plain(word);
	word.entry.flags |= flag;
	word.entry.backend_idx |= (uint32_t)writer->owner << 24;
	return word;
}

static bool
move_is_mine(const union tiara_word *word, const struct tiara_writer *writer)
{
	return word->entry.backend_idx >> 24 == writer->owner;
}

/* Between publishing and clearing: who saw neither word sees this (tiara_table_find, a snapshot). */
static void
move_note(const struct tiara_map *map, const struct tiara_writer *writer, uint64_t key,
	  uint64_t hash)
{
	uint32_t owner = writer->owner < map->segment->worker_max ? writer->owner
								  : map->segment->worker_max;
	struct tiara_move_log *log = &map->move_log[owner];

	/*
	 * Only we write it. Release: who sees the new cnt (acquire) sees the key; who sees a key that
	 * was put over an old one (acquire) sees the cnt before it, and so that the old one is lost.
	 */
	__atomic_store_n(&log->key[log->cnt % TIARA_MOVE_LOG_KEYS], key, __ATOMIC_RELEASE);
	__atomic_store_n(&log->cnt, log->cnt + 1, __ATOMIC_RELEASE);
	__atomic_add_fetch(&map->move[(hash ^ hash >> 32) % TIARA_MOVE_STRIPES], 1,
			   __ATOMIC_SEQ_CST);
}

/* ---- helping ---- */

/* What both buckets of a key say about a move of it. slot NULL: no such word. */
struct move_look {
	struct tiara_found frozen;
	struct tiara_found arrived; /* the live word that is not frozen, ARRIVING or settled */
	struct tiara_found claim;   /* a tentative word */
};

static void
move_look_bucket(struct tiara_bucket *bucket, uint64_t key, struct move_look *look)
{
	for (int i = 0; i < TIARA_BUCKET_ENTRIES; i++) {
		struct tiara_found f = {.slot = &bucket->entry[i]};

		f.word = slot_load(f.slot);
		if (f.word.key != key || f.word.entry.state == TIARA_STATE_EMPTY)
			continue;
		if (f.word.entry.state == TIARA_STATE_TENTATIVE)
			look->claim = f;
		else if (f.word.entry.flags & TIARA_ENTRY_MOVING)
			look->frozen = f;
		else if (!look->arrived.slot || !reuse_in_transit(&look->arrived.word))
			look->arrived = f; /* never two; if there were, the moving one first */
	}
}

/*
 * A frozen word, ours now and since before the look: nobody else clears or thaws it. Its target was
 * claimed before it was frozen. Published: all that is left is to clear. Still claimed: the claim
 * has to go first, so that its owner cannot publish after we thaw. Neither: it never will be.
 */
static void
move_help_frozen(const struct tiara_map *map, struct tiara_writer *writer,
		 const struct move_look *look, uint64_t key, uint64_t hash)
{
	if (!move_is_mine(&look->frozen.word, writer)) {
		reuse_swap(writer, &look->frozen,
			   move_tag(look->frozen.word, TIARA_ENTRY_MOVING, writer));
	} else if (look->arrived.slot) {
		move_note(map, writer, key, hash);
		TIARA_STEP(17);
		reuse_clear(writer, &look->frozen);
	} else if (look->claim.slot) {
		reuse_clear(writer, &look->claim);
	} else {
		reuse_swap(writer, &look->frozen, tiara_word_plain(look->frozen.word));
	}
}

/* No frozen word was there after the arrived one became ours: the old one is gone, this one stays. */
static void
move_help_arrived(struct tiara_writer *writer, const struct tiara_found *arrived)
{
	if (move_is_mine(&arrived->word, writer))
		reuse_swap(writer, arrived, tiara_word_plain(arrived->word));
	else
		reuse_swap(writer, arrived, move_tag(arrived->word, TIARA_ENTRY_ARRIVING, writer));
}

void
tiara_move_help(const struct tiara_map *map, struct tiara_writer *writer, uint64_t key)
{
	uint64_t hash = tiara_hash_inline(key, map->segment->table_secret);
	struct tiara_bucket *first = &map->bucket[tiara_hash_bucket_1(hash, map->bucket_mask)];
	struct tiara_bucket *second = &map->bucket[tiara_hash_bucket_2(hash, map->bucket_mask)];

	for (int looks = 0; looks < MOVE_LOOKS_MAX; looks++) {
		struct move_look look = {.frozen.slot = NULL};

		move_look_bucket(first, key, &look);
		TIARA_STEP(20);
		move_look_bucket(second, key, &look);
		TIARA_STEP(16);
		if (look.frozen.slot)
			move_help_frozen(map, writer, &look, key, hash);
		else if (look.arrived.slot && reuse_in_transit(&look.arrived.word))
			move_help_arrived(writer, &look.arrived);
		else
			return;
	}
}

/* ---- one move ---- */

/*
 * May an entry of this backend be moved? Not if it is unused in our view, no more than one of an unused
 * service: the pass that ends their quarantine may have been at the target already (docs/design/0002).
 */
static bool
move_backend_allowed(const struct tiara_age *age, const union tiara_word *word)
{
	return !reuse_is_unused(reuse_backend_use(age->view, word->entry.backend_idx));
}

static bool
move_allowed(const struct tiara_map *map, const struct tiara_age *age, const union tiara_word *word)
{
	return reuse_judge(map, age, word) == REUSE_HELD && move_backend_allowed(age, word);
}

/* M0 to M2. False: nothing was changed, or all of it was taken back. */
static bool
move_freeze(const struct tiara_age *age, struct tiara_writer *writer, struct tiara_found *from,
	    struct tiara_found *to)
{
	union tiara_word claim = reuse_tentative(age, writer, from->word.key);
	union tiara_word frozen = move_tag(from->word, TIARA_ENTRY_MOVING, writer);

	if (!reuse_swap(writer, to, claim)) /* M1 */
		return false;
	to->word = claim;
	TIARA_STEP(11);
	if (!reuse_swap(writer, from, frozen)) { /* M2 */
		reuse_clear(writer, to);
		return false;
	}
	from->word = frozen;
	return true;
}

/* M3. False: somebody took the claim away; the old word is as it was, or he sees to it. */
static bool
move_publish(const struct tiara_map *map, struct tiara_writer *writer,
	     const struct tiara_found *from, struct tiara_found *to)
{
	union tiara_word arriving = move_tag(from->word, TIARA_ENTRY_ARRIVING, writer);

	if (reuse_swap(writer, to, arriving)) {
		to->word = arriving;
		return true;
	}
	if (!reuse_swap(writer, from, tiara_word_plain(from->word)))
		tiara_move_help(map, writer, from->word.key);
	return false;
}

/* M4, M5. What fails was done by somebody else, or is his to do: then all of it is looked at again. */
static void
move_settle(const struct tiara_map *map, struct tiara_writer *writer,
	    const struct tiara_found *from, const struct tiara_found *to)
{
	bool mine = reuse_clear(writer, from);

	TIARA_STEP(15);
	if (!mine || !reuse_swap(writer, to, tiara_word_plain(to->word)))
		tiara_move_help(map, writer, to->word.key);
}

/* From `from`, which holds an allowed word, to `to`, which may be taken. False: nothing was moved. */
static bool
move_entry(const struct tiara_map *map, const struct tiara_age *age, struct tiara_writer *writer,
	   struct tiara_found from, struct tiara_found to)
{
	uint64_t hash = tiara_hash_inline(from.word.key, map->segment->table_secret);
	struct tiara_bucket *first = &map->bucket[tiara_hash_bucket_1(hash, map->bucket_mask)];
	bool spare = reuse_judge(map, age, &to.word) == REUSE_SPARE;

	if (to.slot < first->entry || to.slot >= first->entry + TIARA_BUCKET_ENTRIES)
		slot_mark_bucket(first); /* before anything of the key is in its second bucket */
	TIARA_STEP(10);
	if (!move_freeze(age, writer, &from, &to))
		return false;
	TIARA_STEP(12);
	if (!move_publish(map, writer, &from, &to))
		return false;
	TIARA_STEP(13);
	move_note(map, writer, from.word.key, hash);
	TIARA_STEP(14);
	move_settle(map, writer, &from, &to);
	writer->moved_cnt++;
	writer->reclaimed_cnt += spare;
	return true;
}

/* ---- the search for room ---- */

/* A bucket that the search came to, from which slot of which. */
struct move_node {
	uint32_t bucket;
	uint16_t parent; /* its own number: a root */
	uint8_t slot;    /* of the parent: whose entry has this as its other bucket */
};

struct move_search {
	struct move_node node[MOVE_NODES_MAX];
	uint32_t cnt;
};

static uint32_t
move_other_bucket(const struct tiara_map *map, uint64_t key, uint32_t bucket)
{
	uint64_t hash = tiara_hash_inline(key, map->segment->table_secret);
	uint64_t first = tiara_hash_bucket_1(hash, map->bucket_mask);

	return (uint32_t)(first == bucket ? tiara_hash_bucket_2(hash, map->bucket_mask) : first);
}

/*
 * A slot of the node's bucket that may be taken, an unconfirmed entry's last; else, `expand`, the other
 * buckets of its entries that may be moved become nodes.
 */
static struct tiara_found
move_visit(const struct tiara_map *map, const struct tiara_age *age, struct move_search *search,
	   uint32_t at, bool expand)
{
	const struct move_node *n = &search->node[at];
	struct tiara_bucket *bucket = &map->bucket[n->bucket];
	union tiara_word word[TIARA_BUCKET_ENTRIES];
	enum reuse reuse[TIARA_BUCKET_ENTRIES];
	struct tiara_found spare = {.slot = NULL};

	for (int i = 0; i < TIARA_BUCKET_ENTRIES; i++) {
		word[i] = slot_load(&bucket->entry[i]);
		reuse[i] = reuse_judge(map, age, &word[i]);
		if (reuse[i] <= REUSE_SPARE)
			spare = (struct tiara_found){.slot = &bucket->entry[i], .word = word[i]};
		if (reuse[i] == REUSE_TAKE)
			return spare;
	}
	for (int i = 0; i < TIARA_BUCKET_ENTRIES && expand && !spare.slot; i++) {
		struct move_node *child = &search->node[search->cnt];

		if (reuse[i] != REUSE_HELD || !move_backend_allowed(age, &word[i]))
			continue;
		*child = (struct move_node){.parent = (uint16_t)at, .slot = (uint8_t)i};
		child->bucket = move_other_bucket(map, word[i].key, n->bucket);
		__builtin_prefetch(&map->bucket[child->bucket]);
		search->cnt++;
	}
	return spare;
}

/* From the far end of the path back to a root, each entry into the slot that the last one left. */
static void
move_along(const struct tiara_map *map, const struct tiara_age *age, struct tiara_writer *writer,
	   const struct move_search *search, uint32_t at, struct tiara_found room)
{
	while (search->node[at].parent != at) {
		const struct move_node *n = &search->node[at];
		struct tiara_bucket *parent = &map->bucket[search->node[n->parent].bucket];
		struct tiara_found from = {.slot = &parent->entry[n->slot]};

		from.word = slot_load(from.slot);
		if (!move_allowed(map, age, &from.word) ||
		    move_other_bucket(map, from.word.key, search->node[n->parent].bucket) !=
			    n->bucket ||
		    !move_entry(map, age, writer, from, room))
			return;
		room = (struct tiara_found){.slot = from.slot};
		at = n->parent;
	}
}

bool
tiara_move_make_room(const struct tiara_map *map, const struct tiara_age *age,
		     struct tiara_writer *writer, const uint64_t bucket[2])
{
	uint32_t max = writer->search_max < MOVE_EXPAND_MAX ? writer->search_max : MOVE_EXPAND_MAX;
	struct move_search search;

	for (uint16_t i = 0; i < 2; i++)
		search.node[i] = (struct move_node){.bucket = (uint32_t)bucket[i], .parent = i};
	search.cnt = 2;
	for (uint32_t at = 0; at < search.cnt && max > 0; at++) {
		struct tiara_found room = move_visit(map, age, &search, at, at < max);

		if (!room.slot)
			continue;
		move_along(map, age, writer, &search, at, room);
		return true;
	}
	return false;
}
