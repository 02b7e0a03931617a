/* SPDX-License-Identifier: BSD-3-Clause */
/* Huge pages for the switch. Without them one warning says why. */
#pragma once

#include <stdbool.h>

/* Is a huge page free that is not reserved? False: a warning is logged. */
bool hugepages_available(void);

/* Log that a huge page was free but could not be allocated. */
void hugepages_warn_refused(void);
