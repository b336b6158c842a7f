/* SPDX-License-Identifier: Apache-2.0 */
/* The driver of the card's registers, on registers and tables as fpga/doc/registers.md tells of them. */
#include "port/card_registers.h"

#include <stdlib.h>
#include <string.h>

#include <rte_hash_crc.h>

#include "check.h"
#include "tiara/card_regs.h"
#include "tiara/tiara.h"

enum { LINES = 64 };

/* A card, as its bus shows it. */
struct plain {
	uint32_t word[TIARA_CARD_REG_COUNTER / 4 + TIARA_CARD_REG_COUNTER_CNT];
	struct tiara_card_service service[LINES];
	struct tiara_card_backend backend;
	uint32_t backend_line;
	bool silent;
	/* frontends that must be found at any moment, by service index; vip 0: it is not there */
	struct tiara_card_service placed[LINES];
};

static uint32_t *
plain_at(struct plain *p, uint32_t offset)
{
	return &p->word[offset / 4];
}

/* As fpga/rtl/tiara_classify.sv looks: at two lines, by the CRC. */
static bool
plain_finds(const struct plain *p, const struct tiara_card_service *wanted)
{
	uint32_t crc = rte_hash_crc(wanted, 7, 0);
	uint32_t line[2] = {crc % (LINES / 2), LINES / 2 + (crc >> 16) % (LINES / 2)};

	for (int i = 0; i < 2; i++)
		if (memcmp(&p->service[line[i]], wanted, sizeof(*wanted)) == 0)
			return true;
	return false;
}

static bool
plain_read(void *self, uint32_t offset, uint32_t *value)
{
	struct plain *p = self;

	*value = *plain_at(p, offset);
	return !p->silent;
}

static void
plain_totals(struct plain *p, uint32_t of)
{
	*plain_at(p, TIARA_CARD_REG_TOTALS) = of;
	*plain_at(p, TIARA_CARD_REG_TOTALS + 4) = 1;
	*plain_at(p, TIARA_CARD_REG_TOTALS + 8) = of + 5;
	*plain_at(p, TIARA_CARD_REG_TOTALS + 12) = 2;
}

static void
plain_service(struct plain *p, uint32_t line)
{
	CHECK(line < LINES);
	memcpy(&p->service[line], plain_at(p, TIARA_CARD_REG_LINE), sizeof(p->service[line]));
	for (int i = 0; i < LINES; i++)
		CHECK(p->placed[i].vip == 0 || plain_finds(p, &p->placed[i]));
}

static bool
plain_write(void *self, uint32_t offset, uint32_t value)
{
	struct plain *p = self;

	switch (offset) {
	case TIARA_CARD_REG_SERVICE_WRITE:
		plain_service(p, value);
		break;
	case TIARA_CARD_REG_BACKEND_WRITE:
		memcpy(&p->backend, plain_at(p, TIARA_CARD_REG_LINE), sizeof(p->backend));
		p->backend_line = value;
		break;
	case TIARA_CARD_REG_TOTALS_READ:
		plain_totals(p, value);
		break;
	case TIARA_CARD_REG_CONTROL:
		*plain_at(p, TIARA_CARD_REG_EPOCH) += 1;
		*plain_at(p, TIARA_CARD_REG_STATUS) = TIARA_CARD_REG_STATUS_READY;
		break;
	default:
		*plain_at(p, offset) = value;
		break;
	}
	return !p->silent;
}

static struct plain
plain_new(void)
{
	struct plain p = {.silent = false};

	*plain_at(&p, TIARA_CARD_REG_MAGIC) = TIARA_CARD_REG_MAGIC_VALUE;
	*plain_at(&p, TIARA_CARD_REG_LAYOUT_ID) = (uint32_t)tiara_layout_id();
	*plain_at(&p, TIARA_CARD_REG_LAYOUT_ID + 4) = (uint32_t)(tiara_layout_id() >> 32);
	*plain_at(&p, TIARA_CARD_REG_BUCKET_BITS) = 10;
	*plain_at(&p, TIARA_CARD_REG_SERVICE_LINES) = LINES;
	*plain_at(&p, TIARA_CARD_REG_BACKEND_LINES) = 256;
	return p;
}

static const struct tiara_segment segment = {
	.table_secret = {0x0123456789abcdef, 0x1122334455667788},
	.node = {.address = 0x02001ac6,
		 .port_mac = {2, 1, 2, 3, 4, 5},
		 .kernel_mac = {0, 1, 2, 3, 4, 5}},
};
static struct tiara_error error;

static enum tiara_status
open_on(struct tiara_card_registers *r, struct plain *p)
{
	struct tiara_card_bus bus = {.self = p, .read = plain_read, .write = plain_write};

	return tiara_card_registers_open_ctl(r, &bus, &segment, &error);
}

static struct tiara_card_service
frontend(uint32_t number, uint16_t service_idx)
{
	return (struct tiara_card_service){.vip = 0x6464c6 + (number << 24),
					   .port = (uint16_t)(number * 257),
					   .protocol = 6,
					   .valid = 1,
					   .service_idx = service_idx};
}

