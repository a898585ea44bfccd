package remote_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// quoted matches what is a name or a command in a page.
var quoted = regexp.MustCompile("`([^`]+)`")

// Each row of docs/hazards.md names cases that there are, and each hazard has a row.
func TestHazardsAreThoseOfTheDocs(t *testing.T) {
	page, err := os.ReadFile("../../../docs/hazards.md")
	if err != nil {
		t.Fatal(err)
	}
	compiles, others, found := strings.Cut(string(page), "\n## Links")
	if !found {
		t.Fatal("the page says nothing of links")
	}
	told := map[string]bool{}
	for _, name := range cases(t, compiles) {
		if _, is := hazards[name]; !is || told[name] {
			t.Errorf("%s is told of, and is no hazard, or twice", name)
		}
		told[name] = true
	}
	for name := range hazards {
		if !told[name] {
			t.Errorf("%s is a hazard, and not told of", name)
		}
	}
	tests := declaredTests(t)
	for _, name := range cases(t, others) {
		_, link := linked[name]
		_, archive := archived[name]
		_, refused := unlinked[name]
		if !link && !archive && !refused && !strings.Contains(tests, "func "+name+"(t *testing.T)") {
			t.Errorf("%s is told of, and is neither a case nor a test", name)
		}
	}
}

// cases are the names in the last columns of the tables of a page.
func cases(t *testing.T, page string) (names []string) {
	t.Helper()
	for line := range strings.Lines(page) {
		columns := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if line[0] != '|' || len(columns) < 3 || columns[2] == "cases " {
			continue
		}
		all := quoted.FindAllStringSubmatch(columns[len(columns)-1], -1)
		if len(all) == 0 {
			t.Errorf("a row without a case: %s", line)
		}
		for _, m := range all {
			names = append(names, m[1])
		}
	}
	if len(names) == 0 {
		t.Error("a page without a case")
	}
	return names
}

// declaredTests is the text of this package's tests.
func declaredTests(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
