package ninja

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MaxExpansion bounds what one value, path or command grows to when its
// variables are replaced, in bytes. A manifest of forty lines, each naming the
// one before it twice, would fill a terabyte; the longest honest value, the
// list of objects of a large program in a response file, stays far below.
const MaxExpansion = 64 << 20

// ErrTooLong says that something grew beyond MaxExpansion.
var ErrTooLong = fmt.Errorf("expands to more than %d MiB", MaxExpansion>>20)

// CycleError is returned for a rule whose bindings need each other. ninja
// calls it fatal: see Fatal.
type CycleError struct {
	// Names are those of the variables, the first again at the end.
	Names []string
}

func (e *CycleError) Error() string {
	return "cycle in rule variables: " + strings.Join(e.Names, " -> ")
}

// Fatal reports whether ninja prints err behind "ninja: fatal: " rather than
// "ninja: error: ".
func Fatal(err error) bool {
	var cycle *CycleError
	var version *VersionError
	return errors.As(err, &cycle) || errors.As(err, &version) || errors.Is(err, ErrTooLong)
}

// Value is text with variables in it, as it was written.
type Value struct {
	text   string  // all of it if there are no pieces
	pieces []piece // in order
}

type piece struct {
	text     string
	variable bool
}

func (v Value) empty() bool { return v.text == "" && len(v.pieces) == 0 }

// String returns the value as a manifest could say it, without escapes.
func (v Value) String() string {
	if len(v.pieces) == 0 {
		return v.text
	}
	var b strings.Builder
	for _, p := range v.pieces {
		if p.variable {
			b.WriteString("${" + p.text + "}")
		} else {
			b.WriteString(p.text)
		}
	}
	return b.String()
}

// binding numbers the variables that a rule may set.
type binding uint8

const (
	bindCommand binding = iota
	bindDepfile
	bindDyndep
	bindDescription
	bindDeps
	bindGenerator
	bindPool
	bindRestat
	bindRspfile
	bindRspfileContent
	bindMSVCDepsPrefix
	bindingCount
)

var bindingNames = [bindingCount]string{"command", "depfile", "dyndep", "description", "deps",
	"generator", "pool", "restat", "rspfile", "rspfile_content", "msvc_deps_prefix"}

// ruleBinding returns the number of a name that a rule may set.
func ruleBinding(name string) (binding, bool) {
	i := slices.Index(bindingNames[:], name)
	return binding(max(i, 0)), i >= 0
}

// Binding returns what the rule says of name, as written; false if nothing.
func (r *Rule) Binding(name string) (Value, bool) {
	if v := r.bound(name); v != nil {
		return *v, true
	}
	return Value{}, false
}

func (r *Rule) bound(name string) *Value {
	if b, ok := ruleBinding(name); ok {
		return r.bindings[b]
	}
	return nil
}

// manyVars is how many variables a scope looks through one by one: most edges
// have two or three, for which a map costs more than it saves.
const manyVars = 8

// NewScope returns an empty scope inside parent, which may be nil.
func NewScope(parent *Scope) *Scope { return &Scope{parent: parent} }

// Lookup returns the value of name here or around, "" if there is none.
func (s *Scope) Lookup(name string) string {
	for ; s != nil; s = s.parent {
		if v, ok := s.own(name); ok {
			return v
		}
	}
	return ""
}

func (s *Scope) own(name string) (string, bool) {
	if i := s.find(name); i >= 0 {
		return s.vars[i].value, true
	}
	return "", false
}

func (s *Scope) find(name string) int {
	if s.index != nil {
		if i, ok := s.index[name]; ok {
			return i
		}
		return -1
	}
	for i := range s.vars {
		if s.vars[i].name == name {
			return i
		}
	}
	return -1
}

// Bind sets name to value, which has no variables in it any more.
func (s *Scope) Bind(name, value string) {
	if i := s.find(name); i >= 0 {
		s.vars[i].value = value
		return
	}
	s.vars = append(s.vars, variable{name, value})
	switch {
	case s.index != nil:
		s.index[name] = len(s.vars) - 1
	case len(s.vars) > manyVars:
		s.index = make(map[string]int, 2*len(s.vars))
		for i, v := range s.vars {
			s.index[v.name] = i
		}
	}
}

// Rule returns the rule of that name here or around, nil if there is none.
func (s *Scope) Rule(name string) *Rule {
	for ; s != nil; s = s.parent {
		if r := s.rules[name]; r != nil {
			return r
		}
	}
	return nil
}

// Rules returns the scope's own rules, sorted by name.
func (s *Scope) Rules() []*Rule {
	rules := make([]*Rule, 0, len(s.rules))
	for _, r := range s.rules {
		rules = append(rules, r)
	}
	slices.SortFunc(rules, func(a, b *Rule) int { return strings.Compare(a.Name, b.Name) })
	return rules
}

func (s *Scope) addRule(r *Rule) {
	if s.rules == nil {
		s.rules = map[string]*Rule{}
	}
	s.rules[r.Name] = r
}

// appendValue appends v to dst with the scope's variables.
func (s *Scope) appendValue(dst []byte, v Value) ([]byte, error) {
	dst = append(dst, v.text...)
	for _, p := range v.pieces {
		text := p.text
		if p.variable {
			text = s.Lookup(text)
		}
		if len(dst)+len(text) > MaxExpansion {
			return dst, ErrTooLong
		}
		dst = append(dst, text...)
	}
	return dst, nil
}
