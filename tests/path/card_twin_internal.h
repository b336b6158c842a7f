/* SPDX-License-Identifier: Apache-2.0 */
/* What the twin's files share: the link (card_twin_link.c), packets (card_twin_packet.c), the rest. */
#ifndef TIARA_PORT_CARD_TWIN_INTERNAL_H
#define TIARA_PORT_CARD_TWIN_INTERNAL_H

#include "path/frame.h"
#include "card_twin.h"
#include "port/port.h"

enum { TWIN_LINK_MESSAGES = 1024 };

/* Messages on their way: what does not fit is lost. All of them are 32 bytes. */
struct twin_link {
	uint32_t cnt;
	union twin_message {
		struct tiara_card_command command;
		struct tiara_card_answer answer;
	} message[TWIN_LINK_MESSAGES];
};

struct tiara_card_twin {
	uint32_t busy; /* 1: a thread is in it */
	struct tiara_card_twin_config config;
	struct tiara_card_twin_counts counts;
	uint64_t random;
	bool calm;
	bool silent;
	uint16_t epoch;
	uint32_t newest[TIARA_CARD_CHANNELS];
	uint32_t harvest; /* the last one's number */
	uint8_t bank;     /* that packets mark */
	uint64_t *seen[2];
	struct tiara_card_entry *entry;
	struct tiara_card_backend *backend;
	struct tiara_card_service *service;
	struct tiara_card_total *total[2];
	struct twin_link down[TIARA_CARD_CHANNELS]; /* by queue */
	struct twin_link up[TIARA_CARD_CHANNELS];
	/* held: answers that were let through, by queue; and the key that a kept answer is about */
	struct twin_link ready[TIARA_CARD_CHANNELS];
	uint64_t about[TIARA_CARD_CHANNELS][TWIN_LINK_MESSAGES];
};

/* The link: a message goes in, once, twice or not at all; one comes out, or none that is ready does. */
void twin_link_put(struct tiara_card_twin *t, struct twin_link *link,
		   const union twin_message *message);
bool twin_link_get(struct tiara_card_twin *t, struct twin_link *link, union twin_message *message);

/* A line of the trace, if there is one. */
void twin_say(const struct tiara_card_twin *t, const char *what, uint32_t number, const void *data,
	      size_t bytes);

/* A frame from the wire. True: it is ready to be sent; false: it goes up as it came. */
bool twin_packet(struct tiara_card_twin *t, struct tiara_frame *f);
/* Where a key is in the table; UINT32_MAX: nowhere. */
uint32_t twin_find(const struct tiara_card_twin *t, uint64_t key);
uint64_t twin_key(const struct tiara_card_entry *entry);

#endif
