package host

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func fixture(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for p, content := range files {
		p = filepath.Join(root, p)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const stat = "cpu  100 20 30 4000 50 6 7 800 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\ncpu1 1 1 1 1 1 1 1 1 0 0\nintr 5\n"

func TestLoadIsOfTheMachine(t *testing.T) {
	l, err := NewLoad(fixture(t, map[string]string{
		"proc/stat": stat, "proc/pressure/cpu": "some avg10=86.80 avg60=86.29 avg300=83.60 total=1500000\nfull avg10=0.00 total=7\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	u, err := l.Read()
	if err != nil || u.Waited != 1500*time.Millisecond || u.All != 1630*time.Millisecond || u.Cores != 2 || u.Battery || u.Node <= 0 {
		t.Errorf("read %+v, %v", u, err)
	}
}

func TestLoadIsOfTheGroupThatBoundsTheNode(t *testing.T) {
	l, err := NewLoad(fixture(t, map[string]string{
		"proc/stat": stat, "proc/self/cgroup": "0::/a\n",
		"proc/self/mountinfo":     "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
		"sys/fs/cgroup/a/cpu.max": "50000 100000", "sys/fs/cgroup/a/cpu.stat": "usage_usec 700000\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if u, err := l.Read(); err != nil || u.All != 700*time.Millisecond || u.Cores != 0.5 {
		t.Errorf("read %+v, %v", u, err)
	}
}

func TestLoadThatCannotBeReadIsNone(t *testing.T) {
	for name, text := range map[string]string{"none": "", "no processors": "cpu  1 2 3 4 5 6 7 8\n", "no numbers": "cpu  a b c d e f g h\ncpu0 1 1 1 1 1 1 1 1\n"} {
		l, err := NewLoad(fixture(t, map[string]string{"proc/stat": text}))
		if err != nil {
			t.Fatal(err)
		}
		if u, err := l.Read(); !errors.Is(err, ErrUnmeasured) {
			t.Errorf("%s: %+v, %v", name, u, err)
		}
	}
}

func TestBattery(t *testing.T) {
	const bat = "sys/class/power_supply/BAT0/"
	for name, c := range map[string]struct {
		files     map[string]string
		has, runs bool
	}{
		"discharging":  {map[string]string{bat + "type": "Battery\n", bat + "status": "Discharging\n"}, true, true},
		"charging":     {map[string]string{bat + "type": "Battery\n", bat + "status": "Charging\n"}, true, false},
		"of the mouse": {map[string]string{bat + "type": "Battery\n", bat + "scope": "Device\n", bat + "status": "Discharging\n"}, false, false},
		"mains alone":  {map[string]string{bat + "type": "Mains\n"}, false, false},
	} {
		root := fixture(t, c.files)
		if HasBattery(root) != c.has || discharging(root) != c.runs {
			t.Errorf("%s: has %v, runs on it %v", name, HasBattery(root), discharging(root))
		}
	}
}

func TestLoadOfWhatTheNodeStartedIsTheNodes(t *testing.T) {
	l, err := NewLoad(fixture(t, map[string]string{"proc/stat": stat}))
	if err != nil {
		t.Fatal(err)
	}
	before, err := l.Read()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "(while :; do :; done) & wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		u, err := l.Read()
		if err != nil {
			t.Fatal(err)
		}
		if u.Node-before.Node > 300*time.Millisecond {
			break
		}
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Wait()
}

func BenchmarkLoad(b *testing.B) {
	l, err := NewLoad("/")
	if err != nil {
		b.Skip(err)
	}
	for b.Loop() {
		if _, err := l.Read(); err != nil {
			b.Fatal(err)
		}
	}
}
