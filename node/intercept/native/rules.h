/* Which commands the node is asked for. */
#ifndef BUILDNET_RULES_H
#define BUILDNET_RULES_H

#include "common.h"

/*
 * asks reports whether the node is asked for a command of a tool: for compiles, for
 * links of objects, and for what makes archives. It is not for what writes to
 * stdout, since what comes back is written to stderr.
 */
int asks(enum kind kind, char *const argv[]);

#endif
