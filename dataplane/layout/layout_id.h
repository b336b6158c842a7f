/* SPDX-License-Identifier: Apache-2.0 */
/* Generated from dataplane/include/tiara/layout.h by `script/check generate`. Do not edit. */
#ifndef TIARA_LAYOUT_ID_H
#define TIARA_LAYOUT_ID_H

#define TIARA_LAYOUT_ID UINT64_C(0x936a5641272a6baf)

#endif
