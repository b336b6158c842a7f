/* SPDX-License-Identifier: Apache-2.0 */
#include "port/card_sim.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "path/frame.h"
#include "port/card_registers.h"
#include "port/card_sim_library.h"
#include "port/port.h"

enum {
	SIM_TURN_CYCLES = 400, /* at most, for one look by a worker */
	SIM_INSIDE = 256,      /* frames */
	SIM_COMMANDS = 64,     /* that wait for the card */
	SIM_QUEUES = TIARA_CARD_CHANNELS,
	SIM_ANSWERS = 4096, /* that wait for their worker; more are lost */
};

/* How real memory is: HBM2's latency and refresh at 322 MHz, and answers that overtake each other. */
static const struct tiara_sim_config sim_memory = {
	.seed = 1,
	.latency_cycles = 64,
	.jitter_cycles = 32,
	.reorder_pct = 20,
	.refresh_every_cycles = 1256,
	.refresh_cycles = 113,
};

/* A worker's frame: in the card, or on its way from it. */
struct sim_frame {
	struct tiara_frame frame;
	uint32_t queue;
	uint32_t way; /* enum tiara_sim_way; 0: it is lost */
};

struct sim_frames {
	struct sim_frame at[SIM_INSIDE];
	uint32_t first;
	uint32_t cnt;
};

struct sim_answers {
	struct tiara_card_answer at[SIM_ANSWERS];
	uint32_t first;
	uint32_t cnt;
};

struct tiara_card_sim {
	struct tiara_card_sim_library library;
	struct tiara_sim *sim;
	struct tiara_card_registers registers;
	pthread_mutex_t lock; /* of all that follows, and of the simulation */
	uint32_t queue_cnt;
	struct sim_frames inside; /* of all queues, in the order in which they went in */
	struct sim_frames left[SIM_QUEUES];
	struct sim_answers answers[SIM_QUEUES];
	uint8_t bytes[TIARA_SIM_FRAME_BYTES];
};

/* ---- frames ---- */

static bool
sim_frames_put(struct sim_frames *frames, const struct sim_frame *frame)
{
	if (frames->cnt == SIM_INSIDE)
		return false;
	frames->at[(frames->first + frames->cnt++) % SIM_INSIDE] = *frame;
	return true;
}

static struct sim_frame *
sim_frames_get(struct sim_frames *frames)
{
	struct sim_frame *frame = &frames->at[frames->first % SIM_INSIDE];

	if (frames->cnt == 0)
		return NULL;
	frames->first++;
	frames->cnt--;
	return frame;
}

/* What is inside and has left together never exceeds what one list takes. */
static uint32_t
sim_room(const struct tiara_card_sim *s)
{
	uint32_t cnt = s->inside.cnt;

	for (uint32_t i = 0; i < s->queue_cnt; i++)
		cnt += s->left[i].cnt;
	return SIM_INSIDE - cnt;
}

static void
sim_frame_leave(struct tiara_card_sim *s, const struct sim_frame *frame)
{
	(void)sim_frames_put(&s->left[frame->queue], frame); /* sim_room left it some */
}

/* New headers before it take headroom. */
static uint32_t
sim_frame_fill(struct tiara_card_sim *s, struct tiara_frame *f, const struct tiara_sim_frame *info)
{
	uint32_t more = info->bytes > f->len_bytes ? info->bytes - f->len_bytes : 0;

	if (more > f->headroom_bytes || info->bytes > sizeof(s->bytes))
		return 0;
	f->data -= more;
	f->headroom_bytes -= (uint16_t)more;
	f->len_bytes = info->bytes;
	memcpy(f->data, s->bytes, info->bytes);
	return info->way;
}

static void
sim_take_out(struct tiara_card_sim *s)
{
	struct tiara_sim_frame info;
	struct sim_frame *frame;

	while (s->inside.cnt > 0 && s->library.tx(s->sim, &info, s->bytes, sizeof(s->bytes))) {
		frame = sim_frames_get(&s->inside);
		frame->way = sim_frame_fill(s, &frame->frame, &info);
		sim_frame_leave(s, frame);
	}
}

/* What the card has not given back and no longer has. */
static void
sim_lose_inside(struct tiara_card_sim *s)
{
	struct sim_frame *frame;

	while ((frame = sim_frames_get(&s->inside))) {
		frame->way = 0;
		sim_frame_leave(s, frame);
	}
}

static void
sim_put_in(struct tiara_card_sim *s, uint32_t queue, const struct tiara_frame *f)
{
	struct sim_frame frame = {.frame = *f, .queue = queue};

	if (s->library.rx(s->sim, f->data, f->len_bytes) != TIARA_SIM_OK) {
		frame.way = TIARA_SIM_CPU; /* of a length that the card does not take */
		sim_frame_leave(s, &frame);
	} else {
		(void)sim_frames_put(&s->inside, &frame);
	}
}

