/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a target on the files of a corpus, for compilers without libFuzzer. usage: replay_TARGET
 * FOLDER...
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "input.h"

#define INPUT_MAX (1 << 20)

static void replay_file(const char *path)
{
	static uint8_t room[INPUT_MAX];
	FILE *file = fopen(path, "rb");
	uint8_t *exact;
	size_t n;

	if (!file) {
		perror(path);
		exit(1);
	}
	n = fread(room, 1, sizeof(room), file);
	fclose(file);
	/* The copy has exactly this size, so that a read beyond it is detected. */
	exact = malloc(n + !n);
	if (!exact)
		abort();
	memcpy(exact, room, n);
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
}

static unsigned replay_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	char path[4096];
	unsigned n = 0;

	if (!dir) {
		perror(folder);
		exit(1);
	}
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue; /* the folder itself, its parent, an editor's file */
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		replay_file(path);
		n++;
	}
	closedir(dir);
	return n;
}

int main(int argc, char **argv)
{
	unsigned n = 0;

	for (int i = 1; i < argc; i++)
		n += replay_folder(argv[i]);
	printf("%u inputs\n", n);
	return n ? 0 : 1;
}
