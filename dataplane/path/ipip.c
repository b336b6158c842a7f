/* SPDX-License-Identifier: Apache-2.0 */
/* IP in IP (RFC 2003) to a backend: the client's packet as it came, behind one more IPv4 header. */
#include "path/stage.h"
#include "path/tunnel.h"

enum tiara_verdict
tiara_ipip_encapsulate_wk(const struct tiara_worker *w, struct tiara_frame *f,
			  const struct tiara_backend *backend, const uint8_t mac[6])
{
	const struct tiara_ipv4 *inner = (const void *)(f->data + f->l3_off);
	struct tiara_ipv4 *outer;
	enum tiara_verdict verdict = tiara_tunnel_check(w, f, sizeof(*outer));

	if (verdict != TIARA_VERDICT_NONE)
		return verdict;
	outer = tiara_tunnel_open(w, f, sizeof(*outer), mac);
	tiara_tunnel_ipv4(w, f, outer, backend->addr, inner->tos, TIARA_PROTOCOL_IPIP);
	return TIARA_VERDICT_NONE;
}
