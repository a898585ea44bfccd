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

// sandbox has the process turn its mount namespace into the action's.
func (p *program) sandbox(s *Spec) error {
	p.must("set the host name", syscall.SYS_SETHOSTNAME, p.text(hostName), uintptr(len(hostName)))
	p.must("set the domain name", syscall.SYS_SETDOMAINNAME, 0, 0)
	if s.Network == Loopback && p.network == nil {
		p.raiseLoopback()
	}
	if s.Mode == RootSandbox {
		p.must("leave the groups of root", syscall.SYS_SETGROUPS, 0, 0)
	}
	p.mount("part from the host's mounts", mount{to: "/", flags: syscall.MS_REC | syscall.MS_PRIVATE})
	root := s.Scratch + "/root"
	p.mount("mount the root", mount{from: "buildnet", to: root, kind: "tmpfs", flags: syscall.MS_NOSUID, data: "mode=0755,size=1m"})
	p.chdir("enter the root", root)
	p.skeleton(s)
	private, err := p.writable(s) // first: a toolchain may lie below /tmp
	if err != nil {
		return err
	}
	for _, b := range s.Binds {
		if err := p.bindHost(b, contains(s.Needed, b)); err != nil {
			return err
		}
	}
	for i := range s.Mounts {
		p.overlay(&s.Mounts[i])
	}
	p.attributes("make the root read-only", ".", change{set: attrReadOnly | attrNoSuid, flags: atRecursive})
	for _, w := range private {
		p.attributes("make /"+w+" writable", w, change{set: attrNoDev, clear: attrReadOnly})
	}
	for _, h := range s.Hidden {
		p.mount("hide "+h, mount{"buildnet", "." + h, "tmpfs", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_RDONLY, "mode=0555,size=4k"})
	}
	p.mount("mount /proc", mount{from: "proc", to: "proc", kind: "proc", flags: syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC})
	p.must("enter the new root", syscall.SYS_PIVOT_ROOT, p.text("."), p.text("."))
	p.must("leave the old root", syscall.SYS_UMOUNT2, p.text("."), syscall.MNT_DETACH)
	if s.Absolute {
		p.chdir("enter the working directory", "/"+s.Dir)
	} else {
		p.chdir("enter the working directory", "/buildnet/work/"+s.Dir)
	}
	return nil
}

func (p *program) skeleton(s *Spec) {
	for _, d := range []string{"buildnet", "buildnet/work", "buildnet/home", "tmp", "proc", "dev", "dev/shm", "etc", "var", "run"} {
		if !taken(s, "/"+d) {
			p.mkdir(d)
		}
	}
	if !taken(s, "/var/tmp") {
		p.symlink("link /var/tmp", "/tmp", "var/tmp")
	}
	p.write("etc/passwd", passwd)
	p.write("etc/group", group)
	if s.Network == Loopback {
		p.write("etc/hosts", hosts)
	}
	for _, d := range devices {
		var st syscall.Stat_t
		if syscall.Lstat("/dev/"+d, &st) == nil { // a container may lack some
			p.bindFile("/dev/"+d, "dev/"+d)
		}
	}
	for name, target := range map[string]string{"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"} {
		p.symlink("link /dev/"+name, "/proc/self/fd"+target, "dev/"+name)
	}
}

// writable mounts what is the action's own, and returns where it may write: not
// to the inputs that Mounts say so of.
func (p *program) writable(s *Spec) ([]string, error) {
	p.mount("mount /dev/shm", mount{"buildnet", "dev/shm", "tmpfs", syscall.MS_NOSUID, "mode=1777,size=256m"})
	all := []string{"dev/shm"}
	own := [][2]string{{"home", "buildnet/home"}}
	if !s.Absolute {
		own = append(own, [2]string{"work", "buildnet/work"})
	}
	if !taken(s, "/tmp") {
		own = append(own, [2]string{"tmp", "tmp"})
	}
	for _, b := range own {
		p.mount("bind /"+b[1], mount{from: s.Scratch + "/" + b[0], to: b[1], flags: syscall.MS_BIND})
		all = append(all, b[1])
	}
	for i := range s.Mounts {
		m := &s.Mounts[i]
		if err := p.place(m); err != nil {
			return nil, err
		}
		if m.Writable {
			all = append(all, m.To[1:])
		}
	}
	return all, nil
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
func (p *program) place(m *Mount) error {
	target := m.To[1:]
	switch m.Kind {
	case Link:
		p.parents(target)
		p.symlink("link "+m.To, m.From, target)
	case Place:
		p.parents(target)
		var st syscall.Stat_t
		if err := syscall.Lstat(m.From, &st); err != nil {
			return failure{"find " + m.From, err}
		}
		if st.Mode&syscall.S_IFMT == syscall.S_IFDIR {
			p.mkdir(target)
			p.mount("mount "+m.To, mount{from: m.From, to: target, flags: syscall.MS_BIND})
		} else {
			p.bindFile(m.From, target)
		}
	}
	return nil
}

// overlay puts a part of the inputs over what the machine has there. It makes
// nothing: it would be made on the machine itself.
func (p *program) overlay(m *Mount) {
	target := m.To[1:]
	switch m.Kind {
	case Layer:
		dirs := "lowerdir=" + escape(m.From) + ":" + escape(m.To)
		p.mount("lay inputs over "+m.To, mount{"buildnet", target, "overlay", syscall.MS_NOSUID | syscall.MS_RDONLY, dirs})
	case Replace:
		p.mount("mount "+m.To, mount{from: m.From, to: target, flags: syscall.MS_BIND})
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
func (p *program) bindHost(at string, needed bool) error {
	var st syscall.Stat_t
	stat := syscall.Lstat
	if needed {
		stat = syscall.Stat
	}
	if err := stat(at, &st); err != nil {
		if needed {
			return failure{"find " + at, err}
		}
		return nil
	}
	target := at[1:]
	p.parents(target)
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFLNK:
		var b [4096]byte
		n, err := syscall.Readlink(at, b[:])
		if err != nil {
			return failure{"read the link " + at, err}
		}
		p.symlink("link "+at, string(b[:n]), target)
	case syscall.S_IFDIR:
		p.mkdir(target)
		p.mount("bind "+at, mount{from: at, to: target, flags: syscall.MS_BIND | syscall.MS_REC})
	default:
		p.bindFile(at, target)
	}
	return nil
}

// interfaceFlags is struct ifreq of netdevice(7).
type interfaceFlags struct {
	name  [16]byte
	flags uint16
	_     [22]byte
}

func upLoopback() *interfaceFlags {
	return &interfaceFlags{name: [16]byte{'l', 'o'}, flags: syscall.IFF_UP | syscall.IFF_RUNNING}
}

func (p *program) raiseLoopback() {
	request := upLoopback()
	p.kept = append(p.kept, request)
	const what = "raise the loopback interface"
	p.must(what, sysSocket, syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0).keep = true
	p.must(what, syscall.SYS_IOCTL, 0, ioctlSetFlags, uintptr(unsafe.Pointer(request))).onKept = true
	p.add(syscall.SYS_CLOSE).onKept = true
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
