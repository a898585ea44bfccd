//go:build !linux

package cgroup

import (
	"errors"
	"time"
)

var errNone = errors.New("this operating system has no control groups")

// Quota returns no quota.
func Quota(string) (float64, bool) { return 0, false }

// Memory returns no limit.
func Memory(string) (int64, bool) { return 0, false }

// Limited is none.
type Limited struct{ Cores float64 }

// FindLimited returns no group.
func FindLimited(string) (*Limited, bool, error) { return nil, false, nil }

// Used fails.
func (*Limited) Used() (time.Duration, error) { return 0, errNone }

// Options say where a Group is made.
type Options struct {
	Root, Name string
}

// Group is none.
type Group struct{}

// Open returns no group.
func Open(Options) (*Group, error) { return nil, errNone }

// Means implements the methods of a Group of other systems.
func (*Group) Means() Means { return Means{} }

// Weighs reports false.
func (*Group) Weighs() bool { return false }

// Text says what it is.
func (*Group) Text() string { return "" }

// Memory is nowhere.
func (*Group) Memory() string { return "" }

// Enter does nothing.
func (*Group) Enter(int) error { return errNone }

// Weigh does nothing.
func (*Group) Weigh(Weight) error { return nil }

// Bound does nothing.
func (*Group) Bound(float64) error { return nil }

// Freeze does nothing.
func (*Group) Freeze(bool) error { return nil }

// Close does nothing.
func (*Group) Close() error { return nil }

// NameOf names nothing.
func NameOf(string) string { return "" }
