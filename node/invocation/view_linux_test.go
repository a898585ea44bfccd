package invocation

import "testing"

func TestMountsThatShowOtherFiles(t *testing.T) {
	const own = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:5 / /tmp rw - tmpfs tmpfs rw\n3 1 0:9 / /proc rw - proc proc rw\n"
	for name, tc := range map[string]struct{ its, differs string }{
		"TheSame":          {own, ""},
		"OtherIDs":         {"7 0 8:1 / / rw - ext4 /dev/sda1 rw\n9 7 0:5 / /tmp rw - tmpfs tmpfs rw\n", ""},
		"ReadOnlyInPlace":  {own + "4 1 8:1 /usr /usr ro - ext4 /dev/sda1 rw\n", ""},
		"Hidden":           {own + "4 1 8:1 /other /usr ro - ext4 /dev/sda1 rw\n5 1 8:1 /usr /usr ro - ext4 /dev/sda1 rw\n", ""},
		"ItsOwnTemporary":  {own + "4 2 8:1 /tmp/private /tmp rw - ext4 /dev/sda1 rw\n", "/tmp"},
		"BoundSources":     {own + "4 1 8:1 /home/u/b /src rw - ext4 /dev/sda1 rw\n", "/src"},
		"AnotherSystem":    {"1 0 0:44 / / rw - overlay overlay rw\n2 1 0:5 / /tmp rw - tmpfs tmpfs rw\n", "/"},
		"NoMountHere":      {"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n", "/tmp"},
		"ItsOwnProcesses":  {own + "4 3 0:77 / /proc rw - proc proc rw\n5 1 0:78 / /dev/shm rw - tmpfs tmpfs rw\n", ""},
		"NothingIsKnown":   {"", "/"},
		"NameWithTheSame":  {own + "4 1 0:78 / /devel rw - tmpfs tmpfs rw\n", "/devel"},
		"OpenNamespace":    {own + "4 1 0:4 net:[4026532448] /home/u/net rw - nsfs nsfs rw\n", ""},
		"WithinWhatIsSame": {own + "4 2 0:5 /a/b /tmp/a/b rw - tmpfs tmpfs rw\n", ""},
	} {
		if got := otherMount(mountsOf(own), mountsOf(tc.its)); got != tc.differs {
			t.Errorf("%s: %q, want %q", name, got, tc.differs)
		}
	}
}
