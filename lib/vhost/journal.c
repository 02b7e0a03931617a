/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/journal.h"
#include "vhost/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"

#define MAGIC UINT64_C(0x31736e6972737776) /* of this layout */

struct vhost_journal {
	char *path; /* NULL: in memory only */
	struct pages {
		uint64_t magic;
		struct record {
			uint64_t word; /* see vring_journal_word */
			uint64_t desc;
			uint32_t size;
			uint32_t running;
		} ring[VHOST_RINGS_MAX];
	} * pages;
};

/*
 * Check and prepare the journal's file. An access to a missing page would end the process. So disk
 * space for the file is allocated now. And the file must belong to this user, so that no other user
 * can make it shorter.
 */
static int take_file(int fd)
{
	struct stat st;

	/* syscalls: ftruncate fallocate geteuid */
	if (fstat(fd, &st) < 0)
		return -errno;
	/* If the file has another name (hard link), other users might have access to it. */
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1 ||
	    st.st_mode & (S_IWGRP | S_IWOTH))
		return -EPERM;
	if (ftruncate(fd, sizeof(struct pages)) < 0)
		return -errno;
	return -posix_fallocate(fd, 0, sizeof(struct pages));
}

static struct pages *map_file(const char *path)
{
	/* syscalls: openat unlink */
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	int error = fd < 0 ? -errno : take_file(fd);
	struct pages *pages = MAP_FAILED;

	if (!error) {
		pages = mmap(NULL, sizeof(*pages), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		error = pages == MAP_FAILED ? -errno : 0;
	}
	if (error)
		listener_log(path,
		    "cannot keep ring positions here: %s; packed rings will lose their positions "
		    "in a restart",
		    error_text(-error));
	if (fd >= 0)
		close(fd);
	return pages;
}

int vhost_journal_open(struct vhost_device *dev, const char *path)
{
	struct vhost_journal *journal = calloc(1, sizeof(*journal));

	if (!journal)
		return -ENOMEM;
	journal->pages = path ? map_file(path) : MAP_FAILED;
	if (journal->pages != MAP_FAILED)
		journal->path = strdup(path);
	else
		journal->pages = mmap(NULL, sizeof(*journal->pages), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (journal->pages == MAP_FAILED) {
		free(journal);
		return -ENOMEM;
	}
	if (journal->pages->magic != MAGIC)
		memset(journal->pages, 0, sizeof(*journal->pages));
	journal->pages->magic = MAGIC;
	dev->journal = journal;
	return 0;
}

static bool any_running(const struct vhost_journal *journal)
{
	for (unsigned i = 0; i < VHOST_RINGS_MAX; i++) {
		if (journal->pages->ring[i].running)
			return true;
	}
	return false;
}

void vhost_journal_leave(struct vhost_device *dev)
{
	struct vhost_journal *journal = dev->journal;

	if (!journal || !journal->path)
		return;
	if (!any_running(journal))
		unlink(journal->path);
	free(journal->path);
	journal->path = NULL;
}

void vhost_journal_close(struct vhost_device *dev)
{
	struct vhost_journal *journal = dev->journal;

	if (!journal)
		return;
	vhost_journal_leave(dev);
	munmap(journal->pages, sizeof(*journal->pages));
	free(journal);
	dev->journal = NULL;
}

bool vhost_journal_recall(const struct vhost_device *dev, unsigned index, uint64_t desc,
    uint32_t size, uint64_t *ret_word)
{
	const struct record *r = dev->journal ? &dev->journal->pages->ring[index] : NULL;

	if (!r || !r->running || r->desc != desc || r->size != size)
		return false;
	*ret_word = r->word;
	return true;
}

uint64_t *vhost_journal_start(
    struct vhost_device *dev, unsigned index, uint64_t desc, uint32_t size)
{
	struct record *r = dev->journal ? &dev->journal->pages->ring[index] : NULL;

	if (!r)
		return NULL;
	r->desc = desc;
	r->size = size;
	r->running = 1;
	return &r->word;
}

void vhost_journal_stop(struct vhost_device *dev, unsigned index)
{
	if (dev->journal)
		dev->journal->pages->ring[index].running = 0;
}
