/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection table in a real segment, and the connections to put into it. Connection n is a pure
 * function of n: its key is a permutation of n, so that keys are distinct without being stored and
 * connections that follow each other lie anywhere in the table; its backend is drawn from the key,
 * so that every answer can be checked.
 */
#ifndef TIARA_BENCH_LOAD_H
#define TIARA_BENCH_LOAD_H

#include "table/table.h"

enum {
	LOAD_BURST = 64,      /* keys a call: as many as rte_hash takes */
	LOAD_BACKENDS = 1024, /* a power of two */
};

/* One a thread: threads share the map's memory, nothing else. */
struct load {
	struct tiara_handle *handle;
	struct tiara_map map;
	struct tiara_view view;
	struct tiara_age age;
	struct tiara_writer writer;
	uint64_t connections;
	uint16_t service_idx;
	uint32_t backend_idx[LOAD_BACKENDS];
};

struct load_config {
	const char *path;       /* of the segment: its file system decides the page size */
	uint64_t connections;   /* that will be resident */
	uint64_t buckets;       /* 0: what an operator gets who asks for the connections */
	uint16_t timeout_ticks; /* 0: the longest */
};

/* Makes the segment, publishes one service with LOAD_BACKENDS backends, removes the file's name. */
void load_open(struct load *load, const struct load_config *config);
void load_close(struct load *load);
/* The same table for another thread. */
struct load *load_share(const struct load *load, uint8_t owner);
/* Empties the table; nobody else may use it meanwhile. */
void load_clear(const struct load *load);

uint64_t load_key(const struct load *load, uint64_t n);
uint32_t load_backend(const struct load *load, uint64_t key);
union tiara_word load_word(const struct load *load, uint64_t n);
/* Asks for the key's bucket too, as the packet path does as soon as it knows a hash. */
uint64_t load_hash(const struct load *load, uint64_t key);

/* Inserts connections first to first + cnt; how many were refused. Dies if one was there. */
uint64_t load_insert(struct load *load, uint64_t first, uint64_t cnt);
/* Looks keys up; how many were found with their backend. Dies if one has another's. */
uint64_t load_lookup(const struct load *load, const uint64_t *key, uint64_t cnt);

/* What every row of a table says: connections, pages, buckets, occupancy in percent; no braces. */
const char *load_params(const struct load *load, const char *more);

#endif
