/* SPDX-License-Identifier: Apache-2.0 */
#include "port/memory.h"

static uint16_t
memory_take(struct tiara_memory_queue *queue, struct tiara_frame *frame, uint16_t max)
{
	uint16_t cnt = 0;

	while (cnt < max && queue->next < queue->cnt) {
		struct tiara_memory_frame *m = &queue->frame[queue->next++];

		m->fate = TIARA_MEMORY_TAKEN;
		frame[cnt].data = m->data;
		frame[cnt].handle = m;
		frame[cnt].len_bytes = m->len_bytes;
		frame[cnt].headroom_bytes = m->headroom_bytes;
		frame[cnt].checked = m->checked;
		cnt++;
	}
	return cnt;
}

static void
memory_end(struct tiara_frame *const *frame, uint16_t cnt, enum tiara_memory_fate fate)
{
	for (uint16_t i = 0; i < cnt; i++) {
		struct tiara_memory_frame *m = frame[i]->handle;

		m->data = frame[i]->data;
		m->len_bytes = frame[i]->len_bytes;
		m->headroom_bytes = frame[i]->headroom_bytes;
		m->fate = (uint8_t)fate;
	}
}

/* How many of cnt there is room for; takes them from the room. */
static uint16_t
memory_fit(uint32_t *room, uint16_t cnt)
{
	if (*room == UINT32_MAX)
		return cnt;
	if (*room < cnt)
		cnt = (uint16_t)*room;
	*room -= cnt;
	return cnt;
}

static uint16_t
memory_rx(void *self, struct tiara_frame *frame, uint16_t max)
{
	struct tiara_memory_port *port = self;

	return memory_take(&port->rx, frame, max);
}

static uint16_t
memory_inject(void *self, struct tiara_frame *frame, uint16_t max)
{
	struct tiara_memory_port *port = self;

	return memory_take(&port->inject, frame, max);
}

static uint16_t
memory_tx(void *self, struct tiara_frame *const *frame, uint16_t cnt)
{
	struct tiara_memory_port *port = self;

	cnt = memory_fit(&port->tx_room, cnt);
	memory_end(frame, cnt, TIARA_MEMORY_SENT);
	port->sent_cnt += cnt;
	return cnt;
}

static uint16_t
memory_to_kernel(void *self, struct tiara_frame *const *frame, uint16_t cnt)
{
	struct tiara_memory_port *port = self;

	cnt = memory_fit(&port->kernel_room, cnt);
	memory_end(frame, cnt, TIARA_MEMORY_KERNEL);
	port->kernel_cnt += cnt;
	return cnt;
}

static void
memory_drop(void *self, struct tiara_frame *const *frame, uint16_t cnt)
{
	struct tiara_memory_port *port = self;

	memory_end(frame, cnt, TIARA_MEMORY_DROPPED);
	port->dropped_cnt += cnt;
}

void
tiara_memory_port_init(struct tiara_memory_port *self)
{
	*self = (struct tiara_memory_port){.tx_room = UINT32_MAX, .kernel_room = UINT32_MAX};
}

struct tiara_port
tiara_memory_port_ops(struct tiara_memory_port *self)
{
	return (struct tiara_port){
		.self = self,
		.rx = memory_rx,
		.tx = memory_tx,
		.to_kernel = memory_to_kernel,
		.drop = memory_drop,
		.inject = memory_inject,
	};
}
