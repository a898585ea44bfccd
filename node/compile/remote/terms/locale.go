package terms

import (
	"slices"
	"strings"

	"github.com/buildnet/buildnet/sched/action"
)

// speech are the variables of which language messages are in, and how they are
// written.
var speech = []string{"LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES"}

// locale puts what they mean for the variables of messages where these mean
// English: another machine may not have this one's locale, and prints other
// quotes then. No program of a compiler has messages in American English of their
// own, so that all there is to them is whether they are in UTF-8.
func (j *judge) locale(env []action.Property) []action.Property {
	value := map[string]string{}
	var others []action.Property
	for _, p := range env {
		if slices.Contains(speech, p.Name) {
			value[p.Name] = p.Value
		} else {
			others = append(others, p)
		}
	}
	written, language := first(value, "LC_ALL", "LC_CTYPE", "LANG"), first(value, "LC_ALL", "LC_MESSAGES", "LANG")
	if !j.english(written, "") || !j.english(language, value["LANGUAGE"]) {
		return env
	}
	if utf8 := charset(written) == "utf8" && j.has(written); utf8 {
		others = append(others, action.Property{Name: "LC_ALL", Value: "C.UTF-8"})
	}
	return others
}

// first returns the first of these variables that is not empty.
func first(value map[string]string, names ...string) string {
	for _, n := range names {
		if v := value[n]; v != "" {
			return v
		}
	}
	return ""
}

// english reports whether messages in a locale are in the language of the
// programs themselves. LANGUAGE counts in none of the plain locales, and in none
// that is not there.
func (j *judge) english(locale, languages string) bool {
	name, _, _ := strings.Cut(locale, ".")
	name, modifier, _ := strings.Cut(name, "@")
	switch name {
	case "", "C", "POSIX":
		return modifier == ""
	case "en_US":
		if charset(locale) != "utf8" {
			return false // it may be read in another one
		}
		preferred, _, _ := strings.Cut(languages, ":")
		return languages == "" || preferred == "en_US" || preferred == "en" || preferred == "C" || !j.has(locale)
	default:
		return false
	}
}

// charset is that of a locale, as its directory is called; "" for ASCII.
func charset(locale string) string {
	_, set, _ := strings.Cut(locale, ".")
	set, _, _ = strings.Cut(set, "@")
	return strings.ToLower(strings.ReplaceAll(set, "-", ""))
}

func (j *judge) has(locale string) bool {
	name, _, _ := strings.Cut(locale, ".")
	return name == "C" || j.Installed != nil && j.Installed(name+"."+charset(locale))
}