static void
sim_take_answers(struct tiara_card_sim *s)
{
	struct tiara_card_answer answer;

	while (s->library.answer(s->sim, &answer)) {
		struct sim_answers *a = &s->answers[answer.channel % s->queue_cnt];

		if (a->cnt < SIM_ANSWERS)
			a->at[(a->first + a->cnt++) % SIM_ANSWERS] = answer;
	}
}

/* Time passes. What has not left when the card is at rest was dropped by it. */
static void
sim_turn(struct tiara_card_sim *s)
{
	bool at_rest = s->library.run(s->sim, SIM_TURN_CYCLES);

	sim_take_out(s);
	sim_take_answers(s);
	if (at_rest)
		sim_lose_inside(s);
}

/* ---- what a worker calls ---- */

struct sim_burst {
	struct tiara_frame *sent[TIARA_BURST];
	struct tiara_frame *lost[TIARA_BURST];
	uint16_t sent_cnt, lost_cnt, up_cnt;
};

/* Up to a burst of what left for this worker; frames that go up first in `frame`. */
static void
sim_sort(struct tiara_card_sim *s, uint32_t queue, struct sim_burst *burst, struct sim_frame *room,
	 struct tiara_frame *frame, uint16_t max)
{
	struct sim_frame *next;

	for (uint16_t i = 0; i < max && (next = sim_frames_get(&s->left[queue])); i++) {
		room[i] = *next;
		if (room[i].way == TIARA_SIM_CPU)
			frame[burst->up_cnt++] = room[i].frame;
		else if (room[i].way == TIARA_SIM_TX)
			burst->sent[burst->sent_cnt++] = &room[i].frame;
		else
			burst->lost[burst->lost_cnt++] = &room[i].frame;
	}
}

static void
sim_receive(struct tiara_card_sim *s, uint32_t queue, const struct tiara_port *wire)
{
	struct tiara_frame in[TIARA_BURST];
	uint32_t room = sim_room(s);
	uint16_t cnt = wire->rx(wire->self, in, room < TIARA_BURST ? (uint16_t)room : TIARA_BURST);

	for (uint16_t i = 0; i < cnt; i++)
		sim_put_in(s, queue, &in[i]);
}

static uint16_t
sim_rx(void *self, uint32_t queue, const struct tiara_port *wire, struct tiara_frame *frame,
       uint16_t max)
{
	struct tiara_card_sim *s = self;
	struct sim_frame room[TIARA_BURST];
	struct sim_burst burst = {.up_cnt = 0};
	uint16_t taken = 0;

	pthread_mutex_lock(&s->lock);
	sim_receive(s, queue, wire);
	sim_turn(s);
	sim_sort(s, queue, &burst, room, frame, max < TIARA_BURST ? max : TIARA_BURST);
	pthread_mutex_unlock(&s->lock);
	if (burst.sent_cnt > 0)
		taken = wire->tx(wire->self, burst.sent, burst.sent_cnt);
	if (taken < burst.sent_cnt)
		wire->drop(wire->self, burst.sent + taken, (uint16_t)(burst.sent_cnt - taken));
	if (burst.lost_cnt > 0)
		wire->drop(wire->self, burst.lost, burst.lost_cnt);
	return burst.up_cnt;
}

static uint32_t
sim_post(void *self, uint32_t queue, const struct tiara_card_command *command, uint32_t cnt)
{
	struct tiara_card_sim *s = self;
	uint32_t i;

	(void)queue;
	pthread_mutex_lock(&s->lock);
	for (i = 0; i < cnt && s->library.commands(s->sim) < SIM_COMMANDS; i++)
		s->library.command(s->sim, &command[i]);
	pthread_mutex_unlock(&s->lock);
	return i;
}

static uint32_t
sim_poll(void *self, uint32_t queue, struct tiara_card_answer *answer, uint32_t max)
{
	struct tiara_card_sim *s = self;
	struct sim_answers *a = &s->answers[queue];
	uint32_t cnt = 0;

	pthread_mutex_lock(&s->lock);
	for (; cnt < max && a->cnt > 0; a->cnt--)
		answer[cnt++] = a->at[a->first++ % SIM_ANSWERS];
	pthread_mutex_unlock(&s->lock);
	return cnt;
}

static uint16_t
sim_epoch(void *self)
{
	struct tiara_card_sim *s = self;
	uint16_t epoch;

	pthread_mutex_lock(&s->lock);
	epoch = tiara_card_registers_epoch(&s->registers);
	pthread_mutex_unlock(&s->lock);
	return epoch;
}

