package action

import (
	"bytes"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action/actionpb"
	"github.com/buildnet/buildnet/store/digest"
)

// MaxEntryBytes bounds an encoded Entry: a result with some 30,000 outputs.
const MaxEntryBytes = 4 << 20

// Isolation is how far an execution was kept from its machine. Do not reorder:
// the numbers are stored and signed.
type Isolation uint8

const (
	// Full isolation: only declared inputs and the toolchain could be read.
	Full Isolation = iota + 1
	// Reduced isolation: something of Full is missing on that machine.
	Reduced
	// None says that the command ran as an ordinary process.
	None
	// Proven says that it did, and that all that it read was found afterwards to
	// be declared, and unchanged meanwhile.
	Proven
)

// Closed reports whether nothing went into the result that the action does not
// name.
func (i Isolation) Closed() bool { return i == Full || i == Proven }

// String returns the level in lower case.
func (i Isolation) String() string {
	switch i {
	case Full:
		return "full"
	case Reduced:
		return "reduced"
	case None:
		return "none"
	case Proven:
		return "proven"
	default:
		return "unknown"
	}
}

// OutputKind is what an output is. Do not reorder: the numbers are stored and
// signed.
type OutputKind uint8

const (
	// File is a regular file; Digest names its bytes.
	File OutputKind = iota + 1
	// Directory is a directory; Digest names its REAPI Directory message.
	Directory
	// Symlink is a symbolic link to Target.
	Symlink
)

// Output is one declared output as it was made.
type Output struct {
	// Path is from the project's root.
	Path       string
	Kind       OutputKind
	Digest     digest.Digest
	Executable bool
	Target     string
	// Properties are those that the action's PropertyNodeProperties asks for. What is
	// in a directory has its own in the directory's message.
	Properties Properties
}

// Cause says what made an action fail, where that has a Message. Do not reorder:
// the numbers are stored and signed.
type Cause uint8

const (
	// Exited is the command itself, by its exit code. Nodes that know of no causes
	// say so of all failures.
	Exited Cause = iota
	// TimedOut is the time limit of the action.
	TimedOut
	// OverLimit is a limit of memory, or of the size of a file.
	OverLimit
	// Killed is a signal that nobody here sent.
	Killed
	// NotStarted is a command that cannot be executed.
	NotStarted
	// BadOutputs are outputs that are missing, or that no result can have: a link out
	// of the tree, a device, too many bytes.
	BadOutputs
)

// String returns the cause in lower case.
func (c Cause) String() string {
	switch c {
	case Exited:
		return "exited"
	case TimedOut:
		return "timed out"
	case OverLimit:
		return "over a limit"
	case Killed:
		return "killed"
	case NotStarted:
		return "not started"
	case BadOutputs:
		return "bad outputs"
	default:
		return "unknown"
	}
}

// Result is what came of executing an action.
type Result struct {
	ExitCode int
	// Message says why the action failed when it was not its exit code: a
	// missing output, a limit. Cause is what of these it was.
	Message string
	Cause   Cause
	// Outputs are sorted by path.
	Outputs []Output
	// Stdout names what it printed, both streams in the order in which they
	// came; zero when it printed nothing.
	Stdout digest.Digest
	// Stderr names what it printed on its standard error, which is then not in
	// Stdout; zero if that is nothing, and where nobody asked for StreamsApart.
	Stderr    digest.Digest
	Isolation Isolation
	Wall      time.Duration
	CPU       time.Duration
	// MaxRSS is the peak of memory in bytes: of all processes together where
	// the action had a control group of its own, else of the largest one, and then
	// no less than what that was started from: some 20 MB in a sandbox.
	MaxRSS int64
}

// OK reports whether the action did all that it was to do.
func (r *Result) OK() bool { return r.ExitCode == 0 && r.Message == "" }

// Blobs are those that the result names itself: its files and what it printed, and
// the roots of its directories, in which there are more.
func (r *Result) Blobs() (files, dirs []digest.Digest) {
	for _, printed := range []digest.Digest{r.Stdout, r.Stderr} {
		if !printed.IsZero() {
			files = append(files, printed)
		}
	}
	for i := range r.Outputs {
		switch o := &r.Outputs[i]; o.Kind {
		case File:
			files = append(files, o.Digest)
		case Directory:
			dirs = append(dirs, o.Digest)
		case Symlink:
		}
	}
	return files, dirs
}

