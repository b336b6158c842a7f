/* SPDX-License-Identifier: Apache-2.0 */
/* Services as people number them are found in a few probes: VIPs in a row, ports in a row, both. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "table/frontend.h"

enum { SLOTS = 4096, SERVICES = SLOTS / 2, PROBES_MEAN_MAX = 3, PROBES_MAX = 64 };

static struct tiara_frontend slot[SLOTS];

/* Puts one in as the control plane does; how many slots were looked at. */
static uint32_t
put(tiara_be32 vip, tiara_be16 port)
{
	uint32_t i = tiara_frontend_hash(vip, port, 6), probes = 1;

	for (; slot[i % SLOTS].use != TIARA_USE_FREE; i++)
		probes++;
	slot[i % SLOTS] = (struct tiara_frontend){
		.vip = vip, .port = port, .protocol = 6, .use = TIARA_USE_ACTIVE};
	return probes;
}

/* `ports` services on each VIP. */
static int
check(const char *name, uint32_t ports)
{
	uint32_t sum = 0, most = 0;

	memset(slot, 0, sizeof(slot));
	for (uint32_t i = 0; i < SERVICES; i++) {
		uint32_t probes = put(htonl(0xc6126400 + i / ports),
				      htons((uint16_t)(80 + i % ports)));

		sum += probes;
		most = probes > most ? probes : most;
	}
	if (sum <= PROBES_MEAN_MAX * SERVICES && most <= PROBES_MAX)
		return 0;
	fprintf(stderr, "%s: %u probes for %u services, %u at the most\n", name, sum,
		(unsigned)SERVICES, most);
	return 1;
}

int
main(void)
{
	return check("VIPs in a row", 1) + check("ports in a row", SERVICES) +
	       check("sixteen ports on each VIP", 16);
}
