/* SPDX-License-Identifier: Apache-2.0 */
/* What every policy asks of the weights it is given. */
#include "control/internal.h"

#include <stdio.h>

enum tiara_status
control_check_weights(const uint32_t *weight, uint32_t cnt, struct tiara_error *error)
{
	bool any = false;

	for (uint32_t i = 0; i < cnt; i++) {
		char field[32];

		any |= weight[i] != 0;
		if (weight[i] <= CONTROL_WEIGHT_MAX)
			continue;
		snprintf(field, sizeof(field), "weight[%u]", i);
		return control_error(error, TIARA_INVALID, field,
				     "%s is %u, over %u; no row was filled", field, weight[i],
				     CONTROL_WEIGHT_MAX);
	}
	if (any)
		return TIARA_OK;
	return control_error(error, TIARA_INVALID, "weight",
			     "all weights are 0; no row was filled; such a pool has no table");
}
