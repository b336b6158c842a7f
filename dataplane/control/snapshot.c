/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live table as packed records, while workers insert, move, touch and remove. Only reads: a
 * reader's read-only mapping will do, and no worker waits.
 *
 * Why a connection K that is in the table from begin to end is given: once, and again each time that
 * it moves. A begin is the moment when every owner's move log has been noted (`seen`); a circle is
 * every bucket once, after it. All accesses below are acquire or stronger, so what is written before
 * a word is gone is seen by who finds it gone.
 *
 * 1. At the begin K has a live word. If it has two (docs/design/0007: MOVING and ARRIVING), take the
 *    newer, ARRIVING. Call its slot t.
 * 2. When the circle reads t, K's word is there: it is given, or was given before (what is given
 *    while it moves is remembered: snapshot_again). Or it is not: then a move took it from t.
 * 3. That move was not published at the begin, or t would not be the newer. Who cleared t logged the
 *    key after it was published, before he cleared (move_note, by the mover or by who ended the move
 *    for him). So the log entry is newer than the begin, and older than the reading of t.
 * 4. After the circle the logs are followed up to where they then are. So K is looked up, by
 *    tiara_table_find, which misses nothing that stays, and given.
 *
 * A log is a ring. The key of number n is good if the log's count, read after it, is below n + the
 * ring's length (move_note: who overwrites it has written that count before). Otherwise there was an
 * overrun: 3 may point to what is gone. Then a new begin and a new circle follow, from where the
 * scan is. What was given stays given; the argument holds for the last circle. Each stretch of
 * buckets is followed by a look at the logs, so that this takes movers who outrun a scan.
 *
 * Names. An index means one name until the generation that takes it away, and is not given away
 * before no entry has it (docs/design/0002). Words are read first, then the generation: who wrote
 * them had seen that one or an older one. Where it is a new one, names are compared with those at
 * the begin; a position is only given where both agree, so at the time of the word too.
 */
#include "control/internal.h"

#include "table/hash.h"
#include "table/word.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum {
	SNAPSHOT_STRETCH_BUCKETS = 256, /* between two looks at the logs */
	SNAPSHOT_CALL_BUCKETS = 65536,  /* a call takes a few milliseconds at most */
	SNAPSHOT_WORDS = SNAPSHOT_STRETCH_BUCKETS * TIARA_BUCKET_ENTRIES,
	SNAPSHOT_PASSES_MAX = 8,
	SNAPSHOT_TRANSIT_KEYS = 64,
};

/* How far an owner's log was followed, and up to where it has to be before the end. */
struct snapshot_log {
	uint64_t seen;
	uint64_t until;
};

struct tiara_snapshot {
	struct tiara_handle *handle;
	struct control_kept now;
	struct control_kept first; /* what the positions mean; dense, by position */
	uint32_t *service_pos;     /* by index; CONTROL_NONE: not ours, or no longer the same */
	uint32_t *backend_pos;
	struct tiara_age age;
	struct snapshot_log *log; /* worker_max + 1 */
	uint32_t log_cnt;
	uint32_t following;                      /* the log that is being followed */
	uint64_t bucket;                         /* next to read */
	uint64_t left;                           /* buckets of the circle */
	uint64_t transit[SNAPSHOT_TRANSIT_KEYS]; /* keys given while they moved */
	uint32_t transit_cnt;
	union tiara_word word[SNAPSHOT_WORDS]; /* read, not packed yet */
	uint32_t word_cnt;
	struct tiara_snapshot_info info;
};

/* ---- names ---- */

