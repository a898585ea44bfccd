package terms

import "testing"

func TestWhatSteersACompilerBesidesItsCommand(t *testing.T) {
	for variable, want := range map[string]bool{
		"LD_PRELOAD=/x.so": true, "LD_LIBRARY_PATH=/lib": true, "LD_LIBRARY_PATH=": false, "GLIBC_TUNABLES=a=b": true, "LOCPATH=/l": true,
		"BASH_FUNC_gcc%%=() { false; }": true, "COLLECT_GCC=x": true, "ASAN_OPTIONS=x": true, "MACOSX_DEPLOYMENT_TARGET=11": true,
		"GCC_COLORS=error=01;31": false, "PATH=/bin": false, "HOME=/root": false, "LANG=C": false, "CC=gcc": false, "OLD_HOME=/": false, "TMPDIR=/t": false,
	} {
		if got := Steers(variable); got != want {
			t.Errorf("%s: %v", variable, got)
		}
	}
}
