/* SPDX-License-Identifier: Apache-2.0 */
#include "port/card_registers.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_hash_crc.h>

#include "tiara/card_regs.h"
#include "tiara/tiara.h"

enum {
	REGISTERS_RESET_LOOKS = 1 << 20,
	REGISTERS_MOVES = 64,         /* of services, to make room for one */
	REGISTERS_FRONTEND_BYTES = 7, /* VIP, port and protocol: where a card's service begins */
};

_Static_assert(offsetof(struct tiara_card_service, valid) == REGISTERS_FRONTEND_BYTES,
	       "hashed as it lies");

static uint32_t
registers_read(const struct tiara_card_registers *self, uint32_t offset)
{
	uint32_t value = 0;

	return self->bus.read(self->bus.self, offset, &value) ? value : 0;
}

static uint64_t
registers_read_wide(const struct tiara_card_registers *self, uint32_t offset)
{
	return registers_read(self, offset) | (uint64_t)registers_read(self, offset + 4) << 32;
}

/* A row of registers from bytes; cnt counts registers. */
static bool
registers_write_row(const struct tiara_card_registers *self, uint32_t offset, const void *from,
		    size_t bytes)
{
	uint32_t word[TIARA_CARD_REG_LINE_CNT] = {0};
	bool done = true;

	memcpy(word, from, bytes);
	for (size_t i = 0; i < (bytes + 3) / 4; i++)
		done &= self->bus.write(self->bus.self, offset + 4 * (uint32_t)i, word[i]);
	return done;
}

static bool
registers_write_line(const struct tiara_card_registers *self, uint32_t which, uint32_t line,
		     const void *from, size_t bytes)
{
	return registers_write_row(self, TIARA_CARD_REG_LINE, from, bytes) &&
	       self->bus.write(self->bus.self, which, line);
}

/* ---- bringing it up ---- */

static enum tiara_status
registers_fail(struct tiara_error *error, enum tiara_status status, const char *what)
{
	*error = (struct tiara_error){.status = status, .field = "--card"};
	snprintf(error->message, sizeof(error->message), "--card: %s", what);
	return status;
}

enum tiara_status
tiara_card_registers_open_ctl(struct tiara_card_registers *self, const struct tiara_card_bus *bus,
			      const struct tiara_segment *segment, struct tiara_error *error)
{
	*self = (struct tiara_card_registers){.bus = *bus, .segment = segment};
	if (registers_read(self, TIARA_CARD_REG_MAGIC) != TIARA_CARD_REG_MAGIC_VALUE)
		return registers_fail(error, TIARA_INVALID, "this is no card of Tiara's");
	if (registers_read_wide(self, TIARA_CARD_REG_LAYOUT_ID) != tiara_layout_id())
		return registers_fail(
			error, TIARA_INVALID,
			"the card was built with another layout; build both from one tree");
	self->bucket_cnt = 1u << registers_read(self, TIARA_CARD_REG_BUCKET_BITS);
	self->service_lines = registers_read(self, TIARA_CARD_REG_SERVICE_LINES);
	self->backend_lines = registers_read(self, TIARA_CARD_REG_BACKEND_LINES);
	self->service = calloc(self->service_lines, sizeof(*self->service));
	if (!self->service)
		return registers_fail(error, TIARA_NO_SPACE, "no memory for the card's services");
	return TIARA_OK;
}

void
tiara_card_registers_close_ctl(struct tiara_card_registers *self)
{
	free(self->service);
	self->service = NULL;
}

/* Who the node is, then RESET. Refused while a reset is going on, which is as good. */
static void
registers_begin_reset(struct tiara_card_registers *self)
{
	const struct tiara_node *node = &self->segment->node;

	registers_write_row(self, TIARA_CARD_REG_SECRET, self->segment->table_secret, 16);
	registers_write_row(self, TIARA_CARD_REG_ADDRESS, &node->address, 4);
	registers_write_row(self, TIARA_CARD_REG_PORT_MAC, node->port_mac, 6);
	registers_write_row(self, TIARA_CARD_REG_KERNEL_MAC, node->kernel_mac, 6);
	(void)self->bus.write(self->bus.self, TIARA_CARD_REG_CONTROL, TIARA_CARD_REG_CONTROL_RESET);
}

/* What was written between the card's reset and our knowing of it is somewhere: nothing stays. */
static void
registers_forget(struct tiara_card_registers *self)
{
	memset(self->service, 0, self->service_lines * sizeof(*self->service));
	for (uint32_t line = 0; line < self->service_lines; line++)
		(void)registers_write_line(self, TIARA_CARD_REG_SERVICE_WRITE, line,
					   &self->service[line], sizeof(self->service[line]));
}

