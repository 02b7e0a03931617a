/* SPDX-License-Identifier: BSD-3-Clause */
/* Values of the command line. Each function returns false if the text is not such a value. */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <sys/types.h>

/* Digits only, from min to max. */
bool value_number(
    const char *text, int base, unsigned long min, unsigned long max, unsigned long *ret);

/* "1,3-5": each part a number or a range. */
bool value_cpu_list(const char *text, cpu_set_t *ret);

/* A name that this machine knows, or a number. */
bool value_user(const char *text, uid_t *ret);
bool value_group(const char *text, gid_t *ret);
