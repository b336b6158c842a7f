/* SPDX-License-Identifier: Apache-2.0 */
/* The core that this runs on (docs/design/0003, "Arm"). */
#include "control/internal.h"

#ifdef TIARA_ARM_LSE2
#include <sys/auxv.h>

bool
control_machine_fits(void)
{
	return (getauxval(AT_HWCAP) & HWCAP_USCAT) != 0; /* LSE2 */
}
#else
bool
control_machine_fits(void)
{
	return true;
}
#endif
