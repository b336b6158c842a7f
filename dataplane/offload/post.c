/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on their way to the card's queue. Nothing waits here: what the card does not take stays. */
#include "offload/internal.h"

uint32_t
offload_post(struct tiara_offload_seat *seat, const struct tiara_card_command *command)
{
	struct tiara_card_command *place;

	if (seat->out_cnt == OFFLOAD_POSTS)
		return 0;
	place = &seat->out[seat->out_cnt++];
	*place = *command;
	place->epoch = (uint16_t)seat->life; /* R8 */
	if (++seat->number[command->channel] == 0)
		++seat->number[command->channel]; /* 0 is no number */
	place->number = seat->number[command->channel];
	return place->number;
}

void
tiara_offload_flush_wk(struct tiara_worker *w)
{
	struct tiara_offload_seat *seat = w->offload;
	const struct tiara_card *card = seat->engine->card;
	uint32_t taken;

	if (seat->out_cnt == 0)
		return;
	taken = card->post(card->self, w->number, seat->out, seat->out_cnt);
	seat->out_cnt -= taken;
	for (uint32_t i = 0; taken > 0 && i < seat->out_cnt; i++)
		seat->out[i] = seat->out[taken + i];
}
