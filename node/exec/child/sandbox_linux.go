package child

import (
	"syscall"
	"unsafe"
)

const (
	sysMountSetattr = 442 // the same on every architecture
	atRecursive     = 0x8000
	attrReadOnly    = 1
	attrNoSuid      = 2
	attrNoDev       = 4
	ioctlSetFlags   = 0x8914 // SIOCSIFFLAGS
)

// The names that every action sees.
const (
	hostName = "buildnet"
	passwd   = "root:x:0:0:root:/:/bin/sh\nbuildnet:x:1000:1000:buildnet:/buildnet/home:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"
	group    = "root:x:0:\nbuildnet:x:1000:\nnogroup:x:65534:\n"
	hosts    = "127.0.0.1 localhost buildnet\n::1 localhost\n"
)

// devices are those without which programs do not work, and no others.
var devices = []string{"null", "zero", "full", "random", "urandom", "tty"}

// sandbox turns this process's mount namespace into the action's.
func sandbox(s *Spec) {
	must("set the host name", syscall.Sethostname([]byte(hostName)))
	must("set the domain name", syscall.Setdomainname(nil))
	if s.Network == Loopback {
		must("raise the loopback interface", raiseLoopback())
	}
	if s.Mode == RootSandbox {
		must("leave the groups of root", syscall.Setgroups(nil))
	}
	must("part from the host's mounts", syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	root := s.Scratch + "/root"
	must("mount the root", syscall.Mount("buildnet", root, "tmpfs", syscall.MS_NOSUID, "mode=0755,size=1m"))
	must("enter the root", syscall.Chdir(root))
	skeleton(s)
	private := writable(s) // first: a toolchain may lie below /tmp
	for _, p := range s.Binds {
		bindHost(p, contains(s.Needed, p))
	}
	for i := range s.Mounts {
		overlay(&s.Mounts[i])
	}
	must("make the root read-only", setAttributes(".", change{set: attrReadOnly | attrNoSuid, flags: atRecursive}))
	for _, p := range private {
		must("make /"+p+" writable", setAttributes(p, change{set: attrNoDev, clear: attrReadOnly}))
	}
	for _, p := range s.Hidden {
		must("hide "+p, syscall.Mount("buildnet", "."+p, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_RDONLY, "mode=0555,size=4k"))
	}
	must("mount /proc", syscall.Mount("proc", "proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""))
	must("enter the new root", syscall.PivotRoot(".", "."))
	must("leave the old root", syscall.Unmount(".", syscall.MNT_DETACH))
	if s.Absolute {
		must("enter the working directory", syscall.Chdir("/"+s.Dir))
	} else {
		must("enter the working directory", syscall.Chdir("/buildnet/work/"+s.Dir))
	}
}

func skeleton(s *Spec) {
	for _, d := range []string{"buildnet", "buildnet/work", "buildnet/home", "tmp", "proc", "dev", "dev/shm", "etc", "var", "run"} {
		if !taken(s, "/"+d) {
			must("make /"+d, syscall.Mkdir(d, 0o755))
		}
	}
	if !taken(s, "/var/tmp") {
		must("link /var/tmp", syscall.Symlink("/tmp", "var/tmp"))
	}
	write("etc/passwd", passwd)
	write("etc/group", group)
	if s.Network == Loopback {
		write("etc/hosts", hosts)
	}
	for _, d := range devices {
		var st syscall.Stat_t
		if syscall.Lstat("/dev/"+d, &st) == nil { // a container may lack some
			bindFile("/dev/"+d, "dev/"+d)
		}
	}
	for name, target := range map[string]string{"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"} {
		must("link /dev/"+name, syscall.Symlink("/proc/self/fd"+target, "dev/"+name))
	}
}

// writable mounts what is the action's own, and returns where it may write: not
// to the inputs that Mounts say so of.
func writable(s *Spec) []string {
	must("mount /dev/shm", syscall.Mount("buildnet", "dev/shm", "tmpfs", syscall.MS_NOSUID, "mode=1777,size=256m"))
	all := []string{"dev/shm"}
	own := [][2]string{{"home", "buildnet/home"}}
	if !s.Absolute {
		own = append(own, [2]string{"work", "buildnet/work"})
	}
	if !taken(s, "/tmp") {
		own = append(own, [2]string{"tmp", "tmp"})
	}
	for _, b := range own {
		must("bind /"+b[1], syscall.Mount(s.Scratch+"/"+b[0], b[1], "", syscall.MS_BIND, ""))
		all = append(all, b[1])
	}
	for i := range s.Mounts {
		m := &s.Mounts[i]
		place(m)
		if m.Writable {
			all = append(all, m.To[1:])
		}
	}
	return all
}

// taken reports whether an input is at p itself, where the sandbox has
// something of its own otherwise.
func taken(s *Spec, p string) bool {
	for i := range s.Mounts {
		if s.Mounts[i].To == p {
			return true
		}
	}
	return false
}

// place puts a part of the inputs where there is nothing.
func place(m *Mount) {
	target := m.To[1:]
	switch m.Kind {
	case Link:
		makeParents(target)
		must("link "+m.To, syscall.Symlink(m.From, target))
	case Place:
		makeParents(target)
		var st syscall.Stat_t
		must("find "+m.From, syscall.Lstat(m.From, &st))
		if st.Mode&syscall.S_IFMT == syscall.S_IFDIR {
			makeDir(target)
			must("mount "+m.To, syscall.Mount(m.From, target, "", syscall.MS_BIND, ""))
		} else {
			bindFile(m.From, target)
		}
	}
}

// overlay puts a part of the inputs over what the machine has there. It makes
// nothing: it would be made on the machine itself.
func overlay(m *Mount) {
	target := m.To[1:]
	switch m.Kind {
	case Layer:
		dirs := "lowerdir=" + escape(m.From) + ":" + escape(m.To)
		must("lay inputs over "+m.To, syscall.Mount("buildnet", target, "overlay", syscall.MS_NOSUID|syscall.MS_RDONLY, dirs))
	case Replace:
		must("mount "+m.To, syscall.Mount(m.From, target, "", syscall.MS_BIND, ""))
	}
}

// escape keeps a path in one piece among the options of an overlay.
func escape(p string) string {
	var b []byte
	for i := range len(p) {
		if p[i] == '\\' || p[i] == ',' || p[i] == ':' {
			b = append(b, '\\')
		}
		b = append(b, p[i])
	}
	return string(b)
}

// bindHost binds an absolute path of the host at the same path below the
// working directory. A link is made a link again, unless it was asked for as a
// directory; what the host does not have is left out.
func bindHost(p string, needed bool) {
	var st syscall.Stat_t
	stat := syscall.Lstat
	if needed {
		stat = syscall.Stat
	}
	if err := stat(p, &st); err != nil {
		if needed {
			fail("find "+p, err)
		}
		return
	}
	target := p[1:]
	makeParents(target)
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFLNK:
		var b [4096]byte
		n, err := syscall.Readlink(p, b[:])
		must("read the link "+p, err)
		must("link "+p, syscall.Symlink(string(b[:n]), target))
	case syscall.S_IFDIR:
		makeDir(target)
		must("bind "+p, syscall.Mount(p, target, "", syscall.MS_BIND|syscall.MS_REC, ""))
	default:
		bindFile(p, target)
	}
}

func bindFile(from, to string) {
	write(to, "")
	must("bind "+from, syscall.Mount(from, to, "", syscall.MS_BIND, ""))
}

func makeParents(p string) {
	for i := range len(p) {
		if p[i] == '/' {
			makeDir(p[:i])
		}
	}
}

func makeDir(p string) {
	if err := syscall.Mkdir(p, 0o755); err != nil && err != syscall.EEXIST {
		fail("make /"+p, err)
	}
}

func write(p, content string) {
	fd, err := syscall.Open(p, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_CLOEXEC, 0o644)
	must("make /"+p, err)
	if content != "" {
		_, err = syscall.Write(fd, []byte(content))
		must("write /"+p, err)
	}
	_ = syscall.Close(fd)
}

// change is of the attributes of a mount, or with flags of all below it too.
type change struct {
	set, clear uint64
	flags      uintptr
}

func setAttributes(p string, c change) error {
	name, err := syscall.BytePtrFromString(p)
	if err != nil {
		return err
	}
	attr := [4]uint64{c.set, c.clear} // struct mount_attr: and propagation, user namespace
	const atFDCWD = -100
	cwd := atFDCWD
	_, _, e := syscall.Syscall6(sysMountSetattr, uintptr(cwd), uintptr(unsafe.Pointer(name)), c.flags, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if e != 0 {
		return e
	}
	return nil
}

func raiseLoopback() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = syscall.Close(fd) }()
	request := struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}{name: [16]byte{'l', 'o'}, flags: syscall.IFF_UP | syscall.IFF_RUNNING}
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), ioctlSetFlags, uintptr(unsafe.Pointer(&request))); e != 0 {
		return e
	}
	return nil
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

func must(what string, err error) {
	if err != nil {
		fail(what, err)
	}
}
