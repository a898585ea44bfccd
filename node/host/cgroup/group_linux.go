package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Options say where a Group is made.
type Options struct {
	// Root is "/", or a fixture.
	Root string
	// Name tells the groups of this machine's nodes apart.
	Name string
}

// Group is the group of the work of others, beside the node's own processes or
// beside its group. Its methods are not to be called concurrently, but for
// Enter.
type Group struct {
	v2    bool
	dirs  []string // one for each hierarchy, that of the processor first
	rest  string   // of version 2: the leaf of what has no group of its own within
	node  string   // the leaf that the node has moved to, of version 2
	from  string   // where it came from
	given []string // what takes back what the groups below from were given
	means Means
}

// NameOf names the group of the node with this home: the same directory is the
// same one under any name, and another container's is another one.
func NameOf(home string) string {
	var st syscall.Stat_t
	if err := syscall.Stat(home, &st); err != nil {
		return strconv.Itoa(os.Getpid())
	}
	return fmt.Sprintf("%x-%x", st.Dev, st.Ino)
}

// errNoPlace says that this user may make no group here.
var errNoPlace = errors.New("no control group may be made here")

// Open makes the group, or takes over what a killed node of the same name has
// left: what runs there is killed.
func Open(o Options) (*Group, error) {
	var g *Group
	var err error
	if cpu, ok := find(o.Root, "cpu"); ok {
		g, err = openFirst(o, cpu)
	} else if unified, ok := find(o.Root, ""); ok {
		g, err = openSecond(o, unified)
	} else {
		return nil, fmt.Errorf("%w: none are mounted", errNoPlace)
	}
	if err != nil {
		return nil, err
	}
	g.sweep()
	g.divide()
	return g, errors.Join(g.Weigh(Low), g.Bound(0))
}

// openFirst makes groups of version 1: one for each controller.
func openFirst(o Options, cpu place) (*Group, error) {
	dir := filepath.Join(cpu.dir(o.Root), o.Name)
	if err := makeGroup(dir); err != nil {
		return nil, err
	}
	g := &Group{dirs: []string{dir}, means: Means{Weight: writable(dir, "cpu.shares"), Quota: writable(dir, "cpu.cfs_quota_us")}}
	if io, ok := find(o.Root, "blkio"); ok && io.point != cpu.point {
		dir := filepath.Join(io.dir(o.Root), o.Name)
		if makeGroup(dir) == nil {
			if writable(dir, ioFirst) {
				g.dirs = append(g.dirs, dir)
			} else {
				_ = os.Remove(dir) // this kernel weighs no input and output
			}
		}
	}
	return g, nil
}

// openSecond makes a group of version 2: below the node's own where that is
// given to it, or else beside it. Without a controller it can still be stopped.
func openSecond(o Options, own place) (*Group, error) {
	dir := own.dir(o.Root)
	g := &Group{v2: true}
	if g.enable(dir, filepath.Join(dir, o.Name+".node")) == nil {
		if err := g.settle(filepath.Join(dir, o.Name)); err == nil {
			return g, nil
		}
		g.moveBack()
	}
	if own.below != "." && own.below != "/" {
		above := filepath.Dir(dir)
		if g.enable(above, "") == nil && g.settle(filepath.Join(above, o.Name)) == nil {
			return g, nil
		}
	}
	if err := g.settle(filepath.Join(dir, o.Name)); err != nil {
		return nil, err
	}
	return g, nil
}

// settle makes the group at dir.
func (g *Group) settle(dir string) error {
	if err := makeGroup(dir); err != nil {
		return err
	}
	g.dirs = []string{dir}
	g.means = Means{Weight: writable(dir, "cpu.weight"), Quota: writable(dir, "cpu.max"), Freeze: writable(dir, "cgroup.freeze")}
	return nil
}

// enable gives the groups below dir weights of their own. A group whose
// children have them holds no processes itself: if there are none but this one,
// it moves to leaf. See cgroup-v2.rst, "No Internal Process Constraint".
func (g *Group) enable(dir, leaf string) error {
	have := strings.Fields(content(filepath.Join(dir, subtree)))
	if slices.Contains(have, "cpu") {
		return nil
	}
	err := put(dir, subtree, "+cpu")
	if err != nil && errors.Is(err, syscall.EBUSY) && leaf != "" && alone(dir) {
		if err = g.move(dir, leaf); err == nil {
			err = put(dir, subtree, "+cpu")
		}
		if err != nil {
			g.moveBack()
		}
	}
	if err != nil {
		return err
	}
	g.given = []string{"-cpu"}
	for _, more := range []string{"io", "memory"} { // not every kernel weighs the first; see divide for the other
		if !slices.Contains(have, more) && put(dir, subtree, "+"+more) == nil {
			g.given = append(g.given, "-"+more)
		}
	}
	return nil
}

// divide lets groups within bound the memory of single actions. In version 2 a
// process is in one group, so that one elsewhere would take it out of this. From
// then on this group holds no processes itself. Where memory may not be divided
// it stays as it is.
func (g *Group) divide() {
	if !g.v2 || put(g.dirs[0], subtree, "+memory") != nil {
		return
	}
	rest := filepath.Join(g.dirs[0], "rest")
	if makeGroup(rest) != nil {
		_ = put(g.dirs[0], subtree, "-memory")
		return
	}
	g.rest = rest
}

// Memory is the directory in which to make groups that bound the memory of what
// is in the group; "" if it takes none.
func (g *Group) Memory() string {
	if g.rest == "" {
		return ""
	}
	return g.dirs[0]
}

