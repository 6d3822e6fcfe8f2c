package tune

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Processes of the test's own: what one of them says before it is killed.
const (
	diesEnv = "TUNE_TEST_DIES"
	inside  = "inside" // within a proof
	between = "between"
	closed  = "closed"
)

var layerKey = Key{Kernel: "k", Hash: "h", Shape: "relu float32[2,3]"}

// dies is the child: it proves, as far as the file can tell, and is killed.
func dies(t *testing.T, path, how string) {
	b, err := File{path, id}.Open()
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(b.Enter(Key{Kernel: strings.Repeat("longer", 20), Hash: "h"}), b.Leave(), b.Enter(layerKey))
	if how != inside {
		err = errors.Join(err, b.Leave())
	}
	if how == closed {
		err = errors.Join(err, b.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	t.Fatal("still alive", err)
}

// TestAKernelThatEndsTheProcessIsStruckOff: but not one whose proof ended, nor one that a living process proves.
func TestAKernelThatEndsTheProcessIsStruckOff(t *testing.T) {
	if how := os.Getenv(diesEnv); how != "" {
		dies(t, os.Getenv("TUNE_TEST_FILE"), how)
	}
	if !endsWithProcess {
		t.Log("NOT RUN: this system has no lock that ends with its process")
		return
	}
	for _, c := range []struct {
		how           string
		files, struck int
	}{{inside, 1, 1}, {between, 1, 0}, {closed, 0, 0}} {
		t.Run(c.how, func(t *testing.T) {
			f := file(t)
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAKernelThatEndsTheProcessIsStruckOff$")
			cmd.Env = append(os.Environ(), diesEnv+"="+c.how, "TUNE_TEST_FILE="+f.Path)
			if out, err := cmd.CombinedOutput(); err == nil || strings.Contains(string(out), "FAIL") {
				t.Fatalf("the child was to be killed: %v\n%s", err, out)
			}
			if got := begunFiles(t, f); got != c.files {
				t.Errorf("the child left %d files, want %d", got, c.files)
			}
			list, err := f.Bury()
			if err != nil || len(list) != c.struck {
				t.Fatalf("got %+v, %v; want %d struck off", list, err, c.struck)
			}
			want := Key{Kernel: "k", Hash: "h"} // for all shapes
			if p, ok := load(t, f).Proof(want); ok != (c.struck > 0) || ok && !(p.Struck && strings.Contains(p.Reason, layerKey.Shape)) {
				t.Errorf("in the file of outcomes: got %+v, %v", p, ok)
			}
			if got := begunFiles(t, f); got != 0 {
				t.Errorf("%d files are left", got)
			}
			if list, err := f.Bury(); err != nil || len(list) > 0 {
				t.Errorf("the second time: got %+v, %v", list, err)
			}
		})
	}
}

// TestALivingProofIsLeftAlone: also when a file beside it is damaged.
func TestALivingProofIsLeftAlone(t *testing.T) {
	f := file(t)
	b, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Enter(layerKey); err != nil {
		t.Fatal(err)
	}
	if endsWithProcess {
		for name, text := range map[string]string{"1": `{"kernel":"k`, "2": `{"kernel":"","hash":""}`, "3": "[]"} {
			if err := os.WriteFile(f.Path+".begun-"+name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if list, err := f.Bury(); err != nil || len(list) > 0 {
		t.Errorf("got %+v, %v, want nothing struck off", list, err)
	}
	if got := begunFiles(t, f); endsWithProcess && got != 1 {
		t.Errorf("%d files are left, want the living one's", got)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if got := begunFiles(t, f); got != 0 {
		t.Errorf("%d files are left after the end", got)
	}
}

// TestNothingIsBegunWithoutAFile.
func TestNothingIsBegunWithoutAFile(t *testing.T) {
	b, err := File{}.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Enter(layerKey), b.Leave(), b.Close()); err != nil {
		t.Error(err)
	}
	if list, err := (File{}).Bury(); err != nil || len(list) > 0 {
		t.Errorf("got %+v, %v", list, err)
	}
}

func begunFiles(t *testing.T, f File) int {
	t.Helper()
	list, err := filepath.Glob(f.Path + ".begun-*")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
