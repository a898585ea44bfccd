/* How the shim asks the node. */
#ifndef BUILDNET_TALK_H
#define BUILDNET_TALK_H

#include "common.h"

/* session is what the variables of the invocation say; NULL for what they do not. */
struct session {
	const char *socket, *invocation, *kit, *shims, *faults, *slots;
};
extern struct session session;

/*
 * elsewhere has the node run the command, and ends as it did. It returns where the
 * command is to run here; an open file is then its slot, until all have closed
 * it: the socket, or where no node answers one of those of hold.c.
 */
void elsewhere(const char *path, char *const argv[]);

#endif
