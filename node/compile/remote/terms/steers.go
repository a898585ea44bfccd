package terms

import (
	"regexp"
	"strings"
)

// steering matches variables by which a compiler, what it runs, or the loader and
// the C library below them, do something else, though the action does not have
// them: a sandbox keeps them away. Those that make a command one for this machine
// alone are not here.
var steering = regexp.MustCompile(`^(LD_.*|GLIBC_.*|MALLOC_.*|GCONV_PATH|LOCPATH|NLSPATH|OUTPUT_CHARSET|` + // ld.so(8), locale(7)
	`GCC_.*|COLLECT_.*|COLUMNS|TERM_URLS|LTO_.*|GNUTARGET|LDEMULATION|` + // gcc(1), ld(1)
	`CLANG.*|CCC_.*|LLVM_.*|SDKROOT|.*_DEPLOYMENT_TARGET|` + // clang(1)
	`ENV|BASH_ENV|BASH_FUNC_.*|SHELLOPTS|BASHOPTS|CDPATH|IFS|POSIXLY_CORRECT|` + // sh(1)
	`.*SAN_OPTIONS)$`)

// Steers reports whether NAME=VALUE is such a variable.
func Steers(variable string) bool {
	name, value, _ := strings.Cut(variable, "=")
	return value != "" && name != "GCC_COLORS" && steering.MatchString(name) // it is in the action
}
