/* SPDX-License-Identifier: BSD-3-Clause */
#include "traffic/checksum.h"

#include "base/util.h"

/* The sum of bytes [at, end) of a frame, in pieces; a byte's weight depends on its place. */
static uint64_t sum_pieces(const struct tport_piece pieces[], uint32_t at, uint32_t end)
{
	uint32_t start = 0;
	uint64_t sum = 0;

	for (unsigned i = 0; start < end; i++) {
		uint32_t stop = MIN(start + pieces[i].len, end);

		for (uint32_t k = MAX(at, start); k < stop; k++)
			sum += (uint64_t)pieces[i].bytes[k - start] << (k - at) % 2 * 8;
		start = stop;
	}
	return sum;
}

static uint16_t fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* The sum of the pseudo header is in the template's checksum field. */
static bool is_complete(
    const struct stream_template *t, const struct tport_piece pieces[], uint32_t len)
{
	uint16_t pseudo;

	memcpy(&pseudo, t->bytes + t->net.csum_start + t->net.csum_offset, 2);
	return fold(pseudo + sum_pieces(pieces, t->net.csum_start, len)) == 0xffff;
}

/* Does the net header still have the request? hdr_len is only a hint. */
static bool asks(const struct stream_template *t, const struct virtio_net_hdr *hdr)
{
	return (hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && hdr->gso_type == t->net.gso_type &&
	    hdr->gso_size == t->net.gso_size && hdr->csum_start == t->net.csum_start &&
	    hdr->csum_offset == t->net.csum_offset;
}

enum checksum_state checksum_state(
    const struct stream_template *t, const struct tport_piece pieces[], uint32_t len)
{
	uint32_t field = t->net.csum_start + t->net.csum_offset;
	const uint8_t *frame = pieces[0].bytes;
	const struct virtio_net_hdr *hdr = tport_header((uint8_t *)(uintptr_t)frame);
	bool untouched = memcmp(frame + field, t->bytes + field, 2) == 0;

	if (t->net.gso_type)
		return asks(t, hdr) ? CHECKSUM_PARTIAL : CHECKSUM_LOST;
	if (untouched && asks(t, hdr))
		return CHECKSUM_PARTIAL;
	if (!(hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && is_complete(t, pieces, len))
		return CHECKSUM_COMPLETE;
	return untouched ? CHECKSUM_LOST : CHECKSUM_WRONG;
}