// within are the groups in the group, and the group.
func (g *Group) within() []string {
	entries, _ := os.ReadDir(g.dirs[0]) // sorted
	var all []string
	for _, e := range entries {
		if e.IsDir() {
			all = append(all, filepath.Join(g.dirs[0], e.Name()))
		}
	}
	return append(all, g.dirs[0])
}

const subtree = "cgroup.subtree_control"

// alone reports whether dir holds this process and no other.
func alone(dir string) bool { return content(filepath.Join(dir, procs)) == strconv.Itoa(os.Getpid()) }

func (g *Group) move(dir, leaf string) error {
	if err := makeGroup(leaf); err != nil {
		return err
	}
	g.node, g.from = leaf, dir
	return put(leaf, procs, strconv.Itoa(os.Getpid()))
}

// moveBack undoes move, once the groups below have no controller of their own
// any more: until then the group that it came from takes no process.
func (g *Group) moveBack() {
	if g.node == "" {
		return
	}
	_ = put(g.from, subtree, strings.Join(g.given, " "))
	_ = put(g.from, procs, strconv.Itoa(os.Getpid()))
	_ = os.Remove(g.node)
	g.node, g.from, g.given = "", "", nil
}

const procs = "cgroup.procs"

func makeGroup(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %w", errNoPlace, err)
	}
	return nil
}

func writable(dir, file string) bool {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return false
	}
	return f.Close() == nil
}

func put(dir, file, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// sweep kills what a killed node has left in the group.
func (g *Group) sweep() {
	if g.means.Freeze {
		_ = g.Freeze(false)
	}
	for _, dir := range g.within() {
		for pid := range strings.FieldsSeq(content(filepath.Join(dir, procs))) {
			if n, err := strconv.Atoi(pid); err == nil && n > 1 {
				_ = syscall.Kill(n, syscall.SIGKILL)
			}
		}
	}
}

// Means are what can be done with the group.
func (g *Group) Means() Means { return g.means }

// Weighs reports whether what is in the group counts less than what is not.
func (g *Group) Weighs() bool { return g.means.Weight }

// Text says what it is, for people.
func (g *Group) Text() string {
	var can []string
	for _, m := range []struct {
		have bool
		name string
	}{{g.means.Weight, "weight"}, {g.means.Quota, "quota"}, {g.means.Freeze, "freezer"}} {
		if m.have {
			can = append(can, m.name)
		}
	}
	version := 1
	if g.v2 {
		version = 2
	}
	return fmt.Sprintf("control group, version %d: %s", version, strings.Join(can, ", "))
}

// Enter puts a process, and what it starts, into the group.
func (g *Group) Enter(pid int) error {
	dirs := g.dirs
	if g.rest != "" {
		dirs = []string{g.rest}
	}
	for _, dir := range dirs {
		if err := put(dir, procs, strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("enter the group %s: %w", dir, err)
		}
	}
	return nil
}

// ioFirst is the weight of input and output of version 1.
const ioFirst = "blkio.bfq.weight"

// sharesOfHundred is what version 1 calls a weight of 100.
const sharesOfHundred = 1024

// Weigh sets what the group counts.
func (g *Group) Weigh(w Weight) error {
	if !g.means.Weight {
		return nil
	}
	if !g.v2 {
		for _, dir := range g.dirs[1:] {
			_ = put(dir, ioFirst, strconv.Itoa(int(max(w, 1))))
		}
		return put(g.dirs[0], "cpu.shares", strconv.Itoa(int(w)*sharesOfHundred/100))
	}
	_ = put(g.dirs[0], "io.weight", strconv.Itoa(int(w))) // where there is one
	return put(g.dirs[0], "cpu.weight", strconv.Itoa(int(w)))
}

// The periods of a quota in microseconds, and the least quota that the kernel
// takes.
const (
	period    = 100_000
	maxPeriod = 1_000_000
	minQuota  = 1000
)

// Bound bounds what the group uses, in processors; 0 does not.
func (g *Group) Bound(cores float64) error {
	if !g.means.Quota {
		return nil
	}
	quota, over := int64(cores*period), int64(period)
	if cores > 0 && quota < minQuota {
		quota, over = max(minQuota, int64(cores*maxPeriod)), maxPeriod
	}
	if g.v2 {
		text := "max"
		if cores > 0 {
			text = strconv.FormatInt(quota, 10)
		}
		return put(g.dirs[0], "cpu.max", text+" "+strconv.FormatInt(over, 10))
	}
	// Either alone may be more than the group above allows.
	err := put(g.dirs[0], "cpu.cfs_quota_us", "-1")
	if err != nil || cores <= 0 {
		return err
	}
	if err := put(g.dirs[0], "cpu.cfs_period_us", strconv.FormatInt(over, 10)); err != nil {
		return err
	}
	return put(g.dirs[0], "cpu.cfs_quota_us", strconv.FormatInt(quota, 10))
}

// Freeze stops what is in the group, or lets it go on. Version 1 never does:
// what it has frozen cannot be killed.
func (g *Group) Freeze(stop bool) error {
	if !g.means.Freeze {
		return nil
	}
	value := "0"
	if stop {
		value = "1"
	}
	return put(g.dirs[0], "cgroup.freeze", value)
}

// Close removes the group, which is empty unless something in it cannot be
// killed.
func (g *Group) Close() error {
	err := g.Freeze(false)
	if g.v2 {
		for _, dir := range g.within() {
			if dir != g.dirs[0] {
				err = errors.Join(err, os.Remove(dir))
			}
		}
	}
	for _, dir := range g.dirs {
		err = errors.Join(err, os.Remove(dir))
	}
	g.moveBack()
	return err
}
