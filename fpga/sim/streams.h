/* SPDX-License-Identifier: Apache-2.0 */
/* The ends of the card's streams: bytes in, bytes out. A beat that is offered stays until it is taken. */
#ifndef TIARA_SIM_STREAMS_H
#define TIARA_SIM_STREAMS_H

#include <cstdint>
#include <cstring>
#include <deque>
#include <vector>

#include "tiara_sim.h"

enum { STREAM_BEAT_BYTES = 64 };

struct StreamBeat {
	uint8_t byte[STREAM_BEAT_BYTES];
	uint64_t keep;
	bool last;
};

class FrameSource
{
	std::deque<std::vector<uint8_t>> frames;
	uint32_t at = 0;

      public:
	void
	push(const uint8_t *frame, uint32_t bytes)
	{
		frames.emplace_back(frame, frame + bytes);
	}

	bool
	is_empty() const
	{
		return frames.empty();
	}

	void
	clear()
	{
		frames.clear();
		at = 0;
	}

	/* The next beat; bytes that are not kept hold nothing sensible. */
	StreamBeat
	beat() const
	{
		const std::vector<uint8_t> &frame = frames.front();
		uint32_t left = static_cast<uint32_t>(frame.size()) - at;
		uint32_t n = left < STREAM_BEAT_BYTES ? left : uint32_t{STREAM_BEAT_BYTES};
		StreamBeat beat;

		std::memset(beat.byte, 0xa5, sizeof(beat.byte));
		std::memcpy(beat.byte, frame.data() + at, n);
		beat.keep = n == STREAM_BEAT_BYTES ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1;
		beat.last = left <= STREAM_BEAT_BYTES;
		return beat;
	}

	void
	taken()
	{
		at += STREAM_BEAT_BYTES;
		if (at < frames.front().size())
			return;
		frames.pop_front();
		at = 0;
	}
};

class FrameSink
{
	std::vector<uint8_t> open;

      public:
	/* True: the frame is whole, and in frame. */
	bool
	take(const StreamBeat &beat, std::vector<uint8_t> *frame)
	{
		for (int i = 0; i < STREAM_BEAT_BYTES; i++)
			if (beat.keep >> i & 1)
				open.push_back(beat.byte[i]);
		if (!beat.last)
			return false;
		frame->swap(open);
		open.clear();
		return true;
	}

	void
	clear()
	{
		open.clear();
	}
};

#endif
