/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout id, for the program (tiara_layout_id) and for tools (an ELF note). Compiled so that the
 * debug information of every layout struct is in each program that attaches to a segment.
 */
#include "layout/layout_id.h"

#include "tiara/tiara.h"

/* One ELF note: owner "Tiara", type 1, the id in little-endian order. */
static const struct {
	uint32_t owner_bytes;
	uint32_t id_bytes;
	uint32_t type;
	char owner[8];
	uint32_t id[2];
} layout_id_note __attribute__((used, section(".note.tiara"), aligned(4))) = {
	.owner_bytes = sizeof("Tiara"),
	.id_bytes = 8,
	.type = 1,
	.owner = "Tiara",
	.id = {(uint32_t)TIARA_LAYOUT_ID, (uint32_t)(TIARA_LAYOUT_ID >> 32)},
};

uint64_t
tiara_layout_id(void)
{
	return TIARA_LAYOUT_ID;
}
