package link

import (
	"slices"
	"strings"
)

// kind is what an argument of a linker is to a build.
type kind uint8

const (
	flag    kind = iota + 1 // it has no value
	value                   // its value names no file
	list                    // a file that names no others
	script                  // a file that may
	dir                     // where libraries are
	runtime                 // where libraries that libraries need are: a list
	library                 // a library's name
	output                  // a file that is made
	symbols                 // list, or runtime
	format                  // what inputs are
)

// long are the arguments with a name that are understood, of GNU ld, gold, lld
// and mold. What is not here ties a link to its machine.
var long = map[string]kind{}

func init() {
	for k, names := range map[kind]string{
		flag: `( ) as-needed no-as-needed add-needed no-add-needed copy-dt-needed-entries no-copy-dt-needed-entries whole-archive no-whole-archive
			start-group end-group start-lib end-lib gc-sections no-gc-sections print-gc-sections no-print-gc-sections export-dynamic no-export-dynamic
			undefined-version no-undefined-version no-undefined allow-shlib-undefined no-allow-shlib-undefined allow-multiple-definition
			fatal-warnings no-fatal-warnings Bstatic Bdynamic dn dy static non_shared call_shared Bsymbolic Bsymbolic-functions Bno-symbolic
			Bsymbolic-non-weak Bsymbolic-non-weak-functions Bgroup eh-frame-hdr no-eh-frame-hdr sort-common relax no-relax strip-all strip-debug
			discard-all discard-locals discard-none no-demangle enable-new-dtags disable-new-dtags print-memory-usage trace cref print-map no-threads
			gdb-index no-gdb-index no-keep-memory reduce-memory-overheads no-ld-generated-unwind-info ld-generated-unwind-info push-state pop-state
			no-omagic emit-relocs pie no-pie pic-executable no-dynamic-linker shared Bshareable relocatable dynamic-list-data dynamic-list-cpp-new
			dynamic-list-cpp-typeinfo no-define-common define-common d dc dp EB EL color-diagnostics no-color-diagnostics warn-common
			no-rosegment rosegment error-unresolved-symbols check-sections no-check-sections merge-exidx-entries no-merge-exidx-entries
			fix-cortex-a53-835769 fix-cortex-a53-843419 no-fix-cortex-a53-835769 no-fix-cortex-a53-843419 be8 no-export-dynamic-symbol
			accept-unknown-input-arch no-accept-unknown-input-arch ctf-variables no-ctf-variables no-call-graph-profile-sort
			no-mmap-output-file no-optimize-bb-jumps use-android-relr-tags force-group-allocation`,
		value: `soname dynamic-linker defsym wrap undefined require-defined entry exclude-libs hash-style fini init image-base section-start Ttext Tdata
			Tbss Ttext-segment Trodata-segment Tldata-segment sort-section orphan-handling unresolved-symbols auxiliary filter audit depaudit
			trace-symbol spare-dynamic-tags thread-count threads thinlto-jobs lto-partitions lto-O0 lto-O1 lto-O2 lto-O3 lto-CGO0 lto-CGO1 lto-CGO2
			lto-CGO3 pack-dyn-relocs export-dynamic-symbol error-limit icf compress-debug-sections demangle build-id max-cache-size no-export
			undefined-glob tail-merge-strings stub-group-size rosegment-gap`,
		list:    `version-script dynamic-list export-dynamic-symbol-list retain-symbols-file symbol-ordering-file section-ordering-file call-graph-ordering-file`,
		script:  `script default-script dT`,
		dir:     `library-path`,
		runtime: `rpath rpath-link`,
		library: `library`,
		output:  `Map dependency-file`,
		symbols: `just-symbols`,
		format:  `format oformat`,
	} {
		for n := range strings.FieldsSeq(names) {
			long[n] = k
		}
	}
}

// optional have a value only behind "=".
var optional = []string{"icf", "compress-debug-sections", "demangle", "build-id", "threads", "sort-common", "color-diagnostics", "lto-O0", "lto-O1", "lto-O2", "lto-O3", "lto-CGO0", "lto-CGO1", "lto-CGO2", "lto-CGO3"}

// short are the arguments of one letter. Those with a value have it behind them
// or as the next word.
var short = map[byte]kind{
	'l': library, 'L': dir, 'T': script, 'R': symbols, 'b': format,
	'u': value, 'z': value, 'e': value, 'h': value, 'y': value, 'I': value,
}

// letters stand alone.
const letters = "EXxsSrtqiNnMg()"

// word reads one word, and its value if that is the next.
func (r *reader) word(w string) {
	if file, is := strings.CutPrefix(w, "@"); is {
		r.respond(file)
		return
	}
	if len(w) < 2 || w[0] != '-' {
		r.l.Files = append(r.l.Files, w)
		return
	}
	name, v, given := strings.Cut(strings.TrimPrefix(w[1:], "-"), "=")
	k := long[name]
	single := w[1] != '-'
	switch {
	case k == flag && (!given || slices.Contains(optional, name)), warning(name) && !given:
		return
	case k != 0 && k != flag:
		if !given && !slices.Contains(optional, name) {
			v = r.next()
		}
		r.take(k, name, v)
	case single && len(w) == 2 && strings.IndexByte(letters, w[1]) >= 0:
	case single && w[1] == 'O' && strings.Trim(w[2:], "0123456789s") == "":
	case single && short[w[1]] != 0:
		if v = w[2:]; v == "" {
			v = r.next()
		}
		r.take(short[w[1]], w[:2], v)
	default:
		r.local("-Wl,%s is not known", w)
	}
}

// warning matches the many that turn a warning on or off.
func warning(name string) bool {
	return strings.HasPrefix(name, "warn-") || strings.HasPrefix(name, "no-warn-")
}

// next takes the next word for a value.
func (r *reader) next() string {
	r.i++
	if r.i >= len(r.words) {
		r.local("-Wl,%s has no value", r.words[len(r.words)-1])
		return ""
	}
	return r.words[r.i]
}

func (r *reader) take(k kind, name, v string) {
	l := r.l
	switch {
	case v == "" && k != value:
		r.local("-Wl,%s has no value", name)
		return
	case name == "build-id" && v == "uuid":
		r.local("--build-id=uuid: each link is to have another")
	}
	switch k {
	case list:
		l.Lists = append(l.Lists, v)
	case script:
		l.Scripts = append(l.Scripts, v)
	case dir:
		r.dir(v)
	case runtime:
		l.Runtime = append(l.Runtime, pathList(v)...)
	case library:
		l.Libraries = append(l.Libraries, v)
	case output:
		if strings.ContainsAny(v, "%") || v == "-" {
			r.local("-Wl,%s=%s: it names no file", name, v)
		}
		l.Outputs = append(l.Outputs, v)
	case symbols: // of a file; of a directory it is -rpath
		l.Lists = append(l.Lists, v)
		l.Runtime = append(l.Runtime, pathList(v)...)
	case format:
		l.Raw = true
	}
}

// dir adds a directory of -L, which is from the linker's own root with a mark in
// front.
func (r *reader) dir(v string) {
	if strings.HasPrefix(v, "=") || strings.HasPrefix(v, "$SYSROOT") {
		r.local("-L%s: the linker's own root is not known", v)
		return
	}
	r.l.Dirs = append(r.l.Dirs, v)
}
