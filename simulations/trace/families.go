package trace

// Families tell of builds that were inherited what they go on with, for sinks
// that know no more builds than the setting names.
type Families struct{ first map[int]int }

// Fold returns the event as one of the first build of its family.
func (f *Families) Fold(e Event) Event {
	if e.Kind == Inherited {
		if f.first == nil {
			f.first = map[int]int{}
		}
		f.first[e.Build] = f.First(int(e.Value))
	}
	e.Build = f.First(e.Build)
	return e
}

// First is the first build of a build's family.
func (f *Families) First(build int) int {
	if first, inherited := f.first[build]; inherited {
		return first
	}
	return build
}