// OutputBytes is the size of what it names as outputs; directories count as
// their lists do.
func (r *Result) OutputBytes() (bytes int64) {
	for i := range r.Outputs {
		bytes += r.Outputs[i].Digest.Size()
	}
	return bytes
}

// Entry is a result as the action cache keeps it and peers exchange it: with
// the action it is of, who executed it, and that node's signature.
type Entry struct {
	Action    digest.Digest
	Result    Result
	Executor  peer.ID
	Signature []byte

	encoded []byte // of Result, as it was signed
	checked seal
}

// seal is what a signature was seen to be good for. Results pass through many
// hands within a node, each of which wants it to be: it is checked once.
type seal struct {
	action    digest.Digest
	executor  peer.ID
	signature string
}

// SignEntry makes the entry of an execution. sign is executor's key.
func SignEntry(action digest.Digest, r Result, executor peer.ID, sign func([]byte) ([]byte, error)) (Entry, error) {
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(r.message())
	if err != nil {
		return Entry{}, fmt.Errorf("encode result of %v: %w", action, err)
	}
	signature, err := sign(signedBytes(action, encoded))
	if err != nil {
		return Entry{}, fmt.Errorf("sign result of %v: %w", action, err)
	}
	return Entry{Action: action, Result: r, Executor: executor, Signature: signature, encoded: encoded}, nil
}

// Verify checks that the executor that the entry names signed it. What was good
// once is not computed again, for this entry and copies of it. It may not be
// called concurrently on one entry.
func (e *Entry) Verify() error {
	if e.sealed() {
		return nil
	}
	if err := genuine.check(e.Executor, signedBytes(e.Action, e.encoded), e.Signature); err != nil {
		return fmt.Errorf("verify result of %v: %w", e.Action, err)
	}
	e.checked = seal{e.Action, e.Executor, string(e.Signature)}
	return nil
}

// sealed reports whether the entry is as it was when its signature was checked.
func (e *Entry) sealed() bool {
	c := &e.checked
	return c.signature != "" && c.action == e.Action && c.executor == e.Executor && c.signature == string(e.Signature)
}

// Same reports whether both say the same of the same, and are signed alike.
func (e *Entry) Same(o *Entry) bool {
	return e.Action == o.Action && e.Executor == o.Executor && bytes.Equal(e.Signature, o.Signature) && bytes.Equal(e.encoded, o.encoded)
}

// signedBytes starts with a text that no other signature of a node's key has,
// so that one can never stand for another.
func signedBytes(action digest.Digest, result []byte) []byte {
	b := append([]byte("buildnet action result 1\x00"), action.Binary()...)
	return append(b, result...)
}

// Marshal encodes the entry.
func (e *Entry) Marshal() ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(&actionpb.Entry{
		Action: e.Action.Binary(), Result: e.encoded, Executor: string(e.Executor), Signature: e.Signature,
	})
}

// UnmarshalEntry decodes what Marshal wrote and checks its form, but not its
// signature: see Verify.
func UnmarshalEntry(b []byte) (Entry, error) {
	if len(b) > MaxEntryBytes {
		return Entry{}, fmt.Errorf("%w entry: %d bytes, the limit is %d", ErrInvalid, len(b), MaxEntryBytes)
	}
	var m actionpb.Entry
	if err := proto.Unmarshal(b, &m); err != nil {
		return Entry{}, fmt.Errorf("%w entry: %w", ErrInvalid, err)
	}
	action, err := digest.FromBinary(m.GetAction())
	if err != nil {
		return Entry{}, fmt.Errorf("%w entry: action: %w", ErrInvalid, err)
	}
	var rm actionpb.Result
	if err := proto.Unmarshal(m.GetResult(), &rm); err != nil {
		return Entry{}, fmt.Errorf("%w entry of %v: %w", ErrInvalid, action, err)
	}
	r, err := resultOf(&rm)
	if err != nil {
		return Entry{}, fmt.Errorf("%w entry of %v: %w", ErrInvalid, action, err)
	}
	return Entry{
		Action: action, Result: r, Executor: peer.ID(m.GetExecutor()), Signature: m.GetSignature(), encoded: m.GetResult(),
	}, nil
}

// Marshal encodes the result alone, for those who need nobody's word for it.
func (r *Result) Marshal() ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(r.message())
}