/* A position for each name that is in use. */
static void
snapshot_dictionaries(struct tiara_snapshot *s)
{
	const struct control_kept *now = &s->now;

	for (uint32_t i = 0; i < now->view.service_cnt; i++) {
		uint32_t pos = s->info.service_cnt;

		if (now->service_name[i].use != TIARA_USE_ACTIVE)
			continue;
		s->first.service[pos] = now->service[i];
		s->first.service_name[pos] = now->service_name[i];
		s->service_pos[i] = s->info.service_cnt++;
	}
	for (uint32_t i = 0; i < now->view.backend_cnt; i++) {
		uint32_t pos = s->info.backend_cnt;

		if (now->backend_name[i].use != TIARA_USE_ACTIVE)
			continue;
		s->first.backend[pos] = now->backend[i];
		s->first.backend_name[pos] = now->backend_name[i];
		s->backend_pos[i] = s->info.backend_cnt++;
	}
}

static bool
snapshot_service_stays(const struct tiara_snapshot *s, uint32_t i, uint32_t pos)
{
	return i < s->now.view.service_cnt && s->now.service_name[i].use == TIARA_USE_ACTIVE &&
	       !memcmp(s->now.service_name[i].uid, s->first.service_name[pos].uid,
		       sizeof(s->first.service_name[pos].uid)) &&
	       s->now.service[i].vip == s->first.service[pos].vip &&
	       s->now.service[i].port == s->first.service[pos].port &&
	       s->now.service[i].protocol == s->first.service[pos].protocol;
}

static bool
snapshot_backend_stays(const struct tiara_snapshot *s, uint32_t i, uint32_t pos)
{
	return i < s->now.view.backend_cnt && s->now.backend_name[i].use == TIARA_USE_ACTIVE &&
	       !memcmp(s->now.backend_name[i].uid, s->first.backend_name[pos].uid,
		       sizeof(s->first.backend_name[pos].uid));
}

/* After words were read: the newest configuration, and no position for what is another name now. */
static enum tiara_status
snapshot_refresh(struct tiara_snapshot *s, struct tiara_error *error)
{
	enum tiara_status status;

	s->age.now = (uint16_t)tiara_tick_now(&s->handle->map);
	if (control_generation(s->handle) == s->now.view.generation)
		return TIARA_OK;
	status = control_kept_read(s->handle, &s->now, error);
	if (status != TIARA_OK)
		return status;
	for (uint32_t i = 0; i < s->handle->map.segment->service_max; i++)
		if (s->service_pos[i] != CONTROL_NONE &&
		    !snapshot_service_stays(s, i, s->service_pos[i]))
			s->service_pos[i] = CONTROL_NONE;
	for (uint32_t i = 0; i < s->handle->map.segment->backend_max; i++)
		if (s->backend_pos[i] != CONTROL_NONE &&
		    !snapshot_backend_stays(s, i, s->backend_pos[i]))
			s->backend_pos[i] = CONTROL_NONE;
	return TIARA_OK;
}

/* ---- words to records ---- */

static uint32_t
snapshot_pos(const uint32_t *pos, uint32_t idx, uint32_t cnt)
{
	return idx < cnt ? pos[idx] : CONTROL_NONE;
}

static bool
snapshot_backend_wanted(const struct tiara_snapshot *s, uint32_t idx)
{
	uint8_t use = s->now.backend[idx].use;

	return use == TIARA_USE_ACTIVE || use == TIARA_USE_DOWN;
}

/* False: what a push would not take (expired, its service or backend gone, client port 0). */
static bool
snapshot_pack(const struct tiara_snapshot *s, const union tiara_word *word,
	      struct tiara_packed_connection *record)
{
	const struct tiara_entry *e = &word->entry;
	uint32_t service = snapshot_pos(s->service_pos, e->service_idx, s->now.view.service_cnt);
	uint32_t backend = snapshot_pos(s->backend_pos, e->backend_idx, s->now.view.backend_cnt);
	uint32_t idle, timeout;

