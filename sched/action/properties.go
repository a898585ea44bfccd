package action

import (
	"fmt"
	"slices"
	"strings"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/buildnet/buildnet/sched/action/actionpb"
)

// Names of node properties (remote_execution.proto, NodeProperties), which are those of
// its fields.
const (
	NodeMTime    = "mtime"
	NodeUnixMode = "unix_mode"
)

// maxMode are the bits of a mode that a node of a tree can have: no program gets the
// rights of another user by it.
const maxMode = 0o777

// Properties are what is said of a file, directory or link besides its content. The
// zero value says nothing.
type Properties struct {
	HasMTime, HasMode bool
	// MTime is in Unix seconds and nanoseconds of 0 to 999,999,999.
	MTime struct{ Seconds, Nanos int64 }
	// Mode is permission bits.
	Mode uint32
}

// PropertiesOf reads what is said of a node, as far as it means something here: named
// properties do not.
func PropertiesOf(m *repb.NodeProperties) (Properties, error) {
	var p Properties
	if t := m.GetMtime(); t != nil {
		if err := t.CheckValid(); err != nil {
			return Properties{}, fmt.Errorf("%w mtime: %w", ErrInvalid, err)
		}
		p.SetTime(t.AsTime())
	}
	if mode := m.GetUnixMode(); mode != nil {
		p.HasMode, p.Mode = true, mode.GetValue()&maxMode
	}
	return p, nil
}

// SetTime sets MTime.
func (p *Properties) SetTime(t time.Time) {
	p.HasMTime, p.MTime.Seconds, p.MTime.Nanos = true, t.Unix(), int64(t.Nanosecond())
}

// Time is MTime.
func (p Properties) Time() time.Time { return time.Unix(p.MTime.Seconds, p.MTime.Nanos) }

// Message is the inverse of PropertiesOf: nil if nothing is said.
func (p Properties) Message() *repb.NodeProperties {
	if p == (Properties{}) {
		return nil
	}
	m := &repb.NodeProperties{}
	if p.HasMTime {
		m.Mtime = timestamppb.New(p.Time())
	}
	if p.HasMode {
		m.UnixMode = wrapperspb.UInt32(p.Mode)
	}
	return m
}

// nodeOf reads those of an output that came from a peer.
func nodeOf(m *actionpb.Output) (Properties, error) {
	said := &repb.NodeProperties{}
	if t := m.GetMtime(); t != nil {
		if t.GetNanos() < 0 || t.GetNanos() >= int64(time.Second) {
			return Properties{}, fmt.Errorf("%w mtime: %d ns of a second", ErrInvalid, t.GetNanos())
		}
		said.Mtime = &timestamppb.Timestamp{Seconds: t.GetSeconds(), Nanos: int32(t.GetNanos())}
	}
	if m.UnixMode != nil {
		said.UnixMode = wrapperspb.UInt32(m.GetUnixMode())
	}
	return PropertiesOf(said)
}

// Wanted is which properties of its outputs whoever asked for an action wants to know.
type Wanted struct{ MTime, Mode bool }

// ParseWanted reads the value of a PropertyNodeProperties: names with commas between
// them. A name that is not known is ErrInvalid.
func ParseWanted(value string) (Wanted, error) { return WantedOf(strings.Split(value, ",")) }

// WantedOf reads names, in any order.
func WantedOf(names []string) (w Wanted, err error) {
	for _, name := range names {
		switch name {
		case NodeMTime:
			w.MTime = true
		case NodeUnixMode:
			w.Mode = true
		default:
			return Wanted{}, fmt.Errorf("%w node property %q, want %s or %s", ErrInvalid, name, NodeMTime, NodeUnixMode)
		}
	}
	return w, nil
}

// String is the inverse of ParseWanted, "" for nothing.
func (w Wanted) String() string {
	names := slices.DeleteFunc([]string{NodeMTime, NodeUnixMode}, func(name string) bool {
		return name == NodeMTime && !w.MTime || name == NodeUnixMode && !w.Mode
	})
	return strings.Join(names, ",")
}
