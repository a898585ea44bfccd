/*
 * Slots of this machine without a node. Each is a byte of a file, locked by an open
 * file description: the kernel gives it back when the last process that has it open
 * is gone, however that ended.
 */
#define _GNU_SOURCE
#include "hold.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

enum {
	HIGH = 100, /* no descriptor that a script may count on */
	QUEUE = 0,  /* the byte of who is next; those of slots follow */
	LOOK = 2000000, /* nanoseconds between two looks of who is next */
};

static int byte(int fd, int command, int type, int at)
{
	struct flock l = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
	int done;
	do
		done = fcntl(fd, command, &l);
	while (done < 0 && errno == EINTR);
	return done < 0 ? errno : 0;
}

/* any takes whichever of n slots is free. It is EAGAIN if none is. */
static int any(int fd, int n)
{
	int why = EAGAIN;
	for (int i = 1; i <= n && (why == EAGAIN || why == EACCES); i++)
		why = byte(fd, F_OFD_SETLK, F_WRLCK, i);
	return why == EACCES ? EAGAIN : why;
}

/* wait_for waits in line: one looks again and again, the others wait for that one. */
static int wait_for(int fd, int n)
{
	int why = byte(fd, F_OFD_SETLKW, F_WRLCK, QUEUE);
	if (why)
		return why;
	while ((why = any(fd, n)) == EAGAIN) {
		const struct timespec pause = {0, LOOK};
		nanosleep(&pause, NULL);
	}
	int left = byte(fd, F_OFD_SETLK, F_UNLCK, QUEUE);
	return why ? why : left;
}

int hold(const char *path, int n, enum when when)
{
	if (n < 1)
		return 0;
	int low = open(path, O_RDWR | O_CLOEXEC);
	if (low < 0)
		return errno;
	int fd = fcntl(low, F_DUPFD, HIGH); /* it stays open in what this process becomes */
	int why = fd < 0 ? errno : 0;
	close(low);
	if (why)
		return why;
	why = when == IF_FREE ? any(fd, n) : wait_for(fd, n);
	if (why)
		close(fd);
	return why == EAGAIN ? 0 : why;
}
