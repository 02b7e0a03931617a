/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The journal of the disk has two lines for each write request: an E line when the write was
 * executed, before the driver is told, and a C line after the driver was told that the write is
 * complete. A line has the sector and the first 16 bytes of the data. If an E line follows a C line
 * with the same text, the write was done twice.
 */
#include "request.h"

#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { REQUEST_READ = 0, REQUEST_WRITE = 1, REQUEST_FLUSH = 4, REQUEST_ID = 8 };
enum { STATUS_OK = 0, STATUS_IOERR = 1, STATUS_UNSUPP = 2 };

struct header {
	uint32_t type;
	uint32_t reserved;
	uint64_t sector;
};

void request_take(struct request *r, const struct vring_batch *batch, const struct vring_chain *c)
{
	r->chain = *c;
	r->n_readable = vring_chain_readable(batch, c);
	r->done = false;
	r->written = 0;
	r->text[0] = '\0';
	if (c->n_segments > REQUEST_SEGMENTS)
		r->chain.n_segments = 0;
	memcpy(
	    r->segment, &batch->segment[c->segment], r->chain.n_segments * sizeof(r->segment[0]));
}

/* Segments [from, to) without their first skip and last cut bytes. Returns the number of bytes. */
static size_t gather(const struct request *r, unsigned from, unsigned to, size_t skip, size_t cut,
    struct iovec iov[], int *ret_n)
{
	size_t total = 0, left;
	int n = 0;

	for (unsigned i = from; i < to; i++)
		total += r->segment[i].len;
	left = total > skip + cut ? total - skip - cut : 0;
	total = left;
	for (unsigned i = from; i < to && left; i++) {
		size_t len = r->segment[i].len, off = skip < len ? skip : len;

		skip -= off;
		len -= off;
		if (len > left)
			len = left;
		if (len)
			iov[n++] = (struct iovec){r->segment[i].addr + off, len};
		left -= len;
	}
	*ret_n = n;
	return total;
}

static bool read_header(const struct request *r, unsigned n_readable, struct header *ret)
{
	uint8_t *to = (uint8_t *)ret;
	size_t got = 0;

	for (unsigned i = 0; i < n_readable && got < sizeof(*ret); i++) {
		size_t part = MIN(r->segment[i].len, sizeof(*ret) - got);

		memcpy(to + got, r->segment[i].addr, part);
		got += part;
	}
	return got == sizeof(*ret);
}

static void note(const struct disk *disk, char what, const struct request *r)
{
	char line[64];
	int n;

	if (disk->journal_fd < 0 || !r->text[0])
		return;
	n = snprintf(line, sizeof(line), "%c %s\n", what, r->text);
	if (write(disk->journal_fd, line, n) != n)
		perror("journal");
}

static uint8_t transfer(struct request *r, const struct disk *disk, const struct header *header)
{
	unsigned n_readable = r->n_readable;
	struct iovec iov[REQUEST_SEGMENTS];
	bool write = header->type == REQUEST_WRITE;
	int n;
	size_t len = write ? gather(r, 0, n_readable, sizeof(*header), 0, iov, &n)
			   : gather(r, n_readable, r->chain.n_segments, 0, 1, iov, &n);
	ssize_t done;

	if (len % BLOCK_SECTOR || header->sector > disk->sectors ||
	    len / BLOCK_SECTOR > disk->sectors - header->sector)
		return STATUS_IOERR;
	done = write ? pwritev(disk->fd, iov, n, header->sector * BLOCK_SECTOR)
		     : preadv(disk->fd, iov, n, header->sector * BLOCK_SECTOR);
	if (done != (ssize_t)len)
		return STATUS_IOERR;
	if (!write) {
		r->written = len;
	} else if (n && iov[0].iov_len >= 16) {
		snprintf(r->text, sizeof(r->text), "%llu %.16s", (unsigned long long)header->sector,
		    (const char *)iov[0].iov_base);
		note(disk, 'E', r);
	}
	return STATUS_OK;
}

static uint8_t identify(struct request *r)
{
	static const char name[20] = "vswitchd test disk";
	unsigned n_readable = r->n_readable;
	struct iovec iov[REQUEST_SEGMENTS];
	int n;

	r->written = gather(r, n_readable, r->chain.n_segments, 0, 1, iov, &n);
	if (n != 1 || r->written > sizeof(name))
		return STATUS_UNSUPP;
	memcpy(iov[0].iov_base, name, r->written);
	return STATUS_OK;
}

void request_execute(struct request *r, const struct disk *disk)
{
	const struct vring_segment *last = &r->segment[r->chain.n_segments - 1];
	unsigned n_readable = r->n_readable;
	uint8_t status = STATUS_UNSUPP;
	struct header header;

	r->done = true;
	if (r->chain.n_segments == n_readable)
		return; /* there is no buffer for the status */
	if (!read_header(r, n_readable, &header))
		status = STATUS_IOERR;
	else if (header.type == REQUEST_READ || header.type == REQUEST_WRITE)
		status = transfer(r, disk, &header);
	else if (header.type == REQUEST_FLUSH)
		status = fdatasync(disk->fd) ? STATUS_IOERR : STATUS_OK;
	else if (header.type == REQUEST_ID)
		status = identify(r);
	last->addr[last->len - 1] = status;
	r->written++;
}

void request_note_completion(const struct request *r, const struct disk *disk)
{
	note(disk, 'C', r);
}
