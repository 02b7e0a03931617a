/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs in a guest. Several processes write and read their parts of a disk, in rounds; each block
 * has its own contents. The program ends if a block differs from what was written last.
 *
 * usage: blkcheck DEVICE PROCESSES BLOCKS-EACH ROUNDS
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK 4096

/* Fill a block with "pppp-bbbb-rrrrrr" and with numbers computed from it. */
static void fill(uint8_t *to, unsigned process, unsigned block, unsigned round)
{
	uint32_t x = process * 2654435761u ^ block * 40503u ^ round * 69069u;
	char text[32];

	snprintf(text, sizeof(text), "%04u-%04u-%06u", process, block, round);
	memcpy(to, text, 16);
	for (unsigned i = 16; i < BLOCK; i += 4) {
		x = x * 1664525 + 1013904223;
		memcpy(to + i, &x, 4);
	}
}

static int verify(int fd, uint8_t *buffer, unsigned process, unsigned blocks, unsigned round)
{
	static uint8_t expected[BLOCK];

	for (unsigned b = 0; b < blocks; b++) {
		off_t at = ((off_t)process * blocks + b) * BLOCK;

		if (pread(fd, buffer, BLOCK, at) != BLOCK) {
			perror("read");
			return 1;
		}
		fill(expected, process, b, round);
		if (memcmp(buffer, expected, BLOCK) != 0) {
			printf("block %u of process %u: %.16s, not %.16s\n", b, process,
			    (char *)buffer, (char *)expected);
			return 1;
		}
	}
	return 0;
}

static int work(const char *device, unsigned process, unsigned blocks, unsigned rounds)
{
	int fd = open(device, O_RDWR | O_DIRECT);
	uint8_t *buffer = aligned_alloc(BLOCK, BLOCK);

	if (fd < 0 || !buffer) {
		perror(device);
		return 1;
	}
	for (unsigned round = 1; round <= rounds; round++) {
		for (unsigned b = 0; b < blocks; b++) {
			fill(buffer, process, b, round);
			if (pwrite(fd, buffer, BLOCK, ((off_t)process * blocks + b) * BLOCK) !=
			    BLOCK) {
				perror("write");
				return 1;
			}
		}
		if (verify(fd, buffer, process, blocks, round))
			return 1;
		if (access("/tmp/stop", F_OK) == 0) {
			printf("process %u: %u rounds\n", process, round);
			return 0;
		}
	}
	return 0;
}

int main(int argc, char *argv[])
{
	unsigned processes = argc == 5 ? atoi(argv[2]) : 0;
	int failed = processes == 0;

	for (unsigned p = 0; p < processes; p++) {
		if (fork() == 0) {
			int error = work(argv[1], p, atoi(argv[3]), atoi(argv[4]));

			fflush(stdout);
			_exit(error);
		}
	}
	for (unsigned p = 0; p < processes; p++) {
		int status;

		wait(&status);
		failed |= status != 0;
	}
	printf(failed ? "blkcheck: FAILED\n" : "blkcheck: all as written\n");
	return failed;
}
