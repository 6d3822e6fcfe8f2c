package drivers

import (
	"os"
	"os/exec"
	"testing"
)

// InProcess runs those tests of the package that match a pattern in a process of their own, with more in its environment.
func InProcess(t *testing.T, tests string, env ...string) (out string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", tests, "-test.v")
	cmd.Env = append(os.Environ(), env...)
	text, err := cmd.CombinedOutput()
	return string(text), err
}