static uint16_t
sim_reset(void *self)
{
	struct tiara_card_sim *s = self;
	uint16_t epoch;

	pthread_mutex_lock(&s->lock);
	epoch = tiara_card_registers_reset(&s->registers);
	pthread_mutex_unlock(&s->lock);
	return epoch;
}

static void
sim_backend_write(void *self, uint32_t line, const struct tiara_card_backend *backend)
{
	struct tiara_card_sim *s = self;

	pthread_mutex_lock(&s->lock);
	tiara_card_registers_backend(&s->registers, line, backend);
	pthread_mutex_unlock(&s->lock);
}

static bool
sim_service_write(void *self, const struct tiara_card_service *service)
{
	struct tiara_card_sim *s = self;
	bool done;

	pthread_mutex_lock(&s->lock);
	done = tiara_card_registers_service(&s->registers, service);
	pthread_mutex_unlock(&s->lock);
	return done;
}

static void
sim_totals(void *self, enum tiara_card_totals which, uint32_t first, uint32_t cnt,
	   struct tiara_card_total *total)
{
	struct tiara_card_sim *s = self;

	pthread_mutex_lock(&s->lock);
	tiara_card_registers_totals(&s->registers, which, first, cnt, total);
	pthread_mutex_unlock(&s->lock);
}

struct tiara_card
tiara_card_sim_ops(struct tiara_card_sim *sim)
{
	return (struct tiara_card){
		.self = sim,
		.name = "sim",
		.caps = {.forwards = 1 << TIARA_FORWARD_L2 | 1 << TIARA_FORWARD_IPIP |
				     1 << TIARA_FORWARD_VXLAN,
			 .bucket_cnt = sim->registers.bucket_cnt,
			 .service_lines = sim->registers.service_lines,
			 .backend_lines = sim->registers.backend_lines,
			 .queue_cnt = sim->queue_cnt,
			 .is_port = true},
		.post = sim_post,
		.poll = sim_poll,
		.rx = sim_rx,
		.epoch = sim_epoch,
		.reset = sim_reset,
		.backend_write = sim_backend_write,
		.service_write = sim_service_write,
		.totals = sim_totals,
	};
}

void
tiara_card_sim_power_cycle_ctl(struct tiara_card_sim *sim)
{
	pthread_mutex_lock(&sim->lock);
	sim->library.reset(sim->sim);
	sim_lose_inside(sim);
	pthread_mutex_unlock(&sim->lock);
}

/* ---- made and unmade ---- */

static bool
sim_bus_read(void *self, uint32_t offset, uint32_t *value)
{
	struct tiara_card_sim *s = self;

	return s->library.read(s->sim, offset, value) == TIARA_SIM_OK;
}

static bool
sim_bus_write(void *self, uint32_t offset, uint32_t value)
{
	struct tiara_card_sim *s = self;

	return s->library.write(s->sim, offset, value) == TIARA_SIM_OK;
}

static enum tiara_status
sim_fail(struct tiara_error *error, enum tiara_status status, const char *what)
{
	*error = (struct tiara_error){.status = status, .field = "--card"};
	snprintf(error->message, sizeof(error->message), "--card: %.300s", what);
	return status;
}

enum tiara_status
tiara_card_sim_open_ctl(const char *library, const struct tiara_segment *segment,
			uint32_t queue_cnt, struct tiara_card_sim **sim, struct tiara_error *error)
{
	struct tiara_card_sim *s = calloc(1, sizeof(*s));
	struct tiara_card_bus bus = {.self = s, .read = sim_bus_read, .write = sim_bus_write};
	enum tiara_status status;

	if (!s)
		return sim_fail(error, TIARA_NO_SPACE, "no memory for it");
	s->queue_cnt = queue_cnt;
	pthread_mutex_init(&s->lock, NULL);
	status = tiara_card_sim_library_open_ctl(&s->library, library, error);
	if (status == TIARA_OK && !(s->sim = s->library.create(&sim_memory)))
		status = sim_fail(error, TIARA_NO_SPACE, "no memory for its model");
	if (status == TIARA_OK)
		status = tiara_card_registers_open_ctl(&s->registers, &bus, segment, error);
	if (status != TIARA_OK) {
		tiara_card_sim_close_ctl(s);
		return status;
	}
	*sim = s;
	return TIARA_OK;
}

void
tiara_card_sim_close_ctl(struct tiara_card_sim *sim)
{
	if (!sim)
		return;
	tiara_card_registers_close_ctl(&sim->registers);
	if (sim->sim)
		sim->library.destroy(sim->sim);
	tiara_card_sim_library_close_ctl(&sim->library);
	free(sim);
}
