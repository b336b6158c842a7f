/* SPDX-License-Identifier: Apache-2.0 */
#include "control/internal.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum tiara_status
control_error(struct tiara_error *error, enum tiara_status status, const char *field,
	      const char *format, ...)
{
	va_list list;

	if (!error)
		return status;
	error->status = status;
	snprintf(error->field, sizeof(error->field), "%s", field);
	va_start(list, format);
	vsnprintf(error->message, sizeof(error->message), format, list);
	va_end(list);
	return status;
}

enum tiara_status
control_out_of_memory(struct tiara_error *error)
{
	return control_error(error, TIARA_NO_SPACE, "",
			     "the process has no memory left; nothing was changed");
}

enum tiara_status
control_require_writer(const struct tiara_handle *handle, struct tiara_error *error)
{
	if (handle->role == TIARA_ROLE_CONTROLPLANE)
		return TIARA_OK;
	return control_error(error, TIARA_INVALID, "role",
			     "only a handle with the control plane's role may change anything; "
			     "nothing was changed");
}

const char *
control_frontend_text(char text[CONTROL_FRONTEND_TEXT_BYTES], tiara_be32 vip, tiara_be16 port,
		      uint8_t protocol)
{
	char addr[INET_ADDRSTRLEN] = "?";

	inet_ntop(AF_INET, &vip, addr, sizeof(addr));
	if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP)
		snprintf(text, CONTROL_FRONTEND_TEXT_BYTES, "%s:%u/%s", addr, ntohs(port),
			 protocol == IPPROTO_TCP ? "tcp" : "udp");
	else
		snprintf(text, CONTROL_FRONTEND_TEXT_BYTES, "%s:%u/%u", addr, ntohs(port),
			 protocol);
	return text;
}

const char *
tiara_status_name(enum tiara_status status)
{
	static const char *const name[] = {
		[TIARA_OK] = "OK",
		[TIARA_INVALID] = "INVALID",
		[TIARA_NOT_FOUND] = "NOT_FOUND",
		[TIARA_EXISTS] = "EXISTS",
		[TIARA_BUSY] = "BUSY",
		[TIARA_LAYOUT] = "LAYOUT",
		[TIARA_NO_SPACE] = "NO_SPACE",
		[TIARA_EXHAUSTED] = "EXHAUSTED",
		[TIARA_FULL] = "FULL",
		[TIARA_IO] = "IO",
		[TIARA_CONFLICT] = "CONFLICT",
		[TIARA_UNCHANGED] = "UNCHANGED",
	};

	if ((unsigned)status >= sizeof(name) / sizeof(name[0]))
		return "UNKNOWN";
	return name[status];
}
