//go:build linux

package child

const sysSetns = 346
