package ninja

import (
	"os"
	"testing"
)

// asNinja has the test binary be the program, so that tests have processes of it.
const asNinja = "BUILDNET_TEST_AS_NINJA"

func TestMain(m *testing.M) {
	if os.Getenv(asNinja) == "" {
		os.Exit(m.Run())
	}
	if err := os.Unsetenv(asNinja); err != nil {
		panic(err)
	}
	os.Exit(Program(os.Args[1:], ThisProcess()))
}
