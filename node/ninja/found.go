package ninja

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/buildnet/buildnet/node/project/ninja"
	"github.com/buildnet/buildnet/node/project/ninja/depfile"
	"github.com/buildnet/buildnet/node/project/ninja/showincludes"
)

// discover takes what a command was found to read from its depfile or its
// output. If that cannot be read, the command counts as failed.
func (b *builder) discover(job Job, r Result) (found []string, left Result, err error) {
	if b.opts.DryRun {
		return nil, r, nil
	}
	switch job.Deps {
	case "":
		return nil, r, nil
	case "gcc":
		found, err = b.fromDepfile(job)
	case "msvc":
		out := showincludes.Filter(string(r.Output), job.includesPrefix)
		found, r.Output = out.Includes, []byte(out.Text)
	default:
		return nil, r, fatalError{fmt.Errorf("unknown deps type '%s'", job.Deps)}
	}
	if err != nil && r.Status == Succeeded {
		if len(r.Output) > 0 {
			r.Output = append(r.Output, '\n')
		}
		r.Output = append(r.Output, err.Error()...)
		r.Status = Failed
	}
	return found, r, nil
}

// fromDepfile reads the depfile and removes it: the record has it all.
func (b *builder) fromDepfile(job Job) ([]string, error) {
	if job.Depfile == "" {
		return nil, errors.New("edge with deps=gcc but no depfile makes no sense")
	}
	text, err := b.disk.ReadFile(job.Depfile)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && text == "":
		return nil, nil
	case err != nil:
		return nil, err
	}
	deps, err := depfile.Parse(text)
	if err != nil {
		return nil, err
	}
	found := ninja.CanonicalAll(deps.Ins)
	if b.opts.KeepDepfile {
		return found, nil
	}
	if _, err := b.disk.Remove(job.Depfile); err != nil {
		return nil, fmt.Errorf("deleting depfile: %w", err)
	}
	return found, nil
}
