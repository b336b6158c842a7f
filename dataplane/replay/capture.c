/* SPDX-License-Identifier: Apache-2.0 */
#include "replay/capture.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CAPTURE_FILE_BYTES = 24,
	CAPTURE_RECORD_BYTES = 16,
	CAPTURE_LENGTH_OFF = 8, /* in a record */
	CAPTURE_LINK_OFF = 20,
	CAPTURE_LINK_ETHERNET = 1,
	CAPTURE_FRAME_BYTES_MIN = 14,
};
#define CAPTURE_MAGIC_US 0xa1b2c3d4u
#define CAPTURE_MAGIC_NS 0xa1b23c4du

static enum tiara_status __attribute__((format(printf, 3, 4)))
capture_fail(const char *path, struct tiara_error *error, const char *format, ...)
{
	char text[200];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	snprintf(error->message, sizeof(error->message), "%.200s: %s", path, text);
	return error->status = TIARA_INVALID;
}

static uint32_t
capture_u32(const uint8_t *bytes, bool swapped)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return swapped ? __builtin_bswap32(value) : value;
}

/* The whole file; NULL with errno. */
static uint8_t *
capture_load(const char *path, size_t *len)
{
	FILE *file = fopen(path, "re");
	uint8_t *bytes = NULL;
	long size = -1;

	if (!file)
		return NULL;
	if (fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0)
		bytes = malloc((size_t)size + 1);
	rewind(file);
	if (bytes && fread(bytes, 1, (size_t)size, file) != (size_t)size) {
		free(bytes);
		bytes = NULL;
		errno = EIO;
	}
	fclose(file);
	*len = (size_t)size;
	return bytes;
}

/* Is it a capture of Ethernet frames, and is its byte order the other one? */
static bool
capture_is_known(const uint8_t *bytes, size_t len, bool *swapped)
{
	uint32_t magic;

	if (len < CAPTURE_FILE_BYTES)
		return false;
	magic = capture_u32(bytes, false);
	*swapped = magic != CAPTURE_MAGIC_US && magic != CAPTURE_MAGIC_NS;
	magic = capture_u32(bytes, *swapped);
	return (magic == CAPTURE_MAGIC_US || magic == CAPTURE_MAGIC_NS) &&
	       (capture_u32(bytes + CAPTURE_LINK_OFF, *swapped) & 0xffff) == CAPTURE_LINK_ETHERNET;
}

/* The frame at *at, which moves on; false: it is not whole. */
static bool
capture_next(uint8_t *bytes, size_t len, bool swapped, size_t *at,
	     struct tiara_capture_frame *frame)
{
	if (len - *at < CAPTURE_RECORD_BYTES)
		return false;
	frame->len_bytes = capture_u32(bytes + *at + CAPTURE_LENGTH_OFF, swapped);
	frame->data = bytes + *at + CAPTURE_RECORD_BYTES;
	*at += CAPTURE_RECORD_BYTES;
	if (frame->len_bytes < CAPTURE_FRAME_BYTES_MIN || frame->len_bytes > len - *at)
		return false;
	*at += frame->len_bytes;
	return true;
}

/* Counts the frames, and keeps them once there is room. */
static enum tiara_status
capture_walk(const char *path, struct tiara_capture *capture, size_t len, bool swapped,
	     struct tiara_error *error)
{
	size_t at = CAPTURE_FILE_BYTES;

	for (capture->cnt = 0; at < len; capture->cnt++) {
		struct tiara_capture_frame frame;

		if (!capture_next(capture->bytes, len, swapped, &at, &frame))
			return capture_fail(path, error,
					    "frame %u is cut off or shorter than an Ethernet "
					    "header; write the capture again",
					    capture->cnt + 1);
		if (capture->frame)
			capture->frame[capture->cnt] = frame;
		if (frame.len_bytes > capture->longest_bytes)
			capture->longest_bytes = frame.len_bytes;
	}
	if (capture->cnt == 0)
		return capture_fail(path, error, "has no frame; give a capture that has some");
	return TIARA_OK;
}

enum tiara_status
tiara_capture_read(const char *path, struct tiara_capture *capture, struct tiara_error *error)
{
	enum tiara_status status;
	size_t len = 0;
	bool swapped;

	*capture = (struct tiara_capture){.bytes = capture_load(path, &len)};
	if (!capture->bytes)
		return capture_fail(path, error, "cannot be read: %s", strerror(errno));
	if (!capture_is_known(capture->bytes, len, &swapped)) {
		tiara_capture_free(capture);
		return capture_fail(path, error,
				    "is not a pcap file of Ethernet frames; give one that `tiara "
				    "traffic run --pcap` or tcpdump wrote");
	}
	status = capture_walk(path, capture, len, swapped, error);
	if (status == TIARA_OK) {
		capture->frame = calloc(capture->cnt, sizeof(*capture->frame));
		if (!capture->frame)
			status = capture_fail(path, error, "is too long for this machine's memory");
	}
	if (status == TIARA_OK)
		status = capture_walk(path, capture, len, swapped, error);
	if (status != TIARA_OK)
		tiara_capture_free(capture);
	return status;
}

void
tiara_capture_free(struct tiara_capture *capture)
{
	free(capture->frame);
	free(capture->bytes);
	*capture = (struct tiara_capture){0};
}
