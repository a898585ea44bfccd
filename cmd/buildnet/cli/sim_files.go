package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/buildnet/buildnet/simulations/report"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
)

// simFiles are what a simulation writes besides what it prints. They are there
// before it runs: a place where nothing can be written is told at once.
type simFiles struct {
	page   *os.File       // nil without --report
	record *report.Record // of the first seed; nil without --report
	trace  *os.File       // nil without --trace
	events *report.Chrome
}

// openSimFiles creates the files of the flags that are given, for the setting of
// the first seed.
func openSimFiles(page, events string, s *setting.Setting) (*simFiles, error) {
	f := &simFiles{}
	var err error
	if page != "" {
		if f.page, err = os.Create(page); err != nil {
			return nil, usage{fmt.Errorf("--report: %w", err)}
		}
		f.record = report.NewRecord(s)
	}
	if events != "" {
		if f.trace, err = os.Create(events); err != nil {
			return nil, errors.Join(usage{fmt.Errorf("--trace: %w", err)}, f.end(nil))
		}
		f.events = report.NewChrome(f.trace, s)
	}
	return f, nil
}

// sinks are told of the events of the first seed.
func (f *simFiles) sinks() (all []trace.Sink) {
	if f.record != nil {
		all = append(all, f.record)
	}
	if f.events != nil {
		all = append(all, f.events)
	}
	return all
}

// end ends the trace and writes the page; without one its file stays empty.
func (f *simFiles) end(p *report.Page) (err error) {
	if f.trace != nil {
		if err = errors.Join(f.events.Close(), f.trace.Close()); err != nil {
			err = fmt.Errorf("write the trace: %w; choose another place with --trace", err)
		}
	}
	if f.page == nil {
		return err
	}
	var pageErr error
	if p != nil {
		pageErr = report.Write(f.page, p)
	}
	if pageErr = errors.Join(pageErr, f.page.Close()); pageErr != nil {
		err = errors.Join(err, fmt.Errorf("write the report: %w; choose another place with --report", pageErr))
	}
	return err
}
