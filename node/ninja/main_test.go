package ninja

import (
	"os"
	"testing"
	"time"
)

// asNinja has the test binary be the program, so that tests have processes of it.
const asNinja = "BUILDNET_TEST_AS_NINJA"

// patient as the value of asNinja has it wait for commands that do not end.
const patient = "patient"

func TestMain(m *testing.M) {
	how := os.Getenv(asNinja)
	if how == "" {
		os.Exit(m.Run())
	}
	if err := os.Unsetenv(asNinja); err != nil {
		panic(err)
	}
	p := ThisProcess()
	if how == patient {
		p.Runner = Local{Dir: ".", Stdout: os.Stdout, Stderr: os.Stderr, grace: time.Hour}
	}
	os.Exit(Program(os.Args[1:], p))
}