// UnmarshalResult decodes what Result.Marshal wrote, and trusts none of it.
func UnmarshalResult(b []byte) (*Result, error) {
	if len(b) > MaxEntryBytes {
		return nil, fmt.Errorf("%w result: %d bytes, the limit is %d", ErrInvalid, len(b), MaxEntryBytes)
	}
	var m actionpb.Result
	if err := proto.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%w result: %w", ErrInvalid, err)
	}
	r, err := resultOf(&m)
	if err != nil {
		return nil, fmt.Errorf("%w result: %w", ErrInvalid, err)
	}
	return &r, nil
}

func (r *Result) message() *actionpb.Result {
	m := &actionpb.Result{
		ExitCode: int32(r.ExitCode), Message: r.Message, Stdout: optional(r.Stdout), Stderr: optional(r.Stderr),
		Cause: uint32(r.Cause), Isolation: uint32(r.Isolation),
		Wall: int64(r.Wall), Cpu: int64(r.CPU), MaxRss: r.MaxRSS,
	}
	for _, o := range r.Outputs {
		m.Outputs = append(m.Outputs, o.message())
	}
	return m
}

func (o *Output) message() *actionpb.Output {
	m := &actionpb.Output{
		Path: o.Path, Kind: uint32(o.Kind), Digest: optional(o.Digest), Executable: o.Executable, Target: o.Target,
	}
	if p := &o.Properties; p.HasMTime {
		m.Mtime = &actionpb.Time{Seconds: p.MTime.Seconds, Nanos: p.MTime.Nanos}
	}
	if o.Properties.HasMode {
		m.UnixMode = &o.Properties.Mode
	}
	return m
}

func resultOf(m *actionpb.Result) (Result, error) {
	stdout, err := optionalOf(m.GetStdout())
	if err != nil {
		return Result{}, fmt.Errorf("stdout: %w", err)
	}
	stderr, err := optionalOf(m.GetStderr())
	if err != nil {
		return Result{}, fmt.Errorf("stderr: %w", err)
	}
	if m.GetCause() != 0 && m.GetMessage() == "" {
		return Result{}, fmt.Errorf("cause %d of no failure", m.GetCause())
	}
	if m.GetIsolation() < uint32(Full) || m.GetIsolation() > uint32(Proven) {
		return Result{}, fmt.Errorf("isolation %d", m.GetIsolation())
	}
	r := Result{
		ExitCode: int(m.GetExitCode()), Message: m.GetMessage(), Cause: causeOf(m.GetCause()), Stdout: stdout, Stderr: stderr,
		Isolation: Isolation(m.GetIsolation()),
		Wall:      durationOf(m.GetWall()), CPU: durationOf(m.GetCpu()), MaxRSS: max(0, m.GetMaxRss()),
	}
	for _, om := range m.GetOutputs() {
		o, err := outputOf(om)
		if err != nil {
			return Result{}, err
		}
		r.Outputs = append(r.Outputs, o)
	}
	return r, nil
}

// causeOf takes a cause that is not known here yet for none.
func causeOf(n uint32) Cause {
	if n > uint32(BadOutputs) {
		return Exited
	}
	return Cause(n)
}

func outputOf(m *actionpb.Output) (Output, error) {
	d, err := optionalOf(m.GetDigest())
	if err != nil {
		return Output{}, fmt.Errorf("output %q: %w", m.GetPath(), err)
	}
	o := Output{Path: m.GetPath(), Kind: OutputKind(min(m.GetKind(), math.MaxUint8)), Digest: d, Executable: m.GetExecutable(), Target: m.GetTarget()}
	switch {
	case !CleanPath(o.Path):
		return Output{}, fmt.Errorf("bad output path %q", o.Path)
	case o.Kind < File || o.Kind > Symlink:
		return Output{}, fmt.Errorf("output %q: kind %d", o.Path, m.GetKind())
	case o.Kind == Symlink && o.Target == "", o.Kind != Symlink && o.Digest.IsZero():
		return Output{}, fmt.Errorf("output %q: no content", o.Path)
	}
	if o.Properties, err = nodeOf(m); err != nil {
		return Output{}, fmt.Errorf("output %q: %w", o.Path, err)
	}
	return o, nil
}

func optional(d digest.Digest) []byte {
	if d.IsZero() {
		return nil
	}
	return d.Binary()
}

func optionalOf(b []byte) (digest.Digest, error) {
	if len(b) == 0 {
		return digest.Digest{}, nil
	}
	return digest.FromBinary(b)
}

// durationOf makes of a peer's number a duration that cannot overflow sums.
func durationOf(ns int64) time.Duration {
	return time.Duration(min(max(ns, 0), int64(1000*time.Hour)))
}