	if (service == CONTROL_NONE || backend == CONTROL_NONE || e->client_port == 0 ||
	    e->state > TIARA_STATE_UDP || !snapshot_backend_wanted(s, e->backend_idx) ||
	    e->flags & TIARA_ENTRY_ENDING || tiara_entry_expired(&s->age, word))
		return false;
	timeout = s->now.service[e->service_idx].timeout_ticks[e->state];
	/* Of what a card may have only its worker knows: the receiver rather keeps it too long. */
	idle = e->flags & TIARA_ENTRY_OFFLOADED ? 0 : tiara_tick_age(s->age.now, e->last_seen);
	if (timeout == 0)
		return false;
	*record = (struct tiara_packed_connection){
		.client_addr = e->client_addr,
		.client_port = e->client_port,
		.service_pos = htons((uint16_t)service),
		.backend_pos = htonl(backend),
		.idle_s = htons((uint16_t)(idle < timeout ? idle : timeout - 1)),
		.state = e->state,
	};
	return true;
}

/* All words read so far; there is room for them. */
static enum tiara_status
snapshot_flush(struct tiara_snapshot *s, struct tiara_packed_connection *record, uint32_t *cnt,
	       struct tiara_error *error)
{
	enum tiara_status status = snapshot_refresh(s, error);

	if (status != TIARA_OK)
		return status;
	for (uint32_t i = 0; i < s->word_cnt; i++)
		*cnt += snapshot_pack(s, &s->word[i], &record[*cnt]);
	s->word_cnt = 0;
	return TIARA_OK;
}

/* ---- the scan ---- */

/* Was this key given while it moved? Two words of a connection would else be two records. */
static bool
snapshot_again(struct tiara_snapshot *s, uint64_t key)
{
	uint32_t cnt = s->transit_cnt < SNAPSHOT_TRANSIT_KEYS ? s->transit_cnt
							      : SNAPSHOT_TRANSIT_KEYS;

	for (uint32_t i = 0; i < cnt; i++)
		if (s->transit[i] == key)
			return true;
	s->transit[s->transit_cnt++ % SNAPSHOT_TRANSIT_KEYS] = key;
	return false;
}

static void
snapshot_read_entry(struct tiara_snapshot *s, const struct tiara_entry *slot)
{
	union tiara_word w = {.all = word_load(slot)};

	if (!tiara_word_live(&w))
		return;
	if (w.entry.flags & (TIARA_ENTRY_MOVING | TIARA_ENTRY_ARRIVING) && snapshot_again(s, w.key))
		return;
	s->word[s->word_cnt++] = tiara_word_plain(w);
}

static void
snapshot_read_stretch(struct tiara_snapshot *s, uint32_t room)
{
	uint64_t cnt = room / TIARA_BUCKET_ENTRIES;

	if (cnt > SNAPSHOT_STRETCH_BUCKETS)
		cnt = SNAPSHOT_STRETCH_BUCKETS;
	if (cnt > s->left)
		cnt = s->left;
	for (uint64_t n = 0; n < cnt; n++) {
		const struct tiara_bucket *bucket = &s->handle->map.bucket[s->bucket];

		for (int i = 0; i < TIARA_BUCKET_ENTRIES; i++)
			snapshot_read_entry(s, &bucket->entry[i]);
		s->bucket = (s->bucket + 1) & s->handle->map.bucket_mask;
	}
	s->left -= cnt;
	s->info.scanned_buckets += cnt;
}

/* ---- the logs ---- */

static uint64_t
snapshot_log_cnt(const struct tiara_snapshot *s, uint32_t owner)
{
	/* Acquire, with the release in move_note: the keys below are there. */
	return __atomic_load_n(&s->handle->map.move_log[owner].cnt, __ATOMIC_ACQUIRE);
}

/* A begin: every log is noted before the first bucket is read. */
static void
snapshot_circle(struct tiara_snapshot *s)
{
	s->left = s->handle->map.bucket_mask + 1;
	s->info.passes++;
}

static enum tiara_status
snapshot_overrun(struct tiara_snapshot *s, uint32_t owner, struct tiara_error *error)
{
	if (s->info.passes == SNAPSHOT_PASSES_MAX)
		return control_error(error, TIARA_BUSY, "passes",
				     "entries were moved faster than %d passes could follow; what "
				     "was given is right, but connections are missing",
				     SNAPSHOT_PASSES_MAX);
	s->log[owner].seen = snapshot_log_cnt(s, owner);
	snapshot_circle(s);
	return TIARA_OK;
}

