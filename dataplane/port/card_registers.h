/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers of the card of fpga/rtl, over whatever bus it is on (fpga/doc/registers.md): how it is
 * brought up, and where in its tables a line goes. One thread at a time.
 */
#ifndef TIARA_PORT_CARD_REGISTERS_H
#define TIARA_PORT_CARD_REGISTERS_H

#include "port/card.h"
#include "tiara/status.h"

/* False: the card refused, or is silent. */
struct tiara_card_bus {
	void *self;
	bool (*read)(void *self, uint32_t offset, uint32_t *value);
	bool (*write)(void *self, uint32_t offset, uint32_t value);
};

struct tiara_card_registers {
	struct tiara_card_bus bus;
	const struct tiara_segment *segment; /* secret and node: what the card is told of them */
	uint32_t bucket_cnt;
	uint32_t service_lines;
	uint32_t backend_lines;
	uint16_t epoch;                     /* that was read last */
	struct tiara_card_service *service; /* by line, as the card has them */
};

/*
 * Looks what the card is. INVALID: no such card, or one of another layout; NO_SPACE. The segment stays the
 * caller's; its node is filled before the first reset.
 */
TIARA_MUST_CHECK enum tiara_status
tiara_card_registers_open_ctl(struct tiara_card_registers *self, const struct tiara_card_bus *bus,
			      const struct tiara_segment *segment, struct tiara_error *error);
void tiara_card_registers_close_ctl(struct tiara_card_registers *self);

/* As the members of struct tiara_card say. A reset waits for its end; 0: the card is silent. */
uint16_t tiara_card_registers_reset(struct tiara_card_registers *self);
/*
 * 0: the card has lost its power; it is being brought up again, and its next epoch is another life's,
 * whatever its number.
 */
uint16_t tiara_card_registers_epoch(struct tiara_card_registers *self);
void tiara_card_registers_backend(struct tiara_card_registers *self, uint32_t line,
				  const struct tiara_card_backend *backend);
bool tiara_card_registers_service(struct tiara_card_registers *self,
				  const struct tiara_card_service *service);
void tiara_card_registers_totals(struct tiara_card_registers *self, enum tiara_card_totals which,
				 uint32_t first, uint32_t cnt, struct tiara_card_total *total);

#endif
