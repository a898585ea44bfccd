package remote_test

import (
	"strings"
	"testing"
)

// project has a little of everything.
var project = map[string]string{
	"s/a.c":      "#include <stdio.h>\n#include \"x.h\"\n#include <y.h>\nint f(int n) { printf(\"%s %d\\n\", __FILE__, X); return n + Y; }\n",
	"s/x.h":      "#pragma once\n#define X 1\nstatic inline int unused(int n) { return n; }\n",
	"i/y.h":      "#ifndef Y\n#define Y 2\n#endif\n#if __has_include(\"z.h\")\n#define Z\n#endif\n",
	"i/pre.h":    "#define PRE 3\n",
	"i/mac.h":    "#define MAC 4\n",
	"j/y.h":      "#include_next <y.h>\n#define NEXT 1\n",
	"s/b.cc":     "#include <string>\n#include <vector>\n#include \"x.h\"\nstd::string g(std::vector<int> v) { return std::to_string(v.size() + X); }\n",
	"s/c.S":      "#include \"../i/mac.h\"\n.globl c\nc: .long MAC\n.incbin \"d/blob\"\n",
	"s/d.s":      ".include \"d/i.s\"\n.globl d\nd: .long 1\n",
	"s/warn.c":   "int f(void) { int unused; char *p = 1; return 0; }\n",
	"s/error.c":  "int f(void) { return undeclared; }\n",
	"s/gone.c":   "#include \"nowhere.h\"\nint x;\n",
	"s/date.c":   "char *d = __DATE__ __TIME__;\n",
	"s/stamp.c":  "char *d = __TIMESTAMP__;\n",
	"s/comp.c":   "#define S(x) #x\n#define T(x) S(x)\n#include T(x.h)\nint v = X;\n",
	"s/forced.c": "int v = PRE + MAC;\n",
	"s/bin.c":    "asm(\".section .rodata\\n.incbin \\\"d/blob\\\"\\n\");\n",
	"s/hidden.c": "#define F \"d/blob\"\nasm(\".incbin \\\"\" F \"\\\"\");\n",
	"s/link.c":   "#include <l/y.h>\n#include \"../k/e/up.h\"\nint v = Y;\n",
	"k/up.h":     "#define UP 1\n",
	"k/e":        "-> ../n/m",
	"n/up.h":     "#define OTHER 1\n",
	"n/m/up.h":   "#define UP 2\n",
	"r/l":        "-> ../i",
	"d/blob":     "bytes\n",
	"d/i.s":      ".globl e\ne: .long 2\n",
	"o/keep":     "",
	"ol":         "-> o",
	"args":       "-DFROM=\"a file\" -Ii\n-O2",
	"p.h":        "int x;\n",
	"s/embed.c":  "const unsigned char b[] = {\n#embed \"../d/blob\"\n};\n",
	"s/has.c":    "#if __has_include(\"gen.h\")\n#include \"gen.h\"\n#else\n#define GEN 1\n#endif\nint v = GEN;\n",
	"s/twins.c":  "#include \"../t/1/twin.h\"\n#include \"../t/2/twin.h\"\n",
	"t/1/twin.h": "#pragma once\nint twin;\n",
	"t/2/twin.h": "#pragma once\nint twin;\n",
	"s/mod.cc":   "export module m;\nexport int f() { return 1; }\n",
	"s/crash.c":  "#pragma clang __debug crash\n",
	"s/main.c":   "int main(void) { return 0; }\n",
	"s/raw.i":    "# 1 \"s/gone.c\"\nint raw(void) { return 1; }\n",
}