/* Key number n of a log. False: the ring has gone over it. */
static bool
snapshot_log_key(const struct tiara_snapshot *s, uint32_t owner, uint64_t n, uint64_t *key)
{
	const struct tiara_move_log *log = &s->handle->map.move_log[owner];

	/* Acquire, with the release in move_note: whoever put a newer key there had counted before. */
	*key = __atomic_load_n(&log->key[n % TIARA_MOVE_LOG_KEYS], __ATOMIC_ACQUIRE);
	return snapshot_log_cnt(s, owner) - n < TIARA_MOVE_LOG_KEYS;
}

static void
snapshot_look_up(struct tiara_snapshot *s, uint64_t key)
{
	const struct tiara_map *map = &s->handle->map;
	uint64_t hash = tiara_hash_inline(key, map->segment->table_secret);
	struct tiara_found found = tiara_table_find(map, key, hash);

	s->info.followed++;
	if (found.slot)
		s->word[s->word_cnt++] = tiara_word_plain(found.word);
}

/* One log, as far as there is room. */
static enum tiara_status
snapshot_follow_log(struct tiara_snapshot *s, uint32_t owner, uint32_t room,
		    struct tiara_error *error)
{
	struct snapshot_log *log = &s->log[owner];

	if (room > SNAPSHOT_WORDS)
		room = SNAPSHOT_WORDS;
	while (log->seen < log->until && s->word_cnt < room) {
		uint64_t key;

		if (!snapshot_log_key(s, owner, log->seen, &key))
			return snapshot_overrun(s, owner, error);
		log->seen++;
		snapshot_look_up(s, key);
	}
	return TIARA_OK;
}

/* True: every log was followed to where it was when snapshot_note was called. */
static bool
snapshot_followed(const struct tiara_snapshot *s)
{
	return s->following == s->log_cnt;
}

static void
snapshot_note(struct tiara_snapshot *s)
{
	for (uint32_t i = 0; i < s->log_cnt; i++)
		s->log[i].until = snapshot_log_cnt(s, i);
	s->following = 0;
}

static enum tiara_status
snapshot_follow(struct tiara_snapshot *s, uint32_t room, struct tiara_error *error)
{
	enum tiara_status status = TIARA_OK;

	while (status == TIARA_OK && !snapshot_followed(s) && s->word_cnt < room &&
	       s->word_cnt < SNAPSHOT_WORDS) {
		status = snapshot_follow_log(s, s->following, room, error);
		if (s->log[s->following].seen >= s->log[s->following].until)
			s->following++;
	}
	return status;
}

/* ---- what is called ---- */

/* One step: follows what was noted, else reads a stretch and notes, else is done. */
static enum tiara_status
snapshot_step(struct tiara_snapshot *s, uint32_t room, struct tiara_error *error)
{
	if (!snapshot_followed(s))
		return snapshot_follow(s, room, error);
	if (s->left) {
		snapshot_read_stretch(s, room);
		CONTROL_STEP("stretch");
		snapshot_note(s);
	} else {
		s->info.done = true;
	}
	return TIARA_OK;
}

enum tiara_status
tiara_snapshot_next(struct tiara_snapshot *snapshot, struct tiara_packed_connection *record,
		    uint32_t max, uint32_t *cnt, struct tiara_snapshot_info *info,
		    struct tiara_error *error)
{
	struct tiara_snapshot *s = snapshot;
	uint64_t from = s->info.scanned_buckets;
	enum tiara_status status = TIARA_OK;

	*cnt = 0;
	if (max < TIARA_BUCKET_ENTRIES)
		return control_error(error, TIARA_INVALID, "max", "max must be at least %d",
				     TIARA_BUCKET_ENTRIES);
	while (status == TIARA_OK && !s->info.done && max - *cnt >= TIARA_BUCKET_ENTRIES &&
	       s->info.scanned_buckets - from < SNAPSHOT_CALL_BUCKETS) {
		status = snapshot_step(s, max - *cnt, error);
		if (status == TIARA_OK)
			status = snapshot_flush(s, record, cnt, error);
	}
	s->info.records += *cnt;
	s->info.left_buckets = s->left;
	*info = s->info;
	return status;
}

