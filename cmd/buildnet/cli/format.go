package cli

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
)

// format is how an answer is printed. As a flag it is --json.
type format uint8

const (
	forPeople format = iota
	asLine           // of JSON
)

// flag gives c the flag --json.
func (f *format) flag(c *cobra.Command, usage string) {
	c.Flags().Var(f, "json", usage)
	c.Flags().Lookup("json").NoOptDefVal = "true"
}

// String implements pflag.Value.
func (f *format) String() string { return strconv.FormatBool(*f == asLine) }

// Set implements pflag.Value.
func (f *format) Set(text string) error {
	on, err := strconv.ParseBool(text)
	if err != nil {
		return fmt.Errorf("want true or false: %w", err)
	}
	*f = forPeople
	if on {
		*f = asLine
	}
	return nil
}

// Type implements pflag.Value.
func (*format) Type() string { return "bool" }