// hazards are by their names in docs/hazards.md. CC and CXX stand for each usual
// compiler, EACHCC and EACHCXX for those that compile for other machines as well.
var hazards = map[string]hazard{
	// What a compile reads.
	"Include":               {command: "EACHCC -O2 -Wall -Ii -c s/a.c -o o/a.o"},
	"IncludeInCXX":          {command: "EACHCXX -g -O1 -std=c++17 -c s/b.cc -o o/b.o -MD -MT o/b.o -MF o/b.o.d"},
	"IncludeNext":           {command: "EACHCC -Ij -Ii -c s/a.c -o o/a.o -MD"},
	"Forced":                {command: "EACHCC -include i/pre.h -imacros i/mac.h -g -c s/forced.c -o o/a.o"},
	"HasInclude":            {command: "CC -Ii -c s/has.c -o o/a.o -MD"},
	"AllKindsOfPaths":       {command: "CC -iquote k -isystem j -idirafter i -g -c s/a.c -o o/a.o -MD"},
	"Incbin":                {command: "EACHCC -c s/bin.c -o o/a.o"},
	"HiddenIncbin":          {command: "CC -c s/hidden.c", here: "named elsewhere"},
	"Embed":                 {command: "CC -c s/embed.c -o o/a.o", also: embeds},
	"Computed":              {command: "CC -g -c s/comp.c -o o/a.o -MD"},
	"Links":                 {command: "CC -g -Ir -c s/link.c -o o/a.o -MD"},
	"MissingDirectory":      {command: "CC -Wmissing-include-dirs -Inowhere -Ik -Ii -c s/a.c -o o/a.o"},
	"NothingOfItsOwn":       {command: "EACHCC -nostdinc -Ii -c s/forced.c -include i/pre.h -include i/mac.h -o o/a.o"},
	"EarlierOnThePath":      {command: "EACHCC -g -Ij -Ii -c s/link.c -Ir -o o/a.o -MD", also: appears},
	"GeneratedHeader":       {command: "CC -Ii -c s/has.c -o o/a.o -MD", also: generates},
	"YetToBeMade":           {command: "CC -Ii -c s/a.c -o o/a.o", also: comes},
	"ReadOnceByContent":     {command: "gcc -g -c s/twins.c -o o/a.o -MD", before: "touch -d @1000000000 t/1/twin.h && touch -d @1100000000 t/2/twin.h", here: "but for their time"},
	"ReadOnceOfOneTime":     {command: "CC -g -c s/twins.c -o o/a.o -MD", before: "touch -d @1000000000 t/1/twin.h t/2/twin.h"},
	"OneFileOfTwoNames":     {command: "clang -g -c s/twins.c -o o/a.o -MD", before: "ln -f t/1/twin.h t/2/twin.h", here: "are one file"},
	"DirectoryOfTheMachine": {command: "CC -Ii -I/usr/lib/nowhere/include -c s/a.c", here: "other machines may have"},

	// Compilers.
	"Native":              {command: "gcc -O3 -march=native -Ii -c s/a.c -o o/a.o", also: expanded},
	"NativeWrittenDown":   {command: "gcc -O3 -g -march=native -Ii -c s/a.c -o o/a.o", also: processor},
	"NativeOfClang":       {command: "clang -march=native -Ii -c s/a.c", here: "clang does not say"},
	"Multilib":            {command: "CC -m64 -mavx2 -Ii -g -c s/a.c -o o/a.o"},
	"WordSize":            {command: "gcc -m32 -nostdinc -Ii -g -c s/forced.c -include i/pre.h -include i/mac.h -o o/a.o"},
	"Target":              {command: "clang --target=aarch64-linux-gnu -ffreestanding -Ii -g -c s/forced.c -include i/pre.h -include i/mac.h -o o/a.o"},
	"AbsoluteCompiler":    {command: "/usr/bin/gcc -g -Ii -c s/a.c -o o/a.o"},
	"ByAnotherName":       {command: "cc -g -Ii -c s/a.c -o o/a.o"},
	"ClangCalledCC":       {command: "bin/cc -Ii -c s/date.c", env: "SOURCE_DATE_EPOCH=1", before: "mkdir bin && ln -s $(command -v clang) bin/cc", here: "time of the build"},
	"Script":              {command: "c99-gcc -Ii -c s/a.c", here: "is a script"},
	"CompilerOfThePath":   {command: "gcc -Ii -c s/a.c", env: "PATH=$PWD/bin:" + actionPath, before: "mkdir bin && cp $(command -v gcc) bin/gcc", here: "not where actions look"},
	"NoCompilerInThePath": {command: "gcc -Ii -c s/a.c", env: "PATH=$PWD/s", here: "nowhere in PATH"},
	"CompilerByItsPath":   {command: "bin/gcc -Ii -c s/a.c", before: "mkdir bin && cp $(command -v gcc) bin/gcc", here: "not where actions look"},
	"AssemblerOfThePath":  {command: "gcc -Ii -c s/a.c", env: "PATH=$PWD/bin:" + actionPath, before: "mkdir bin && cp $(command -v as) bin/as", here: "PATH has as"},
	"GCCToolchain":        {command: "clang++ --gcc-toolchain=/usr -g -c s/b.cc -o o/b.o"},

	// Right to the bit.
	"Debug":               {command: "EACHCC -g -O2 -Wall -Ii -c s/a.c -o o/a.o"},
	"DebugAsItGoes":       {command: "CC -g3 -ggdb -O0 -Ii -c s/a.c -o o/a.o -MD -MF o/a.d"},
	"Date":                {command: "CC -c s/date.c", here: "__DATE__"},
	"DateOfAnEpoch":       {command: "gcc -c s/date.c -o o/a.o", env: "SOURCE_DATE_EPOCH=1000000000"},
	"DateOfClang":         {command: "clang -c s/date.c", env: "SOURCE_DATE_EPOCH=1000000000", here: "time of the build"},
	"Timestamp":           {command: "CC -c s/stamp.c", env: "SOURCE_DATE_EPOCH=1", here: "__TIMESTAMP__"},
	"HeaderToPrecompile":  {command: "CC -c p.h", here: "precompiled header"},
	"Precompiled":         {command: "gcc -include p.h -c s/a.c", before: "gcc -c p.h", here: "precompiled header"},
	"PrecompiledOfClang":  {command: "clang -include p.h -c s/a.c", before: "clang -x c-header p.h -o p.h.pch", here: "precompiled header"},
	"PrecompiledNamed":    {command: "clang -include-pch p.h.pch -c s/a.c", before: "clang -x c-header p.h -o p.h.pch", here: "precompiled header"},
	"Modules":             {command: "g++ -std=c++20 -fmodules-ts -c s/mod.cc", here: "modules"},
	"ModulesOfClang":      {command: "clang++ -std=c++20 -x c++-module --precompile s/mod.cc -o o/m.pcm", here: "module"},
	"ModuleUsed":          {command: "clang++ -std=c++20 -fmodule-file=o/m.pcm -c s/b.cc", here: "modules"},
	"Response":            {command: "CC @args -g -c s/a.c -o o/a.o"},
	"MissingResponse":     {command: "CC -c s/a.c @nowhere", here: "not known"},
	"Plugin":              {command: "CC -fplugin=./x.so -c s/a.c", here: "plugin"},
	"Specs":               {command: "gcc -specs=x -c s/a.c", here: "specs"},
	"ProfileUse":          {command: "CC -fprofile-use -c s/a.c", here: "profiles"},
	"ProfileGenerate":     {command: "CC -fprofile-generate -frandom-seed=7 -Ii -c s/a.c -o o/a.o"},
	"Coverage":            {command: "EACHCC --coverage -frandom-seed=7 -Ii -c s/a.c -o o/a.o"},
	"SplitDwarf":          {command: "EACHCC -g -gsplit-dwarf -Ii -c s/a.c -o o/a.o"},
	"StackUsage":          {command: "CC -fstack-usage -Ii -c s/a.c -o o/a.o"},
	"SwitchesRecorded":    {command: "CC -O2 -frecord-gcc-switches -Ii -c s/a.c -o o/a.o"},
	"PrefixMap":           {command: "CC -g -ffile-prefix-map=s=/src -Ii -c s/a.c -o o/a.o"},
	"LTO":                 {command: "EACHCC -O2 -flto -frandom-seed=3 -Ii -c s/a.c -o o/a.o"},
	"ThinLTO":             {command: "clang -O2 -flto=thin -Ii -c s/a.c -o o/a.o"},
	"SaveTemps":           {command: "CC -save-temps -c s/a.c", here: "on the way"},
	"Depfile":             {command: "CC -MMD -MP -MT x -MQ 'a b' -Ii -c s/a.c -o o/a.o"},
	"DepfileNamed":        {command: "EACHCC -MD -MP -MF o/.a.d -Ii -c s/a.c -o o/a.o"},
	"DepfileByWp":         {command: "CC -Wp,-MD,o/.a.d -Ii -c s/a.c -o o/a.o"},
	"DepfilePrinted":      {command: "CC -MD -MF - -Ii -c s/a.c", here: "what it reads"},
	"DepfileOfAssembler":  {command: "gcc -c s/d.s -o o/d.o -MD -MF o/d.d"},
	"DepfileOfText":       {command: "CC -c s/raw.i -o o/a.o -MD"},
	"MissingHeaders":      {command: "gcc -MD -MG -c s/gone.c", here: "-MG"},
	"Fragment":            {command: "clang -Ii -c s/a.c -o o/a.o -MJ o/a.json"},
	"FragmentThatIsThere": {command: "clang -Ii -c s/a.c -o o/a.o -MJ o/keep", here: "write to its end"},
	"Stdin":               {command: "CC -x c -c -", here: "typed"},
	"Several":             {command: "CC -c s/a.c s/forced.c", here: "several sources"},
	"Assembler":           {command: "CC -g -c s/d.s -o o/d.o"},
	"AssemblerWithCPP":    {command: "EACHCC -g -c s/c.S -o o/c.o -MD"},
	"Assembly":            {command: "EACHCC -S -fverbose-asm -Ii s/a.c -o o/a.s"},
	"Language":            {command: "CC -x c++ -Ii -g -c s/a.c -o o/a.o"},
	"Preprocessed":        {command: "CC -g -c s/raw.i -o o/a.o"},
	"Preprocess":          {command: "CC -E s/a.c", here: "preprocesses"},
	"Pipe":                {command: "CC -pipe -Ii -c s/a.c -o o/a.o"},
	"NoOutputNamed":       {command: "CC -Ii -c s/a.c"},
	"OutputBehindALink":   {command: "CC -g -Ii -c s/a.c -o ol/a.o -MD"},
	"OutputThroughDotDot": {command: "CC -g -Ii -c s/a.c -o s/../o/a.o"},
	"OutputIsALink":       {command: "CC -Ii -c s/a.c -o ol", here: "is no file"},
	"NoFile":              {command: "CC -Ii -c s/a.c -o /dev/null", here: "no file"},
	"NoDirectory":         {command: "CC -Ii -c s/a.c -o nowhere/a.o", here: "directory of its output"},
	"WritesAmongOwn":      {command: "CC -Ii -c s/a.c -o /usr/a.o", here: "machine has its own"},
	"CompilesAndLinks":    {command: "CC s/main.c -o o/p", here: "links at once"},
	"Wrapper":             {command: "gcc -wrapper time -c s/a.c", here: "another program"},
	"Programs":            {command: "CC -Bbin -c s/a.c", here: "programs"},
	"Unheard":             {command: "CC -quux -c s/a.c", here: "not known"},
	"NoSource":            {command: "CC -c s/nowhere.c", here: "not there"},

	// The environment.
	"CPATH":          {command: "EACHCC -g -c s/a.c -o o/a.o", env: "CPATH=j:i"},
	"CIncludePath":   {command: "CC -g -c s/a.c -o o/a.o", env: "C_INCLUDE_PATH=i"},
	"CompilerPath":   {command: "CC -c s/a.c", env: "COMPILER_PATH=/x", here: "COMPILER_PATH"},
	"ExecPrefix":     {command: "CC -c s/a.c", env: "GCC_EXEC_PREFIX=/x", here: "GCC_EXEC_PREFIX"},
	"Overridden":     {command: "CC -c s/a.c", env: "CCC_OVERRIDE_OPTIONS=+-g", here: "CCC_OVERRIDE_OPTIONS"},
	"CharacterSet":   {command: "CC -c s/a.c", env: "LC_ALL=de_DE.ISO-8859-1", here: "character set"},
	"LANG":           {command: "CC -Wall -c s/warn.c -o o/a.o", env: "LANG=C.UTF-8"},
	"LocaleNotThere": {command: "CC -Wall -c s/warn.c -o o/a.o", env: "LANG=en_US.UTF-8"},

	// What it says, and how it ends.
	"Warnings":          {command: "EACHCC -Wall -Wextra -c s/warn.c -o o/a.o"},
	"ColouredWarnings":  {command: "EACHCC -Wall -fdiagnostics-color=always -c s/warn.c -o o/a.o"},
	"ColouredByUser":    {command: "gcc -Wall -fdiagnostics-color=always -c s/warn.c -o o/a.o", env: "GCC_COLORS=warning=01;36"},
	"LinksInMessages":   {command: "gcc -Wall -fdiagnostics-urls=always -c s/warn.c -o o/a.o", env: "GCC_URLS=bel"},
	"WarningsInUTF8":    {command: "CC -Wall -c s/warn.c -o o/a.o", env: "LC_ALL=C.UTF-8"},
	"Errors":            {command: "EACHCC -c s/error.c -o o/a.o -MD"},
	"NoSuchHeader":      {command: "EACHCC -c s/gone.c -o o/a.o"},
	"WarningsAreErrors": {command: "CC -Werror -Wall -c s/warn.c -o o/a.o"},
	"HeaderLeftBehind":  {command: "EACHCC -Ii -c s/a.c -o o/a.o", also: leftBehind},
	"CompilerBreaks":    {command: "clang -c s/crash.c -o o/a.o", also: breaks},
	"FileLeaks":         {command: "CC -g -Ii -c $PWD/s/a.c -o o/a.o", also: leaks},
	"AnyCheckout":       {command: "CC -g -Ii -c s/a.c -o o/a.o", also: moves},
}

// Each hazard has the very result of the compiler, or says why it is not tried
// elsewhere.
func TestHazards(t *testing.T) {
	for name, h := range hazards {
		for compiler, command := range h.commands() {
			t.Run(strings.TrimSuffix(name+"/"+compiler, "/"), func(t *testing.T) {
				t.Parallel()
				h.try(t, command)
			})
		}
	}
}