uint16_t
tiara_card_registers_epoch(struct tiara_card_registers *self)
{
	uint16_t epoch = (uint16_t)registers_read(self, TIARA_CARD_REG_EPOCH);
	uint32_t status;

	if (epoch == 0) {
		status = registers_read(self, TIARA_CARD_REG_STATUS);
		if (!(status & TIARA_CARD_REG_STATUS_BUSY))
			registers_begin_reset(self);
	} else if (epoch != self->epoch) {
		registers_forget(self);
	}
	self->epoch = epoch;
	return epoch;
}

uint16_t
tiara_card_registers_reset(struct tiara_card_registers *self)
{
	registers_begin_reset(self);
	for (uint32_t i = 0; i < REGISTERS_RESET_LOOKS; i++)
		if (registers_read(self, TIARA_CARD_REG_STATUS) == TIARA_CARD_REG_STATUS_READY)
			return tiara_card_registers_epoch(self);
	return 0;
}

/* ---- services: each has two lines where the card looks for it (cuckoo hashing) ---- */

static void
registers_places(const struct tiara_card_registers *self, const struct tiara_card_service *service,
		 uint32_t place[2])
{
	uint32_t half = self->service_lines / 2;
	uint32_t crc = rte_hash_crc(service, REGISTERS_FRONTEND_BYTES, 0);

	place[0] = crc % half;
	place[1] = half + (crc >> 16) % half;
}

static uint32_t
registers_other_place(const struct tiara_card_registers *self, uint32_t line)
{
	uint32_t place[2];

	registers_places(self, &self->service[line], place);
	return place[0] == line ? place[1] : place[0];
}

static bool
registers_set_service(struct tiara_card_registers *self, uint32_t line,
		      const struct tiara_card_service *service)
{
	if (!registers_write_line(self, TIARA_CARD_REG_SERVICE_WRITE, line, service,
				  sizeof(*service)))
		return false;
	self->service[line] = *service;
	return true;
}

/* From the free end, so that whoever moves is always somewhere. */
static bool
registers_move(struct tiara_card_registers *self, const uint32_t *line, uint32_t cnt)
{
	for (; cnt > 1; cnt--)
		if (!registers_set_service(self, line[cnt - 1], &self->service[line[cnt - 2]]))
			return false;
	return true;
}

static bool
registers_holds(const uint32_t *line, uint32_t cnt, uint32_t wanted)
{
	while (cnt > 0)
		if (line[--cnt] == wanted)
			return true;
	return false;
}

/* Makes a line free: who is there goes to its other line, and so on. */
static bool
registers_make_room(struct tiara_card_registers *self, uint32_t first)
{
	uint32_t line[REGISTERS_MOVES] = {first}, cnt = 1, next;

	while (self->service[line[cnt - 1]].valid) {
		next = registers_other_place(self, line[cnt - 1]);
		if (cnt == REGISTERS_MOVES || registers_holds(line, cnt, next))
			return false;
		line[cnt++] = next;
	}
	return registers_move(self, line, cnt);
}

static bool
registers_is_at(const struct tiara_card_registers *self, const struct tiara_card_service *service,
		uint32_t line)
{
	return self->service[line].valid &&
	       memcmp(service, &self->service[line], REGISTERS_FRONTEND_BYTES) == 0;
}

bool
tiara_card_registers_service(struct tiara_card_registers *self,
			     const struct tiara_card_service *service)
{
	static const struct tiara_card_service none;
	uint32_t place[2];

	if (service->valid && service->service_idx >= self->service_lines)
		return false; /* totals have as many lines */
	registers_places(self, service, place);
	for (int i = 0; i < 2; i++)
		if (registers_is_at(self, service, place[i]))
			return registers_set_service(self, place[i],
						     service->valid ? service : &none);
	if (!service->valid)
		return true;
	for (int i = 0; i < 2; i++)
		if (registers_make_room(self, place[i]))
			return registers_set_service(self, place[i], service);
	return false;
}

/* ---- backends and totals ---- */

void
tiara_card_registers_backend(struct tiara_card_registers *self, uint32_t line,
			     const struct tiara_card_backend *backend)
{
	(void)registers_write_line(self, TIARA_CARD_REG_BACKEND_WRITE, line, backend,
				   sizeof(*backend));
}

void
tiara_card_registers_totals(struct tiara_card_registers *self, enum tiara_card_totals which,
			    uint32_t first, uint32_t cnt, struct tiara_card_total *total)
{
	bool backend = which == TIARA_CARD_TOTALS_BACKEND;
	uint32_t lines = backend ? self->backend_lines : self->service_lines;

	for (uint32_t i = 0; i < cnt; i++) {
		uint32_t of = (first + i) | (backend ? TIARA_CARD_REG_TOTALS_READ_BACKEND : 0);

		total[i] = (struct tiara_card_total){.pkts = 0};
		if (first + i >= lines ||
		    !self->bus.write(self->bus.self, TIARA_CARD_REG_TOTALS_READ, of))
			continue;
		total[i].pkts = registers_read_wide(self, TIARA_CARD_REG_TOTALS);
		total[i].bytes = registers_read_wide(self, TIARA_CARD_REG_TOTALS + 8);
	}
}