static bool
snapshot_make(struct tiara_snapshot *s, struct tiara_handle *handle)
{
	const struct tiara_segment *segment = handle->map.segment;

	s->handle = handle;
	s->log_cnt = segment->worker_max + 1;
	s->following = s->log_cnt;
	s->log = calloc(s->log_cnt, sizeof(*s->log));
	s->service_pos = malloc((segment->service_max + UINT64_C(1)) * sizeof(*s->service_pos));
	s->backend_pos = malloc((segment->backend_max + UINT64_C(1)) * sizeof(*s->backend_pos));
	if (!s->log || !s->service_pos || !s->backend_pos || !control_kept_make(&s->now, segment) ||
	    !control_kept_make(&s->first, segment))
		return false;
	memset(s->service_pos, 0xff, segment->service_max * sizeof(*s->service_pos));
	memset(s->backend_pos, 0xff, segment->backend_max * sizeof(*s->backend_pos));
	return true;
}

enum tiara_status
tiara_snapshot_begin(struct tiara_handle *handle, struct tiara_snapshot **snapshot,
		     struct tiara_error *error)
{
	struct tiara_snapshot *s = calloc(1, sizeof(*s));
	enum tiara_status status = TIARA_OK;

	if (!s || !snapshot_make(s, handle))
		status = control_out_of_memory(error);
	if (status == TIARA_OK)
		status = control_kept_read(handle, &s->now, error);
	if (status != TIARA_OK) {
		tiara_snapshot_end(s);
		return status;
	}
	s->age.view = &s->now.view;
	snapshot_dictionaries(s);
	for (uint32_t i = 0; i < s->log_cnt; i++)
		s->log[i].seen = snapshot_log_cnt(s, i);
	snapshot_circle(s);
	*snapshot = s;
	return TIARA_OK;
}

void
tiara_snapshot_end(struct tiara_snapshot *snapshot)
{
	if (!snapshot)
		return;
	control_kept_free(&snapshot->now);
	control_kept_free(&snapshot->first);
	free(snapshot->log);
	free(snapshot->service_pos);
	free(snapshot->backend_pos);
	free(snapshot);
}

enum tiara_status
tiara_snapshot_service(const struct tiara_snapshot *snapshot, uint32_t pos,
		       struct tiara_service_spec *spec, struct tiara_error *error)
{
	const struct control_kept *first = &snapshot->first;

	if (pos >= snapshot->info.service_cnt)
		return control_error(error, TIARA_NOT_FOUND, "pos", "there is no service %u: %u",
				     pos, snapshot->info.service_cnt);
	*spec = (struct tiara_service_spec){.record = first->service[pos]};
	memcpy(spec->service, first->service_name[pos].service, sizeof(spec->service));
	memcpy(spec->uid, first->service_name[pos].uid, sizeof(spec->uid));
	return TIARA_OK;
}

enum tiara_status
tiara_snapshot_backend(const struct tiara_snapshot *snapshot, uint32_t pos,
		       struct tiara_backend_spec *spec, struct tiara_error *error)
{
	const struct control_kept *first = &snapshot->first;

	if (pos >= snapshot->info.backend_cnt)
		return control_error(error, TIARA_NOT_FOUND, "pos", "there is no backend %u: %u",
				     pos, snapshot->info.backend_cnt);
	*spec = (struct tiara_backend_spec){.record = first->backend[pos]};
	memcpy(spec->pool, first->backend_name[pos].pool, sizeof(spec->pool));
	memcpy(spec->backend, first->backend_name[pos].backend, sizeof(spec->backend));
	memcpy(spec->uid, first->backend_name[pos].uid, sizeof(spec->uid));
	return TIARA_OK;
}