static void
test_another_card_is_refused(void)
{
	struct tiara_card_registers r;
	struct plain p = plain_new();

	*plain_at(&p, TIARA_CARD_REG_LAYOUT_ID) ^= 1;
	CHECK(open_on(&r, &p) == TIARA_INVALID);
	CHECK(strstr(error.message, "layout"));
	*plain_at(&p, TIARA_CARD_REG_MAGIC) = 0;
	CHECK(open_on(&r, &p) == TIARA_INVALID);
	p.silent = true;
	CHECK(open_on(&r, &p) == TIARA_INVALID);
}

/* Every one that finds room is found from then on, at every moment, whoever moves for others. */
static uint32_t
place_all(struct tiara_card_registers *r, struct plain *p, uint32_t first)
{
	uint32_t refused_at = LINES;

	for (uint16_t i = 0; i < LINES; i++) {
		struct tiara_card_service s = frontend(first + i, i);

		if (!tiara_card_registers_service(r, &s)) {
			refused_at = refused_at < i ? refused_at : i;
			continue;
		}
		CHECK(plain_finds(p, &s));
		p->placed[i] = s;
	}
	return refused_at;
}

static void
test_services_find_room_and_go(void)
{
	struct tiara_card_registers r;
	uint32_t least = LINES;

	for (uint32_t round = 0; round < 200; round++) {
		struct plain p = plain_new();
		uint32_t refused_at;

		CHECK(open_on(&r, &p) == TIARA_OK);
		refused_at = place_all(&r, &p, round * LINES);
		least = refused_at < least ? refused_at : least;
		for (int i = 0; i < LINES; i++) {
			struct tiara_card_service gone = p.placed[i];

			if (gone.vip == 0)
				continue;
			p.placed[i].vip = 0;
			gone.valid = 0;
			CHECK(tiara_card_registers_service(&r, &gone));
		}
		for (int line = 0; line < LINES; line++)
			CHECK(!p.service[line].valid);
		tiara_card_registers_close_ctl(&r);
	}
	printf("the first refusal came after %u of %d lines at least\n", least, LINES);
	CHECK(least > LINES / 8);
}

static void
test_what_cannot_be_counted_is_refused(void)
{
	struct tiara_card_registers r;
	struct tiara_card_service s = frontend(1, LINES);
	struct tiara_card_total total[2];
	struct plain p = plain_new();

	CHECK(open_on(&r, &p) == TIARA_OK);
	CHECK(!tiara_card_registers_service(&r, &s));
	tiara_card_registers_totals(&r, TIARA_CARD_TOTALS_SERVICE, LINES - 1, 2, total);
	CHECK(total[0].pkts == (1ull << 32 | (LINES - 1)) &&
	      total[0].bytes == (2ull << 32 | (LINES + 4)));
	CHECK(total[1].pkts == 0 && total[1].bytes == 0);
	tiara_card_registers_totals(&r, TIARA_CARD_TOTALS_BACKEND, 255, 1, total);
	CHECK((uint32_t)total[0].pkts == (TIARA_CARD_REG_TOTALS_READ_BACKEND | 255));
	tiara_card_registers_close_ctl(&r);
}

/* It is told who the node is, and emptied; nothing that was written to an earlier life stays. */
static void
test_power_is_lost(void)
{
	struct tiara_card_backend line = {.addr = 7, .valid = 1};
	struct tiara_card_service s = frontend(3, 0);
	struct tiara_card_registers r;
	struct plain p = plain_new();

	CHECK(open_on(&r, &p) == TIARA_OK);
	CHECK(tiara_card_registers_reset(&r) == 1);
	CHECK(*plain_at(&p, TIARA_CARD_REG_ADDRESS) == segment.node.address);
	CHECK(*plain_at(&p, TIARA_CARD_REG_SECRET + 8) == 0x55667788);
	CHECK(*plain_at(&p, TIARA_CARD_REG_PORT_MAC + 4) == 0x0504);
	CHECK(tiara_card_registers_service(&r, &s));
	tiara_card_registers_backend(&r, 9, &line);
	CHECK(p.backend_line == 9 && memcmp(&p.backend, &line, sizeof(line)) == 0);

	*plain_at(&p, TIARA_CARD_REG_EPOCH) = 0;
	*plain_at(&p, TIARA_CARD_REG_SECRET) = 0;
	CHECK(tiara_card_registers_epoch(&r) == 0);
	CHECK(*plain_at(&p, TIARA_CARD_REG_SECRET) == 0x89abcdef);
	CHECK(tiara_card_registers_epoch(&r) == 1);
	for (int i = 0; i < LINES; i++)
		CHECK(!p.service[i].valid);
	tiara_card_registers_close_ctl(&r);
}

int
main(void)
{
	test_another_card_is_refused();
	test_services_find_room_and_go();
	test_what_cannot_be_counted_is_refused();
	test_power_is_lost();
	return EXIT_SUCCESS;
}
