/* How many compilers run on this machine at once where no node counts them. */
#ifndef BUILDNET_HOLD_H
#define BUILDNET_HOLD_H

/* when is how long a slot is waited for: IF_FREE is not at all. */
enum when { IF_FREE, WHEN_FREE };

/*
 * hold takes one of n slots, which are locks on the file at path: this process has it,
 * what it becomes, and whatever that starts, until all of them have closed it or
 * ended. It returns 0, also without a slot where none was free and it was not to
 * wait, or the number of an error.
 */
int hold(const char *path, int n, enum when when);

#endif
