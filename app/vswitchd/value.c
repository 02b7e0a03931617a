/* SPDX-License-Identifier: BSD-3-Clause */
#include "value.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>

bool value_number(
    const char *text, int base, unsigned long min, unsigned long max, unsigned long *ret)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret = strtoul(text, &end, base);
	return errno == 0 && *end == '\0' && *ret >= min && *ret <= max;
}

bool value_cpu_list(const char *text, cpu_set_t *ret)
{
	CPU_ZERO(ret);
	for (;;) {
		char *end;
		unsigned long from, to;

		if (*text < '0' || *text > '9')
			return false;
		from = to = strtoul(text, &end, 10);
		if (*end == '-') {
			if (end[1] < '0' || end[1] > '9')
				return false;
			to = strtoul(end + 1, &end, 10);
		}
		if (from > to || to >= CPU_SETSIZE)
			return false;
		for (unsigned long cpu = from; cpu <= to; cpu++)
			CPU_SET(cpu, ret);
		if (*end == '\0')
			return true;
		if (*end != ',')
			return false;
		text = end + 1;
	}
}

/* The highest number means "leave it unchanged" for chown(). */
#define ID_MAX (UINT32_MAX - 1)

bool value_user(const char *text, uid_t *ret)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): options are read before there is a thread */
	const struct passwd *user = getpwnam(text);
	unsigned long id;

	if (user)
		*ret = user->pw_uid;
	else if (value_number(text, 10, 0, ID_MAX, &id))
		*ret = id;
	else
		return false;
	return true;
}

bool value_group(const char *text, gid_t *ret)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): as for the user */
	const struct group *group = getgrnam(text);
	unsigned long id;

	if (group)
		*ret = group->gr_gid;
	else if (value_number(text, 10, 0, ID_MAX, &id))
		*ret = id;
	else
		return false;
	return true;
}
