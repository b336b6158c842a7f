/* SPDX-License-Identifier: Apache-2.0 */
/* Generated from dataplane/include/tiara/layout.h by `script/check generate`. Do not edit. */
#ifndef TIARA_LAYOUT_ID_H
#define TIARA_LAYOUT_ID_H

#define TIARA_LAYOUT_ID UINT64_C(0xbbae043571b61174)

#endif
