/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checks of values against the tables of schema.h. What has passed needs no further checks: numbers
 * are in their range, words are known, MAC addresses and lists of VLANs can be read.
 *
 * The cost is proportional to the size of the JSON.
 *
 * Threads: functions without state.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "manage/error.h"
#include "manage/schema.h"

/*
 * Check the parameters of a request; NULL: it has none. Returns a new object with the names as in
 * the table, and with the defaults of parameters that were left out, except for methods that change
 * an object. NULL: *error says what is wrong.
 */
json_t *check_params(const struct schema *schema, const struct schema_method *method,
    const json_t *params, struct manage_error *error);

/*
 * Check one value of a field. `about` begins the message. 0, or -EINVAL: *error says what is wrong.
 */
int check_value(const struct schema *schema, const struct schema_field *field, const json_t *value,
    const char *about, struct manage_error *error);

/*
 * Check what a method gives: an answer may leave out fields, but has no unknown or wrong ones. 0 or
 * -EINVAL. For tests.
 */
int check_result(const struct schema *schema, const struct schema_method *method,
    const json_t *result, struct manage_error *error);

/*
 * What people and files write, as JSON: digits; true, yes, on, false, no, off. NULL: the text is no
 * such value.
 */
json_t *check_read_number(const char *text);
json_t *check_read_bool(const char *text);

/* "52:54:00:00:00:01" as a number, the first byte lowest. False: it is no MAC address. */
bool check_mac(const char *text, uint64_t *ret_mac);

#define CHECK_VLANS 4096

/*
 * "10,20-29": set the bits of these VLANs in a map of CHECK_VLANS bits, which the caller has
 * cleared. ret_map may be NULL. False: the text is no such list, or names a VLAN twice.
 */
bool check_vlans(const char *text, uint64_t ret_map[CHECK_VLANS / 64]);
