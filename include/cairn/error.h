/* SPDX-License-Identifier: MIT
 *
 * What went wrong, in words for the user. Every function of libcairn that takes a
 * `struct cairn_error *` fills it when it returns a negative number, and accepts NULL.
 */
#ifndef CAIRN_ERROR_H
#define CAIRN_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

struct cairn_error {
	char message[256]; /* what is wrong, and what was expected; no newline */
	char where[128]; /* file:line, session, process...; may be empty */
	char hint[192]; /* what to do next; may be empty */
};

#ifdef __cplusplus
}
#endif
#endif
