/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file of --config: read it, tell where it is wrong, write it.
 *
 * Threads: config_file_write() may be called by any thread, the others by the control thread. All
 * of them wait for the file system.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

struct apply_outcome;

struct config_file {
	const char *path; /* of the caller */
	char *text;
	size_t n;
	json_t *config; /* checked by the tables */
};

/*
 * Read the file. If it is wrong, one line of the log names the place and what is right, and ends
 * with `otherwise`, and -EINVAL is returned; or the errno of a system call. Only a regular file is
 * read, of at most YAML_BYTES_MAX bytes.
 */
int config_file_read(const char *path, const char *otherwise, struct config_file *ret);
void config_file_free(struct config_file *file);

/* Can it be read again with the rights that the process has now? A line of the log says if not. */
void config_file_check(const char *path);

/* The same line for a fault that was found when the file was applied, with this `about`. */
void config_file_complain(const struct config_file *file, const struct apply_outcome *outcome,
    const char *about, const char *otherwise);

/*
 * Replace the file in one step: after a crash it is the old one or the new one. It keeps its mode,
 * and gets the owner and the group of the process. If the process ends while it writes, nothing is
 * left behind, or FILE.saving on a file system that has no files without a name.
 * 0; -ELOOP: it is a link; -EINVAL: it is no regular file; or an errno.
 */
int config_file_write(const char *path, const char *text, size_t n);
