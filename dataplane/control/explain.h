/* SPDX-License-Identifier: Apache-2.0 */
/* What tests need of explain: on any map, with any headroom. */
#ifndef TIARA_CONTROL_EXPLAIN_H
#define TIARA_CONTROL_EXPLAIN_H

#include "table/view.h"
#include "tiara/tiara.h"

/* A packet as it would come from a port. */
struct explain_packet {
	const uint8_t *frame;
	uint32_t frame_bytes;
	uint16_t headroom_bytes;
	uint64_t tsc; /* the moment when it comes, by the workers' counter */
};

/*
 * As tiara_explain. Reads the map, which nobody else may publish to meanwhile, and writes nothing there.
 * left[room]: how the frame leaves, as much as fits.
 */
enum tiara_status control_explain(const struct tiara_map *map, const struct explain_packet *packet,
				  struct tiara_explanation *explanation, uint8_t *left,
				  uint32_t room, struct tiara_error *error);

#endif
