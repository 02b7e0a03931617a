/* SPDX-License-Identifier: BSD-3-Clause */
/* Are there huge pages that we can have? Without them one warning says why. */
#pragma once

#include <stdbool.h>

/* Free ones that nobody has reserved. False: the warning is logged. */
bool hugepages_available(void);

/* There seemed to be some. */
void hugepages_warn_refused(void);
